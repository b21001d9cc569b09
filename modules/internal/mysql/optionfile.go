package mysql

import (
	"fmt"
	"path"
	"strings"
)

// option is one line of an option file: the name with dashes, as in "max-allowed-packet".
type option struct {
	group, name, value string
}

// optionReader reads the files that !include and !includedir name. readDir gives whole paths.
type optionReader struct {
	read    func(path string) ([]byte, error)
	readDir func(path string) ([]string, error)
}

// maxIncludes is how deep option files may include each other; the MySQL programs use the same limit.
const maxIncludes = 10

// parseOptions reads an option file as the MySQL client programs do (MySQL manual, "Using Option Files"; mysys/my_default.c):
// groups in brackets, comments with # and ;, values in quotes, escapes \b \t \n \r \s \\, !include and !includedir.
// An included file that cannot be read is passed over, as those programs do.
func parseOptions(text string, r optionReader) ([]option, error) {
	p := optionParser{reader: r}
	err := p.parse(text, 0)
	return p.options, err
}

type optionParser struct {
	reader  optionReader
	options []option
}

func (p *optionParser) parse(text string, depth int) error {
	group := ""
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		line = strings.Trim(line, " \t\r\n\v\f")
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '!':
			if err := p.include(line, depth); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
		case line[0] == '[':
			name, _, ok := strings.Cut(line[1:], "]")
			if !ok {
				return fmt.Errorf("line %d: group without a closing bracket", number)
			}
			group = strings.ToLower(strings.TrimSpace(name))
		case group == "":
			return fmt.Errorf("line %d: an option stands before the first group", number)
		default:
			name, value := splitOption(line)
			p.options = append(p.options, option{group: group, name: name, value: value})
		}
	}
	return nil
}

func (p *optionParser) include(line string, depth int) error {
	if depth >= maxIncludes {
		return fmt.Errorf("files include each other more than %d deep", maxIncludes)
	}
	var files []string
	if dir, ok := directive(line, "!includedir"); ok {
		if p.reader.readDir == nil {
			return nil
		}
		entries, err := p.reader.readDir(dir)
		if err != nil {
			return nil
		}
		for _, e := range entries {
			if ext := path.Ext(e); ext == ".cnf" || ext == ".ini" {
				files = append(files, e)
			}
		}
	} else if file, ok := directive(line, "!include"); ok {
		files = []string{file}
	}
	for _, f := range files {
		if p.reader.read == nil {
			return nil
		}
		data, err := p.reader.read(f)
		if err != nil {
			continue
		}
		if err := p.parse(string(data), depth+1); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	return nil
}

func directive(line, name string) (string, bool) {
	rest, ok := strings.CutPrefix(line, name)
	if !ok || rest == "" || !strings.ContainsRune(" \t", rune(rest[0])) {
		return "", false
	}
	return strings.Trim(rest, " \t"), true
}

// splitOption takes a line apart. An option without "=" has an empty value.
func splitOption(line string) (name, value string) {
	line = cutComment(line)
	name, value, _ = strings.Cut(line, "=")
	name = strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), "_", "-")
	value = strings.Trim(value, " \t\r\n\v\f")
	if n := len(value); n > 1 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		value = value[1 : n-1]
	}
	return name, unescapeOption(value)
}

// cutComment removes a # comment from the end of a line; a # inside quotes is no comment.
func cutComment(line string) string {
	var quote byte
	escaped := false
	for i := 0; i < len(line); i++ {
		c := line[i]
		if (c == '\'' || c == '"') && !escaped {
			switch quote {
			case 0:
				quote = c
			case c:
				quote = 0
			}
		}
		if quote == 0 && c == '#' {
			return line[:i]
		}
		escaped = quote != 0 && c == '\\' && !escaped
	}
	return line
}

var optionEscapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 's': ' ', '"': '"', '\'': '\'', '\\': '\\'}

func unescapeOption(value string) string {
	if !strings.Contains(value, `\`) {
		return value
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] == '\\' && i+1 < len(value) {
			i++
			if c, ok := optionEscapes[value[i]]; ok {
				b.WriteByte(c)
				continue
			}
			b.WriteByte('\\')
		}
		b.WriteByte(value[i])
	}
	return b.String()
}

// quoteOption writes a value so that every MySQL program reads it back as it is.
func quoteOption(value string) string {
	r := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\b", `\b`)
	return `"` + r.Replace(value) + `"`
}
