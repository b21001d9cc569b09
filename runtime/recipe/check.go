package recipe

import (
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"

	"runner/runtime/module"
)

// check looks for mistakes that a file shows without being run, so that they do not wait in the middle of a move: names that
// there are not, calls of modules in a wrong form, arguments that a module does not take or that it misses. It reports the first one.
func (r *Recipe) check(files ...*file) error {
	c := checker{Recipe: r, globals: map[string]bool{}}
	for _, name := range r.names {
		c.collect(r.files[name])
	}
	for _, f := range files {
		c.file = f
		c.run()
		if len(c.found) > 0 {
			first := slices.MinFunc(c.found, func(a, b *Error) int { return a.At.Line - b.At.Line })
			return first
		}
	}
	return nil
}

type checker struct {
	*Recipe
	globals map[string]bool // that files set
	file    *file
	found   []*Error
}

func (c *checker) collect(f *file) {
	nothing := func(string, int) {}
	s := scopes{
		read: nothing, field: func([]string, int) {}, call: func([]string, *ast.FuncCallExpr) {},
		write: func(name string, _, _ int) { c.globals[name] = true },
	}
	s.block(f.stmts)
}

// report notes a mistake at the place of a name, or of the names of a path, on a line.
func (c *checker) report(line int, path []string, format string, args ...any) {
	e := c.file.mistake(line, format, args...)
	e.At.Column = c.file.column(line, path...)
	c.found = append(c.found, e)
}

func (c *checker) run() {
	s := scopes{read: c.read, write: c.write, field: c.field, call: c.call}
	s.block(c.file.stmts)
}

func (c *checker) read(name string, line int) {
	runners := c.state.G.Global
	if c.globals[name] || runners.RawGetString(name) != lua.LNil {
		return
	}
	known := namesOf(runners)
	for g := range c.globals {
		known = append(known, g)
	}
	c.report(line, []string{name}, "%s", unknownName(name, absent[name], name, known, ""))
}

func (c *checker) write(name string, line, depth int) {
	switch {
	case c.state.G.Global.RawGetString(name) != lua.LNil:
		c.report(line, []string{name}, "%s", belongs(name))
	case depth > 0:
		c.report(line, []string{name}, "cannot set the global %s in a function: write local %s = …; what later tasks need goes into saved.%s", name, name, name)
	}
}

// field checks the fields of what is closed: hosts, groups, params, runner, the libraries and the families of modules.
func (c *checker) field(path []string, line int) {
	if len(path) != 2 || c.globals[path[0]] {
		return
	}
	table, name := path[0], path[1]
	switch table {
	case "hosts":
		c.declared(table, "host", name, namesOfHosts(c.declaration.Hosts), line)
		return
	case "groups":
		c.declared(table, "group", name, namesOfHosts(c.declaration.Groups), line)
		return
	case "params":
		c.declared(table, "parameter", name, namesOfParams(c.declaration.Params), line)
		return
	case "saved":
		return
	}
	t, ok := c.state.G.Global.RawGetString(table).(*lua.LTable)
	if ok && t.RawGetString(name) == lua.LNil {
		c.report(line, path, "%s", c.unknown(table, t, lua.LString(name)))
	}
}

func (c *checker) declared(table, what, name string, names []string, line int) {
	if !slices.Contains(names, name) {
		c.report(line, []string{table, name}, "%s", undeclaredName(table, what, name, names))
	}
}

// call checks the calls of modules.
func (c *checker) call(path []string, call *ast.FuncCallExpr) {
	name := strings.Join(path, ".")
	i := slices.IndexFunc(c.options.Modules, func(m module.Module) bool { return m.Name == name })
	if i < 0 || c.globals[path[0]] {
		return
	}
	m := c.options.Modules[i]
	if n := len(call.Args); n != 1 {
		if n == 0 || !spreads(call.Args[n-1]) {
			c.argument(call, &module.ArgumentError{Module: name, Problem: formOf(name) + countOf(n)})
		}
		return
	}
	switch arg := call.Args[0].(type) {
	case *ast.TableExpr:
		c.names(m, call, arg)
	case *ast.StringExpr:
		c.argument(call, &module.ArgumentError{Module: name, Problem: formOf(name) + ", not " + shown(lua.LString(arg.Value))})
	case *ast.NumberExpr, *ast.TrueExpr, *ast.FalseExpr, *ast.NilExpr, *ast.FunctionExpr:
		c.argument(call, &module.ArgumentError{Module: name, Problem: formOf(name)})
	case *ast.AttrGetExpr:
		if object, ok := arg.Object.(*ast.IdentExpr); ok && object.Value == "hosts" {
			c.argument(call, &module.ArgumentError{Module: name, Problem: formOf(name) + ", not a host"})
		}
	}
}

func (c *checker) argument(call *ast.FuncCallExpr, err *module.ArgumentError) {
	e := c.file.mistake(call.Line(), "%v", err)
	e.At.Column = c.file.column(call.Line(), strings.Split(err.Module, ".")...)
	e.Err = err
	c.found = append(c.found, e)
}

// spreads says whether an expression can stand for several values or none.
func spreads(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.FuncCallExpr:
		return !e.AdjustRet
	case *ast.Comma3Expr:
		return !e.AdjustRet
	}
	return false
}

// names checks the names of the arguments, where the file shows them all.
func (c *checker) names(m module.Module, call *ast.FuncCallExpr, table *ast.TableExpr) {
	var names []string
	for _, f := range table.Fields {
		key, ok := f.Key.(*ast.StringExpr)
		if f.Key == nil {
			if spreads(f.Value) {
				return
			}
			c.argument(call, &module.ArgumentError{Module: m.Name, Problem: nameless(m.Name, "an argument")})
			return
		}
		if !ok {
			return
		}
		if _, isNil := f.Value.(*ast.NilExpr); !isNil {
			names = append(names, key.Value)
		}
	}
	if err := m.CheckNames(names); err != nil {
		c.argument(call, err)
		if line := keyLine(table, err.Argument); line > 0 {
			last := c.found[len(c.found)-1]
			last.At.Line, last.At.Column, last.Line = line, c.file.column(line, err.Argument), c.file.lines[line-1]
		}
	}
}

// keyLine is the line on which a name stands as a key of a table; 0: it does not.
func keyLine(table *ast.TableExpr, name string) int {
	for _, f := range table.Fields {
		if key, ok := f.Key.(*ast.StringExpr); ok && key.Value == name {
			return key.Line()
		}
	}
	return 0
}
