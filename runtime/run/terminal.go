package run

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/fatih/color"

	"runner/runtime/module"
)

// TerminalOptions say how a [Terminal] shows a run.
type TerminalOptions struct {
	Out     io.Writer
	Width   int  // columns; 0: 80
	Colour  bool // only on a terminal and without NO_COLOR: the caller looks
	Live    bool // lines that are redrawn while a step is at work; only on a terminal
	Diff    bool // show before and after of each change
	Verbose bool // every change, also of long lists, and steps that had nothing to do in full
	Quiet   bool // only what changed, failed or needs an answer, and the recap
}

// Terminal tells a run to a person, in lines that fit the width and make sense without colour and in a file.
type Terminal struct {
	o     TerminalOptions
	paint palette

	mu    sync.Mutex
	task  string
	shown string // task whose name is on the screen
	times []phaseTime
	gone  outages
	live  *liveLines
}

type phaseTime struct {
	name string
	took float64
}

type palette struct{ good, change, bad, warn, dim, strong *color.Color }

func newPalette(on bool) palette {
	p := palette{
		good: color.New(color.FgGreen), change: color.New(color.FgYellow), bad: color.New(color.FgRed, color.Bold),
		warn: color.New(color.FgMagenta), dim: color.New(color.Faint), strong: color.New(color.Bold),
	}
	for _, c := range []*color.Color{p.good, p.change, p.bad, p.warn, p.dim, p.strong} {
		// Each colour is told by itself: the library's own switch is one for the whole program.
		if on {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
	}
	return p
}

// NewTerminal makes a reporter for a person.
func NewTerminal(o TerminalOptions) *Terminal {
	if o.Width <= 0 {
		o.Width = 80
	}
	t := &Terminal{o: o, paint: newPalette(o.Colour)}
	if o.Live {
		t.live = newLiveLines(o.Out, o.Width)
	}
	return t
}

// Report tells one event.
func (t *Terminal) Report(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Kind == Progress {
		if t.live != nil && e.Progress != nil && t.live.update(e) {
			if heading := t.heading(); heading != "" {
				t.write(heading)
			}
		}
		return
	}
	if t.live != nil && e.Kind == StepEnd {
		t.live.end(e.Step)
	}
	t.gone.add(e)
	if text := t.render(e); text != "" {
		t.write(text)
	}
}

// Close ends the live lines.
func (t *Terminal) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.live != nil {
		t.live.close()
	}
	return nil
}

func (t *Terminal) write(text string) {
	if t.live != nil && t.live.write(text) {
		return
	}
	// A terminal that is gone is no reason to stop a move in the middle.
	_, _ = io.WriteString(t.o.Out, text)
}

func (t *Terminal) render(e Event) string {
	switch e.Kind {
	case RunStart:
		t.shown, t.times, t.gone = "", nil, outages{} // an undo is shown first, and then done: two sessions of one terminal
		return t.runStart(e)
	case PhaseStart:
		t.shown = ""
		return "\n" + t.paint.strong.Sprint(t.rule(e.Phase, e.Title)) + "\n"
	case PhaseEnd:
		t.times = append(t.times, phaseTime{e.Phase, e.Took})
	case GateAsked:
		return "\n" + t.wrap(t.paint.strong, "gate", e.Text)
	case GateAnswer:
		return t.wrap(t.paint.dim, "answer", strings.TrimSpace(e.Text+" "+parens(e.Note)))
	case TaskStart:
		t.task = e.Task
	case TaskEnd:
		return t.taskEnd(e)
	case StepEnd:
		return t.stepEnd(e)
	case EachStart, Batch, EachEnd:
		return t.fleetEvent(e)
	case Said:
		return t.heading() + t.between() + t.said(e.Text)
	case Warned:
		return t.heading() + t.wrap(t.paint.warn, "warning", e.Text) + t.hint(e)
	case RunEnd:
		return t.recap(e)
	}
	return ""
}

