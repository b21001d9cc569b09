package run

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/fatih/color"

	"runner/runtime/module"
)

// Columns of a step's line: "changed  old -> new  text … 12 s". Continuation lines begin where the text does.
const (
	statusWidth = 9
	hostWidth   = 12
	indent      = 2
	maxChanges  = 8 // lines of one step before the rest is only counted
)

func (t *Terminal) stepEnd(e Event) string {
	nothing := e.Status == module.OK || e.Status == module.Skipped
	if nothing && t.o.Quiet {
		return ""
	}
	var b strings.Builder
	b.WriteString(t.heading())
	hosts := hostColumn(e)
	took := ""
	if e.Took >= 1 {
		took = Seconds(e.Took)
	}
	switch {
	case e.Status == module.Failed || e.Status == module.Unreachable:
		b.WriteString(t.failure(e))
	case len(e.Changes) == 0 || e.Status == module.Unknown:
		b.WriteString(t.line(e.Status, hosts, t.what(e, e.Note), took))
	default:
		t.changes(&b, e, hosts, took)
	}
	if t.o.Diff {
		for _, c := range e.Changes {
			b.WriteString(t.diff(c))
		}
	}
	return b.String()
}

// what is the step's name followed by what is said of it.
func (t *Terminal) what(e Event, said string) string {
	name := orElse(e.Title, e.Module)
	if said == "" {
		return name
	}
	return name + ": " + said
}

func (t *Terminal) changes(b *strings.Builder, e Event, hosts, took string) {
	shown := e.Changes
	if len(shown) > maxChanges && !t.o.Verbose {
		shown = shown[:maxChanges-1]
	}
	for i, c := range shown {
		if i == 0 {
			b.WriteString(t.line(e.Status, hosts, t.what(e, c.Summary), took))
			continue
		}
		b.WriteString(t.line("", "", c.Summary, ""))
	}
	if rest := len(e.Changes) - len(shown); rest > 0 {
		b.WriteString(t.line("", "", fmt.Sprintf("and %d more (-v shows them)", rest), ""))
	}
}

func hostColumn(e Event) string { return strings.Join(e.Hosts, " -> ") }

func (t *Terminal) colour(s module.Status) *color.Color {
	switch s {
	case module.OK:
		return t.paint.good
	case module.Changed:
		return t.paint.change
	case module.Failed, module.Unreachable:
		return t.paint.bad
	case module.Unknown:
		return t.paint.warn
	}
	return t.paint.dim
}

// line lays out one step. Text that is too long goes on below, under where it began.
func (t *Terminal) line(status module.Status, hosts, text, took string) string {
	label := string(status)
	if status == module.Unknown {
		label = "later"
		if !t.o.Verbose {
			text = shorten(text, maxLater)
		}
	}
	head := strings.Repeat(" ", indent) + t.colour(status).Sprint(column(label, statusWidth)) + pad(hosts, hostWidth)
	margin := indent + statusWidth + hostWidth
	if n := utf8.RuneCountInString(hosts); n >= hostWidth {
		head += " "
		margin = indent + statusWidth + n + 1
	}
	var b strings.Builder
	for i, part := range fold(text, max(t.o.Width-margin-1, 20), len(took)+1) {
		if i == 0 {
			b.WriteString(head + part)
			if took != "" {
				gap := t.o.Width - margin - utf8.RuneCountInString(part) - len(took)
				b.WriteString(strings.Repeat(" ", max(gap, 1)) + t.paint.dim.Sprint(took))
			}
		} else {
			margin = indent + statusWidth + hostWidth
			b.WriteString(strings.Repeat(" ", margin+2) + part)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// maxLater is how much is shown of why a step cannot be planned before earlier ones are done: it is what the step would say of
// hosts on which nothing was done, which may be long, and which nobody needs.
const maxLater = 240

func shorten(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return strings.TrimRight(string([]rune(text)[:most]), " ,;") + " …"
}

// failure shows what could not be done, where in the recipe, and what to do next.
func (t *Terminal) failure(e Event) string {
	status := e.Status
	if status == "" {
		status = module.Failed
	}
	var b strings.Builder
	label := strings.ToUpper(string(status))
	switch hosts, name := hostColumn(e), orElse(e.Title, e.Module); {
	case hosts == "" && name == "":
		b.WriteString(t.wrap(t.paint.bad, label, e.Error))
	default:
		if hosts != "" {
			name = hosts + "  " + name
		}
		b.WriteString(strings.Repeat(" ", indent) + t.paint.bad.Sprint(column(label, statusWidth)) + name + "\n")
		b.WriteString(t.wrap(t.paint.bad, "", e.Error))
	}
	if e.At != nil {
		b.WriteString(strings.Repeat(" ", indent+statusWidth) + t.paint.dim.Sprint("at "+e.At.String()) + "\n")
		if source := strings.TrimSpace(e.Source); source != "" {
			b.WriteString(strings.Repeat(" ", indent+statusWidth+2) + t.paint.dim.Sprint(clip(source, t.o.Width-indent-statusWidth-2)) + "\n")
		}
	}
	b.WriteString(t.hint(e))
	return b.String()
}

func (t *Terminal) hint(e Event) string {
	if e.Hint == "" {
		return ""
	}
	return t.wrap(t.paint.strong, "next", e.Hint)
}

// wrap shows a labelled text, its further lines under its first.
func (t *Terminal) wrap(c *color.Color, label, text string) string {
	var b strings.Builder
	first := true
	for line := range strings.Lines(text) {
		for _, part := range fold(strings.TrimRight(line, "\n"), t.o.Width-indent-statusWidth, 0) {
			head := strings.Repeat(" ", statusWidth)
			if first && label != "" {
				head = c.Sprint(column(label, statusWidth))
				first = false
			}
			b.WriteString(strings.Repeat(" ", indent) + head + part + "\n")
		}
	}
	return b.String()
}

// said shows the recipe's own words, indented. Sentences are folded; a line that lays out columns stays as it is.
func (t *Terminal) said(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text + "\n") {
		line = strings.TrimRight(line, "\n")
		parts := []string{line}
		if !strings.Contains(strings.TrimSpace(line), "  ") && !strings.Contains(line, "\t") {
			parts = fold(line, t.o.Width-indent, 0)
		}
		for _, part := range parts {
			b.WriteString(strings.Repeat(" ", indent) + part + "\n")
		}
	}
	return b.String()
}

// column is a text in a column of its own: padded, and never without a space behind it.
func column(s string, width int) string {
	if s != "" {
		s += " "
	}
	return pad(s, width)
}

func pad(s string, width int) string {
	if n := utf8.RuneCountInString(s); n < width {
		return s + strings.Repeat(" ", width-n)
	}
	return s
}

func clip(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[:max(width-3, 0)]) + "..."
	}
	return s
}

// fold breaks text at spaces into lines of at most width characters, the first one shorter by less. A word that is
// longer than a line stays whole: a path that is cut in two cannot be copied.
func fold(text string, width, less int) []string {
	if text == "" {
		return []string{""}
	}
	var lines []string
	line, room := "", width-less
	lead := text[:len(text)-len(strings.TrimLeft(text, " "))]
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > room {
			lines = append(lines, line)
			line, room = lead, width
		}
		if line == "" || line == lead {
			if line == "" && len(lines) == 0 {
				line = lead
			}
			line += word
		} else {
			line += " " + word
		}
	}
	return append(lines, line)
}
