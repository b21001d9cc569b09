package authority

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Server is one address of one name server.
type Server struct {
	Name string // "ns1.example.org"
	Addr netip.Addr
}

// Zone is a zone with all the addresses at which it is served.
type Zone struct {
	Name    string   // "example.org."
	Servers []Server // sorted by name, IPv4 first
	// Missing are name servers that could not be asked because they have no address.
	Missing map[string]string // name: why
	// Notes are what is odd, and no obstacle.
	Notes []string
}

// NoDomainError says that a domain does not exist.
type NoDomainError struct{ Domain string }

func (e *NoDomainError) Error() string {
	return fmt.Sprintf("cannot find the domain %s in the DNS: it does not exist (NXDOMAIN)", strings.TrimSuffix(e.Domain, "."))
}

// FindZone finds the zone that a name belongs to and everybody who serves it: the servers of the delegation, those that the zone
// itself names, and those that the resolver knows.
func (c *Client) FindZone(ctx context.Context, name string) (*Zone, error) {
	name = dns.CanonicalName(name)
	apex, err := c.findApex(ctx, name)
	if err != nil {
		return nil, err
	}
	z := &Zone{Name: apex, Missing: map[string]string{}}
	names, glue := c.delegation(ctx, z)
	if m, err := c.resolve(ctx, apex, dns.TypeNS); err == nil {
		names = append(names, serversIn(m.Answer, apex)...)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("cannot find the name servers of %s", strings.TrimSuffix(apex, "."))
	}
	c.locate(ctx, z, names, glue)
	// The zone itself may name servers that its parent does not.
	var own []string
	for _, answer := range c.every(ctx, z.Servers, apex, dns.TypeNS) {
		if answer.err == nil && answer.msg.Authoritative {
			own = append(own, serversIn(answer.msg.Answer, apex)...)
		}
	}
	c.locate(ctx, z, own, nil)
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	slices.SortFunc(z.Servers, func(a, b Server) int {
		if a.Name != b.Name {
			return strings.Compare(a.Name, b.Name)
		}
		return a.Addr.Compare(b.Addr)
	})
	return z, nil
}

// findApex walks up from the name to the start of its zone.
func (c *Client) findApex(ctx context.Context, name string) (string, error) {
	for at := name; at != "."; at = parent(at) {
		m, err := c.resolve(ctx, at, dns.TypeSOA)
		if err != nil {
			return "", fmt.Errorf("cannot find the zone of %s: %w", strings.TrimSuffix(name, "."), err)
		}
		if owner := soaOwner(m, at); owner != "" {
			if m.Rcode == dns.RcodeNameError && dns.CountLabel(owner) <= 1 && dns.CountLabel(name) > 1 {
				return "", &NoDomainError{Domain: at}
			}
			return owner, nil
		}
		if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
			// The resolver gets no answer from the zone. When its parent delegates it, it is a zone all the same, and asking its
			// servers one by one will show which of them are broken.
			if names, _ := c.delegation(ctx, &Zone{Name: at}); len(names) > 0 {
				return at, nil
			}
			return "", fmt.Errorf("cannot find the zone of %s: the resolver answers %s", strings.TrimSuffix(name, "."), rcode(m.Rcode))
		}
	}
	return "", fmt.Errorf("cannot find the zone of %s", strings.TrimSuffix(name, "."))
}

// soaOwner is the zone that an answer to a question for a SOA names: in the answer itself, or for a name inside of a zone
// in the authority section (RFC 2308, 3). Only a zone that holds the name counts.
func soaOwner(m *dns.Msg, name string) string {
	for _, rr := range append(slices.Clone(m.Answer), m.Ns...) {
		if soa, ok := rr.(*dns.SOA); ok {
			if owner := dns.CanonicalName(soa.Hdr.Name); dns.IsSubDomain(owner, name) && owner != "." {
				return owner
			}
		}
	}
	return ""
}

