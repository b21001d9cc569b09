package maildir

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// state is what the runner remembers of the last pass between two roots: the mailboxes that were equal, and how their
// directories looked then. A directory into or out of which nothing was moved since keeps its times, so that an account
// none of whose directories changed, on either side, need not be listed message by message. The state is a cache: without
// it, or with one that is damaged or belongs to something else, everything is listed.
type state struct {
	file    string // "" when nothing is to be kept
	owner   ids
	entries map[string]*entry // by path of the mailbox
	old     map[string]*entry // as they were read, while new ones are gathered
}

// entry is one mailbox that was equal on both sides.
type entry struct {
	dirs [4]look // new and cur of the source, new and cur of the target
	held int64   // messages on the target
	sum  *sum
}

// look is how a directory looked. A directory that was replaced has another inode number, one whose times were set back
// has another time of change (ctime, which nobody can set).
type look struct {
	inode        uint64
	mtime, ctime stamp
}

func lookOf(n *node) look { return look{n.inode, n.time, n.ctime} }

// settled says whether a look taken at the time now will tell a later change: on a coarse clock two changes can have one time.
func (l look) settled(now int64, recent time.Duration) bool {
	limit := now - int64(recent.Seconds())
	return l.mtime.sec < limit && l.ctime.sec < limit
}

const stateTitle = "runner maildir state 1\n"

// stateFile is the file of a state in a directory of the runner's own.
func stateFile(dir string, from, to side, o *Options) string {
	if dir == "" {
		return ""
	}
	key := from.view.Name() + "\x00" + from.root + "\x00" + to.view.Name() + "\x00" + to.root
	if o.Layout.Pattern() {
		key += "\x00" + o.Layout.String() + "\x00" + o.TargetLayout.String() + "\x00" + o.TargetLayout.Domain
	}
	id := sha256.Sum256([]byte(key))
	return filepath.Join(dir, hex.EncodeToString(id[:8])+".state")
}

// loadState reads a state. It never fails: a state that cannot be used is an empty one.
func loadState(file string, owner ids) *state {
	s := &state{file: file, owner: owner, entries: map[string]*entry{}}
	if file == "" {
		return s
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return s
	}
	if text, err = unseal(stateTitle, text); err != nil {
		return s
	}
	d := decoder{rest: text}
	if uid, gid := d.varint(), d.varint(); d.err != nil || (ids{int(uid), int(gid)}) != owner {
		return s
	}
	for len(d.rest) > 0 {
		path, e := d.text(), &entry{}
		for i := range e.dirs {
			e.dirs[i] = look{d.word(), d.stamp(), d.stamp()}
		}
		e.held, e.sum = d.varint(), d.sum()
		s.entries[path] = e
	}
	if d.err != nil {
		clear(s.entries)
	}
	return s
}

// remember keeps the state. What it says to be equal must be on the target's disk before: after a loss of power there the directories would
// look as they did, and nobody would look for what is missing in them.
func (c *comparer) remember(ctx context.Context) error {
	if c.state.file != "" && !c.p.newRoot && int64(c.kept) > c.p.Counts.Skipped {
		if err := syncDir(ctx, c.p.to.view, c.p.to.root); err != nil {
			return err
		}
	}
	return c.state.save()
}

// save writes the state beside the old one and renames it. A state that cannot be kept costs time in the next pass and
// nothing else, but the operator should know.
func (s *state) save() error {
	if s.file == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.file), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(s.file), ".state-")
	if err != nil {
		return err
	}
	_, err = f.Write(s.encode())
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func (s *state) encode() []byte {
	size := 0
	for path, e := range s.entries {
		size += len(path) + len(e.sum.hashes) + 200
	}
	return seal(stateTitle, size, func(b []byte) []byte {
		b = binary.AppendVarint(binary.AppendVarint(b, int64(s.owner.uid)), int64(s.owner.gid))
		for _, path := range slices.Sorted(maps.Keys(s.entries)) {
			e := s.entries[path]
			b = appendText(b, path)
			for _, l := range e.dirs {
				b = binary.BigEndian.AppendUint64(b, l.inode)
				b = appendStamp(appendStamp(b, l.mtime), l.ctime)
			}
			b = e.sum.encode(binary.AppendVarint(b, e.held))
		}
		return b
	})
}

// looks are the four directories of a mailbox as the trees show them, and whether it is on both sides.
func (c *comparer) looks(p *pair) (looks [4]look, both bool) {
	if p.src == nil || p.dst == nil {
		return looks, false
	}
	for i, dir := range []string{"new", "cur"} {
		src, dst := c.src.nodes[join(p.path, dir)], c.dst.nodes[join(p.path, dir)]
		looks[i], looks[2+i] = lookOf(src), lookOf(dst)
	}
	return looks, true
}

// unchanged finds the mailboxes that did not change since they were equal. A message that moved from one mailbox to another
// has changed both. One that got a second name in another mailbox by a hard link has not changed the first: see
// [comparer.lookSkipped].
func (c *comparer) unchanged(pairs []pair) map[string]bool {
	same := map[string]bool{}
	for i := range pairs {
		p := &pairs[i]
		e := c.state.entries[p.path]
		if looks, both := c.looks(p); e != nil && both && looks == e.dirs {
			same[p.path] = true
		}
	}
	return same
}

// lookSkipped lists, of the mailboxes of an account that did not change, the messages with several names. It is needed when
// a message of another mailbox may be a further name of one of them. What the source has there the target has as well, under
// the same name.
func (c *comparer) lookSkipped(ctx context.Context) error {
	var dirs []string
	for i := range c.account.skipped {
		p := &c.account.skipped[i]
		dirs = append(dirs, join(p.src.at, "new"), join(p.src.at, "cur"))
	}
	from, err := listMessages(ctx, c.p.from.view, "list the messages of "+c.p.from.String(), c.p.from.root, c.p.o.Stall, dirs)
	if err != nil {
		return err
	}
	defer from.close()
	from.strange = func(string, byte) {}
	for i := range c.account.skipped {
		p := &c.account.skipped[i]
		for _, dir := range []string{"new", "cur"} {
			err := from.directory(join(p.src.at, dir), func(m *message) error {
				if m.links > 1 {
					c.account.inodes[inode{m.inode, m.size, m.time}] = join(join(p.path, dir), string(m.name))
				}
				return nil
			})
			if err != nil && !errors.Is(err, errVanished) {
				return err
			}
		}
	}
	return from.end(c.p.o.Mode != Final)
}

// forget drops what is remembered of the part of the root that the pass is about; it will be remembered anew.
func (c *comparer) forget() {
	c.state.old = c.state.entries
	c.state.entries = map[string]*entry{}
	for path, e := range c.state.old {
		if !c.choose.takes(path) {
			c.state.entries[path] = e
		}
	}
}

// keep remembers a mailbox that was found equal, if its directories can tell a later change.
func (c *comparer) keep(p *pair, s *sum, held int64) {
	looks, both := c.looks(p)
	if !both {
		return
	}
	for i, l := range looks {
		now := c.src.now
		if i >= 2 {
			now = c.dst.now
		}
		if !l.settled(now, c.p.o.recent) {
			return
		}
	}
	c.state.entries[p.path] = &entry{dirs: looks, held: held, sum: s}
	c.kept++
}
