package maildir

import (
	"fmt"
	"time"

	"runner/runtime/module"
)

// share is a domain's part of what a pass copies.
type share struct {
	done, total       int64 // messages
	bytes, totalBytes int64
	began             time.Time // when the first of them came
}

func (s *share) add(size int64) {
	s.total++
	s.totalBytes += size
}

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
func (a *applier) came(f *fetcher, domain string, size int64) {
	a.mu.Lock()
	s := a.p.domains.of(domain)
	if s.done == 0 {
		s.began = time.Now()
	}
	s.done++
	s.bytes += size
	a.mu.Unlock()
	a.tell(f, domain, false)
}

// tell reports progress. The last report is always made.
func (a *applier) tell(f *fetcher, domain string, last bool) {
	a.mu.Lock()
	now := time.Now()
	due := last || now.Sub(a.told) > 100*time.Millisecond
	detail := ""
	if due {
		a.told = now
		detail = a.p.domains.detail(domain, now)
	}
	a.mu.Unlock()
	if !due || a.progress == nil {
		return
	}
	a.progress(module.Progress{
		Label: domain, Unit: "messages", Done: f.messages.Load(), Total: a.p.Counts.Copy,
		Bytes: f.bytes.Load(), TotalBytes: a.p.Counts.CopyBytes,
		Detail: detail,
	})
}

// detail tells how far a domain is, how fast its messages come, and how many domains are done, where there are others.
func (s shares) detail(domain string, now time.Time) string {
	own := s[domain]
	if own == nil || len(s) < 2 {
		return ""
	}
	over := 0
	for _, other := range s {
		if other.done >= other.total {
			over++
		}
	}
	rate := ""
	if took := now.Sub(own.began).Seconds(); own.done > 0 && took >= 0.5 {
		rate = ", " + Size(int64(float64(own.bytes)/took)) + "/s"
	}
	return fmt.Sprintf("of it %s/%s, %s of %s%s; %d of %d domains done", Number(own.done), Number(own.total), Size(own.bytes), Size(own.totalBytes), rate, over, len(s))
}
