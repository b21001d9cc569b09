package recipe

import (
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// defineTables replaces what of the table library does not hold for long lists, and tonumber, whose original does not read "1e3".
func (m *machine) defineTables() {
	lib := m.state.G.Global.RawGetString("table").(*lua.LTable)
	lib.RawSetString("concat", m.state.NewFunction(func(l *lua.LState) int {
		v, err := m.concat(l)
		if err != nil {
			return m.raise(l, err)
		}
		l.Push(v)
		return 1
	}))
	lib.RawSetString("unpack", m.state.G.Global.RawGetString("unpack"))
	m.state.G.Global.RawGetString("math").(*lua.LTable).RawSetString("mod", lua.LNil) // the name of fmod in Lua 5.0
	m.global("tonumber", func(l *lua.LState) int {
		l.Push(toNumber(l.Get(1), l.OptInt(2, 10)))
		return 1
	})
}

func toNumber(v lua.LValue, base int) lua.LValue {
	switch v := v.(type) {
	case lua.LNumber:
		return v
	case lua.LString:
		if base != 10 {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(v)), min(max(base, 2), 36), 64); err == nil {
				return lua.LNumber(n)
			}
			return lua.LNil
		}
		if n, ok := parseNumber(string(v)); ok {
			return lua.LNumber(n)
		}
	}
	return lua.LNil
}

// concat is table.concat(list, separator, from, to). A secret in the list makes the result a secret.
func (m *machine) concat(l *lua.LState) (lua.LValue, error) {
	c := stringCall{machine: m, l: l}
	t, ok := l.Get(1).(*lua.LTable)
	if !ok {
		return nil, &Error{What: "cannot call table.concat: argument 1 must be a table, not " + shown(l.Get(1))}
	}
	separator := l.OptString(2, "")
	var out strings.Builder
	tainted := false
	for from, i, to := c.number(3, 1), c.number(3, 1), c.number(4, t.Len()); i <= to; i++ {
		if i > from {
			out.WriteString(separator)
		}
		v := t.RawGetInt(i)
		if _, isSecret := secretOf(v); isSecret {
			tainted = true
		} else if !lua.LVCanConvToString(v) {
			return nil, &Error{What: "cannot call table.concat: item " + strconv.Itoa(i) + " must be text or a number, not " + shown(v)}
		}
		text, err := m.plain(l, v)
		if err != nil {
			return nil, err
		}
		out.WriteString(text)
		if out.Len() > maxText {
			return nil, &Error{What: "cannot call table.concat: the text would be longer than " + strconv.Itoa(maxText>>20) + " MiB"}
		}
	}
	if tainted {
		return m.secretValue(knownSecret(module.NewSecret(out.String()))), nil
	}
	return lua.LString(out.String()), nil
}
