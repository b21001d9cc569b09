package maildir

import (
	"context"
	"io"
	"sync"
	"time"
)

// limiter keeps the sum of all readers below a number of bytes per second. A nil limiter does not limit.
type limiter struct {
	mu    sync.Mutex
	rate  float64
	until time.Time // when what was read so far would have been read at the rate
}

func newLimiter(rate int64) *limiter {
	if rate <= 0 {
		return nil
	}
	return &limiter{rate: float64(rate)}
}

// burst is how far reading may run ahead of the rate.
const burst = 100 * time.Millisecond

// spend waits until n more bytes may have been read.
func (l *limiter) spend(ctx context.Context, n int) error {
	l.mu.Lock()
	now := time.Now()
	if l.until.Before(now) {
		l.until = now
	}
	l.until = l.until.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
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
	if l == nil {
		return r
	}
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
