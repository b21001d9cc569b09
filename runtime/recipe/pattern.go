package recipe

import "fmt"

// Bounds of a match. A pattern such as ("a?"):rep(30) .. ("a"):rep(30) needs more time than there is; the manual's own
// matcher cannot be interrupted.
const (
	maxCaptures  = 32
	maxMatch     = 10_000_000 // steps of one call of find, match or gsub, and matchPerByte more for each byte of the text
	matchPerByte = 100
	maxNesting   = 200     // calls of the matcher inside each other
	tickEvery    = 1 << 15 // steps between two looks at whether the recipe is being stopped
)

// patternError is panicked with by the matcher and recovered where it is called.
type patternError string

func patternFail(format string, args ...any) { panic(patternError(fmt.Sprintf(format, args...))) }

// Length of a capture that is open, or that is a position.
const (
	captureOpen     = -1
	capturePosition = -2
)

type capture struct{ start, length int }

// matcher matches Lua patterns (reference manual, 5.4.1) the way lstrlib.c of Lua does, with %f of Lua 5.2, by backtracking over
// bytes, counting its steps.
type matcher struct {
	src, pat string
	captures []capture
	nesting  int
	steps    int
	tick     func() // looks whether to stop, and panics then
}

func (m *matcher) step() {
	m.steps++
	if m.steps%tickEvery == 0 {
		m.tick()
	}
	if m.steps > maxMatch+matchPerByte*len(m.src) {
		patternFail("the pattern takes too long on this text; make it simpler")
	}
}

// at matches the pattern from p on at s and gives the end of the match, or -1.
func (m *matcher) at(s, p int) int {
	if m.nesting++; m.nesting > maxNesting {
		patternFail("the pattern is too complex")
	}
	defer func() { m.nesting-- }()
	for p < len(m.pat) {
		m.step()
		switch m.pat[p] {
		case '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.open(s, p+2, capturePosition)
			}
			return m.open(s, p+1, captureOpen)
		case ')':
			return m.close(s, p+1)
		case '$':
			if p+1 == len(m.pat) {
				if s == len(m.src) {
					return s
				}
				return -1
			}
		case '%':
			if p+1 < len(m.pat) {
				switch next := m.pat[p+1]; {
				case next == 'b':
					if s = m.balance(s, p+2); s < 0 {
						return -1
					}
					p += 4
					continue
				case next == 'f':
					p += 2
					if p >= len(m.pat) || m.pat[p] != '[' {
						patternFail("after %%f in a pattern there must be a set, [ … ]")
					}
					end := m.classEnd(p)
					if m.inSet(m.byteAt(s-1), p, end-1) || !m.inSet(m.byteAt(s), p, end-1) {
						return -1
					}
					p = end
					continue
				case next >= '0' && next <= '9':
					if s = m.back(s, next); s < 0 {
						return -1
					}
					p += 2
					continue
				}
			}
		}
		end := m.classEnd(p)
		suffix := byte(0)
		if end < len(m.pat) {
			suffix = m.pat[end]
		}
		switch suffix {
		case '?':
			if m.single(s, p, end) {
				if e := m.at(s+1, end+1); e >= 0 {
					return e
				}
			}
			p = end + 1
		case '*':
			return m.longest(s, p, end)
		case '+':
			if !m.single(s, p, end) {
				return -1
			}
			return m.longest(s+1, p, end)
		case '-':
			return m.shortest(s, p, end)
		default:
			if !m.single(s, p, end) {
				return -1
			}
			s, p = s+1, end
		}
	}
	return s
}

// byteAt is the byte at s; zero before the beginning and after the end, for %f.
func (m *matcher) byteAt(s int) byte {
	if s < 0 || s >= len(m.src) {
		return 0
	}
	return m.src[s]
}

func (m *matcher) open(s, p, length int) int {
	if len(m.captures) >= maxCaptures {
		patternFail("the pattern has too many captures")
	}
	m.captures = append(m.captures, capture{s, length})
	end := m.at(s, p)
	if end < 0 {
		m.captures = m.captures[:len(m.captures)-1]
	}
	return end
}

