package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"runner/runtime/host"
	"runner/runtime/module"
	"runner/runtime/recipe"
)

// world is what the modules of the tests look at and change.
type world struct {
	mu       sync.Mutex
	settings map[string]string // "host key": value
	made     []string          // changes in their order
	down     map[string]bool
	onChange func(what string) // called while a change is made
	flaky    int               // how many more changes fail
}

func (w *world) get(key string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.settings[key]
}

type setArgs struct {
	On    *host.View     `lua:"on,required"`
	Set   map[string]any `lua:"set"`
	Needs string         `lua:"needs"`
	Token module.Secret  `lua:"token"`
	Panic bool           `lua:"panic"`
}

// modules are a module that changes settings, one that always fails, and one that waits.
func (w *world) modules() []module.Module {
	return []module.Module{
		module.Define("set", "Sets values.", w.planSet),
		module.Define("fail", "Fails.", func(_ context.Context, a *setArgs) (*module.Plan, error) {
			return nil, fmt.Errorf("cannot log in with %s: refused", a.Token.Reveal())
		}),
		module.Define("wait", "Waits until it is stopped.", func(_ context.Context, _ *setArgs) (*module.Plan, error) {
			return &module.Plan{Changes: []module.Change{{Summary: "wait for ever", Wait: true, Apply: func(ctx context.Context, _ *module.Apply) error {
				w.changing("wait")
				<-ctx.Done()
				return ctx.Err()
			}}}}, nil
		}),
	}
}

func (w *world) changing(what string) {
	w.mu.Lock()
	w.made = append(w.made, what)
	hook := w.onChange
	w.mu.Unlock()
	if hook != nil {
		hook(what)
	}
}

func (w *world) planSet(_ context.Context, a *setArgs) (*module.Plan, error) {
	if a.Panic {
		panic("index out of range")
	}
	if a.Needs != "" && w.get(a.On.Name()+" "+a.Needs) == "" {
		return nil, module.Absent(fmt.Errorf("cannot find %s", a.Needs))
	}
	p := &module.Plan{Output: map[string]any{"found": "x"}}
	keys := []string{}
	for k := range a.Set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		key, want := a.On.Name()+" "+k, fmt.Sprint(a.Set[k])
		before := w.get(key)
		if before == want {
			continue
		}
		p.Changes = append(p.Changes, module.Change{
			Summary: "set " + k + " = " + want, Before: before, After: want,
			Apply: func(ctx context.Context, do *module.Apply) error {
				do.Keep(module.Original{Host: a.On.Name(), Object: k, Value: before})
				w.changing(key + "=" + want)
				if err := ctx.Err(); err != nil {
					return err
				}
				w.mu.Lock()
				defer w.mu.Unlock()
				if w.flaky > 0 {
					w.flaky--
					return errors.New("cannot set it: try again")
				}
				w.settings[key] = want
				return nil
			},
		})
	}
	if len(p.Changes) == 0 {
		p.Note = "already so"
	}
	return p, nil
}

func (w *world) Open(_ context.Context, name module.HostName, _ *bool) (*host.Host, error) {
	if w.down[string(name)] {
		return nil, &host.UnreachableError{Host: string(name), Err: errors.New("connection refused")}
	}
	return host.New(namedBackend{name: string(name)}), nil
}

// namedBackend is a host that has a name and nothing else: the modules of these tests look at the world instead.
type namedBackend struct {
	host.Backend
	name string
}

func (b namedBackend) Name() string { return b.name }

// script is a recipe whose bodies are Go.
type script struct {
	phases   []*recipe.Phase
	handlers []string
	bodies   map[string]func(context.Context, recipe.Engine) error
	saved    map[string]any
}

func (p *script) Phases() []*recipe.Phase { return p.phases }
func (p *script) Handlers() []string      { return p.handlers }
func (p *script) Saved() map[string]any   { return p.saved }
func (p *script) Line(at recipe.Position) string {
	return fmt.Sprintf("-- line %d", at.Line)
}

func (p *script) RunTask(ctx context.Context, e recipe.Engine, t *recipe.Task) (string, error) {
	if body, ok := p.bodies["unless "+t.Name]; ok && body(ctx, e) == nil {
		return "already done", nil
	}
	return "", p.call(ctx, e, t.Name)
}
func (p *script) Question(_ context.Context, ph *recipe.Phase) (string, error) { return ph.Gate, nil }

