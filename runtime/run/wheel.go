package run

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"runner/runtime/recipe"
)

// Wheel steers a run while it works, and knows where it stands. It is a [Reporter]: what it knows comes from the events.
type Wheel struct {
	stop *Stopper
	rate atomic.Int64

	mu       sync.Mutex
	paused   chan struct{} // closed when the run may go on; nil: it is not paused
	standing Standing
	work     map[int]*StepAtWork
	answer   chan Answer // where a question waits for an answer; nil: none does
}

// Standing says where a run stands.
type Standing struct {
	Format   int           `json:"format"` // [StandingFormat]
	PID      int           `json:"pid"`
	Run      string        `json:"run,omitempty"`
	Recipe   string        `json:"recipe,omitempty"`
	Began    time.Time     `json:"began,omitzero"`
	Undo     bool          `json:"undo,omitempty"`
	Phase    string        `json:"phase,omitempty"`
	Task     string        `json:"task,omitempty"`
	Question string        `json:"question,omitempty"` // what waits for an answer
	Paused   bool          `json:"paused,omitempty"`
	Stopping bool          `json:"stopping,omitempty"`
	Rate     int64         `json:"rate,omitempty"` // bytes per second, as set by throttle; 0: as the recipe says
	Steps    int           `json:"steps"`          // that have ended
	AtWork   []*StepAtWork `json:"at_work,omitempty"`
}

// StandingFormat is raised when a field of [Standing] changes its meaning.
const StandingFormat = 1

// StepAtWork is a step that has begun and not ended.
type StepAtWork struct {
	Step  int       `json:"step"`
	Began time.Time `json:"began"`
	Event Event     `json:"last"` // the newest of the step: step_start, step_plan, change or progress
}

// NewWheel makes the wheel of a run that stop can end.
func NewWheel(stop *Stopper) *Wheel {
	return &Wheel{stop: stop, standing: Standing{Format: StandingFormat, PID: os.Getpid()}, work: map[int]*StepAtWork{}}
}

// Report keeps what an event says of where the run stands.
func (w *Wheel) Report(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.standing
	switch e.Kind {
	case RunStart:
		s.Run, s.Recipe, s.Began, s.Undo = e.Run, e.Recipe, e.Time, e.Undo
	case PhaseStart, TaskStart:
		s.Phase, s.Task = e.Phase, e.Task
	case GateAsked:
		s.Phase, s.Task, s.Question = e.Phase, e.Task, e.Text
	case GateAnswer:
		s.Question = ""
	case StepStart:
		w.work[e.Step] = &StepAtWork{Step: e.Step, Began: e.Time, Event: e}
	case StepPlan, ChangeDone, Progress:
		if at := w.work[e.Step]; at != nil {
			at.Event = e
		}
	case StepEnd:
		delete(w.work, e.Step)
		s.Steps++
	}
}

// Close does nothing: a wheel writes nothing.
func (w *Wheel) Close() error { return nil }

// Standing says where the run stands now.
func (w *Wheel) Standing() Standing {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.standing
	s.Paused, s.Stopping, s.Rate = w.paused != nil, w.stop.asked() != nil, w.rate.Load()
	for _, id := range slices.Sorted(maps.Keys(w.work)) {
		at := *w.work[id]
		s.AtWork = append(s.AtWork, &at)
	}
	return s
}

// Pause lets no further step begin. Steps at work are finished. It says whether the run was going on before.
func (w *Wheel) Pause() (was bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.paused != nil {
		return false
	}
	w.paused = make(chan struct{})
	return true
}

// Continue ends a pause. It says whether there was one.
func (w *Wheel) Continue() (was bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.paused == nil {
		return false
	}
	close(w.paused)
	w.paused = nil
	return true
}

// Throttle limits copying to a number of bytes per second, in steps at work too; 0 gives it back to the recipe.
func (w *Wheel) Throttle(rate int64) { w.rate.Store(max(rate, 0)) }

// Stop is the wish to stop, as Ctrl-C is. It says whether it was the first one.
func (w *Wheel) Stop() (first bool) {
	return w.stop.Stop(fmt.Errorf("%w (runner stop)", ErrStopped))
}

// Answer answers the question that waits. It says whether there was one.
func (w *Wheel) Answer(a Answer) (was bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.answer == nil {
		return false
	}
	w.answer <- a
	w.answer = nil // the next answer is one to the next question
	return true
}

// waiting gives the channel on which an answer comes, until done is called. A nil wheel has none.
func (w *Wheel) waiting() (answers <-chan Answer, done func()) {
	if w == nil {
		return nil, func() {}
	}
	c := make(chan Answer, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = c
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.answer == c {
			w.answer = nil
		}
	}
}

// wait returns when the run is not paused. A nil wheel never is.
func (w *Wheel) wait(ctx context.Context) error {
	if w == nil {
		return nil
	}
	for {
		w.mu.Lock()
		paused := w.paused
		w.mu.Unlock()
		if paused == nil {
			return nil
		}
		select {
		case <-paused:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.stop.soft.Done():
			return recipe.Final(ErrStopped)
		}
	}
}