func parent(name string) string {
	if i, end := dns.NextLabel(name, 0); !end {
		return name[i:]
	}
	return "."
}

// delegation asks the servers of the zone above who serves the zone. That they cannot be asked is no obstacle: it is noted.
func (c *Client) delegation(ctx context.Context, z *Zone) (names []string, glue map[string][]netip.Addr) {
	above, servers := parent(z.Name), []netip.Addr(nil)
	for ; above != "."; above = parent(above) {
		m, err := c.resolve(ctx, above, dns.TypeNS)
		if err != nil {
			break
		}
		if found := serversIn(m.Answer, above); len(found) > 0 {
			for _, ns := range found {
				if list, err := c.addresses(ctx, ns); err == nil {
					servers = append(servers, list...)
				}
				if len(servers) >= 3 {
					break
				}
			}
			break
		}
	}
	for _, a := range servers {
		m, err := c.ask(ctx, c.at(a), z.Name, dns.TypeNS, false)
		if err != nil || m.Rcode != dns.RcodeSuccess {
			continue
		}
		names = serversIn(append(slices.Clone(m.Answer), m.Ns...), z.Name)
		if len(names) == 0 {
			continue
		}
		glue = map[string][]netip.Addr{}
		for _, rr := range m.Extra {
			owner := dns.CanonicalName(rr.Header().Name)
			glue[owner] = append(glue[owner], addressesIn([]dns.RR{rr})...)
		}
		return names, glue
	}
	z.Notes = append(z.Notes, fmt.Sprintf("the servers of the zone above %s could not be asked whom they delegate it to", strings.TrimSuffix(z.Name, ".")))
	return nil, nil
}

// serversIn are the targets of NS records of a zone.
func serversIn(records []dns.RR, zone string) []string {
	var names []string
	for _, rr := range records {
		if ns, ok := rr.(*dns.NS); ok && strings.EqualFold(ns.Hdr.Name, zone) {
			names = append(names, dns.CanonicalName(ns.Ns))
		}
	}
	return names
}

// locate adds the addresses of name servers that the zone does not have yet.
func (c *Client) locate(ctx context.Context, z *Zone, names []string, glue map[string][]netip.Addr) {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	found := make([][]netip.Addr, len(names))
	wrong := make([]error, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		if z.has(name) {
			continue
		}
		group.Go(func() {
			found[i], wrong[i] = c.addresses(ctx, name)
			for _, a := range glue[name] {
				if !slices.Contains(found[i], a) && wrong[i] != nil {
					found[i] = append(found[i], a)
				}
			}
		})
	}
	group.Wait()
	for i, name := range names {
		short := strings.TrimSuffix(name, ".")
		if len(found[i]) == 0 && wrong[i] != nil {
			z.Missing[short] = wrong[i].Error()
		}
		for _, a := range found[i] {
			z.Servers = append(z.Servers, Server{Name: short, Addr: a})
		}
	}
}

func (z *Zone) has(name string) bool {
	name = strings.TrimSuffix(name, ".")
	_, missing := z.Missing[name]
	return missing || slices.ContainsFunc(z.Servers, func(s Server) bool { return s.Name == name })
}

// reply is what one server answered.
type reply struct {
	server Server
	msg    *dns.Msg
	err    error
}

// every asks all servers the same, at the same time.
func (c *Client) every(ctx context.Context, servers []Server, name string, qtype uint16) []reply {
	replies := make([]reply, len(servers))
	var group sync.WaitGroup
	for i, s := range servers {
		group.Go(func() {
			m, err := c.ask(ctx, c.at(s.Addr), name, qtype, false)
			replies[i] = reply{s, m, err}
		})
	}
	group.Wait()
	return replies
}

// lame says why an answer does not count; nil: it does.
func lame(m *dns.Msg) error {
	switch {
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return fmt.Errorf("it does not serve the zone (%s)", rcode(m.Rcode))
	case !m.Authoritative:
		return errors.New("it does not serve the zone (its answer is not authoritative)")
	}
	return nil
}
