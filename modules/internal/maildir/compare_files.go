package maildir

import (
	"fmt"
	"strings"
)

// directories lists those that are to be made or put right, and finds those of the target that the source does not have.
func (c *comparer) directories() error {
	for _, n := range c.src.order {
		if n.kind != 'd' {
			continue
		}
		have := c.dst.nodes[n.path]
		if have != nil && have.kind != 'd' {
			return fmt.Errorf("cannot copy the directory %s of %s: %s has something else of that name (%s)", n.path, c.p.from, c.p.to, kindName(have.kind))
		}
		if have == nil {
			if c.wanted(n.path) {
				c.makeDir(n)
			}
			continue
		}
		if !c.src.ofAccount(n.path) {
			continue // the target's own
		}
		// Directories of domains can belong to several sources: only their owner matters.
		mode := dirMode(n)
		if c.src.ways[n.path] || !strings.Contains(n.path, "/") {
			mode = have.mode & 0o7777
		}
		if have.mode&0o7777 != mode || (ids{have.uid, have.gid}) != c.p.owner {
			c.p.Counts.Attributes++
			c.p.prepare.add(work{kind: setDir, to: n.path, mode: mode})
		}
	}
	for _, n := range c.dst.order {
		if n.kind != 'd' || c.src.nodes[n.path] != nil || c.src.inMailbox(n.path) || c.isDoomed(dirOf(n.path)) {
			continue
		}
		if home, ok := c.src.homeFor(n.path); ok && n.path != home {
			c.doomed[n.path] = true
		}
	}
	return nil
}

// wanted says whether a directory is copied: one of an account, or of what may be a domain. A directory of the root whose
// name begins with a dot is none; it belongs to the user whose home the root is (.ssh, .cache).
func (c *comparer) wanted(dir string) bool {
	_, ok := c.src.homeFor(dir)
	return ok || !strings.HasPrefix(dir, ".")
}

func (c *comparer) makeDir(n *node) {
	c.p.Counts.Directories++
	c.made[n.path] = true
	c.p.prepare.add(work{kind: makeDir, to: n.path, mode: dirMode(n)})
}

// dirMode is the mode of a directory with its set-group-ID bit, which shared mailboxes use, and without the others.
func dirMode(n *node) uint32 { return n.mode & 0o2777 }

// isDoomed says whether a path lies in a directory that goes to the quarantine as a whole.
func (c *comparer) isDoomed(p string) bool {
	if len(c.doomed) == 0 {
		return false
	}
	for ; p != ""; p = dirOf(p) {
		if c.doomed[p] {
			return true
		}
	}
	return false
}

// makeMailbox makes what is missing of a mailbox on the target: for a late pass, which makes nothing that stays empty.
func (c *comparer) makeMailbox(dir string) {
	var list []string
	for p := dir; p != ""; p = dirOf(p) {
		list = append([]string{p}, list...)
	}
	for _, name := range []string{"cur", "new", "tmp"} {
		list = append(list, join(dir, name))
	}
	for _, p := range list {
		if c.dst.nodes[p] != nil || c.made[p] {
			continue
		}
		n := c.src.nodes[p]
		if n == nil {
			n = &node{path: p, mode: 0o700}
		}
		c.makeDir(n)
	}
}

// otherFiles lists what is not a message: control files, sieve scripts, forwards, whatever lies in an account.
func (c *comparer) otherFiles() {
	for _, n := range c.src.order {
		switch n.kind {
		case 'd':
		case 'f':
			c.file(n)
		case 'l':
			c.symlink(n)
		default:
			c.p.leave(n.at, kindName(n.kind))
		}
	}
	if c.p.o.Mode == Final {
		c.removeFiles()
	}
}

// outside decides about files that belong to no account: they are only ever added, since the target may have its own.
func (c *comparer) outside(n, have *node) (skip bool) {
	if _, ok := c.src.homeFor(n.path); ok {
		return false
	}
	if !strings.Contains(n.path, "/") || !c.wanted(n.path) {
		c.p.leave(n.at, "belongs to no account: it lies in the root, beside the domains")
		return true
	}
	if have != nil {
		if have.kind != n.kind || have.size != n.size || have.text != n.text {
			c.p.leave(n.at, "belongs to no account, and the target has its own")
		}
		return true
	}
	return false
}

