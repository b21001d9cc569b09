package recipe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

const tooDeep = "cannot go on: functions call each other too deeply (does one call itself without end?)"

// failure is an error on its way through Lua: the value that pcall gives and the error of Go.
type failure struct {
	object lua.LValue
	err    error
}

// raise ends the running function with an error of Go. It does not return; its result is for the return statement of the caller.
func (m *machine) raise(l *lua.LState, err error) int { return m.raiseAt(l, m.where(l), err) }

// raiseAt is raise for an error whose place is known, unless the error knows a better one.
func (m *machine) raiseAt(l *lua.LState, at Position, err error) int {
	var e *Error
	if !errors.As(err, &e) || e.At.File == "" {
		err = m.at(at, err)
	}
	if errors.As(err, &e) && e.Trace == "" {
		e.Trace = strings.Join(m.trace(l), "\n")
		if e.Line == "" {
			e.Line = m.line(e.At)
		}
	}
	l.Error(m.errorValue(err), 1)
	return 0
}

// mistake ends the running function with a message about the recipe.
func (m *machine) mistake(l *lua.LState, format string, args ...any) int {
	return m.raise(l, &Error{What: fmt.Sprintf(format, args...)})
}

// stop ends the running function because its context has ended.
func (m *machine) stop(l *lua.LState) int { return m.raise(l, stoppedError(threadOf(l))) }

func stoppedError(t *thread) *Error {
	cause := context.Cause(t)
	return &Error{What: "cannot go on: " + cause.Error(), Err: cause}
}

// throw ends the running function with a value of Lua. Text gets the place of the function at a level before it, as error(value, level)
// of Lua says.
func (m *machine) throw(l *lua.LState, v lua.LValue, level int) {
	if text, ok := v.(lua.LString); ok && level > 0 {
		if frame, ok := l.GetStack(level); ok {
			if _, err := l.GetInfo("Sl", frame, nil); err == nil && frame.Source != "" && frame.CurrentLine > 0 {
				v = lua.LString(fmt.Sprintf("%s:%d: %s", frame.Source, frame.CurrentLine, text))
			}
		}
	}
	l.Error(v, 0)
}

// at gives an error its place.
func (m *machine) at(pos Position, err error) error {
	pos = m.place(pos)
	var e *Error
	if errors.As(err, &e) && e.At.File == "" {
		e.At, e.Line = pos, m.line(pos)
		return err
	}
	return &Error{At: pos, What: err.Error(), Line: m.line(pos), Err: err}
}

func (m *machine) fail(l *lua.LState, err error) *failure {
	return &failure{object: m.errorValue(err), err: err}
}

// failed makes a failure of what PCall returned.
func (m *machine) failed(l *lua.LState, err error) *failure {
	t := threadOf(l)
	var api *lua.ApiError
	if !errors.As(err, &api) {
		return m.fail(l, m.at(m.where(t.parent), err))
	}
	if e, ok := errorOf(api.Object); ok {
		return &failure{object: api.Object, err: e}
	}
	text := m.display(api.Object)
	if ended := t.Err(); ended != nil && strings.HasSuffix(text, ended.Error()) {
		pos, _ := m.split(text)
		e := stoppedError(t)
		e.At, e.Line = m.place(pos), m.line(pos)
		return m.fail(l, e)
	}
	if api.Type == lua.ApiErrorPanic {
		text = panicText(text)
	}
	pos, what := m.split(text)
	if pos.File == "" {
		pos = m.traced(api.StackTrace)
	}
	if pos.File == "" {
		pos = m.where(t.parent)
	}
	explained := m.explain(pos, what)
	e := &Error{At: m.place(pos, subject(explained)...), What: explained, Line: m.line(pos), Trace: tracedLines(api.StackTrace)}
	object := api.Object
	if e.What != what {
		object = lua.LString(e.Error())
	}
	return &failure{object: object, err: e}
}

// panicText words what gopher-lua panics with.
func panicText(text string) string {
	if strings.Contains(text, "callstack overflow") {
		return tooDeep
	}
	return "cannot go on: the Lua machine failed: " + text
}

// display is an error value as text.
func (m *machine) display(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber, lua.LBool:
		return v.String()
	case *lua.LTable:
		for _, key := range []string{"message", "msg"} {
			if s, ok := v.RawGetString(key).(lua.LString); ok {
				return string(s)
			}
		}
	}
	return fmt.Sprintf("cannot go on: the recipe raised an error that is no text but a %s", v.Type())
}

// split takes the "file:line:" off that Lua puts before a message.
func (m *machine) split(text string) (Position, string) {
	for _, name := range m.names {
		rest, ok := strings.CutPrefix(text, name+":")
		if !ok {
			continue
		}
		number, what, ok := strings.Cut(rest, ":")
		if line, err := strconv.Atoi(number); ok && err == nil {
			return Position{File: name, Line: line}, strings.TrimPrefix(what, " ")
		}
	}
	return Position{}, text
}

// traced is the innermost place of a traceback.
func (m *machine) traced(trace string) Position {
	for line := range strings.Lines(trace) {
		if pos, _ := m.split(strings.TrimSpace(line)); pos.File != "" {
			return pos
		}
	}
	return Position{}
}

// tracedLines keeps of a traceback the lines that are places in the recipe.
func tracedLines(trace string) string {
	var lines []string
	for line := range strings.Lines(trace) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "[G]") && !strings.HasPrefix(line, "stack traceback") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// catchable says whether pcall may catch the failure.
func (t *thread) catchable(f *failure) bool {
	return t.Err() == nil && !isFinal(f.err) && !errors.Is(f.err, context.Canceled)
}
