package maildir

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"runner/runtime/host"
)

// accounts are the users and groups that a host knows, by number and by name.
type accounts struct {
	users, groups map[int]string
	uids, gids    map[string]int
}

func lookNames(ctx context.Context, v *host.View) (*accounts, error) {
	out, err := v.QueryScript(ctx, "getent passwd; echo :; getent group")
	if err != nil {
		return nil, fmt.Errorf("cannot list the users and groups of %s: %w", v.Name(), err)
	}
	a := &accounts{users: map[int]string{}, groups: map[int]string{}, uids: map[string]int{}, gids: map[string]int{}}
	names, numbers := a.users, a.uids
	for _, line := range out.Lines() {
		if line == ":" {
			names, numbers = a.groups, a.gids
			continue
		}
		f := strings.Split(line, ":")
		if len(f) < 3 {
			continue
		}
		n, err := strconv.Atoi(f[2])
		if err != nil {
			continue
		}
		// The first line counts where a number or a name stands twice, as for the C library.
		if _, ok := names[n]; !ok {
			names[n] = f[0]
		}
		if _, ok := numbers[f[0]]; !ok {
			numbers[f[0]] = n
		}
	}
	return a, nil
}

// uid is the number of a user of that name; one without a name stays the number that it is.
func (a *accounts) uid(name string, number int) (int, bool) {
	if name == "" {
		return number, true
	}
	n, ok := a.uids[name]
	return n, ok
}

func (a *accounts) gid(name string, number int) (int, bool) {
	if name == "" {
		return number, true
	}
	n, ok := a.gids[name]
	return n, ok
}

func (t *Tree) leave(p, why string) {
	t.Leaves++
	if len(t.Left) < 20 {
		t.Left = append(t.Left, Left{Path: p, Why: why})
	}
}

// compare works out what is to be done.
func (t *Tree) compare(there []*node) {
	gone := map[string]bool{} // directories of the target that go as a whole, or that stay as a whole
	first := map[uint64]string{}
	for _, n := range t.order {
		if n.path == "" {
			continue
		}
		if gone[dirOf(n.path)] && t.src[dirOf(n.path)].kind != 'd' {
			continue
		}
		have := t.dst[n.path]
		if gone[dirOf(n.path)] {
			have = nil
		}
		if have != nil && have.kind != n.kind {
			if !t.o.Delete {
				t.leave(n.path, "the target has "+kindName(have.kind)+" of that name")
				gone[n.path] = true
				continue
			}
			t.remove(have)
			gone[n.path] = true
			have = nil
		}
		switch n.kind {
		case 'd':
			t.dir(n, have)
		case 'f':
			t.Counts.Files++
			t.Counts.Bytes += n.size
			if other, ok := first[n.inode]; ok {
				t.second(n, have, other)
				continue
			}
			first[n.inode] = n.path
			t.file(n, have)
		case 'l':
			t.symlink(n, have)
		default:
			t.leave(n.path, kindName(n.kind))
		}
	}
	t.extra(there, gone)
	t.directories()
}

func (t *Tree) owner(n *node) ids { return t.owners[ids{n.uid, n.gid}] }

func treeMode(n *node) uint32 { return n.mode & 0o7777 }

func (t *Tree) sameAttributes(n, have *node) bool {
	return treeMode(have) == treeMode(n) && (ids{have.uid, have.gid}) == t.owner(n)
}

func (t *Tree) dir(n, have *node) {
	if have == nil {
		t.Counts.Dirs++
		t.dirs = append(t.dirs, work{kind: makeDir, to: n.path, mode: 0o700})
		t.touched[n.path], t.touched[dirOf(n.path)] = true, true
	}
}

// directories gives every directory that differs, or in which something changes, its owner, mode and time, deepest first.
func (t *Tree) directories() {
	for i := len(t.order) - 1; i >= 0; i-- {
		n := t.order[i]
		if n.kind != 'd' || n.path == "" {
			continue
		}
		have := t.dst[n.path]
		if have != nil && have.kind != 'd' {
			if !t.o.Delete {
				continue
			}
			have = nil
		}
		if have == nil || t.touched[n.path] || !t.sameAttributes(n, have) || !have.time.same(n.time) {
			if have != nil && !t.touched[n.path] {
				t.Counts.Attributes++
			}
			t.set(n)
		}
	}
}

func (t *Tree) set(n *node) {
	o := t.owner(n)
	t.settle[o] = append(t.settle[o], work{kind: setAttr, to: n.path, mode: treeMode(n), time: n.time})
}

func (t *Tree) file(n, have *node) {
	if have != nil && have.size == n.size && have.time.same(n.time) {
		if !t.sameAttributes(n, have) {
			t.Counts.Attributes++
			t.set(n)
		}
		return
	}
	t.Counts.Copy++
	t.Counts.CopyBytes += n.size
	o := t.owner(n)
	t.copies[o] = append(t.copies[o], work{kind: copyFile, from: n.path, to: n.path, size: n.size, time: n.time, mode: treeMode(n)})
	t.touched[dirOf(n.path)] = true
}

// second is a further name of a file. Where the target has a file of that name it is compared as any other: what is linked
// there to what is not known.
func (t *Tree) second(n, have *node, other string) {
	if have != nil {
		t.file(n, have)
		return
	}
	t.Counts.Link++
	t.links = append(t.links, work{kind: link, from: other, to: n.path})
	t.touched[dirOf(n.path)] = true
}

func (t *Tree) symlink(n, have *node) {
	if have != nil && have.text == n.text && (ids{have.uid, have.gid}) == t.owner(n) {
		return
	}
	if n.text == "" {
		t.leave(n.path, "a symbolic link that leads nowhere")
		return
	}
	t.Counts.Symlink++
	o := t.owner(n)
	t.copies[o] = append(t.copies[o], work{kind: makeLink, from: n.text, to: n.path})
	t.touched[dirOf(n.path)] = true
}

// remove lets something of the target go to the quarantine.
func (t *Tree) remove(n *node) {
	if n.kind != 'd' {
		t.Counts.Away++
	}
	t.removes = append(t.removes, work{kind: quarantine, to: n.path})
	t.touched[dirOf(n.path)] = true
}

// extra is what only the target has.
func (t *Tree) extra(there []*node, gone map[string]bool) {
	for _, n := range there {
		parent := dirOf(n.path)
		switch {
		case n.path == "":
		case gone[parent]:
			gone[n.path] = true
			if t.o.Delete && n.kind != 'd' {
				t.Counts.Away++
			}
		case t.src[n.path] != nil:
		case !t.o.Delete:
			if n.kind != 'd' {
				t.Counts.Extra++
			}
		default:
			t.remove(n)
			gone[n.path] = true
		}
	}
}
