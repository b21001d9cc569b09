package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestDirectoriesAreCommitted: staged messages of one mailbox come into an empty directory with one rename, into another one by one.
func TestDirectoriesAreCommitted(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		at := place{root: w.dst, owner: ids{os.Getuid(), os.Getgid()}, staging: stagingPrefix + "test.1"}
		o := w.o
		o.complete()
		open := func(number int) writer {
			wr, err := openWriter(t.Context(), w.host(), at, number, &o)
			must(t, err)
			t.Cleanup(func() { _ = wr.close() })
			return wr
		}
		makeBox(t, w.dst, "box")
		cur := filepath.Join(w.dst, "box/cur")
		must(t, os.Chmod(cur, 0o750|os.ModeSetgid))
		before := inodeOf(t, cur)
		one, two := open(1), open(2)
		bring := func(wr writer, dir string, names ...string) {
			t.Helper()
			must(t, wr.stageDir(dir, "box/cur"))
			for _, n := range names {
				must(t, wr.stage(dir+"/"+n, strings.NewReader(n), int64(len(n)), 0o600, stamp{sec: 1_300_000_000}))
			}
			must(t, wr.flush())
		}
		// The second writer knows the directory, with a file staged for it, before the first puts another in its place.
		must(t, two.do(work{kind: setDir, to: "box/cur", mode: 0o2750}))
		must(t, two.stage("0", strings.NewReader("x"), 1, 0o600, stamp{sec: 1}))
		bring(one, "d0", "a:2,S", "b:2,")
		must(t, one.commitDir("d0", "box/cur"))
		must(t, one.flush())
		info, err := os.Stat(cur)
		must(t, err)
		if inodeOf(t, cur) == before || info.Mode()&0o7777 != 0o750 || info.Mode()&os.ModeSetgid == 0 {
			t.Errorf("the directory is the same one: %v, mode %v", inodeOf(t, cur) == before, info.Mode())
		}
		must(t, two.commit("0", "box/cur/c:2,"))
		must(t, two.flush())
		before = inodeOf(t, cur)
		bring(two, "d0", "d:2,", "e:2,")
		must(t, two.commitDir("d0", "box/cur"))
		must(t, two.flush())
		if inodeOf(t, cur) != before {
			t.Error("a directory that held messages was replaced")
		}
		if got := strings.Join(messages(t, filepath.Join(w.dst, "box")), " "); got != "cur/a:2,S cur/b:2, cur/c:2, cur/d:2, cur/e:2," {
			t.Errorf("the mailbox holds %s", got)
		}
		for n := range 3 {
			if left, err := os.ReadDir(filepath.Join(w.dst, at.staging, fmt.Sprint(n))); err == nil && len(left) > 0 {
				t.Errorf("%v is left in staging directory %d", left, n)
			}
		}
	})
}

// TestDirectoryCommitStaysInside: a link in the place of a mailbox's directory is neither replaced nor followed.
func TestDirectoryCommitStaysInside(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		at := place{root: w.dst, owner: ids{os.Getuid(), os.Getgid()}, staging: stagingPrefix + "test.1"}
		o := w.o
		o.complete()
		wr, err := openWriter(t.Context(), w.host(), at, 1, &o)
		must(t, err)
		defer wr.close()
		outside := scratch(t)
		makeBox(t, w.dst, "box")
		must(t, wr.stageDir("d0", "box/cur"))
		must(t, wr.stage("d0/a", strings.NewReader("a"), 1, 0o600, stamp{sec: 1}))
		must(t, wr.flush())
		must(t, os.Remove(filepath.Join(w.dst, "box/cur")))
		must(t, os.Symlink(outside, filepath.Join(w.dst, "box/cur")))
		err = wr.commitDir("d0", "box/cur")
		if err == nil {
			err = wr.flush()
		}
		if err == nil {
			t.Error("it was put somewhere")
		}
		if list, _ := os.ReadDir(outside); len(list) > 0 {
			t.Errorf("%v was written outside the root", list)
		}
	})
}

// TestNewMailboxAppearsWhole: while a new mailbox is being copied, its directory holds no message or all of a batch.
func TestNewMailboxAppearsWhole(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		top := makeBox(t, w.src, "example.org/john/Maildir")
		for i := range 400 {
			write(t, filepath.Join(top, "cur", fmt.Sprintf("%d.a:2,S", i)), "x", epoch)
		}
		seen, stop, done := map[int]bool{}, make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				if list, err := os.ReadDir(filepath.Join(w.dst, "example.org/john/Maildir/cur")); err == nil {
					seen[len(list)] = true
				}
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Microsecond):
				}
			}
		}()
		w.pass(Warm)
		close(stop)
		<-done
		for n := range seen {
			if n != 0 && n != 400 {
				t.Errorf("%d of 400 messages were seen", n)
			}
		}
		w.final()
	})
}
