package transport

import (
	"context"
	"sync"
	"time"
)

// asker asks the operator, one question at a time whatever the number of hosts that have one. The clock of the connection
// stands still meanwhile.
type asker struct {
	prompter Prompter
	turn     chan struct{}
	clock    *clock
}

// confirm asks a question, unless settled says, when its turn has come, that it has been answered meanwhile. A yes is
// remembered before the next one is asked.
func (a *asker) confirm(ctx context.Context, question string, settled func() bool, remember func() error) (bool, error) {
	return ask(ctx, a, func() (bool, error) {
		if settled() {
			return true, nil
		}
		yes, err := a.prompter.Confirm(ctx, question)
		if yes && err == nil && ctx.Err() == nil {
			err = remember()
		}
		return yes, err
	})
}

func (a *asker) secret(ctx context.Context, prompt string) (string, error) {
	return ask(ctx, a, func() (string, error) { return a.prompter.Secret(ctx, prompt) })
}

func ask[T any](ctx context.Context, a *asker, question func() (T, error)) (T, error) {
	defer a.clock.hold()()
	type answer struct {
		value T
		err   error
	}
	var none T
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
	given := make(chan answer, 1)
	go func() {
		defer func() { <-a.turn }()
		value, err := question()
		given <- answer{value, err}
	}()
	select {
	case g := <-given:
		return g.value, g.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// clock calls expire when a time has passed, not counting the times during which it was held.
type clock struct {
	mu    sync.Mutex
	timer *time.Timer
	left  time.Duration
	since time.Time
	held  int
	over  bool
}

func startClock(d time.Duration, expire func()) *clock {
	return &clock{timer: time.AfterFunc(d, expire), left: d, since: time.Now()}
}

func (c *clock) hold() (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held++; c.held == 1 && !c.over {
		c.timer.Stop()
		c.left -= time.Since(c.since)
	}
	return c.release
}

func (c *clock) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held--; c.held == 0 && !c.over {
		c.since = time.Now()
		c.timer.Reset(max(c.left, 0))
	}
}

func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.timer.Stop()
}
