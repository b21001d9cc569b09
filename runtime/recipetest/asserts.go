package recipetest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"runner/runtime/module"
	"runner/runtime/recipe"
	"runner/runtime/run"
)

// asObject is the result as a test gets it.
func (r *result) asObject() *recipe.Object {
	fields := map[string]func() any{
		"error": func() any {
			if r.failure == nil {
				return nil
			}
			return r.failure.Error()
		},
		"stopped":   func() any { return r.stopped },
		"saved":     func() any { return plain(r.saved) },
		"said":      func() any { return list(r.said) },
		"warnings":  func() any { return list(r.warnings) },
		"tasks":     func() any { return r.tasksRun() },
		"steps":     func() any { return tables(r.steps) },
		"questions": func() any { return r.questionTables() },
	}
	o := &recipe.Object{
		Kind: "result of a run", Name: "result", Value: r,
		Methods: map[string]recipe.Function{
			"ran": r.ran, "not_ran": r.notRan, "changed": r.changed, "ok": r.unchanged, "skipped": r.skipped, "failed": r.hasFailed, "unknown": r.unknown,
			"order": r.order, "asked": r.asked, "not_asked": r.notAsked, "says": r.says, "step": r.step, "task": r.taskOf, "only": r.only,
			"resume": func(ctx context.Context, c recipe.Called) (any, error) { return r.session.again(ctx, c, run.Run) },
			"undo":   func(ctx context.Context, c recipe.Called) (any, error) { return r.session.again(ctx, c, run.Undo) },
		},
		Field: func(name string) (any, bool) {
			if f, ok := fields[name]; ok {
				return f(), true
			}
			return nil, false
		},
	}
	for name := range fields {
		o.Fields = append(o.Fields, name)
	}
	return o
}

// tasksRun are the names of the tasks whose bodies ran, in their order; those that unless left out are not among them.
func (r *result) tasksRun() []any {
	names := []any{}
	for _, t := range r.tasks {
		if t.status != module.Skipped {
			names = append(names, t.name)
		}
	}
	return names
}

func (r *result) questionTables() []any {
	all := []any{}
	for _, q := range r.questions {
		all = append(all, map[string]any{"phase": q.phase, "text": q.text, "yes": q.yes})
	}
	return all
}

func tables(list []*done) []any {
	all := []any{}
	for _, d := range list {
		all = append(all, d.table())
	}
	return all
}

func (d *done) table() map[string]any {
	t := map[string]any{
		"name": d.name, "task": d.task, "phase": d.phase, "status": string(d.status), "changed": d.status == module.Changed,
		"note": d.note, "undo": d.undo, "handler": d.handler,
	}
	if d.failure != "" {
		t["error"] = d.failure
	}
	if d.module != "" {
		t["module"], t["hosts"], t["changes"], t["args"] = d.module, list(d.hosts), list(d.changes), d.args
	}
	return t
}

// named reads the arguments (name) and (name, host).
func (r *result) named(c recipe.Called, method string) (name, host string, found []*done, err error) {
	if len(c.Args) == 0 || len(c.Args) > 2 {
		return "", "", nil, form(`result:` + method + `("task, title of a step, or module", host)`)
	}
	name, ok := c.Args[0].(string)
	if !ok {
		return "", "", nil, form(`result:` + method + `("task, title of a step, or module", host)`)
	}
	if len(c.Args) == 2 {
		if host, ok = nameOf(c.Args[1]); !ok {
			return "", "", nil, fmt.Errorf("cannot use %s as a host", text(c.Args[1]))
		}
	}
	found, err = r.find(name, host)
	return name, host, found, err
}

// ran is result:ran(name, host): it ran, and was not left out by unless or --limit.
func (r *result) ran(_ context.Context, c recipe.Called) (any, error) {
	name, _, found, err := r.named(c, "ran")
	if err != nil {
		return nil, err
	}
	for _, d := range found {
		if d.status != module.Skipped {
			return true, nil
		}
	}
	return nil, fmt.Errorf("%q did not run: it was skipped%s", name, noteOf(found[0]))
}

