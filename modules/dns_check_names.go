package modules

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"runner/modules/internal/authority"
)

// demands says whether anything is demanded, or the domains are only looked at.
func (a *dnsCheckArgs) demands() bool {
	resolvers, _ := a.resolvers()
	return a.MX != nil || a.TTLMax > 0 || len(a.Addresses) > 0 || a.PTR != "" || a.SPF || len(a.DKIM) > 0 || len(resolvers) > 0 || a.Expired
}

// validateNames checks what is demanded of names.
func (a *dnsCheckArgs) validateNames() error {
	if _, err := a.addresses(); err != nil {
		return err
	}
	clients, _, err := a.clients()
	if err != nil {
		return err
	}
	if _, err := a.resolvers(); err != nil {
		return err
	}
	for _, selector := range a.DKIM {
		if !hostName.MatchString(selector) {
			return fmt.Errorf("dkim: %q is no selector", selector)
		}
	}
	switch {
	case len(a.Addresses) == 0 && (a.PTR != "" || a.SPF || len(clients) > 0):
		return errors.New("ptr, spf and a list of clients need addresses")
	case a.PTR != "" && (!hostName.MatchString(a.PTR) || !strings.Contains(a.PTR, ".")):
		return fmt.Errorf("ptr: %q is not the whole name of a host", a.PTR)
	}
	return nil
}

func (a *dnsCheckArgs) addresses() ([]netip.Addr, error) {
	var list []netip.Addr
	for _, text := range a.Addresses {
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" {
			return nil, fmt.Errorf("addresses: %q is no address", text)
		}
		list = append(list, ip.Unmap())
	}
	return list, nil
}

// flagOrList reads an argument that is a boolean or a list of strings.
func flagOrList(name string, value any) (list []string, flag bool, err error) {
	switch v := value.(type) {
	case nil:
		return nil, false, nil
	case bool:
		return nil, v, nil
	case []any:
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil, false, fmt.Errorf("%s must be a boolean or a list of strings", name)
			}
			list = append(list, text)
		}
		return list, false, nil
	}
	return nil, false, fmt.Errorf("%s must be a boolean or a list of strings", name)
}

