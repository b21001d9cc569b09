package recipe

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"

	"runner/runtime/module"
)

var validName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// declare is recipe{…}: it reads what the recipe needs, gets it, and fills hosts, groups and params.
func (r *Recipe) declare(l *lua.LState) int {
	r.atTop(l, "recipe")
	if r.declaration != nil {
		return r.mistake(l, "cannot declare the recipe again: that was done in %s", r.lineOf(l, r.declaredAt))
	}
	t, ok := l.Get(1).(*lua.LTable)
	if !ok || l.GetTop() != 1 {
		return r.mistake(l, "cannot declare the recipe: recipe { name = …, hosts = { … }, params = { … } } takes one table, not %s", shown(l.Get(1)))
	}
	at := r.where(l)
	d, err := r.readDeclaration(at, t)
	if err == nil {
		err = r.extendDeclaration(&d)
	}
	if err != nil {
		return r.raise(l, err)
	}
	r.declaration, r.declaredAt = &d, at
	var in Inputs
	if r.options.Resolve != nil {
		err = r.guarded(func() (err error) {
			r.pause(func() { in, err = r.options.Resolve(d) })
			return err
		})
	}
	if err == nil {
		in, err = d.Complete(in)
	}
	if err != nil {
		return r.raise(l, err)
	}
	if err := r.take(d, in); err != nil {
		return r.raise(l, err)
	}
	return 0
}

// take fills what the recipe sees with its inputs.
func (r *Recipe) take(d Declaration, in Inputs) error {
	r.inputs = in
	hosts, groups, params := map[string]lua.LValue{}, map[string]lua.LValue{}, map[string]lua.LValue{}
	for name, h := range in.Hosts {
		hosts[name] = r.hostValue(h)
	}
	for _, g := range d.Groups {
		list := r.state.NewTable()
		for _, h := range in.Groups[g.Name] {
			list.Append(r.hostValue(h))
		}
		groups[g.Name] = list
	}
	for name, v := range in.Params {
		value, err := r.value(v)
		if err != nil {
			return fmt.Errorf("cannot use the parameter %s: %w", name, err)
		}
		params[name] = value
	}
	r.catalogue("hosts", "host", hosts, namesOfHosts(d.Hosts))
	r.catalogue("groups", "group", groups, namesOfHosts(d.Groups))
	r.catalogue("params", "parameter", params, namesOfParams(d.Params))
	for _, name := range slices.Sorted(maps.Keys(in.Saved)) {
		value, err := r.value(in.Saved[name])
		if err != nil {
			return fmt.Errorf("cannot bring back saved.%s: %w", name, err)
		}
		r.saved.RawSetString(name, value)
	}
	r.defineRunner(r.options.Check || in.Check)
	return nil
}

func namesOfHosts(list []HostDecl) []string {
	names := make([]string, len(list))
	for i, h := range list {
		names[i] = h.Name
	}
	return names
}

func namesOfParams(list []ParamDecl) []string {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = p.Name
	}
	return names
}

// readDeclaration reads the table of recipe{…}.
func (r *Recipe) readDeclaration(at Position, t *lua.LTable) (d Declaration, err error) {
	f := fieldsReader{what: "the recipe", table: t}
	f.known("name", "help", "hosts", "groups", "params")
	d.Name, d.Help = f.text("name"), f.text("help")
	places := declaredPlaces(r.files[at.File], at, "recipe")
	hosts, groups, params := f.inner("hosts"), f.inner("groups"), f.inner("params")
	if f.err == nil && d.Name == "" {
		f.err = errors.New(`cannot declare the recipe: name is missing (recipe { name = "…" })`)
	}
	if f.err != nil {
		return d, f.err
	}
	if d.Hosts, err = readHosts("host", hosts, places("hosts")); err != nil {
		return d, err
	}
	if d.Groups, err = readHosts("group", groups, places("groups")); err != nil {
		return d, err
	}
	d.Params, err = readParams(params, places("params"))
	return d, err
}

// place finds where a name is declared, and its number in the order of the file.
type place func(name string) (at Position, order int)

// declaredPlaces finds the lines on which the names in a table of recipe{…} or extend("…", {…}) stand; at is that of the
// call itself.
func declaredPlaces(f *file, at Position, call string) func(table string) place {
	lines, order := map[string]int{}, map[string]int{}
	if f != nil {
		walk(f.stmts, func(n any) {
			c, ok := n.(*ast.FuncCallExpr)
			if !ok || len(c.Args) == 0 {
				return
			}
			if id, ok := c.Func.(*ast.IdentExpr); !ok || id.Value != call {
				return
			}
			eachField(c.Args[len(c.Args)-1], func(table string, value ast.Expr, _ int) {
				eachField(value, func(name string, _ ast.Expr, line int) {
					lines[table+"."+name], order[table+"."+name] = line, len(order)
				})
			})
		})
	}
	return func(table string) place {
		return func(name string) (Position, int) {
			if line := lines[table+"."+name]; line > 0 {
				return Position{File: at.File, Line: line}, order[table+"."+name]
			}
			return at, len(order)
		}
	}
}

