package recipe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"

	"runner/runtime/module"
)

// Lint reads a recipe and lists what is wrong with it or most likely not meant, in the order of the files: every mistake that would
// keep it from being loaded or that a call of a module shows as it stands, and what works but is unwise: declared and never used,
// notified and never handled, destroyed without a backup, shadowed, global. What is unwise is not told of a line with a comment "-- lint: WHY". No task is run. Options.Resolve gives what
// the recipe needs to be loaded; stand-ins will do. The error is one of reading, not of the recipe.
func Lint(ctx context.Context, src Source, o Options) ([]*Error, error) {
	o.unchecked = true
	r, err := Load(ctx, src, o)
	var wrong *Error
	switch {
	case errors.As(err, &wrong):
		return []*Error{wrong}, nil
	case err != nil:
		return nil, err
	}
	defer r.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &linter{checker: &checker{Recipe: r, globals: map[string]bool{}}, fields: map[string]map[string]bool{}, whole: map[string]bool{}, notified: map[string]bool{}}
	return l.run(), nil
}

// linter goes through the files of a recipe.
type linter struct {
	*checker
	fields   map[string]map[string]bool // of params, hosts and groups: those that are used
	whole    map[string]bool            // tables of these that are used as a whole, so that nobody can say what is used of them
	notified map[string]bool
	vague    bool // a notify is no constant
	dumped   bool // a dump of a database stands before
}

func (l *linter) run() []*Error {
	for _, name := range l.machine.names {
		l.collect(l.files[name])
	}
	for _, name := range l.machine.names {
		l.file = l.files[name]
		l.checker.run()
		s := scopes{read: l.read, write: l.write, field: l.field, call: l.call, shadow: l.shadow}
		s.block(l.file.stmts)
	}
	l.unused()
	l.found = slices.DeleteFunc(l.found, func(e *Error) bool {
		return !strings.HasPrefix(e.What, "cannot ") && strings.Contains(e.Line, "-- lint: ")
	})
	slices.SortStableFunc(l.found, func(a, b *Error) int {
		if a.At.File != b.At.File {
			return slices.Index(l.machine.names, a.At.File) - slices.Index(l.machine.names, b.At.File)
		}
		return cmp.Or(a.At.Line-b.At.Line, a.At.Column-b.At.Column)
	})
	return slices.CompactFunc(l.found, func(a, b *Error) bool { return a.At == b.At && a.What == b.What })
}

// field notes what is used of params, hosts and groups.
func (l *linter) field(path []string, _ int) {
	if l.fields[path[0]] == nil {
		l.fields[path[0]] = map[string]bool{}
	}
	l.fields[path[0]][path[1]] = true
}

// read is called for each use of a global. One that no field follows may be handed on as a whole.
func (l *linter) read(name string, line int) {
	if name != "params" && name != "hosts" && name != "groups" {
		return
	}
	constant := false
	walk(l.file.stmts, func(n any) {
		if a, ok := n.(*ast.AttrGetExpr); ok && a.Line() == line {
			object, isName := a.Object.(*ast.IdentExpr)
			_, isText := a.Key.(*ast.StringExpr)
			constant = constant || isName && isText && object.Value == name
		}
	})
	if !constant {
		l.whole[name] = true
	}
}

func (l *linter) write(name string, line, depth int) {
	if depth == 0 && l.state.G.Global.RawGetString(name) != lua.LNil && !l.globals[name] {
		return // told as a mistake
	}
	if depth == 0 {
		l.report(line, []string{name}, "the global %s is seen by every file: write local %s, or return it from a file that is required", name, name)
	}
}

func (l *linter) shadow(name string, line int) {
	v := l.state.G.Global.RawGetString(name)
	if v == lua.LNil || l.globals[name] {
		return
	}
	what := "what runner calls " + name
	if slices.ContainsFunc(l.options.Modules, func(m module.Module) bool { return m.Name == name || strings.HasPrefix(m.Name, name+".") }) {
		what = "the module " + name
	}
	l.report(line, []string{name}, "the local %s hides %s: choose another name", name, what)
}

// unused tells what is declared and that no file uses.
func (l *linter) unused() {
	tell := func(table, what string, name string, at Position) {
		if l.fields[table][name] || l.whole[table] {
			return
		}
		f := l.files[at.File]
		if f == nil {
			return
		}
		l.file = f
		l.report(at.Line, []string{name}, "the %s %s is declared and never used", what, name)
	}
	for _, p := range l.declaration.Params {
		tell("params", "parameter", p.Name, p.At)
	}
	for _, h := range l.declaration.Hosts {
		tell("hosts", "host", h.Name, h.At)
	}
	for _, g := range l.declaration.Groups {
		tell("groups", "group", g.Name, g.At)
	}
	for _, h := range l.handlers {
		if l.file = l.files[h.at.File]; l.file != nil && !l.notified[h.name] && !l.vague {
			l.report(h.at.Line, []string{"handler"}, "the handler %q is never notified", h.name)
		}
	}
	for _, p := range l.phases {
		if l.file = l.files[p.At.File]; l.file != nil && len(p.Tasks) == 0 {
			l.report(p.At.Line, []string{"phase"}, "the phase %s has no task", p.Name)
		}
	}
}

