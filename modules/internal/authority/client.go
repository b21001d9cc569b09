package authority

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Client sends questions.
type Client struct {
	// Dial connects to a name server; nil: a plain [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TCP says that there is only TCP, as through an SSH connection.
	TCP bool
	// Resolvers are asked for what is not known yet, in order. At least one.
	Resolvers []netip.AddrPort
	// Port of the authoritative servers; 0: 53.
	Port uint16
	// Timeout of one try; 0: 3 seconds.
	Timeout time.Duration
}

// payload is the length of answers that is asked for over UDP (DNS flag day 2020: what no network cuts into pieces).
const payload = 1232

// errNoRoute says that this machine has no way to a kind of address, commonly to IPv6.
var errNoRoute = errors.New("this machine has no route to it")

func (c *Client) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return 3 * time.Second
}

func (c *Client) at(a netip.Addr) netip.AddrPort {
	if c.Port != 0 {
		return netip.AddrPortFrom(a, c.Port)
	}
	return netip.AddrPortFrom(a, 53)
}

// ask sends one question to one server: over UDP, once more when nothing comes back, and over TCP when the answer was cut
// off (RFC 7766, 5) or UDP seems to be blocked.
func (c *Client) ask(ctx context.Context, server netip.AddrPort, name string, qtype uint16, recurse bool) (*dns.Msg, error) {
	networks := []string{"udp", "udp", "tcp"}
	if c.TCP {
		networks = []string{"tcp", "tcp"}
	}
	edns := true
	var last error
	for i := 0; i < len(networks); i++ {
		m := question(name, qtype, recurse, edns)
		r, err := c.exchange(ctx, networks[i], server, m)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, errNoRoute):
			return nil, err
		case err != nil:
			last = err
		case r.Rcode == dns.RcodeFormatError && edns:
			// A server from before EDNS (RFC 6891, 7).
			edns = false
			i--
		case r.Truncated && networks[i] == "udp":
			networks = append(networks[:i+1], "tcp")
		case r.Truncated:
			last = errors.New("its answer is cut off, over TCP too")
		default:
			return r, nil
		}
	}
	return nil, last
}

func question(name string, qtype uint16, recurse, edns bool) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.RecursionDesired = recurse
	if edns {
		m.SetEdns0(payload, false)
	}
	return m
}

func (c *Client) exchange(ctx context.Context, network string, server netip.AddrPort, m *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout())
	defer cancel()
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, server.String())
	if err != nil {
		return nil, plain(ctx, err)
	}
	defer conn.Close()
	// A connection through SSH knows no deadlines: closing it ends the read.
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	client := dns.Client{Timeout: c.timeout()}
	r, _, err := client.ExchangeWithConnContext(ctx, m, &dns.Conn{Conn: conn})
	if err != nil {
		return nil, plain(ctx, err)
	}
	if !r.Response || len(r.Question) != 1 || r.Question[0].Qtype != m.Question[0].Qtype || !strings.EqualFold(r.Question[0].Name, m.Question[0].Name) {
		if r.Rcode == dns.RcodeFormatError && r.Response && len(r.Question) == 0 {
			return r, nil
		}
		return nil, errors.New("it answers another question than was asked")
	}
	return r, nil
}

// plain says in a few words what went wrong on the network.
func plain(ctx context.Context, err error) error {
	text := strings.ToLower(err.Error())
	var timeout net.Error
	switch {
	case strings.Contains(text, "network is unreachable"), strings.Contains(text, "cannot assign requested address"):
		return errNoRoute
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer")
	case strings.Contains(text, "connection refused"):
		return errors.New("connection refused")
	case strings.Contains(text, "no route to host"):
		return errors.New("no route to host")
	}
	return err
}

// resolve asks the resolvers, one after the other until one answers. An answer of SERVFAIL is returned as it is when no
// other resolver has a better one.
func (c *Client) resolve(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	var worst *dns.Msg
	var last error
	for _, r := range c.Resolvers {
		m, err := c.ask(ctx, r, name, qtype, true)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			last = fmt.Errorf("the resolver %s: %w", r.Addr(), err)
		case m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError:
			return m, nil
		default:
			worst = m
		}
	}
	if worst != nil {
		return worst, nil
	}
	if last == nil {
		last = errors.New("no resolver is known")
	}
	return nil, last
}

// addresses of a host name, v4 before v6.
func (c *Client) addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	var found []netip.Addr
	var wrong error
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		m, err := c.resolve(ctx, name, qtype)
		if err != nil {
			wrong = err
			continue
		}
		found = append(found, addressesIn(m.Answer)...)
		if m.Rcode != dns.RcodeSuccess && wrong == nil {
			wrong = errors.New(rcode(m.Rcode))
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	if wrong == nil {
		wrong = errors.New("it has no address")
	}
	return nil, wrong
}

func addressesIn(records []dns.RR) []netip.Addr {
	var found []netip.Addr
	for _, rr := range records {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			found = append(found, a.Unmap())
		}
	}
	return found
}

// rcode names an answer without a result as operators know it.
func rcode(code int) string {
	if code == dns.RcodeNameError {
		return "it does not exist (NXDOMAIN)"
	}
	if name, ok := dns.RcodeToString[code]; ok {
		return name
	}
	return "RCODE " + strconv.Itoa(code)
}

// ParseServer reads the address of a name server, with a port or without: "192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53".
func ParseServer(text string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a, 53), nil
	}
	ap, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("cannot read %q as the address of a name server", text)
	}
	return ap, nil
}

// ParseResolvConf reads the name servers of a resolv.conf(5).
func ParseResolvConf(text string) []netip.AddrPort {
	var found []netip.AddrPort
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			if a, err := netip.ParseAddr(f[1]); err == nil {
				found = append(found, netip.AddrPortFrom(a, 53))
			}
		}
	}
	return found
}