func (p *script) RunUndo(ctx context.Context, e recipe.Engine, t *recipe.Task) error {
	return p.call(ctx, e, "undo "+t.Name)
}
func (p *script) RunHandler(ctx context.Context, e recipe.Engine, name string) error {
	return p.call(ctx, e, name)
}

func (p *script) call(ctx context.Context, e recipe.Engine, name string) error {
	body := p.bodies[name]
	if body == nil {
		return fmt.Errorf("no body %q", name)
	}
	return body(ctx, e)
}

// bench runs a script on a world and keeps what was told.
type bench struct {
	*script
	t       *testing.T
	w       *world
	state   State
	stop    *Stopper
	ctx     context.Context
	answers []bool // of the operator; empty: nobody is there

	mu     sync.Mutex
	events []Event
}

func newBench(t *testing.T) *bench {
	b := &bench{
		t: t, w: &world{settings: map[string]string{}, down: map[string]bool{}}, state: State{filepath.Join(t.TempDir(), ".runner")},
		script: &script{bodies: map[string]func(context.Context, recipe.Engine) error{}},
	}
	return b
}

// add declares a task, "phase: task", with the steps of its body. A name of a task that has an undo is followed by it as undo steps.
func (b *bench) add(phase, task string, steps ...recipe.Step) *recipe.Task {
	i := slices.IndexFunc(b.phases, func(p *recipe.Phase) bool { return p.Name == phase })
	if i < 0 {
		b.phases = append(b.phases, &recipe.Phase{Name: phase})
		i = len(b.phases) - 1
	}
	line := 10 * (len(b.bodies) + 1)
	t := &recipe.Task{Name: task, Phase: phase, At: recipe.Position{File: "r.lua", Line: line}}
	b.phases[i].Tasks = append(b.phases[i].Tasks, t)
	b.bodies[task] = b.steps(steps)
	return t
}

func (b *bench) undo(t *recipe.Task, steps ...recipe.Step) {
	t.HasUndo = true
	b.bodies["undo "+t.Name] = b.steps(steps)
}

func (b *bench) handler(name string, steps ...recipe.Step) {
	b.handlers = append(b.handlers, name)
	b.bodies[name] = b.steps(steps)
}

func (b *bench) steps(steps []recipe.Step) func(context.Context, recipe.Engine) error {
	return func(ctx context.Context, e recipe.Engine) error {
		for _, s := range steps {
			if _, err := e.Step(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
}

// set is a step that sets a value on a host.
func set(on, key, value string, more ...any) recipe.Step {
	values := map[string]any{"on": module.HostName(on), "set": map[string]any{key: value}}
	for i := 0; i < len(more); i += 2 {
		values[more[i].(string)] = more[i+1]
	}
	return recipe.Step{Module: "set", Values: values, At: recipe.Position{File: "r.lua", Line: 3}}
}

func call(name string, values map[string]any) recipe.Step {
	return recipe.Step{Module: name, Values: values, At: recipe.Position{File: "r.lua", Line: 4}}
}

func (b *bench) Report(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}
func (b *bench) Close() error { return nil }

func (b *bench) Present() bool { return len(b.answers) > 0 }
func (b *bench) Confirm(context.Context) (bool, error) {
	answer := b.answers[0]
	b.answers = b.answers[1:]
	return answer, nil
}

func (b *bench) options() Options {
	b.stop, b.ctx = NewStopper(context.Background())
	b.events = nil
	last, err := b.state.Last("r.lua")
	if err != nil {
		b.t.Fatal(err)
	}
	if last != nil && last.Finished {
		last = nil
	}
	return Options{
		State: b.state, Program: b.script, Recipe: "Test", Start: Start{File: "r.lua"}, Record: last, Modules: b.w.modules(), Hosts: b.w, Mask: NewMasker(),
		Stop: b.stop, Operator: b, Reporters: []Reporter{b}, GoOn: "runner resume",
	}
}

// run runs the script once; change may alter the options.
func (b *bench) run(change ...func(*Options)) error {
	b.t.Helper()
	o := b.options()
	for _, c := range change {
		c(&o)
	}
	b.w.made = nil
	return Run(b.ctx, o)
}

func (b *bench) last() *Record {
	b.t.Helper()
	r, err := b.state.Read("")
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// kinds are the events of a kind as one line each.
func (b *bench) told(kind Kind) []string {
	var list []string
	for _, e := range b.events {
		if e.Kind == kind {
			list = append(list, strings.TrimSpace(strings.Join([]string{orElse(e.Task, e.Phase), string(e.Status), e.Text, e.Note, e.Error}, "|")))
		}
	}
	return list
}