func (m *matcher) close(s, p int) int {
	for i := len(m.captures) - 1; i >= 0; i-- {
		if m.captures[i].length != captureOpen {
			continue
		}
		m.captures[i].length = s - m.captures[i].start
		end := m.at(s, p)
		if end < 0 {
			m.captures[i].length = captureOpen
		}
		return end
	}
	patternFail("the pattern has a ) without its (")
	return -1
}

// balance matches %bxy at s; p is at x.
func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pat) {
		patternFail("after %%b in a pattern there must be two characters")
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return -1
	}
	begin, end, depth := m.pat[p], m.pat[p+1], 1
	for i := s + 1; i < len(m.src); i++ {
		m.step()
		switch m.src[i] {
		case end:
			if depth--; depth == 0 {
				return i + 1
			}
		case begin:
			depth++
		}
	}
	return -1
}

// back matches what capture number digit matched.
func (m *matcher) back(s int, digit byte) int {
	i := int(digit) - '1'
	if i < 0 || i >= len(m.captures) || m.captures[i].length < 0 {
		patternFail("the pattern speaks of a capture %%%c that there is not", digit)
	}
	c := m.captures[i]
	if len(m.src)-s >= c.length && m.src[c.start:c.start+c.length] == m.src[s:s+c.length] {
		return s + c.length
	}
	return -1
}

func (m *matcher) longest(s, p, end int) int {
	n := 0
	for m.single(s+n, p, end) {
		m.step()
		n++
	}
	for ; n >= 0; n-- {
		if e := m.at(s+n, end+1); e >= 0 {
			return e
		}
	}
	return -1
}

func (m *matcher) shortest(s, p, end int) int {
	for {
		m.step()
		if e := m.at(s, end+1); e >= 0 {
			return e
		}
		if !m.single(s, p, end) {
			return -1
		}
		s++
	}
}

// classEnd is the end of the single character class that begins at p.
func (m *matcher) classEnd(p int) int {
	c := m.pat[p]
	p++
	if c == '%' {
		if p >= len(m.pat) {
			patternFail("the pattern ends with %%")
		}
		return p + 1
	}
	if c != '[' {
		return p
	}
	if p < len(m.pat) && m.pat[p] == '^' {
		p++
	}
	for first := true; ; first = false {
		if p >= len(m.pat) {
			patternFail("the pattern has a [ without its ]")
		}
		c := m.pat[p]
		p++
		switch {
		case c == '%':
			p++
		case c == ']' && !first:
			return p
		}
	}
}

// single says whether the class at p, which ends before end, matches the byte at s.
func (m *matcher) single(s, p, end int) bool {
	if s >= len(m.src) {
		return false
	}
	switch c := m.src[s]; m.pat[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pat[p+1])
	case '[':
		return m.inSet(c, p, end-1)
	default:
		return m.pat[p] == c
	}
}

// inSet says whether c is in the set that begins at p with [ and whose ] is at end.
func (m *matcher) inSet(c byte, p, end int) bool {
	in := true
	p++
	if m.pat[p] == '^' {
		in = false
		p++
	}
	for ; p < end; p++ {
		switch {
		case m.pat[p] == '%':
			p++
			if p <= end && inClass(c, m.pat[p]) {
				return in
			}
		case p+2 < end && m.pat[p+1] == '-':
			if m.pat[p] <= c && c <= m.pat[p+2] {
				return in
			}
			p += 2
		case m.pat[p] == c:
			return in
		}
	}
	return !in
}

// inClass is a class such as %a, of ASCII as in the locale C.
func inClass(c, class byte) bool {
	lower := class | 0x20
	var in bool
	switch lower {
	case 'a':
		in = isLetter(c)
	case 'c':
		in = c < 0x20 || c == 0x7f
	case 'd':
		in = isDigit(c)
	case 'g':
		in = c > 0x20 && c < 0x7f
	case 'l':
		in = c >= 'a' && c <= 'z'
	case 'p':
		in = c > 0x20 && c < 0x7f && !isLetter(c) && !isDigit(c)
	case 's':
		in = c == ' ' || c >= '\t' && c <= '\r'
	case 'u':
		in = c >= 'A' && c <= 'Z'
	case 'w':
		in = isLetter(c) || isDigit(c)
	case 'x':
		in = isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f'
	case 'z':
		in = c == 0
	default:
		return class == c
	}
	if !isLetter(class) {
		return class == c
	}
	return in == (class == lower)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
