package maildir

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// busy is a world with accounts whose mail is in use.
func busy(t *testing.T) (*world, *user) {
	w := newWorld(t, true)
	w.o.recent = settledAtOnce
	u := &user{random: rand.New(rand.NewPCG(5, 6))}
	for i := range 4 {
		top := makeBox(t, w.src, fmt.Sprintf("example.org/user%d/Maildir", i))
		u.boxes = append(u.boxes, top, makeBox(t, top, ".Sent"))
	}
	for range 200 {
		u.deliver(t, u.boxes[u.random.IntN(len(u.boxes))])
	}
	return w, u
}

func TestConverge(t *testing.T) {
	w, u := busy(t)
	first, err := Look(t.Context(), w.with(Warm))
	must(t, err)
	stop := u.play(t)
	c, err := first.Converge(t.Context(), w.host(), Until{Forecast: time.Minute, Passes: 5}, nil)
	stop()
	must(t, err)
	if !c.Reached || len(c.Rounds) != 1 || c.Forecast <= 0 || c.Rounds[0].Done.Copied == 0 {
		t.Errorf("a minute is enough: %+v", c)
	}
	w.whole()

	// No pass is ever this short: it must end by itself, having removed nothing.
	must(t, os.Remove(filepath.Join(u.boxes[0], messages(t, u.boxes[0])[0])))
	held := w.whole()
	first, err = Look(t.Context(), w.with(Warm))
	must(t, err)
	c, err = first.Converge(t.Context(), w.host(), Until{Forecast: time.Nanosecond, Passes: 50}, nil)
	must(t, err)
	if c.Reached || len(c.Rounds) < stubborn || len(c.Rounds) == 50 || !strings.Contains(c.Why, "not get shorter") {
		t.Errorf("a nanosecond: %+v", c)
	}
	if c.Last.Counts.Skipped == 0 {
		t.Errorf("the last pass listed every mailbox: %+v", c.Last.Counts)
	}
	if n := w.whole(); n < held {
		t.Errorf("%d messages of %d are left", n, held)
	}
	c, err = c.Last.Converge(t.Context(), w.host(), Until{Forecast: time.Nanosecond, Passes: 1}, nil)
	must(t, err)
	if len(c.Rounds) != 1 || !strings.Contains(c.Why, "1 pass") {
		t.Errorf("one pass: %+v", c)
	}
	w.o.Limit = Limit{Percent: 100, Share: true}
	w.final()
}

func TestConvergeStopped(t *testing.T) {
	w, _ := busy(t)
	first, err := Look(t.Context(), w.with(Warm))
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := first.Converge(ctx, w.host(), Until{Forecast: 1, Passes: 5}, nil); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "pass 1") {
		t.Errorf("stopped: %v", err)
	}
	w.whole()
}

func TestForecast(t *testing.T) {
	start := time.Unix(1_400_000_000, 0)
	p := &Pass{Listing: 2 * time.Second}
	r := &Round{Done: Done{Seconds: 60}}
	for name, c := range map[string]struct {
		began time.Time
		want  time.Duration
	}{
		"the first says nothing of the rate":   {time.Time{}, 2 * time.Second},
		"a minute of work gathers in a minute": {start.Add(-time.Minute), 4 * time.Second},
		"and in an hour":                       {start.Add(-time.Hour), 2*time.Second + time.Minute/30/60*2},
		"more comes than can be copied":        {start.Add(-time.Second), 62 * time.Second},
	} {
		if got := forecast(p, r, c.began, start); (got - c.want).Abs() > 100*time.Millisecond {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
	for d, want := range map[time.Duration]string{400 * time.Millisecond: "0.4 s", 20 * time.Second: "20 s", 200 * time.Second: "3 min 20 s"} {
		if got := Span(d); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
