package recipe

import (
	"strings"

	"github.com/yuin/gopher-lua/parse"
)

// word is a token of a file with its place.
type word struct {
	text         string
	line, column int // both from 1, the column in bytes
}

// words are the tokens of the file up to the first that cannot be read.
func (f *file) words() []word {
	if f.tokens != nil {
		return f.tokens
	}
	f.tokens = []word{}
	text := strings.Join(f.lines, "\n")
	if strings.HasPrefix(text, "#") {
		text = "--" + text
	}
	scanner := parse.NewScanner(strings.NewReader(text), f.name)
	for lexer := (&parse.Lexer{}); ; {
		token, err := scanner.Scan(lexer)
		if err != nil || token.Type == parse.EOF {
			return f.tokens
		}
		if token.Str == "" && token.Type == '.' {
			token.Str = "."
		}
		f.tokens = append(f.tokens, word{token.Str, token.Pos.Line, token.Pos.Column})
		lexer.PrevTokenType = token.Type
	}
}

// column is where on a line the last of the names of a path begins ("copy" of "mysql", "copy"); where the line does not have
// it, or no path is given, it is where the line's first token begins. 0: nothing stands there.
func (f *file) column(line int, path ...string) int {
	first := 0
	words := f.words()
	for i, w := range words {
		if w.line != line {
			continue
		}
		if first == 0 {
			first = w.column
		}
		if at := follows(words[i:], path); at > 0 && words[i+at-1].line == line {
			return words[i+at-1].column
		}
	}
	return first
}

// follows says how many tokens a path with dots between its names takes at the beginning of words; 0: it does not stand there.
func follows(words []word, path []string) int {
	n := 0
	for i, name := range path {
		if i > 0 {
			if n >= len(words) || words[n].text != "." && words[n].text != ":" {
				return 0
			}
			n++
		}
		if n >= len(words) || words[n].text != name {
			return 0
		}
		n++
	}
	return n
}

// place fills in the column of a position; see [file.column].
func (m *machine) place(p Position, path ...string) Position {
	if f := m.files[p.File]; f != nil && p.Line > 0 && p.Column == 0 {
		p.Column = f.column(p.Line, path...)
	}
	return p
}