func eachField(e ast.Expr, visit func(name string, value ast.Expr, line int)) {
	t, ok := e.(*ast.TableExpr)
	if !ok {
		return
	}
	for _, f := range t.Fields {
		if key, ok := f.Key.(*ast.StringExpr); ok {
			visit(key.Value, f.Value, max(key.Line(), f.Value.Line()))
		}
	}
}

// fieldsReader reads the fields of a table that a recipe declares something with. It remembers the first error.
type fieldsReader struct {
	what  string // "the parameter database"
	table *lua.LTable
	err   error
}

func (f *fieldsReader) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf("cannot declare %s: %w", f.what, fmt.Errorf(format, args...))
	}
}

// known refuses all other fields.
func (f *fieldsReader) known(names ...string) {
	k, err := keysOf("the table", f.table)
	switch {
	case err != nil:
		f.fail("%v", err)
	case k.numbers > 0:
		f.fail("%s has no name", shown(f.table.RawGetInt(1)))
	}
	for _, key := range k.names {
		if slices.Contains(names, key) {
			continue
		}
		if near := module.Nearest(key, slices.Clone(names)); near != "" {
			f.fail("%s is no field of it; did you mean %q?", key, near)
			continue
		}
		f.fail("%s is no field of it; there are %s", key, strings.Join(names, ", "))
	}
}

func (f *fieldsReader) text(name string) string {
	switch v := f.table.RawGetString(name).(type) {
	case *lua.LNilType:
	case lua.LString:
		return string(v)
	default:
		f.fail("%s must be text, not %s", name, shown(v))
	}
	return ""
}

// flag is true, false or nil when it is not there.
func (f *fieldsReader) flag(name string) *bool {
	switch v := f.table.RawGetString(name).(type) {
	case *lua.LNilType:
	case lua.LBool:
		b := bool(v)
		return &b
	default:
		f.fail("%s must be true or false, not %s", name, shown(v))
	}
	return nil
}

func (f *fieldsReader) inner(name string) *lua.LTable {
	switch v := f.table.RawGetString(name).(type) {
	case *lua.LNilType:
	case *lua.LTable:
		return v
	default:
		f.fail("%s must be a table, %s = { name = \"help\" }, not %s", name, name, shown(v))
	}
	return nil
}

func (f *fieldsReader) texts(name string) (list []string) {
	t := f.inner(name)
	if t == nil {
		return nil
	}
	for i := 1; i <= t.Len(); i++ {
		s, ok := t.RawGetInt(i).(lua.LString)
		if !ok {
			f.fail("%s must be a list of texts; item %d is %s", name, i, shown(t.RawGetInt(i)))
			return nil
		}
		list = append(list, string(s))
	}
	return list
}

// readHosts reads hosts = { old = "help" } or groups = { web = "help" }.
func readHosts(what string, t *lua.LTable, where place) (list []HostDecl, err error) {
	err = eachDeclared(what, t, where, func(name string, at Position, v lua.LValue) error {
		h := HostDecl{Name: name, At: at}
		switch v := v.(type) {
		case lua.LString:
			h.Help = string(v)
		case *lua.LTable:
			f := fieldsReader{what: "the " + what + " " + name, table: v}
			f.known("help", "optional")
			h.Help = f.text("help")
			optional := f.flag("optional")
			h.Optional = optional != nil && *optional
			if f.err != nil {
				return f.err
			}
		default:
			return fmt.Errorf("cannot declare the %s %s: it must be a text that explains it, not %s", what, name, shown(v))
		}
		list = append(list, h)
		return nil
	})
	return list, err
}

// eachDeclared goes through a table of declarations in the order of the file.
func eachDeclared(what string, t *lua.LTable, where place, read func(name string, at Position, v lua.LValue) error) error {
	if t == nil {
		return nil
	}
	k, err := keysOf("the table", t)
	if err != nil {
		return fmt.Errorf("cannot declare the %ss of the recipe: %w", what, err)
	}
	if k.numbers > 0 {
		return fmt.Errorf("cannot declare the %ss of the recipe: %s has no name; write { name = \"what it is\", … }", what, shown(t.RawGetInt(1)))
	}
	slices.SortStableFunc(k.names, func(a, b string) int {
		_, first := where(a)
		_, second := where(b)
		return first - second
	})
	for _, name := range k.names {
		at, _ := where(name)
		if !validName.MatchString(name) {
			err = fmt.Errorf("cannot declare the %s %q: a name is made of letters, digits and _", what, name)
		} else {
			err = read(name, at, t.RawGetString(name))
		}
		if err != nil {
			return &Error{At: at, What: err.Error()}
		}
	}
	return nil
}
