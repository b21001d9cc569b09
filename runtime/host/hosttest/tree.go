package hosttest

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// node is a file, directory or symbolic link of a [tree]; several names may lead to one file.
type node struct {
	mode    fs.FileMode
	uid     int
	gid     int
	mtime   time.Time
	data    []byte
	target  string           // of a symbolic link
	entries map[string]*node // of a directory
}

// tree is a file system in memory.
type tree struct{ root *node }

func newTree() *tree {
	return &tree{root: &node{mode: fs.ModeDir | 0o755, entries: map[string]*node{}, mtime: time.Unix(1700000000, 0)}}
}

// place is where a path leads: the directory, the name in it, and what is there, if anything.
type place struct {
	dir  *node
	name string
	node *node
}

// find follows a path, and with last also a symbolic link at its end.
func (t *tree) find(p string, last bool) (place, error) {
	return t.walk(p, last, 0)
}

func (t *tree) walk(p string, last bool, depth int) (place, error) {
	if depth > 40 {
		return place{}, syscall.ELOOP
	}
	parts := strings.Split(strings.Trim(path.Clean("/"+p), "/"), "/")
	if parts[0] == "" {
		return place{dir: t.root, name: ".", node: t.root}, nil
	}
	at, here := t.root, "/"
	for i, part := range parts {
		if at.entries == nil {
			return place{}, syscall.ENOTDIR
		}
		n, final := at.entries[part], i == len(parts)-1
		if n != nil && n.mode&fs.ModeSymlink != 0 && (!final || last) {
			target := n.target
			if !path.IsAbs(target) {
				target = path.Join(here, target)
			}
			return t.walk(path.Join(append([]string{target}, parts[i+1:]...)...), last, depth+1)
		}
		if final {
			return place{dir: at, name: part, node: n}, nil
		}
		if n == nil {
			return place{}, syscall.ENOENT
		}
		at, here = n, path.Join(here, part)
	}
	panic("unreachable")
}

// get is find for what must be there.
func (t *tree) get(p string, last bool) (*node, error) {
	at, err := t.find(p, last)
	if err == nil && at.node == nil {
		err = syscall.ENOENT
	}
	return at.node, err
}

// make puts something new at a path.
func (t *tree) make(p string, n *node) error {
	at, err := t.find(p, false)
	if err != nil {
		return err
	}
	if at.node != nil {
		return syscall.EEXIST
	}
	at.dir.entries[at.name] = n
	return nil
}

// put is make for the building of a tree: directories above are made, and what was there is replaced.
func (t *tree) put(p string, n *node) error {
	dir := path.Dir(path.Clean("/" + p))
	if _, err := t.get(dir, true); err != nil {
		if err := t.put(dir, &node{mode: fs.ModeDir | 0o755, entries: map[string]*node{}, mtime: n.mtime}); err != nil {
			return err
		}
	}
	at, err := t.find(p, false)
	if err != nil {
		return err
	}
	if at.node == t.root {
		return nil
	}
	if n.entries != nil && at.node != nil && at.node.entries != nil {
		n.entries = at.node.entries
	}
	at.dir.entries[at.name] = n
	return nil
}

func (t *tree) remove(p string) error {
	at, err := t.find(p, false)
	switch {
	case err != nil:
		return err
	case at.node == nil:
		return syscall.ENOENT
	case at.node == t.root:
		return syscall.EBUSY
	case len(at.node.entries) > 0:
		return syscall.ENOTEMPTY
	}
	delete(at.dir.entries, at.name)
	return nil
}

func (t *tree) rename(from, to string) error {
	a, err := t.find(from, false)
	if err != nil {
		return err
	}
	b, err := t.find(to, false)
	switch {
	case err != nil:
		return err
	case a.node == nil:
		return syscall.ENOENT
	case b.node == a.node:
		return nil
	case b.node != nil && b.node.entries != nil && a.node.entries == nil:
		return syscall.EISDIR
	case b.node != nil && b.node.entries == nil && a.node.entries != nil:
		return syscall.ENOTDIR
	case b.node != nil && len(b.node.entries) > 0:
		return syscall.ENOTEMPTY
	case a.node.entries != nil && strings.HasPrefix(path.Clean(to)+"/", path.Clean(from)+"/"):
		return syscall.EINVAL
	}
	delete(a.dir.entries, a.name)
	b.dir.entries[b.name] = a.node
	return nil
}

// copy is the tree as it is now; names that lead to one file do so in the copy.
func (t *tree) copy() *tree {
	seen := map[*node]*node{}
	var clone func(*node) *node
	clone = func(n *node) *node {
		if c, ok := seen[n]; ok {
			return c
		}
		c := *n
		c.data = slices.Clone(n.data)
		seen[n] = &c
		if n.entries != nil {
			c.entries = map[string]*node{}
			for name, e := range n.entries {
				c.entries[name] = clone(e)
			}
		}
		return &c
	}
	return &tree{clone(t.root)}
}

// all are the nodes by their paths.
func (t *tree) all() map[string]*node {
	list := map[string]*node{}
	var walk func(p string, n *node)
	walk = func(p string, n *node) {
		list[p] = n
		for name, e := range n.entries {
			walk(path.Join(p, name), e)
		}
	}
	walk("/", t.root)
	return list
}
