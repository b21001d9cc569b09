package hosttest

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// Attr is what a file of a Fake looks like. Mode is as in chmod(1), without the type: 0o644.
type Attr struct {
	Mode     uint32
	UID, GID int
	Mtime    time.Time // zero: what the clock of the Fake shows
}

func (f *Fake) node(a Attr, kind fs.FileMode) *node {
	if a.Mtime.IsZero() {
		a.Mtime = f.now
	}
	return &node{mode: kind | modeOf(a.Mode), uid: a.UID, gid: a.GID, mtime: a.Mtime}
}

func (f *Fake) put(p string, n *node) *Fake {
	if err := f.tree.put(p, n); err != nil {
		panic(fmt.Sprintf("hosttest: cannot put %s: %v", p, err))
	}
	return f
}

// File puts a file there, with the directories above it. It is no write in the sense of [Fake.Writes].
func (f *Fake) File(p, content string, a Attr) *Fake {
	return f.set(func() {
		n := f.node(a, 0)
		n.data = []byte(content)
		f.put(p, n)
	})
}

// Dir puts a directory there, or changes the one that is.
func (f *Fake) Dir(p string, a Attr) *Fake {
	return f.set(func() {
		n := f.node(a, fs.ModeDir)
		n.entries = map[string]*node{}
		f.put(p, n)
	})
}

// Symlink puts a symbolic link there.
func (f *Fake) Symlink(p, target string) *Fake {
	return f.set(func() {
		n := f.node(Attr{Mode: 0o777}, fs.ModeSymlink)
		n.target = target
		f.put(p, n)
	})
}

// Hardlink puts another name of a file there.
func (f *Fake) Hardlink(p, of string) *Fake {
	return f.set(func() {
		n, err := f.tree.get(of, false)
		if err != nil {
			panic(fmt.Sprintf("hosttest: cannot link %s: %v", of, err))
		}
		f.put(p, n)
	})
}

// Special puts a device, a pipe or a socket there, by its type of package io/fs.
func (f *Fake) Special(p string, kind fs.FileMode, a Attr) *Fake {
	return f.set(func() { f.put(p, f.node(a, kind)) })
}

// Content is what a file holds; ok is false where there is none.
func (f *Fake) Content(p string) (text string, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.tree.get(p, true)
	if err != nil || n.entries != nil {
		return "", false
	}
	return string(n.data), true
}

// Changed is what became of the file tree since the first write, in the form that [Load] reads: "file /etc/x 0644 0:0"
// with the content, "dir", "symlink" and, for what is gone, "absent /etc/y". Times do not count.
func (f *Fake) Changed() []txtar.File {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.before == nil {
		return nil
	}
	was, is := f.before.all(), f.tree.all()
	paths := map[string]bool{}
	for _, all := range []map[string]*node{was, is} {
		for p := range all {
			paths[p] = true
		}
	}
	var list []txtar.File
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		before, after := section(p, was[p]), section(p, is[p])
		if before.Name != after.Name || string(before.Data) != string(after.Data) {
			list = append(list, after)
		}
	}
	return list
}

// section is a node as a section of a data file.
func section(p string, n *node) txtar.File {
	if n == nil {
		return txtar.File{Name: "absent " + p}
	}
	name := quotePath(p)
	attr := fmt.Sprintf(" %04o %d:%d", octal(n.mode), n.uid, n.gid)
	switch {
	case n.mode.IsDir():
		return txtar.File{Name: "dir " + name + attr}
	case n.mode&fs.ModeSymlink != 0:
		return txtar.File{Name: "symlink " + name + " -> " + quotePath(n.target)}
	case !n.mode.IsRegular():
		return txtar.File{Name: "special " + name + attr + " " + n.mode.Type().String()}
	}
	data := slices.Clone(n.data)
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, "\n\\\n"...)
	}
	return txtar.File{Name: "file " + name + attr, Data: data}
}

func quotePath(p string) string {
	if words, err := split(p); err == nil && len(words) == 1 && words[0].text == p {
		return p
	}
	return strconv.Quote(p)
}
