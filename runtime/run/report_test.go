package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

// toldRun is a run that failed, was gone on with, and was undone.
func toldRun(t *testing.T) *Record {
	t.Helper()
	b := mail(t)
	now := testTime
	clock := func(o *Options) {
		o.Start.Params = map[string]any{"database": "mailserver", "domains": []any{"a.example", "b.example"}, "map": map[string]any{"k": true}}
		o.Start.Hosts = map[string]string{"old": "root@old.example:22", "new": "local"}
		o.Start.Site = "site.lua"
		o.Now = func() time.Time {
			now = now.Add(125 * time.Millisecond)
			return now
		}
	}
	b.phases[1].Gate = "Mail stops now?"
	b.answers = []bool{true, true}
	good := b.bodies["five"]
	b.bodies["five"] = func(context.Context, recipe.Engine) error { return errors.New("cannot find the domain") }
	if err := b.run(clock); err == nil {
		t.Fatal("it did not fail")
	}
	b.bodies["five"] = good
	if err := b.run(clock); err != nil {
		t.Fatal(err)
	}
	o := b.options()
	clock(&o)
	o.Record = b.last()
	if err := Undo(b.ctx, o); err != nil {
		t.Fatal(err)
	}
	return b.last()
}

func TestReportsOfARun(t *testing.T) {
	t.Setenv("TZ", "UTC")
	time.Local = time.UTC
	r := toldRun(t)
	for name, write := range map[string]func(*bytes.Buffer) error{
		"history.txt": func(b *bytes.Buffer) error { return WriteHistory(b, []*Record{r, newRecord("20260301-000000", nil)}) },
		"report.txt":  func(b *bytes.Buffer) error { return WriteReport(b, r) },
		"events.txt":  func(b *bytes.Buffer) error { return WriteEvents(b, r) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
}

func TestJSONSaysAll(t *testing.T) {
	var b bytes.Buffer
	j := NewJSON(&b)
	for i := range 30 {
		j.Report(Event{Kind: Progress, Step: 1, Time: testTime.Add(time.Duration(i) * 100 * time.Millisecond), Progress: &module.Progress{Done: int64(i)}})
	}
	j.Report(Event{Kind: StepEnd, Run: "x", Step: 1, Status: module.OK, Text: "<a & b>"})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 4 {
		t.Errorf("%d lines: of three seconds of progress three are told", len(lines))
	}
	for _, line := range lines {
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	if !strings.Contains(lines[3], `"run":"x"`) || !strings.Contains(lines[3], "<a & b>") {
		t.Errorf("got %s", lines[3])
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestJSONKeepsTheFirstErrorForTheEnd(t *testing.T) {
	j := NewJSON(brokenWriter{})
	j.Report(Event{Kind: RunStart})
	j.Report(Event{Kind: RunEnd})
	if err := j.Close(); err == nil || !strings.Contains(err.Error(), "broken pipe") {
		t.Errorf("got %v", err)
	}
}

func TestLogHasATimeBeforeEachLine(t *testing.T) {
	b := mail(t)
	if err := b.run(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(b.state.Log(b.last().ID))
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(b.state.Log(b.last().ID)); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
	stamped := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  `)
	n := 0
	for line := range strings.Lines(string(data)) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		n++
		if !stamped.MatchString(line) {
			t.Errorf("no time: %q", line)
		}
	}
	if n < 10 || !strings.Contains(string(data), "set a = 1") {
		t.Errorf("the log says too little:\n%s", data)
	}
}
