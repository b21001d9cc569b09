package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
	"runner/runtime/recipe"
)

// progressRate limits how often the progress of a step is told.
const progressRate = 100 * time.Millisecond

// step is one call of a module while it is run.
type step struct {
	*engine
	call  *module.Call
	at    recipe.Position
	hosts []string
	base  Event
	began time.Time

	progress time.Time // when progress was last told
	change   time.Time // when the change at hand began
	stopped  string    // change at which the operator stopped it

	values    map[string]any // the arguments as the recipe gave them
	inHandler bool
	moving    bool // what was looked at changes by itself
	approved  bool // the first try was held against the saved plan
}

func (e *engine) newStep(s recipe.Step, call *module.Call) *step {
	st := &step{engine: e, call: call, at: s.At, values: s.Values, began: e.tell.now()}
	for _, h := range call.Hosts() {
		st.hosts = append(st.hosts, string(h))
	}
	st.base = e.event(StepStart)
	st.inHandler, st.base.Handler = st.base.Handler, false
	e.mu.Lock()
	e.steps++
	st.base.Step = e.steps
	e.mu.Unlock()
	st.base.Module, st.base.Title, st.base.Hosts, st.base.At = s.Module, call.Options.Title, st.hosts, &st.at
	if e.instead != nil {
		if plan := e.instead(st.base, s.Values); plan != nil {
			call.Replace(plan)
		}
	}
	return st
}

func (s *step) title() string {
	if s.base.Title != "" {
		return s.base.Title
	}
	return s.base.Module
}

func (s *step) event(kind Kind) Event {
	e := s.base
	e.Kind = kind
	return e
}

func (s *step) run(ctx context.Context) (map[string]any, error) {
	s.tell.tell(s.event(StepStart))
	for _, h := range s.call.Hosts() {
		if s.outside(h) {
			return s.end(module.Result{Status: module.Skipped, Note: fmt.Sprintf("%s is not in --limit %s", h, s.limit)})
		}
	}
	options := s.call.Options
	for try := 0; ; try++ {
		result := s.attempt(ctx)
		failed := result.Status == module.Failed || result.Status == module.Unreachable
		if !failed || try >= options.Retries || s.check || isDrift(result.Err) || s.stop.asked() != nil || ctx.Err() != nil {
			return s.end(result)
		}
		warning := s.event(Warned)
		warning.Text = fmt.Sprintf("%s: try %d of %d failed, again in %s: %v", s.title(), try+1, options.Retries+1, options.Delay, result.Err)
		s.tell.tell(warning)
		select {
		case <-time.After(options.Delay):
		case <-s.stop.soft.Done():
			return s.end(module.Result{Status: Stopped, Err: ErrStopped, Note: "stopped between two tries"})
		}
	}
}

// timeoutError is the cause of a step's context when its time is up.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return "timed out after " + e.after.String() }
func (e *timeoutError) Hint() string {
	return "give the step a longer timeout, or look on the host at what hangs"
}

// attempt looks at the hosts and makes the changes once.
func (s *step) attempt(ctx context.Context) (result module.Result) {
	ctx, g, done := s.stop.begin(ctx)
	defer done()
	if d := s.call.Options.Timeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d, &timeoutError{d})
		defer cancel()
	}
	defer func() {
		if p := recover(); p != nil {
			result = module.Result{Status: module.Failed, Err: &bugError{value: p, stack: string(debug.Stack())}}
		}
		result = s.explain(ctx, result)
	}()
	if err := s.bind(ctx); err != nil {
		return failedBy(err)
	}
	return s.call.Run(ctx, s.check, s.observer(g))
}

func failedBy(err error) module.Result {
	var unreachable *host.UnreachableError
	if errors.As(err, &unreachable) {
		return module.Result{Status: module.Unreachable, Err: err}
	}
	return module.Result{Status: module.Failed, Err: err}
}

