package maildir

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// settledAtOnce lets a test trust the times of directories without waiting: its file system has a clock of milliseconds.
const settledAtOnce = -10 * time.Second

// look looks and gives back what matters of it.
func (w *world) look(o Options) *Pass {
	w.t.Helper()
	p, err := Look(context.Background(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	if p.StateError != nil {
		w.t.Fatal(p.StateError)
	}
	return p
}

// TestStateFindsEveryChange makes one change at a time, on either side. A look with the state of the last pass must find
// what a full listing finds, and must not have listed what did not change.
func TestStateFindsEveryChange(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in a short run: it takes seconds")
	}
	w := newWorld(t, true)
	w.o.recent = settledAtOnce
	w.stock()
	w.pass(Warm)
	w.look(w.with(Final)) // everything is equal now, and remembered
	if p := w.look(w.with(Final)); p.Counts.Skipped != p.Counts.Mailboxes || p.Counts.Messages != 132 || p.Counts.Held != 132 {
		t.Fatalf("nothing changed and not everything was skipped: %+v", p.Counts)
	}
	const box = "example.org/john/Maildir/.Sent"
	src, dst := filepath.Join(w.src, box), filepath.Join(w.dst, box)
	first := messages(t, src)[0]
	changes := map[string]func() error{
		"flags": func() error { return os.Rename(filepath.Join(src, first), filepath.Join(src, first+"T")) },
		"new to cur": func() error {
			m := messages(t, src)[10]
			return os.Rename(filepath.Join(src, m), filepath.Join(src, "cur", nameOf(m)+":2,"))
		},
		"expunged":  func() error { return os.Remove(filepath.Join(src, first)) },
		"delivered": func() error { return os.WriteFile(filepath.Join(src, "new/1500000000.M1P1.old"), nil, 0o600) },
		"copied from inbox": func() error {
			return os.Link(filepath.Join(w.src, "example.org/john/Maildir", messages(t, filepath.Join(w.src, "example.org/john/Maildir"))[0]), filepath.Join(src, "cur/1500000000.M1P1.old:2,"))
		},
		"replaced": func() error { return replaceDir(filepath.Join(src, "cur")) },
		"times set back": func() error {
			return hideChange(filepath.Join(src, "cur"), func() error { return os.Remove(filepath.Join(src, first)) })
		},
		"new folder":       func() error { makeBox(t, w.src, "example.org/john/Maildir/.Fresh"); return nil },
		"folder gone":      func() error { return os.RemoveAll(src) },
		"target flags":     func() error { return os.Rename(filepath.Join(dst, first), filepath.Join(dst, first+"T")) },
		"target expunged":  func() error { return os.Remove(filepath.Join(dst, first)) },
		"target delivered": func() error { return os.WriteFile(filepath.Join(dst, "new/1500000000.M1P1.new"), nil, 0o600) },
		"target folder":    func() error { return os.RemoveAll(dst) },
		"target set back": func() error {
			return hideChange(filepath.Join(dst, "cur"), func() error { return os.Remove(filepath.Join(dst, first)) })
		},
	}
	if len(changes) != 14 {
		t.Fatal("two changes have one name")
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			w.t = t
			must(t, os.RemoveAll(w.dst))
			must(t, os.Mkdir(w.dst, 0o755))
			must(t, os.RemoveAll(w.src))
			w.stock()
			w.pass(Final)
			w.look(w.with(Final))
			must(t, change())
			p := w.look(w.with(Final))
			full := w.with(Final)
			full.Full, full.StateDir = true, ""
			want := w.look(full)
			if p.Counts.Skipped == 0 {
				t.Error("everything was listed")
			}
			if want.Empty() {
				t.Error("a full listing finds nothing")
			}
			p.Counts.Skipped = 0
			if diff := cmp.Diff(want.Counts, p.Counts); diff != "" {
				t.Errorf("a full listing and one with the state differ:\n%s", diff)
			}
			w.final()
		})
	}
}

// replaceDir puts another directory of the same times in the place of one.
func replaceDir(dir string) error {
	i, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return os.Chtimes(dir, i.ModTime(), i.ModTime())
}

// hideChange makes a change and sets the time of modification of the directory back, as a copy with rsync does.
func hideChange(dir string, change func() error) error {
	i, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	return os.Chtimes(dir, i.ModTime(), i.ModTime())
}

