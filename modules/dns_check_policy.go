package modules

import (
	"context"
	"fmt"
	"strings"

	"runner/modules/internal/authority"
)

// lookAtPolicies looks at the records by which others judge the mail of a domain, or its server.
func (c *dnsCheck) lookAtPolicies(ctx context.Context, s *domainState) {
	for _, selector := range c.args.DKIM {
		c.lookAtKey(ctx, s, strings.ToLower(strings.TrimSuffix(selector, "."))+"._domainkey."+s.domain)
	}
	if len(c.mx) == 0 {
		return
	}
	held, err := c.client.HeldIn(ctx, s.zone, "_mta-sts."+s.domain, authority.TXT)
	for _, h := range held {
		if err == nil && len(h.Texts) > 0 && strings.HasPrefix(h.Texts[0], "v=STSv1") {
			s.notes = append(s.notes, fmt.Sprintf("the domain has an MTA-STS policy (RFC 8461): https://mta-sts.%s/.well-known/mta-sts.txt must name the MX, or others send it no mail", s.domain))
			break
		}
	}
	for _, t := range s.targets {
		held, err := c.client.Held(ctx, "_25._tcp."+t.Host, authority.TLSA)
		for _, h := range held {
			if err == nil && h.Pins > 0 {
				s.notes = append(s.notes, fmt.Sprintf("%d TLSA records pin the certificate of the MX %s (RFC 7672): a server with another one gets no mail of those who look", h.Pins, t.Host))
				break
			}
		}
	}
}

// lookAtKey demands a key for DKIM at a name, on every server. It may be an alias of a name elsewhere.
func (c *dnsCheck) lookAtKey(ctx context.Context, s *domainState, name string) {
	held, err := c.client.HeldIn(ctx, s.zone, name, authority.TXT)
	if err != nil {
		s.wrong = append(s.wrong, fmt.Sprintf("the key %s is unknown: %v", name, err))
		return
	}
	for _, h := range held {
		switch {
		case h.Unknown != nil: // told with the MX already
		case h.Alias != "":
			if other, err := c.client.Held(ctx, h.Alias, authority.TXT); err == nil && holdsKey(other) {
				continue
			}
			s.wrong = append(s.wrong, fmt.Sprintf("%s: %s is an alias of %s, which holds no key for DKIM", h.Name, name, h.Alias))
		case !holdsKey([]authority.Held{h}):
			s.wrong = append(s.wrong, fmt.Sprintf("%s: %s holds no key for DKIM", h.Name, name))
		}
	}
}

// holdsKey says whether one of the servers holds a key that was not withdrawn (RFC 6376, 3.6.1: "p=" without a value).
func holdsKey(held []authority.Held) bool {
	for _, h := range held {
		for _, text := range h.Texts {
			for tag := range strings.SplitSeq(text, ";") {
				if key, ok := strings.CutPrefix(strings.TrimSpace(tag), "p="); ok && strings.TrimSpace(key) != "" {
					return true
				}
			}
		}
	}
	return false
}
