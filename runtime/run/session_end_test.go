package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

func TestStopFinishesTheChangeAtHand(t *testing.T) {
	b := newBench(t)
	two := call("set", map[string]any{"on": module.HostName("old"), "set": map[string]any{"a": "1", "b": "1"}})
	b.add("p", "one", two, set("old", "c", "1"))
	b.add("p", "two", set("old", "d", "1"))
	b.w.onChange = func(string) { b.stop.Stop(fmt.Errorf("%w (Ctrl-C)", ErrStopped)) }
	err := b.run()
	if CodeOf(err) != ExitStopped {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff([]string{"old a=1"}, b.w.made); diff != "" {
		t.Error(diff)
	}
	if got := b.told(StepEnd); len(got) != 1 || got[0] != "one|stopped||stopped after 1 of its changes|" {
		t.Errorf("steps %v", got)
	}
	end := b.events[len(b.events)-1]
	if end.Text != `Stopped by the operator (Ctrl-C). 0 of 2 tasks are done; next is "one" in the phase p.` || end.Hint != "go on with: runner resume" {
		t.Errorf("%q %q", end.Text, end.Hint)
	}
	b.w.onChange = nil
	if err := b.run(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"old b=1", "old c=1", "old d=1"}, b.w.made); diff != "" {
		t.Error(diff)
	}
}

func TestStopEndsAWaitAtOnceAndTheSecondAChange(t *testing.T) {
	b := newBench(t)
	b.add("p", "one", call("wait", map[string]any{"on": module.HostName("old")}))
	b.w.onChange = func(string) { go b.stop.Stop(ErrStopped) }
	if err := b.run(); CodeOf(err) != ExitStopped {
		t.Fatalf("got %v", err)
	}
	c := newBench(t)
	c.add("p", "one", set("old", "a", "1"))
	c.w.onChange = func(string) {
		c.stop.Stop(ErrStopped)
		c.stop.Stop(ErrStopped)
	}
	if err := c.run(); CodeOf(err) != ExitStopped {
		t.Fatalf("got %v", err)
	}
	if got := c.told(StepEnd); len(got) != 1 || got[0] != "one|stopped||stopped in the middle of: set a = 1|" {
		t.Errorf("steps %v", got)
	}
	if c.w.settings["old a"] != "" {
		t.Error("the change was made although it was ended")
	}
}

