package maildir

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTargetFull runs out of bytes, or of inodes, in the middle of a pass: the error says what is missing and how to go on, nothing half
// can be seen, and when there is room the next pass goes on from there.
func TestTargetFull(t *testing.T) {
	if os.Getuid() != 0 {
		need(t, "root", "mounting a small file system needs root")
	}
	for name, c := range map[string]struct {
		small, large string
		count, size  int
		refused      string // by a pass that knows what is free
	}{
		"bytes":  {"size=2m", "size=64m", 40, 100_000, "the messages need 3.8 MiB and 2.0 MiB are free"},
		"inodes": {"nr_inodes=150", "nr_inodes=2000", 400, 1000, "are needed and the file system has 149 inodes free"},
	} {
		t.Run(name, func(t *testing.T) {
			eachWriter(t, func(t *testing.T, w *world) {
				mountSmall(t, w.dst, c.small)
				w.o.batchFiles, w.o.batchBytes = 30, 1<<20 // some batches arrive
				box := makeBox(t, w.src, "example.org/john/Maildir")
				for i := range c.count {
					write(t, filepath.Join(box, "cur", fmt.Sprintf("%d.a:2,", i)), strings.Repeat("x", c.size), epoch)
				}
				write(t, filepath.Join(box, "dovecot-uidlist"), "3 V1 N6\n", epoch)
				w.to.free = trueSpace
				w.refused(w.with(Warm), c.refused)
				w.to.free = 0
				p := w.look(w.with(Final))
				w.to.free = trueSpace
				_, err := p.Apply(t.Context(), w.host(), nil)
				if err == nil || !strings.Contains(strings.ToLower(err.Error()), "no space left") || !regexp.MustCompile(`\(.*B and [\d ]+ inodes? free on new:.*\)`).MatchString(err.Error()) ||
					!strings.Contains(err.Error(), "make room and run again") {
					t.Fatalf("a full target: %v", err)
				}
				arrived := 0
				for p, what := range inventory(t, w.dst) {
					if !strings.Contains(p, "/cur/") {
						continue
					}
					if arrived++; !strings.Contains(what, fmt.Sprintf(" %d ", c.size)) {
						t.Errorf("half a message: %s %s", p, what)
					}
				}
				if list, _ := filepath.Glob(filepath.Join(w.dst, stagingPrefix+"*")); len(list) > 0 {
					t.Errorf("what was staged still takes room: %v", list)
				}
				if out, err := exec.Command("mount", "-o", "remount,"+c.large, w.dst).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if p := w.final(); p.Counts.Copy != int64(c.count-arrived) {
					t.Errorf("%d messages had arrived, and %d of %d were sent afterwards", arrived, p.Counts.Copy, c.count)
				}
			})
		})
	}
}

// TestMountsBelow has a domain on a file system of its own, which nothing can be renamed into.
func TestMountsBelow(t *testing.T) {
	if os.Getuid() != 0 {
		need(t, "root", "mounting a small file system needs root")
	}
	eachWriter(t, func(t *testing.T, w *world) {
		must(t, os.Mkdir(filepath.Join(w.dst, "example.org"), 0o700))
		mountSmall(t, filepath.Join(w.dst, "example.org"), "size=2m,mode=0700")
		w.stock()
		w.pass(Warm)
		w.equal()
	})
}
