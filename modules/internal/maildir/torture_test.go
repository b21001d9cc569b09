package maildir

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tortureNames are file names that break programs which pass names through lines, words, patterns or options.
var tortureNames = []string{
	"line\nend", "two\n\nlines\n", "quote'single", `quote"double`, `back\slash`, `\n`, `a\nb\101`, "-rf", "--help", "-T", "--checkpoint-action=exec=false",
	"blank at end ", " blank at start", "tab\there", "star*", "what?", "[range]", "$HOME", "`id`", "$(id)", "%s%n", "semi;colon", "&", "|", "<>", "~",
	"invalid\xff\xfeutf8", "ünïcödé", "cr\rlf", "\x01\x1b[31mred", strings.Repeat("n", 255), "1.M1P1.host,S=3,W=4:2,", "1.M2P2.host:2,DFPRSTabz",
	"colon:1,experimental", "comma,only", "#hash", "!bang", "^", "{a,b}",
}

func TestTortureNames(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		for _, user := range []string{"example.org/o'brien", "example.org/-rf", "example.org/a b", "example.org/new", "example.org/cur", "example.org/tmp", "sub.example.org/x\ny"} {
			for _, folder := range []string{"", ".with blank", ".-dash", ".new\nline", ".&AOQ-", ".[x]*"} {
				box := makeBox(t, w.src, filepath.Join(user, "Maildir", folder))
				for i, name := range tortureNames {
					write(t, filepath.Join(box, []string{"cur", "new"}[i%2], name), name, epoch)
				}
				write(t, filepath.Join(box, "dovecot-uidlist"), folder, epoch)
			}
			write(t, filepath.Join(w.src, user, "notes\n--help"), "x", epoch)
		}
		w.pass(Warm)
		w.equal()
		// Flags change, everything moves from new to cur: no body is sent again.
		boxes, _ := filepath.Glob(filepath.Join(w.src, "*", "*", "Maildir"))
		for _, box := range boxes {
			for _, m := range messages(t, box) {
				if strings.HasPrefix(m, "new/") && len(m) < 250 && !strings.Contains(m, ":") {
					must(t, os.Rename(filepath.Join(box, m), filepath.Join(box, "cur", m[4:]+":2,S")))
				}
			}
		}
		p, d := w.pass(Warm)
		if p.Counts.Rename == 0 || d.Copied != 0 {
			t.Errorf("renamed %d, copied %d", p.Counts.Rename, d.Copied)
		}
		w.final()
	})
}

func TestLongPathsAndOddFiles(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		long := strings.Repeat("d", 120)
		box := makeBox(t, w.src, filepath.Join("example.org", long, "Maildir", "."+strings.Repeat("f", 200)))
		write(t, filepath.Join(box, "cur", strings.Repeat("m", 150)), "gnu tar", epoch)
		write(t, filepath.Join(box, "cur", "empty"), "", epoch)
		write(t, filepath.Join(box, "cur", "before1970"), "x", time.Unix(-86400, 0))
		write(t, filepath.Join(box, "cur", "late2300"), "x", time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC))
		write(t, filepath.Join(box, "cur", "nanoseconds"), "x", time.Unix(1e9, 123456789))
		write(t, filepath.Join(box, "cur", "large"), strings.Repeat("0123456789abcdef", 1<<17), epoch)
		must(t, os.Chmod(filepath.Join(box, "cur", "empty"), 0o440))
		w.final()
	})
}

// TestLeftBehind has on the source what is never copied: each is named, none is followed.
func TestLeftBehind(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		home := filepath.Join(w.src, "example.org/john")
		box := makeBox(t, home, "Maildir")
		write(t, filepath.Join(box, "cur", "1.a:2,"), "x", epoch)
		must(t, os.Symlink("/etc/passwd", filepath.Join(home, "out")))
		must(t, os.Symlink("../../../../etc", filepath.Join(home, "up")))
		must(t, os.Symlink("/etc/passwd", filepath.Join(box, "cur", "2.link")))
		must(t, os.Symlink(".", filepath.Join(home, "loop")))
		must(t, os.Symlink(filepath.Join(home, "Maildir"), filepath.Join(home, "inside")))
		must(t, syscall.Mkfifo(filepath.Join(home, "pipe"), 0o600))
		must(t, syscall.Mkfifo(filepath.Join(box, "new", "pipe"), 0o600))
		must(t, os.Mkdir(filepath.Join(box, "cur", "directory"), 0o700))
		write(t, filepath.Join(box, "cur", "directory", "file"), "x", epoch)
		write(t, filepath.Join(box, "cur", ".nfs0001"), "x", epoch)
		write(t, filepath.Join(box, "tmp", "half"), "x", epoch)
		write(t, filepath.Join(w.src, "README"), "x", epoch)
		write(t, filepath.Join(w.src, ".ssh", "id_rsa"), "x", epoch)
		for _, c := range []string{"dovecot.index.cache", "maildirsize", "dovecot-uidlist.lock", "courierimapuiddb", ".dovecot.svbin"} {
			write(t, filepath.Join(box, c), "x", epoch)
		}
		p, _ := w.pass(Final)
		if p.LeftCount != 9 {
			t.Errorf("%d are named, not 9: %v", p.LeftCount, p.Left)
		}
		for _, absent := range []string{
			"example.org/john/out", "example.org/john/up", "example.org/john/pipe", "example.org/john/Maildir/cur/2.link", "example.org/john/Maildir/new/pipe",
			"example.org/john/Maildir/cur/directory", "example.org/john/Maildir/tmp/half", "README", ".ssh", "example.org/john/Maildir/maildirsize",
			"example.org/john/Maildir/dovecot-uidlist.lock", "example.org/john/Maildir/dovecot.index.cache", "example.org/john/Maildir/.dovecot.svbin",
		} {
			if _, err := os.Lstat(filepath.Join(w.dst, absent)); err == nil {
				t.Errorf("%s was copied", absent)
			}
		}
		if text, _ := os.Readlink(filepath.Join(w.dst, "example.org/john/inside")); text != filepath.Join(w.dst, "example.org/john/Maildir") {
			t.Errorf("a link inside the root leads to %q", text)
		}
	})
}

