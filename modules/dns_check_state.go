package modules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"runner/modules/internal/authority"
)

const (
	zoneLife      = 5 * time.Minute // how long it is remembered where a zone is served, while waiting
	domainsAtOnce = 8
)

// domainState is what is known of one domain.
type domainState struct {
	domain  string
	zone    *authority.Zone
	found   time.Time // when the zone was found
	answers []authority.Answer
	targets []authority.Target
	wrong   []string // what is not as wanted, one line for each server; empty: all is
	notes   []string
	err     error // the domain could not be looked at

	reference []authority.MX // where no MX is wanted: what the first server says, and all others should
	first     bool           // what is the same for all domains is told with this one
	named     bool           // only where the name leads is asked for
	leads     []led          // that is, on each server

	clients   map[string][]string // the addresses of each name
	spf       map[string]string   // the result for each address
	resolvers map[string]string   // what each says
	stale     *authority.Heard    // what caches can still hold that is not so any more
	change    time.Duration       // for how long caches would go on, if it was changed now
}

// look looks at all domains, or of those looked at before at the ones that were not as wanted.
func (c *dnsCheck) look(ctx context.Context, before []*domainState) ([]*domainState, error) {
	states := before
	if states == nil {
		for i, d := range slices.Concat(c.args.Domains, c.args.Names) {
			states = append(states, &domainState{
				first: i == 0, named: i >= len(c.args.Domains), domain: strings.ToLower(strings.TrimSuffix(d, ".")), wrong: []string{"not looked at yet"},
			})
		}
	}
	targets := &targetCache{known: map[string]authority.Target{}, led: map[string][]led{}}
	limit := make(chan struct{}, domainsAtOnce)
	var group sync.WaitGroup
	for _, s := range states {
		if len(s.wrong) == 0 {
			continue
		}
		limit <- struct{}{}
		group.Go(func() {
			defer func() { <-limit }()
			c.lookAt(ctx, s, targets)
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return states, nil
}

func (c *dnsCheck) lookAt(ctx context.Context, s *domainState, targets *targetCache) {
	s.wrong, s.notes, s.err = nil, nil, nil
	if s.named {
		c.lookAtName(ctx, s, targets)
		return
	}
	if s.zone == nil || time.Since(s.found) > zoneLife {
		s.zone, s.err = c.client.FindZone(ctx, s.domain)
		s.found = time.Now()
	}
	if s.err == nil {
		s.answers, s.err = c.client.AskMX(ctx, s.zone, s.domain)
	}
	if s.err != nil {
		s.zone = nil
		s.wrong = []string{s.err.Error()}
		return
	}
	s.notes = append(s.notes, s.zone.Notes...)
	known := 0
	for _, a := range s.answers {
		if a.Unknown == nil {
			known++
			if known == 1 && c.mx == nil {
				s.reference = a.MX
			}
		}
		if problem := c.judge(s, a); problem != "" {
			s.wrong = append(s.wrong, problem)
		}
	}
	if known == 0 && len(s.wrong) == 0 {
		s.wrong = []string{"no name server could be asked"}
	}
	s.noteSerials()
	if known == 0 {
		return
	}
	c.lookAtTargets(ctx, s, targets)
	c.lookAtNames(ctx, s, targets)
	c.observe(s)
	if len(s.wrong) == 0 {
		c.askResolvers(ctx, s)
	}
	if c.args.Expired && s.stale != nil {
		s.wrong = append(s.wrong, staleText(*s.stale))
	}
}

// judge says what is wrong with an answer; empty: nothing. When nothing is wanted, all servers must say the same.
func (c *dnsCheck) judge(s *domainState, a authority.Answer) string {
	who := a.Name
	if a.Addr.IsValid() {
		who += " (" + a.Addr.String() + ")"
	}
	if a.NoRoute && s.sameServerKnown(a) {
		s.notes = append(s.notes, fmt.Sprintf("%s was not asked: %v", who, a.Unknown))
		return ""
	}
	if a.Unknown != nil {
		return fmt.Sprintf("%s: %s", who, a)
	}
	same := matchMX(c.mx, a.MX)
	if c.mx == nil {
		same = slices.Equal(a.MX, s.reference)
	}
	if !same {
		text := fmt.Sprintf("%s says %s", who, a)
		if hint := mxHint(s.zone.Name, a.MX); hint != "" {
			text += " (" + hint + ")"
		}
		return text
	}
	if limit := c.args.TTLMax; limit > 0 && a.TTL > limit {
		return fmt.Sprintf("%s has a TTL of %d s", who, int(a.TTL.Seconds()))
	}
	return ""
}

// sameServerKnown says whether the name server was asked at another of its addresses.
func (s *domainState) sameServerKnown(a authority.Answer) bool {
	return slices.ContainsFunc(s.answers, func(b authority.Answer) bool { return b.Name == a.Name && b.Unknown == nil })
}

// noteSerials tells when servers hold different versions of the zone.
func (s *domainState) noteSerials() {
	holders := map[uint32][]string{}
	for _, a := range s.answers {
		if a.Serial != 0 && !slices.Contains(holders[a.Serial], a.Name) {
			holders[a.Serial] = append(holders[a.Serial], a.Name)
		}
	}
	if len(holders) < 2 {
		return
	}
	var words []string
	for serial, names := range holders {
		words = append(words, fmt.Sprintf("%d on %s", serial, strings.Join(names, ", ")))
	}
	slices.Sort(words)
	s.notes = append(s.notes, "the servers hold different versions of the zone: "+strings.Join(words, "; "))
}

// targetCache keeps what is known of hosts that several domains name.
type targetCache struct {
	mu    sync.Mutex
	known map[string]authority.Target

	ledMu sync.Mutex
	led   map[string][]led
}

// lookAtTargets looks whether mail can be sent to the hosts that the MX name. One that cannot be reached by name is wrong
// whatever was wanted.
func (c *dnsCheck) lookAtTargets(ctx context.Context, s *domainState, targets *targetCache) {
	var hosts []string
	for _, a := range s.answers {
		for _, m := range a.MX {
			if m.Host != "" && !slices.Contains(hosts, m.Host) {
				hosts = append(hosts, m.Host)
			}
		}
	}
	s.targets = nil
	for _, h := range hosts {
		targets.mu.Lock()
		t, ok := targets.known[h]
		if !ok {
			t = c.client.CheckTarget(ctx, h)
			targets.known[h] = t
		}
		targets.mu.Unlock()
		s.targets = append(s.targets, t)
		switch {
		case t.Problem != "":
			s.wrong = append(s.wrong, fmt.Sprintf("the MX %s: %s", h, t.Problem))
		case t.Unknown != nil:
			s.notes = append(s.notes, fmt.Sprintf("the addresses of the MX %s are unknown: %v", h, t.Unknown))
		}
	}
}

func notAsWanted(states []*domainState) []*domainState {
	var wrong []*domainState
	for _, s := range states {
		if len(s.wrong) > 0 {
			wrong = append(wrong, s)
		}
	}
	return wrong
}

// reports are the lines that tell what is not as wanted.
func reports(states []*domainState) []string {
	var lines []string
	for _, s := range states {
		for _, w := range s.wrong {
			lines = append(lines, s.domain+": "+w)
		}
		for _, n := range s.notes {
			lines = append(lines, s.domain+": "+n)
		}
	}
	return lines
}

// output is what a recipe gets: a table for each domain.
func (c *dnsCheck) output(states []*domainState) map[string]any {
	domains := map[string]any{}
	for _, s := range states {
		domains[s.domain] = s.output()
	}
	return map[string]any{"domains": domains, "agreed": len(notAsWanted(states)) == 0}
}

func (s *domainState) output() map[string]any {
	out := map[string]any{"agreed": len(s.wrong) == 0, "notes": nonNil(s.notes), "problems": nonNil(s.wrong)}
	if s.zone != nil {
		out["zone"] = strings.TrimSuffix(s.zone.Name, ".")
	}
	var servers []any
	var names []string
	var ttl time.Duration
	var serial uint32
	for _, a := range s.answers {
		server := map[string]any{"name": a.Name, "address": "", "known": a.Unknown == nil, "says": a.String(), "ttl": int64(a.TTL.Seconds()), "serial": int64(a.Serial)}
		if a.Addr.IsValid() {
			server["address"] = a.Addr.String()
		}
		mx := []string{}
		for _, m := range a.MX {
			mx = append(mx, m.String())
			if !slices.Contains(names, m.Host) && m.Host != "" {
				names = append(names, m.Host)
			}
		}
		server["mx"] = mx
		servers = append(servers, server)
		ttl, serial = max(ttl, a.TTL), max(serial, a.Serial)
	}
	for _, l := range s.leads {
		ttl = max(ttl, l.ttl)
	}
	out["servers"], out["mx"], out["ttl"], out["serial"] = servers, nonNil(names), int64(ttl.Seconds()), int64(serial)
	addresses := map[string]any{}
	for _, t := range s.targets {
		list := []string{}
		for _, a := range t.Addresses {
			list = append(list, a.String())
		}
		addresses[t.Host] = list
	}
	out["addresses"] = addresses
	var none *authority.NoDomainError
	out["exists"] = !errors.As(s.err, &none)
	s.cacheOutput(out)
	return out
}

// unasked says that nothing is known of the domain, not even that it does not exist.
func (s *domainState) unasked() bool {
	var none *authority.NoDomainError
	return s.err != nil && !errors.As(s.err, &none)
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
