package maildir

import (
	"context"
	"slices"
)

// box compares one mailbox.
type box struct {
	*comparer
	on      pair
	held    int64
	waiting []held // messages of the target whose name is not that of any message of the source
}

// held is such a message of the target.
type held struct {
	name  string
	inNew bool
	mode  uint32
	ids   ids
	size  int64
	time  stamp
}

func hold(m *message) held {
	return held{name: string(m.name), inNew: m.inNew, mode: m.mode & 0o7777, ids: ids{m.uid, m.gid}, size: m.size, time: m.time}
}

// match finds the message of the source that a message of the target is.
func (b *box) match(m *message) {
	b.p.Counts.Held++
	b.held++
	if b.p.o.Mode.adds() {
		b.account.bases[hashBase(base(m.name))] = true
		return
	}
	exact := b.rows.find(base(m.name), func(r *row) bool {
		return r.inNew == m.inNew && string(b.rows.name(r)) == string(m.name)
	})
	if exact == nil {
		b.waiting = append(b.waiting, hold(m))
		return
	}
	exact.matched = true
	h := held{mode: m.mode & 0o7777, ids: ids{m.uid, m.gid}, size: m.size, time: m.time}
	b.matched(exact, h, b.target(exact))
}

// target is where a message of the source belongs on the target.
func (b *box) target(r *row) string {
	return join(join(b.on.path, sub(r.inNew)), string(b.rows.name(r)))
}

// matched compares what is not in the name. at is where the message lies on the target, after its rename if it has one.
func (b *box) matched(r *row, h held, at string) {
	if h.size != r.size {
		b.conflict(r, at)
		return
	}
	if r.inode != 0 {
		b.account.inodes[r.key()] = at
	}
	mode := uint32(r.mode) & 0o777
	if h.mode != mode || h.ids != b.p.owner || !h.time.same(r.time()) {
		b.equal = false
		b.p.Counts.Attributes++
		b.p.prepare.add(work{kind: setAttr, to: at, mode: mode, time: r.time()})
		if !h.time.same(r.time()) {
			b.change(b.on.dst) // the caches hold the date
		}
	}
}

// conflict is a message of the same name and another size: a message never changes, so one of the two is damaged. The
// final pass believes the source, and keeps the target's aside.
func (b *box) conflict(r *row, at string) {
	b.equal = false
	if b.p.o.Mode != Final {
		b.p.Counts.Conflicts++
		return
	}
	b.change(b.on.dst)
	b.p.Counts.Quarantine++
	b.p.prepare.add(work{kind: quarantine, to: at})
	b.miss(r)
}

// finish settles what did not match by name: renames, then what is missing and what is too many.
func (b *box) finish() {
	if len(b.waiting) > 0 {
		b.equal = false
	}
	for i := range b.waiting {
		h := &b.waiting[i]
		stem := base([]byte(h.name))
		r := b.rows.find(stem, func(r *row) bool { return r.size == h.size })
		old := join(join(b.on.path, sub(h.inNew)), h.name)
		if r == nil {
			b.account.extras = append(b.account.extras, extra{path: old, size: h.size, time: h.time, inBox: b.on.dst, away: b.isDoomed(b.on.path)})
			continue
		}
		r.matched = true
		b.change(b.on.dst)
		b.p.Counts.Rename++
		at := b.target(r)
		b.p.prepare.add(work{kind: rename, from: old, to: at})
		b.matched(r, *h, at)
	}
	for i := range b.rows.rows {
		if r := &b.rows.rows[i]; !r.matched {
			b.miss(r)
		}
	}
}

// miss notes a message that the target lacks. Where nothing can make a copy unnecessary it goes to the list at once: a
// first copy of a large account is not gathered in memory.
func (b *box) miss(r *row) {
	b.equal = false
	m := missing{
		from: join(join(b.on.src.at, sub(r.inNew)), string(b.rows.name(r))), to: b.target(r),
		size: r.size, time: r.time(), mode: uint32(r.mode) & 0o777, inode: r.key(), box: b.on.dst,
	}
	if b.p.o.Mode.adds() {
		if b.known.has(b.account.key, b.rows.base(r)) {
			return
		}
		m.to = join(join(b.on.path, "new"), lateName(string(b.rows.name(r))))
	} else if r.inode == 0 && !b.has(b.on.home) {
		b.copy(&m)
		return
	}
	b.account.missing = append(b.account.missing, m)
}

// has says whether the target has anything of an account already.
func (c *comparer) has(home string) bool { return home == "" || c.dst.nodes[home] != nil }

