package maildir

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// send is what a hostile source does.
func send(t testing.TB, w *tar.Writer, h tar.Header, body string) {
	t.Helper()
	if h.ModTime.IsZero() {
		h.ModTime = epoch
	}
	h.Mode = 0o600
	must(t, w.WriteHeader(&h))
	if _, err := w.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
}

// TestHostileSource has a source whose listing is plausible and whose tar sends something else. Nothing of it may be
// seen on the target, inside the root or outside.
func TestHostileSource(t *testing.T) {
	const asked = "./example.org/john/Maildir/cur/1.a:2,"
	cases := map[string]func(t testing.TB, w *tar.Writer){
		"parent directory": func(t testing.TB, w *tar.Writer) { send(t, w, tar.Header{Name: "../../evil", Size: 3}, "bad") },
		"parent inside": func(t testing.TB, w *tar.Writer) {
			send(t, w, tar.Header{Name: "./example.org/../../evil", Size: 3}, "bad")
		},
		"absolute": func(t testing.TB, w *tar.Writer) { send(t, w, tar.Header{Name: "/tmp/evil", Size: 3}, "bad") },
		"another name": func(t testing.TB, w *tar.Writer) {
			send(t, w, tar.Header{Name: "./example.org/john/Maildir/cur/2", Size: 3}, "bad")
		},
		"same, other way": func(t testing.TB, w *tar.Writer) {
			send(t, w, tar.Header{Name: strings.TrimPrefix(asked, "./"), Size: 3}, "bad")
		},
		"twice": func(t testing.TB, w *tar.Writer) {
			send(t, w, tar.Header{Name: asked, Size: 3}, "one")
			send(t, w, tar.Header{Name: asked, Size: 3}, "two")
		},
		"too long":  func(t testing.TB, w *tar.Writer) { send(t, w, tar.Header{Name: asked, Size: 4}, "long") },
		"too short": func(t testing.TB, w *tar.Writer) { send(t, w, tar.Header{Name: asked, Size: 2}, "sh") },
		"symbolic link": func(t testing.TB, w *tar.Writer) {
			send(t, w, tar.Header{Name: asked, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, "")
		},
		"hard link": func(t testing.TB, w *tar.Writer) {
			send(t, w, tar.Header{Name: asked, Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}, "")
		},
		"device": func(t testing.TB, w *tar.Writer) {
			send(t, w, tar.Header{Name: asked, Typeflag: tar.TypeBlock, Devmajor: 8}, "")
		},
		"named pipe": func(t testing.TB, w *tar.Writer) { send(t, w, tar.Header{Name: asked, Typeflag: tar.TypeFifo}, "") },
		"directory": func(t testing.TB, w *tar.Writer) {
			send(t, w, tar.Header{Name: asked + "/", Typeflag: tar.TypeDir}, "")
		},
		"out of order": func(t testing.TB, w *tar.Writer) {
			send(t, w, tar.Header{Name: "./example.org/john/Maildir/.Sent/cur/3.b:2,", Size: 3}, "two")
			send(t, w, tar.Header{Name: asked, Size: 3}, "one")
		},
	}
	raw := map[string][]byte{
		"no tar":        bytes.Repeat([]byte("endless output "), 1<<18),
		"zeros":         make([]byte, 8<<20),
		"half a header": []byte(asked),
		"nothing":       nil,
	}
	for name, fill := range cases {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		fill(t, w)
		_ = w.Close()
		raw[name] = b.Bytes()
	}
	var cut bytes.Buffer
	w := tar.NewWriter(&cut)
	send(t, w, tar.Header{Name: asked, Size: 3}, "one")
	must(t, w.Flush())
	raw["cut off in a body"] = cut.Bytes()[:513]
	raw["a lie about its end"] = append(bytes.Clone(cut.Bytes()), cut.Bytes()[:512]...)

	for name, stream := range raw {
		t.Run(name, func(t *testing.T) {
			eachWriter(t, func(t *testing.T, w *world) {
				box := makeBox(t, w.src, "example.org/john/Maildir")
				write(t, filepath.Join(box, "cur", "1.a:2,"), "one", epoch)
				write(t, filepath.Join(makeBox(t, box, ".Sent"), "cur", "3.b:2,"), "two", epoch)
				file := filepath.Join(t.TempDir(), "stream")
				must(t, os.WriteFile(file, stream, 0o600))
				w.from.fake(t, "tar", `cat >/dev/null; cat "`+file+`"`)
				for _, mode := range []Mode{Final, Warm} {
					o := w.with(mode)
					o.Stall = 10 * time.Second
					_, _, err := w.try(o)
					if mode == Final && err == nil {
						t.Error("a final pass took it")
					}
					for p := range inventory(t, w.dst) {
						if strings.Contains(p, "/cur/") {
							t.Errorf("%s pass: %s is on the target", mode, p)
						}
					}
					for _, evil := range []string{filepath.Join(w.dst, "../evil"), filepath.Join(w.dst, "../../evil"), "/tmp/evil"} {
						if _, err := os.Lstat(evil); err == nil {
							t.Errorf("%s was written", evil)
						}
					}
				}
				w.from.path = ""
				w.final()
			})
		})
	}
}

// TestHostileListing has a find that lists what is not there, in ways that would lead a write out of the root.
func TestHostileListing(t *testing.T) {
	dir := func(path string) string { return fmt.Sprintf("d 700 0 0 4096 1.0 1.0 1 %s\x00\x00", path) }
	file := func(path string) string { return fmt.Sprintf("f 600 0 0 3 1.0 1.0 1 %s\x00\x00", path) }
	box := dir("./e") + dir("./e/j") + dir("./e/j/cur") + dir("./e/j/new")
	cases := map[string]string{
		"parent":          box + file("./e/j/../../../evil"),
		"absolute":        box + file("/tmp/evil"),
		"double slash":    box + file("./e//evil"),
		"no dot":          box + file("e/evil"),
		"below a link":    box + "l 777 0 0 4 1.0 1.0 1 ./e/j/l\x00/etc\x00" + file("./e/j/l/evil"),
		"below a file":    box + file("./e/j/f") + file("./e/j/f/evil"),
		"orphan":          box + file("./x/y/evil"),
		"twice":           box + file("./e/j/f") + file("./e/j/f"),
		"name too long":   box + file("./e/j/"+strings.Repeat("x", 256)),
		"record too long": box + file("./e/j/"+strings.Repeat("x/", 1<<17)),
		"no number":       box + "f 600 0 0 -3 1.0 1.0 1 ./e/j/f\x00\x00",
		"huge number":     box + "f 600 0 0 99999999999999999999 1.0 1.0 1 ./e/j/f\x00\x00",
		"no fields":       box + "f\x00\x00",
		"no end":          box + "f 600 0 0 3 1.0 1.0 1 ./e/j/f",
		"empty":           "",
		"words":           "find: unknown predicate\n",
	}
	for name, listing := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, true)
			w.stock()
			must(t, os.Mkdir(filepath.Join(w.dst, "keep"), 0o700))
			text := filepath.Join(t.TempDir(), "listing")
			must(t, os.WriteFile(text, []byte(listing), 0o600))
			w.from.fake(t, "find", `case "$*" in *%C@*) exec cat "`+text+`";; esac; exec find "$@"`)
			before := inventory(t, filepath.Dir(w.dst))
			if _, _, err := w.try(w.with(Final)); err == nil {
				t.Error("the pass was made")
			}
			if diff := cmp.Diff(before, inventory(t, filepath.Dir(w.dst))); diff != "" {
				t.Errorf("something was written:\n%s", diff)
			}
		})
	}
}

