package run

import (
	"strings"

	"github.com/rogpeppe/go-internal/diff"
)

const maxDiffLines = 200

// diff shows what a change does to a value or a file. A single value is shown as two lines, a text as a unified diff.
func (t *Terminal) diff(c ChangeInfo) string {
	if c.Before == "" && c.After == "" || c.Before == c.After {
		return ""
	}
	var lines []string
	if strings.Contains(strings.TrimSuffix(c.Before, "\n"), "\n") || strings.Contains(strings.TrimSuffix(c.After, "\n"), "\n") {
		text := string(diff.Diff("before", []byte(endLine(c.Before)), "after", []byte(endLine(c.After))))
		// The first line is the command that would make such a diff: noise here.
		_, text, _ = strings.Cut(text, "\n")
		lines = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	} else {
		if c.Before != "" {
			lines = append(lines, "-"+strings.TrimSuffix(c.Before, "\n"))
		}
		if c.After != "" {
			lines = append(lines, "+"+strings.TrimSuffix(c.After, "\n"))
		}
	}
	var b strings.Builder
	for i, line := range lines {
		if i == maxDiffLines && !t.o.Verbose {
			b.WriteString(strings.Repeat(" ", indent+statusWidth) + "... (-v shows the rest)\n")
			break
		}
		paint := t.paint.dim
		switch {
		case strings.HasPrefix(line, "+"):
			paint = t.paint.good
		case strings.HasPrefix(line, "-"):
			paint = t.paint.bad
		}
		b.WriteString(strings.Repeat(" ", indent+statusWidth) + paint.Sprint(line) + "\n")
	}
	return b.String()
}

func endLine(s string) string {
	if s == "" || strings.HasSuffix(s, "\n") {
		return s
	}
	return s + "\n"
}
