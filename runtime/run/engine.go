package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"runner/runtime/host"
	"runner/runtime/module"
	"runner/runtime/recipe"
)

// HostSource connects to the hosts of the recipe when they are first needed.
type HostSource interface {
	// Open gives the host with the privileges that the step asks for; nil: as the site says.
	Open(ctx context.Context, name module.HostName, sudo *bool) (*host.Host, error)
}

// engine does what a recipe asks for. It implements [recipe.Engine].
type engine struct {
	modules  map[string]module.Module
	hosts    HostSource
	tell     *teller
	stop     *Stopper
	wheel    *Wheel // nil: nobody steers
	operator Operator
	handlers func() []string // names of the handlers of the recipe
	outside  func(module.HostName) bool
	instead  func(Event, map[string]any) func(context.Context) (*module.Plan, error) // another plan for a step; nil: there is none
	source   func(recipe.Position) string
	check    bool
	making   *SavedPlan   // check mode enters its steps here; nil: nowhere
	expected *expectation // what the steps must be; nil: they need not
	yes      bool
	patient  bool                                // without a terminal, questions wait for a second one
	answers  func(phase string) (*Answer, error) // to gates, given beforehand or meanwhile; nil: there are none
	limit    string
	goOn     string        // the command that goes on with this run
	slots    chan struct{} // one for each step that may be at work at a time
	afresh   bool          // tasks were chosen by name: they are run for all hosts
	// hostsDone are the hosts that earlier sessions are done with.
	hostsDone func(workKey) map[string]hostDone

	asking sync.Mutex // one question at a time

	mu       sync.Mutex
	scope    scope
	steps    int
	byHost   hostTable  // of the session
	counts   Counts     // of the session
	notified []string   // in this phase, in the order of notice
	pending  []unmade   // check mode: what steps would have changed
	failures []*Failure // told in this task
}

// scope is what is being run: tasks are run one after the other.
type scope struct {
	phase, task string
	handler     bool
	undo        bool
	eaches      int // calls of each(hosts, fn) so far that are counted
}

// unmade is a step that check mode did not apply.
type unmade struct {
	title string
	hosts []module.HostName
	step  int
}

func (e *engine) enter(s scope) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scope, e.failures = s, nil
}

func (e *engine) event(kind Kind) Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return Event{Kind: kind, Phase: e.scope.phase, Task: e.scope.task, Handler: e.scope.handler, Undo: e.scope.undo, Check: e.check}
}

// Say shows a text of the recipe.
func (e *engine) Say(_ context.Context, text string) {
	event := e.event(Said)
	event.Handler = false
	event.Text = text
	e.tell.tell(event)
}

// Ask asks a question inside a task. In check mode nothing is asked and the answer is yes.
func (e *engine) Ask(ctx context.Context, question string) (bool, error) {
	if e.check {
		e.Say(ctx, "would ask: "+question)
		return true, nil
	}
	if e.stop.asked() != nil {
		return false, recipe.Final(ErrStopped)
	}
	return e.ask(ctx, e.event(GateAsked), question)
}

// Step runs one call of a module.
func (e *engine) Step(ctx context.Context, s recipe.Step) (map[string]any, error) {
	if e.stop.asked() != nil {
		return nil, recipe.Final(ErrStopped)
	}
	call, err := e.decode(s)
	if err != nil {
		return nil, &Failure{Err: err, Code: ExitRecipe, At: &s.At, Hint: hintOf(err)}
	}
	e.tell.mask.Add(call.Secrets()...)
	if err := e.slot(ctx); err != nil {
		return nil, err
	}
	defer func() { <-e.slots }()
	if err := e.wheel.wait(ctx); err != nil {
		return nil, err
	}
	if e.wheel != nil {
		ctx = module.WithRate(ctx, e.wheel.rate.Load)
	}
	return e.newStep(s, call).run(ctx)
}

func (e *engine) slot(ctx context.Context) error {
	select {
	case e.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.stop.soft.Done():
		return recipe.Final(ErrStopped)
	}
}

func (e *engine) decode(s recipe.Step) (*module.Call, error) {
	m, ok := e.modules[s.Module]
	if !ok {
		text := "there is no such module"
		if near := module.Nearest(s.Module, slices.Collect(maps.Keys(e.modules))); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		return nil, &module.ArgumentError{Module: s.Module, Problem: text}
	}
	call, err := m.Decode(s.Values)
	if err != nil {
		return nil, err
	}
	for _, name := range call.Options.Notify {
		known := e.handlers()
		if slices.Contains(known, name) {
			continue
		}
		text := fmt.Sprintf("names the handler %q, which the recipe does not have", name)
		if near := module.Nearest(name, known); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		return nil, &module.ArgumentError{Module: s.Module, Argument: "notify", Problem: text}
	}
	return call, nil
}

// waitsFor names the step that check mode did not apply and that the failed plan of another one may have needed: the last one on
// one of the same hosts.
func (e *engine) waitsFor(err error, hosts []module.HostName) (string, bool) {
	var absent *module.AbsentError
	if !e.check || !errors.As(err, &absent) {
		return "", false
	}
	return e.lastUnmade(hosts)
}

// lastUnmade is the last step that check mode did not apply, on one of these hosts; nil: on any.
func (e *engine) lastUnmade(hosts []module.HostName) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, u := range slices.Backward(e.pending) {
		if hosts == nil {
			return u.title, true
		}
		for _, h := range u.hosts {
			if slices.Contains(hosts, h) {
				return u.title, true
			}
		}
	}
	return "", false
}

// add counts a result; tally is the counts so far.
func (e *engine) add(status module.Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counts.add(status)
}

func (e *engine) tally() Counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.counts
}

func (c *Counts) add(status module.Status) {
	switch status {
	case module.OK:
		c.OK++
	case module.Changed:
		c.Changed++
	case module.Skipped, Stopped:
		c.Skipped++
	case module.Failed:
		c.Failed++
	case module.Unreachable:
		c.Unreachable++
	case module.Unknown:
		c.Unknown++
	}
}
