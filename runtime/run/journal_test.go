package run

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

var testTime = time.Date(2026, 3, 1, 2, 3, 4, 0, time.UTC)

func testEvents() []Event {
	plan := []TaskName{{"prepare", "Copy the database"}, {"cutover", "Freeze \u00fc \"now\""}}
	at := recipe.Position{File: "mail.lua", Line: 12}
	return []Event{
		{Time: testTime, Kind: RunStart, Recipe: "Mail", Detail: Start{File: "mail.lua", SHA256: "ab", Plan: plan}.detail()},
		{Time: testTime, Kind: PhaseStart, Phase: "prepare"},
		{Time: testTime, Kind: TaskStart, Phase: "prepare", Task: plan[0].Task},
		{Time: testTime, Kind: StepStart, Phase: "prepare", Task: plan[0].Task, Step: 1, Module: "mysql.copy", Hosts: []string{"old", "new"}, At: &at},
		{Time: testTime, Kind: StepPlan, Phase: "prepare", Task: plan[0].Task, Step: 1, Changes: []ChangeInfo{{Summary: "copy", Before: "a\nb", After: "c\x00d"}}},
		{Time: testTime, Kind: Kept, Phase: "prepare", Task: plan[0].Task, Step: 1, Kept: &module.Original{Host: "new", Object: "database m", Backup: "/b"}},
		{Time: testTime, Kind: ChangeDone, Phase: "prepare", Task: plan[0].Task, Step: 1, Changes: []ChangeInfo{{Summary: "copy"}}},
		{Time: testTime, Kind: StepEnd, Phase: "prepare", Task: plan[0].Task, Step: 1, Status: module.Changed, Took: 1.5, Notify: []string{"Reload"}},
		{Time: testTime, Kind: TaskEnd, Phase: "prepare", Task: plan[0].Task, Status: module.Changed, Saved: map[string]any{"n": 1.0, "l": []any{"x"}}},
		{Time: testTime, Kind: PhaseEnd, Phase: "prepare", Status: module.Changed},
		{Time: testTime, Kind: RunEnd, Status: Stopped, Counts: &Counts{Changed: 1}},
	}
}

func writeJournal(t *testing.T, s State, events []Event) *Journal {
	t.Helper()
	j, err := s.create(testTime)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := j.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

func TestJournalReadsBackWhatWasWritten(t *testing.T) {
	s := State{filepath.Join(t.TempDir(), ".runner")}
	want := testEvents()
	j := writeJournal(t, s, append(want, Event{Kind: Progress, Time: testTime}))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(s.journal(j.id))
	if err != nil {
		t.Fatal(err)
	}
	got, whole := ReadEvents(data)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if whole != len(data) {
		t.Errorf("whole = %d of %d", whole, len(data))
	}
	for path, mode := range map[string]os.FileMode{s.Dir: 0o700, s.runs(): 0o700, s.journal(j.id): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), mode)
		}
	}
}

// A crash can cut the journal at any byte, or leave zeros where data should have come. Every whole line before that
// must be read, and the run must be able to go on in the same file.
func TestJournalAfterACrashAtEveryByte(t *testing.T) {
	s := State{filepath.Join(t.TempDir(), ".runner")}
	j := writeJournal(t, s, testEvents())
	j.Close()
	data, err := os.ReadFile(s.journal(j.id))
	if err != nil {
		t.Fatal(err)
	}
	for cut := 0; cut <= len(data); cut++ {
		for _, tail := range []string{"", strings.Repeat("\x00", 7), "\x00\x00\n"} {
			crashed := append(bytes.Clone(data[:cut]), tail...)
			wantLines := bytes.Count(data[:cut], []byte{'\n'})
			wantWhole := bytes.LastIndexByte(data[:cut], '\n') + 1
			events, whole := ReadEvents(crashed)
			if len(events) != wantLines || whole != wantWhole {
				t.Fatalf("cut at %d with tail %q: %d events of %d, %d whole bytes of %d", cut, tail, len(events), wantLines, whole, wantWhole)
			}
			if err := os.WriteFile(s.journal(j.id), crashed, 0o600); err != nil {
				t.Fatal(err)
			}
			again, err := s.appendTo(j.id)
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Write(Event{Time: testTime, Kind: RunEnd, Status: module.OK, Finished: true}); err != nil {
				t.Fatal(err)
			}
			again.Close()
			r, err := s.read(j.id)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Events) != wantLines+1 || !r.Finished {
				t.Fatalf("cut at %d: after going on %d events of %d", cut, len(r.Events), wantLines+1)
			}
		}
	}
}

