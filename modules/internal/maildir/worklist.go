package maildir

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"io"
)

// stamp is a time of modification as find(1) and utimensat(2) know it.
type stamp struct {
	sec  int64
	nsec int32
}

// same compares two times: to the second, and more exactly where both sides know more than the second.
func (s stamp) same(t stamp) bool {
	return s.sec == t.sec && (s.nsec == t.nsec || s.nsec == 0 || t.nsec == 0)
}

// work is one thing to do on the target. What the fields mean depends on the list it stands in.
type work struct {
	kind byte
	from string // the path on the source, or the old path on the target
	to   string // the path on the target
	size int64
	time stamp
	mode uint32 // permissions, with set-group-ID for directories
}

// Kinds of work.
const (
	makeDir    = 'M' // directory to, mode
	setDir     = 'D' // owner and mode of directory to
	dropCaches = 'C' // index caches in directory to
	dropBinary = 'B' // compiled sieve scripts in directory to
	rename     = 'R' // from -> to, both on the target
	setAttr    = 'A' // owner, mode and time of to
	copyFile   = 'F' // from on the source -> to, size, time, mode
	link       = 'L' // from on the target gets the second name to
	makeLink   = 'S' // symbolic link to with the text from
	quarantine = 'Q' // to goes out of the way
)

// worklist is a list of work that is written once and can then be read any number of times. It is kept compressed: the
// names of a million messages take some 30 MiB.
type worklist struct {
	count  int
	bytes  int64 // sum of the sizes
	packed spool
	zip    *flate.Writer
	buf    []byte
}

// spool keeps bytes in pieces, so that nothing is moved when it grows.
type spool struct{ chunks [][]byte }

const chunkSize = 1 << 20

// Write keeps a copy of p. It never fails.
func (s *spool) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if len(s.chunks) == 0 || len(s.chunks[len(s.chunks)-1]) == cap(s.chunks[len(s.chunks)-1]) {
			// The first piece is small: most lists of most passes are short.
			size := chunkSize
			if len(s.chunks) == 0 {
				size = 4 << 10
			}
			s.chunks = append(s.chunks, make([]byte, 0, size))
		}
		last := &s.chunks[len(s.chunks)-1]
		fits := min(len(p), cap(*last)-len(*last))
		*last = append(*last, p[:fits]...)
		p = p[fits:]
	}
	return n, nil
}

// reader reads what was written, from the start.
func (s *spool) reader() io.Reader {
	pieces := make([]io.Reader, len(s.chunks))
	for i, c := range s.chunks {
		pieces[i] = bytes.NewReader(c)
	}
	return io.MultiReader(pieces...)
}

// add appends one piece of work.
func (l *worklist) add(w work) {
	if l.zip == nil {
		// The level is one that flate knows, and a spool does not fail: neither error can happen.
		l.zip, _ = flate.NewWriter(&l.packed, flate.BestSpeed)
	}
	b := append(l.buf[:0], w.kind)
	b = appendText(b, w.from)
	b = appendText(b, w.to)
	b = binary.AppendVarint(b, w.size)
	b = binary.AppendVarint(b, w.time.sec)
	b = binary.AppendVarint(b, int64(w.time.nsec))
	b = binary.AppendUvarint(b, uint64(w.mode))
	l.buf = b
	_, _ = l.zip.Write(b)
	l.count++
	l.bytes += w.size
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// seal ends the writing. It must come before each.
func (l *worklist) seal() {
	if l.zip != nil {
		_ = l.zip.Close()
		l.zip, l.buf = nil, nil
	}
}

// each calls f with each piece of work in order until f fails.
func (l *worklist) each(f func(work) error) error {
	if l == nil || l.count == 0 {
		return nil
	}
	r := bufio.NewReaderSize(flate.NewReader(l.packed.reader()), 64<<10)
	for range l.count {
		w, err := readWork(r)
		if err != nil {
			return fmt.Errorf("cannot read the list of work: %w", err)
		}
		if err := f(w); err != nil {
			return err
		}
	}
	return nil
}

func readWork(r *bufio.Reader) (work, error) {
	var w work
	var err error
	if w.kind, err = r.ReadByte(); err != nil {
		return w, err
	}
	if w.from, err = readText(r); err != nil {
		return w, err
	}
	if w.to, err = readText(r); err != nil {
		return w, err
	}
	var nsec int64
	var mode uint64
	for _, n := range []*int64{&w.size, &w.time.sec, &nsec} {
		if *n, err = binary.ReadVarint(r); err != nil {
			return w, err
		}
	}
	mode, err = binary.ReadUvarint(r)
	w.time.nsec, w.mode = int32(nsec), uint32(mode)
	return w, err
}

func readText(r *bufio.Reader) (string, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil || n == 0 {
		return "", err
	}
	if n > 1<<20 {
		return "", fmt.Errorf("a text of %d bytes", n)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}
