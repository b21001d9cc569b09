package dovecot

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Account is a user as Dovecot's variables see one: what stands before the first @ of its name, and after it.
type Account struct{ User, Domain string }

// ParseAccount cuts an address at its first @.
func ParseAccount(address string) Account {
	user, domain, _ := strings.Cut(address, "@")
	return Account{user, domain}
}

func (a Account) String() string {
	if a.Domain == "" {
		return a.User
	}
	return a.User + "@" + a.Domain
}

// Pattern is a text with Dovecot's variables in it: %d, %Ln, %1n, %{user | domain | lower}.
type Pattern struct{ pieces []piece }

// piece is text, or a variable when of is not 0: 'u', 'n' or 'd' of the account, 'h' for its home.
type piece struct {
	text        string
	of          byte
	lower       bool
	skip, width int // the part that is taken; width 0: all that follows
}

// cut says that a piece is only a part of its variable.
func (p piece) cut() bool { return p.skip != 0 || p.width != 0 }

// variable is one variable of either age. Until 2.3 it is a letter or a name in braces after a part to take ("1", or "2.3": three
// bytes after the first two) and how to change it; since 2.4 there are filters in the braces
// (https://doc.dovecot.org, "Config Variables").
var variable = regexp.MustCompile(`^%(?:(?:(-?[1-9]\d*)\.)?([1-9]\d*))?([A-Z]*)(?:([a-z%])|\{([^{}|]*)((?:\|[^{}|]*)*)\})`)

var names = map[string]byte{"u": 'u', "n": 'n', "d": 'd', "h": 'h', "user": 'u', "username": 'n', "domain": 'd', "home": 'h'}

// ParsePattern reads a text with variables. Variables of anything but an account are an error, as is what this program cannot work out.
func ParsePattern(text string) (Pattern, error) {
	var p Pattern
	for rest := text; rest != ""; {
		if rest[0] != '%' {
			i := strings.IndexByte(rest, '%')
			if i < 0 {
				i = len(rest)
			}
			p.pieces, rest = append(p.pieces, piece{text: rest[:i]}), rest[i:]
			continue
		}
		m := variable.FindStringSubmatch(rest)
		if m == nil {
			return Pattern{}, fmt.Errorf("%q is no variable; %%d, %%n and %%u are, and %%%% stands for %%", rest)
		}
		v, err := readVariable(m)
		if err != nil {
			return Pattern{}, err
		}
		p.pieces, rest = append(p.pieces, v), rest[len(m[0]):]
	}
	return p, nil
}

// readVariable makes a piece of the parts of variable: offset, width, modifiers, letter, name, filters.
func readVariable(m []string) (piece, error) {
	v := piece{of: names[m[4]+strings.TrimSpace(m[5])]}
	if m[4] == "%" && m[0] == "%%" {
		return piece{text: "%"}, nil
	}
	unknown := fmt.Errorf("%s is a variable that is not known here; %%d, %%n and %%u are, with L for small letters and a number for a part of them", m[0])
	if v.of == 0 {
		return v, unknown
	}
	v.skip, _ = strconv.Atoi(m[1])
	v.width, _ = strconv.Atoi(m[2])
	for _, modifier := range m[3] {
		if modifier != 'L' {
			return v, unknown
		}
		v.lower = true
	}
	for _, filter := range strings.Split(m[6], "|")[1:] {
		if !v.filter(strings.TrimSpace(filter)) {
			return v, fmt.Errorf("the filter %q of %s is not known here; domain, username, lower and substr(0, 1) are", strings.TrimSpace(filter), m[0])
		}
	}
	return v, nil
}

var substr = regexp.MustCompile(`^substr\(\s*(-?\d+)\s*,\s*([1-9]\d*)\s*\)$`)

// filter applies a filter of 2.4.
func (p *piece) filter(name string) bool {
	switch m := substr.FindStringSubmatch(name); {
	case name == "lower":
		p.lower = true
	case (name == "domain" || name == "username") && p.of == 'u' && !p.cut():
		p.of = names[name]
	case m != nil && !p.cut():
		p.skip, _ = strconv.Atoi(m[1])
		p.width, _ = strconv.Atoi(m[2])
	default:
		return false
	}
	return true
}

// Fixed says whether a pattern has no variable; text is then what it stands for.
func (p Pattern) Fixed() (text string, ok bool) {
	for _, q := range p.pieces {
		if q.of != 0 {
			return "", false
		}
		text += q.text
	}
	return text, true
}

// Expand is the text for an account; not ok when the pattern has a variable that the account has nothing for, or home is "" and
// the pattern has it.
func (p Pattern) Expand(a Account, home string) (text string, ok bool) {
	for _, q := range p.pieces {
		value, known := q.text, true
		switch q.of {
		case 'u':
			value, known = a.String(), a.User != ""
		case 'n':
			value, known = a.User, a.User != ""
		case 'd':
			value, known = a.Domain, a.Domain != ""
		case 'h':
			value, known = home, home != ""
		}
		if !known {
			return "", false
		}
		text += q.take(value)
	}
	return text, true
}

func (p piece) take(value string) string {
	if p.lower {
		value = strings.ToLower(value)
	}
	if !p.cut() {
		return value
	}
	skip := p.skip
	if skip < 0 {
		skip += len(value)
	}
	value = value[min(max(skip, 0), len(value)):]
	if p.width > 0 {
		value = value[:min(p.width, len(value))]
	}
	return value
}

// Tells says whether a name that the pattern stands for tells the whole of a variable, 'n' or 'd'.
func (p Pattern) Tells(variable byte) bool { return p.whole(variable) || p.whole('u') }

// Is says whether the pattern is a whole variable and nothing else.
func (p Pattern) Is(variable byte) bool { return len(p.pieces) == 1 && p.whole(variable) }

// Uses says whether the pattern has a variable in it, the whole or a part.
func (p Pattern) Uses(variable byte) bool {
	for _, q := range p.pieces {
		if q.of == variable {
			return true
		}
	}
	return false
}

func (p Pattern) whole(variable byte) bool {
	for _, q := range p.pieces {
		if q.of == variable && !q.cut() {
			return true
		}
	}
	return false
}

// Lowers says whether some variable of the pattern is written in small letters.
func (p Pattern) Lowers() bool {
	for _, q := range p.pieces {
		if q.lower {
			return true
		}
	}
	return false
}

// Same says whether two patterns stand for the same, small letters aside.
func (p Pattern) Same(other Pattern) bool {
	if len(p.pieces) != len(other.pieces) {
		return false
	}
	for i, q := range p.pieces {
		r := other.pieces[i]
		q.lower, r.lower = false, false
		if q != r {
			return false
		}
	}
	return true
}

// String writes the pattern in one of its forms.
func (p Pattern) String() string {
	var b strings.Builder
	for _, q := range p.pieces {
		if q.of == 0 {
			b.WriteString(strings.ReplaceAll(q.text, "%", "%%"))
			continue
		}
		b.WriteByte('%')
		if q.skip != 0 {
			fmt.Fprintf(&b, "%d.", q.skip)
		}
		if q.width != 0 {
			b.WriteString(strconv.Itoa(q.width))
		}
		if q.lower {
			b.WriteByte('L')
		}
		b.WriteByte(q.of)
	}
	return b.String()
}
