package recipe

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// stringFormat is string.format (reference manual, 5.4). A secret among its arguments makes the result a secret.
func stringFormat(c stringCall) int {
	layout := c.text(1)
	var out strings.Builder
	tainted := false
	arg := 1
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' {
			out.WriteByte(layout[i])
			continue
		}
		if i++; i < len(layout) && layout[i] == '%' {
			out.WriteByte('%')
			continue
		}
		spec, next := c.specification(layout, i)
		i = next
		if arg++; arg > c.l.GetTop() {
			c.fail("there is no value for %%%s%c: argument %d is missing", spec, layout[i], arg)
		}
		if _, ok := secretOf(c.l.Get(arg)); ok {
			tainted = true
		}
		out.WriteString(c.formatted(spec, layout[i], arg))
	}
	if tainted {
		return c.give(c.secretValue(knownSecret(module.NewSecret(out.String()))))
	}
	return c.give(lua.LString(out.String()))
}

// specification reads flags, width and precision from i on; next is where the letter stands.
func (c stringCall) specification(layout string, i int) (spec string, next int) {
	begin := i
	for i < len(layout) && strings.IndexByte("-+ #0", layout[i]) >= 0 {
		i++
	}
	digits := func() {
		first := i
		for i < len(layout) && isDigit(layout[i]) {
			i++
		}
		if i-first > 2 {
			c.fail("a width or precision has at most two digits")
		}
	}
	digits()
	if i < len(layout) && layout[i] == '.' {
		i++
		digits()
	}
	if i == len(layout) {
		c.fail("the layout ends in the middle of %%%s; write %%%% for a percent sign", layout[begin:])
	}
	return layout[begin:i], i
}

func (c stringCall) formatted(spec string, letter byte, arg int) string {
	switch letter {
	case 's':
		text, err := c.plain(c.l, c.l.Get(arg))
		if err != nil {
			c.raise(c.l, err)
		}
		return fmt.Sprintf("%"+spec+"s", text)
	case 'q':
		return quoted(c.text(arg))
	case 'c':
		return string([]byte{byte(c.float(arg))})
	case 'd', 'i', 'u':
		return fmt.Sprintf("%"+spec+"d", c.whole(arg))
	case 'x', 'X', 'o':
		n := c.whole(arg)
		if n < 0 {
			return fmt.Sprintf("%"+spec+string(letter), uint64(n))
		}
		return fmt.Sprintf("%"+spec+string(letter), n)
	case 'e', 'E', 'f', 'g', 'G':
		return c.real(spec, letter, arg)
	}
	c.fail("%%%s%c is no conversion; there are %%s %%d %%q %%x %%f %%g and others of C", spec, letter)
	return ""
}

func (c stringCall) whole(arg int) int64 {
	n := c.float(arg)
	if math.IsNaN(n) || n >= math.MaxInt64 || n <= math.MinInt64 {
		c.fail("argument %d must be a whole number, not %v", arg, n)
	}
	return int64(n)
}

func (c stringCall) real(spec string, letter byte, arg int) string {
	n := c.float(arg)
	if math.IsInf(n, 0) || math.IsNaN(n) {
		width, _, _ := strings.Cut(strings.TrimLeft(spec, "+ #0"), ".")
		return fmt.Sprintf("%"+width+"s", strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(n, 'g', -1, 64), "+")))
	}
	if letter|0x20 == 'g' && !strings.Contains(spec, ".") {
		spec += ".6"
	}
	return fmt.Sprintf("%"+spec+string(letter), n)
}

// quoted is a text that Lua reads as the same text again.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch s[i] {
		case '"', '\\', '\n':
			b.WriteByte('\\')
			b.WriteByte(s[i])
		case '\r':
			b.WriteString(`\r`)
		case 0:
			b.WriteString(`\000`)
		default:
			b.WriteByte(s[i])
		}
	}
	b.WriteByte('"')
	return b.String()
}

// parseNumber reads a number as Lua writes it: decimal or 0x….
func parseNumber(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	if rest, ok := strings.CutPrefix(strings.ToLower(s), "0x"); ok {
		n, err := strconv.ParseUint(rest, 16, 64)
		return float64(n), err == nil
	}
	if strings.ContainsAny(s, "_xXpPnN") { // what Go reads and Lua does not: 1_000, hexadecimal floats, inf and nan
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}