// TestLinksOnTarget has a target where somebody put symbolic links in place of directories: no write follows them.
func TestLinksOnTarget(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		w.stock()
		outside := t.TempDir()
		for _, at := range []string{"example.org/john", "example.org/mary/Maildir/cur", "example.net"} {
			must(t, os.MkdirAll(filepath.Join(w.dst, filepath.Dir(at)), 0o700))
			must(t, os.Symlink(outside, filepath.Join(w.dst, at)))
			_, _, err := w.try(w.with(Final))
			if err == nil || !strings.Contains(err.Error(), "a symbolic link") {
				t.Errorf("%s is a link: %v", at, err)
			}
			must(t, os.Remove(filepath.Join(w.dst, at)))
		}
		if list, _ := os.ReadDir(outside); len(list) > 0 {
			t.Errorf("%v was written outside", list)
		}
		// A link that appears after the look.
		p, err := Look(t.Context(), w.with(Warm))
		must(t, err)
		must(t, os.MkdirAll(filepath.Join(w.dst, "example.org"), 0o700))
		must(t, os.Symlink(outside, filepath.Join(w.dst, "example.org/john")))
		if _, err := p.Apply(t.Context(), w.host(), nil); err == nil {
			t.Error("a link that appeared later was followed")
		}
		if list, _ := os.ReadDir(outside); len(list) > 0 {
			t.Errorf("%v was written outside", list)
		}
	})
}