func (c *comparer) file(n *node) {
	have := c.dst.nodes[n.path]
	if c.outside(n, have) {
		return
	}
	if have != nil && have.kind == 'd' {
		c.p.leave(n.at, "the target has a directory of that name")
		return
	}
	mode := n.mode & 0o777
	if have != nil && have.kind == 'f' && have.size == n.size && have.time.same(n.time) {
		if have.mode&0o7777 != mode || (ids{have.uid, have.gid}) != c.p.owner {
			c.p.Counts.Attributes++
			c.p.prepare.add(work{kind: setAttr, to: n.path, mode: mode, time: n.time})
		}
		return
	}
	c.p.Counts.Files++
	c.touched(n.path)
	w := work{kind: copyFile, from: n.at, to: n.path, size: n.size, time: n.time, mode: mode}
	if !c.p.o.Mode.adds() && n.time.sec > c.src.now-int64(recent.Seconds()) {
		w.time = provisional
		if c.p.o.Mode == Final {
			c.p.settle.add(work{kind: setAttr, to: n.path, mode: mode, time: n.time})
		}
	}
	c.p.files.add(w)
}

// provisional is the time of a copy that may be out of date although source and copy had the same size and time when it
// was made. It differs from every real time, so that the next pass copies the file again. A final pass, whose source
// stands still, gives the real time when all else is done; one that is broken off leaves the file to the next.
var provisional = stamp{sec: 1}

func (c *comparer) symlink(n *node) {
	have := c.dst.nodes[n.path]
	if c.outside(n, have) {
		return
	}
	if c.src.inMailbox(n.path) {
		c.p.leave(n.at, "a symbolic link in place of a directory of a mailbox")
		return
	}
	text, ok := c.way.linkText(n, c.p.from.root, c.p.to.root)
	switch {
	case !ok:
		c.p.leave(n.at, fmt.Sprintf("a symbolic link that leads out, to %s", clip(n.text)))
	case have != nil && have.kind == 'd':
		c.p.leave(n.at, "a symbolic link, and the target has a directory of that name")
	case have != nil && have.kind == 'l' && have.text == text && (ids{have.uid, have.gid}) == c.p.owner:
	default:
		c.p.Counts.Files++
		c.touched(n.path)
		c.p.files.add(work{kind: makeLink, from: text, to: n.path})
	}
}

// touched notes that a file of the target changes: caches of its mailbox and compiled scripts go.
func (c *comparer) touched(p string) {
	c.change(c.boxes[dirOf(p)])
	if strings.HasSuffix(p, ".sieve") {
		home, _ := c.src.homeFor(p)
		for _, dir := range []string{dirOf(p), home} {
			if have := c.dst.nodes[dir]; have != nil && have.kind == 'd' {
				c.p.caches.add(work{kind: dropBinary, to: dir})
			}
		}
	}
}

// removeFiles lists what the accounts of the target have and those of the source do not, apart from messages.
func (c *comparer) removeFiles() {
	for _, n := range c.dst.order {
		if c.src.nodes[n.path] != nil || c.isDoomed(dirOf(n.path)) {
			continue
		}
		if c.doomed[n.path] {
			c.change(c.boxes[n.path])
			c.p.Counts.FilesAway++
			c.p.removes.add(work{kind: quarantine, to: n.path})
			continue
		}
		if _, ok := c.src.homeFor(n.path); ok && (n.kind == 'f' || n.kind == 'l') {
			c.touched(n.path)
			c.p.Counts.FilesAway++
			c.p.removes.add(work{kind: quarantine, to: n.path})
		}
	}
}

func kindName(kind byte) string {
	switch kind {
	case 'f':
		return "a file"
	case 'd':
		return "a directory"
	case 'l':
		return "a symbolic link"
	case 's':
		return "a socket"
	case 'p':
		return "a named pipe"
	case 'b', 'c':
		return "a device"
	}
	return "a special file"
}
