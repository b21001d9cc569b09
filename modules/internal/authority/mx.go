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

// MX is a mail exchanger (RFC 5321, 5.1).
type MX struct {
	Preference uint16
	Host       string // lower case, without the last dot; empty: the null MX of RFC 7505
}

func (m MX) String() string { return fmt.Sprintf("%d %s", m.Preference, m.name()) }

func (m MX) name() string {
	if m.Host == "" {
		return "."
	}
	return m.Host
}

// Answer is what one server says of the mail of a domain.
type Answer struct {
	Server
	// Unknown says why it is not known what the server says; then the other fields are empty.
	Unknown error
	// NoRoute: Unknown because this machine has no way to that kind of address, as to IPv6.
	NoRoute bool
	MX      []MX          // sorted
	TTL     time.Duration // the largest of the records
	Nothing time.Duration // without MX, how long caches remember that there is none
	Alias   string        // the domain is an alias of this name
	Absent  bool          // the server says that the domain does not exist
	Implied []netip.Addr  // without MX, the addresses of the domain itself, to which mail goes then
	Serial  uint32        // of the zone on this server; 0 when it does not say
}

// String tells what the server says.
func (a Answer) String() string {
	switch {
	case a.Unknown != nil:
		return "unknown: " + a.Unknown.Error()
	case a.Absent:
		return "the domain does not exist"
	case a.Alias != "":
		return "the domain is an alias of " + a.Alias
	case len(a.MX) == 1 && a.MX[0].Host == "":
		return "the domain takes no mail (null MX)"
	case len(a.MX) > 0:
		words := make([]string, len(a.MX))
		for i, m := range a.MX {
			words[i] = m.String()
		}
		return fmt.Sprintf("%s (TTL %d s)", strings.Join(words, ", "), int(a.TTL.Seconds()))
	case len(a.Implied) > 0:
		words := make([]string, len(a.Implied))
		for i, addr := range a.Implied {
			words[i] = addr.String()
		}
		return "no MX, so that mail goes to the address of the domain itself: " + strings.Join(words, ", ")
	}
	return "no MX and no address"
}

// Says is what the server says without the time for which it may be remembered.
func (a Answer) Says() string {
	text := a.String()
	if i := strings.LastIndex(text, " (TTL "); i >= 0 && len(a.MX) > 0 {
		text = text[:i]
	}
	return text
}

// Lasts is for how long caches may remember what the server says.
func (a Answer) Lasts() time.Duration { return max(a.TTL, a.Nothing) }

// AskMX asks every server of the zone for the mail exchangers of a domain in it.
func (c *Client) AskMX(ctx context.Context, z *Zone, domain string) ([]Answer, error) {
	domain = dns.CanonicalName(domain)
	answers := make([]Answer, len(z.Servers))
	var group sync.WaitGroup
	for i, s := range z.Servers {
		group.Go(func() { answers[i] = c.askOne(ctx, s, z.Name, domain) })
	}
	group.Wait()
	for _, name := range slices.Sorted(maps.Keys(z.Missing)) {
		answers = append(answers, Answer{Server: Server{Name: name}, Unknown: errors.New("the name server has no address: " + z.Missing[name])})
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return answers, nil
}

func (c *Client) askOne(ctx context.Context, s Server, zone, domain string) Answer {
	a := Answer{Server: s}
	m, err := c.ask(ctx, c.at(s.Addr), domain, dns.TypeMX, false)
	if err == nil {
		err = lame(m)
	}
	if err != nil {
		a.Unknown, a.NoRoute = err, errors.Is(err, errNoRoute)
		return a
	}
	a.read(m, domain)
	if soa, err := c.ask(ctx, c.at(s.Addr), zone, dns.TypeSOA, false); err == nil && lame(soa) == nil {
		for _, rr := range soa.Answer {
			if rr, ok := rr.(*dns.SOA); ok {
				a.Serial = rr.Serial
			}
		}
	}
	if len(a.MX) == 0 && !a.Absent && a.Alias == "" {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			if m, err := c.ask(ctx, c.at(s.Addr), domain, qtype, false); err == nil && lame(m) == nil {
				a.Implied = append(a.Implied, addressesIn(m.Answer)...)
			}
		}
	}
	return a
}

