package modules

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"runner/modules/internal/authority"
)

// observe remembers what the servers say, and finds out what caches can still hold of what they said before.
func (c *dnsCheck) observe(s *domainState) {
	var said []authority.Heard
	complete, says := true, ""
	for _, a := range s.answers {
		if a.Unknown != nil {
			complete = complete && a.NoRoute && s.sameServerKnown(a)
			continue
		}
		if says == "" {
			says = a.Says()
		}
		h := authority.Heard{Says: a.Says(), TTL: int64(a.Lasts().Seconds())}
		if !slices.Contains(said, h) {
			said = append(said, h)
		}
	}
	c.remember(s, said, says, complete)
}

// remember keeps what was heard on this machine, and says what caches can still hold: of what was heard before, and of this
// answer with a longer TTL.
func (c *dnsCheck) remember(s *domainState, said []authority.Heard, says string, complete bool) {
	s.stale, s.change = nil, 0
	for _, h := range said {
		s.change = max(s.change, time.Duration(h.TTL)*time.Second)
	}
	if c.clocks == "" {
		return
	}
	suffix := c.clockSuffix()
	if s.named {
		suffix += "@addresses"
	}
	file, now, ttl := filepath.Join(c.clocks, s.domain+suffix+".json"), time.Now(), int64(s.change.Seconds())
	clock, err := authority.LoadClock(file)
	if err != nil {
		s.notes = append(s.notes, fmt.Sprintf("what was so before is not known any more: %v", err))
		clock = &authority.Clock{}
	}
	clock.Observe(now, said, complete)
	if err := clock.Save(file); err != nil {
		s.notes = append(s.notes, fmt.Sprintf("cannot remember what is so now: %v", err))
	}
	if old, ok := clock.Stale(now, says); ok {
		s.stale = &old
		s.notes = append(s.notes, staleText(old))
	}
	if old, ok := clock.Longer(now, says, ttl); ok {
		s.change = max(s.change, old.Gone().Sub(now))
		s.notes = append(s.notes, fmt.Sprintf("the TTL was lowered from %d s to %d s by %s: until %s caches can hold this answer for longer, so a change takes as long to be seen by all",
			old.TTL, ttl, clockTime(old.Ended), clockTime(old.Gone())))
	}
}

// clockSuffix keeps what a rehearsal with name servers of its own found apart from what is so in the world.
func (c *dnsCheck) clockSuffix() string {
	suffix := ""
	if c.args.Resolver != "" {
		suffix = "@" + strings.NewReplacer("[", "", "]", "", ":", "_", "%", "_", "/", "_").Replace(c.args.Resolver)
	}
	if c.args.Port != 53 {
		suffix += fmt.Sprintf("@%d", c.args.Port)
	}
	return suffix
}

// staleText says what caches can still hold, and until when.
func staleText(h authority.Heard) string {
	return fmt.Sprintf("until %s caches can still hold %q: it was served until %s at the latest, with a TTL of %d s",
		clockTime(h.Gone()), h.Says, clockTime(h.Ended), h.TTL)
}

// clockTime writes a moment for somebody who looks at a clock on the wall.
func clockTime(t time.Time) string {
	if t.Local().Format(time.DateOnly) == time.Now().Format(time.DateOnly) {
		return t.Local().Format("15:04:05")
	}
	return t.Local().Format("2 Jan 15:04:05")
}

// lastStale tells of the domain whose old answer is remembered for longest.
func lastStale(states []*domainState) string {
	var last *domainState
	for _, s := range states {
		if s.stale != nil && (last == nil || s.stale.Gone().After(last.stale.Gone())) {
			last = s
		}
	}
	if last == nil {
		return ""
	}
	return last.domain + ": " + staleText(*last.stale)
}

// askResolvers samples the caches of the world. It is called when all servers of the domain say what is wanted.
func (c *dnsCheck) askResolvers(ctx context.Context, s *domainState) {
	s.resolvers = map[string]string{}
	for _, r := range c.resolvers {
		name := r.Addr().String()
		found, err := c.client.AskCache(ctx, r, s.domain)
		if err != nil {
			s.resolvers[name] = "unknown: " + err.Error()
			s.notes = append(s.notes, fmt.Sprintf("the resolver %s was not asked: %v", name, err))
			continue
		}
		same := matchMX(c.mx, found.MX)
		if c.mx == nil {
			same = slices.Equal(found.MX, s.reference)
		}
		says := authority.Answer{MX: found.MX}.Says()
		if found.Bad != "" {
			says, same = found.Bad, false
		}
		s.resolvers[name] = says
		if !same {
			line := fmt.Sprintf("the resolver %s says %s", name, says)
			if found.Left > 0 {
				line += fmt.Sprintf(", and will for %d s", int(found.Left.Seconds()))
			}
			s.wrong = append(s.wrong, line)
		}
	}
}

// cacheOutput adds what is known of names and caches to what a recipe gets.
func (s *domainState) cacheOutput(out map[string]any) {
	clients, spf, resolvers := map[string]any{}, map[string]any{}, map[string]any{}
	for name, list := range s.clients {
		clients[name] = list
	}
	for a, result := range s.spf {
		spf[a] = result
	}
	for r, says := range s.resolvers {
		resolvers[r] = says
	}
	out["clients"], out["spf"], out["resolvers"] = clients, spf, resolvers
	out["stale_until"], out["stale_seconds"], out["change_seconds"] = "", int64(0), int64(s.change.Seconds())
	if s.stale != nil {
		out["stale_until"] = s.stale.Gone().UTC().Format(time.RFC3339)
		out["stale_seconds"] = max(0, int64(time.Until(s.stale.Gone()).Seconds()))
	}
}
