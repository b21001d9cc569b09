package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLayouts moves mailboxes that lie elsewhere than in domain/user/Maildir.
func TestLayouts(t *testing.T) {
	layouts := map[string][]string{
		"domain and user":  {"example.org/john", "example.org/mary"},
		"user":             {"john/Maildir", "mary/Maildir"},
		"root":             {""},
		"deep":             {"mail/example.org/j/john/Maildir", "mail/example.org/m/mary/Maildir"},
		"user called new":  {"example.org/new", "example.org/cur/Maildir", "new/tmp/Maildir"},
		"folders in trees": {"example.org/john/Maildir", "example.org/john/Maildir/Work/2012", "example.org/john/Maildir/Work"},
	}
	for name, tops := range layouts {
		t.Run(name, func(t *testing.T) {
			eachWriter(t, func(t *testing.T, w *world) {
				for i, top := range tops {
					for _, folder := range []string{"", ".Sent"} {
						box := makeBox(t, w.src, filepath.Join(top, folder))
						for j := range 5 {
							write(t, filepath.Join(box, "cur", fmt.Sprintf("1.M%d%d.x:2,S", i, j)), "body", epoch)
						}
						write(t, filepath.Join(box, "dovecot-uidlist"), "3 V1 N6\n", epoch)
					}
				}
				w.pass(Warm)
				w.equal()
				must(t, os.Remove(filepath.Join(w.src, tops[0], "cur/1.M00.x:2,S")))
				must(t, os.Rename(filepath.Join(w.src, tops[0], "cur/1.M01.x:2,S"), filepath.Join(w.src, tops[0], "cur/1.M01.x:2,RS")))
				write(t, filepath.Join(w.dst, tops[0], "dovecot.index"), "stale", epoch)
				p := w.final()
				if p.Counts.Quarantine != 1 || p.Counts.Rename != 1 || p.Counts.Copy != 0 {
					t.Errorf("%+v", p.Counts)
				}
				if _, err := os.Lstat(filepath.Join(w.dst, tops[0], "dovecot.index")); err == nil {
					t.Error("the index of a changed mailbox is still there")
				}
			})
		})
	}
}

// TestDamageOnTarget: what is wrong on the target is put right by the pass that may do it.
func TestDamageOnTarget(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		w.stock()
		w.pass(Warm)
		dst := filepath.Join(w.dst, "example.org/john/Maildir")
		list := messages(t, dst)
		must(t, os.Truncate(filepath.Join(dst, list[0]), 7)) // half a message, from another tool
		must(t, os.Chtimes(filepath.Join(dst, list[0]), epoch, epoch))
		must(t, os.Chtimes(filepath.Join(dst, list[1]), time.Now(), time.Now()))
		must(t, os.Chmod(filepath.Join(dst, list[2]), 0o644))
		must(t, os.Chmod(filepath.Join(dst, "cur"), 0o755))
		must(t, os.RemoveAll(filepath.Join(dst, "tmp")))
		must(t, os.Remove(filepath.Join(w.dst, "example.org/john/.dovecot.sieve")))
		must(t, os.WriteFile(filepath.Join(w.dst, "example.org/john/sieve/filter.sieve"), []byte("stop;\n"), 0o600))
		must(t, os.WriteFile(filepath.Join(w.dst, "example.org/john/sieve/filter.svbin"), []byte("compiled"), 0o600))
		if os.Getuid() == 0 {
			must(t, os.Lchown(filepath.Join(dst, list[3]), 12345, 12345))
			must(t, os.Lchown(dst, 12345, 12345))
		}
		p, _ := w.pass(Warm)
		if p.Counts.Conflicts != 1 || p.Counts.Quarantine != 0 || p.Counts.Copy != 0 || p.Counts.Attributes < 3 {
			t.Errorf("warm: %+v", p.Counts)
		}
		p = w.final()
		if p.Counts.Quarantine != 1 || p.Counts.Copy != 1 {
			t.Errorf("final: %+v", p.Counts)
		}
		if _, err := os.Lstat(filepath.Join(w.dst, "example.org/john/sieve/filter.svbin")); err == nil {
			t.Error("a compiled script is still there that its script does not fit")
		}
	})
}
