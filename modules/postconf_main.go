package modules

import (
	"slices"
	"strings"
)

// mainFile is a main.cf (postconf(5)): each line that begins with white space continues the one before; lines that are
// empty or whose first character other than white space is # are ignored, also between the lines of a parameter.
type mainFile struct{ lines []mainLine }

// mainLine is a line of the file, with its line end.
type mainLine struct {
	text string
	name string // of the parameter that it sets or continues; empty: a comment, or nothing
	more bool   // it continues the line before
}

func parseMain(text string) *mainFile {
	f := &mainFile{}
	current := ""
	for line := range strings.Lines(text) {
		l := mainLine{text: line}
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			l.name, l.more = current, true
		default:
			name, _, _ := strings.Cut(trimmed, "=")
			current = strings.TrimSpace(name)
			l.name = current
		}
		f.lines = append(f.lines, l)
	}
	return f
}

// values are the parameters that stand in the file. Of several lines for one parameter the last one counts.
func (f *mainFile) values() map[string]string {
	values := map[string]string{}
	for _, l := range f.lines {
		switch {
		case l.name == "":
		case l.more:
			values[l.name] = normalValue(values[l.name] + " " + l.text)
		default:
			_, value, _ := strings.Cut(l.text, "=")
			values[l.name] = normalValue(value)
		}
	}
	return values
}

func (f *mainFile) value(name string) (string, bool) {
	v, ok := f.values()[name]
	return v, ok
}

// remove takes all lines of a parameter out; comments between them stay.
func (f *mainFile) remove(name string) {
	f.lines = slices.DeleteFunc(f.lines, func(l mainLine) bool { return l.name == name })
}

func (f *mainFile) String() string {
	var b strings.Builder
	for _, l := range f.lines {
		b.WriteString(l.text)
	}
	return b.String()
}
