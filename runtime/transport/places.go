package transport

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// places counts the sessions of a connection; who waits for one is served in turn. When the server refuses a session, it
// learns that there are fewer.
type places struct {
	mu      sync.Mutex
	limit   int
	used    int
	waiting []chan struct{}
	free    func()
}

func newPlaces(n int) *places { return &places{limit: n} }

func (p *places) whenFull(free func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = free
}

// take waits for a place.
func (p *places) take(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return ErrLost
	default:
	}
	p.mu.Lock()
	if p.used < p.limit && len(p.waiting) == 0 {
		p.used++
		p.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	p.waiting = append(p.waiting, mine)
	p.mu.Unlock()
	nudge := time.NewTicker(nudgeEvery)
	defer nudge.Stop()
	var err error
	for {
		p.nudge()
		select {
		case <-mine:
			return nil
		case <-nudge.C:
			continue
		case <-done:
			err = ErrLost
		case <-ctx.Done():
			err = fmt.Errorf("all %d sessions of the connection are taken: %w", p.size(), context.Cause(ctx))
		}
		break
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, mine); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	} else { // it came in the same moment: somebody else's then
		p.used--
		p.serve()
	}
	return err
}

func (p *places) nudge() {
	p.mu.Lock()
	free := p.free
	p.mu.Unlock()
	if free != nil {
		go free()
	}
}

func (p *places) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit
}

func (p *places) give() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	p.serve()
}

// serve gives what is free to those who wait. The lock is held.
func (p *places) serve() {
	for len(p.waiting) > 0 && p.used < p.limit {
		p.used++
		close(p.waiting[0])
		p.waiting = p.waiting[1:]
	}
}

// fewer gives a place back and keeps it from being used again: the others in use are all that the server grants. It
// is false when there is no other, so that waiting for one would never end; the place is free then.
func (p *places) fewer() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used--
	if p.used == 0 {
		p.serve()
		return false
	}
	p.limit = min(p.limit, p.used)
	return true
}
