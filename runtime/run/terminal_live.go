package run

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"runner/runtime/module"
)

// quiet is how long a step works before it gets a live line: what is over sooner would only flicker.
const quiet = 700 * time.Millisecond

// liveLines draws one line for each step at work, redrawn in place below what was printed. The drawing only runs while
// there is such a line, so that a question at a gate never competes with it.
type liveLines struct {
	out   io.Writer
	width int
	draw  *mpb.Progress
	steps map[int]*liveStep
}

type liveStep struct {
	bar   *mpb.Bar
	began time.Time
	last  chan Event // the newest event, for the drawing goroutine
}

func newLiveLines(out io.Writer, width int) *liveLines {
	return &liveLines{out: out, width: width, steps: map[int]*liveStep{}}
}

// update takes in how far a step is, and says whether its line is shown now for the first time.
func (l *liveLines) update(e Event) (begins bool) {
	s := l.steps[e.Step]
	if s == nil {
		s = &liveStep{began: e.Time, last: make(chan Event, 1)}
		l.steps[e.Step] = s
	}
	select {
	case <-s.last:
	default:
	}
	s.last <- e
	if s.bar != nil || e.Time.Sub(s.began) < quiet {
		return false
	}
	if l.draw == nil {
		l.draw = mpb.New(mpb.WithOutput(l.out), mpb.WithWidth(l.width), mpb.WithAutoRefresh())
	}
	shown, began, width := e, s.began, l.width
	s.bar = l.draw.New(0, mpb.NopStyle(), mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
		select {
		case shown = <-s.last:
		default:
		}
		return clip(LiveLine(shown, time.Since(began)), width-1)
	})))
	return true
}

// write prints above the live lines; false when there are none.
func (l *liveLines) write(text string) bool {
	if l.draw == nil {
		return false
	}
	_, err := l.draw.Write([]byte(text))
	return err == nil
}

func (l *liveLines) end(step int) {
	s := l.steps[step]
	if s == nil {
		return
	}
	delete(l.steps, step)
	if s.bar != nil {
		s.bar.Abort(true)
	}
	for _, other := range l.steps {
		if other.bar != nil {
			return
		}
	}
	l.stop()
}

func (l *liveLines) stop() {
	if l.draw != nil {
		l.draw.Wait()
		l.draw = nil
	}
}

func (l *liveLines) close() {
	for id := range l.steps {
		l.end(id)
	}
	l.stop()
}

// LiveLine is the line of a step at work: how far it has come, how fast it goes and when it will be done.
func LiveLine(e Event, elapsed time.Duration) string {
	p := e.Progress
	parts := []string{strings.Repeat(" ", indent) + pad("...", statusWidth) + pad(hostColumn(e), hostWidth) + orElse(e.Title, e.Module)}
	if p.Label != "" {
		parts[0] += ": " + p.Label
	}
	if p.Done > 0 || p.Total > 0 {
		parts = append(parts, amount(p))
	}
	if p.Bytes > 0 {
		parts = append(parts, Bytes(p.Bytes))
		if s := elapsed.Seconds(); s > 1 {
			parts = append(parts, Bytes(int64(float64(p.Bytes)/s))+"/s")
		}
	}
	if left, ok := timeLeft(p, elapsed); ok {
		parts = append(parts, left+" left")
	} else if elapsed > 2*time.Second {
		parts = append(parts, Seconds(elapsed.Seconds()))
	}
	if p.Detail != "" {
		parts = append(parts, "("+p.Detail+")")
	}
	return strings.Join(parts, "  ")
}

func amount(p *module.Progress) string {
	text := Thousands(p.Done)
	if p.Total > 0 {
		text += "/" + Thousands(p.Total)
	}
	if p.Unit != "" {
		text += " " + p.Unit
	}
	return text
}

func timeLeft(p *module.Progress, elapsed time.Duration) (string, bool) {
	done, total := p.Bytes, p.TotalBytes
	if total == 0 {
		done, total = p.Done, p.Total
	}
	if total == 0 || done == 0 || elapsed < time.Second {
		return "", false
	}
	return Seconds(elapsed.Seconds() * float64(max(total-done, 0)) / float64(done)), true
}

// Bytes shows a number of bytes: "812 B", "1.2 GiB".
func Bytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1000 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}

// Thousands shows a number with its thousands apart: "12 041".
func Thousands(n int64) string {
	s := fmt.Sprint(n)
	var b strings.Builder
	for i, r := range s {
		if i > 0 && (len(s)-i)%3 == 0 && s[i-1] != '-' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}
