package run

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

// mail is a recipe of two phases with six tasks, each making one change.
func mail(t *testing.T) *bench {
	b := newBench(t)
	b.add("prepare", "one", set("old", "a", "1"))
	b.add("prepare", "two", set("new", "b", "1", "notify", "Reload"))
	b.add("prepare", "three", set("new", "c", "1"))
	freeze := b.add("cutover", "four", set("old", "d", "1"))
	b.undo(freeze, set("old", "d", "0"))
	b.add("cutover", "five", set("new", "e", "1"))
	last := b.add("cutover", "six", set("new", "f", "1"))
	b.undo(last, set("new", "f", "0"))
	b.handler("Reload", set("new", "reloaded", "1"))
	return b
}

func TestRunDoesAllThenNothing(t *testing.T) {
	b := mail(t)
	if err := b.run(); err != nil {
		t.Fatal(err)
	}
	want := []string{"old a=1", "new b=1", "new c=1", "new reloaded=1", "old d=1", "new e=1", "new f=1"}
	if diff := cmp.Diff(want, b.w.made); diff != "" {
		t.Error(diff)
	}
	r := b.last()
	if !r.Finished || r.State() != "finished" {
		t.Errorf("state %s", r.State())
	}
	if err := b.run(); err != nil {
		t.Fatal(err)
	}
	if len(b.w.made) != 0 {
		t.Errorf("the second run made %v", b.w.made)
	}
	if again := b.last(); again.ID == r.ID || !again.Finished {
		t.Errorf("the second run is not one of its own: %s %s", r.ID, again.ID)
	}
	end := b.events[len(b.events)-1]
	if end.Kind != RunEnd || *end.Counts != (Counts{OK: 6}) || end.Text != "All tasks are done." {
		t.Errorf("%+v", end)
	}
}

// Every start has one end, in the nesting that Event promises, whatever happens in between.
func TestEventsNest(t *testing.T) {
	for _, broken := range []string{"", "two", "four", "Reload"} {
		b := mail(t)
		if broken != "" {
			b.bodies[broken] = b.steps([]recipe.Step{call("fail", map[string]any{"on": module.HostName("old")})})
		}
		if err := b.run(); (err != nil) != (broken != "") {
			t.Fatal(err)
		}
		var open []Kind
		for _, e := range b.events {
			if strings.HasSuffix(string(e.Kind), "_start") {
				open = append(open, e.Kind)
			}
			if base, ok := strings.CutSuffix(string(e.Kind), "_end"); ok {
				if len(open) == 0 || string(open[len(open)-1]) != base+"_start" {
					t.Fatalf("broken %q: %s while open are %v", broken, e.Kind, open)
				}
				open = open[:len(open)-1]
			}
		}
		if len(open) > 0 {
			t.Errorf("broken %q: left open: %v", broken, open)
		}
	}
}

// At each task the run fails once. The next run goes on there: no task is left out, none that was done is run again.
func TestResumeAtEachTask(t *testing.T) {
	names := []string{"one", "two", "three", "Reload", "four", "five", "six"}
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			b := mail(t)
			good := b.bodies[name]
			b.bodies[name] = b.steps([]recipe.Step{call("fail", map[string]any{"on": module.HostName("old")})})
			err := b.run()
			if CodeOf(err) != ExitFailed {
				t.Fatalf("got %v", err)
			}
			before := slices.Clone(b.w.made)
			first := b.last()
			if first.Finished || first.State() != "failed" {
				t.Errorf("state %s", first.State())
			}
			b.bodies[name] = good
			if err := b.run(); err != nil {
				t.Fatal(err)
			}
			if len(before) != i || len(b.w.made) != len(names)-i {
				t.Errorf("made %v, then %v", before, b.w.made)
			}
			r := b.last()
			if r.ID != first.ID || !r.Finished || len(r.Sessions) != 2 {
				t.Errorf("run %s of %d sessions, finished %v, after run %s", r.ID, len(r.Sessions), r.Finished, first.ID)
			}
			for _, task := range b.told(TaskStart) {
				if slices.Index(names, strings.TrimRight(task, "|")) < i {
					t.Errorf("%s was run again", task)
				}
			}
		})
	}
}

