package recipe

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// search is one call of find, match, gmatch or gsub.
type search struct {
	stringCall
	matcher
	anchored bool
}

// searchStopped is panicked with by a search whose recipe is being stopped.
type searchStopped struct{}

func (c stringCall) search(src, pat string) *search {
	t := threadOf(c.l)
	s := &search{stringCall: c}
	s.src = src
	s.tick = func() {
		if t.Err() != nil {
			panic(searchStopped{})
		}
	}
	s.pat, s.anchored = strings.CutPrefix(pat, "^")
	return s
}

// try matches at one place.
func (s *search) try(at int) (end int) {
	defer func() {
		if v := recover(); v != nil {
			switch v := v.(type) {
			case patternError:
				s.fail("%s", string(v))
			case searchStopped:
				s.stop(s.l)
			default:
				panic(v)
			}
		}
	}()
	s.captures, s.nesting = s.captures[:0], 0
	end = s.at(at, 0)
	for _, c := range s.captures {
		if end >= 0 && c.length == captureOpen {
			patternFail("the pattern has a ( without its )")
		}
	}
	return end
}

// next finds the first match from a place on; begin is -1 when there is none.
func (s *search) next(from int) (begin, end int) {
	for at := from; at <= len(s.src); at++ {
		if end := s.try(at); end >= 0 {
			return at, end
		}
		if s.anchored {
			break
		}
	}
	return -1, -1
}

// captured is capture i, or the whole match when the pattern has none.
func (s *search) captured(i, begin, end int) lua.LValue {
	if len(s.captures) == 0 && i == 0 {
		return lua.LString(s.src[begin:end])
	}
	if i >= len(s.captures) {
		s.fail("there is no capture %%%d in the pattern", i+1)
	}
	c := s.captures[i]
	if c.length == capturePosition {
		return lua.LNumber(c.start + 1)
	}
	return lua.LString(s.src[c.start : c.start+c.length])
}

func (s *search) giveCaptures(begin, end int) int {
	n := max(len(s.captures), 1)
	for i := range n {
		s.l.Push(s.captured(i, begin, end))
	}
	return n
}

// start is where argument i says that a search begins.
func (c stringCall) start(i, length int) int {
	from := c.number(i, 1)
	switch {
	case from > 0:
		return min(from-1, length)
	case from < 0:
		return max(length+from, 0)
	}
	return 0
}

func stringFind(c stringCall) int {
	src, pat := c.text(1), c.text(2)
	from := c.start(3, len(src))
	if lua.LVAsBool(c.l.Get(4)) || !strings.ContainsAny(pat, "^$*+?.([%-") {
		i := strings.Index(src[from:], pat)
		if i < 0 {
			return c.give(lua.LNil)
		}
		return c.give(lua.LNumber(from+i+1), lua.LNumber(from+i+len(pat)))
	}
	s := c.search(src, pat)
	begin, end := s.next(from)
	if begin < 0 {
		return c.give(lua.LNil)
	}
	c.give(lua.LNumber(begin+1), lua.LNumber(end))
	if len(s.captures) == 0 {
		return 2
	}
	return 2 + s.giveCaptures(begin, end)
}

func stringMatch(c stringCall) int {
	src := c.text(1)
	s := c.search(src, c.text(2))
	from := c.start(3, len(src))
	begin, end := s.next(from)
	if begin < 0 {
		return c.give(lua.LNil)
	}
	return s.giveCaptures(begin, end)
}

func stringGmatch(c stringCall) int {
	src, pat := c.text(1), c.text(2)
	s := c.search(src, pat)
	// In gmatch a ^ has no meaning of its own (5.4): as an anchor it would end the loop at once.
	s.pat, s.anchored = pat, false
	at := 0
	return c.give(c.state.NewFunction(func(l *lua.LState) int {
		s.l = l
		begin, end := s.next(at)
		if begin < 0 {
			l.Push(lua.LNil)
			return 1
		}
		if at = end; end == begin {
			at++
		}
		return s.giveCaptures(begin, end)
	}))
}

func stringGsub(c stringCall) int {
	src := c.text(1)
	s := c.search(src, c.text(2))
	replace := s.replacement(3)
	most := c.number(4, len(src)+1)
	var out strings.Builder
	at, count := 0, 0
	for count < most {
		end := s.try(at)
		if end >= 0 {
			count++
			out.WriteString(replace(at, end))
			if out.Len() > maxText {
				c.fail("the text would be longer than %d MiB", maxText>>20)
			}
		}
		switch {
		case end > at:
			at = end
		case at < len(src):
			out.WriteByte(src[at])
			at++
		default:
			at++
		}
		if at > len(src) || s.anchored {
			break
		}
	}
	if at < len(src) {
		out.WriteString(src[at:])
	}
	return c.give(lua.LString(out.String()), lua.LNumber(count))
}

// replacement is what gsub puts in the place of a match, made by the text, table or function that is argument i.
func (s *search) replacement(i int) func(begin, end int) string {
	switch v := s.l.Get(i).(type) {
	case lua.LString, lua.LNumber:
		text := s.text(i)
		return func(begin, end int) string { return s.filled(text, begin, end) }
	case *lua.LTable:
		return func(begin, end int) string {
			return s.replaced(s.l.GetTable(v, s.captured(0, begin, end)), begin, end)
		}
	case *lua.LFunction:
		return func(begin, end int) string {
			s.l.Push(v)
			n := s.giveCaptures(begin, end)
			s.l.Call(n, 1)
			result := s.l.Get(-1)
			s.l.Pop(1)
			return s.replaced(result, begin, end)
		}
	default:
		s.fail("argument %d must be text, a table or a function, not %s", i, shown(v))
	}
	return nil
}

func (s *search) replaced(v lua.LValue, begin, end int) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return v.String()
	case *lua.LNilType:
		return s.src[begin:end]
	case lua.LBool:
		if !bool(v) {
			return s.src[begin:end]
		}
	}
	s.fail("a match cannot be replaced by %s", shown(v))
	return ""
}

// filled is a replacement text with %0 to %9 filled in.
func (s *search) filled(text string, begin, end int) string {
	if strings.IndexByte(text, '%') < 0 {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			out.WriteByte(text[i])
			continue
		}
		i++
		switch {
		case i == len(text):
			s.fail("the replacement ends with %%; write %%%% for one")
		case text[i] == '0':
			out.WriteString(s.src[begin:end])
		case isDigit(text[i]):
			out.WriteString(s.captured(int(text[i]-'1'), begin, end).String())
		default:
			out.WriteByte(text[i])
		}
	}
	return out.String()
}
