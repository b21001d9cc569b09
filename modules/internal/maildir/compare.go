package maildir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// comparer works out a pass from two trees and two listings of messages.
type comparer struct {
	p        *Pass
	src, dst *tree
	way      *mapping
	choose   *selection // of the source, as the target names paths
	rows     *table
	known    *known // late and reverse: what the final pass had, and what came since
	account  account
	waiting  []account // of which more has to be listed
	state    *state
	sum      *sum // of the mailbox at hand
	kept     int  // mailboxes remembered
	equal    bool // so far, the mailbox at hand is equal on both sides
	buf      []byte
	changed  map[*mailbox]bool   // of the target
	made     map[string]bool     // directories that the pass makes
	doomed   map[string]bool     // directories of the target that go to the quarantine as a whole
	boxes    map[string]*mailbox // of the target
}

func newComparer(p *Pass, src, dst *tree) *comparer {
	c := &comparer{
		p: p, src: src, dst: dst, way: p.o.mapping(), rows: newTable(),
		changed: map[*mailbox]bool{}, made: map[string]bool{}, doomed: map[string]bool{}, boxes: map[string]*mailbox{},
	}
	for _, m := range dst.boxes {
		c.boxes[m.path] = m
	}
	return c
}

// pair is one mailbox on both sides; either can be missing.
type pair struct {
	path     string
	home     string
	src, dst *mailbox
}

// pairs are the mailboxes of both sides, those of an account together, without those of accounts that the source does not have.
func (c *comparer) pairs() []pair {
	byPath := map[string]*pair{}
	var list []*pair
	for _, m := range c.src.boxes {
		byPath[m.path] = &pair{path: m.path, home: m.home, src: m}
		list = append(list, byPath[m.path])
	}
	strangers := map[string]bool{}
	for _, m := range c.dst.boxes {
		if p := byPath[m.path]; p != nil {
			p.dst = m
		} else if home, ok := c.src.homeFor(m.path); ok {
			list = append(list, &pair{path: m.path, home: home, dst: m})
		} else {
			strangers[m.home] = true
		}
	}
	c.p.Counts.TargetOnly = int64(len(strangers))
	slices.SortFunc(list, func(a, b *pair) int {
		return cmp.Or(strings.Compare(a.home, b.home), strings.Compare(a.path, b.path))
	})
	ordered := make([]pair, len(list))
	for i, p := range list {
		ordered[i] = *p
	}
	return ordered
}

func (c *comparer) run(ctx context.Context) error {
	if !c.p.o.Mode.adds() {
		if err := c.directories(); err != nil {
			return err
		}
	}
	if c.p.o.Mode == Final {
		c.p.record = newManifest(c.p.from, c.p.o.TargetLayout.keyed(), c.p.o.Now())
	}
	if err := c.messages(ctx); err != nil {
		return err
	}
	if !c.p.o.Mode.adds() {
		c.otherFiles()
	}
	c.dropCaches()
	if c.p.record != nil {
		return c.p.record.finish(ctx, c.p.to, c.choose)
	}
	return nil
}

// messages compares mailbox by mailbox: the source's messages are loaded, the target's matched against them as they arrive.
func (c *comparer) messages(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pairs := c.pairs()
	same := c.unchanged(pairs)
	if !c.p.o.Mode.adds() {
		c.forget()
	} else {
		clear(same)
	}
	var srcDirs, dstDirs []string
	for _, p := range pairs {
		if same[p.path] {
			continue
		}
		if p.src != nil {
			// new/ before cur/: a message that moves in between is then seen twice and not missed.
			srcDirs = append(srcDirs, join(p.src.at, "new"), join(p.src.at, "cur"))
		}
		if p.dst != nil {
			dstDirs = append(dstDirs, join(p.dst.at, "new"), join(p.dst.at, "cur"))
		}
	}
	from, err := listMessages(ctx, c.p.from.view, "list the messages of "+c.p.from.String(), c.p.from.root, c.p.o.Stall, srcDirs)
	if err != nil {
		return err
	}
	defer from.close()
	to, err := listMessages(ctx, c.p.to.view, "list the messages of "+c.p.to.String(), c.p.to.root, c.p.o.Stall, dstDirs)
	if err != nil {
		return err
	}
	defer to.close()
	from.strange = func(path string, kind byte) {
		c.equal = false // it is to be told of again
		c.p.leave(path, strangeKind(kind))
	}
	to.strange = func(string, byte) {}
	for i, p := range pairs {
		if i == 0 || p.home != pairs[i-1].home {
			c.finishAccount()
			c.account.reset(p.home, c.p.o.TargetLayout.key(p.home))
		}
		if same[p.path] {
			c.skip(&p)
			continue
		}
		if err := c.mailbox(p, from, to); err != nil {
			return err
		}
	}
	c.finishAccount()
	if err := from.end(c.p.o.Mode != Final); err != nil {
		return err
	}
	if err := to.end(c.p.o.Mode.adds()); err != nil {
		return err
	}
	from.close()
	to.close()
	return c.finishWaiting(ctx)
}

