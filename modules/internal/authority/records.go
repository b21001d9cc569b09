package authority

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Held is what one server holds of a name.
type Held struct {
	Server
	// Unknown says why it is not known what the server holds; then the other fields are empty.
	Unknown error
	// NoRoute: Unknown because this machine has no way to that kind of address, as to IPv6.
	NoRoute   bool
	Absent    bool   // the name does not exist
	Alias     string // the name is an alias of this one
	Addresses []netip.Addr
	Texts     []string // of TXT records, each with its strings joined (RFC 7208, 3.3)
	Pointers  []string // of PTR records
	Services  []string // targets of SRV records (RFC 2782); a service that is expressly not there has none
	Exchanges []MX
	Pins      int           // TLSA records (RFC 6698)
	TTL       time.Duration // the largest of the records
	referred  bool
}

// Types of records, for callers that know no others.
const (
	A, AAAA = dns.TypeA, dns.TypeAAAA
	TXT     = dns.TypeTXT
	PTR     = dns.TypePTR
	SRV     = dns.TypeSRV
	TLSA    = dns.TypeTLSA
)

// Held asks every server of the zone of a name what it holds of it. No resolver is asked for the name itself, which may still
// have to be published: a resolver would remember for a while that it is not there (RFC 2308, 5).
func (c *Client) Held(ctx context.Context, name string, qtypes ...uint16) ([]Held, error) {
	name = dns.CanonicalName(name)
	in := parent(name)
	if dns.CountLabel(in) < 2 && !dns.IsSubDomain("arpa.", name) {
		in = name // the servers above a registered domain know only that it is delegated
	}
	z, err := c.FindZone(ctx, in)
	if err != nil {
		return nil, err
	}
	list, err := c.HeldIn(ctx, z, name, qtypes...)
	if err == nil && in != name && slices.ContainsFunc(list, func(h Held) bool { return h.referred }) {
		// The name is a zone of its own.
		if z, err = c.FindZone(ctx, name); err == nil {
			list, err = c.HeldIn(ctx, z, name, qtypes...)
		}
	}
	return list, err
}

