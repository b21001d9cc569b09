package maildir

import (
	"bytes"
	"hash/maphash"
)

// message is one entry of a listing of new/ or cur/.
type message struct {
	name  []byte // valid until the next entry is read
	inNew bool
	mode  uint32
	uid   int
	gid   int
	size  int64
	time  stamp
	inode uint64
	links uint64
}

// sub is the directory of a message in its mailbox.
func sub(inNew bool) string {
	if inNew {
		return "new"
	}
	return "cur"
}

// row is a message of the source as the table keeps it: some 50 bytes and its name.
type row struct {
	at      uint32 // where the name begins in the table's texts
	length  uint16
	stem    uint16 // length of the base
	next    int32  // next row with the same hash, -1 at the end
	mode    uint16
	inNew   bool
	matched bool
	dropped bool // the same file was seen again under its new name
	nsec    int32
	size    int64
	sec     int64
	inode   uint64 // of a file with more than one link, else 0
}

func (r *row) time() stamp { return stamp{r.sec, r.nsec} }

func (r *row) key() inode { return inode{r.inode, r.size, r.time()} }

// table holds the messages of one mailbox of the source and finds them by base. It is filled anew for each mailbox and
// keeps its memory, so that a pass needs as much as its largest mailbox and no more.
type table struct {
	rows  []row
	texts [][]byte // blocks of textBlock bytes
	used  int      // bytes used of all blocks
	heads []int32
	seed  maphash.Seed
}

const textBlock = 1 << 20

func newTable() *table { return &table{seed: maphash.MakeSeed()} }

func (t *table) reset() { t.rows, t.used = t.rows[:0], 0 }

// add keeps a message. The inode of a file is kept when it has several links.
func (t *table) add(m *message) {
	n := len(m.name)
	if block, at := t.used/textBlock, t.used%textBlock; at+n > textBlock {
		t.used = (block + 1) * textBlock
	}
	block, at := t.used/textBlock, t.used%textBlock
	if block == len(t.texts) {
		t.texts = append(t.texts, make([]byte, textBlock))
	}
	copy(t.texts[block][at:], m.name)
	r := row{
		at: uint32(t.used), length: uint16(n), stem: uint16(len(base(m.name))), mode: uint16(m.mode & 0o7777), inNew: m.inNew,
		nsec: m.time.nsec, size: m.size, sec: m.time.sec,
	}
	if m.links > 1 {
		r.inode = m.inode
	}
	t.rows = append(t.rows, r)
	t.used += n
}

func (t *table) name(r *row) []byte {
	at := int(r.at) % textBlock
	return t.texts[int(r.at)/textBlock][at : at+int(r.length)]
}

func (t *table) base(r *row) []byte { return t.name(r)[:r.stem] }

// index makes find work on what was added. On a source in use the same file can be listed twice, under its old and its
// new name, when it was renamed in between (new/ is listed before cur/): the earlier one is dropped.
func (t *table) index(inUse bool) {
	size := 8
	for size < len(t.rows) {
		size *= 2
	}
	if cap(t.heads) < size {
		t.heads = make([]int32, size)
	}
	t.heads = t.heads[:size]
	for i := range t.heads {
		t.heads[i] = -1
	}
	for i := range t.rows {
		r := &t.rows[i]
		if inUse {
			if earlier := t.find(t.base(r), nil); earlier != nil {
				earlier.dropped, earlier.matched = true, true
			}
		}
		h := t.hash(t.base(r))
		r.next, t.heads[h] = t.heads[h], int32(i)
	}
}

func (t *table) hash(stem []byte) uint64 { return maphash.Bytes(t.seed, stem) & uint64(len(t.heads)-1) }

// find returns a row of that base that is not matched yet and that accept takes; nil accept takes any.
func (t *table) find(stem []byte, accept func(*row) bool) *row {
	for i := t.heads[t.hash(stem)]; i >= 0; i = t.rows[i].next {
		r := &t.rows[i]
		if !r.matched && bytes.Equal(t.base(r), stem) && (accept == nil || accept(r)) {
			return r
		}
	}
	return nil
}
