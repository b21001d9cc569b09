package hosttest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"syscall"
	"time"

	"runner/runtime/host"
)

// Op is a kind of access to files, for [Fake.Fail].
type Op string

// Kinds of access to files.
const (
	OpStat    Op = "stat" // and lstat
	OpReadDir Op = "readdir"
	OpRead    Op = "read" // open, read, readlink
	OpCreate  Op = "create"
	OpWrite   Op = "write"
	OpMkdir   Op = "mkdir"
	OpRename  Op = "rename"
	OpRemove  Op = "remove"
	OpLink    Op = "link"   // and symlink
	OpChange  Op = "change" // chmod, chown, chtimes
	OpSpace   Op = "space"
)

type failure struct {
	op      Op
	pattern string
	err     error
}

// Fail makes an access to a path fail. The path may hold the wildcards of path.Match ("/etc/.main.cf.*"); err is
// syscall.ENOSPC, fs.ErrPermission and the like.
func (f *Fake) Fail(op Op, pattern string, err error) *Fake {
	return f.set(func() { f.fails = append(f.fails, failure{op, pattern, err}) })
}

func (f *Fake) failing(op Op, p string) error {
	for _, x := range f.fails {
		if ok, _ := path.Match(x.pattern, p); ok && x.op == op {
			return x.err
		}
	}
	return nil
}

// remember keeps the tree as it was before the first write, for [Fake.Changed].
func (f *Fake) remember() {
	if f.before == nil {
		f.before = f.tree.copy()
	}
}

// files is the file access of a Fake.
type files struct{ f *Fake }

// access does one thing to the tree. With a text it is a write.
func (a files) access(ctx context.Context, op Op, do, p, write string, act func(*tree) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f := a.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if write != "" {
		f.remember()
		f.record(Entry{Text: write, Writes: true})
	}
	err := f.failing(op, p)
	if err == nil {
		err = act(f.tree)
	}
	return host.NewFileError(do, p, err)
}

func info(p string, n *node) host.FileInfo {
	size := int64(len(n.data))
	if n.target != "" {
		size = int64(len(n.target))
	}
	return host.FileInfo{Path: p, Mode: n.mode, Size: size, UID: n.uid, GID: n.gid, Mtime: n.mtime}
}

func (a files) stat(ctx context.Context, p string, follow bool) (i host.FileInfo, err error) {
	err = a.access(ctx, OpStat, "look at", p, "", func(t *tree) error {
		n, err := t.get(p, follow)
		if err == nil {
			i = info(p, n)
		}
		return err
	})
	return i, err
}

func (a files) Lstat(ctx context.Context, p string) (host.FileInfo, error) {
	return a.stat(ctx, p, false)
}
func (a files) Stat(ctx context.Context, p string) (host.FileInfo, error) {
	return a.stat(ctx, p, true)
}

func (a files) ReadDir(ctx context.Context, p string) (list []host.FileInfo, err error) {
	err = a.access(ctx, OpReadDir, "list", p, "", func(t *tree) error {
		n, err := t.get(p, true)
		if err != nil {
			return err
		}
		if n.entries == nil {
			return syscall.ENOTDIR
		}
		for name, e := range n.entries {
			list = append(list, info(path.Join(p, name), e))
		}
		slices.SortFunc(list, func(a, b host.FileInfo) int { return cmp.Compare(a.Path, b.Path) })
		return nil
	})
	return list, err
}

func (a files) Readlink(ctx context.Context, p string) (target string, err error) {
	err = a.access(ctx, OpRead, "read the link", p, "", func(t *tree) error {
		n, err := t.get(p, false)
		if err != nil {
			return err
		}
		if n.mode&fs.ModeSymlink == 0 {
			return syscall.EINVAL
		}
		target = n.target
		return nil
	})
	return target, err
}

func (a files) Open(ctx context.Context, p string) (r io.ReadCloser, err error) {
	err = a.access(ctx, OpRead, "open", p, "", func(t *tree) error {
		n, err := t.get(p, true)
		if err != nil {
			return err
		}
		if n.entries != nil {
			return syscall.EISDIR
		}
		r = io.NopCloser(bytes.NewReader(slices.Clone(n.data)))
		return nil
	})
	return r, err
}