// A run that is killed leaves a journal that ends anywhere. Going on from there ends in the same world.
func TestResumeAfterAKillAtEachEvent(t *testing.T) {
	b := mail(t)
	if err := b.run(); err != nil {
		t.Fatal(err)
	}
	whole := b.last()
	path := b.state.journal(whole.ID)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(data), "\n")
	for n := 1; n < len(lines)-1; n++ {
		killed := mail(t)
		killed.state = b.state
		for key := range b.w.settings {
			// What the journal says was changed is so.
			value := b.w.settings[key]
			if host, name, _ := strings.Cut(key, " "); strings.Contains(strings.Join(changesBefore(lines[:n]), "\n"), host+" set "+name+" = "+value) {
				killed.w.settings[key] = value
			}
		}
		half := lines[n][:len(lines[n])/2]
		if err := os.WriteFile(path, []byte(strings.Join(lines[:n], "")+half), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := killed.run(); err != nil {
			t.Fatalf("killed after %d events: %v", n, err)
		}
		if diff := cmp.Diff(b.w.settings, killed.w.settings); diff != "" {
			t.Errorf("killed after %d events: %s", n, diff)
		}
		if r := killed.last(); !r.Finished || r.ID != whole.ID {
			t.Errorf("killed after %d events: %s", n, r.State())
		}
	}
}

func changesBefore(lines []string) (made []string) {
	events, _ := ReadEvents([]byte(strings.Join(lines, "")))
	for _, e := range events {
		if e.Kind == ChangeDone {
			made = append(made, e.Hosts[0]+" "+e.Changes[0].Summary)
		}
	}
	return made
}