func (a *dnsCheckArgs) clients() (names []string, usual bool, err error) {
	list, usual, err := flagOrList("clients", a.Clients)
	for _, name := range list {
		if !hostName.MatchString(name) || !strings.Contains(name, ".") {
			return nil, false, fmt.Errorf("clients: %q is not the whole name of a host", name)
		}
		names = append(names, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	return names, usual, err
}

// publicResolvers are of Cloudflare, Google, Quad9 and OpenDNS.
func publicResolvers() []string { return []string{"1.1.1.1", "8.8.8.8", "9.9.9.9", "208.67.222.222"} }

func (a *dnsCheckArgs) resolvers() ([]netip.AddrPort, error) {
	list, public, err := flagOrList("resolvers", a.Resolvers)
	if err != nil {
		return nil, err
	}
	if public {
		list = publicResolvers()
	}
	var found []netip.AddrPort
	for _, text := range list {
		r, err := authority.ParseServer(text)
		if err != nil {
			return nil, fmt.Errorf("resolvers: %q is no address", text)
		}
		found = append(found, r)
	}
	return found, nil
}

// led is where one name server leads those who ask for a name.
type led struct {
	server    string
	addresses []netip.Addr
	by        string // the alias over which
	ttl       time.Duration
	unknown   error
	noRoute   bool
}

const mostAliases = 8

// leads asks every server of a name's zone for its addresses and follows aliases.
func (c *dnsCheck) leads(ctx context.Context, names *targetCache, name string, depth int) []led {
	names.ledMu.Lock()
	known, ok := names.led[name]
	names.ledMu.Unlock()
	if ok {
		return known
	}
	list := c.findLeads(ctx, names, name, depth)
	names.ledMu.Lock()
	names.led[name] = list
	names.ledMu.Unlock()
	return list
}

func (c *dnsCheck) findLeads(ctx context.Context, names *targetCache, name string, depth int) []led {
	held, err := c.client.Held(ctx, name, authority.A, authority.AAAA)
	var none *authority.NoDomainError
	switch {
	case errors.As(err, &none):
		return []led{{server: "the zone above"}}
	case err != nil:
		return []led{{unknown: err}}
	}
	var list []led
	for _, h := range held {
		l := led{server: h.Name, addresses: h.Addresses, ttl: h.TTL, unknown: h.Unknown, noRoute: h.NoRoute}
		switch {
		case h.Alias != "" && depth >= mostAliases:
			l.unknown = fmt.Errorf("%s is an alias without end", name)
		case h.Alias != "":
			l.by = h.Alias
			for _, to := range c.leads(ctx, names, h.Alias, depth+1) {
				to.server, to.by, to.ttl = h.Name+", "+to.server, h.Alias, max(h.TTL, to.ttl)
				list = append(list, to)
			}
			continue
		}
		list = append(list, l)
	}
	return list
}

// judgeLeads says what is wrong with where a name leads: to what is no address of the new server, to nothing, or nobody knows where.
func (c *dnsCheck) judgeLeads(label string, list []led, needed bool) []string {
	known := slices.ContainsFunc(list, func(l led) bool { return l.unknown == nil })
	found := map[string][]string{}
	for _, l := range list {
		switch {
		case l.unknown != nil && l.noRoute && known:
		case l.unknown != nil:
			found["is unknown: "+l.unknown.Error()] = append(found["is unknown: "+l.unknown.Error()], l.server)
		case len(l.addresses) == 0 && needed:
			found["has no address"] = append(found["has no address"], l.server)
		}
		for _, a := range l.addresses {
			if !slices.Contains(c.addresses, a) && len(c.addresses) > 0 {
				text := "leads to " + a.String()
				if l.by != "" {
					text += " by way of " + l.by
				}
				text += fmt.Sprintf(" (TTL %d s)", int(l.ttl.Seconds()))
				found[text] = append(found[text], l.server)
			}
		}
	}
	var lines []string
	for text, servers := range found {
		line := label + " " + text
		each := strings.Split(strings.Join(servers, ", "), ", ") // of an alias, the servers of both names
		if who := strings.Join(slices.Compact(slices.Sorted(slices.Values(each))), ", "); who != "" {
			line += ": so says " + who
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// usualNames are those by which the programs of users look for the server of a domain, and the services of RFC 6186 and RFC 8314.
func usualNames(domain string) (hosts, services []string) {
	for _, h := range []string{"imap", "pop", "pop3", "smtp", "mail", "webmail", "autoconfig", "autodiscover"} {
		hosts = append(hosts, h+"."+domain)
	}
	for _, s := range []string{"_imap", "_imaps", "_submission", "_submissions"} {
		services = append(services, s+"._tcp."+domain)
	}
	return hosts, services
}

// lookAtNames looks where all the names lead by which mail and users reach the domain's server.
func (c *dnsCheck) lookAtNames(ctx context.Context, s *domainState, names *targetCache) {
	s.clients, s.spf = map[string][]string{}, map[string]string{}
	if len(c.addresses) > 0 {
		for _, t := range s.targets {
			if t.Problem == "" {
				s.wrong = append(s.wrong, c.judgeLeads("the MX "+t.Host, c.leads(ctx, names, t.Host, 0), true)...)
			}
		}
	}
	if s.first {
		for _, name := range c.clients {
			c.lookAtClient(ctx, s, names, name, true)
		}
		c.lookAtPTR(ctx, s, names)
	}
	if c.usual {
		c.lookAtUsual(ctx, s, names)
	}
	c.lookAtPolicies(ctx, s)
	if !c.args.SPF {
		return
	}
	for _, a := range c.addresses {
		result, why := c.client.SPF(ctx, s.domain, a)
		s.spf[a.String()] = result
		switch result {
		case "pass":
		case "none":
			s.notes = append(s.notes, why)
		default:
			s.wrong = append(s.wrong, fmt.Sprintf("SPF does not let %s send: %s (%s)", a, result, why))
		}
	}
}

func (c *dnsCheck) lookAtClient(ctx context.Context, s *domainState, names *targetCache, name string, needed bool) {
	list := c.leads(ctx, names, name, 0)
	var words []string
	for _, l := range list {
		for _, a := range l.addresses {
			if !slices.Contains(words, a.String()) {
				words = append(words, a.String())
			}
		}
	}
	if len(words) > 0 || needed {
		s.clients[name] = nonNil(words)
	}
	s.wrong = append(s.wrong, c.judgeLeads(name, list, needed)...)
}

// lookAtUsual looks at the names that are there. One that nobody made up answers too where the zone has a wildcard.
func (c *dnsCheck) lookAtUsual(ctx context.Context, s *domainState, names *targetCache) {
	hosts, services := usualNames(s.domain)
	for _, l := range c.leads(ctx, names, "no-such-name-of-runner."+s.domain, 0) {
		if len(l.addresses) > 0 {
			s.notes = append(s.notes, "a wildcard answers for every name of the domain, so that a mistyped one is not noticed")
			break
		}
	}
	for _, service := range services {
		held, err := c.client.HeldIn(ctx, s.zone, service, authority.SRV)
		if err != nil {
			continue
		}
		for _, h := range held {
			for _, target := range h.Services {
				if !slices.Contains(hosts, target) {
					hosts = append(hosts, target)
				}
			}
		}
	}
	for _, name := range hosts {
		c.lookAtClient(ctx, s, names, name, false)
	}
}

// lookAtPTR looks whether the addresses lead back to the name, and the name to them.
func (c *dnsCheck) lookAtPTR(ctx context.Context, s *domainState, names *targetCache) {
	want := strings.ToLower(strings.TrimSuffix(c.args.PTR, "."))
	if want == "" {
		return
	}
	for _, a := range c.addresses {
		pointers, err := c.pointers(ctx, authority.Reverse(a))
		switch {
		case err != nil:
			s.wrong = append(s.wrong, fmt.Sprintf("the name of %s is unknown: %v", a, err))
		case len(pointers) == 0:
			s.wrong = append(s.wrong, fmt.Sprintf("%s has no name (PTR); whoever gave you the address sets it", a))
		case !slices.Contains(pointers, want):
			s.wrong = append(s.wrong, fmt.Sprintf("%s is named %s (PTR), not %s", a, strings.Join(pointers, ", "), want))
		}
	}
	for _, a := range c.addresses {
		list := c.leads(ctx, names, want, 0)
		if !slices.ContainsFunc(list, func(l led) bool { return slices.Contains(l.addresses, a) }) {
			s.wrong = append(s.wrong, fmt.Sprintf("the name %s does not lead to %s", want, a))
		}
	}
}

// pointers are the names of an address, over the aliases of RFC 2317.
func (c *dnsCheck) pointers(ctx context.Context, name string) ([]string, error) {
	for range mostAliases {
		held, err := c.client.Held(ctx, name, authority.PTR)
		var none *authority.NoDomainError
		if errors.As(err, &none) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		var pointers []string
		var last error
		alias, known := "", false
		for _, h := range held {
			if h.Unknown != nil {
				last = h.Unknown
				continue
			}
			known, alias = true, h.Alias
			pointers = append(pointers, h.Pointers...)
		}
		switch {
		case !known:
			return nil, last
		case alias == "":
			return slices.Compact(slices.Sorted(slices.Values(pointers))), nil
		}
		name = alias
	}
	return nil, errors.New("its name is an alias without end")
}
