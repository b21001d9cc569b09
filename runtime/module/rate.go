package module

import "context"

type rateKey struct{}

// WithRate gives the steps that run with the context a limit that can be changed while they work: current returns bytes per
// second, or 0 when there is none. It is called often and from several goroutines.
func WithRate(ctx context.Context, current func() int64) context.Context {
	return context.WithValue(ctx, rateKey{}, current)
}

// Rate is the limit, in bytes per second, that the operator set for all copying at this moment; 0: none, and the arguments of the
// step count. A module that copies much asks again for every piece.
func Rate(ctx context.Context) int64 {
	if current, ok := ctx.Value(rateKey{}).(func() int64); ok {
		return max(current(), 0)
	}
	return 0
}