func TestResumeRestoresSaved(t *testing.T) {
	b := newBench(t)
	b.add("p", "find")
	b.add("p", "use")
	b.bodies["find"] = func(context.Context, recipe.Engine) error {
		b.saved = map[string]any{"uid": 5000.0, "token": "hunter2hunter2"}
		return nil
	}
	b.bodies["use"] = func(context.Context, recipe.Engine) error { return errors.New("cannot use it") }
	err := b.run(func(o *Options) { o.Mask.Add("hunter2hunter2") })
	if CodeOf(err) != ExitRecipe {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(map[string]any{"uid": 5000.0, "token": module.Mask}, b.last().Saved); diff != "" {
		t.Error(diff)
	}
	if w := b.told(Warned); len(w) == 0 || !strings.Contains(w[0], "saved.token holds a secret") {
		t.Errorf("warned %v", w)
	}
}

func TestChoose(t *testing.T) {
	b := mail(t)
	b.phases[1].Gate = "Mail stops now?"
	done := func(names ...string) *Record {
		r := newRecord("x", []Event{{Kind: RunStart, Detail: Start{Plan: planOf(b.phases)}.detail()}})
		for _, n := range names {
			phase := "prepare"
			if n > "five" && n != "one" && n != "three" && n != "two" || n == "five" || n == "four" {
				phase = "cutover"
			}
			r.add(Event{Kind: TaskStart, Phase: phase, Task: n})
			r.add(Event{Kind: TaskEnd, Phase: phase, Task: n, Status: module.OK})
		}
		return r
	}
	all := []string{"one", "two", "three", "four", "five", "six"}
	for name, test := range map[string]struct {
		record *Record
		choice Choice
		want   string
	}{
		"new":                       {nil, Choice{}, "prepare(one two three) cutover?(four five six)"},
		"goes on":                   {done("one", "two"), Choice{}, "prepare(three) cutover?(four five six)"},
		"in a phase":                {done(all[:4]...), Choice{}, "cutover(five six)"},
		"all done":                  {done(all...), Choice{}, ""},
		"phase":                     {nil, Choice{Phase: "cutover"}, "cutover?(four five six)"},
		"rest of a phase":           {done("one"), Choice{Phase: "prepare"}, "prepare(two three)"},
		"a phase once more":         {done(all[:3]...), Choice{Phase: "prepare"}, "prepare(one two three)"},
		"a phase with a gate again": {done(all...), Choice{Phase: "cutover"}, "cutover?(four five six)"},
		"from":                      {done(all...), Choice{From: "three"}, "prepare(three) cutover?(four five six)"},
		"only":                      {done(all...), Choice{Only: "two"}, "prepare(two)"},
	} {
		t.Run(name, func(t *testing.T) {
			parts, err := choose(b.phases, test.record, test.choice)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range parts {
				var tasks []string
				for _, task := range p.tasks {
					tasks = append(tasks, task.Name)
				}
				ask := ""
				if p.gate {
					ask = "?"
				}
				got = append(got, p.phase.Name+ask+"("+strings.Join(tasks, " ")+")")
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
	for want, c := range map[string]Choice{
		`cannot find the phase "prepar"; did you mean "prepare"?`:                                     {Phase: "prepar"},
		`cannot find the phase "x"; there are "prepare", "cutover"`:                                   {Phase: "x"},
		`cannot find the task "tow"; did you mean "two"?`:                                             {From: "tow"},
		`cannot find the task "six" in the phase "prepare"; there are "one", "two", "three"`:          {Only: "six", Phase: "prepare"},
		`cannot use --from and --only together: --only runs one task, --from a task and all after it`: {Only: "one", From: "two"},
	} {
		if _, err := choose(b.phases, nil, c); err == nil || err.Error() != want || CodeOf(err) != ExitRecipe {
			t.Errorf("%+v: %v, want %s", c, err, want)
		}
	}
}

// A task that was run while one before it was not done is run again in its turn.
func TestOnlyOutOfOrder(t *testing.T) {
	b := mail(t)
	if err := b.run(func(o *Options) { o.Choice.Only = "three" }); err != nil {
		t.Fatal(err)
	}
	if err := b.run(func(o *Options) { o.Choice.Phase = "prepare" }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(b.told(TaskStart), ""); got != "one||||two||||three||||Reload||||" {
		t.Errorf("ran %s", got)
	}
	if done, all := b.last().Counts(); done != 3 || all != 6 {
		t.Errorf("%d of %d", done, all)
	}
}

func TestGate(t *testing.T) {
	b := mail(t)
	b.phases[1].Gate = "Mail stops now?"
	err := b.run()
	if CodeOf(err) != ExitGate || !strings.Contains(err.Error(), `"Mail stops now?" was not answered, because there is no terminal`) {
		t.Fatalf("got %v", err)
	}
	end := b.events[len(b.events)-1]
	if end.Hint != "answer with: runner resume --yes, or run it on a terminal; with --wait a run waits for runner answer" || end.Status != Stopped {
		t.Errorf("%+v", end)
	}
	b.answers = []bool{false}
	if err := b.run(); CodeOf(err) != ExitGate || len(b.w.made) > 0 {
		t.Fatalf("got %v, made %v", err, b.w.made)
	}
	b.answers = []bool{true}
	if err := b.run(); err != nil || len(b.w.made) != 3 {
		t.Fatalf("got %v, made %v", err, b.w.made)
	}
	if got := b.told(GateAnswer); len(got) != 1 || got[0] != "cutover||yes|terminal|" {
		t.Errorf("answers %v", got)
	}
	c := mail(t)
	c.phases[1].Gate = "Mail stops now?"
	if err := c.run(func(o *Options) { o.Yes = true }); err != nil {
		t.Fatal(err)
	}
	if got := c.told(GateAnswer); len(got) != 1 || got[0] != "cutover||yes|--yes|" {
		t.Errorf("answers %v", got)
	}
}

func TestUndo(t *testing.T) {
	b := mail(t)
	b.bodies["six"] = b.steps([]recipe.Step{set("new", "f", "1"), call("fail", map[string]any{"on": module.HostName("old")})})
	if err := b.run(); CodeOf(err) != ExitFailed {
		t.Fatal(err)
	}
	undo := func(change ...func(*Options)) error {
		o := b.options()
		for _, c := range change {
			c(&o)
		}
		b.w.made = nil
		return Undo(b.ctx, o)
	}
	// Nobody is asked and nothing done with --check.
	if err := undo(func(o *Options) { o.Check = true }); err != nil || len(b.w.made) > 0 {
		t.Fatalf("got %v, made %v", err, b.w.made)
	}
	notes := b.events[0].Text
	for _, want := range []string{"in this order:\n  six\n  four\n", "have no undo; they stay as they are:\n  five\n  three\n", "  old: a was "} {
		if !strings.Contains(notes, want) && want != "  old: a was " {
			t.Errorf("%q does not say %q", notes, want)
		}
	}
	if err := undo(); CodeOf(err) != ExitGate || len(b.w.made) > 0 {
		t.Fatalf("got %v, made %v", err, b.w.made)
	}
	// It fails half-way, and goes on there.
	b.w.onChange = func(what string) {
		if what == "old d=0" {
			b.w.flaky = 1
		}
	}
	yes := func(o *Options) { o.Yes = true; o.GoOn = "runner undo" }
	if err := undo(yes); CodeOf(err) != ExitFailed {
		t.Fatalf("got %v", err)
	}
	b.w.onChange = nil
	if err := undo(yes); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"old d=0"}, b.w.made); diff != "" {
		t.Error(diff)
	}
	r := b.last()
	if done, _ := r.Counts(); done != 3 || r.State() != "undone" {
		t.Errorf("%d done, %s", done, r.State())
	}
	if err := undo(yes); err == nil || !strings.Contains(err.Error(), "no task that it ran has an undo left to do") {
		t.Errorf("got %v", err)
	}
	// Going on does the undone task again, and what was done on top of it.
	b.bodies["six"] = b.steps([]recipe.Step{set("new", "f", "1")})
	if err := b.run(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(b.told(TaskStart), ""); got != "four||||five||||six||||" {
		t.Errorf("ran %s", got)
	}
}
