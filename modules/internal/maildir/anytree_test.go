package maildir

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (w *world) tree(change func(*TreeOptions)) (*Tree, error) {
	o := TreeOptions{From: w.from.host().View, To: w.to.host().View, Path: w.src, Target: w.dst, Limit: Limit{Percent: 50, Share: true}, Stall: time.Minute}
	if change != nil {
		change(&o)
	}
	return LookAtTree(w.t.Context(), o)
}

// sync makes a pass, and sees that a second one has nothing to do.
func (w *world) sync(change func(*TreeOptions)) (*Tree, TreeDone) {
	w.t.Helper()
	p, err := w.tree(change)
	must(w.t, err)
	done, err := p.Apply(w.t.Context(), w.to.host(), nil)
	must(w.t, err)
	again, err := w.tree(change)
	must(w.t, err)
	if !again.Empty() {
		w.t.Errorf("a second pass would do %+v %+v", again.Counts, again.settle)
	}
	return p, done
}

// shape describes a tree: what stands at each path.
func shape(t testing.TB, root string) map[string]string {
	t.Helper()
	all, names := map[string]string{}, map[uint64]string{}
	must(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		rel, _ := filepath.Rel(root, p)
		text := fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid)
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				return err
			}
			text += " -> " + to
		case info.Mode().IsRegular():
			content, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %d %q", info.ModTime().Unix(), content)
			if first, ok := names[st.Ino]; ok {
				text += " is " + first
			} else if st.Nlink > 1 {
				names[st.Ino] = rel
			}
		case info.IsDir():
			text += fmt.Sprintf(" %d", info.ModTime().Unix())
		}
		all[rel] = text
		return nil
	}))
	return all
}

// website makes a tree with everything that a tree can have.
func website(t testing.TB, root string) {
	t.Helper()
	for _, dir := range []string{"html/img", "html/deep/er/and/deeper", "private", "-dash", "line\nend"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	for i, name := range []string{"html/index.html", "html/img/logo.png", "html/deep/er/and/deeper/x", "private/key", "-dash/-rf", "line\nend/a \"quoted\" 'name'", "html/\xff\xfe"} {
		write(t, filepath.Join(root, name), strings.Repeat(name, i*100), epoch.Add(time.Duration(i)*time.Hour))
	}
	must(t, os.Chmod(filepath.Join(root, "private"), 0o700))
	must(t, os.Chmod(filepath.Join(root, "private/key"), 0o400))
	must(t, os.Chmod(filepath.Join(root, "html/img"), fs.ModeSetgid|0o775))
	must(t, os.Link(filepath.Join(root, "html/index.html"), filepath.Join(root, "html/start.html")))
	must(t, os.Symlink("index.html", filepath.Join(root, "html/home")))
	must(t, os.Symlink("/etc/hostname", filepath.Join(root, "html/out")))
	if os.Getuid() == 0 {
		must(t, os.Lchown(filepath.Join(root, "html/img/logo.png"), 33, 33))
		must(t, os.Lchown(filepath.Join(root, "html/img"), 33, 33))
		must(t, os.Lchown(filepath.Join(root, "html/home"), 33, 33))
	}
	at := epoch.Add(48 * time.Hour)
	for _, dir := range []string{"html/deep/er/and/deeper", "html/img", "html", "private"} {
		must(t, os.Chtimes(filepath.Join(root, dir), at, at))
	}
}

func (w *world) treesEqual() {
	w.t.Helper()
	if diff := cmp.Diff(shape(w.t, w.src), shape(w.t, w.dst)); diff != "" {
		w.t.Errorf("the two sides differ (-from +to):\n%s", diff)
	}
}

func TestTree(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		website(t, w.src)
		p, done := w.sync(nil)
		if p.Counts.Copy != 7 || done.Copied != 7 || p.Counts.Link != 1 || p.Counts.Symlink != 2 {
			t.Errorf("%+v %+v", p.Counts, done)
		}
		w.treesEqual()
		// Later: a file changes, one is new, a mode changes, a link leads elsewhere, and the target has something of its own.
		write(t, filepath.Join(w.src, "html/img/logo.png"), "new", epoch.Add(99*time.Hour))
		write(t, filepath.Join(w.src, "private/more"), "more", epoch)
		must(t, os.Chmod(filepath.Join(w.src, "private/key"), 0o440))
		must(t, os.Remove(filepath.Join(w.src, "html/home")))
		must(t, os.Symlink("start.html", filepath.Join(w.src, "html/home")))
		write(t, filepath.Join(w.dst, "html/own"), "own", epoch)
		p, done = w.sync(nil)
		if p.Counts.Copy != 2 || p.Counts.Symlink != 1 || p.Counts.Extra != 1 || done.Quarantine != "" {
			t.Errorf("%+v %+v", p.Counts, done)
		}
		if _, err := os.Stat(filepath.Join(w.dst, "html/own")); err != nil {
			t.Error(err)
		}
		_, done = w.sync(func(o *TreeOptions) { o.Delete = true })
		w.treesEqual()
		if content, err := os.ReadFile(filepath.Join(done.Quarantine, "html/own")); string(content) != "own" {
			t.Errorf("the quarantine %s: %q, %v", done.Quarantine, content, err)
		}
	})
}

