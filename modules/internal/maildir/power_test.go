package maildir

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// powered is a file system in a file that can lose its power: what the kernel has not written to the file is gone then.
type powered struct {
	t          testing.TB
	image, dir string
}

// newPowered mounts a file system on a directory. It writes what it was not asked to sync after five minutes only.
func newPowered(t testing.TB, dir string) *powered {
	t.Helper()
	if os.Getuid() != 0 {
		need(t, "root", "mounting a file system needs root")
	}
	p := &powered{t: t, image: filepath.Join(scratch(t), "disk"), dir: dir}
	if err := os.Truncate(must2(os.Create(p.image)).Name(), 48<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", p.image).CombinedOutput(); err != nil {
		need(t, "loop", fmt.Sprintf("cannot make a file system in a file: %v: %s", err, out))
	}
	must(t, os.MkdirAll(dir, 0o755))
	p.mount()
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	return p
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (p *powered) mount() {
	if out, err := exec.Command("mount", "-o", "loop,commit=300", p.image, p.dir).CombinedOutput(); err != nil {
		need(p.t, "loop", fmt.Sprintf("cannot mount a file system from a file: %v: %s", err, out))
	}
}

// cut takes the power away and gives it back.
func (p *powered) cut() {
	p.t.Helper()
	was := p.image
	p.image = fmt.Sprintf("%s.%d", strings.TrimSuffix(was, filepath.Ext(was)), rand.Uint32())
	in := must2(os.Open(was))
	defer in.Close()
	out := must2(os.Create(p.image))
	if _, err := io.Copy(out, in); err != nil {
		p.t.Fatal(err)
	}
	must(p.t, out.Close())
	if text, err := exec.Command("umount", p.dir).CombinedOutput(); err != nil { // it writes to the old file, which nobody reads any more
		p.t.Fatalf("%v: %s", err, text)
	}
	must(p.t, os.Remove(was))
	p.mount()
}

// commit writes the journal and not the content of files, as any program may that syncs a file of its own: names are there then that were
// given to files whose content is not.
func (p *powered) commit() {
	p.t.Helper()
	f := must2(os.Create(filepath.Join(p.dir, "other")))
	_, err := f.WriteString("other")
	must(p.t, err)
	must(p.t, f.Sync())
	must(p.t, f.Close())
}

// proves sees that power is lost indeed: a file that nobody synced is gone, and one whose name was committed has no content.
func (p *powered) proves() {
	p.t.Helper()
	at := func(name string) string { return filepath.Join(p.dir, name) }
	must(p.t, os.WriteFile(at("aside"), []byte("content"), 0o600))
	must(p.t, os.Rename(at("aside"), at("named")))
	p.commit()
	must(p.t, os.WriteFile(at("later"), []byte("content"), 0o600))
	p.cut()
	named, err := os.ReadFile(at("named"))
	_, later := os.Stat(at("later"))
	if err != nil || len(named) > 0 || later == nil {
		p.t.Fatalf("a loss of power leaves %q, %v, of a file that was not synced, and of another one %v: the test would prove nothing", named, err, later)
	}
}

// TestPowerLoss takes the power of the target away: what a pass has reported is there afterwards, with all its content, what a pass was
// busy with is whole or not there, and what the runner remembers of the target is true of it still.
func TestPowerLoss(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		p := newPowered(t, filepath.Dir(w.dst))
		p.proves()
		must(t, os.Mkdir(w.dst, 0o755))
		p.commit()
		w.o.recent, w.o.Limit = settledAtOnce, Limit{Percent: 100, Share: true}
		u := &user{random: rand.New(rand.NewPCG(3, uint64(len(w.to.name))))}
		for i := range 4 {
			u.boxes = append(u.boxes, makeBox(t, w.src, fmt.Sprintf("example.org/user%d/Maildir", i)))
		}
		for range 200 {
			u.deliver(t, u.boxes[u.random.IntN(len(u.boxes))])
		}
		for round := range 4 {
			gone := filepath.Join(w.dst, fmt.Sprintf("example.org/user%d", round%4))
			must(t, os.RemoveAll(gone)) // it comes again as a whole
			cmd, ended := w.child(Warm, w.to.local)
			w.wait(filepath.Join(gone, "Maildir", "*", "*.M*"), round%2 == 0)
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			ended()
			if round%2 == 0 {
				p.commit()
			} else {
				w.look(w.with(Warm)) // it remembers what is equal
			}
			p.cut()
			w.whole()
			w.pass(Final)
			p.cut()
			w.equal()
			report, err := Verify(t.Context(), w.o, true)
			must(t, err)
			must(t, report.Err())
			nextSecond(t) // see killed
			for range 20 {
				u.act(t)
			}
		}
		w.lateSurvives(p)
	})
}

// wait waits until there is a file of a name, or for a moment only, so that a pass is at work on something or may be at anything.
func (w *world) wait(pattern string, seen bool) {
	if !seen {
		time.Sleep(rand.N(120 * time.Millisecond))
		return
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if list, _ := filepath.Glob(pattern); len(list) > 0 || time.Now().After(end) {
			return
		}
	}
}

// lateSurvives: what late passes go by survives as well, and so does the mark that no other pass may be made.
func (w *world) lateSurvives(p *powered) {
	w.pass(Final)
	must(w.t, WriteLive(w.t.Context(), w.host(), w.dst, &Live{Version: recordVersion, Since: epoch}))
	p.cut()
	w.refused(w.with(Final), "live since")
	late := filepath.Join(w.src, "example.org/user0/Maildir/new/9.late")
	write(w.t, late, body("9.late"), epoch)
	if _, done := w.pass(Late); done.Copied != 1 {
		w.t.Errorf("a late pass brought %d messages", done.Copied)
	}
	must(w.t, os.Remove(filepath.Join(w.dst, "example.org/user0/Maildir/new/9.late"))) // by its user
	p.cut()
	w.whole()
	if _, err := os.Stat(filepath.Join(w.dst, "example.org/user0/Maildir/new/9.late")); err != nil {
		must(w.t, os.RemoveAll(late))
	}
	if _, done := w.pass(Late); done.Copied != 0 {
		w.t.Errorf("a late pass brought %d messages again", done.Copied)
	}
}
