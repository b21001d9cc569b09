package host

import (
	"context"
	"sync"
)

// places counts the channels of a connection, since sshd refuses more than its MaxSessions.
type places struct {
	limit int
	evict func() bool

	mu      sync.Mutex
	used    int
	waiting int
	changed chan struct{}
}

func newPlaces(limit int, evict func() bool) *places {
	return &places{limit: limit, evict: evict, changed: make(chan struct{})}
}

// take waits for a place. Reserve places are left for those who ask with less reserve: whoever ends a command on the
// host must not have to wait for it to end.
func (p *places) take(ctx context.Context, reserve int) error {
	if reserve > p.limit-1 {
		reserve = p.limit - 1
	}
	for {
		p.mu.Lock()
		if p.used < p.limit-reserve {
			p.used++
			p.mu.Unlock()
			return nil
		}
		p.waiting++
		changed := p.changed
		p.mu.Unlock()
		evicted := p.evict()
		var err error
		if !evicted {
			select {
			case <-changed:
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		p.mu.Lock()
		p.waiting--
		p.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

func (p *places) give() {
	p.mu.Lock()
	p.used--
	p.mu.Unlock()
	p.nudge()
}

// nudge makes those who wait look again: a place is free, or a shell has nothing to do.
func (p *places) nudge() {
	p.mu.Lock()
	if p.waiting > 0 {
		close(p.changed)
		p.changed = make(chan struct{})
	}
	p.mu.Unlock()
}
