package recipetest

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
	"runner/runtime/recipe"
	"runner/runtime/run"
)

// stub stands in for steps: those with a title, those of a module, or with a * in its name those of several modules.
type stub struct {
	name   string
	at     recipe.Position
	result map[string]any
	fn     *recipe.Callback // makes the result of the arguments of the step; nil: it is always the same
	used   bool
}

// general says that the stub may well stand in for nothing.
func (s *stub) general() bool { return strings.Contains(s.name, "*") }

// rank says how closely a stub fits a step: by title before by module before by pattern; 0: it does not.
func (s *stub) rank(e run.Event) int {
	switch {
	case e.Title != "" && s.name == e.Title:
		return 3
	case s.name == e.Module:
		return 2
	case s.general():
		if ok, err := path.Match(s.name, e.Module); ok && err == nil {
			return 1
		}
	}
	return 0
}

// stub is stub("title or module", { … }) and stub("title or module", function(args) return { … } end).
func (b *bench) stub(_ context.Context, c recipe.Called) (any, error) {
	const want = `stub("title of a step, or module", { changed = true, … }), or a function(args) instead of the table`
	if len(c.Args) == 0 || len(c.Args) > 2 {
		return nil, form(want)
	}
	name, ok := c.Args[0].(string)
	if !ok || name == "" {
		return nil, form(want)
	}
	s := &stub{name: name, at: c.At}
	if len(c.Args) == 2 {
		if s.fn, ok = c.Args[1].(*recipe.Callback); !ok {
			if s.result, ok = table(c.Args[1:]); !ok {
				return nil, form(want)
			}
		}
	}
	if _, err := planOf(s.result, s.at); err != nil {
		return nil, fmt.Errorf("cannot let a stub stand in for %s: %w", name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stubs = append(b.stubs, s)
	return nil, nil
}

// instead is the plan of a step for which a stub stands in; nil: none does.
func (b *bench) instead(e run.Event, arguments map[string]any) func(context.Context) (*module.Plan, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.Title != "" {
		b.known[e.Title] = true
	}
	var found *stub
	best := 1
	for _, s := range b.stubs { // of those that fit alike, the last one counts
		if rank := s.rank(e); rank >= best {
			found, best = s, rank
		}
	}
	if found == nil {
		return nil
	}
	found.used = true
	return func(ctx context.Context) (*module.Plan, error) {
		result := found.result
		if found.fn != nil {
			args, _ := plain(arguments).(map[string]any)
			v, err := found.fn.Call(ctx, args, stepTable(e))
			if err != nil {
				return nil, err
			}
			var ok bool
			if result, ok = table([]any{v}); !ok && v != nil {
				return nil, fmt.Errorf("cannot use what the stub %q returned: it must be a table, not %s", found.name, text(v))
			}
		}
		p, err := planOf(result, found.at)
		if err != nil {
			return nil, fmt.Errorf("cannot use what the stub %q returned: %w", found.name, err)
		}
		return p.plan(e)
	}
}

func stepTable(e run.Event) map[string]any {
	return map[string]any{"module": e.Module, "title": e.Title, "task": e.Task, "phase": e.Phase, "hosts": list(e.Hosts), "undo": e.Undo, "check": e.Check}
}

// stubbed is the result of a stub: fields that mean something to runner, and the rest, which the recipe gets.
type stubbed struct {
	changes     []string
	fails       string
	absent      bool
	unreachable bool
	output      map[string]any
}

func planOf(result map[string]any, at recipe.Position) (stubbed, error) {
	r := reader{table: result}
	s := stubbed{fails: r.text("fails"), absent: r.flag("absent"), unreachable: r.flag("unreachable"), output: map[string]any{}}
	if r.flag("changed") {
		s.changes = []string{fmt.Sprintf("what a stub says (line %d)", at.Line)}
	}
	if v, ok := result["changes"]; ok {
		var err error
		if s.changes, err = texts(v); err != nil {
			r.fail("changes: %v", err)
		}
	}
	for k, v := range result {
		switch k {
		case "changed", "changes", "fails", "absent", "unreachable":
		default:
			s.output[k] = v
		}
	}
	return s, r.err
}

func (s stubbed) plan(e run.Event) (*module.Plan, error) {
	switch {
	case s.unreachable:
		name := "the host"
		if len(e.Hosts) > 0 {
			name = e.Hosts[0]
		}
		return nil, &host.UnreachableError{Host: name, Err: errors.New("connection refused")}
	case s.fails != "" && s.absent:
		return nil, module.Absent(errors.New(s.fails))
	case s.fails != "":
		return nil, errors.New(s.fails)
	}
	p := &module.Plan{Output: s.output}
	for _, summary := range s.changes {
		p.Changes = append(p.Changes, module.Change{Summary: summary, Action: true, Apply: func(context.Context, *module.Apply) error { return nil }})
	}
	return p, nil
}

// rows is rows { { name = "x" }, … }: what mysql.query gives for these rows.
func (b *bench) rows(_ context.Context, c recipe.Called) (any, error) {
	if len(c.Args) != 1 {
		return nil, form(`rows { { name = "x" }, … }`)
	}
	all, ok := asList(c.Args[0])
	if !ok {
		return nil, form(`rows { { name = "x" }, … }`)
	}
	if all == nil {
		all = []any{}
	}
	result := map[string]any{"rows": all, "count": float64(len(all))}
	if len(all) > 0 {
		result["first"] = all[0]
	}
	return result, nil
}
