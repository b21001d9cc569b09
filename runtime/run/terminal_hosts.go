package run

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fatih/color"

	"runner/runtime/module"
)

// How much of the table of hosts is shown.
const (
	fewHosts   = 3  // with fewer there is none: the lines above say it all
	manyHosts  = 12 // with more those that are alike are one line
	mostFailed = 10 // of those that failed, in a table of many
	nameWidth  = 24 // at most
)

// fleetEvent shows what is told of each(hosts, fn).
func (t *Terminal) fleetEvent(e Event) string {
	switch {
	case e.Kind == EachStart && e.Note != "" && !t.o.Quiet:
		return t.heading() + t.line(module.Skipped, "", e.Note, "")
	case e.Kind == Batch && !t.o.Quiet:
		return t.heading() + t.said(e.Text)
	case e.Kind == EachEnd && e.Text != "":
		return t.heading() + t.wrap(t.paint.bad, strings.ToUpper(string(e.Status)), e.Text)
	}
	return ""
}

// hostTable shows what became of each host: first those with which all is well, then the others, which are what matters.
func (t *Terminal) hostTable(e Event) string {
	if len(e.PerHost) < fewHosts || t.o.Quiet && !slices.ContainsFunc(e.PerHost, notWell) {
		return ""
	}
	well, failed, left := sortHosts(e.PerHost)
	lines := t.wellLines(well)
	hidden := 0
	if most := mostFailed; len(e.PerHost) > manyHosts && len(failed) > most && !t.o.Verbose {
		hidden = len(failed) - most
		failed = failed[:most]
	}
	width := len("host")
	for _, l := range lines {
		width = max(width, len([]rune(l.name)))
	}
	for _, h := range failed {
		width = max(width, len([]rune(h.Host)))
	}
	width = min(width, nameWidth)
	var b strings.Builder
	changed := "changed"
	if e.Check {
		changed = "to change"
	}
	b.WriteString(t.paint.dim.Sprintf("%-*s %5s %9s %8s %7s %9s", width, "host", "ok", changed, "skipped", "failed", "took") + "\n")
	for _, l := range lines {
		b.WriteString(t.hostLine(width, l.name, l.HostResult))
	}
	for _, h := range failed {
		b.WriteString(t.hostLine(width, h.Host, h))
		first, _, _ := strings.Cut(h.Error, "\n")
		b.WriteString("  " + t.paint.bad.Sprint(clip(first, t.o.Width-2)) + "\n")
	}
	if hidden > 0 {
		b.WriteString(fmt.Sprintf("and %s more that failed (-v shows them)\n", plural(hidden, "host")))
	}
	if len(left) > 0 {
		b.WriteString(t.notes(fmt.Sprintf("%s not begun: %s", plural(len(left), "host"), someOf(left))))
	}
	return b.String()
}

func notWell(h HostResult) bool { return h.Failed() || h.Left }

func sortHosts(all []HostResult) (well, failed []HostResult, left []string) {
	for _, h := range all {
		switch {
		case h.Failed():
			failed = append(failed, h)
		case h.Left:
			left = append(left, h.Host)
		default:
			well = append(well, h)
		}
	}
	return well, failed, left
}

// wellLine is a line for one host, or for several that are alike. Then the time is that of the slowest.
type wellLine struct {
	HostResult
	name string
}

func (t *Terminal) wellLines(well []HostResult) (lines []wellLine) {
	if len(well) <= manyHosts || t.o.Verbose {
		for _, h := range well {
			lines = append(lines, wellLine{h, h.Host})
		}
		return lines
	}
	alike := map[Counts]int{}
	for _, h := range well {
		alike[h.Counts]++
	}
	at := map[Counts]int{}
	for _, h := range well {
		n := alike[h.Counts]
		if n == 1 {
			lines = append(lines, wellLine{h, h.Host})
			continue
		}
		if i, ok := at[h.Counts]; ok {
			lines[i].Took = max(lines[i].Took, h.Took)
			continue
		}
		at[h.Counts] = len(lines)
		lines = append(lines, wellLine{h, plural(n, "host")})
	}
	return lines
}

func (t *Terminal) hostLine(width int, name string, h HostResult) string {
	c := h.Counts
	number := func(paint *color.Color, width, n int) string {
		if n == 0 {
			paint = t.paint.dim
		}
		return paint.Sprintf("%*d", width, n)
	}
	text := fmt.Sprintf("%-*s %s %s %s %s %9s", width, clip(name, width), number(t.paint.good, 5, c.OK), number(t.paint.change, 9, c.Changed),
		number(t.paint.dim, 8, c.Skipped), number(t.paint.bad, 7, c.Failed+c.Unreachable), Seconds(h.Took))
	if c.Unknown > 0 {
		text += fmt.Sprintf("  later %d", c.Unknown)
	}
	return text + "\n"
}
