package run

import (
	"io"
	"strings"
)

// Line is one thing that a command tells of a host.
type Line struct {
	State string // "ok", "warning", "wrong"; empty: neither good nor bad
	About string
	Text  string
	Do    string // what to do about it
}

// WriteLines shows lines under a heading, laid out as the steps of a run are.
func WriteLines(o TerminalOptions, heading string, lines []Line) error {
	t := NewTerminal(o)
	var b strings.Builder
	b.WriteString(t.paint.strong.Sprint(heading) + "\n")
	for _, l := range lines {
		c := t.paint.dim
		switch l.State {
		case "ok":
			c = t.paint.good
		case "warning":
			c = t.paint.warn
		case "wrong":
			c = t.paint.bad
		}
		const margin = indent + 2*statusWidth
		head := strings.Repeat(" ", indent) + c.Sprint(column(l.State, statusWidth)) + column(l.About, statusWidth)
		for _, part := range fold(l.Text, t.o.Width-margin, 0) {
			b.WriteString(strings.TrimRight(head+part, " ") + "\n")
			head = strings.Repeat(" ", margin)
		}
		for i, part := range fold(l.Do, t.o.Width-margin-len("-> "), 0) {
			if l.Do != "" {
				b.WriteString(strings.Repeat(" ", margin) + []string{"-> ", "   "}[min(i, 1)] + part + "\n")
			}
		}
	}
	_, err := io.WriteString(o.Out, b.String())
	return err
}
