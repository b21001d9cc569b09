package maildir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// refused demands that a pass does not come about, for a reason that says so.
func (w *world) refused(o Options, says ...string) {
	w.t.Helper()
	before := inventory(w.t, w.dst)
	_, _, err := w.try(o)
	if err == nil {
		w.t.Fatalf("the pass was made; expected %q", says)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			w.t.Errorf("the error does not say %q: %v", s, err)
		}
	}
	if diff := cmp.Diff(before, inventory(w.t, w.dst)); diff != "" {
		w.t.Errorf("the target was changed:\n%s", diff)
	}
}

func TestMaxDelete(t *testing.T) {
	w := newWorld(t, true)
	w.stock() // 132 messages
	w.final()
	john := filepath.Join(w.src, "example.org/john/Maildir")
	for _, m := range messages(t, john)[:8] {
		must(t, os.Remove(filepath.Join(john, m)))
	}
	cases := []struct {
		limit any
		ok    bool
	}{{"5%", false}, {nil, false}, {7.0, false}, {"0", false}, {"5.3%", false}, {8.0, true}}
	for _, c := range cases {
		o := w.with(Final)
		var err error
		o.Limit, err = ParseLimit(c.limit)
		must(t, err)
		if c.ok {
			_, _, err := w.try(o)
			must(t, err)
			w.equal()
			continue
		}
		w.refused(o, "8 of its 132 messages", "max_delete")
	}
	for _, bad := range []any{"many", "-1", "101%", -3.0, 1.5, true} {
		if l, err := ParseLimit(bad); err == nil {
			t.Errorf("max_delete = %v was taken as %v", bad, l)
		}
	}
}

// TestScope has on the target what the source never had: nothing of it is touched.
func TestScope(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		w.stock()
		w.pass(Warm)
		others := []string{"other.example/anna/Maildir", "example.org/newcomer/Maildir"}
		for _, o := range others {
			box := makeBox(t, w.dst, o)
			write(t, filepath.Join(box, "cur", "1.x:2,"), "mine", epoch)
			write(t, filepath.Join(box, "dovecot-uidlist"), "3 V1 N2\n", epoch)
			write(t, filepath.Join(box, "dovecot.index"), "cache", epoch)
		}
		write(t, filepath.Join(w.dst, "other.example", "file"), "mine", epoch)
		before := inventory(t, filepath.Join(w.dst, "other.example"))
		// In an account that both have, a folder and a control file of the target only go.
		folder := makeBox(t, w.dst, "example.org/john/Maildir/.Gone")
		write(t, filepath.Join(folder, "cur", "9.gone:2,S"), "gone", epoch)
		write(t, filepath.Join(w.dst, "example.org/john/sieve/old.sieve"), "discard;", epoch)
		write(t, filepath.Join(w.dst, "example.org/john/Maildir/dovecot-uidvalidity.1"), "", epoch)
		p, d := w.pass(Final)
		if p.Counts.Quarantine != 1 || p.Counts.FilesAway != 3 || p.Counts.TargetOnly != 2 {
			t.Errorf("%+v", p.Counts)
		}
		for _, gone := range []string{"example.org/john/Maildir/.Gone/cur/9.gone:2,S", "example.org/john/sieve/old.sieve", "example.org/john/Maildir/dovecot-uidvalidity.1"} {
			if _, err := os.Lstat(filepath.Join(w.dst, gone)); err == nil {
				t.Errorf("%s is still there", gone)
			}
			if _, err := os.Lstat(filepath.Join(d.Quarantine, gone)); err != nil {
				t.Errorf("%s is not in the quarantine: %v", gone, err)
			}
		}
		if diff := cmp.Diff(before, inventory(t, filepath.Join(w.dst, "other.example"))); diff != "" {
			t.Errorf("another domain was touched:\n%s", diff)
		}
		for _, o := range others {
			if _, err := os.Stat(filepath.Join(w.dst, o, "dovecot.index")); err != nil {
				t.Errorf("%s was touched: %v", o, err)
			}
		}
	})
}