func (s *step) bind(ctx context.Context) error {
	hosts := map[module.HostName]*host.Host{}
	for _, name := range s.call.Hosts() {
		h, err := s.engine.hosts.Open(ctx, name, s.call.Options.Sudo)
		if err != nil {
			return err
		}
		hosts[name] = h
	}
	return s.call.Bind(hosts)
}

// explain says that it was the operator or the clock, when an error is only the consequence of that.
func (s *step) explain(ctx context.Context, r module.Result) module.Result {
	if r.Err == nil {
		return r
	}
	var timeout *timeoutError
	switch {
	case s.stop.asked() != nil && (errors.Is(r.Err, ErrStopped) || ctx.Err() != nil):
		r.Status, r.Err = Stopped, ErrStopped
		r.Note = "stopped before anything was changed"
		if s.stopped != "" {
			r.Note = "stopped in the middle of: " + s.stopped
		} else if n := len(r.Changes); n > 0 {
			r.Note = fmt.Sprintf("stopped after %d of its changes", n)
		}
	case ctx.Err() != nil && errors.As(context.Cause(ctx), &timeout):
		if errors.Is(r.Err, context.DeadlineExceeded) || errors.As(r.Err, &timeout) {
			r.Err = fmt.Errorf("cannot %s: %w", s.doing(), timeout)
		} else {
			r.Err = fmt.Errorf("%w (%w)", timeout, r.Err)
		}
		if r.Status != module.Unreachable {
			r.Status = module.Failed
		}
	}
	return r
}

// doing names what was being done, for an error that says nothing of it.
func (s *step) doing() string {
	if s.stopped != "" {
		return s.stopped
	}
	return "finish " + s.title()
}

func (s *step) observer(g *guard) module.Observer {
	s.stopped = ""
	return module.Observer{
		Stop: func() error {
			if s.stop.asked() != nil {
				return ErrStopped
			}
			return nil
		},
		Approve: s.approve,
		Planned: func(p *module.Plan) {
			s.moving = p.Moving
			e := s.event(StepPlan)
			e.Changes, e.Note, e.Stops, e.Starts, e.Table = infos(p.Changes), p.Note, p.Stops, p.Starts, p.Table
			if !s.check && slices.ContainsFunc(p.Changes, func(c module.Change) bool { return !c.Wait }) {
				// Told before the first change: a runner that is killed after it must not forget the handlers.
				e.Notify = s.call.Options.Notify
			}
			s.tell.tell(e)
		},
		Applying: func(c module.Change) {
			s.change = s.tell.now()
			s.stopped = c.Summary
			g.applying(c)
		},
		Applied: func(c module.Change, err error) {
			g.applied()
			e := s.event(ChangeDone)
			e.Changes = infos([]module.Change{c})
			e.Took = s.tell.now().Sub(s.change).Seconds()
			if err != nil {
				e.Error = err.Error()
			} else {
				s.stopped = ""
			}
			s.tell.tell(e)
		},
		Progress: func(p module.Progress) {
			s.mu.Lock()
			now := s.tell.now()
			soon := now.Sub(s.progress) < progressRate
			if !soon {
				s.progress = now
			}
			s.mu.Unlock()
			if soon {
				return
			}
			e := s.event(Progress)
			e.Progress = &p
			s.tell.tell(e)
		},
		Keep: func(o module.Original) {
			e := s.event(Kept)
			e.Kept = &o
			s.tell.tell(e)
		},
	}
}

