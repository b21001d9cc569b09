package recipe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// defineModules adds a function for each module. A name with a dot stands in a table; when the part before the dot is a
// module too, that table can be called.
func (r *Recipe) defineModules() error {
	names := make([]string, 0, len(r.options.Modules))
	for _, m := range r.options.Modules {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	g := r.state.G.Global
	for _, name := range names {
		first, rest, dotted := strings.Cut(name, ".")
		if !dotted {
			if g.RawGetString(name) != lua.LNil {
				return fmt.Errorf("cannot add the module %s: there is already something of that name", name)
			}
			g.RawSetString(name, r.moduleFunction(name, 0))
			continue
		}
		family, err := r.family(first)
		if err != nil {
			return err
		}
		family.RawSetString(rest, r.moduleFunction(name, 0))
	}
	return nil
}

// family is the table of the modules whose names begin with name and a dot.
func (r *Recipe) family(name string) (*lua.LTable, error) {
	g := r.state.G.Global
	switch v := g.RawGetString(name).(type) {
	case *lua.LTable:
		return v, nil
	case *lua.LNilType, *lua.LFunction:
		t := r.state.NewTable()
		if v.Type() == lua.LTFunction {
			meta := r.state.NewTable()
			meta.RawSetString("__call", r.moduleFunction(name, 1))
			t.Metatable = meta
		}
		r.closed(name, t)
		g.RawSetString(name, t)
		return t, nil
	}
	return nil, fmt.Errorf("cannot add modules that begin with %s: there is already something of that name", name)
}

// moduleFunction is what a recipe calls as a module. skip is how many arguments come before those of the recipe.
func (r *Recipe) moduleFunction(name string, skip int) *lua.LFunction {
	return r.state.NewFunction(func(l *lua.LState) int {
		t := r.inTask(l, name)
		at := r.place(r.where(l), strings.Split(name, ".")...)
		step := Step{Module: name, Values: r.arguments(l, at, name, skip), At: at, Undo: t.mode == undoing}
		var found map[string]any
		err := r.guarded(func() (err error) {
			found, err = t.engine.Step(t, step)
			return err
		})
		if err != nil {
			return r.raiseAt(l, at, err)
		}
		l.Push(r.result(l, name, found))
		return 1
	})
}

// arguments are the values of a module's call, which stands at a place of the recipe.
func (r *Recipe) arguments(l *lua.LState, at Position, name string, skip int) map[string]any {
	if n := l.GetTop() - skip; n != 1 || l.Get(skip+1).Type() != lua.LTTable {
		problem := formOf(name) + countOf(n)
		if n == 1 {
			problem = formOf(name) + ", not " + shown(l.Get(skip+1))
		}
		r.raiseAt(l, at, &module.ArgumentError{Module: name, Problem: problem})
	}
	t := threadOf(l)
	x := export{reveal: func(s *secret) (any, error) { return r.reveal(t, s) }}
	values := map[string]any{}
	table := l.Get(skip + 1).(*lua.LTable)
	k, err := keysOf("the table", table)
	if err != nil {
		r.raiseAt(l, at, &module.ArgumentError{Module: name, Problem: err.Error()})
	}
	if k.numbers > 0 {
		r.raiseAt(l, at, &module.ArgumentError{Module: name, Problem: nameless(name, shown(table.RawGetInt(1)))})
	}
	x.path = map[*lua.LTable]bool{table: true}
	for _, key := range k.names {
		if values[key], err = x.value(key, table.RawGetString(key)); err != nil {
			if isFinal(err) {
				r.raiseAt(l, at, err)
			}
			r.raiseAt(l, at, &argumentProblem{ArgumentError: module.ArgumentError{Module: name, Problem: err.Error()}, err: err})
		}
	}
	return values
}

// argumentProblem is an argument that could not be made; err says why.
type argumentProblem struct {
	module.ArgumentError
	err error
}

// Hint is what the cause says is to be done: the call itself is as it should be.
func (e *argumentProblem) Hint() string {
	var h interface{ Hint() string }
	if errors.As(e.err, &h) {
		return h.Hint()
	}
	return ""
}

func (e *argumentProblem) Unwrap() []error { return []error{&e.ArgumentError, e.err} }

// formOf says how a module is called.
func formOf(name string) string {
	return "it takes one table of named arguments, " + name + " { on = hosts.name, … }"
}

func countOf(n int) string {
	if n == 0 {
		return "; nothing was given"
	}
	return fmt.Sprintf(", not %d values", n)
}

func nameless(module, what string) string {
	return what + " has no name; arguments are named, " + module + " { on = hosts.name, … }"
}

// result makes the table that a module's call returns.
func (r *Recipe) result(l *lua.LState, name string, found map[string]any) lua.LValue {
	v, err := r.value(found)
	if err != nil {
		r.raise(l, fmt.Errorf("cannot read the result of %s: %w", name, err))
	}
	t := v.(*lua.LTable)
	if t.RawGetString("changed") == lua.LNil {
		t.RawSetString("changed", lua.LFalse)
	}
	return t
}
