package maildir

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/host"
)

// world is two roots on this machine that play old and new.
type world struct {
	t        testing.TB
	from, to *machine
	target   *host.Host // instead of to, when it is not nil
	src, dst string
	o        Options
}

// writers are the two ways of writing a target; every test of a pass runs with both.
var writers = []struct {
	name  string
	local bool
}{{"system calls", true}, {"perl", false}}

// scratch is a directory in memory where the machine has one: each transfer syncs its file system, which on a disk that
// others write to takes longer than all the rest.
func scratch(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "maildir")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func newWorld(t testing.TB, local bool) *world {
	dir := scratch(t)
	w := &world{
		t: t, from: &machine{name: "old"}, to: &machine{name: "new", local: local},
		src: filepath.Join(dir, "old", "vmail"), dst: filepath.Join(dir, "new", "vmail"),
	}
	for _, d := range []string{w.src, w.dst} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.o = Options{
		From: w.from.host().View, To: w.to.host().View, Path: w.src, Target: w.dst, Mode: Warm,
		Limit: Limit{Percent: 50, Share: true}, Owner: fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()), Stall: time.Minute,
		StateDir: filepath.Join(dir, "state"),
	}
	return w
}

func (w *world) host() *host.Host {
	if w.target != nil {
		return w.target
	}
	return w.to.host()
}

func eachWriter(t *testing.T, f func(*testing.T, *world)) {
	for _, wr := range writers {
		t.Run(wr.name, func(t *testing.T) { f(t, newWorld(t, wr.local)) })
	}
}

func (w *world) with(mode Mode) Options {
	o := w.o
	o.Mode = mode
	return o
}

// pass looks and applies.
func (w *world) pass(mode Mode) (*Pass, *Done) {
	w.t.Helper()
	p, d, err := w.try(w.with(mode))
	if err != nil {
		w.t.Fatalf("%s pass: %v", mode, err)
	}
	return p, d
}

func (w *world) try(o Options) (*Pass, *Done, error) {
	ctx := context.Background()
	p, err := Look(ctx, o)
	if err != nil {
		return p, nil, err
	}
	to := w.host()
	d, err := p.Apply(ctx, to, nil)
	return p, d, err
}

// final makes a final pass and demands that there is nothing to do afterwards and that both sides are equal.
func (w *world) final() *Pass {
	w.t.Helper()
	p, _ := w.pass(Final)
	again, err := Look(context.Background(), w.with(Final))
	if err != nil {
		w.t.Fatal(err)
	}
	if !again.Empty() {
		w.t.Fatalf("a second final pass has work to do: %+v", again.Counts)
	}
	w.equal()
	report, err := Verify(context.Background(), w.o, true)
	if err == nil {
		err = report.Err()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if report.Messages == 0 || report.Hashed < report.Messages {
		w.t.Fatalf("nothing was verified: %+v", report)
	}
	return p
}

var epoch = time.Date(2013, 5, 4, 3, 2, 1, 0, time.UTC)

// write makes a file of the source or the target with the directories above it.
func write(t testing.TB, path, content string, when time.Time) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

// mailbox makes an empty mailbox below a root.
func makeBox(t testing.TB, root, path string) string {
	t.Helper()
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, path, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(root, path)
}

// stock fills the source with a few accounts.
func (w *world) stock() {
	for _, user := range []string{"example.org/john", "example.org/mary", "example.net/new"} {
		top := makeBox(w.t, w.src, user+"/Maildir")
		for f, folder := range []string{"", ".Sent", ".Entw&APw-rfe", ".Archive.2012 old"} {
			box := makeBox(w.t, top, folder)
			for i := range 10 {
				when := epoch.Add(time.Duration(i) * time.Minute)
				name := fmt.Sprintf("%d.M%dP%d.old,S=%d:2,S", when.Unix(), f, i, 100+i)
				write(w.t, filepath.Join(box, "cur", name), strings.Repeat("x", 100+i), when)
			}
			write(w.t, filepath.Join(box, "new", fmt.Sprintf("%d.M%dP99.old", epoch.Unix(), f)), "new", epoch)
			write(w.t, filepath.Join(box, "dovecot-uidlist"), "3 V1367629321 N12 G0123\n1 :x\n", epoch)
			write(w.t, filepath.Join(box, "dovecot.index"), "cache", epoch)
			if folder != "" {
				write(w.t, filepath.Join(box, "maildirfolder"), "", epoch)
			}
		}
		write(w.t, filepath.Join(top, "subscriptions"), "Sent\n", epoch)
		write(w.t, filepath.Join(top, "dovecot-keywords"), "0 $Label1\n", epoch)
		write(w.t, filepath.Join(top, "dovecot-uidvalidity.51847a89"), "", epoch)
		write(w.t, filepath.Join(w.src, user, "sieve", "filter.sieve"), "keep;\n", epoch)
		if err := os.Symlink("sieve/filter.sieve", filepath.Join(w.src, user, ".dovecot.sieve")); err != nil {
			w.t.Fatal(err)
		}
	}
}

// inventory is what a pass must carry over, by path: type, size, time, content, link.
func inventory(t testing.TB, root string) map[string]string {
	t.Helper()
	list := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		i, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			if strings.HasPrefix(d.Name(), ".runner-") {
				t.Errorf("%s was left behind", path)
			}
			list[rel] = "directory " + i.Mode().Perm().String()
		case d.Type() == fs.ModeSymlink:
			text, _ := os.Readlink(path)
			list[rel] = "link " + text
		case isCache(d.Name()) || filepath.Base(filepath.Dir(path)) == "tmp":
		default:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			list[rel] = fmt.Sprintf("%s %d %d %q", i.Mode(), i.Size(), i.ModTime().Unix(), content)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	delete(list, ".")
	return list
}

func (w *world) equal() {
	w.t.Helper()
	if diff := cmp.Diff(inventory(w.t, w.src), inventory(w.t, w.dst)); diff != "" {
		w.t.Fatalf("the two sides differ (-old +new):\n%s", diff)
	}
}

// messages lists the messages of a mailbox as "new/name" and "cur/name".
func messages(t testing.TB, box string) []string {
	t.Helper()
	var list []string
	for _, d := range []string{"cur", "new"} {
		entries, err := os.ReadDir(filepath.Join(box, d))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			list = append(list, d+"/"+e.Name())
		}
	}
	sort.Strings(list)
	return list
}

