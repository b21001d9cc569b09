package maildir

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// sum stands for the messages of a mailbox or of an account of the source: how many, a digest that does not depend on
// their order, and for each a hash of account and base by which a late pass recognises it.
type sum struct {
	count, bytes int64
	digest       [2]uint64
	hashes       []byte // 8 bytes each, as binary.BigEndian has them
}

// add takes in a message. Digests are added up, so that neither sorting nor a second look is needed.
func (s *sum) add(path, home string, r *row, t *table, buf []byte) []byte {
	s.count++
	s.bytes += r.size
	name := t.name(r)
	b := append(append(buf[:0], path...), 0)
	b = append(append(append(b, sub(r.inNew)...), '/'), name...)
	b = binary.BigEndian.AppendUint64(append(b, 0), uint64(r.size))
	b = binary.BigEndian.AppendUint64(b, uint64(r.sec))
	d := sha256.Sum256(b)
	s.digest[0] += binary.BigEndian.Uint64(d[:])
	s.digest[1] += binary.BigEndian.Uint64(d[8:])
	b = append(append(append(b[:0], home...), 0), name[:r.stem]...)
	s.hashes = binary.BigEndian.AppendUint64(s.hashes, hashBase(b))
	return b
}

func (s *sum) encode(b []byte) []byte { return encodeSums(b, []*sum{s}) }

// encodeSums writes several sums as the one that they come to.
func encodeSums(b []byte, list []*sum) []byte {
	b = appendTotals(b, list)
	size := 0
	for _, s := range list {
		size += len(s.hashes)
	}
	b = binary.AppendUvarint(b, uint64(size/8))
	for _, s := range list {
		b = append(b, s.hashes...)
	}
	return b
}

// appendTotals writes what several sums come to, without their hashes.
func appendTotals(b []byte, list []*sum) []byte {
	var all sum
	for _, s := range list {
		all.count += s.count
		all.bytes += s.bytes
		all.digest[0] += s.digest[0]
		all.digest[1] += s.digest[1]
	}
	b = binary.AppendVarint(binary.AppendVarint(b, all.count), all.bytes)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, all.digest[0]), all.digest[1])
}

// decoder reads what encode and its like wrote; sums share its memory. After a failure every read gives zero.
type decoder struct {
	rest []byte
	err  error
}

var errDamaged = errors.New("it is damaged")

func (d *decoder) fail() {
	d.err, d.rest = errDamaged, nil
}

func (d *decoder) varint() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) length(unit int) int {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > uint64(len(d.rest)-size)/uint64(unit) {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return int(n)
}

func (d *decoder) word() uint64 {
	if len(d.rest) < 8 {
		d.fail()
		return 0
	}
	n := binary.BigEndian.Uint64(d.rest)
	d.rest = d.rest[8:]
	return n
}

func (d *decoder) text() string {
	n := d.length(1)
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) stamp() stamp {
	return stamp{d.varint(), int32(d.varint())}
}

func (d *decoder) sum() *sum {
	s := &sum{count: d.varint(), bytes: d.varint(), digest: [2]uint64{d.word(), d.word()}}
	n := 8 * d.length(8)
	s.hashes, d.rest = d.rest[:n:n], d.rest[n:]
	return s
}

func appendStamp(b []byte, s stamp) []byte {
	return binary.AppendVarint(binary.AppendVarint(b, s.sec), int64(s.nsec))
}

// seal puts a first line and a SHA-256 around a content of about size bytes, which write appends; unseal takes them off.
func seal(title string, size int, write func([]byte) []byte) []byte {
	start := len(title) + sha256.Size
	b := append(make([]byte, 0, start+size), title...)
	b = write(b[:start])
	d := sha256.Sum256(b[start:])
	copy(b[len(title):], d[:])
	return b
}

func unseal(title string, b []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(b, []byte(title))
	if !ok {
		return nil, fmt.Errorf("it does not begin with %q: it was written by another version of runner, or by something else", title)
	}
	if len(rest) < sha256.Size || sha256.Sum256(rest[sha256.Size:]) != [sha256.Size]byte(rest[:sha256.Size]) {
		return nil, errDamaged
	}
	return rest[sha256.Size:], nil
}
