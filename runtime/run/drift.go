package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"runner/runtime/module"
)

// DriftError says that a step is not what the plan says: a host has changed since, or the recipe took another way.
type DriftError struct {
	Planned *PlannedStep // nil: the plan has no such step
	Now     *PlannedStep // nil: the step did not come
}

func (e *DriftError) Error() string {
	s := e.Planned
	if s == nil {
		s = e.Now
	}
	var b strings.Builder
	fmt.Fprintf(&b, "cannot do the step as planned: %s in the task %q", s.name(), s.Task)
	if s.At != nil {
		fmt.Fprintf(&b, " (%s)", s.At)
	}
	if e.Planned == nil {
		fmt.Fprintf(&b, "\n  planned  no such step\n  now      %s", e.Now.does())
		return b.String()
	}
	if e.Now == nil {
		fmt.Fprintf(&b, "\n  planned  %s\n  now      the recipe does not come to it", e.Planned.does())
		return b.String()
	}
	planned, now := e.Planned.does(), e.Now.does()
	switch {
	case planned == now && e.Planned.Arguments != e.Now.Arguments:
		now += " (with other arguments)"
	case planned == now:
		planned, now = firstDifference(e.Planned.Changes, e.Now.Changes)
	}
	fmt.Fprintf(&b, "\n  planned  %s\n  now      %s", planned, now)
	return b.String()
}

// Hint says what to do about it.
func (e *DriftError) Hint() string {
	return "see what changed, then make and read a new plan: runner plan RECIPE -o FILE"
}

func (s *PlannedStep) name() string {
	name := orElse(s.Title, s.Module)
	if len(s.Hosts) > 0 {
		name += " on " + strings.Join(s.Hosts, ", ")
	}
	return name
}

// does says what the step would do, in a line.
func (s *PlannedStep) does() string {
	if len(s.Changes) == 0 {
		switch {
		case s.Status == module.Unknown, s.Status == module.Skipped:
			return orElse(s.Note, string(s.Status))
		case s.Note != "":
			return "nothing to do (" + s.Note + ")"
		}
		return "nothing to do"
	}
	var list []string
	for i, c := range s.Changes {
		if i == 5 {
			list = append(list, fmt.Sprintf("and %d more", len(s.Changes)-i))
			break
		}
		list = append(list, c.Summary)
	}
	return strings.Join(list, "; ")
}

// firstDifference shows where two lists of changes with the same summaries part: what stood there before, or what is to come.
func firstDifference(planned, now []ChangeInfo) (string, string) {
	for i := range min(len(planned), len(now)) {
		p, n := planned[i], now[i]
		switch {
		case p.Before != n.Before:
			a, b := partingLines(p.Before, n.Before)
			return fmt.Sprintf("%s, where there is %q", p.Summary, a), fmt.Sprintf("there is %q", b)
		case p.After != n.After:
			a, b := partingLines(p.After, n.After)
			return fmt.Sprintf("%s, to %q", p.Summary, a), fmt.Sprintf("to %q", b)
		}
	}
	return "as in the plan", "another"
}

// partingLines are the first lines in which two texts differ.
func partingLines(a, b string) (string, string) {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(la), len(lb)) {
		x, y := lineOf(la, i), lineOf(lb, i)
		if x != y {
			return x, y
		}
	}
	return a, b
}

func lineOf(lines []string, i int) string {
	if i >= len(lines) {
		return ""
	}
	line := []rune(lines[i])
	if len(line) > 160 {
		return string(line[:160]) + "..."
	}
	return string(line)
}

// expectation holds the steps of a run against a saved plan.
type expectation struct {
	mu     sync.Mutex
	plan   *SavedPlan
	used   []bool
	drifts []*DriftError
}

func newExpectation(p *SavedPlan) *expectation {
	if p == nil {
		return nil
	}
	return &expectation{plan: p, used: make([]bool, len(p.Steps))}
}

// next takes the planned step that a step is: the first one not taken yet of the same place in the recipe and the same hosts.
func (x *expectation) next(now *PlannedStep) *PlannedStep {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.plan.Steps {
		if p := &x.plan.Steps[i]; !x.used[i] && p.same(now) {
			x.used[i] = true
			return p
		}
	}
	return nil
}

func (s *PlannedStep) same(o *PlannedStep) bool {
	return s.Phase == o.Phase && s.Task == o.Task && s.Handler == o.Handler && s.Module == o.Module && slices.Equal(s.Hosts, o.Hosts) &&
		(s.At == nil) == (o.At == nil) && (s.At == nil || s.At.Line == o.At.Line && s.At.Column == o.At.Column && filepath.Base(s.At.File) == filepath.Base(o.At.File))
}

// rehearsed compares a step that was looked at, while nothing is done yet: it must be as it was.
func (x *expectation) rehearsed(now *PlannedStep) {
	p := x.next(now)
	if p != nil && p.Status == now.Status && p.Arguments == now.Arguments && (p.Seen == now.Seen || p.Moving && now.Moving) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drifts = append(x.drifts, &DriftError{Planned: p, Now: now})
}

