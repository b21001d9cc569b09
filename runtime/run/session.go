package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

// session is one call of the runner that works on a run.
type session struct {
	*engine
	program Program
	record  *Record // as it was when the session began, and kept up to date; empty for a new run
	began   time.Time
	undo    bool
	log     *logReporter // nil in check mode
}

// runParts runs phases in their order and stops at the first failure.
func (s *session) runParts(ctx context.Context, parts []part) error {
	for _, p := range parts {
		if err := s.phase(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) phase(ctx context.Context, p part) (err error) {
	if p.gate {
		if err := s.gate(ctx, p.phase); err != nil {
			return err
		}
	}
	began, before := s.tell.now(), s.tally()
	s.notified = s.record.Pending(p.phase.Name)
	s.enter(scope{phase: p.phase.Name})
	start := s.event(PhaseStart)
	start.Title = p.phase.Title
	s.tell.tell(start)
	defer func() {
		s.enter(scope{phase: p.phase.Name})
		end := s.event(PhaseEnd)
		counts := s.tally().minus(before)
		end.Status, end.Counts, end.Took = statusOf(err, counts), &counts, s.tell.now().Sub(began).Seconds()
		s.tell.tell(end)
	}()
	for _, t := range p.tasks {
		if err := s.task(ctx, t); err != nil {
			return err
		}
	}
	return s.runHandlers(ctx, p.phase.Name)
}

func (s *session) gate(ctx context.Context, p *recipe.Phase) error {
	s.enter(scope{phase: p.Name})
	question, err := s.program.Question(ctx, p)
	if err != nil {
		return err
	}
	if s.check {
		e := s.event(Said)
		e.Text = "would ask before " + p.Name + ": " + question
		s.tell.tell(e)
		return nil
	}
	_, err = s.ask(ctx, s.event(GateAsked), question)
	return err
}

func (s *session) task(ctx context.Context, t *recipe.Task) error {
	s.enter(scope{phase: t.Phase, task: t.Name})
	return s.body(func() (string, error) { return s.program.RunTask(ctx, s.engine, t) }, &t.At, s.outOfOrder(t))
}

// outOfOrder says that a task before this one is not done.
func (s *session) outOfOrder(t *recipe.Task) bool {
	for _, name := range s.record.Start.Plan {
		if name == nameOf(t) {
			return false
		}
		if !s.record.Done(name) {
			return true
		}
	}
	return false
}

// runHandlers runs what was notified in a phase, each once, in the order of the recipe.
func (s *session) runHandlers(ctx context.Context, phase string) error {
	for _, name := range s.program.Handlers() {
		if !slices.Contains(s.notified, name) {
			continue
		}
		s.enter(scope{phase: phase, task: name, handler: true, undo: s.undo})
		if err := s.body(func() (string, error) { return "", s.program.RunHandler(ctx, s.engine, name) }, nil, false); err != nil {
			return err
		}
	}
	s.notified = nil
	return nil
}

// body runs the Lua of a task, a handler or an undo between its two events.
func (s *session) body(run func() (string, error), at *recipe.Position, outOfOrder bool) error {
	if s.stop.asked() != nil {
		return ErrStopped
	}
	began, before := s.tell.now(), s.tally()
	start := s.event(TaskStart)
	start.At = at
	s.note(start)
	skipped, err := run()
	end := s.event(TaskEnd)
	end.At, end.OutOfOrder, end.Saved = at, outOfOrder, s.saved()
	end.Status = statusOf(err, s.tally().minus(before))
	end.Took = s.tell.now().Sub(began).Seconds()
	if skipped != "" && err == nil {
		end.Status, end.Note = module.Skipped, skipped
	}
	err = s.settleTask(&end, err)
	s.note(end)
	return err
}

// settleTask fills in the error of a task, unless a step has told it, and says what the run makes of it.
func (s *session) settleTask(end *Event, err error) error {
	switch {
	case err == nil:
		return nil
	case s.stop.asked() != nil:
		end.Status = Stopped
		return ErrStopped
	}
	f := s.failure(err)
	if title, ok := s.lastUnmade(nil); ok && s.check && f.Code == ExitRecipe && !isArgument(err) {
		end.Status, end.Note = module.Unknown, fmt.Sprintf("cannot tell before %q is done: %v", title, err)
		s.add(module.Unknown)
		return nil
	}
	if !f.told {
		end.Error, end.Hint, end.Source = f.Error(), f.Hint, f.Source
		s.add(end.Status) // no step has counted it
		if f.At != nil {
			end.At = f.At
		}
		f.told = true
	}
	return f
}

func isArgument(err error) bool {
	var argument *module.ArgumentError
	return errors.As(err, &argument)
}

// failure gives an error of a task its shape.
func (s *session) failure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		if code := CodeOf(err); code != f.Code {
			all := *f // of several hosts
			all.Code, f = code, &all
		}
		if f.Source == "" && f.At != nil {
			f.Source = s.program.Line(*f.At)
		}
		return f
	}
	return s.recipeFailure(err)
}

// note tells an event and keeps the record up to date with it.
func (s *session) note(e Event) {
	if e.Time.IsZero() {
		e.Time = s.tell.now()
	}
	s.tell.tell(e)
	if !s.check {
		s.record.add(e)
	}
}

// saved is the table `saved` as the journal keeps it. A secret in it is lost when the run goes on later, so that is told.
func (s *session) saved() map[string]any {
	saved := maps.Clone(s.program.Saved())
	for key, value := range saved {
		if text, ok := value.(string); ok && s.tell.mask.Text(text) != text {
			e := s.event(Warned)
			e.Text = fmt.Sprintf("saved.%s holds a secret: it is not written to the journal and is not there when the run goes on later", key)
			s.tell.tell(e)
		}
	}
	return saved
}

// statusOf is the result of a task, phase or run by its error and the counts of its steps.
func statusOf(err error, c Counts) module.Status {
	switch {
	case errors.Is(err, ErrStopped), errors.Is(err, ErrGate):
		return Stopped
	case CodeOf(err) == ExitUnreachable:
		return module.Unreachable
	case err != nil:
		return module.Failed
	case c.Unknown > 0:
		return module.Unknown
	case c.Changed > 0:
		return module.Changed
	}
	return module.OK
}

func (c Counts) minus(o Counts) Counts {
	return Counts{c.OK - o.OK, c.Changed - o.Changed, c.Skipped - o.Skipped, c.Failed - o.Failed, c.Unreachable - o.Unreachable, c.Unknown - o.Unknown}
}
