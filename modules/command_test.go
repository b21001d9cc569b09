package modules

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/module"
)

func TestCommandRuns(t *testing.T) {
	h, m := newMachine(t)
	odd := "a b;'$(x)\n*"
	r := step(t, h, "command", map[string]any{"on": here, "argv": []any{"printf", "%s|%s\n", odd, ""}})
	if r.Err != nil || r.Status != module.Changed {
		t.Fatal(r.Status, r.Err)
	}
	want := map[string]any{"stdout": odd + "|\n", "stderr": "", "status": 0, "lines": []string{"a b;'$(x)", "*|"}}
	if diff := cmp.Diff(want, r.Output); diff != "" {
		t.Error(diff)
	}
	if len(m.log) != 1 {
		t.Errorf("%d commands were run, want 1", len(m.log))
	}
}

func TestCommandInputFolderAndEnvironment(t *testing.T) {
	h, _ := newMachine(t)
	dir := t.TempDir()
	r := step(t, h, "command", map[string]any{"on": here, "script": `cat; pwd; echo "$X $1"`, "argv": []any{"one"},
		"stdin": module.NewSecret("in\n"), "dir": dir, "env": map[string]any{"X": "y"}})
	if diff := cmp.Diff([]string{"in", dir, "y one"}, r.Output["lines"]); diff != "" || r.Err != nil {
		t.Error(r.Err, diff)
	}
}

func TestCommandChecksOnlyWhatReads(t *testing.T) {
	h, m := newMachine(t)
	values := map[string]any{"on": here, "argv": []any{"true"}}
	if r := stepIn(t, context.Background(), h, "command", values, true); r.Status != module.Changed || len(m.log) != 0 {
		t.Errorf("check mode: %s, ran %v", r.Status, m.log)
	}
	values["reads"] = true
	if r := stepIn(t, context.Background(), h, "command", values, true); r.Status != module.OK || len(m.log) != 1 || r.Output["status"] != 0 {
		t.Errorf("check mode of a command that reads: %s, ran %v, %v", r.Status, m.log, r.Output)
	}
	if r := step(t, h, "command", values); r.Status != module.OK {
		t.Errorf("a command that reads is %s", r.Status)
	}
}

func TestCommandCreatesAndRemoves(t *testing.T) {
	h, m := newMachine(t)
	p := filepath.Join(t.TempDir(), "made")
	create := map[string]any{"on": here, "argv": []any{"touch", p}, "creates": p}
	remove := map[string]any{"on": here, "argv": []any{"rm", p}, "removes": p}
	for i, want := range []struct {
		values map[string]any
		status module.Status
		note   string
	}{
		{create, module.Changed, ""}, {create, module.OK, p + " is there"}, {remove, module.Changed, ""}, {remove, module.OK, p + " is not there"},
	} {
		if r := step(t, h, "command", want.values); r.Err != nil || r.Status != want.status || r.Note != want.note {
			t.Errorf("%d: %s %q %v, want %s %q", i, r.Status, r.Note, r.Err, want.status, want.note)
		}
	}
	if len(m.log) != 2 {
		t.Errorf("%d commands were run, want 2", len(m.log))
	}
	r := step(t, h, "command", map[string]any{"on": here, "argv": []any{"true"}, "creates": p})
	if r.Err == nil || !strings.Contains(r.Err.Error(), "it ended well, but "+p+" is still not there") {
		t.Errorf("the error is %v", r.Err)
	}
}

func TestCommandFails(t *testing.T) {
	h, _ := newMachine(t)
	for _, c := range []struct {
		script string
		ok     []any
		wrong  string
		absent bool
	}{
		{"exit 3", nil, "on here: exit status 3", false},
		{"exit 3", []any{0.0, 3.0}, "", false},
		{"exit 0", []any{3.0}, "exit status 0", false},
		{"echo no such thing >&2; exit 1", nil, "exit status 1: no such thing", false},
		{"echo one; echo two; exit 1", nil, "exit status 1\n  one\n  two", false},
		{"kill -9 $$", nil, "ended by signal killed", false},
		{"no-such-program-here", nil, "exit status 127", true},
	} {
		values := map[string]any{"on": here, "script": c.script}
		if c.ok != nil {
			values["ok"] = c.ok
		}
		r := step(t, h, "command", values)
		switch {
		case c.wrong == "" && r.Err != nil:
			t.Errorf("%s: %v", c.script, r.Err)
		case c.wrong != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), c.wrong)):
			t.Errorf("%s: the error is %v, want %q in it", c.script, r.Err, c.wrong)
		}
		var absent *module.AbsentError
		if errors.As(r.Err, &absent) != c.absent {
			t.Errorf("%s: absent is %v", c.script, !c.absent)
		}
		if _, told := r.Output["status"]; !told {
			t.Errorf("%s: no status in the result", c.script)
		}
	}
}

func TestCommandArguments(t *testing.T) {
	for _, c := range []struct {
		values map[string]any
		wrong  string
	}{
		{map[string]any{}, "needs argv or script"},
		{map[string]any{"argv": []any{""}}, "argv[1] is empty"},
		{map[string]any{"argv": []any{"a", 5.0}}, "argv[2] must be a string"},
		{map[string]any{"argv": "ls -l"}, "argv must be a list of string"},
		{map[string]any{"argv": []any{"a"}, "creates": "x"}, "whole path"},
		{map[string]any{"argv": []any{"a"}, "creates": "/x", "reads": true}, "reads says"},
		{map[string]any{"argv": []any{"a"}, "stdin": 5.0}, "stdin must be"},
		{map[string]any{"argv": []any{"a"}, "env": map[string]any{"A=B": "x"}}, "no name of a variable"},
	} {
		c.values["on"] = here
		if _, err := decode("command", c.values); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%v: the error is %v, want %q in it", c.values, err, c.wrong)
		}
	}
}

func TestCommandTitleIsShort(t *testing.T) {
	a := &commandArgs{Script: "  set -e\n" + strings.Repeat("x", 500)}
	if got := a.title(); got != "set -e …" {
		t.Errorf("title is %q", got)
	}
	a = &commandArgs{Argv: []string{"echo", strings.Repeat("ä", 500)}}
	if n := len([]rune(a.title())); n != 120 {
		t.Errorf("title has %d characters", n)
	}
}
