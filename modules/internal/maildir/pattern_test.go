package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseLayout(t *testing.T) {
	for text, want := range map[string]Layout{
		"/var/vmail":                    {Root: "/var/vmail"},
		"/var/vmail/%d/%n":              {Root: "/var/vmail", Pattern: true},
		"/var/vmail/%d/%n/":             {Root: "/var/vmail", Pattern: true},
		"/home/vmail/%d/%n/Maildir":     {Root: "/home/vmail", Mail: "Maildir", Pattern: true},
		"/var/vmail/%Ld/%Ln/mail/inbox": {Root: "/var/vmail", Mail: "mail/inbox", Lower: true, Pattern: true},
	} {
		if got, err := ParseLayout("path", text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for text, part := range map[string]string{
		"vmail":                        "absolute",
		"/%d/%n":                       "absolute path",
		"/var/vmail/%d":                "%d and %n must be two directories",
		"/var/vmail/%n/%d":             "%d and %n must be two directories",
		"/var/vmail/%u":                "%d and %n must be two directories",
		"/var/vmail/%Ld/%n":            "%d and %n must be two directories",
		"/var/vmail/x%d/%n":            "two directories one in the other",
		"/var/vmail/%d/%n/%u":          "only names of directories",
		"/var/vmail/%d/%n/../x":        "two directories",
		"/var/vmail/%d/%n/Maildir/new": "cur, new and tmp",
	} {
		if _, err := ParseLayout("path", text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, _, err := ParseLayouts("/var/vmail", "/var/vmail/%d/%n"); err == nil || !strings.Contains(err.Error(), "path must be one too") {
		t.Errorf("a pattern of the target alone: %v", err)
	}
	if _, to, err := ParseLayouts("/home/vmail/%d/%n/Maildir", "/var/vmail"); err != nil || to.Mail != "Maildir" || to.Root != "/var/vmail" {
		t.Errorf("a pattern of the source alone: %+v, %v", to, err)
	}
}

// TestPatterns moves mailboxes from one place in the home to another, then changes them, and brings late mail.
func TestPatterns(t *testing.T) {
	for name, way := range map[string][2]string{
		"into a directory":      {"", "Maildir"},
		"into two directories":  {"", "mail/inbox"},
		"out of a directory":    {"Maildir", ""},
		"into another one":      {"Maildir", "mail/inbox"},
		"where they are":        {"Maildir", "Maildir"},
		"where they are, homes": {"", ""},
	} {
		t.Run(name, func(t *testing.T) { eachWriter(t, func(t *testing.T, w *world) { movePattern(t, w, way[0], way[1]) }) })
	}
}

func movePattern(t *testing.T, w *world, from, to string) {
	w.o.PathMail, w.o.TargetMail, w.o.Strict = from, to, true
	w.o.recent = settledAtOnce
	src := func(account string) string { return filepath.Join(w.src, account, from) }
	dst := func(account string) string { return filepath.Join(w.dst, account, to) }
	accounts := []string{"example.org/john", "example.org/mary", "example.net/new"}
	for i, account := range accounts {
		for _, folder := range []string{"", ".Sent", ".Work.2012"} {
			box := makeBox(t, src(account), folder)
			for j := range 20 {
				write(t, filepath.Join(box, "cur", fmt.Sprintf("1.M%d%d.x:2,S", i, j)), "body", epoch)
			}
			write(t, filepath.Join(box, "dovecot-uidlist"), "3 V1 N6\n", epoch)
			write(t, filepath.Join(box, "dovecot.index"), "not copied", epoch)
		}
		write(t, filepath.Join(src(account), "subscriptions"), "Sent\n", epoch)
		write(t, filepath.Join(w.src, account, ".dovecot.sieve"), "keep;\n", epoch)
		must(t, os.MkdirAll(filepath.Join(w.src, account, "sieve"), 0o700))
		write(t, filepath.Join(w.src, account, "sieve/x.sieve"), "keep;\n", epoch)
	}
	w.pass(Warm)
	for _, account := range accounts {
		for _, path := range []string{filepath.Join(dst(account), "cur/1.M"), filepath.Join(dst(account), ".Work.2012/cur/1.M"), filepath.Join(dst(account), "dovecot-uidlist"),
			filepath.Join(dst(account), "subscriptions"), filepath.Join(w.dst, account, ".dovecot.sieve"), filepath.Join(w.dst, account, "sieve/x.sieve")} {
			if found, _ := filepath.Glob(path + "*"); len(found) == 0 {
				t.Errorf("there is no %s", strings.TrimPrefix(path, w.dst))
			}
		}
	}
	if p := w.look(w.with(Final)); !p.Empty() && p.record == nil {
		t.Errorf("the second pass has work: %+v", p.Counts)
	}
	p := w.look(w.with(Final))
	if p.Counts.Skipped != p.Counts.Mailboxes || p.Counts.Mailboxes != 9 {
		t.Errorf("nothing changed and mailboxes were listed: %+v", p.Counts)
	}
	john := src("example.org/john")
	must(t, os.Remove(filepath.Join(john, "cur/1.M00.x:2,S")))
	must(t, os.Rename(filepath.Join(john, "cur/1.M01.x:2,S"), filepath.Join(john, ".Sent/cur/1.M01.x:2,ST")))
	must(t, os.Rename(filepath.Join(john, "cur/1.M02.x:2,S"), filepath.Join(john, "cur/1.M02.x:2,RS")))
	w.o.Limit = Limit{Percent: 50, Share: true}
	p, done := w.pass(Final)
	if p.Counts.Quarantine != 1 || done.Copied != 0 || p.Counts.Rename != 2 {
		t.Errorf("%+v, %+v", p.Counts, done)
	}
	report, err := Verify(t.Context(), w.with(Final), true)
	must(t, err)
	must(t, report.Err())
	if report.Mailboxes != 9 || report.Messages != 179 {
		t.Errorf("%d mailboxes, %d messages were compared", report.Mailboxes, report.Messages)
	}
	write(t, filepath.Join(john, "new/2.late"), "late", epoch)
	if _, done := w.pass(Late); done.Copied != 1 {
		t.Errorf("a late pass brought %d messages", done.Copied)
	}
	if _, err := os.Stat(filepath.Join(dst("example.org/john"), "new/2.late")); err != nil {
		t.Error(err)
	}
}

// TestPatternsRefuse what they have no place for.
func TestPatternsRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		from, to, part string
		boxes          []string
	}{
		"mailbox elsewhere": {"Maildir", "Maildir", `cannot find the mailbox of example.org/john`, []string{"example.org/john"}},
		"home, not Maildir": {"", "", `path looks for it in "example.org/john", and it is "example.org/john/Maildir"`, []string{"example.org/john/Maildir"}},
		"folders as trees":  {"", "Maildir", "LAYOUT=fs", []string{"example.org/john", "example.org/john/Work"}},
		"no domains":        {"Maildir", "Maildir", "is a mailbox itself", []string{"john"}},
		"two become one":    {"Maildir", "", "would be one on the target", []string{"example.org/john/Maildir", "example.org/john/.Sent", "example.org/john/Maildir/.Sent"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, true)
			w.o.PathMail, w.o.TargetMail, w.o.Strict = c.from, c.to, true
			for _, b := range c.boxes {
				makeBox(t, w.src, b)
			}
			_, err := Look(t.Context(), w.with(Warm))
			if err == nil || !strings.Contains(err.Error(), c.part) {
				t.Errorf("%v", err)
			}
		})
	}
}
