package recipe

import (
	"context"
	"fmt"
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// DefaultPhase is the phase of tasks that stand before any phase.
const DefaultPhase = "main"

// addPhase is phase "name" and phase("name", { title = …, gate = … }): the tasks after it belong to it.
func (r *Recipe) addPhase(l *lua.LState) int {
	r.atTop(l, "phase")
	name, ok := l.Get(1).(lua.LString)
	if !ok || name == "" {
		return r.mistake(l, "cannot begin a phase with %s: the form is phase \"name\" or phase(\"name\", { title = …, gate = … })", shown(l.Get(1)))
	}
	p := &Phase{Name: string(name), At: r.where(l)}
	var where spot
	switch o := l.Get(2).(type) {
	case *lua.LNilType:
	case *lua.LTable:
		f := fieldsReader{what: fmt.Sprintf("the phase %q", p.Name), table: o}
		f.known("title", "gate", "before", "after")
		where = f.spot()
		p.Title = f.text("title")
		if fn, ok := o.RawGetString("gate").(*lua.LFunction); ok {
			p.gate = fn
		} else {
			p.Gate = f.text("gate")
		}
		if f.err != nil {
			return r.raise(l, f.err)
		}
	default:
		return r.mistake(l, "cannot begin the phase %q with %s: its options are a table, { title = …, gate = … }", p.Name, shown(o))
	}
	if err := r.placePhase(l, p, where); err != nil {
		return r.raise(l, err)
	}
	return 0
}

// addTask is task("name", function() … end) and task("name", { undo = fn, unless = fn }, function() … end).
func (r *Recipe) addTask(l *lua.LState) int {
	r.atTop(l, "task")
	if r.declaration == nil {
		return r.mistake(l, "cannot declare a task: recipe { … } comes first and says what it needs")
	}
	const form = `task("name", function() … end) or task("name", { undo = function() … end }, function() … end)`
	name, ok := l.Get(1).(lua.LString)
	if !ok || name == "" {
		return r.mistake(l, "cannot declare a task with the name %s: the form is %s", shown(l.Get(1)), form)
	}
	o, _ := l.Get(2).(*lua.LTable)
	if o != nil && o.RawGetString("remove") != lua.LNil {
		return r.raiseIf(l, r.removal(l, string(name), o))
	}
	body, ok := l.Get(l.GetTop()).(*lua.LFunction)
	if !ok || l.GetTop() > 3 || l.GetTop() < 2 {
		return r.mistake(l, "cannot declare the task %q: the form is %s", string(name), form)
	}
	t := &Task{Name: string(name), At: r.where(l), body: body}
	var where spot
	replace := false
	if l.GetTop() == 3 {
		var err error
		if where, replace, err = t.options(l.Get(2)); err != nil {
			return r.raise(l, err)
		}
	}
	if replace {
		return r.raiseIf(l, r.replaceTask(t, o))
	}
	return r.raiseIf(l, r.placeTask(l, t, where))
}

// removal is task("name", { remove = true }).
func (r *Recipe) removal(l *lua.LState, name string, o *lua.LTable) error {
	f := fieldsReader{what: fmt.Sprintf("the task %q", name), table: o}
	f.known("remove")
	remove := f.flag("remove")
	switch {
	case f.err != nil:
		return f.err
	case !*remove || l.GetTop() > 2:
		return fmt.Errorf("cannot remove the task %q: the form is task(%q, { remove = true })", name, name)
	}
	return r.removeTask(name)
}

func (r *Recipe) raiseIf(l *lua.LState, err error) int {
	if err != nil {
		return r.raise(l, err)
	}
	return 0
}

func (t *Task) options(v lua.LValue) (where spot, replace bool, err error) {
	o, ok := v.(*lua.LTable)
	if !ok {
		return where, false, fmt.Errorf("cannot declare the task %q: its options are a table, { undo = function() … end }, not %s", t.Name, shown(v))
	}
	f := fieldsReader{what: fmt.Sprintf("the task %q", t.Name), table: o}
	f.known("undo", "unless", "before", "after", "replace")
	where = f.spot()
	given := f.flag("replace")
	replace = given != nil && *given
	if replace && where.name() != "" {
		f.fail("it replaces another and stands where that stood; before and after are too much")
	}
	undo, unless := f.function("undo"), f.function("unless")
	if undo != nil {
		t.undo, t.HasUndo = undo, true
	}
	if unless != nil {
		t.unless = unless
	}
	return where, replace, f.err
}

func (f *fieldsReader) function(name string) *lua.LFunction {
	switch v := f.table.RawGetString(name).(type) {
	case *lua.LNilType:
	case *lua.LFunction:
		return v
	case lua.LBool: // undo = false: a task that replaces another has none
		if !bool(v) && f.table.RawGetString("replace") == lua.LTrue {
			return nil
		}
		f.fail("%s must be a function, %s = function() … end, not %s", name, name, shown(v))
	default:
		f.fail("%s must be a function, %s = function() … end, not %s", name, name, shown(v))
	}
	return nil
}

// addHandler is handler("name", function() … end).
func (r *Recipe) addHandler(l *lua.LState) int {
	r.atTop(l, "handler")
	name, ok := l.Get(1).(lua.LString)
	body, isFunction := l.Get(2).(*lua.LFunction)
	if !ok || name == "" || !isFunction || l.GetTop() != 2 {
		return r.mistake(l, "cannot declare a handler: the form is handler(\"name\", function() … end)")
	}
	for _, h := range r.handlers {
		if h.name == string(name) {
			return r.mistake(l, "cannot declare the handler %q: there is one in %s already", h.name, r.lineOf(l, h.at))
		}
	}
	r.handlers = append(r.handlers, &handler{name: string(name), at: r.where(l), body: body})
	return 0
}

// RunTask runs the body of a task. A task whose `unless` says that there is nothing to do is not run; skipped then says why.
// The error is an [*Error] at the line that failed; what the engine returned is found in it with errors.As. A nil engine is
// that of [Options].
func (r *Recipe) RunTask(ctx context.Context, e Engine, t *Task) (skipped string, err error) {
	skipped, skip, err := r.Unless(ctx, e, t)
	if err != nil || skip {
		return skipped, err
	}
	_, err = r.enterAs(ctx, e, &thread{mode: working, keep: true}, t.At, t.body)
	return "", err
}

// Unless asks a task whether it need not be run, and why.
func (r *Recipe) Unless(ctx context.Context, e Engine, t *Task) (reason string, skip bool, err error) {
	if t.unless == nil {
		return "", false, nil
	}
	results, err := r.enter(ctx, e, working, t.At, t.unless)
	if err != nil || len(results) == 0 {
		return "", false, err
	}
	switch v := results[0].(type) {
	case lua.LString:
		return string(v), true, nil
	case lua.LBool:
		return "nothing to do", bool(v), nil
	case *lua.LNilType:
		return "", false, nil
	default:
		return "", false, &Error{At: t.At, Line: r.Line(t.At), What: fmt.Sprintf("cannot use what unless returned: it must be true, false or a text that says why, not %s", shown(v))}
	}
}

// Question is what is asked before a phase. It may depend on what earlier tasks have kept in saved.
func (r *Recipe) Question(ctx context.Context, p *Phase) (string, error) {
	if p.gate == nil {
		return p.Gate, nil
	}
	results, err := r.enter(ctx, nil, asking, p.At, p.gate)
	if err != nil {
		return "", err
	}
	if len(results) == 1 {
		if question, ok := results[0].(lua.LString); ok && question != "" {
			return string(question), nil
		}
	}
	return "", &Error{At: p.At, Line: r.Line(p.At), What: fmt.Sprintf("cannot ask before the phase %q: its gate must return a question", p.Name)}
}

// RunUndo runs the undo body of a task.
func (r *Recipe) RunUndo(ctx context.Context, e Engine, t *Task) error {
	if t.undo == nil {
		return &Error{At: t.At, Line: r.Line(t.At), What: fmt.Sprintf("cannot undo %q: the task has no undo", t.Name)}
	}
	_, err := r.enter(ctx, e, undoing, t.At, t.undo)
	return err
}

// RunHandler runs the body of a handler.
func (r *Recipe) RunHandler(ctx context.Context, e Engine, name string) error {
	i := slices.IndexFunc(r.handlers, func(h *handler) bool { return h.name == name })
	if i < 0 {
		return fmt.Errorf("cannot run the handler %q: the recipe has none of that name", name)
	}
	_, err := r.enter(ctx, e, working, r.handlers[i].at, r.handlers[i].body)
	return err
}

// enter runs a function of the recipe and keeps what it left in saved, also when it failed.
func (r *Recipe) enter(ctx context.Context, e Engine, how mode, at Position, body any) ([]lua.LValue, error) {
	return r.enterAs(ctx, e, &thread{mode: how}, at, body)
}

func (r *Recipe) enterAs(ctx context.Context, e Engine, t *thread, at Position, body any) ([]lua.LValue, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e == nil {
		e = r.options.Engine
	}
	if ctx.Err() != nil {
		return nil, r.at(at, stoppedError(newThread(ctx, e, t.mode)))
	}
	t.Context, t.done, t.engine = ctx, ctx.Done(), e
	results, f := r.call(t, body.(*lua.LFunction))
	kept, err := r.savedValues()
	if err == nil {
		r.kept = kept
	}
	if f != nil {
		return nil, r.placed(at, f.err)
	}
	if err != nil {
		return nil, r.at(at, err)
	}
	return results, nil
}

// placed gives an error that knows no line the one of the task.
func (r *Recipe) placed(at Position, err error) error {
	if e, ok := err.(*Error); ok && e.At.File == "" {
		e.At, e.Line = at, r.line(at)
	}
	return err
}
