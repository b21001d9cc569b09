package maildir

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"runner/runtime/host"
)

// tarScript sends the files whose paths arrive on standard input. The options are those of tar 1.20 (Debian 5).
// --no-unquote: tar up to 1.28 else unquotes names even with --null; the "./" before each name keeps tar 1.27 from taking
// one for an option. Owners are not sent: numbers that the format cannot hold would be an error, and the target has its own.
const tarScript = `LC_ALL=C; export LC_ALL
cd "$1" || exit 97
exec tar --null --no-unquote --no-recursion --hard-dereference --owner=0 --group=0 --numeric-owner --format="$2" $3 -b 128 -cf - -T -
`

// Bounds of one batch: what is fetched by one tar, written aside, synced and then put in its place.
const (
	batchFiles = 4000
	batchBytes = 64 << 20
)

// fetcher brings files from the source to the target.
type fetcher struct {
	o        *Options
	from     side
	rate     *limiter
	compress *compression
	lenient  bool // control files of a source in use: they change under the hand
	messages atomic.Int64
	bytes    atomic.Int64
	vanished atomic.Int64
	told     func(domain string, size int64)
}

// maxControl bounds a file other than a message whose size changed since it was listed.
const maxControl = 1 << 30

// batch brings files, whole or not at all: none is visible before all were read and the program that read them said
// that it was content. On a source in use files that have gone meanwhile are left for the next pass.
func (f *fetcher) batch(ctx context.Context, w writer, items []work) (brought []work, err error) {
	what := "read messages from " + f.from.String()
	var names []byte
	for i := range items {
		names = appendPath(names, items[i].from)
	}
	packed, option := f.compress.next(), ""
	if packed {
		option = "--gzip"
	}
	s, err := ask(ctx, f.from.view, what, f.o.Stall, names, tarScript, f.from.root, tarFormat(items), option)
	if err != nil {
		return nil, err
	}
	defer s.close()
	at := f.stageAt(items)
	for _, d := range at.dirs {
		if err := w.stageDir(d.name, d.to); err != nil {
			return nil, err
		}
	}
	in, started := f.rate.reader(ctx, s), time.Now()
	if packed {
		in = unpack(in)
	}
	came, bytes, err := f.receive(in, w, items, at)
	f.compress.took(packed, bytes, time.Since(started))
	if err != nil {
		// A tar that was ended says more than its truncated output.
		if errors.Is(err, io.ErrUnexpectedEOF) && ctx.Err() == nil {
			if ended := s.wait(); ended != nil {
				return nil, f.tarError(s, ended)
			}
		}
		return nil, err
	}
	if err := f.judge(s, s.wait(), items, came); err != nil {
		return nil, err
	}
	return f.settle(w, items, came, at)
}

func (f *fetcher) refuse(format string, args ...any) error {
	return fmt.Errorf("refused what %s sent: %s", f.from.view.Name(), fmt.Sprintf(format, args...))
}

// receive reads the tar stream. Nothing in it is trusted: only regular files are taken, only those asked for, in the
// order in which they were asked for, and only of the size that the listing said.
func (f *fetcher) receive(s io.Reader, w writer, items []work, at *staged) (came []bool, bytes int64, err error) {
	came = make([]bool, len(items))
	r := tar.NewReader(bufio.NewReaderSize(s, 4<<10)) // for the headers; what is longer is read past it
	next := 0
	for {
		h, err := r.Next()
		if err == io.EOF {
			return came, bytes, nil
		}
		if errors.Is(err, tar.ErrHeader) || errors.Is(err, errNoGzip) {
			return nil, 0, f.refuse("no tar stream (%v)", err)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("cannot read messages from %s: %w", f.from, err)
		}
		i := next
		for i < len(items) && h.Name != "./"+items[i].from {
			i++
		}
		if i == len(items) {
			return nil, 0, f.refuse("%q was not asked for", clip(h.Name))
		}
		next = i + 1
		if err := f.take(w, at.names[i], &items[i], h, r); err != nil {
			return nil, 0, err
		}
		came[i] = true
		bytes += h.Size
	}
}