// TestStateAgainstFullListing plays users for many rounds; in each a look with the state and one without must agree.
func TestStateAgainstFullListing(t *testing.T) {
	w := newWorld(t, true)
	w.o.recent = settledAtOnce
	w.o.Limit = Limit{Percent: 100, Share: true}
	u := &user{random: rand.New(rand.NewPCG(3, 4))}
	for i := range 12 {
		top := makeBox(t, w.src, fmt.Sprintf("example.org/user%d/Maildir", i))
		u.boxes = append(u.boxes, top, makeBox(t, top, ".Sent"))
	}
	for range 300 {
		u.deliver(t, u.boxes[u.random.IntN(len(u.boxes))])
	}
	skipped := int64(0)
	for round := range testRounds(15) {
		mode := []Mode{Warm, Warm, Final}[round%3]
		full := w.with(mode)
		full.Full, full.StateDir = true, ""
		want, got := w.look(full), w.look(w.with(mode))
		skipped += got.Counts.Skipped
		got.Counts.Skipped = 0
		if diff := cmp.Diff(want.Counts, got.Counts); diff != "" {
			t.Fatalf("round %d, %s: a full listing and one with the state differ:\n%s", round, mode, diff)
		}
		if want.record != nil && want.record.Digest != got.record.Digest {
			t.Fatalf("round %d: the manifests differ", round)
		}
		if _, err := got.Apply(context.Background(), w.host(), nil); err != nil {
			t.Fatal(err)
		}
		if mode == Final {
			w.equal()
		}
		for range u.random.IntN(8) {
			u.act(t)
		}
	}
	if skipped < 200 {
		t.Errorf("only %d mailboxes were skipped", skipped)
	}
}

// TestStateDamaged: whatever is in the state's file, a pass is right.
func TestStateDamaged(t *testing.T) {
	w := newWorld(t, true)
	w.o.recent = settledAtOnce
	w.stock()
	w.final()
	w.look(w.with(Final))
	files, _ := filepath.Glob(filepath.Join(w.o.StateDir, "*.state"))
	if len(files) != 1 {
		t.Fatalf("%v", files)
	}
	good, err := os.ReadFile(files[0])
	must(t, err)
	john := filepath.Join(w.src, "example.org/john/Maildir")
	must(t, os.Remove(filepath.Join(john, messages(t, john)[0])))
	flipped := []byte(strings.Clone(string(good)))
	flipped[len(flipped)/2] ^= 1
	for name, text := range map[string][]byte{
		"empty": {}, "cut": good[:len(good)/2], "flipped": flipped, "words": []byte("no state"), "another version": []byte(strings.Replace(string(good), "state 1", "state 2", 1)),
		"title only": []byte(stateTitle), "sealed rubbish": sealed("\x02\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
	} {
		t.Run(name, func(t *testing.T) {
			must(t, os.WriteFile(files[0], text, 0o600))
			if p := w.look(w.with(Final)); p.Counts.Skipped != 0 || p.Counts.Quarantine != 1 {
				t.Errorf("%+v", p.Counts)
			}
		})
	}
	// The state of the same roots with another owner says nothing of the owner now asked for.
	must(t, os.WriteFile(files[0], good, 0o600))
	if os.Getuid() == 0 {
		o := w.with(Final)
		o.Owner = "12345:12345"
		if p := w.look(o); p.Counts.Skipped != 0 || p.Counts.Attributes == 0 {
			t.Errorf("another owner: %+v", p.Counts)
		}
	}
}

// TestStateRecent: directories that changed a moment ago are listed again, since a coarse clock would hide a second change.
func TestStateRecent(t *testing.T) {
	w := newWorld(t, true)
	w.stock()
	w.final()
	w.look(w.with(Final))
	if p := w.look(w.with(Final)); p.Counts.Skipped != 0 {
		t.Errorf("%d mailboxes that have just changed were skipped", p.Counts.Skipped)
	}
}

// TestStateOfSelection: a pass of one domain keeps what is remembered of the others, and the record of their final pass.
func TestStateOfSelection(t *testing.T) {
	w := newWorld(t, true)
	w.o.recent = settledAtOnce
	w.stock()
	w.final()
	w.look(w.with(Final))
	o := w.with(Final)
	o.Domains = []string{"example.org"}
	if p := w.look(o); p.Counts.Skipped != 8 || !p.Empty() {
		t.Errorf("one domain: %+v, empty %v", p.Counts, p.Empty())
	}
	if p := w.look(w.with(Final)); p.Counts.Skipped != 12 || !p.Empty() {
		t.Errorf("all: %+v, empty %v", p.Counts, p.Empty())
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte("\x00\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "state")
		must(t, os.WriteFile(file, sealed(string(content)), 0o600))
		s := loadState(file, ids{})
		for path, e := range s.entries {
			if e.sum == nil || path != strings.Clone(path) {
				t.Fatal("half an entry")
			}
		}
	})
}

func sealed(content string) []byte {
	return seal(stateTitle, 0, func(b []byte) []byte { return append(b, content...) })
}
