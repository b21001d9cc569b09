package maildir

import (
	"fmt"
	"time"

	"runner/runtime/module"
)

// share is a domain's part of what a pass copies.
type share struct{ done, total int64 }

// shares are those of all domains, by name.
type shares map[string]*share

func (s *shares) of(domain string) *share {
	if *s == nil {
		*s = shares{}
	}
	if (*s)[domain] == nil {
		(*s)[domain] = &share{}
	}
	return (*s)[domain]
}

// Domains are how many messages of each domain a pass copies.
func (p *Pass) Domains() map[string]int64 {
	list := map[string]int64{}
	for name, s := range p.domains {
		list[name] = s.total
	}
	return list
}

// came notes a message of a domain and reports progress, some ten times a second.
func (a *applier) came(f *fetcher, domain string) {
	a.mu.Lock()
	a.p.domains.of(domain).done++
	a.mu.Unlock()
	a.tell(f, domain, false)
}

// tell reports progress. The last report is always made.
func (a *applier) tell(f *fetcher, domain string, last bool) {
	a.mu.Lock()
	now := time.Now()
	due := last || now.Sub(a.told) > 100*time.Millisecond
	label := ""
	if due {
		a.told = now
		label = a.p.domains.label(domain)
	}
	a.mu.Unlock()
	if !due || a.progress == nil {
		return
	}
	a.progress(module.Progress{
		Label: label, Unit: "messages", Done: f.messages.Load(), Total: a.p.Counts.Copy,
		Bytes: f.bytes.Load(), TotalBytes: a.p.Counts.CopyBytes,
	})
}

// label names a domain, with its own numbers and which of how many it is where there are others.
func (s shares) label(domain string) string {
	own := s[domain]
	if own == nil || len(s) < 2 {
		return domain
	}
	over := 0
	for _, other := range s {
		if other.done >= other.total {
			over++
		}
	}
	return fmt.Sprintf("%s %s/%s (%d of %d domains done)", domain, Number(own.done), Number(own.total), over, len(s))
}
