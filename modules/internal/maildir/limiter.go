package maildir

import (
	"context"
	"io"
	"sync"
	"time"

	"runner/runtime/module"
)

// limiter keeps the sum of all readers below a number of bytes per second: that of the step, or the one that the operator set while
// it works (see module.Rate).
type limiter struct {
	mu    sync.Mutex
	own   float64   // of the step; 0: none
	rate  float64   // that until was reckoned with
	until time.Time // when what was read so far would have been read at the rate
}

func newLimiter(rate int64) *limiter {
	return &limiter{own: float64(max(rate, 0))}
}

// burst is how far reading may run ahead of the rate.
const burst = 100 * time.Millisecond

// spend waits until n more bytes may have been read.
func (l *limiter) spend(ctx context.Context, n int) error {
	rate := float64(module.Rate(ctx))
	l.mu.Lock()
	if rate == 0 {
		rate = l.own
	}
	now := time.Now()
	if rate != l.rate || l.until.Before(now) {
		l.until = now
	}
	l.rate = rate
	if rate == 0 {
		l.mu.Unlock()
		return nil
	}
	l.until = l.until.Add(time.Duration(float64(n) / rate * float64(time.Second)))
	wait := l.until.Sub(now) - burst
	l.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *limiter) reader(ctx context.Context, r io.Reader) io.Reader {
	return &limited{ctx, l, r}
}

type limited struct {
	ctx context.Context
	l   *limiter
	r   io.Reader
}

func (r *limited) Read(p []byte) (int, error) {
	n, err := r.r.Read(p[:min(len(p), 64<<10)])
	if waited := r.l.spend(r.ctx, n); waited != nil {
		return n, waited
	}
	return n, err
}