func TestTreeIntoNewRoot(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		website(t, w.src)
		must(t, os.Remove(w.dst))
		w.sync(nil)
		w.treesEqual()
		must(t, os.RemoveAll(filepath.Dir(w.dst)))
		if _, err := w.tree(nil); err == nil || !strings.Contains(err.Error(), "is not there") {
			t.Errorf("a target in no folder: %v", err)
		}
	})
}

// What was a file may be a directory now, and the other way round.
func TestTreeOfOtherKinds(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		write(t, filepath.Join(w.src, "keep"), "keep", epoch)
		must(t, os.MkdirAll(filepath.Join(w.src, "a/b"), 0o755))
		write(t, filepath.Join(w.src, "a/b/c"), "c", epoch)
		write(t, filepath.Join(w.src, "d"), "d", epoch)
		write(t, filepath.Join(w.dst, "a"), "was a file", epoch)
		must(t, os.MkdirAll(filepath.Join(w.dst, "d/e"), 0o755))
		write(t, filepath.Join(w.dst, "d/e/f"), "f", epoch)
		p, err := w.tree(nil)
		must(t, err)
		if len(p.Left) != 2 || p.Counts.Away != 0 {
			t.Errorf("without delete: %v, %+v", p.Left, p.Counts)
		}
		_, err = w.tree(func(o *TreeOptions) { o.Delete, o.Limit = true, Limit{Count: 1} })
		if err == nil || !strings.Contains(err.Error(), "2 files of 2 would go, and max_delete allows 1") {
			t.Errorf("beyond max_delete: %v", err)
		}
		w.sync(func(o *TreeOptions) { o.Delete, o.Limit = true, Limit{Count: 2} })
		w.treesEqual()
	})
}

func TestTreeRefuses(t *testing.T) {
	w := newWorld(t, true)
	write(t, filepath.Join(w.dst, "only"), "copy", epoch)
	if _, err := w.tree(func(o *TreeOptions) { o.Delete, o.Limit = true, Limit{Count: 9} }); err == nil || !strings.Contains(err.Error(), "there is not one file on the source") {
		t.Errorf("an empty source: %v", err)
	}
	write(t, filepath.Join(w.src, "x"), "x", epoch)
	if _, err := w.tree(func(o *TreeOptions) { o.Owner = "nobody-of-that-name" }); err == nil || !strings.Contains(err.Error(), "cannot find the user") {
		t.Errorf("an unknown owner: %v", err)
	}
	if _, err := w.tree(func(o *TreeOptions) { o.Path = filepath.Join(w.src, "x") }); err == nil {
		t.Error("a file as root")
	}
}

func TestTreeExcludes(t *testing.T) {
	w := newWorld(t, true)
	website(t, w.src)
	must(t, os.MkdirAll(filepath.Join(w.dst, "html/deep/er"), 0o755))
	write(t, filepath.Join(w.dst, "html/deep/er/own"), "own", epoch)
	w.sync(func(o *TreeOptions) { o.Exclude, o.Delete = []string{"*.png", "html/deep/*"}, true })
	for name, there := range map[string]bool{"html/img/logo.png": false, "html/deep/er/and": false, "html/deep/er/own": true, "html/index.html": true} {
		if _, err := os.Lstat(filepath.Join(w.dst, name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A tree that is changed at random is equal after each pass, whatever became of what.
func TestTreeAtRandom(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		random := rand.New(rand.NewPCG(7, 7))
		name := func() string {
			return filepath.Join(w.src, string(rune('a'+random.IntN(4))), string(rune('a'+random.IntN(4))))
		}
		for round := range testRounds(6) {
			for i := range 12 {
				p := name()
				must(t, os.RemoveAll(p))
				_ = os.Remove(filepath.Dir(p)) // where it is empty, or a file
				if os.MkdirAll(filepath.Dir(p), 0o755) != nil {
					continue
				}
				switch random.IntN(4) {
				case 0:
					must(t, os.Mkdir(p, 0o700))
				case 1:
					must(t, os.Symlink("../x", p))
				case 2:
					if q := name(); q != p && os.Link(q, p) == nil {
						continue
					}
					fallthrough
				default:
					write(t, p, strings.Repeat("x", random.IntN(5000)), epoch.Add(time.Duration(round*100+i)*time.Hour))
				}
			}
			write(t, filepath.Join(w.src, "stays"), "stays", epoch)
			w.sync(func(o *TreeOptions) { o.Delete, o.Limit = true, Limit{Count: 100} })
			was, is := shape(t, w.src), shape(t, w.dst)
			for p, text := range was {
				a, _, _ := strings.Cut(text, " is ")
				b, _, _ := strings.Cut(is[p], " is ")
				if a != b {
					t.Fatalf("round %d: %s is %s, not %s", round, p, b, a)
				}
			}
			if len(was) != len(is) {
				t.Fatalf("round %d: %d paths, not %d", round, len(is), len(was))
			}
		}
	})
}
