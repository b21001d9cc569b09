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
	mu   sync.Mutex
	own  float64   // of the step; 0: none
	debt float64   // bytes that were read and whose time has not come
	at   time.Time // when debt was reckoned
}

func newLimiter(rate int64) *limiter {
	return &limiter{own: float64(max(rate, 0))}
}

// burst is how far reading may run ahead of the rate.
const burst = 100 * time.Millisecond

// heed is how soon a reader that waits heeds another rate.
const heed = 100 * time.Millisecond

// spend waits until n more bytes may have been read.
func (l *limiter) spend(ctx context.Context, n int) error {
	for wait := l.pay(ctx, n); wait > 0; wait = l.pay(ctx, 0) {
		if err := pause(ctx, min(wait, heed)); err != nil {
			return err
		}
	}
	return nil
}

// pay adds n bytes to what was read and says how long to wait at the rate of this moment.
func (l *limiter) pay(ctx context.Context, n int) time.Duration {
	rate := float64(module.Rate(ctx))
	l.mu.Lock()
	defer l.mu.Unlock()
	if rate == 0 {
		rate = l.own
	}
	now := time.Now()
	if rate == 0 {
		l.debt, l.at = 0, now
		return 0
	}
	l.debt = max(0, l.debt-now.Sub(l.at).Seconds()*rate) + float64(n)
	l.at = now
	ahead := l.debt/rate - burst.Seconds()
	if ahead <= 0 {
		return 0
	}
	return time.Duration(min(ahead, heed.Seconds()) * float64(time.Second))
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