func TestEmptyOrBrokenSource(t *testing.T) {
	w := newWorld(t, true)
	w.stock()
	w.final()
	full := w.src
	for name, root := range map[string]string{"empty": t.TempDir(), "not mounted": filepath.Join(t.TempDir(), "vmail")} {
		t.Run(name, func(t *testing.T) {
			o := w.with(Final)
			o.Path = root
			w.refused(o, root)
		})
	}
	// A listing with an error: the tree's, then that of the messages. Root reads everything, so find is made to fail.
	for name, script := range map[string]string{
		"tree":     `case "$*" in *%C@*) find "$@"; echo "find: ./example.org: Input/output error" >&2; exit 1;; esac; exec find "$@"`,
		"messages": `case "$*" in *D%p*) find "$@"; echo "find: ./example.org/x/cur: Permission denied" >&2; exit 1;; esac; exec find "$@"`,
		"short":    `find "$@" | head -c 2000`,
		"killed":   `case "$*" in *D%p*) kill -9 $$;; esac; exec find "$@"`,
	} {
		t.Run("listing of "+name, func(t *testing.T) {
			w.from.fake(t, "find", script)
			o := w.with(Final)
			o.Path = full
			w.refused(o, "cannot list")
			w.refused(w.with(Warm), "cannot list")
		})
	}
}

// fake puts a shell script before a program of a machine. The script calls the real one by its name.
func (m *machine) fake(t *testing.T, program, script string) {
	dir := t.TempDir()
	text := "#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, program), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	m.path = dir + ":/usr/sbin:/usr/bin:/sbin:/bin"
	t.Cleanup(func() { m.path = "" })
}

// TestControlFileRecent has a control file that changed a moment ago: its copy must not be taken for the same when it
// changes again within the second.
func TestControlFileRecent(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		box := makeBox(t, w.src, "example.org/john/Maildir")
		write(t, filepath.Join(box, "cur", "1.a:2,"), "x", epoch)
		list := filepath.Join(box, "dovecot-uidlist")
		now := time.Now().Truncate(time.Second)
		write(t, list, "3 V1 N2 Gaaaa\n", now)
		w.pass(Warm)
		write(t, list, "3 V1 N3 Gaaaa\n", now) // same size, same second
		w.final()
	})
}

// TestTargetOpened: between warm and final pass somebody opened a mailbox of the new server. Its own UIDs must not stay.
func TestTargetOpened(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		w.stock()
		must(t, os.Remove(filepath.Join(w.src, "example.org/john/Maildir/dovecot-uidlist")))
		w.pass(Warm)
		dst := filepath.Join(w.dst, "example.org/john/Maildir")
		write(t, filepath.Join(dst, "dovecot-uidlist"), "3 V99 N2 G9\n", time.Now())
		write(t, filepath.Join(dst, ".Sent", "dovecot-uidlist"), "3 V98 N2 G9\n", time.Now())
		write(t, filepath.Join(dst, "dovecot.index"), "foreign", time.Now())
		write(t, filepath.Join(dst, ".Sent", "dovecot.index.log"), "foreign", time.Now())
		first := messages(t, dst)[10]
		must(t, os.Rename(filepath.Join(dst, first), filepath.Join(dst, "cur", nameOf(first)+":2,")))
		w.final()
		for _, gone := range []string{"dovecot-uidlist", "dovecot.index", ".Sent/dovecot.index.log"} {
			if _, err := os.Lstat(filepath.Join(dst, gone)); err == nil {
				t.Errorf("%s of the opened mailbox is still there", gone)
			}
		}
	})
}

func TestUidlistVersion1(t *testing.T) {
	w := newWorld(t, true)
	box := makeBox(t, w.src, "example.org/john/Maildir")
	write(t, filepath.Join(box, "cur", "1.a:2,S"), "x", epoch)
	write(t, filepath.Join(box, "dovecot-uidlist"), "1 1367629321 2\n1 1.a:2,S\n", epoch)
	w.final()
}

func TestSelection(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		w.stock()
		o := w.with(Final)
		o.Domains, o.Users, o.Exclude = []string{"example.org"}, []string{"mary@example.org"}, []string{"Archive"}
		_, _, err := w.try(o)
		must(t, err)
		var have []string
		for p := range inventory(t, w.dst) {
			have = append(have, p)
			if !strings.HasPrefix(p, "example.org/mary") && p != "example.org" || strings.Contains(p, ".Archive") {
				t.Errorf("%s was copied", p)
			}
		}
		if len(have) < 30 {
			t.Errorf("only %d entries were copied", len(have))
		}
		// An excluded folder of the target stays, too.
		keep := makeBox(t, w.dst, "example.org/mary/Maildir/.Archive.new")
		write(t, filepath.Join(keep, "cur", "1.a"), "x", epoch)
		p, _, err := w.try(o)
		must(t, err)
		if p.Counts.Quarantine+p.Counts.FilesAway != 0 {
			t.Errorf("an excluded folder is touched: %+v", p.Counts)
		}
		// A domain without mailboxes is told, and is no error unless there is no other.
		o.Domains = []string{"example.com", "example.org"}
		p, _, err = w.try(o)
		must(t, err)
		if diff := cmp.Diff([]string{"example.com"}, p.Absent); diff != "" {
			t.Error(diff)
		}
		o.Domains = []string{"example.com"}
		w.refused(o, "cannot find the domain example.com")
	})
}

