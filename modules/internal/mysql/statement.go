package mysql

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"runner/runtime/module"
)

// lookingWords begin the statements that change nothing.
var lookingWords = []string{"SELECT", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "WITH", "VALUES"}

// LooksOnly refuses a statement that may change something: one that begins with another word than SELECT, SHOW, DESCRIBE,
// EXPLAIN or WITH, or that writes a file or a variable with INTO, or that locks rows. Conditional comments are
// refused because what they hold depends on the server.
func LooksOnly(statement string) error {
	tokens, err := tokens(statement)
	if err != nil {
		return err
	}
	for len(tokens) > 0 && tokens[len(tokens)-1].text == ";" {
		tokens = tokens[:len(tokens)-1]
	}
	head := 0
	for head < len(tokens) && tokens[head].text == "(" {
		head++
	}
	if head == len(tokens) {
		return errors.New("is empty")
	}
	first := tokens[head].text
	if !contains(lookingWords, first) {
		return fmt.Errorf("begins with %s and may change the database; only SELECT, SHOW, DESCRIBE and EXPLAIN are run here, use mysql.exec for the rest", first)
	}
	depth := 0
	for i, t := range tokens {
		switch t.text {
		case "(":
			depth++
		case ")":
			depth--
		case ";":
			return errors.New("holds more than one statement")
		case "INTO":
			return errors.New("writes with INTO; only statements that change nothing are run here")
		case "UPDATE", "SHARE":
			if i > 0 && (tokens[i-1].text == "FOR") || t.text == "SHARE" && i > 1 && tokens[i-1].text == "IN" && tokens[i-2].text == "LOCK" {
				return errors.New("locks rows; only statements that change nothing are run here")
			}
			fallthrough
		case "INSERT", "DELETE", "REPLACE":
			if first == "WITH" && depth == 0 && (i+1 == len(tokens) || tokens[i+1].text != "(") {
				return fmt.Errorf("is a %s and may change the database; use mysql.exec for it", t.text)
			}
		}
	}
	return nil
}

// token is a word in upper case, a quoted thing as it stands, or a single other character.
type token struct {
	text string
	at   int // byte offset in the statement
}

var wordPattern = regexp.MustCompile(`^[\pL\pN_$@.\x{80}-\x{10FFFF}]+`)

// tokens takes a statement apart far enough to tell its words from what it quotes.
func tokens(statement string) ([]token, error) {
	var list []token
	for i := 0; i < len(statement); {
		rest := statement[i:]
		switch c := rest[0]; {
		case strings.ContainsRune(" \t\r\n\f\v", rune(c)):
			i++
		case c == '#' || strings.HasPrefix(rest, "--") && (len(rest) == 2 || rest[2] <= ' '):
			i += lineLength(rest)
		case strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!"):
			return nil, errors.New("holds a conditional comment (/*! … */), whose effect depends on the server; write what it holds instead")
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return nil, errors.New("has a comment that does not end")
			}
			i += end + 4
		case c == '\'' || c == '"' || c == '`':
			n, err := quotedLength(rest)
			if err != nil {
				return nil, err
			}
			list = append(list, token{text: rest[:n], at: i})
			i += n
		default:
			word := wordPattern.FindString(rest)
			if word == "" {
				word = rest[:1]
			}
			list = append(list, token{text: strings.ToUpper(word), at: i})
			i += len(word)
		}
	}
	return list, nil
}

func lineLength(text string) int {
	if end := strings.IndexByte(text, '\n'); end >= 0 {
		return end + 1
	}
	return len(text)
}

// quotedLength is the length of the quoted thing at the beginning of text, quotes included. Doubled quotes and, outside
// of names, backslashes are understood.
func quotedLength(text string) (int, error) {
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote != '`':
			i++
		case text[i] == quote:
			if i+1 < len(text) && text[i+1] == quote {
				i++
				continue
			}
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("has a %c that is not closed", quote)
}

// secretWords mark statements whose literals are passwords.
var secretWords = []string{"IDENTIFIED", "PASSWORD", "OLD_PASSWORD", "AUTHENTICATION", "ENCRYPT", "MD5", "SHA1", "SHA2", "SHA"}

// Secrets lists the quoted texts of a statement that speaks of passwords, so that they can be kept out of messages.
func Secrets(statement string) []string {
	list, err := tokens(statement)
	if err != nil {
		return nil
	}
	speaks := false
	var quoted []string
	for _, t := range list {
		if contains(secretWords, t.text) {
			speaks = true
		}
		if (t.text[0] == '\'' || t.text[0] == '"') && len(t.text) > 2 {
			quoted = append(quoted, t.text[1:len(t.text)-1])
		}
	}
	if !speaks {
		return nil
	}
	return quoted
}

// Masked replaces the quoted passwords of a statement in a text that speaks of it.
func Masked(text, statement string) string {
	for _, s := range Secrets(statement) {
		text = strings.ReplaceAll(text, s, module.Mask)
	}
	return text
}

// Brief is a statement on one line of at most about 70 characters, without passwords, for a summary.
func Brief(statement string) string {
	line := strings.Join(strings.Fields(Masked(statement, statement)), " ")
	if runes := []rune(line); len(runes) > 70 {
		line = string(runes[:69]) + "…"
	}
	return line
}