func (c *comparer) copy(m *missing) {
	c.change(m.box)
	c.p.Counts.Copy++
	c.p.Counts.CopyBytes += m.size
	c.p.domains.of(c.p.o.TargetLayout.domain(m.to)).add(m.size)
	c.p.copies.add(m.work())
}

// finishAccount decides about the messages that are missing in one mailbox of an account and may be in another.
func (c *comparer) finishAccount() {
	if c.p.o.Mode.adds() {
		c.addMissing()
		return
	}
	if len(c.account.skipped) > 0 && slices.ContainsFunc(c.account.missing, c.linked) {
		// This takes another listing, for which a server of few sessions has no place before the one at hand has ended.
		c.waiting = append(c.waiting, c.account)
		return
	}
	c.settleAccount()
}

// finishWaiting finishes the accounts of which more has to be listed.
func (c *comparer) finishWaiting(ctx context.Context) error {
	for _, c.account = range c.waiting {
		if err := c.lookSkipped(ctx); err != nil {
			return err
		}
		c.settleAccount()
	}
	return nil
}

func (c *comparer) settleAccount() {
	a := &c.account
	spare := map[string][]*extra{}
	for i := range a.extras {
		e := &a.extras[i]
		stem := string(base([]byte(nameOf(e.path))))
		spare[stem] = append(spare[stem], e)
	}
	for i := range a.missing {
		m := &a.missing[i]
		if c.fromInode(m) || c.fromExtra(m, spare[string(base([]byte(nameOf(m.to))))]) {
			continue
		}
		if m.inode.number != 0 {
			a.inodes[m.inode] = m.to
		}
		c.copy(m)
	}
	c.removeExtras()
	a.missing, a.extras = nil, nil
}

// linked says that a message has further names, none of which was listed.
func (c *comparer) linked(m missing) bool {
	_, known := c.account.inodes[m.inode]
	return m.inode.number != 0 && !known
}

// fromInode gives a message that the source holds under several names its further name on the target.
func (c *comparer) fromInode(m *missing) bool {
	have, ok := c.account.inodes[m.inode]
	if m.inode.number == 0 || !ok {
		return false
	}
	c.change(m.box)
	c.p.Counts.Link++
	c.p.links.add(work{kind: link, from: have, to: m.to, size: m.size, time: m.time, mode: m.mode})
	return true
}

// fromExtra takes a message that moved to another mailbox of its account from where the target still has it.
func (c *comparer) fromExtra(m *missing, spare []*extra) bool {
	for _, e := range spare {
		if e.gone || e.size != m.size || e.time.sec != m.time.sec {
			continue
		}
		c.change(m.box)
		c.change(e.inBox)
		if c.p.o.Mode == Final {
			e.gone = true
			c.p.Counts.Rename++
			c.p.prepare.add(work{kind: rename, from: e.path, to: m.to})
			c.p.prepare.add(work{kind: setAttr, to: m.to, mode: m.mode, time: m.time})
		} else {
			// The old name stays until the final pass.
			c.p.Counts.Link++
			c.p.links.add(work{kind: link, from: e.path, to: m.to, size: m.size, time: m.time, mode: m.mode})
		}
		if m.inode.number != 0 {
			c.account.inodes[m.inode] = m.to
		}
		return true
	}
	return false
}

// removeExtras puts aside what the source does not have any more.
func (c *comparer) removeExtras() {
	if c.p.o.Mode != Final {
		return
	}
	for i := range c.account.extras {
		e := &c.account.extras[i]
		if e.gone {
			continue
		}
		c.p.Counts.Quarantine++
		if !e.away {
			c.change(e.inBox)
			c.p.removes.add(work{kind: quarantine, to: e.path})
		}
	}
}

// addMissing settles an account of a late pass: what the final pass did not know and the target does not hold under any
// folder is new.
func (c *comparer) addMissing() {
	for i := range c.account.missing {
		m := &c.account.missing[i]
		stem := base([]byte(nameOf(m.to)))
		if c.account.bases[hashBase(stem)] {
			continue
		}
		c.account.bases[hashBase(stem)] = true
		c.makeMailbox(dirOf(dirOf(m.to)))
		c.p.Counts.Copy++
		c.p.Counts.CopyBytes += m.size
		c.p.domains.of(c.p.o.TargetLayout.domain(m.to)).add(m.size)
		c.p.copies.add(m.work())
	}
	c.account.missing = nil
}