func TestLowercase(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		box := makeBox(t, w.src, "Example.ORG/John/Maildir")
		write(t, filepath.Join(box, "cur", "1.A:2,S"), "x", epoch)
		write(t, filepath.Join(makeBox(t, box, ".Sent Items"), "cur", "1.B:2,S"), "x", epoch)
		o := w.with(Final)
		o.Lowercase, o.Domains = true, []string{"example.org"}
		_, _, err := w.try(o)
		must(t, err)
		if _, err := os.Stat(filepath.Join(w.dst, "example.org/john/Maildir/.Sent Items/cur/1.B:2,S")); err != nil {
			t.Error(err)
		}
		again, err := Look(context.Background(), o)
		must(t, err)
		if !again.Empty() {
			t.Errorf("a second pass has work to do: %+v", again.Counts)
		}
		report, err := Verify(context.Background(), o, true)
		must(t, err)
		must(t, report.Err())
		makeBox(t, w.src, "example.org/john/Maildir")
		w.refused(o, "would be one on the target")
	})
}

// TestMerge brings two old servers into one root; neither touches the other's, and each has a record of its own.
func TestMerge(t *testing.T) {
	w := newWorld(t, true)
	w.stock()
	w.final()
	second := newWorld(t, true)
	second.from.name = "old2"
	box := makeBox(t, second.src, "example.com/anna/Maildir")
	write(t, filepath.Join(box, "cur", "1.z:2,"), "x", epoch)
	second.o.Target, second.o.To, second.dst, second.to = w.dst, w.o.To, w.dst, w.to
	second.pass(Final)
	if p, err := Look(context.Background(), w.with(Final)); err != nil || !p.Empty() {
		t.Errorf("the first server's accounts were touched: %v", err)
	}
	records, err := Records(context.Background(), w.o.To, w.dst)
	must(t, err)
	if len(records) != 2 {
		t.Errorf("%d records", len(records))
	}
}

func TestFinalWhileSomebodyWrites(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		w.stock()
		victim := filepath.Join(w.src, "example.org/john/Maildir/cur", nameOf(messages(t, filepath.Join(w.src, "example.org/john/Maildir"))[5]))
		w.from.fake(t, "tar", `rm -f "`+victim+`"; exec tar "$@"`)
		_, _, err := w.try(w.with(Final))
		if err == nil || !strings.Contains(err.Error(), "something still writes") {
			t.Errorf("a message vanished in a final pass: %v", err)
		}
		// The same is normal in a warm pass; the next one is complete.
		write(t, victim, strings.Repeat("x", 105), epoch)
		_, d := w.pass(Warm)
		if d.Vanished != 1 {
			t.Errorf("vanished: %d", d.Vanished)
		}
		w.from.path = ""
		w.final()
	})
}

func TestCancel(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		w.stock()
		w.from.fake(t, "tar", `sleep 60`)
		p, err := Look(context.Background(), w.with(Warm))
		must(t, err)
		stop := errors.New("the operator asked to stop")
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(200*time.Millisecond, func() { cancel(stop) })
		started := time.Now()
		_, err = p.Apply(ctx, w.host(), nil)
		if !errors.Is(err, stop) {
			t.Errorf("the error is %v", err)
		}
		if took := time.Since(started); took > 20*time.Second {
			t.Errorf("stopping took %s", took)
		}
	})
}

func TestStall(t *testing.T) {
	for program, says := range map[string]string{"tar": "cannot read messages", "find": "cannot list"} {
		w := newWorld(t, true)
		w.stock()
		w.from.fake(t, program, `sleep 60`)
		o := w.with(Warm)
		o.Stall = 300 * time.Millisecond
		_, _, err := w.try(o)
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "no sign of life") {
			t.Errorf("%s hangs: %v", program, err)
		}
	}
}