// end tells how the step ended and makes the table that the recipe gets.
func (s *step) end(r module.Result) (map[string]any, error) {
	e := s.event(StepEnd)
	if title, ok := s.waitsFor(r.Err, s.call.Hosts()); ok {
		r.Status = module.Unknown
		r.Note = fmt.Sprintf("cannot tell before %q is done: %v", title, r.Err)
		r.Err = nil
	}
	if s.call.Options.IgnoreErrors && !isDrift(r.Err) && r.Status == module.Failed {
		return s.ignored(e, r)
	}
	s.settle(&e, r)
	if r.Err == nil {
		s.tell.tell(e)
		return s.table(r), nil
	}
	failure := s.fail(&e, r)
	s.tell.tell(e)
	if r.Status == Stopped {
		return nil, ErrStopped
	}
	s.mu.Lock()
	s.failures = append(s.failures, failure)
	s.mu.Unlock()
	if isDrift(r.Err) {
		return nil, recipe.Final(failure)
	}
	return nil, failure
}

// settle fills in the event of the end and what follows from it for later steps.
func (s *step) settle(e *Event, r module.Result) {
	e.Status, e.Note, e.Changes = r.Status, r.Note, infos(r.Changes)
	e.Took = s.tell.now().Sub(s.began).Seconds()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.book(e, r.Changes, s.before())
	s.counts.add(r.Status)
	row := *e
	if r.Err != nil && r.Status != Stopped {
		row.Error = r.Err.Error()
	}
	s.byHost.add(row)
	if s.check && (r.Status == module.Changed || r.Status == module.Unknown) {
		s.pending = append(s.pending, unmade{s.title(), s.call.Hosts(), s.base.Step})
	}
	// A step that failed half-way has changed something too: its handlers must not be forgotten.
	if r.Status == module.Changed || len(r.Changes) > 0 && r.Err != nil && !s.check {
		e.Notify = s.call.Options.Notify
		for _, name := range e.Notify {
			if !slices.Contains(s.notified, name) {
				s.notified = append(s.notified, name)
			}
		}
	}
}

// before are the numbers of the steps that check mode did not apply, on one of this step's hosts. The engine is locked.
func (s *step) before() (list []int) {
	for _, u := range s.pending {
		if slices.ContainsFunc(u.hosts, func(h module.HostName) bool { return slices.Contains(s.hosts, string(h)) }) {
			list = append(list, u.step)
		}
	}
	return list
}

func (s *step) fail(e *Event, r module.Result) *Failure {
	if r.Status == Stopped {
		return nil
	}
	f := &Failure{Err: plainReason(r.Err), Code: ExitFailed, Hosts: s.hosts, At: &s.at, told: true}
	if r.Status == module.Unreachable {
		f.Code = ExitUnreachable
	}
	var bug *bugError
	if errors.As(r.Err, &bug) {
		f.Stack = bug.stack
	}
	f.Hint, f.Source = hintOf(f.Err), s.source(s.at)
	e.Error, e.Hint, e.Source = f.Err.Error(), f.Hint, f.Source
	return f
}

func (s *step) ignored(e Event, r module.Result) (map[string]any, error) {
	failed := r.Err
	r.Note = fmt.Sprintf("failed, and the recipe ignores it: %v", failed)
	r.Status, r.Err = module.Skipped, nil
	if len(r.Changes) > 0 && !s.check {
		r.Status = module.Changed
	}
	s.settle(&e, r)
	s.tell.tell(e)
	out := s.table(r)
	out["failed"], out["error"] = true, s.tell.mask.Text(failed.Error())
	return out, nil
}

// table is what the recipe gets: what the module found, and what became of the step.
func (s *step) table(r module.Result) map[string]any {
	out := maps.Clone(r.Output)
	if out == nil {
		out = map[string]any{}
	}
	out["changed"] = r.Status == module.Changed
	switch r.Status {
	case module.Skipped:
		out["skipped"] = true
	case module.Unknown:
		out["unknown"] = true
	}
	return out
}

func infos(changes []module.Change) []ChangeInfo {
	var list []ChangeInfo
	for _, c := range changes {
		list = append(list, ChangeInfo{
			Summary: c.Summary, Before: c.Before, After: c.After, Action: c.Action, Wait: c.Wait, Destroys: c.Destroys,
		})
	}
	return list
}