// read takes what an authoritative answer says. Only records of the domain itself count.
func (a *Answer) read(m *dns.Msg, domain string) {
	a.Absent = m.Rcode == dns.RcodeNameError
	for _, rr := range m.Answer {
		if !strings.EqualFold(rr.Header().Name, domain) {
			continue
		}
		switch rr := rr.(type) {
		case *dns.CNAME:
			a.Alias, a.Absent = strings.TrimSuffix(dns.CanonicalName(rr.Target), "."), false
		case *dns.MX:
			a.MX = append(a.MX, MX{Preference: rr.Preference, Host: strings.TrimSuffix(dns.CanonicalName(rr.Mx), ".")})
			a.TTL = max(a.TTL, time.Duration(rr.Hdr.Ttl)*time.Second)
		}
	}
	sortMX(a.MX)
	if len(a.MX) == 0 && a.Alias == "" {
		a.Nothing = negativeTTL(m)
	}
}

// Target is what is known of the name that an MX points to.
type Target struct {
	Host      string
	Addresses []netip.Addr
	Problem   string // why no mail can be sent to it; empty: it can
	Unknown   error  // it could not be found out
}

// CheckTarget asks for the addresses of a mail exchanger at the servers of its own zone. A resolver is not asked: it would
// remember for a while that a name which is still to be published does not exist (RFC 2308, 5).
func (c *Client) CheckTarget(ctx context.Context, host string) Target {
	t := Target{Host: strings.TrimSuffix(host, ".")}
	name := dns.CanonicalName(host)
	referred, err := c.searchTarget(ctx, parent(name), name, &t)
	if referred {
		// The name is a zone of its own.
		_, err = c.searchTarget(ctx, name, name, &t)
	}
	var none *NoDomainError
	switch {
	case errors.As(err, &none):
		t.Problem = "it has no address: its domain does not exist"
	case err != nil:
		t.Unknown = err
	}
	return t
}

// searchTarget asks the servers of the zone that holds in for the addresses of a name, until one knows.
func (c *Client) searchTarget(ctx context.Context, in, name string, t *Target) (referred bool, err error) {
	z, err := c.FindZone(ctx, in)
	if err != nil {
		return false, err
	}
	for _, s := range z.Servers {
		switch known, to := c.askTarget(ctx, s, name, t); {
		case known:
			return false, nil
		case to:
			return true, nil
		}
	}
	return false, fmt.Errorf("none of the name servers of %s answers", strings.TrimSuffix(z.Name, "."))
}

// askTarget asks one server for the addresses of a name, and says whether it knew or referred to the servers of another zone.
func (c *Client) askTarget(ctx context.Context, s Server, name string, t *Target) (known, referred bool) {
	t.Addresses = nil
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		m, err := c.ask(ctx, c.at(s.Addr), name, qtype, false)
		if err != nil || lame(m) != nil {
			return false, err == nil && len(serversIn(m.Ns, name)) > 0
		}
		for _, rr := range m.Answer {
			if cname, ok := rr.(*dns.CNAME); ok && strings.EqualFold(cname.Hdr.Name, name) {
				t.Problem = fmt.Sprintf("it is an alias (CNAME) of %s, and an MX must name a host itself (RFC 2181, 10.3)",
					strings.TrimSuffix(dns.CanonicalName(cname.Target), "."))
				return true, false
			}
		}
		t.Addresses = append(t.Addresses, addressesIn(m.Answer)...)
	}
	if len(t.Addresses) == 0 {
		t.Problem = "it has no address"
	}
	return true, false
}