// notRan is result:not_ran(name, host): it did not run, or was left out.
func (r *result) notRan(_ context.Context, c recipe.Called) (any, error) {
	name, _, found, err := r.named(c, "not_ran")
	if err != nil && name != "" && !slices.Contains(r.names, name) && !r.isModule(name) && strings.Contains(err.Error(), "did you mean") {
		return nil, err // else a name that is mistyped would pass for ever
	}
	if err != nil {
		if name == "" {
			return nil, err
		}
		return true, nil
	}
	for _, d := range found {
		if d.status != module.Skipped {
			return nil, fmt.Errorf("%q did run: %s%s", name, d.status, noteOf(d))
		}
	}
	return true, nil
}

func noteOf(d *done) string {
	switch {
	case d.failure != "":
		return " (" + d.failure + ")"
	case d.note != "":
		return " (" + d.note + ")"
	case len(d.changes) > 0:
		return " (" + strings.Join(d.changes, "; ") + ")"
	}
	return ""
}

// changed is result:changed(name, host): one of what has that name changed something.
func (r *result) changed(_ context.Context, c recipe.Called) (any, error) {
	name, _, found, err := r.named(c, "changed")
	if err != nil {
		return nil, err
	}
	for _, d := range found {
		if d.status == module.Changed {
			return true, nil
		}
	}
	return nil, fmt.Errorf("%q changed nothing: %s%s", name, found[0].status, noteOf(found[0]))
}

func (r *result) unchanged(_ context.Context, c recipe.Called) (any, error) {
	return r.every(c, "ok", module.OK)
}
func (r *result) skipped(_ context.Context, c recipe.Called) (any, error) {
	return r.every(c, "skipped", module.Skipped)
}
func (r *result) unknown(_ context.Context, c recipe.Called) (any, error) {
	return r.every(c, "unknown", module.Unknown)
}

// every is an assertion that all of a name came to the same.
func (r *result) every(c recipe.Called, method string, want module.Status) (any, error) {
	name, _, found, err := r.named(c, method)
	if err != nil {
		return nil, err
	}
	for _, d := range found {
		if d.status != want {
			return nil, fmt.Errorf("%q is %s%s, not %s", name, d.status, noteOf(d), want)
		}
	}
	return true, nil
}

// hasFailed is result:failed(name, host): one of what has that name failed, or its host could not be reached.
func (r *result) hasFailed(_ context.Context, c recipe.Called) (any, error) {
	name, _, found, err := r.named(c, "failed")
	if err != nil {
		return nil, err
	}
	for _, d := range found {
		if d.status == module.Failed || d.status == module.Unreachable {
			return true, nil
		}
	}
	return nil, fmt.Errorf("%q did not fail: %s%s", name, found[0].status, noteOf(found[0]))
}

// order is result:order { name, name, … }: these ran, each after the one before it; others may have run between them.
func (r *result) order(_ context.Context, c recipe.Called) (any, error) {
	if len(c.Args) != 1 {
		return nil, form(`result:order { "first", "second" }`)
	}
	names, err := texts(c.Args[0])
	if err != nil {
		return nil, fmt.Errorf("cannot look at this order: %w", err)
	}
	at, what := 0, ""
	for _, name := range names {
		found, err := r.find(name, "")
		if err != nil {
			return nil, err
		}
		all := r.steps
		if found[0].module == "" {
			all = r.tasks
		}
		if what == "" {
			what = kindOf(found[0])
		} else if what != kindOf(found[0]) {
			return nil, fmt.Errorf("cannot compare the order of %q with those before it: tasks go with tasks, steps with steps", name)
		}
		i := slices.IndexFunc(all[at:], func(d *done) bool { return slices.Contains(found, d) })
		if i < 0 {
			return nil, fmt.Errorf("%q ran before %q%s", name, names[slices.Index(names, name)-1], r.ranText())
		}
		at += i + 1
	}
	return true, nil
}