// strangeKind says why something in cur or new is no message.
func strangeKind(kind byte) string {
	switch kind {
	case 'f':
		return "its name begins with a dot: no message"
	case 'd':
		return "a directory among messages"
	case 'l':
		return "a symbolic link among messages"
	}
	return "a special file"
}

// skip counts a mailbox that did not change.
func (c *comparer) skip(p *pair) {
	e := c.state.old[p.path]
	c.state.entries[p.path] = e
	c.p.Counts.Mailboxes++
	c.p.Counts.Skipped++
	c.kept++
	c.p.Counts.Messages += e.sum.count
	c.p.Counts.Bytes += e.sum.bytes
	c.p.Counts.Held += e.held
	c.account.skipped = append(c.account.skipped, *p)
	if c.p.record != nil {
		c.p.record.add(c.account.key, e.sum)
	}
}

func (c *comparer) mailbox(p pair, from, to *messageReader) error {
	c.rows.reset()
	c.sum, c.equal = &sum{}, true
	if p.src != nil {
		c.p.Counts.Mailboxes++
		for _, inNew := range []bool{true, false} {
			err := from.directory(join(p.src.at, sub(inNew)), func(m *message) error {
				m.inNew = inNew
				return c.load(m)
			})
			if errors.Is(err, errVanished) {
				if c.p.o.Mode == Final {
					return fmt.Errorf("cannot list %s of %s: it vanished; something still writes there", join(p.src.at, sub(inNew)), c.p.from)
				}
				c.equal = false
				continue
			}
			if err != nil {
				return err
			}
		}
	}
	c.rows.index(c.p.o.Mode != Final)
	c.tally(p)
	b := box{comparer: c, on: p}
	if p.dst != nil {
		for _, inNew := range []bool{true, false} {
			err := to.directory(join(p.dst.at, sub(inNew)), func(m *message) error {
				m.inNew = inNew
				b.match(m)
				return nil
			})
			if err != nil && !(errors.Is(err, errVanished) && c.p.o.Mode.adds()) {
				return fmt.Errorf("cannot list %s of %s: %w", join(p.dst.at, sub(inNew)), c.p.to, err)
			}
		}
	}
	b.finish()
	if c.equal && !c.p.o.Mode.adds() {
		c.keep(&p, c.sum, b.held)
	}
	return nil
}

// maxMessages bounds what a source that never stops listing can make the runner keep.
const maxMessages = 30_000_000

func (c *comparer) load(m *message) error {
	if len(c.rows.rows) >= maxMessages {
		return fmt.Errorf("cannot list the messages of %s: more than %d in one mailbox", c.p.from, maxMessages)
	}
	c.rows.add(m)
	return nil
}

// tally counts the messages of the source and writes them into the manifest.
func (c *comparer) tally(p pair) {
	for i := range c.rows.rows {
		if r := &c.rows.rows[i]; !r.dropped {
			c.buf = c.sum.add(p.path, c.account.key, r, c.rows, c.buf)
		}
	}
	c.p.Counts.Messages += c.sum.count
	c.p.Counts.Bytes += c.sum.bytes
	if c.p.record != nil && p.src != nil {
		c.p.record.add(c.account.key, c.sum)
	}
}

// change notes that a mailbox of the target is about to change, so that its index caches must go first.
func (c *comparer) change(m *mailbox) {
	if m != nil {
		c.changed[m] = true
	}
}

// dropCaches lists what must go before anything else is done: a run that ends half-way then leaves no cache that does not
// fit its mailbox.
func (c *comparer) dropCaches() {
	var dirs []string
	for m := range c.changed {
		dirs = append(dirs, m.path, m.top)
	}
	slices.Sort(dirs)
	for _, d := range slices.Compact(dirs) {
		c.p.caches.add(work{kind: dropCaches, to: d})
	}
}

// recent is how long ago a file must have been changed for its time to say which content it has: a file that changes
// twice in one second of a coarse clock keeps its time.
const recent = 2 * time.Second

// account gathers what can only be decided when all mailboxes of an account are known.
type account struct {
	home    string
	key     string           // see Layout.key
	inodes  map[inode]string // files with several links: the path that they have or will have on the target
	missing []missing
	extras  []extra
	skipped []pair          // mailboxes that did not change
	bases   map[uint64]bool // late: hashes of the bases that the target has
}

func (a *account) reset(home, key string) {
	*a = account{home: home, key: key, inodes: map[inode]string{}, bases: map[uint64]bool{}}
}

// inode names a file with several links. Its number alone would do on one file system; size and time keep two files apart
// that have the same number on two.
type inode struct {
	number uint64
	size   int64
	time   stamp
}

// missing is a message of the source that its mailbox on the target lacks.
type missing struct {
	from, to string
	size     int64
	time     stamp
	mode     uint32
	inode    inode
	box      *mailbox
}

// extra is a message of the target that its mailbox on the source lacks.
type extra struct {
	path  string
	size  int64
	time  stamp
	inBox *mailbox
	away  bool // lies in a directory that goes as a whole
	gone  bool // became another message
}

func (m *missing) work() work {
	return work{kind: copyFile, from: m.from, to: m.to, size: m.size, time: m.time, mode: m.mode}
}
