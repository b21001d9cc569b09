package sshconfig

import (
	"errors"
	"strings"
)

const space = " \t\r\n\f\v"

// split takes a line apart: the keyword in lower case, and its arguments. Both are empty for an empty line or a comment.
func split(line string) (keyword string, args []string, err error) {
	line = strings.Trim(line, space)
	if line == "" || line[0] == '#' {
		return "", nil, nil
	}
	end := strings.IndexAny(line, space+"=")
	if end < 0 {
		return strings.ToLower(line), nil, nil
	}
	keyword, rest := strings.ToLower(strings.Trim(line[:end], `"`)), strings.TrimLeft(line[end:], space)
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), space)
	if raw(keyword) {
		return keyword, []string{rest}, nil
	}
	args, err = words(rest)
	return keyword, args, err
}

// words are the arguments on a line: separated by blanks, quoted with " or ', ended by a # that begins a word. A backslash
// makes a quote, a backslash or (outside of quotes) a blank literal.
func words(text string) ([]string, error) {
	var found []string
	for {
		text = strings.TrimLeft(text, space)
		if text == "" || text[0] == '#' {
			return found, nil
		}
		word, rest, err := oneWord(text)
		if err != nil {
			return nil, err
		}
		found, text = append(found, word), rest
	}
}

func oneWord(text string) (word, rest string, err error) {
	var b strings.Builder
	var quote byte
	i := 0
	for ; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text) && (strings.IndexByte(`'"\`, text[i+1]) >= 0 || quote == 0 && text[i+1] == ' '):
			i++
			b.WriteByte(text[i])
		case quote == 0 && strings.IndexByte(space, c) >= 0:
			return b.String(), text[i:], nil
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", "", errors.New("a quote is not closed")
	}
	return b.String(), "", nil
}
