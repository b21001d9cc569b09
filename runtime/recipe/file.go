package recipe

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// maxSource bounds the size of a file of Lua, and with it the depth of nesting that the compiler must follow.
const maxSource = 256 << 10

// file is a file of Lua that was read.
type file struct {
	name  string // as messages name it
	lines []string
	stmts []ast.Stmt
	sum   string // SHA-256 of the text

	tokens []word // see words
}

// line is a line of a file, empty when there is none.
func (m *machine) line(p Position) string {
	f := m.files[p.File]
	if f == nil || p.Line < 1 || p.Line > len(f.lines) {
		return ""
	}
	return f.lines[p.Line-1]
}

// compile makes a function of a file.
func (m *machine) compile(name, text string) (fn *lua.LFunction, err error) {
	sum := sha256.Sum256([]byte(text))
	f := &file{name: name, lines: strings.Split(text, "\n"), sum: hex.EncodeToString(sum[:])}
	for i, line := range f.lines {
		f.lines[i] = strings.TrimSuffix(line, "\r")
	}
	if m.files[name] == nil {
		m.names = append(m.names, name)
	}
	m.files[name] = f
	proto, err := f.compile(text)
	if err != nil {
		return nil, err
	}
	return m.state.NewFunctionFromProto(proto), nil
}

func (f *file) compile(text string) (proto *lua.FunctionProto, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = f.mistake(0, "cannot read this as Lua: %v", v)
		}
	}()
	switch {
	case len(text) > maxSource:
		return nil, f.mistake(0, "cannot read a file of %d bytes: a file of Lua may have %d", len(text), maxSource)
	case strings.HasPrefix(text, "\x1bLua"):
		return nil, f.mistake(0, "cannot read compiled Lua: only its source can be run")
	case strings.ContainsRune(text, 0):
		return nil, f.mistake(1+strings.Count(text[:strings.IndexByte(text, 0)], "\n"), "cannot read this as Lua: there is a zero byte in it")
	}
	// A first line of #! makes a recipe a program of its own; its line stays, so that the numbers of the others are right.
	if strings.HasPrefix(text, "#") {
		text = "--" + text
	}
	text = strings.TrimPrefix(text, "\ufeff")
	f.stmts, err = parse.Parse(strings.NewReader(text), f.name)
	if err != nil {
		return nil, f.syntax(err)
	}
	avoidDeadBranches(f.stmts)
	proto, err = lua.Compile(f.stmts, f.name)
	if err != nil {
		return nil, f.syntax(err)
	}
	return proto, nil
}

func (f *file) mistake(line int, format string, args ...any) *Error {
	e := &Error{At: Position{File: f.name, Line: line, Column: f.column(line)}, What: fmt.Sprintf(format, args...)}
	if line > 0 && line <= len(f.lines) {
		e.Line = f.lines[line-1]
	}
	return e
}

// syntax words an error of the parser or the compiler.
func (f *file) syntax(err error) error {
	switch e := err.(type) {
	case *parse.Error:
		if e.Pos.Line < 1 {
			return f.mistake(f.last(), "cannot read this as Lua: the file ends in the middle of something (is an \"end\", a \"}\" or a \")\" missing?)")
		}
		line, column := e.Pos.Line, e.Pos.Column
		if token := strings.TrimSpace(e.Token); line > 1 && line <= len(f.lines) && !strings.Contains(f.lines[line-1], token) && strings.Contains(f.lines[line-2], token) {
			line, column = line-1, 0 // a text that does not end is noticed on the next line
		}
		what := f.mistake(line, "cannot read this as Lua: %s", syntaxText(e))
		if column > 0 {
			what.At.Column = column
		}
		return what
	case *lua.CompileError:
		var label string
		var line int
		if n, _ := fmt.Sscanf(e.Message, "no visible label %s for <goto> at line %d", &label, &line); n == 2 {
			return f.mistake(line, "cannot read this as Lua: there is no label %s to go to", strings.Trim(label, "'"))
		}
		return f.mistake(e.Line, "cannot read this as Lua: %s", e.Message)
	}
	return f.mistake(0, "cannot read this as Lua: %v", err)
}

func syntaxText(e *parse.Error) string {
	if strings.TrimSpace(e.Token) == "" {
		return e.Message
	}
	if e.Message == "syntax error" || e.Message == "parse error" {
		return fmt.Sprintf("%q does not belong here", e.Token)
	}
	return fmt.Sprintf("%s at %q", e.Message, e.Token)
}

// last is the last line that is not empty.
func (f *file) last() int {
	for i := len(f.lines); i > 0; i-- {
		if strings.TrimSpace(f.lines[i-1]) != "" {
			return i
		}
	}
	return 1
}