func TestJournalThatCannotBeWrittenEndsTheRun(t *testing.T) {
	b := mail(t)
	o := b.options()
	s, err := open(o, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.start(o, false); err != nil {
		t.Fatal(err)
	}
	s.tell.journal.f.Close()
	parts, err := choose(b.phases, nil, Choice{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.finish(s.guarded(func() error { return s.runParts(b.ctx, parts) }))
	if CodeOf(err) != ExitFailed || !strings.Contains(err.Error(), "cannot write the journal") {
		t.Errorf("got %v", err)
	}
	if len(b.w.made) > 0 {
		t.Errorf("made %v without a journal", b.w.made)
	}
}

func TestCheckTellsWhatItCannotTell(t *testing.T) {
	b := newBench(t)
	b.add("p", "one", set("new", "a", "1", "title", "Make the database"))
	b.add("p", "two", set("new", "b", "1", "needs", "a"), set("old", "z", "1"))
	b.add("p", "three")
	b.bodies["three"] = func(context.Context, recipe.Engine) error { return errors.New("attempt to index a nil value") }
	b.add("p", "four", set("old", "c", "1", "needs", "y"))
	b.add("p", "five", set("other", "c", "1", "needs", "y"))
	err := b.run(func(o *Options) { o.Check = true })
	if CodeOf(err) != ExitFailed {
		t.Fatalf("got %v", err)
	}
	want := []string{
		"one|changed|||",
		`two|unknown||cannot tell before "Make the database" is done: cannot find a|`,
		"two|changed|||",
		"four|unknown||cannot tell before \"set\" is done: cannot find y|",
		"five|failed|||cannot find y", // nothing is pending on its host
	}
	if diff := cmp.Diff(want, b.told(StepEnd)); diff != "" {
		t.Error(diff)
	}
	if got := b.told(TaskEnd)[2]; got != `three|unknown||cannot tell before "set" is done: attempt to index a nil value|` {
		t.Errorf("got %s", got)
	}
	if len(b.w.made) > 0 || len(b.w.settings) > 0 {
		t.Errorf("check made %v", b.w.made)
	}
	if _, err := os.Stat(b.state.Dir); !os.IsNotExist(err) {
		t.Errorf("check wrote the state folder: %v", err)
	}
}

func TestStepOptions(t *testing.T) {
	b := newBench(t)
	b.add("p", "retries", set("old", "a", "1", "retries", 2.0, "delay", 0.0))
	b.w.flaky = 2
	b.add("p", "ignored", call("fail", map[string]any{"on": module.HostName("old"), "ignore_errors": true}), set("old", "b", "1"))
	b.add("p", "limited", set("new", "c", "1"))
	if err := b.run(func(o *Options) {
		o.Outside = func(h module.HostName) bool { return h == "new" }
		o.Limit = "old"
	}); err != nil {
		t.Fatal(err)
	}
	want := []string{"retries|changed|||", "ignored|skipped||failed, and the recipe ignores it: cannot log in with : refused|", "ignored|changed|||", "limited|skipped||new is not in --limit old|"}
	if diff := cmp.Diff(want, b.told(StepEnd)); diff != "" {
		t.Error(diff)
	}
	if got := b.told(Warned); len(got) != 2 || got[1] != "retries||set: try 2 of 3 failed, again in 0s: cannot set it: try again||" {
		t.Errorf("warned %v", got)
	}
}

func TestFailures(t *testing.T) {
	type told struct{ Error, Hint, Source string }
	for name, test := range map[string]struct {
		step recipe.Step
		code int
		want told
	}{
		"module":  {call("fail", map[string]any{"on": module.HostName("old"), "token": "hunter2!"}), ExitFailed, told{"cannot log in with ********: refused", "", "-- line 4"}},
		"unknown": {call("sett", map[string]any{}), ExitRecipe, told{`cannot call sett: there is no such module; did you mean "set"?`, "runner doc lists the modules", "-- line 4"}},
		"argument": {call("set", map[string]any{"on": module.HostName("old"), "sett": 1.0}), ExitRecipe,
			told{`cannot call set: sett is no argument; did you mean "set"?`, "runner doc set shows its arguments", "-- line 4"}},
		"handler": {set("old", "a", "1", "notify", "Relaod"), ExitRecipe,
			told{`cannot call set: notify names the handler "Relaod", which the recipe does not have; did you mean "Reload"?`, "runner doc set shows its arguments", "-- line 3"}},
		"unreachable": {set("gone", "a", "1"), ExitUnreachable, told{"cannot reach gone: connection refused", "", "-- line 3"}},
		"timeout": {call("wait", map[string]any{"on": module.HostName("old"), "timeout": 0.02}), ExitFailed,
			told{"cannot wait for ever: timed out after 20ms", "give the step a longer timeout, or look on the host at what hangs", "-- line 4"}},
		"bug": {set("old", "a", "1", "panic", true), ExitFailed, told{"cannot go on: this is a bug in runner, not in your recipe: index out of range",
			(&bugError{}).Hint(), "-- line 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.handler("Reload")
			b.w.down["gone"] = true
			b.add("p", "task", test.step)
			err := b.run()
			var f *Failure
			if !errors.As(err, &f) || CodeOf(err) != test.code || !f.Told() {
				t.Fatalf("got %#v", err)
			}
			var shown []told
			for _, e := range b.events {
				if e.Error != "" {
					if e.At == nil {
						t.Errorf("%s says no place", e.Kind)
					}
					if e.Kind != ChangeDone {
						shown = append(shown, told{e.Error, e.Hint, e.Source})
					}
				}
			}
			if diff := cmp.Diff([]told{test.want}, shown); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// No secret of a run is found in anything that it leaves behind.
func TestSecretsAreNowhere(t *testing.T) {
	b := newBench(t)
	b.add("p", "one", set("old", "a", "hunter2hunter2", "token", "hunter2hunter2", "title", "with hunter2hunter2"),
		call("fail", map[string]any{"on": module.HostName("old"), "token": "hunter2hunter2"}))
	if err := b.run(); CodeOf(err) != ExitFailed {
		t.Fatal(err)
	}
	if b.w.settings["old a"] != "hunter2hunter2" {
		t.Error("the module did not get the secret")
	}
	for _, path := range []string{b.state.journal(b.last().ID), b.state.Log(b.last().ID)} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "hunter2") || !strings.Contains(string(data), module.Mask) {
			t.Errorf("%s: %s", path, data)
		}
	}
	for _, e := range b.events {
		if strings.Contains(fmt.Sprintf("%+v", e), "hunter2") {
			t.Errorf("%+v", e)
		}
	}
}

func TestForksLimitStepsAtWork(t *testing.T) {
	b := newBench(t)
	b.add("p", "many")
	var most, now int
	b.w.onChange = func(string) {
		b.mu.Lock()
		now++
		most = max(most, now)
		b.mu.Unlock()
		time.Sleep(2 * time.Millisecond)
		b.mu.Lock()
		now--
		b.mu.Unlock()
	}
	b.bodies["many"] = func(ctx context.Context, e recipe.Engine) error {
		errs := make(chan error)
		for i := range 20 {
			go func() {
				_, err := e.Step(ctx, set(fmt.Sprintf("h%d", i), "a", "1"))
				errs <- err
			}()
		}
		var all error
		for range 20 {
			all = errors.Join(all, <-errs)
		}
		return all
	}
	if err := b.run(func(o *Options) { o.Forks = 3 }); err != nil {
		t.Fatal(err)
	}
	if most > 3 {
		t.Errorf("%d at work at a time", most)
	}
	if len(b.w.made) != 20 {
		t.Errorf("%d done", len(b.w.made))
	}
}
