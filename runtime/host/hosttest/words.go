package hosttest

import (
	"errors"
	"strings"

	"runner/runtime/host"
)

// word is a word of a declared command.
type word struct {
	text string
	any  bool // an unquoted *: any word
	rest bool // an unquoted ... : any words from here on
}

// split takes a typed command apart as a shell does (POSIX.1-2017, XCU 2.2), without expansions. A command that begins
// with "sh: " has the rest up to the first " -- " as one word.
func split(line string) ([]word, error) {
	if script, ok := strings.CutPrefix(line, "sh: "); ok {
		script, args, _ := strings.Cut(script, " -- ")
		words, err := split(args)
		return append([]word{{text: "sh: " + script}}, words...), err
	}
	var words []word
	var b strings.Builder
	in, quoted := false, false
	end := func() {
		if in {
			t := b.String()
			words = append(words, word{text: t, any: t == "*" && !quoted, rest: t == "..." && !quoted})
		}
		b.Reset()
		in, quoted = false, false
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t':
			end()
		case '\'', '"':
			n := closing(line[i+1:], c)
			if n < 0 {
				return nil, errors.New("a quote is not closed")
			}
			text := line[i+1 : i+1+n]
			if c == '"' {
				text = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\$`, `$`, "\\`", "`").Replace(text)
			}
			b.WriteString(text)
			in, quoted = true, true
			i += n + 1
		case '\\':
			if i++; i == len(line) {
				return nil, errors.New("nothing follows the last backslash")
			}
			b.WriteByte(line[i])
			in, quoted = true, true
		default:
			b.WriteByte(c)
			in = true
		}
	}
	end()
	return words, nil
}

func closing(s string, quote byte) int {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return i
		case s[i] == '\\' && quote == '"':
			i++
		}
	}
	return -1
}

// Match says whether a command, as [Fake.Commands] gives it, is one that is typed with the wildcards of [Fake.Looks].
func Match(pattern, command string) bool {
	declared, err := split(pattern)
	if err != nil {
		return false
	}
	words, err := split(command)
	if err != nil {
		return false
	}
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = w.text
	}
	return match(declared, list)
}

func match(declared []word, words []string) bool {
	for i, d := range declared {
		if d.rest && i == len(declared)-1 {
			return true
		}
		if i >= len(words) || !d.any && d.text != words[i] {
			return false
		}
	}
	return len(declared) == len(words)
}

// show is a command as typed.
func show(words []string) string {
	if len(words) > 0 && (strings.HasPrefix(words[0], "sh: ") || strings.HasPrefix(words[0], "@")) {
		line := words[0]
		if len(words) > 1 && line[0] == 's' {
			line += " --"
		}
		if len(words) > 1 {
			line += " " + host.Quote(words[1:]...)
		}
		return line
	}
	return host.Quote(words...)
}

func showWords(words []word) string {
	list := make([]string, len(words))
	for i, w := range words {
		switch {
		case w.any || w.rest:
			list[i] = w.text
		case i == 0:
			list[i] = show([]string{w.text})
		default:
			list[i] = host.Quote(w.text)
		}
	}
	return strings.Join(list, " ")
}

// canonical is a typed command in the one way of quoting that the log uses.
func canonical(line string) string {
	words, err := split(line)
	if err != nil {
		return line
	}
	return showWords(words)
}
