package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// walk lists what treeScript lists by system calls, where the runner is on the side's own host: no program is started, and
// nothing is printed to be read again.
func (b *treeBuilder) walk(ctx context.Context, starts []string, enter bool) error {
	fail := func(err error) error { return fmt.Errorf("cannot list the mailboxes of %s: %w", b.side, err) }
	w, err := openWalker(b.side.root)
	if err != nil {
		return fail(err)
	}
	defer w.close()
	if b.tree.now == 0 {
		b.tree.now = time.Now().Unix()
	}
	var todo []string
	for _, start := range starts {
		dir := strings.TrimPrefix(strings.TrimPrefix(start, "."), "/")
		if enter || dir == "" {
			todo = append(todo, dir)
			continue
		}
		n, err := w.stat(dir)
		if err == nil {
			err = b.found(&n, dir, &todo)
		} else if b.choose.inUse && errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			return fail(err)
		}
	}
	for len(todo) > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		gone, err := w.directory(dir, func(name string, n *node, _ uint64) error { return b.found(n, join(dir, name), &todo) })
		if err == nil && gone != nil && !b.choose.inUse {
			err = gone
		}
		if err != nil {
			return fail(err)
		}
	}
	return nil
}

// found takes what lies under a path, and notes a directory that is to be listed in its turn. See treeScript for what is left out.
func (b *treeBuilder) found(n *node, path string, todo *[]string) error {
	name := nameOf(path)
	if n.kind != 'd' {
		if isCache(name) {
			return nil
		}
	} else if strings.HasPrefix(name, ownPrefix) || path == "lost+found" {
		return nil
	}
	n.path, n.at = path, path
	if err := checkPath(path); err != nil {
		return err
	}
	if n.kind == 'd' && name != "cur" && name != "new" && name != "tmp" {
		*todo = append(*todo, path)
	}
	return b.add(*n)
}

// walkDirectory is directory where the runner is on the host.
func (r *messageReader) walkDirectory(dir string, each func(*message) error) error {
	gone, err := r.walker.directory(dir, func(name string, n *node, links uint64) error {
		if n.kind != 'f' || name[0] == '.' {
			r.strange(join(dir, name), n.kind)
			return nil
		}
		r.name = append(r.name[:0], name...)
		return each(&message{name: r.name, mode: n.mode, uid: n.uid, gid: n.gid, size: n.size, time: n.time, inode: n.inode, links: links})
	})
	if err != nil {
		return r.fail(err)
	}
	if gone == nil {
		return nil
	}
	if r.gone == nil {
		r.gone = gone
	}
	var path *fs.PathError
	if errors.As(gone, &path) && path.Op == "open" {
		return errVanished
	}
	return nil
}
