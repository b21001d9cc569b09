package modules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"runner/modules/internal/authority"
)

// lookAtName looks where a name leads that has nothing to do with mail.
func (c *dnsCheck) lookAtName(ctx context.Context, s *domainState, names *targetCache) {
	s.clients = map[string][]string{}
	s.leads = c.leads(ctx, names, s.domain, 0)
	c.lookAtClient(ctx, s, names, s.domain, len(c.addresses) > 0)
	complete, known := true, false
	for _, l := range s.leads {
		if l.unknown != nil {
			complete = complete && l.noRoute
			s.err = l.unknown
			continue
		}
		known = true
		if limit := c.args.TTLMax; limit > 0 && l.ttl > limit {
			s.wrong = append(s.wrong, fmt.Sprintf("%s has a TTL of %d s", l.server, int(l.ttl.Seconds())))
		}
	}
	if !known {
		if len(s.leads) == 0 {
			s.wrong = append(s.wrong, "no name server could be asked")
		}
		return
	}
	s.err = nil
	heard, says := heardOf(s.leads)
	c.remember(s, heard, says, complete)
	if c.args.Expired && s.stale != nil {
		s.wrong = append(s.wrong, staleText(*s.stale))
	}
}

// heardOf is what the servers of a name say, as the clock remembers it, and what the first of them says.
func heardOf(leads []led) (heard []authority.Heard, says string) {
	for _, l := range leads {
		if l.unknown != nil {
			continue
		}
		words := make([]string, len(l.addresses))
		for i, a := range l.addresses {
			words[i] = a.String()
		}
		slices.Sort(words)
		text := strings.Join(words, ", ")
		if text == "" {
			text = "no address"
		}
		if says == "" {
			says = text
		}
		h := authority.Heard{Says: text, TTL: int64(l.ttl / time.Second)}
		if !slices.Contains(heard, h) {
			heard = append(heard, h)
		}
	}
	return heard, says
}