// HeldIn asks every server of a zone what it holds of a name in it.
func (c *Client) HeldIn(ctx context.Context, z *Zone, name string, qtypes ...uint16) ([]Held, error) {
	name = dns.CanonicalName(name)
	list := make([]Held, len(z.Servers))
	var group sync.WaitGroup
	for i, s := range z.Servers {
		group.Go(func() { list[i] = c.held(ctx, s, name, qtypes) })
	}
	group.Wait()
	for _, missing := range slices.Sorted(maps.Keys(z.Missing)) {
		list = append(list, Held{Server: Server{Name: missing}, Unknown: errors.New("the name server has no address: " + z.Missing[missing])})
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return list, nil
}

func (c *Client) held(ctx context.Context, s Server, name string, qtypes []uint16) Held {
	h := Held{Server: s}
	for _, qtype := range qtypes {
		m, err := c.ask(ctx, c.at(s.Addr), name, qtype, false)
		if err == nil {
			if err = lame(m); err != nil && len(m.Ns) > 0 && m.Rcode == dns.RcodeSuccess && !m.Authoritative {
				h.referred = len(serversIn(m.Ns, name)) > 0
			}
		}
		if err != nil {
			return Held{Server: s, Unknown: err, NoRoute: errors.Is(err, errNoRoute), referred: h.referred}
		}
		h.read(m, name)
		if h.Alias != "" {
			break
		}
	}
	return h
}

// read takes the records of the name itself.
func (h *Held) read(m *dns.Msg, name string) {
	h.Absent = m.Rcode == dns.RcodeNameError
	for _, rr := range m.Answer {
		if !strings.EqualFold(rr.Header().Name, name) {
			continue
		}
		h.TTL = max(h.TTL, time.Duration(rr.Header().Ttl)*time.Second)
		switch rr := rr.(type) {
		case *dns.CNAME:
			h.Alias, h.Absent = short(rr.Target), false
		case *dns.TXT:
			h.Texts = append(h.Texts, strings.Join(rr.Txt, ""))
		case *dns.PTR:
			h.Pointers = append(h.Pointers, short(rr.Ptr))
		case *dns.SRV:
			if rr.Target != "." {
				h.Services = append(h.Services, short(rr.Target))
			}
		case *dns.TLSA:
			h.Pins++
		case *dns.MX:
			h.Exchanges = append(h.Exchanges, MX{Preference: rr.Preference, Host: short(rr.Mx)})
		default:
			h.Addresses = append(h.Addresses, addressesIn([]dns.RR{rr})...)
		}
	}
}

// short is a name in lower case without the last dot.
func short(name string) string { return strings.TrimSuffix(dns.CanonicalName(name), ".") }

// Reverse is the name at which the PTR of an address stands.
func Reverse(a netip.Addr) string {
	name, err := dns.ReverseAddr(a.WithZone("").String())
	if err != nil {
		return ""
	}
	return name
}

// anyHeld is what the first server that is known holds.
func anyHeld(list []Held) (Held, error) {
	var last error
	for _, h := range list {
		if h.Unknown == nil {
			return h, nil
		}
		last = h.Unknown
	}
	return Held{}, fmt.Errorf("none of its name servers answers: %w", last)
}

// Cached is what a resolver says, out of its cache or anew.
type Cached struct {
	MX   []MX
	Left time.Duration // for which it will go on saying so
	Bad  string        // why it says nothing: "SERVFAIL (DNSSEC: the signatures do not fit)"
}

// AskCache asks a resolver for the mail exchangers of a domain. Ask the servers of the zone first: what a resolver is asked for too early, it
// remembers.
func (c *Client) AskCache(ctx context.Context, resolver netip.AddrPort, domain string) (Cached, error) {
	domain = dns.CanonicalName(domain)
	m, err := c.ask(ctx, resolver, domain, dns.TypeMX, true)
	if err != nil {
		return Cached{}, err
	}
	if m.Rcode == dns.RcodeServerFailure {
		bad := rcode(m.Rcode)
		// With "checking disabled" a resolver passes on what it could not verify (RFC 4035, 3.2.2).
		q := question(domain, dns.TypeMX, true, true)
		q.CheckingDisabled = true
		network := "udp"
		if c.TCP {
			network = "tcp"
		}
		if again, err := c.exchange(ctx, network, resolver, q); err == nil && again.Rcode == dns.RcodeSuccess {
			bad += " (DNSSEC: the signatures of the zone do not fit)"
		}
		return Cached{Bad: bad}, nil
	}
	if m.Rcode != dns.RcodeSuccess {
		return Cached{Bad: rcode(m.Rcode), Left: negativeTTL(m)}, nil
	}
	var found Cached
	for _, rr := range m.Answer {
		if mx, ok := rr.(*dns.MX); ok {
			found.MX = append(found.MX, MX{Preference: mx.Preference, Host: short(mx.Mx)})
			found.Left = max(found.Left, time.Duration(mx.Hdr.Ttl)*time.Second)
		}
	}
	if len(found.MX) == 0 {
		found.Left = negativeTTL(m)
	}
	sortMX(found.MX)
	return found, nil
}

// negativeTTL is how long caches remember that there is nothing (RFC 2308, 5).
func negativeTTL(m *dns.Msg) time.Duration {
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return time.Duration(min(soa.Hdr.Ttl, soa.Minttl)) * time.Second
		}
	}
	return 0
}

func sortMX(list []MX) {
	slices.SortFunc(list, func(x, y MX) int {
		if x.Preference != y.Preference {
			return int(x.Preference) - int(y.Preference)
		}
		return strings.Compare(x.Host, y.Host)
	})
}