func (a files) Create(ctx context.Context, p string, mode fs.FileMode) (w io.WriteCloser, err error) {
	err = a.access(ctx, OpCreate, "create", p, "create "+p, func(t *tree) error {
		n := &node{mode: mode, uid: a.f.facts.UID, mtime: a.f.now}
		w = &writer{a, ctx, p, n}
		return t.make(p, n)
	})
	return w, err
}

type writer struct {
	files files
	ctx   context.Context
	path  string
	node  *node
}

func (w *writer) Write(b []byte) (int, error) {
	err := w.files.access(w.ctx, OpWrite, "write", w.path, fmt.Sprintf("write %s (%d bytes)", w.path, len(b)), func(*tree) error {
		if uint64(len(b)) > w.files.f.bytes {
			return syscall.ENOSPC
		}
		w.node.data = append(w.node.data, b...)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (w *writer) Close() error { return nil }

func (a files) Mkdir(ctx context.Context, p string, mode fs.FileMode) error {
	return a.access(ctx, OpMkdir, "make the directory", p, fmt.Sprintf("mkdir %04o %s", octal(mode), p), func(t *tree) error {
		return t.make(p, &node{mode: fs.ModeDir | mode, uid: a.f.facts.UID, mtime: a.f.now, entries: map[string]*node{}})
	})
}

func (a files) Rename(ctx context.Context, from, to string) error {
	return a.access(ctx, OpRename, "rename", from, "rename "+from+" to "+to, func(t *tree) error {
		if err := a.f.failing(OpRename, to); err != nil {
			return err
		}
		return t.rename(from, to)
	})
}

func (a files) Remove(ctx context.Context, p string) error {
	return a.access(ctx, OpRemove, "remove", p, "remove "+p, func(t *tree) error { return t.remove(p) })
}

func (a files) Symlink(ctx context.Context, target, p string) error {
	return a.access(ctx, OpLink, "make the link", p, "symlink "+p+" -> "+target, func(t *tree) error {
		return t.make(p, &node{mode: fs.ModeSymlink | 0o777, target: target, uid: a.f.facts.UID, mtime: a.f.now})
	})
}

func (a files) Link(ctx context.Context, from, to string) error {
	return a.access(ctx, OpLink, "link", to, "link "+to+" -> "+from, func(t *tree) error {
		n, err := t.get(from, false)
		if err != nil {
			return err
		}
		if n.entries != nil {
			return syscall.EPERM
		}
		return t.make(to, n)
	})
}

func (a files) change(ctx context.Context, do, p, write string, act func(*node)) error {
	return a.access(ctx, OpChange, do, p, write, func(t *tree) error {
		n, err := t.get(p, true)
		if err == nil {
			act(n)
		}
		return err
	})
}

func (a files) Chmod(ctx context.Context, p string, mode fs.FileMode) error {
	return a.change(ctx, "change the mode of", p, fmt.Sprintf("chmod %04o %s", octal(mode), p), func(n *node) { n.mode = n.mode.Type() | mode })
}

func (a files) Chown(ctx context.Context, p string, uid, gid int) error {
	return a.change(ctx, "change the owner of", p, fmt.Sprintf("chown %d:%d %s", uid, gid, p), func(n *node) {
		if uid >= 0 {
			n.uid = uid
		}
		if gid >= 0 {
			n.gid = gid
		}
	})
}

func (a files) Chtimes(ctx context.Context, p string, mtime time.Time) error {
	return a.change(ctx, "change the time of", p, "touch "+mtime.UTC().Format(time.RFC3339)+" "+p, func(n *node) { n.mtime = mtime })
}

func (a files) FreeSpace(ctx context.Context, p string) (bytes, inodes uint64, err error) {
	err = a.access(ctx, OpSpace, "find out what is free on", p, "", func(t *tree) error {
		bytes, inodes = a.f.bytes, a.f.inodes
		_, err := t.get(p, true)
		return err
	})
	return bytes, inodes, err
}

// octal is a mode as chmod(1) writes it.
func octal(m fs.FileMode) uint32 {
	n := uint32(m.Perm())
	for bit, value := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if m&bit != 0 {
			n |= value
		}
	}
	return n
}

// modeOf is octal's other direction.
func modeOf(n uint32) fs.FileMode {
	m := fs.FileMode(n & 0o777)
	for bit, value := range map[fs.FileMode]uint32{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if n&value != 0 {
			m |= bit
		}
	}
	return m
}