func kindOf(d *done) string {
	if d.module == "" {
		return "task"
	}
	return "step"
}

// only is result:only { name, … }: the bodies of these tasks ran, in this order, and no others.
func (r *result) only(_ context.Context, c recipe.Called) (any, error) {
	if len(c.Args) != 1 {
		return nil, form(`result:only { "first", "second" }`)
	}
	names, err := texts(c.Args[0])
	if err != nil {
		return nil, fmt.Errorf("cannot look at these tasks: %w", err)
	}
	for _, name := range names {
		if !slices.Contains(r.names, name) {
			return nil, fmt.Errorf("there is no task %q%s", name, ofThese(name, r.names))
		}
	}
	if difference := compare("", any(r.tasksRun()), any(list(names))); difference != "" {
		return nil, fmt.Errorf("other tasks ran: %s%s", difference, r.ranText())
	}
	return true, nil
}

// asked is result:asked("phase", "part of the question"): what stands before the phase, or in a task of it, was asked.
func (r *result) asked(_ context.Context, c recipe.Called) (any, error) {
	if len(c.Args) == 0 || len(c.Args) > 2 {
		return nil, form(`result:asked("phase", "part of the question")`)
	}
	phase, part := text(c.Args[0]), ""
	if len(c.Args) == 2 {
		part = text(c.Args[1])
	}
	var phases []string
	for _, q := range r.questions {
		phases = append(phases, q.phase)
		if q.phase != phase {
			continue
		}
		if strings.Contains(q.text, part) {
			return true, nil
		}
		return nil, fmt.Errorf("the question of %s has no %q in it: %s", phase, part, q.text)
	}
	return nil, fmt.Errorf("nothing was asked before %s%s", phase, ofThese(phase, phases))
}

// notAsked is result:not_asked("phase").
func (r *result) notAsked(_ context.Context, c recipe.Called) (any, error) {
	if len(c.Args) != 1 {
		return nil, form(`result:not_asked("phase")`)
	}
	for _, q := range r.questions {
		if q.phase == text(c.Args[0]) {
			return nil, fmt.Errorf("this was asked before %s: %s", q.phase, q.text)
		}
	}
	return true, nil
}

// says is result:says("part of a text"): the recipe said it.
func (r *result) says(_ context.Context, c recipe.Called) (any, error) {
	if len(c.Args) != 1 {
		return nil, form(`result:says("part of a text")`)
	}
	part := text(c.Args[0])
	if slices.ContainsFunc(r.said, func(said string) bool { return strings.Contains(said, part) }) {
		return true, nil
	}
	if len(r.said) == 0 {
		return nil, fmt.Errorf("nothing was said, so not %q", part)
	}
	return nil, fmt.Errorf("%q was not said; this was:\n%s", part, strings.Join(r.said, "\n"))
}

// step is result:step(title or module, host): the one step of that name as a table.
func (r *result) step(_ context.Context, c recipe.Called) (any, error) {
	return r.one(c, "step", func(name, host string) ([]*done, error) { return r.findSteps(name, host) })
}

// taskOf is result:task(name): the task as a table.
func (r *result) taskOf(_ context.Context, c recipe.Called) (any, error) {
	return r.one(c, "task", func(name, host string) ([]*done, error) {
		found, err := r.find(name, host)
		if err == nil && found[0].module != "" {
			err = fmt.Errorf("there is no task %q; result:step(…) gives a step%s", name, ofThese(name, r.names))
		}
		return found, err
	})
}

func (r *result) one(c recipe.Called, method string, find func(name, host string) ([]*done, error)) (any, error) {
	name, host, _, err := r.named(c, method)
	if name == "" {
		return nil, err
	}
	found, err := find(name, host)
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		return nil, fmt.Errorf("cannot give the one %s %q: there are %d; give a host as well, or go through result.steps", method, name, len(found))
	}
	return found[0].table(), nil
}
