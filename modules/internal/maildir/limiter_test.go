package maildir

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"runner/runtime/module"
)

func TestLimiterFollowsTheOperator(t *testing.T) {
	var rate atomic.Int64
	ctx, cancel := context.WithCancel(module.WithRate(t.Context(), rate.Load))
	over := errors.New("waits")
	// spends says whether a million bytes may be read without waiting: a context that has ended shows the waiting at once.
	ended, end := context.WithCancelCause(ctx)
	end(over)
	spends := func(l *limiter) bool { return !errors.Is(l.spend(ended, 1<<20), over) }
	defer cancel()

	free := newLimiter(0)
	if !spends(free) {
		t.Error("waits without a limit")
	}
	rate.Store(1)
	if spends(free) {
		t.Error("does not heed the operator's limit")
	}
	rate.Store(1 << 40)
	if !spends(free) {
		t.Error("still pays for what the lower limit cost")
	}
	own := newLimiter(1)
	if !spends(own) {
		t.Error("the operator's limit does not go before the step's own")
	}
	rate.Store(0)
	if spends(own) {
		t.Error("the step's own limit does not come back")
	}
	if spends(newLimiter(1)) {
		t.Error("a step's own limit does not hold")
	}
}

// TestLimiterWakes raises the rate while a reader waits for what would take it hours.
func TestLimiterWakes(t *testing.T) {
	var rate atomic.Int64
	rate.Store(100)
	asked := make(chan struct{}, 1)
	ctx := module.WithRate(t.Context(), func() int64 {
		select {
		case asked <- struct{}{}:
		default:
		}
		return rate.Load()
	})
	l := newLimiter(0)
	done := make(chan error, 1)
	go func() { done <- l.spend(ctx, 1<<20) }()
	for range 3 { // it has begun to wait, and looks again while it does
		<-asked
	}
	select {
	case <-done:
		t.Fatal("does not wait")
	default:
	}
	rate.Store(1 << 30)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
