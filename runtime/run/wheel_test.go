package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runner/runtime/module"
)

// steered runs the script with a wheel that listens.
func steered(t *testing.T, b *bench) (*Wheel, chan error) {
	t.Helper()
	o := b.options()
	w := NewWheel(b.stop)
	o.Wheel = w
	end, err := w.Listen(b.state)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	done := make(chan error, 1)
	go func() { done <- Run(b.ctx, o) }()
	return w, done
}

func send(t *testing.T, s State, q Request) Reply {
	t.Helper()
	r, err := s.Send(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPausedRunBeginsNoStepAndGoesOn(t *testing.T) {
	b := mail(t)
	o := b.options()
	w := NewWheel(b.stop)
	o.Wheel = w
	w.Pause()
	done := make(chan error, 1)
	go func() { done <- Run(b.ctx, o) }()
	for w.Standing().Task != "one" {
		select {
		case err := <-done:
			t.Fatalf("a paused run ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if s := w.Standing(); !s.Paused || s.Steps != 0 || len(s.AtWork) != 0 {
		t.Errorf("%+v", s)
	}
	if !w.Continue() || w.Continue() {
		t.Error("continue does not say whether it was paused")
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s := w.Standing(); s.Steps != 7 || s.Phase != "cutover" {
		t.Errorf("%+v", s)
	}
}

func TestPausedRunCanBeStoppedThroughTheSocket(t *testing.T) {
	// A folder too deep for sun_path: the socket is reached all the same.
	b := mail(t)
	b.state.Dir = filepath.Join(b.state.Dir, strings.Repeat("deep/", 30))
	if err := b.state.make(); err != nil {
		t.Fatal(err)
	}
	w, done := steered(t, b)
	send(t, b.state, Request{Do: "pause"})
	info, err := os.Stat(b.state.socket())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v %v", info, err)
	}
	if r := send(t, b.state, Request{Do: "throttle", Rate: 20 << 20}); r.Standing.Rate != 20<<20 || !r.Standing.Paused {
		t.Errorf("%+v", r)
	}
	if r := send(t, b.state, Request{Do: "stop"}); !r.Was || !r.Standing.Stopping {
		t.Errorf("%+v", r)
	}
	if err := <-done; err != nil && !errors.Is(err, ErrStopped) {
		t.Errorf("ended with %v", err)
	}
	if _, err := b.state.Send(t.Context(), Request{Do: "dance"}); err == nil || !strings.Contains(err.Error(), `cannot do "dance"`) {
		t.Errorf("unknown request: %v", err)
	}
	if w.Standing().PID != os.Getpid() {
		t.Error("whose process is it?")
	}
}

func TestSendWithoutARun(t *testing.T) {
	s := State{Dir: t.TempDir()}
	if _, err := s.Send(t.Context(), Request{Do: "status"}); !errors.Is(err, ErrNoRun) {
		t.Errorf("no socket: %v", err)
	}
	if _, err := (State{Dir: filepath.Join(s.Dir, strings.Repeat("deep/", 30))}).Send(t.Context(), Request{Do: "status"}); !errors.Is(err, ErrNoRun) {
		t.Errorf("no folder: %v", err)
	}
	b := mail(t)
	w := NewWheel(b.options().Stop)
	end, err := w.Listen(s)
	if err != nil {
		t.Fatal(err)
	}
	end()
	if _, err := os.Stat(s.socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays: %v", err)
	}
}

func TestRateReachesModules(t *testing.T) {
	var w Wheel
	ctx := module.WithRate(context.Background(), w.rate.Load)
	if got := module.Rate(ctx); got != 0 {
		t.Errorf("at first %d", got)
	}
	w.Throttle(7)
	if got := module.Rate(ctx); got != 7 {
		t.Errorf("then %d", got)
	}
	if got := module.Rate(context.Background()); got != 0 {
		t.Errorf("outside a run %d", got)
	}
}