// left are the planned steps that did not come.
func (x *expectation) left() (list []*PlannedStep) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.plan.Steps {
		if !x.used[i] {
			list = append(list, &x.plan.Steps[i])
		}
	}
	return list
}

// agrees compares a step right before its first change. A step that others of the plan come before on its hosts could not be seen
// as it will be: it may come out otherwise, which is returned as differs, but not destroy what the plan does not say.
func (x *expectation) agrees(now *PlannedStep) (differs *PlannedStep, err error) {
	p := x.next(now)
	if p == nil {
		if len(now.Changes) == 0 {
			return nil, nil
		}
		return nil, &DriftError{Now: now}
	}
	if p.Arguments == now.Arguments && (p.Seen == now.Seen || p.Moving && now.Moving && !destroysMore(p, now)) {
		return nil, nil
	}
	if len(p.After) == 0 && p.Status != module.Unknown || destroysMore(p, now) {
		return nil, &DriftError{Planned: p, Now: now}
	}
	return p, nil
}

func destroysMore(p, now *PlannedStep) bool {
	return count(now.Changes) > count(p.Changes)
}

func count(changes []ChangeInfo) (destroys int) {
	for _, c := range changes {
		if c.Destroys {
			destroys++
		}
	}
	return destroys
}

// planned makes of a step what a plan says of it.
func (s *step) planned(changes []module.Change, moving bool) *PlannedStep {
	b := s.base
	masked := s.tell.mask.Event(Event{Title: b.Title, Changes: infos(changes)})
	p := &PlannedStep{
		Phase: b.Phase, Task: b.Task, Handler: s.inHandler, Module: b.Module, Title: masked.Title, Hosts: s.hosts, At: &s.at, Changes: masked.Changes,
		Moving: moving, step: b.Step,
	}
	p.Arguments = digest(s.tell.mask.value(s.values))
	p.Seen = digest(p.Changes)
	return p
}

func digest(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		data = fmt.Append(nil, v)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// book enters how a step ended in check mode into the plan that is made, or holds it against the one that is to be applied.
func (s *step) book(e *Event, changes []module.Change, before []int) {
	if !s.check || s.making == nil && s.expected == nil {
		return
	}
	p := s.planned(changes, s.moving)
	p.Status, p.Note = e.Status, s.tell.mask.Text(e.Note)
	if s.expected != nil {
		s.expected.rehearsed(p)
		return
	}
	s.making.add(p, before)
}

func (p *SavedPlan) add(s *PlannedStep, before []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, earlier := range p.Steps {
		if slices.Contains(before, earlier.step) {
			s.After = append(s.After, i+1)
		}
	}
	p.Steps = append(p.Steps, *s)
}

// approve holds the plan of a step against the saved one, before its first change.
func (s *step) approve(p *module.Plan) error {
	if s.check || s.expected == nil || s.approved {
		return nil
	}
	s.approved = true // a further try looks at what the first one left behind
	now := s.planned(p.Changes, p.Moving)
	now.Note = s.tell.mask.Text(p.Note)
	planned, err := s.expected.agrees(now)
	if err != nil || planned == nil {
		return err
	}
	if was, is := planned.does(), now.does(); was != is && planned.Status != module.Unknown {
		e := s.event(Warned)
		e.Text = fmt.Sprintf("%s: planned: %s; after the steps before it: %s", s.title(), was, is)
		s.tell.tell(e)
	}
	return nil
}

func isDrift(err error) bool {
	var drift *DriftError
	return errors.As(err, &drift)
}

// Rehearse looks at everything again, changes nothing, and says whether the hosts are as they were when the plan was made. Nothing
// is told of it but the error.
func Rehearse(ctx context.Context, o Options) error {
	o.Check, o.Reporters = true, nil
	x := newExpectation(o.Expect)
	err := runExpecting(ctx, o, x)
	var f *Failure
	if errors.As(err, &f) {
		again := *f
		again.told = false
		return &again
	}
	if err != nil {
		return err
	}
	for _, s := range x.left() {
		x.drifts = append(x.drifts, &DriftError{Planned: s})
	}
	if len(x.drifts) == 0 {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "cannot apply the plan: %s not as planned, nothing was changed", plural(len(x.drifts), "step")+map[bool]string{true: " is", false: " are"}[len(x.drifts) == 1])
	for i, d := range x.drifts {
		if i == 10 {
			fmt.Fprintf(&b, "\nand %d more", len(x.drifts)-i)
			break
		}
		b.WriteString("\n" + strings.TrimPrefix(d.Error(), "cannot do the step as planned: "))
	}
	return &Failure{Err: errors.New(b.String()), Code: ExitFailed, Hint: x.drifts[0].Hint()}
}