func TestHardLinks(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		home := filepath.Join(w.src, "example.org/john/Maildir")
		inbox, archive := makeBox(t, home, ""), makeBox(t, home, ".Archive")
		write(t, filepath.Join(inbox, "cur", "1.a:2,S"), "shared", epoch)
		must(t, os.Link(filepath.Join(inbox, "cur", "1.a:2,S"), filepath.Join(archive, "cur", "2.b:2,")))
		p, d := w.pass(Warm)
		if d.Copied != 1 || p.Counts.Link != 1 {
			t.Errorf("copied %d, linked %d", d.Copied, p.Counts.Link)
		}
		dst := filepath.Join(w.dst, "example.org/john/Maildir")
		if inodeOf(t, filepath.Join(dst, "cur", "1.a:2,S")) != inodeOf(t, filepath.Join(dst, ".Archive/cur/2.b:2,")) {
			t.Error("two names of one file became two files")
		}
		// A copy made later, in a mailbox that did not exist.
		fresh := makeBox(t, home, ".Work")
		must(t, os.Link(filepath.Join(inbox, "cur", "1.a:2,S"), filepath.Join(fresh, "cur", "3.c:2,")))
		// A message that moves: Dovecot gives it a new base and a second link, then removes the first.
		write(t, filepath.Join(inbox, "cur", "5.e:2,"), "moves with its name", epoch)
		w.pass(Warm)
		must(t, os.Rename(filepath.Join(inbox, "cur", "5.e:2,"), filepath.Join(fresh, "cur", "5.e:2,S")))
		p, d = w.pass(Warm)
		if d.Copied != 0 || p.Counts.Link != 1 {
			t.Errorf("a moved message: copied %d, linked %d", d.Copied, p.Counts.Link)
		}
		w.final()
		if inodeOf(t, filepath.Join(dst, "cur", "1.a:2,S")) != inodeOf(t, filepath.Join(dst, ".Work/cur/3.c:2,")) {
			t.Error("a later copy became a file of its own")
		}
	})
}

// TestMovedBesideAnotherAccount moves a message between two folders of an account. The name of another account sorts between those of
// the two.
func TestMovedBesideAnotherAccount(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		inbox := makeBox(t, w.src, "example.org/john")
		sent := makeBox(t, inbox, ".Sent")
		makeBox(t, w.src, "example.org/john-x")
		write(t, filepath.Join(inbox, "cur", "1.a:2,S"), "moves", epoch)
		w.pass(Warm)
		must(t, os.Rename(filepath.Join(inbox, "cur", "1.a:2,S"), filepath.Join(sent, "cur", "1.a:2,S")))
		p, d := w.pass(Final)
		if d.Copied != 0 || p.Counts.Rename != 1 || p.Counts.Quarantine != 0 {
			t.Errorf("copied %d, %+v", d.Copied, p.Counts)
		}
		w.final()
	})
}

// TestFolderRenamed renames a folder between two passes: its messages are renamed on the target, not sent.
func TestFolderRenamed(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		w.stock()
		w.pass(Warm)
		top := filepath.Join(w.src, "example.org/john/Maildir")
		must(t, os.Rename(filepath.Join(top, ".Sent"), filepath.Join(top, ".Gesendet")))
		p, d, err := w.try(w.with(Final))
		must(t, err)
		if d.Copied != 0 || p.Counts.Rename != 11 || p.Counts.Quarantine != 0 {
			t.Errorf("copied %d, %+v", d.Copied, p.Counts)
		}
		w.final()
	})
}
