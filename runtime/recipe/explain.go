package recipe

import (
	"fmt"
	"regexp"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// explanation words one message of the virtual machine for an operator. parts are what its pattern captured.
type explanation struct {
	pattern *regexp.Regexp
	word    func(m *machine, at Position, parts []string) string
}

// explanations of the messages of gopher-lua 1.1.
func explanations() []explanation {
	plain := func(format string) func(*machine, Position, []string) string {
		return func(_ *machine, _ Position, parts []string) string {
			args := make([]any, len(parts))
			for i, p := range parts {
				args[i] = kindName(p)
			}
			return fmt.Sprintf(format, args...)
		}
	}
	rule := func(pattern string, word func(*machine, Position, []string) string) explanation {
		return explanation{regexp.MustCompile(`^` + pattern + `$`), word}
	}
	return []explanation{
		rule(`attempt to index a non-table object\((\w+)\) with key '(.*)'`, explainIndex),
		rule(`attempt to call a non-function object`, explainCall),
		rule(`cannot perform concat operation between (\w+) and (\w+)`, plain("cannot join %s and %s with \"..\"")),
		rule(`cannot perform (\w+) operation between (\w+) and (\w+)`, explainArithmetic),
		rule(`attempt to compare (\w+) with (\w+)`, plain("cannot compare %s with %s")),
		rule(`__len undefined`, plain("cannot count with \"#\": that works on tables and texts only")),
		rule(`__unm undefined`, plain("cannot put a minus before something that is no number")),
		rule(`bad argument #(\d+) to (\S+) \((\w+) expected, got (\w+)\)`, func(_ *machine, _ Position, p []string) string {
			return fmt.Sprintf("cannot call %s: argument %s must be %s, not %s", p[1], p[0], kindName(p[2]), kindName(p[3]))
		}),
		rule(`bad argument #(\d+) to (\S+) \((.*)\)`, func(_ *machine, _ Position, p []string) string {
			return fmt.Sprintf("cannot call %s: argument %s: %s", p[1], p[0], p[2])
		}),
		rule(`for statement (\w+) must be a number`, func(_ *machine, _ Position, p []string) string {
			return fmt.Sprintf("cannot begin the loop: its %s must be a number", map[string]string{"init": "first value", "limit": "last value", "step": "step"}[p[0]])
		}),
		rule(`table index is (nil|NaN)`, func(_ *machine, _ Position, p []string) string {
			return fmt.Sprintf("cannot set a field of a table: its name is %s", p[0])
		}),
		rule(`stack overflow|too many recursions in \w+`, plain(tooDeep)),
		rule(`registry overflow`, plain("cannot go on: too many values at once (functions that call each other without end, or unpack of a very long list)")),
	}
}

// explain words a message of the virtual machine for an operator. Any other message stays as it is.
func (m *machine) explain(at Position, what string) string {
	if m.rules == nil {
		m.rules = explanations()
	}
	for _, e := range m.rules {
		if parts := e.pattern.FindStringSubmatch(what); parts != nil {
			return e.word(m, at, parts[1:])
		}
	}
	return what
}

// subject is the path of names that an explanation speaks of.
func subject(explanation string) []string {
	for _, form := range []string{`^cannot use the field (\w+) of ([\w.]+): `, `^cannot call ([\w.:]+): it is no function`} {
		switch parts := regexp.MustCompile(form).FindStringSubmatch(explanation); len(parts) {
		case 3:
			return append(strings.Split(parts[2], "."), parts[1])
		case 2:
			return strings.FieldsFunc(parts[1], func(r rune) bool { return r == '.' || r == ':' })
		}
	}
	return nil
}

func kindName(kind string) string {
	switch kind {
	case "nil":
		return "nil"
	case "string":
		return "text"
	case "userdata":
		return "a host, secret or error"
	case "table", "number", "boolean", "function", "thread":
		return "a " + kind
	}
	return kind
}

func explainArithmetic(_ *machine, _ Position, parts []string) string {
	sign := map[string]string{"add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%", "pow": "^"}[parts[0]]
	return fmt.Sprintf("cannot calculate %s %s %s", kindName(parts[1]), sign, kindName(parts[2]))
}

// explainIndex says what x is in x.y, when the line has only one expression that ends in y.
func explainIndex(m *machine, at Position, parts []string) string {
	kind, key := kindName(parts[0]), parts[1]
	var found []string
	m.expressions(at, func(e ast.Expr) {
		switch e := e.(type) {
		case *ast.AttrGetExpr:
			if k, ok := e.Key.(*ast.StringExpr); ok && k.Value == key {
				found = append(found, source(e.Object))
			}
		case *ast.FuncCallExpr:
			if e.Method == key && e.Receiver != nil {
				found = append(found, source(e.Receiver))
			}
		}
	})
	if name := only(found); name != "" {
		return fmt.Sprintf("cannot use the field %s of %s: %s is %s", key, name, name, kind)
	}
	return fmt.Sprintf("cannot use the field %s of %s", key, kind)
}

// explainCall says what was called, when the line has only one call of something that may not be a function.
func explainCall(m *machine, at Position, _ []string) string {
	var found []string
	m.expressions(at, func(e ast.Expr) {
		c, ok := e.(*ast.FuncCallExpr)
		if !ok {
			return
		}
		name := source(c.Func)
		if c.Receiver != nil {
			name = source(c.Receiver) + ":" + c.Method
		}
		if m.state.G.Global.RawGetString(name).Type() != lua.LTFunction {
			found = append(found, name)
		}
	})
	if loop := m.loopOver(at); loop != "" && len(found) == 0 {
		return fmt.Sprintf("cannot go through %s like this: write for _, x in ipairs(%s) do, or pairs", loop, loop)
	}
	if name := only(found); name != "" {
		return fmt.Sprintf("cannot call %s: it is no function", name)
	}
	return "cannot call something that is no function"
}

// loopOver is what a generic for on a line goes through without ipairs or pairs.
func (m *machine) loopOver(at Position) (over string) {
	if f := m.files[at.File]; f != nil {
		walk(f.stmts, func(n any) {
			if g, ok := n.(*ast.GenericForStmt); ok && g.Line() == at.Line && len(g.Exprs) == 1 {
				if _, isCall := g.Exprs[0].(*ast.FuncCallExpr); !isCall {
					over = source(g.Exprs[0])
				}
			}
		})
	}
	return over
}

// expressions visits the expressions that begin on a line.
func (m *machine) expressions(at Position, visit func(ast.Expr)) {
	f := m.files[at.File]
	if f == nil {
		return
	}
	walk(f.stmts, func(n any) {
		if e, ok := n.(ast.Expr); ok && e.Line() == at.Line {
			visit(e)
		}
	})
}

// only is the name when all are the same and it can be written down.
func only(names []string) string {
	for _, n := range names {
		if n != names[0] {
			return ""
		}
	}
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// source writes an expression of names and fields as it stands in the file; empty for any other.
func source(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.IdentExpr:
		return e.Value
	case *ast.AttrGetExpr:
		object := source(e.Object)
		if object == "" {
			return ""
		}
		switch key := e.Key.(type) {
		case *ast.StringExpr:
			return object + "." + key.Value
		case *ast.NumberExpr:
			return object + "[" + key.Value + "]"
		case *ast.IdentExpr:
			return object + "[" + key.Value + "]"
		}
	case *ast.FuncCallExpr:
		if name := source(e.Func); name != "" {
			return name + "(…)"
		}
	}
	return ""
}