// call looks at a call of a module as it stands in the file.
func (l *linter) call(path []string, call *ast.FuncCallExpr) {
	name := strings.Join(path, ".")
	i := slices.IndexFunc(l.options.Modules, func(m module.Module) bool { return m.Name == name })
	if i < 0 || l.globals[path[0]] || len(call.Args) != 1 {
		return
	}
	table, ok := call.Args[0].(*ast.TableExpr)
	if !ok {
		return
	}
	given := constants(table)
	l.notifies(call, table, given)
	l.decode(l.options.Modules[i], call, table, given)
	l.destroys(l.options.Modules[i], path, call, given)
}

func (l *linter) notifies(call *ast.FuncCallExpr, table *ast.TableExpr, given map[string]any) {
	if keyLine(table, "notify") == 0 {
		return
	}
	var names []any
	switch v := given["notify"].(type) {
	case string:
		names = []any{v}
	case []any:
		names = v
	default:
		l.vague = true
	}
	for _, v := range names {
		name, _ := v.(string)
		l.notified[name] = true
		if slices.ContainsFunc(l.handlers, func(h *handler) bool { return h.name == name }) {
			continue
		}
		text := fmt.Sprintf("notify names the handler %q, which the recipe does not have", name)
		if near := module.Nearest(name, namesOfHandlers(l.handlers)); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		l.report(keyLine(table, "notify"), []string{"notify"}, "%s", text)
	}
}

func namesOfHandlers(handlers []*handler) (names []string) {
	for _, h := range handlers {
		names = append(names, h.name)
	}
	return names
}

// decode tries the arguments whose values stand in the file. A host stands in for what only a run knows where a host is wanted.
func (l *linter) decode(m module.Module, call *ast.FuncCallExpr, table *ast.TableExpr, given map[string]any) {
	values := map[string]any{}
	for name, v := range given {
		if name != "notify" {
			values[name] = v
		}
	}
	for _, f := range m.Fields() {
		if _, known := values[f.Name]; !known && f.TypeName() == "host" {
			values[f.Name] = module.HostName("a")
		}
	}
	_, err := m.Decode(values)
	var argument *module.ArgumentError
	if !errors.As(err, &argument) || argument.Argument == "" {
		return
	}
	name, _, _ := strings.Cut(argument.Argument, ".")
	if _, known := given[name]; !known {
		return // it may be right when it is run
	}
	line := keyLine(table, name)
	if line == 0 {
		line = call.Line()
	}
	l.report(line, []string{name}, "%v", argument)
}

// destroys tells of steps that leave no way back.
func (l *linter) destroys(m module.Module, path []string, call *ast.FuncCallExpr, given map[string]any) {
	switch name := m.Name; {
	case given["backup"] == false && slices.ContainsFunc(m.Fields(), func(f module.Field) bool { return f.Name == "backup" }):
		l.report(call.Line(), path, "%s keeps no backup of what it overwrites (backup = false): there is no way back", name)
	case name == "mysql.dump":
		l.dumped = true
	case name == "mysql.exec" && !l.dumped:
		sql, _ := given["sql"].(string)
		verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(sql)), " ")
		if slices.Contains([]string{"DROP", "DELETE", "TRUNCATE", "UPDATE", "ALTER", "REPLACE"}, verb) {
			l.report(call.Line(), path, "mysql.exec runs %s and no mysql.dump stands before it: there is no way back", verb)
		}
	case name == "command":
		argv, _ := given["argv"].([]any)
		if program := destroyer(argv); program != "" {
			l.report(call.Line(), path, "command runs %s, which destroys without a backup: file { state = \"absent\" } keeps one", program)
		}
	}
}

// destroyer is the program of a command line that removes or overwrites; empty: none is known to.
func destroyer(argv []any) string {
	known := []string{"rm", "shred", "dd", "wipefs", "truncate", "unlink"}
	for i, v := range argv {
		word, _ := v.(string)
		program := word[strings.LastIndexByte(word, '/')+1:]
		switch {
		case i == 0 && (slices.Contains(known, program) || strings.HasPrefix(program, "mkfs")):
			return program
		case i > 0 && argv[i-1] == "-c":
			if first, _, _ := strings.Cut(strings.TrimSpace(word), " "); slices.Contains(known, first) {
				return first
			}
		}
	}
	return ""
}

// constants are the fields of a table whose values stand in the file, as a module takes them.
func constants(table *ast.TableExpr) map[string]any {
	values := map[string]any{}
	for _, f := range table.Fields {
		if key, ok := f.Key.(*ast.StringExpr); ok {
			if v, ok := constant(f.Value); ok {
				values[key.Value] = v
			}
		}
	}
	return values
}

func constant(e ast.Expr) (any, bool) {
	switch e := e.(type) {
	case *ast.StringExpr:
		return e.Value, true
	case *ast.NumberExpr:
		n, ok := lua.LVAsNumber(lua.LString(e.Value)), true
		return float64(n), ok
	case *ast.TrueExpr:
		return true, true
	case *ast.FalseExpr:
		return false, true
	case *ast.TableExpr:
		var list []any
		values := map[string]any{}
		for _, f := range e.Fields {
			v, ok := constant(f.Value)
			key, named := f.Key.(*ast.StringExpr)
			switch {
			case !ok || f.Key != nil && !named:
				return nil, false
			case named:
				values[key.Value] = v
			default:
				list = append(list, v)
			}
		}
		switch {
		case len(values) == 0:
			return list, len(list) > 0 // an empty table may be a list or not
		case len(list) == 0:
			return values, true
		}
	}
	return nil, false
}
