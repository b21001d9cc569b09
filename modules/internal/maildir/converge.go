package maildir

import (
	"context"
	"fmt"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// Converged is what repeated warm passes came to.
type Converged struct {
	Rounds   []Round
	Reached  bool          // the forecast is what was asked for, or shorter
	Why      string        // why no further pass was made, in a few words
	Forecast time.Duration // of a pass that begins now
	Last     *Pass
}

// Round is one warm pass of several.
type Round struct {
	Summary  string // "" when there was nothing to do
	Took     time.Duration
	Forecast time.Duration // of the pass after it
	Done     Done
}

// Until says when to stop repeating passes.
type Until struct {
	Forecast time.Duration // a pass that begins now would take no longer than this
	Passes   int           // this many passes were made
}

// stubborn is how many rounds may bring no gain before it is given up.
const stubborn = 2

// Converge makes warm passes, beginning with p, until a further one is forecast to take no longer than asked for, until
// it no longer gets shorter, or until there were enough. It is for a source in use: what users do meanwhile is the work of
// the next pass, so the passes get shorter until one takes as long as its listing and what is done in that time.
func (p *Pass) Converge(ctx context.Context, to *host.Host, u Until, progress func(module.Progress)) (*Converged, error) {
	c := &Converged{Last: p}
	best, idle := time.Duration(0), 0
	var began time.Time // of the round before
	for {
		started := time.Now().Add(-p.Listing)
		r := Round{}
		if !p.Empty() {
			r.Summary = p.Summary()
			done, err := p.Apply(ctx, to, progress)
			r.Done = *done
			if err != nil {
				c.Rounds = append(c.Rounds, r)
				return c, fmt.Errorf("cannot finish pass %d: %w", len(c.Rounds), err)
			}
		}
		r.Took = time.Since(started)
		r.Forecast = forecast(p, &r, began, started)
		began = started
		c.Rounds, c.Forecast, c.Last = append(c.Rounds, r), r.Forecast, p
		if best == 0 || r.Forecast < best-best/10 {
			best, idle = r.Forecast, 0
		} else {
			idle++
		}
		switch {
		case r.Forecast <= u.Forecast:
			c.Reached = true
			c.Why = "short enough"
			return c, nil
		case idle >= stubborn:
			c.Why = fmt.Sprintf("the passes do not get shorter any more: the next would take about %s", Span(r.Forecast))
			return c, nil
		case len(c.Rounds) >= u.Passes:
			c.Why = fmt.Sprintf("%s were made, and the next would take about %s", counted(int64(len(c.Rounds)), "pass", "passes"), Span(r.Forecast))
			return c, nil
		}
		// Directories that changed a moment ago are not remembered, and would be listed again by the pass after this.
		if err := pause(ctx, max(0, p.o.recent+time.Second)); err != nil {
			return c, err
		}
		var err error
		if p, err = Look(ctx, p.o); err != nil {
			return c, err
		}
	}
}

// forecast adds to the listing of the next pass the share of this one's work that comes anew while it runs. The first pass
// works off what gathered before anybody looked, which says nothing of how fast work comes.
func forecast(p *Pass, r *Round, began, started time.Time) time.Duration {
	listing := time.Duration(p.NextPass() * float64(time.Second))
	if began.IsZero() {
		return listing
	}
	gathered := started.Sub(began)
	if gathered <= listing {
		return listing + time.Duration(r.Done.Seconds*float64(time.Second))
	}
	return listing + time.Duration(r.Done.Seconds*float64(time.Second)*float64(listing)/float64(gathered))
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Span writes a time as one would say it: 0.4 s, 12 s, 3 min 20 s.
func Span(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	d = d.Round(time.Second)
	return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
}
