package recipe

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// maxText bounds a text that a recipe makes at once, in bytes.
const maxText = 64 << 20

// defineStrings adds the string library of Lua 5.1 (reference manual, 5.4). gopher-lua's own cannot be interrupted, needs the square
// of the time for gsub on long texts, and its format shows the inside of any value.
func (m *machine) defineStrings() {
	lib := m.state.NewTable()
	for name, fn := range map[string]func(stringCall) int{
		"byte": stringByte, "char": stringChar, "find": stringFind, "format": stringFormat, "gmatch": stringGmatch, "gsub": stringGsub,
		"len": stringLen, "lower": stringLower, "match": stringMatch, "rep": stringRep, "reverse": stringReverse, "sub": stringSub, "upper": stringUpper,
	} {
		lib.RawSetString(name, m.state.NewFunction(func(l *lua.LState) int {
			return fn(stringCall{machine: m, l: l, name: name})
		}))
	}
	m.state.G.Global.RawSetString("string", lib)
	meta := m.state.NewTable()
	meta.RawSetString("__index", lib)
	meta.RawSetString("__metatable", lua.LFalse)
	m.state.SetMetatable(lua.LString(""), meta)
}

// stringCall is one call of a function of the string library.
type stringCall struct {
	*machine
	l    *lua.LState
	name string
}

func (c stringCall) fail(format string, args ...any) {
	c.mistake(c.l, "cannot call string."+c.name+": "+format, args...)
}

// text is argument i. Numbers are text too, as everywhere in Lua.
func (c stringCall) text(i int) string {
	switch v := c.l.Get(i).(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return v.String()
	default:
		c.fail("argument %d must be text, not %s", i, shown(v))
	}
	return ""
}

// number is argument i as a whole number, or otherwise when it is not there.
func (c stringCall) number(i, otherwise int) int {
	v := c.l.Get(i)
	if v == lua.LNil {
		return otherwise
	}
	return int(c.float(i))
}

func (c stringCall) float(i int) float64 {
	switch v := c.l.Get(i).(type) {
	case lua.LNumber:
		return float64(v)
	case lua.LString:
		if n, ok := parseNumber(string(v)); ok {
			return n
		}
	}
	c.fail("argument %d must be a number, not %s", i, shown(c.l.Get(i)))
	return 0
}

func (c stringCall) give(values ...lua.LValue) int {
	for _, v := range values {
		c.l.Push(v)
	}
	return len(values)
}

// span is what sub and byte mean by their second and third argument: positions from 1, negative ones from the end.
func span(length, from, to int) (begin, end int) {
	if from < 0 {
		from = max(length+from+1, 1)
	} else if from == 0 {
		from = 1
	}
	if to < 0 {
		to = length + to + 1
	}
	to = min(to, length)
	if from > to {
		return 0, 0
	}
	return from - 1, to
}

func stringByte(c stringCall) int {
	s := c.text(1)
	from := c.number(2, 1)
	begin, end := span(len(s), from, c.number(3, from))
	for i := begin; i < end; i++ {
		c.l.Push(lua.LNumber(s[i]))
	}
	return end - begin
}

func stringChar(c stringCall) int {
	out := make([]byte, c.l.GetTop())
	for i := range out {
		n := c.float(i + 1)
		if n != float64(byte(n)) {
			c.fail("argument %d must be a whole number from 0 to 255, not %v", i+1, n)
		}
		out[i] = byte(n)
	}
	return c.give(lua.LString(out))
}

func stringLen(c stringCall) int { return c.give(lua.LNumber(len(c.text(1)))) }

func stringSub(c stringCall) int {
	s := c.text(1)
	begin, end := span(len(s), c.number(2, 1), c.number(3, -1))
	return c.give(lua.LString(s[begin:end]))
}

func stringReverse(c stringCall) int {
	s := []byte(c.text(1))
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
	return c.give(lua.LString(s))
}

func stringRep(c stringCall) int {
	s, n := c.text(1), c.number(2, 0)
	if c.l.Get(2) == lua.LNil {
		c.fail("argument 2 says how often, and is missing")
	}
	if n <= 0 || s == "" {
		return c.give(lua.LString(""))
	}
	if n > maxText/len(s) {
		c.fail("the text would be longer than %d MiB", maxText>>20)
	}
	return c.give(lua.LString(strings.Repeat(s, n)))
}

// stringLower and stringUpper change ASCII letters, as in the locale C: the bytes of other text stay what they are.
func stringLower(c stringCall) int {
	return c.give(lua.LString(eachByte(c.text(1), func(b byte) byte {
		if b >= 'A' && b <= 'Z' {
			return b + 'a' - 'A'
		}
		return b
	})))
}

func stringUpper(c stringCall) int {
	return c.give(lua.LString(eachByte(c.text(1), func(b byte) byte {
		if b >= 'a' && b <= 'z' {
			return b - 'a' + 'A'
		}
		return b
	})))
}

func eachByte(s string, change func(byte) byte) string {
	out := []byte(s)
	for i, b := range out {
		out[i] = change(b)
	}
	return string(out)
}
