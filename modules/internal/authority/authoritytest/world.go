// Package authoritytest is a small DNS that really answers: name servers on addresses of the loopback network, over UDP
// and TCP, each with zones of its own and, where a test wants it, with a defect.
package authoritytest

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Defect is what is wrong with a server.
type Defect int

// Defects.
const (
	Healthy    Defect = iota
	Silent            // answers nothing
	SilentUDP         // answers only over TCP
	Refuses           // REFUSED to everything
	NoAA              // answers without authority, as a cache does
	Truncates         // cuts off every answer over UDP
	OldEDNS           // FORMERR to questions with EDNS
	OtherName         // answers another question than was asked
	ServerFail        // SERVFAIL to everything
)

// World is a set of name servers and one resolver that knows them all, all on one port.
type World struct {
	Port     uint16
	Resolver netip.AddrPort

	t       testing.TB
	mu      sync.Mutex
	servers map[netip.Addr]*server
}

type server struct {
	zones  map[string][]dns.RR // apex: records
	defect Defect
	asked  int
}

// New starts the resolver, on 127.0.0.1.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{t: t, servers: map[netip.Addr]*server{}}
	resolver := netip.MustParseAddr("127.0.0.1")
	w.Port = freePort(t)
	w.Resolver = netip.AddrPortFrom(resolver, w.Port)
	w.listen(resolver, w.resolve)
	return w
}

// freePort is a port that is free over UDP and TCP.
func freePort(t testing.TB) uint16 {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		p, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		l.Close()
		if err == nil {
			p.Close()
			return uint16(port)
		}
	}
	t.Fatal("cannot find a free port")
	return 0
}

func (w *World) listen(addr netip.Addr, handler dns.HandlerFunc) {
	w.t.Helper()
	at := netip.AddrPortFrom(addr, w.Port).String()
	packets, err := net.ListenPacket("udp", at)
	if err != nil {
		w.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", at)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: listener, Handler: handler}} {
		up := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		done := make(chan struct{})
		go func() { defer close(done); _ = s.ActivateAndServe() }()
		<-up
		w.t.Cleanup(func() { _ = s.Shutdown(); <-done })
	}
}

// Serve makes a server serve a zone, given as the text of a zone file; earlier records of the zone are replaced. A server that
// is not there yet is started.
func (w *World) Serve(addr, apex, zone string) {
	w.t.Helper()
	var records []dns.RR
	parser := dns.NewZoneParser(strings.NewReader(zone), apex, "")
	parser.SetDefaultTTL(300)
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		records = append(records, rr)
	}
	if err := parser.Err(); err != nil {
		w.t.Fatal(err)
	}
	s := w.server(addr)
	w.mu.Lock()
	defer w.mu.Unlock()
	s.zones[dns.CanonicalName(apex)] = records
}

// Break gives a server a defect.
func (w *World) Break(addr string, d Defect) {
	s := w.server(addr)
	w.mu.Lock()
	defer w.mu.Unlock()
	s.defect = d
}

// Asked is how many questions a server got.
func (w *World) Asked(addr string) int {
	s := w.server(addr)
	w.mu.Lock()
	defer w.mu.Unlock()
	return s.asked
}

func (w *World) server(addr string) *server {
	w.t.Helper()
	a := netip.MustParseAddr(addr)
	w.mu.Lock()
	s := w.servers[a]
	if s == nil {
		s = &server{zones: map[string][]dns.RR{}}
		w.servers[a] = s
		w.mu.Unlock()
		w.listen(a, func(rw dns.ResponseWriter, q *dns.Msg) { w.answer(s, rw, q) })
		return s
	}
	w.mu.Unlock()
	return s
}

func (w *World) answer(s *server, rw dns.ResponseWriter, q *dns.Msg) {
	w.mu.Lock()
	s.asked++
	defect := s.defect
	m := new(dns.Msg).SetReply(q)
	lookup(s.zones, m)
	w.mu.Unlock()
	udp := rw.LocalAddr().Network() == "udp"
	switch defect {
	case Silent:
		return
	case SilentUDP:
		if udp {
			return
		}
	case Refuses, ServerFail:
		m = new(dns.Msg).SetRcode(q, map[Defect]int{Refuses: dns.RcodeRefused, ServerFail: dns.RcodeServerFailure}[defect])
	case NoAA:
		m.Authoritative = false
	case Truncates:
		if udp {
			m.Truncated, m.Answer = true, nil
		}
	case OldEDNS:
		if q.IsEdns0() != nil {
			m = new(dns.Msg).SetRcode(q, dns.RcodeFormatError)
		}
	case OtherName:
		m.Question[0].Name = "other.invalid."
	}
	_ = rw.WriteMsg(m)
}

// lookup answers as an authoritative server does (RFC 1034, 4.3.2, without wildcards).
func lookup(zones map[string][]dns.RR, m *dns.Msg) {
	q := m.Question[0]
	name := dns.CanonicalName(q.Name)
	apex := ""
	for z := range zones {
		if dns.IsSubDomain(z, name) && len(z) > len(apex) {
			apex = z
		}
	}
	if apex == "" {
		m.Rcode = dns.RcodeRefused
		return
	}
	records := zones[apex]
	for _, rr := range records {
		ns, ok := rr.(*dns.NS)
		if owner := dns.CanonicalName(rr.Header().Name); ok && owner != apex && dns.IsSubDomain(owner, name) {
			m.Ns = append(m.Ns, ns)
			for _, glue := range records {
				if strings.EqualFold(glue.Header().Name, ns.Ns) {
					m.Extra = append(m.Extra, glue)
				}
			}
		}
	}
	if len(m.Ns) > 0 {
		return
	}
	m.Authoritative = true
	exists := false
	for _, rr := range records {
		h := rr.Header()
		exists = exists || dns.IsSubDomain(name, dns.CanonicalName(h.Name))
		if strings.EqualFold(h.Name, name) && (h.Rrtype == q.Qtype || h.Rrtype == dns.TypeCNAME) {
			m.Answer = append(m.Answer, rr)
		}
	}
	if len(m.Answer) == 0 {
		for _, rr := range records {
			if rr.Header().Rrtype == dns.TypeSOA {
				m.Ns = append(m.Ns, rr)
			}
		}
	}
	if !exists {
		m.Rcode = dns.RcodeNameError
	}
}

// resolve answers as a resolver: from the servers that serve the deepest zone, without authority; SERVFAIL when none of those does.
func (w *World) resolve(rw dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	w.mu.Lock()
	best := -1
	broken := true
	for _, s := range w.servers {
		for z := range s.zones {
			if !dns.IsSubDomain(z, dns.CanonicalName(q.Question[0].Name)) || dns.CountLabel(z) < best {
				continue
			}
			if dns.CountLabel(z) > best {
				best, broken = dns.CountLabel(z), true
			}
			if s.defect == Healthy || s.defect == Truncates || s.defect == OldEDNS || s.defect == SilentUDP {
				broken = false
				m = new(dns.Msg).SetReply(q)
				lookup(map[string][]dns.RR{z: s.zones[z]}, m)
			}
		}
	}
	w.mu.Unlock()
	if best < 0 || broken {
		m = new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
	}
	m.Authoritative, m.RecursionAvailable = false, true
	_ = rw.WriteMsg(m)
}

// Timeout is short enough for tests of servers that say nothing.
const Timeout = 150 * time.Millisecond
