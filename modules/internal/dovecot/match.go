package dovecot

import (
	"errors"
	"strings"
)

// CheckName refuses a pattern for the name of one directory that could be read in two ways: it holds one whole variable with
// nothing but fixed text beside it, or both whole variables with an @ in between, or only parts of variables.
func (p Pattern) CheckName() error {
	whole, cut := 0, 0
	for _, q := range p.pieces {
		switch {
		case q.of == 'h':
			return errors.New("the home cannot stand in it")
		case q.of != 0 && q.cut():
			cut++
		case q.of != 0:
			whole++
		}
	}
	if whole > 0 && cut > 0 || whole > 1 && p.address() == nil {
		return errors.New("it holds several variables, which cannot be told apart")
	}
	return nil
}

// address is the one whole variable that "%n@%d" is as well.
func (p Pattern) address() *piece {
	q := p.pieces
	if len(q) == 3 && q[0].of == 'n' && q[1].text == "@" && q[2].of == 'd' && !q[0].cut() && !q[2].cut() {
		return &piece{of: 'u', lower: q[0].lower && q[2].lower}
	}
	return nil
}

// Read adds to an account what a name tells that the pattern stands for; see CheckName. It says whether the name fits so far: parts of
// variables, and small letters, are left to [Pattern.Fits].
func (p Pattern) Read(name string, a *Account) bool {
	pieces := p.pieces
	if both := p.address(); both != nil {
		pieces = []piece{*both}
	}
	at := -1
	for i, q := range pieces {
		if q.of == 0 {
			continue
		}
		if q.cut() {
			return true
		}
		at = i
	}
	if at < 0 {
		return true
	}
	for _, q := range pieces[:at] {
		var ok bool
		if name, ok = strings.CutPrefix(name, q.text); !ok {
			return false
		}
	}
	for i := len(pieces) - 1; i > at; i-- {
		var ok bool
		if name, ok = strings.CutSuffix(name, pieces[i].text); !ok {
			return false
		}
	}
	return pieces[at].read(name, a)
}

func (p piece) read(value string, a *Account) bool {
	told := Account{}
	switch p.of {
	case 'u':
		told = ParseAccount(value)
		if told.User == "" || strings.HasSuffix(value, "@") {
			return false
		}
	case 'n':
		told.User = value
	case 'd':
		told.Domain = value
	}
	if value == "" || p.of != 'u' && strings.Contains(value, "@") {
		return false
	}
	if told.User != "" {
		a.User = told.User
	}
	if told.Domain != "" {
		a.Domain = told.Domain
	}
	return true
}

// Fits says whether a name is that of an account. Where the pattern writes small letters, large ones are let pass: such a directory
// was made by something else than Dovecot, and holds mail all the same.
func (p Pattern) Fits(name string, a Account) bool {
	text, ok := p.Expand(a, "")
	return ok && (text == name || p.Lowers() && strings.EqualFold(text, name))
}