func (f *fetcher) take(w writer, name string, item *work, h *tar.Header, body io.Reader) error {
	if h.Typeflag != tar.TypeReg {
		return f.refuse("%q is no regular file (type %q)", clip(h.Name), string(h.Typeflag))
	}
	size, when := item.size, item.time
	if h.Size != size || (f.lenient && h.ModTime.Unix() != when.sec) {
		if !f.lenient || h.Size < 0 || h.Size > maxControl {
			return f.refuse("%q has %d bytes, and %d when it was listed; if it was changed meanwhile, run again", clip(h.Name), h.Size, size)
		}
		size, when = h.Size, provisional
	}
	if err := w.stage(name, body, size, item.mode, when); err != nil {
		return err
	}
	f.bytes.Add(size)
	f.messages.Add(1)
	if f.told != nil {
		f.told(f.o.TargetLayout.domain(item.to), size)
	}
	return nil
}

// judge decides whether what was read can be trusted, by how tar ended.
func (f *fetcher) judge(s *stream, ended error, items []work, came []bool) error {
	var exit *host.ExitError
	if ended != nil && (!errors.As(ended, &exit) || exit.Signal != "" || exit.Status > 2) {
		return f.tarError(s, ended)
	}
	if _, other := s.stderr.serious(); ended != nil && other > 0 {
		return f.tarError(s, ended)
	}
	gone, first := 0, ""
	for i := range items {
		if !came[i] {
			if gone == 0 {
				first = items[i].from
			}
			gone++
		}
	}
	if f.o.Mode == Final {
		if gone > 0 {
			return fmt.Errorf("cannot copy %s of %s: it has gone since it was listed, %s; something still writes there: end every process that does and run again",
				clip(first), f.from, counted(int64(gone), "file in all", "files in all"))
		}
		if ended != nil {
			return f.tarError(s, ended)
		}
	}
	f.vanished.Add(int64(gone))
	return nil
}

func (f *fetcher) tarError(s *stream, ended error) error {
	var exit *host.ExitError
	if !errors.As(ended, &exit) {
		return ended
	}
	line, _ := s.stderr.serious()
	if line == "" {
		line, _, _ = strings.Cut(exit.Stderr, "\n")
	}
	if line == "" {
		line = exit.Error()
	}
	return fmt.Errorf("cannot read messages from %s: %s", f.from, clip(line))
}

// settle gives the staged files their places, after they are safe on the disk.
func (f *fetcher) settle(w writer, items []work, came []bool, at *staged) ([]work, error) {
	if err := w.sync(); err != nil {
		return nil, err
	}
	if err := w.flush(); err != nil {
		return nil, err
	}
	for _, d := range at.dirs {
		if err := w.commitDir(d.name, d.to); err != nil {
			return nil, err
		}
	}
	brought := items[:0:0]
	for i := range items {
		if !came[i] {
			continue
		}
		if !at.together[i] {
			if err := w.commit(at.names[i], items[i].to); err != nil {
				return nil, err
			}
		}
		brought = append(brought, items[i])
	}
	// Only now is it known that they are there; a late pass must not take a message for brought that is not.
	if err := w.flush(); err != nil {
		return nil, err
	}
	return brought, nil
}

// tarFormat is the format with the least overhead that can hold all files of a batch: ustar has room for a path of 255
// bytes in its header, GNU's needs two more blocks for each path above 100.
func tarFormat(items []work) string {
	for i := range items {
		if items[i].size >= 1<<33 || items[i].time.sec < 0 || items[i].time.sec >= 1<<33 || !fitsUstar("./"+items[i].from) {
			return "gnu"
		}
	}
	return "ustar"
}

// fitsUstar says whether tar can split a path into a prefix of 155 bytes and a name of 100 (POSIX.1-1988 ustar).
func fitsUstar(path string) bool {
	if len(path) <= 100 {
		return true
	}
	if len(path) > 256 {
		return false
	}
	i := strings.LastIndexByte(path[:min(len(path)-1, 156)], '/')
	return i > 0 && len(path)-i-1 <= 100
}
