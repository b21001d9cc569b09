package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

// planned makes a plan of a bench and reads it back from its file.
func planned(t *testing.T, b *bench) *SavedPlan {
	t.Helper()
	p := &SavedPlan{}
	if err := b.run(func(o *Options) { o.Check, o.Plan = true, p }); err != nil {
		t.Fatal(err)
	}
	if len(b.w.made) > 0 {
		t.Fatalf("planning changed %v", b.w.made)
	}
	path := filepath.Join(t.TempDir(), "plan")
	if err := p.Write(path); err != nil {
		t.Fatal(err)
	}
	again, err := ReadPlan(path)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func rehearse(b *bench, p *SavedPlan) error {
	o := b.options()
	o.Expect = p
	b.w.made = nil
	return Rehearse(b.ctx, o)
}

func at(line int, s recipe.Step) recipe.Step {
	s.At.Line = line
	return s
}

func TestPlanIsAppliedAsItIs(t *testing.T) {
	b := newBench(t)
	b.add("one", "A", at(1, set("web", "a", "1", "notify", []any{"Reload"})), at(2, set("web", "b", "2")), at(3, set("db", "a", "1")))
	b.handler("Reload", at(4, set("web", "reloaded", "yes")))
	p := planned(t, b)
	if len(p.Steps) != 4 || !p.Complete || !p.Steps[3].Handler {
		t.Fatalf("%+v", p.Steps)
	}
	if got := p.Steps[1].After; !slices.Equal(got, []int{1}) || p.Steps[2].After != nil {
		t.Errorf("after = %v, %v", got, p.Steps[2].After)
	}
	if err := rehearse(b, p); err != nil || len(b.w.made) > 0 {
		t.Fatalf("%v, %v", err, b.w.made)
	}
	if err := b.run(func(o *Options) { o.Expect = p }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"web a=1", "web b=2", "db a=1", "web reloaded=yes"}; !slices.Equal(b.w.made, want) {
		t.Errorf("made %v", b.w.made)
	}
}

func TestDriftIsSeenBeforeAnythingIsChanged(t *testing.T) {
	b := newBench(t)
	b.w.settings["web b"] = "old"
	b.add("one", "A", at(1, set("web", "a", "1")), at(2, set("web", "b", "2")))
	p := planned(t, b)
	for name, c := range map[string]struct{ value, want string }{
		"another value":  {"other", `planned  set b = 2, where there is "old"` + "\n" + `  now      there is "other"`},
		"done by others": {"2", "planned  set b = 2\n  now      nothing to do (already so)"},
	} {
		b.w.settings["web b"] = c.value
		err := rehearse(b, p)
		if err == nil || !strings.Contains(err.Error(), c.want) || CodeOf(err) != ExitFailed || !strings.Contains(hintOf2(err), "runner plan") {
			t.Errorf("%s: %v", name, err)
		}
		if len(b.w.made) > 0 {
			t.Errorf("%s: changed %v", name, b.w.made)
		}
	}
}

func hintOf2(err error) string {
	var f *Failure
	if errors.As(err, &f) {
		return f.Hint
	}
	return ""
}

func TestDriftWhileThePlanIsApplied(t *testing.T) {
	b := newBench(t)
	b.add("one", "A", at(1, set("web", "a", "1")), at(2, set("db", "b", "2", "ignore_errors", true)))
	p := planned(t, b)
	b.w.onChange = func(what string) {
		if what == "web a=1" {
			b.w.mu.Lock()
			defer b.w.mu.Unlock()
			b.w.settings["db b"] = "other"
		}
	}
	err := b.run(func(o *Options) { o.Expect = p })
	var drift *DriftError
	if !errors.As(err, &drift) || !slices.Equal(b.w.made, []string{"web a=1"}) {
		t.Errorf("got %v, made %v", err, b.w.made)
	}
}

func TestStepsThatThePlanDoesNotHave(t *testing.T) {
	b := newBench(t)
	b.add("one", "A", at(1, set("web", "a", "1")))
	p := planned(t, b)
	body := b.bodies["A"]
	b.bodies["A"] = func(ctx context.Context, e recipe.Engine) error {
		if err := body(ctx, e); err != nil {
			return err
		}
		_, err := e.Step(ctx, at(2, set("db", "b", "2")))
		return err
	}
	err := b.run(func(o *Options) { o.Expect = p })
	if err == nil || !strings.Contains(err.Error(), "planned  no such step\n  now      set b = 2") || !slices.Equal(b.w.made, []string{"web a=1"}) {
		t.Errorf("got %v, made %v", err, b.w.made)
	}
}

func TestStepThatCouldNotBeToldIsDone(t *testing.T) {
	b := newBench(t)
	b.add("one", "A", at(1, set("web", "a", "1")), at(2, set("web", "b", "2", "needs", "a")))
	p := planned(t, b)
	if p.Complete || p.Steps[1].Status != module.Unknown {
		t.Fatalf("%+v", p.Steps)
	}
	if err := rehearse(b, p); err != nil {
		t.Fatal(err)
	}
	if err := b.run(func(o *Options) { o.Expect = p }); err != nil || len(b.w.made) != 2 {
		t.Errorf("%v, %v", err, b.w.made)
	}
}

func TestWhatThePlanDoesNotNameIsNotDestroyed(t *testing.T) {
	x := newExpectation(&SavedPlan{Steps: []PlannedStep{{Module: "file", Status: module.Unknown, After: []int{1}}}})
	_, err := x.agrees(&PlannedStep{Module: "file", Changes: []ChangeInfo{{Summary: "remove /srv", Destroys: true}}, Seen: "x"})
	if !isDrift(err) {
		t.Errorf("got %v", err)
	}
}

func TestPlanFileThatWasDamagedAtAnyByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan")
	p := &SavedPlan{Created: testTime, Steps: []PlannedStep{{Task: "A", Module: "set", Changes: []ChangeInfo{{Summary: "set a <b> & c"}}}}}
	if err := p.Write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parsePlan(text); err != nil {
		t.Fatal(err)
	}
	for i := range len(text) - 2 { // without the last line end and brace
		if _, err := parsePlan(text[:i]); err == nil {
			t.Fatalf("cut at %d it is a plan", i)
		}
		if strings.ContainsRune(" \n", rune(text[i])) {
			continue
		}
		edited := slices.Clone(text)
		edited[i] ^= 1
		if again, err := parsePlan(edited); err == nil && again.Steps[0].Changes[0].Summary != p.Steps[0].Changes[0].Summary {
			t.Fatalf("edited at %d it is a plan", i)
		}
	}
}

func TestDifferencesOfTheBasis(t *testing.T) {
	was := PlanBasis{RecipeHash: "a", Version: "1", Params: map[string]any{"n": 1.0, "gone": true}, Hosts: map[string]string{"web": "a"}}
	if err := was.Salted("", map[string]string{"pass": "x"}); err != nil {
		t.Fatal(err)
	}
	if list := was.Differences(was); len(list) > 0 {
		t.Errorf("differs from itself: %v", list)
	}
	now := PlanBasis{RecipeHash: "b", Version: "2", Params: map[string]any{"n": 2, "new": "v"}, Hosts: map[string]string{"web": "b"}, Run: "R"}
	if err := now.Salted(was.Salt, map[string]string{"pass": "y"}); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(was.Differences(now), "\n")
	for _, want := range []string{
		`runner is another version: planned with "1", now "2"`, "the recipe was changed", "parameter n: was 1, now 2", "parameter gone: was true, now not given",
		`parameter new: was not given, now "v"`, "parameter pass: another secret (********)", `host web: was "a", now "b"`, "the run R was begun since",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
}
