package maildir

import (
	"context"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"runner/runtime/host"
)

// Bounds of the number of transfers at once when the step does not say it. One commits while another sends; on one connection, whose
// bytes one core encrypts, more than a few gain nothing.
const (
	minStreams = 2
	maxStreams = 6
)

// streams is how many transfers run at once: no more than there is work for, and when the step does not say it one more than the host with
// the fewest cores has. The servers may grant fewer: see copies.
func (a *applier) streams(ctx context.Context) int {
	o := &a.p.o
	work := a.p.copies.count/o.batchFiles + int(a.p.copies.bytes/o.batchBytes) + 1
	if work == 1 || o.Streams > 0 {
		return streamsFor(o.Streams, work)
	}
	return streamsFor(0, work, runtime.NumCPU(), coresOf(ctx, o.From), coresOf(ctx, o.To))
}

// streamsFor reckons with the cores of several machines; 0 is one that does not say.
func streamsFor(asked, work int, cores ...int) int {
	if asked > 0 {
		return min(work, asked)
	}
	fewest := maxStreams
	for _, n := range cores {
		if n > 0 {
			fewest = min(fewest, n)
		}
	}
	return min(work, max(minStreams, min(fewest+1, maxStreams)))
}

// coresOf is how many processors a host has; 0 when it does not say. nproc is younger than Debian 5.
func coresOf(ctx context.Context, v *host.View) int {
	if v.Local() {
		return runtime.NumCPU()
	}
	out, err := v.QueryScript(ctx, `getconf _NPROCESSORS_ONLN 2>/dev/null || grep -c '^processor' /proc/cpuinfo`)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(out.Stdout))
	return n
}

// copies fetches the messages with several transfers at once, so that one sends while another is put in place. The first writes with the
// writer that is there already. Each other one needs a session of the target for its own, and one of the source for its tar: where a
// server's MaxSessions leaves none it waits, until the others have taken all that was to be done.
func (a *applier) copies(ctx context.Context, w writer) error {
	if a.p.copies.count == 0 {
		return nil
	}
	f := a.fetcher(false)
	g, ctx := errgroup.WithContext(ctx)
	batches := make(chan []work)
	more, over := context.WithCancel(ctx)
	g.Go(func() error {
		defer over()
		defer close(batches)
		return a.split(&a.p.copies, func(b []work) error {
			select {
			case batches <- b:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	})
	g.Go(func() error { return a.stream(ctx, f, w, batches) })
	for i := range a.streams(ctx) - 1 {
		g.Go(func() error {
			opening, giveUp := context.WithCancel(ctx)
			defer giveUp()
			late := context.AfterFunc(more, giveUp)
			w, err := openWriter(opening, a.to, a.at, i+1, &a.p.o)
			if inTime := late(); !inTime && ctx.Err() == nil {
				if err == nil {
					return w.close()
				}
				return nil
			}
			if err != nil {
				return err
			}
			defer w.close()
			return a.stream(ctx, f, w, batches)
		})
	}
	err := g.Wait()
	a.done.Copied, a.done.Bytes, a.done.Vanished = f.messages.Load(), f.bytes.Load(), f.vanished.Load()
	a.tell(f, "", true)
	return err
}

func (a *applier) stream(ctx context.Context, f *fetcher, w writer, batches <-chan []work) error {
	for b := range batches {
		brought, err := f.batch(ctx, w, b)
		a.remember(brought)
		if err != nil {
			return err
		}
	}
	return nil
}
