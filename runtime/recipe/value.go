package recipe

import (
	"errors"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/host"
	"runner/runtime/module"
)

// kind makes the metatable of a kind of value that only Go can make. get gives its fields.
func (m *machine) kind(what string, text func(any) string, get func(l *lua.LState, v any, name string) lua.LValue) *lua.LTable {
	meta := m.state.NewTable()
	set := func(name string, fn lua.LGFunction) { meta.RawSetString(name, m.state.NewFunction(fn)) }
	set("__tostring", func(l *lua.LState) int {
		l.Push(lua.LString(text(l.CheckUserData(1).Value)))
		return 1
	})
	set("__index", func(l *lua.LState) int {
		u, name := l.CheckUserData(1), l.Get(2)
		if s, ok := name.(lua.LString); ok {
			if v := get(l, u.Value, string(s)); v != nil {
				l.Push(v)
				return 1
			}
		}
		return m.mistake(l, "cannot read %s: %s has no such field", name, what)
	})
	set("__newindex", func(l *lua.LState) int { return m.mistake(l, "cannot change %s", what) })
	meta.RawSetString("__metatable", lua.LFalse)
	return meta
}

func (m *machine) userData(v any, meta *lua.LTable) *lua.LUserData {
	u := m.state.NewUserData()
	u.Value, u.Metatable = v, meta
	return u
}

func (m *machine) defineKinds() {
	m.hostMeta = m.kind("a host", func(v any) string { return string(v.(module.HostName)) }, func(_ *lua.LState, v any, name string) lua.LValue {
		if name == "name" {
			return lua.LString(v.(module.HostName))
		}
		return nil
	})
	m.hostMeta.RawSetString("__eq", m.state.NewFunction(func(l *lua.LState) int {
		a, b := l.CheckUserData(1), l.CheckUserData(2)
		l.Push(lua.LBool(a.Value == b.Value))
		return 1
	}))
	m.hostMeta.RawSetString("__concat", m.state.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LString(l.ToStringMeta(l.Get(1)).String() + l.ToStringMeta(l.Get(2)).String()))
		return 1
	}))
	m.defineSecret()
	m.defineError()
}

func (m *machine) hostValue(name module.HostName) *lua.LUserData { return m.userData(name, m.hostMeta) }

// hostOf is the host that a value stands for.
func hostOf(v lua.LValue) (module.HostName, bool) {
	u, ok := v.(*lua.LUserData)
	if !ok {
		return "", false
	}
	name, ok := u.Value.(module.HostName)
	return name, ok
}

// errorValue is an error of Go as Lua sees it. An error that has passed through Lua comes out as the same error of Go.
func (m *machine) errorValue(err error) *lua.LUserData { return m.userData(err, m.errorMeta) }

func errorOf(v lua.LValue) (error, bool) {
	u, ok := v.(*lua.LUserData)
	if !ok {
		return nil, false
	}
	err, ok := u.Value.(error)
	return err, ok
}

func (m *machine) defineError() {
	m.errorMeta = m.kind("an error", func(v any) string { return messageOf(v.(error)) }, m.errorField)
	m.errorMeta.RawSetString("__concat", m.state.NewFunction(func(l *lua.LState) int {
		l.Push(m.joined(l, l.Get(1), l.Get(2)))
		return 1
	}))
	m.errorMeta.RawSetString("__eq", m.state.NewFunction(func(l *lua.LState) int {
		l.Push(lua.LBool(l.Get(1) == l.Get(2)))
		return 1
	}))
}

// joined is an error with text before or after it: an error again, so that what caused it is not lost when it is raised.
func (m *machine) joined(l *lua.LState, a, b lua.LValue) lua.LValue {
	err, ok := errorOf(a)
	if !ok {
		err, _ = errorOf(b)
	}
	text := l.ToStringMeta(a).String() + l.ToStringMeta(b).String()
	joined := &Error{What: text, Err: err}
	var e *Error
	if errors.As(err, &e) {
		joined.At, joined.Line, joined.Trace = e.At, e.Line, e.Trace
	}
	return m.errorValue(joined)
}

// messageOf is the text of an error without its place.
func messageOf(err error) string {
	if e, ok := err.(*Error); ok {
		return e.What
	}
	return err.Error()
}

// errorField gives message, at, host, unreachable and hint of an error, and the methods of strings on its message, because
// a recipe that looks at what pcall gave writes err:find("refused").
func (m *machine) errorField(l *lua.LState, v any, name string) lua.LValue {
	err := v.(error)
	switch name {
	case "message":
		return lua.LString(messageOf(err))
	case "at":
		var e *Error
		if errors.As(err, &e) {
			return lua.LString(e.At.String())
		}
		return lua.LString("")
	case "host":
		if h, ok := failedHost(err); ok {
			return lua.LString(h)
		}
		return lua.LNil
	case "unreachable":
		var u *host.UnreachableError
		return lua.LBool(errors.As(err, &u))
	case "hint":
		var h interface{ Hint() string }
		if errors.As(err, &h) {
			return lua.LString(h.Hint())
		}
		return lua.LString("")
	}
	return m.stringMethod(name, messageOf(err))
}

// failedHost is the host that an error is about, where it says so.
func failedHost(err error) (string, bool) {
	var u *host.UnreachableError
	if errors.As(err, &u) {
		return u.Host, true
	}
	var named interface{ HostName() string }
	if errors.As(err, &named) {
		return named.HostName(), true
	}
	return "", false
}

// stringMethod is a function of the string library that ignores its first argument and takes text instead.
func (m *machine) stringMethod(name, text string) lua.LValue {
	lib, _ := m.state.G.Global.RawGetString("string").(*lua.LTable)
	if lib == nil {
		return nil
	}
	method, ok := lib.RawGetString(name).(*lua.LFunction)
	if !ok {
		return nil
	}
	return m.state.NewFunction(func(l *lua.LState) int {
		top := l.GetTop()
		l.Push(method)
		l.Push(lua.LString(text))
		for i := 2; i <= top; i++ {
			l.Push(l.Get(i))
		}
		l.Call(max(top, 1), lua.MultRet)
		return l.GetTop() - top
	})
}