func inodeOf(t testing.TB, path string) uint64 {
	t.Helper()
	i, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return i.Sys().(*syscall.Stat_t).Ino
}

func TestFirstCopy(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		w.stock()
		p, d := w.pass(Warm)
		if p.Counts.Copy != 3*4*11 || d.Copied != p.Counts.Copy || d.Bytes != p.Counts.CopyBytes {
			t.Errorf("copied %d of %d messages, %d of %d bytes", d.Copied, p.Counts.Copy, d.Bytes, p.Counts.CopyBytes)
		}
		w.equal()
		again, err := Look(context.Background(), w.with(Warm))
		if err != nil {
			t.Fatal(err)
		}
		if !again.Empty() {
			t.Errorf("a second pass has work to do: %+v", again.Counts)
		}
		if _, err := os.Stat(filepath.Join(w.dst, "example.org/john/Maildir/dovecot.index")); err == nil {
			t.Error("an index cache was copied")
		}
		w.final()
	})
}

func TestDelta(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		w.stock()
		w.pass(Warm)
		john := filepath.Join("example.org/john/Maildir")
		src, dst := filepath.Join(w.src, john), filepath.Join(w.dst, john)
		first := fmt.Sprintf("cur/%d.M0P0.old,S=100:2,S", epoch.Unix())
		body := inodeOf(t, filepath.Join(dst, first))
		must(t, os.Rename(filepath.Join(src, first), filepath.Join(src, first+"RT")))
		fresh := fmt.Sprintf("%d.M0P99.old", epoch.Unix())
		must(t, os.Rename(filepath.Join(src, "new", fresh), filepath.Join(src, "cur", fresh+":2,")))
		gone := fmt.Sprintf("cur/%d.M0P3.old,S=103:2,S", epoch.Add(3*time.Minute).Unix())
		must(t, os.Remove(filepath.Join(src, gone)))
		write(t, filepath.Join(src, "new", "1400000000.M1P1.old"), "hello", epoch)
		write(t, filepath.Join(dst, "dovecot.index"), "stale", epoch)
		write(t, filepath.Join(dst, "dovecot.list.index.log"), "stale", epoch)
		write(t, filepath.Join(w.dst, "example.org/mary/Maildir/dovecot.index"), "good", epoch)

		p, d := w.pass(Warm)
		if p.Counts.Rename != 2 || d.Copied != 1 || p.Counts.Quarantine != 0 {
			t.Errorf("warm: %+v, copied %d", p.Counts, d.Copied)
		}
		if _, err := os.Stat(filepath.Join(dst, gone)); err != nil {
			t.Error("a warm pass removed a message")
		}
		if inodeOf(t, filepath.Join(dst, first+"RT")) != body {
			t.Error("the body of a renamed message was written again")
		}
		for _, cache := range []string{"dovecot.index", "dovecot.list.index.log"} {
			if _, err := os.Stat(filepath.Join(dst, cache)); err == nil {
				t.Errorf("%s of a changed mailbox is still there", cache)
			}
		}
		if _, err := os.Stat(filepath.Join(w.dst, "example.org/mary/Maildir/dovecot.index")); err != nil {
			t.Error("the index of an unchanged mailbox was removed")
		}
		final := w.final()
		if final.Counts.Quarantine != 1 {
			t.Errorf("final: %+v", final.Counts)
		}
		away, _ := filepath.Glob(w.dst + ".quarantine-*/" + john + "/" + gone)
		if len(away) != 1 {
			t.Errorf("the expunged message is not in the quarantine: %v", away)
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
