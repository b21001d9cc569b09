package run

import (
	"context"
	"errors"
	"slices"
	"sync"

	"runner/runtime/module"
)

// ErrStopped is the error of what the operator stopped.
var ErrStopped = errors.New("stopped by the operator")

// Stopper carries the wish to stop from a signal to the run. A first wish lets the change at hand be finished; a second ends it.
type Stopper struct {
	soft    context.Context
	softNow context.CancelCauseFunc
	hardNow context.CancelCauseFunc

	mu       sync.Mutex
	softOnce bool
	guards   map[*guard]bool // tries at work
}

// NewStopper makes a stopper and the context that a second wish cancels.
func NewStopper(ctx context.Context) (*Stopper, context.Context) {
	hard, hardNow := context.WithCancelCause(ctx)
	soft, softNow := context.WithCancelCause(hard)
	return &Stopper{soft: soft, softNow: softNow, hardNow: hardNow, guards: map[*guard]bool{}}, hard
}

// Stop asks the run to stop, the first time after the change at hand, then at once. It says whether it was the first time.
func (s *Stopper) Stop(why error) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.softOnce {
		s.softOnce = true
		s.softNow(why)
		return true
	}
	s.hardNow(why)
	return false
}

// asked returns why the run is to stop; nil: it is not.
func (s *Stopper) asked() error {
	if s.soft.Err() == nil {
		return nil
	}
	return context.Cause(s.soft)
}

// atHand lists the changes that are being made and that a first wish to stop lets finish.
func (s *Stopper) atHand() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for g := range s.guards {
		if c := g.atHand(); c != "" {
			list = append(list, c)
		}
	}
	slices.Sort(list)
	return list
}

// guard ends a step at the first wish to stop unless a change is being made. Looking and waiting can be broken off at any moment.
type guard struct {
	stop   *Stopper
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	writing bool // a change is being made, or one was and is being looked after
	now     string
}

// begin gives the context of one try of a step.
func (s *Stopper) begin(ctx context.Context) (context.Context, *guard, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	g := &guard{stop: s, cancel: cancel}
	s.mu.Lock()
	s.guards[g] = true
	s.mu.Unlock()
	unhook := context.AfterFunc(s.soft, g.stopped)
	return ctx, g, func() {
		unhook()
		s.mu.Lock()
		delete(s.guards, g)
		s.mu.Unlock()
		cancel(nil)
	}
}

func (g *guard) stopped() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.writing {
		g.cancel(g.stop.asked())
	}
}

func (g *guard) applying(c module.Change) {
	g.mu.Lock()
	g.writing, g.now = !c.Wait, c.Summary
	g.mu.Unlock()
	if g.stop.asked() != nil {
		g.stopped()
	}
}

// atHand is the change that is being made; empty: none, or one that only waits.
func (g *guard) atHand() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.writing {
		return ""
	}
	return g.now
}

// applied says that the change was made. The step goes on to see whether it took hold, which is still not broken off.
func (g *guard) applied() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = ""
}
