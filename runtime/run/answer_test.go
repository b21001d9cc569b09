package run

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// patient is an operator at a terminal who never answers.
type patient struct{ gone chan struct{} }

func (patient) Present() bool { return true }
func (p patient) Confirm(ctx context.Context) (bool, error) {
	<-ctx.Done()
	close(p.gone)
	return false, ctx.Err()
}

func TestAnswerFromASecondTerminal(t *testing.T) {
	b := newBench(t)
	b.add("cutover", "A", set("web", "a", "1"))
	b.phases[0].Gate = "Now?"
	o := b.options()
	o.Wheel = NewWheel(b.stop)
	if o.Wheel.Answer(Answer{Yes: true}) {
		t.Error("nothing was asked, and it was answered")
	}
	p := patient{make(chan struct{})}
	o.Operator = p
	o.Reporters = append(o.Reporters, reporterFunc(func(e Event) {
		if e.Kind == GateAsked && !o.Wheel.Answer(Answer{Yes: true, From: "runner answer, by anna"}) {
			t.Error("the question does not wait when it is told")
		}
	}))
	if err := Run(b.ctx, o); err != nil {
		t.Fatal(err)
	}
	<-p.gone // the terminal is given back
	if got := b.told(GateAnswer); !slices.Equal(got, []string{"cutover||yes|runner answer, by anna|"}) {
		t.Errorf("told %q", got)
	}
}

type reporterFunc func(Event)

func (f reporterFunc) Report(e Event) { f(e) }
func (reporterFunc) Close() error     { return nil }

func TestAnswersOfAFile(t *testing.T) {
	for name, c := range map[string]struct {
		answer *Answer
		err    error
		code   int
	}{
		"yes":         {&Answer{true, "gates:1"}, nil, ExitOK},
		"no":          {&Answer{false, "gates:1"}, nil, ExitGate},
		"none":        {nil, nil, ExitGate},
		"cannot read": {nil, usage("cannot read it"), ExitRecipe},
	} {
		b := newBench(t)
		b.add("cutover", "A", set("web", "a", "1"))
		b.phases[0].Gate = "Now?"
		err := b.run(func(o *Options) {
			o.Answers = func(phase string) (*Answer, error) {
				if phase != "cutover" {
					t.Errorf("asked for %q", phase)
				}
				return c.answer, c.err
			}
		})
		if CodeOf(err) != c.code || (len(b.w.made) == 1) != (c.code == ExitOK) {
			t.Errorf("%s: %v, made %v", name, err, b.w.made)
		}
	}
}

func TestAQuestionThatWaitsIsEndedByAStop(t *testing.T) {
	b := newBench(t)
	b.add("cutover", "A", set("web", "a", "1"))
	b.phases[0].Gate = "Now?"
	err := b.run(func(o *Options) {
		o.Wait = true
		o.Reporters = append(o.Reporters, reporterFunc(func(e Event) {
			if e.Kind == GateAsked {
				b.stop.Stop(ErrStopped)
			}
		}))
	})
	if !errors.Is(err, ErrStopped) || len(b.w.made) > 0 {
		t.Errorf("%v, made %v", err, b.w.made)
	}
}

func TestWhatChangedIsAskedBeforeARunGoesOn(t *testing.T) {
	b := newBench(t)
	b.add("one", "A", set("web", "a", "1"))
	changed := func(o *Options) { o.Changed = []string{"parameter n: was 1, now 2"} }
	b.answers = []bool{false}
	if err := b.run(changed); CodeOf(err) != ExitGate || len(b.w.made) > 0 {
		t.Errorf("%v, made %v", err, b.w.made)
	}
	if runs, err := b.state.Runs(); err != nil || len(runs) > 0 {
		t.Errorf("a no left %v in the journal, %v", runs, err)
	}
	b.answers = []bool{true}
	if err := b.run(changed); err != nil || len(b.w.made) != 1 {
		t.Errorf("%v, made %v", err, b.w.made)
	}
	if got := strings.Join(b.told(GateAsked), ""); !strings.Contains(got, "was 1, now 2") {
		t.Errorf("asked %q", got)
	}
}

func TestLockThatIsTakenOverSaysSo(t *testing.T) {
	l := Lock{Left: &Holder{PID: 7, Host: "mail", User: "anna", Since: testTime, Command: "runner mail.lua"}}
	want := "Took over the lock of runner mail.lua, process 7 of anna on mail, begun 2026-03-01 02:03:04 (2 m 00 s ago): it ended without giving it back."
	if got := l.Told(testTime.Add(2 * time.Minute)); got != want {
		t.Errorf("got %q", got)
	}
}
