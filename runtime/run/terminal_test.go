package run

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

var update = flag.Bool("update", false, "write the golden files anew")

// story is a run in which everything occurs that the terminal has to show.
func story() []Event {
	at := &recipe.Position{File: "recipes/move.lua", Line: 42}
	long := "cannot load database mailserver on new: the server refused every login: root@localhost without a password: Access denied"
	return []Event{
		{Kind: RunStart, Recipe: "Wheezy to Jessie mail server", Run: "20261123-153000"},
		{Kind: PhaseStart, Phase: "prepare"},
		{Kind: TaskStart, Task: "Copy the control database"},
		{Kind: StepEnd, Module: "mysql.copy", Hosts: []string{"old", "new"}, Status: module.Changed, Took: 2.34,
			Changes: []ChangeInfo{{Summary: "load 3 tables, 41 rows from old into mailserver", Before: "0 rows", After: "41 rows"}}},
		{Kind: StepEnd, Module: "file", Hosts: []string{"new"}, Status: module.Changed,
			Changes: []ChangeInfo{{Summary: "write /etc/x.conf", Before: "a\nb\nc\n", After: "a\nB\nc\n"}}},
		{Kind: TaskEnd, Task: "Copy the control database", Status: module.Changed},
		{Kind: TaskStart, Task: "Nothing to see"},
		{Kind: TaskEnd, Task: "Nothing to see", Status: module.Skipped, Note: "the move is done already"},
		{Kind: TaskStart, Task: "Set up Postfix"},
		{Kind: StepEnd, Module: "postconf", Hosts: []string{"new"}, Status: module.OK, Note: "soft_bounce = yes already"},
		{Kind: StepEnd, Module: "postconf", Hosts: []string{"a-host-with-a-long-name"}, Status: module.Changed,
			Changes: []ChangeInfo{{Summary: "set soft_bounce = yes", Before: "no", After: "yes"}, {Summary: "reload postfix", Action: true}}},
		{Kind: Said, Text: "Change these records now:\n  example.org.  MX  10 mail.example.org."},
		{Kind: TaskEnd, Task: "Set up Postfix", Status: module.Changed},
		{Kind: PhaseEnd, Phase: "prepare", Took: 12.5},
		{Kind: GateAsked, Text: "Mail stops now. Did you tell your users?"},
		{Kind: GateAnswer, Text: "yes", Note: "--yes"},
		{Kind: PhaseStart, Phase: "cutover", Title: "the night"},
		{Kind: TaskStart, Task: "Load it again"},
		{Kind: StepEnd, Module: "mysql.copy", Hosts: []string{"old", "new"}, Status: module.Unknown, Note: `cannot tell before "Copy the control database"`},
		{Kind: StepEnd, Module: "mysql.copy", Hosts: []string{"old", "new"}, Status: module.Failed, Error: long, At: at,
			Source: `  mysql.copy { from = old, to = new, database = params.database, backup = true, columns = PREFIX }`,
			Hint:   "put the password into /root/.my.cnf on new, then: runner resume"},
		{Kind: TaskEnd, Task: "Load it again", Status: module.Failed},
		{Kind: PhaseEnd, Phase: "cutover", Took: 187},
		{Kind: RunEnd, Status: module.Failed, Took: 199.5, Counts: &Counts{OK: 1, Changed: 3, Skipped: 1, Failed: 1, Unknown: 1}, Hint: "runner resume"},
	}
}

func TestTerminalShowsTheStory(t *testing.T) {
	for name, o := range map[string]TerminalOptions{
		"plain": {}, "diff": {Diff: true}, "quiet": {Quiet: true}, "narrow": {Width: 50}, "colour": {Colour: true},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			o.Out = &out
			term := NewTerminal(o)
			for _, e := range story() {
				term.Report(e)
			}
			if err := term.Close(); err != nil {
				t.Fatal(err)
			}
			golden(t, "terminal-"+name+".txt", out.String())
			if name == "plain" {
				checkWidth(t, out.String(), 80)
			}
		})
	}
}

func checkWidth(t *testing.T, text string, width int) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width {
			t.Errorf("line of %d characters: %q", n, line)
		}
		if strings.Contains(line, "\x1b") {
			t.Errorf("escape sequence without colour: %q", line)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s differs (-update writes it anew):\n%s", path, d)
	}
}

func TestLiveLines(t *testing.T) {
	var out bytes.Buffer
	term := NewTerminal(TerminalOptions{Out: &out, Live: true})
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 20 {
		term.Report(Event{Kind: Progress, Step: 1, Time: start.Add(time.Duration(i) * 100 * time.Millisecond), Module: "maildir_sync", Hosts: []string{"old", "new"},
			Progress: &module.Progress{Label: "example.org", Done: int64(i * 600), Total: 12000, Unit: "messages"}})
	}
	term.Report(Event{Kind: StepEnd, Step: 1, Module: "maildir_sync", Status: module.Changed, Changes: []ChangeInfo{{Summary: "copy 12 000 messages"}}})
	if err := term.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "copy 12 000 messages") {
		t.Errorf("the end of the step is not shown:\n%q", out.String())
	}
}

func TestLiveLine(t *testing.T) {
	e := Event{Module: "maildir_sync", Hosts: []string{"old", "new"}, Progress: &module.Progress{
		Label: "example.org", Done: 12041, Total: 50000, Unit: "messages", Bytes: 1 << 30, TotalBytes: 4 << 30}}
	e.Progress.Detail = "203 of it"
	got := LiveLine(e, 10*time.Second)
	want := "  ...      old -> new  maildir_sync: example.org  12 041/50 000 messages  1.0 GiB  102.4 MiB/s  30 s left  (203 of it)"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestUnits(t *testing.T) {
	for in, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 1288490189: "1.2 GiB"} {
		if got := Bytes(in); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[int64]string{0: "0", 999: "999", 1000: "1 000", -1000: "-1 000", 1234567: "1 234 567"} {
		if got := Thousands(in); got != want {
			t.Errorf("Thousands(%d) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[float64]string{0.04: "0.0 s", 9.94: "9.9 s", 42: "42 s", 187.2: "3 m 07 s", 7500: "2 h 05 m"} {
		if got := Seconds(in); got != want {
			t.Errorf("Seconds(%v) = %q, want %q", in, got, want)
		}
	}
}

func TestTerminalFoldsWhatIsLong(t *testing.T) {
	long := "This is a sentence that a recipe or an operator wrote without a thought for the eighty columns that a terminal has."
	var out bytes.Buffer
	term := NewTerminal(TerminalOptions{Out: &out})
	for _, e := range []Event{
		{Kind: RunStart, Recipe: "Long", Text: long},
		{Kind: PhaseStart, Phase: "one", Title: long},
		{Kind: TaskStart, Task: long},
		{Kind: Said, Text: long + "\n  " + long + "\nname                 and a column that stands far to the right, which is laid out so by the recipe"},
		{Kind: StepEnd, Module: "file", Hosts: []string{"web"}, Status: module.Unreachable, Error: "cannot reach web"},
		{Kind: TaskEnd, Task: long, Status: module.Failed, Error: "cannot use the field x of t: t is nil"},
		{Kind: Said, Text: "would ask before two: " + long},
		{Kind: RunEnd, Status: module.Failed, Text: long, Hint: long},
	} {
		term.Report(e)
	}
	got := out.String()
	golden(t, "terminal-long.txt", got)
	checkWidth(t, strings.Replace(got, "  name                 and a column that stands far to the right, which is laid out so by the recipe\n", "", 1), 80)
}