func (t *Terminal) runStart(e Event) string {
	text := t.paint.strong.Sprint(e.Recipe)
	switch {
	case e.Check:
		text += "  (check: nothing is changed)"
	case e.Undo:
		text += "  (undo)"
	}
	if e.Run != "" {
		text += t.paint.dim.Sprint("  run " + e.Run)
	}
	text += "\n"
	return text + t.notes(e.Text)
}

// notes are lines from the left edge on, folded.
func (t *Terminal) notes(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		for _, part := range fold(strings.TrimRight(line, "\n"), t.o.Width, 0) {
			b.WriteString(part + "\n")
		}
	}
	return b.String()
}

// rule is a line with a name in it: "== cutover ======". ASCII, so that it reads the same in any log.
func (t *Terminal) rule(name, title string) string {
	line := "== " + name + " "
	if title != "" && title != name {
		line += "- " + title + " "
	}
	if rest := t.o.Width - len([]rune(line)); rest > 0 {
		line += strings.Repeat("=", rest)
	}
	return strings.Join(fold(line, t.o.Width, 0), "\n")
}

// heading is the name of the task, once, before the first line that it has to show.
func (t *Terminal) heading() string {
	if t.task == "" || t.shown == t.task {
		return ""
	}
	t.shown = t.task
	text := "\n"
	for _, part := range fold(t.task, t.o.Width, 0) {
		text += t.paint.strong.Sprint(part) + "\n"
	}
	return text
}

// between sets what is said between two tasks apart from the lines of the one before.
func (t *Terminal) between() string {
	if t.task == "" && t.shown != "" {
		t.shown = ""
		return "\n"
	}
	return ""
}

func (t *Terminal) taskEnd(e Event) string {
	defer func() { t.task = "" }()
	switch {
	case e.Status == module.Skipped && !t.o.Quiet:
		return t.heading() + t.line(e.Status, "", orElse(e.Note, "skipped"), "")
	case e.Error != "":
		return t.heading() + t.failure(e)
	}
	return ""
}

func (t *Terminal) recap(e Event) string {
	var b strings.Builder
	b.WriteString("\n" + t.paint.strong.Sprint(t.rule("recap", "")) + "\n")
	if e.Error != "" && e.Counts == nil {
		b.WriteString(t.failure(e))
	}
	for _, p := range t.times {
		fmt.Fprintf(&b, "%-*s %10s\n", t.o.Width-12, p.name, Seconds(p.took))
	}
	if text := t.gone.text(); text != "" {
		b.WriteString(text + "\n")
	}
	b.WriteString(t.hostTable(e))
	if c := e.Counts; c != nil {
		verb := "changed"
		if e.Check {
			verb = "would change"
		}
		parts := []string{
			t.count(t.paint.good, "ok", c.OK), t.count(t.paint.change, verb, c.Changed), t.count(t.paint.dim, "skipped", c.Skipped),
			t.count(t.paint.bad, "failed", c.Failed), t.count(t.paint.bad, "unreachable", c.Unreachable),
		}
		if c.Unknown > 0 {
			parts = append(parts, t.count(t.paint.warn, "cannot tell yet", c.Unknown))
		}
		b.WriteString(strings.Join(parts, "  ") + "\n")
		b.WriteString(t.paint.dim.Sprint("in "+Seconds(e.Took)) + "\n")
	}
	b.WriteString(t.notes(e.Text))
	b.WriteString(t.hint(Event{Hint: e.Hint}))
	return b.String()
}

func (t *Terminal) count(c *color.Color, name string, n int) string {
	text := fmt.Sprintf("%s %d", name, n)
	if n == 0 {
		return t.paint.dim.Sprint(text)
	}
	return c.Sprint(text)
}

// Seconds shows a time span given in seconds as people say it: "0.3 s", "42 s", "3 m 07 s", "2 h 05 m".
func Seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", s)
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", s)
	case d < time.Hour:
		d = d.Round(time.Second)
		return fmt.Sprintf("%d m %02d s", d/time.Minute, d%time.Minute/time.Second)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%d h %02d m", d/time.Hour, d%time.Hour/time.Minute)
}

func parens(s string) string {
	if s == "" {
		return ""
	}
	return "(" + s + ")"
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