func TestJournalLeavesOutALineThatCannotBeRead(t *testing.T) {
	good := `{"time":"2026-03-01T02:03:04Z","event":"phase_start","phase":"a"}` + "\n"
	events, whole := ReadEvents([]byte(good + "garbage\n\x00\x00\n" + good + "{\"event\":"))
	if len(events) != 2 {
		t.Errorf("%d events", len(events))
	}
	if want := 2*len(good) + len("garbage\n\x00\x00\n"); whole != want {
		t.Errorf("whole = %d, want %d", whole, want)
	}
}

func TestJournalKeepsItsFirstError(t *testing.T) {
	s := State{filepath.Join(t.TempDir(), ".runner")}
	j := writeJournal(t, s, nil)
	j.f.Close()
	first := j.Write(Event{Kind: TaskEnd})
	if first == nil || !strings.Contains(first.Error(), "cannot write the journal") {
		t.Fatalf("got %v", first)
	}
	if second := j.Write(Event{Kind: TaskEnd}); second == nil || second.Error() != first.Error() {
		t.Errorf("got %v", second)
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add([]byte(`{"time":"2026-03-01T02:03:04Z","event":"phase_start","phase":"a"}` + "\n{"))
	f.Add([]byte("\n\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		events, whole := ReadEvents(data)
		if whole > len(data) || whole > 0 && data[whole-1] != '\n' || (whole == 0) != (len(events) == 0) {
			t.Errorf("%d events, %d whole bytes of %d", len(events), whole, len(data))
		}
		newRecord("x", events)
	})
}

func TestStateFindsRuns(t *testing.T) {
	s := State{filepath.Join(t.TempDir(), ".runner")}
	if _, err := s.Read(""); err == nil || !strings.Contains(err.Error(), "none is recorded in "+s.Dir) {
		t.Errorf("got %v", err)
	}
	if r, err := s.Last("mail.lua"); r != nil || err != nil {
		t.Errorf("got %v, %v", r, err)
	}
	var ids []string
	for i, file := range []string{"mail.lua", "web.lua", "mail.lua"} {
		j, err := s.create(testTime.Add(time.Duration(i) * time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Write(Event{Kind: RunStart, Detail: Start{File: file}.detail()}); err != nil {
			t.Fatal(err)
		}
		j.Close()
		ids = append(ids, j.id)
	}
	for given, want := range map[string]string{"": ids[2], ids[1]: ids[1], ids[0][:11]: ids[0]} {
		if r, err := s.Read(given); err != nil || r.ID != want {
			t.Errorf("Read(%q) = %v, %v, want %s", given, r, err, want)
		}
	}
	if r, err := s.Last("web.lua"); err != nil || r == nil || r.ID != ids[1] {
		t.Errorf("Last = %v, %v", r, err)
	}
	for given, want := range map[string]string{"2026": "3 begin with", "1999": "runner history lists the runs"} {
		if _, err := s.Read(given); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Read(%q): %v", given, err)
		}
	}
}

func TestNewIDSortsAfterTheLast(t *testing.T) {
	last := ""
	for i, at := range []time.Duration{0, 0, time.Second, -time.Hour, -time.Hour, time.Minute} {
		id := newID(testTime.Add(at), last)
		if id <= last {
			t.Errorf("%d: %s comes not after %s", i, id, last)
		}
		last = id
	}
	if want := "20260301-020404"; last != want {
		t.Errorf("the last is %s, want %s", last, want)
	}
}
