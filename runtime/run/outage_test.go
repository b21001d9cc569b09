package run

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"runner/runtime/module"
)

// frozenRun are the events of a move that stops a server, copies, and lets another take over.
func frozenRun(ended bool) []Event {
	at := func(seconds float64) time.Time { return testTime.Add(time.Duration(seconds * float64(time.Second))) }
	step := func(n int, module string, hosts ...string) func(Kind, float64, float64) Event {
		return func(kind Kind, when, took float64) Event {
			return Event{Kind: kind, Step: n, Module: module, Hosts: hosts, Time: at(when), Took: took, Phase: "cutover", Task: "Move", Status: endStatus(kind)}
		}
	}
	smtp, imap := step(1, "postfix.freeze", "old"), step(2, "dovecot.freeze", "old")
	copied, live, thaw := step(3, "maildir_sync", "old", "new"), step(4, "maildir_sync.live", "new"), step(5, "postfix.thaw", "old")
	plan := func(e Event, stops, starts []string) Event {
		e.Stops, e.Starts, e.Changes = stops, starts, []ChangeInfo{{Summary: "x"}}
		return e
	}
	events := []Event{
		{Kind: RunStart, Time: at(0), Recipe: "Move"},
		{Kind: TaskStart, Time: at(0), Phase: "cutover", Task: "Move"},
		plan(smtp(StepPlan, 1, 0), []string{"SMTP"}, nil), smtp(ChangeDone, 2, 0.5), smtp(ChangeDone, 3, 1), smtp(StepEnd, 3, 2),
		plan(imap(StepPlan, 3, 0), []string{"IMAP"}, nil), imap(ChangeDone, 5, 1.75), imap(StepEnd, 5, 2),
		copied(StepPlan, 5.2, 0), copied(ChangeDone, 6, 0.8), copied(StepEnd, 6, 1),
	}
	if ended {
		table := live(StepPlan, 6.01, 0)
		table.Note, table.Table = "all equal", &module.Table{Columns: []string{"domain", "messages"}, Rows: [][]string{{"example.org", "12 041"}}}
		events = append(events, table,
			plan(live(StepPlan, 6.01, 0), nil, []string{"IMAP"}), live(ChangeDone, 6.25, 0.2), live(StepEnd, 6.25, 0.25),
			plan(thaw(StepPlan, 6.3, 0), nil, []string{"SMTP"}), thaw(ChangeDone, 6.8, 0.2), thaw(ChangeDone, 7, 0.2), thaw(StepEnd, 7, 0.75),
			Event{Kind: TaskEnd, Time: at(7), Phase: "cutover", Task: "Move", Status: module.Changed, Took: 7})
	}
	return append(events, Event{Kind: RunEnd, Time: at(8), Status: module.Changed, Took: 8, Counts: &Counts{Changed: 4}})
}

func endStatus(kind Kind) module.Status {
	if kind == StepEnd {
		return module.Changed
	}
	return ""
}

func TestOutages(t *testing.T) {
	time.Local = time.UTC
	for ended, want := range map[bool]string{
		true:  "without SMTP on old for 5.5 s, without IMAP on old for 3.0 s",
		false: "without SMTP on old for 6.5 s so far, without IMAP on old for 4.8 s so far",
	} {
		r := newRecord("20261124-010203", frozenRun(ended))
		if got := r.outages().text(); got != want {
			t.Errorf("%s", got)
		}
		var b bytes.Buffer
		shown := NewTerminal(TerminalOptions{Out: &b, Width: 80})
		for _, e := range r.Events {
			shown.Report(e)
		}
		if !strings.Contains(b.String(), "\n"+want+"\n") {
			t.Errorf("the terminal says:\n%s", b.String())
		}
		b.Reset()
		if err := WriteReport(&b, r); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), "Without SMTP on old for ") || ended && !strings.Contains(b.String(), "    2.00 s  dovecot.freeze on old\n    1.00 s  maildir_sync on old, new\n    0.25 s  maildir_sync.live on new\n    0.75 s  postfix.thaw on old\n") {
			t.Errorf("the report says:\n%s", b.String())
		}
		b.Reset()
		if err := WriteHTML(&b, r); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"<h2>Downtime</h2>", "<td>SMTP on old</td>", `class="gone" style="left:18.75%;`} {
			if !strings.Contains(b.String(), part) {
				t.Errorf("the page lacks %s", part)
			}
		}
		if ended != strings.Contains(b.String(), "<td>example.org</td><td>12 041</td>") {
			t.Error("the table of what was found is not where it should be")
		}
	}
}

// TestOutagesOfSeveralServers: each of two old servers is frozen and thawed by itself; a check stops nothing.
func TestOutagesOfSeveralServers(t *testing.T) {
	event := func(kind Kind, step int, second int, host string, stops, starts []string) Event {
		return Event{Kind: kind, Step: step, Time: testTime.Add(time.Duration(second) * time.Second), Hosts: []string{host}, Stops: stops, Starts: starts}
	}
	smtp := []string{"SMTP"}
	var o outages
	for _, e := range []Event{
		event(StepPlan, 1, 1, "one", smtp, nil), event(ChangeDone, 1, 1, "one", nil, nil), event(ChangeDone, 1, 2, "one", nil, nil),
		event(StepPlan, 2, 3, "two", smtp, nil), event(ChangeDone, 2, 3, "two", nil, nil),
		event(StepPlan, 3, 5, "one", nil, smtp), event(ChangeDone, 3, 6, "one", nil, nil),
		event(StepPlan, 4, 7, "two", nil, smtp), event(ChangeDone, 4, 9, "two", nil, nil),
	} {
		o.add(e)
	}
	if got := o.text(); got != "without SMTP on one for 5.0 s, without SMTP on two for 6.0 s" {
		t.Error(got)
	}
	var check outages
	e := event(StepPlan, 1, 1, "one", smtp, nil)
	e.Check = true
	check.add(e)
	check.add(event(ChangeDone, 1, 2, "one", nil, nil))
	if got := check.text(); got != "" {
		t.Error(got)
	}
}
