package maildir

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"runner/runtime/host"
)

// agentText is the program that writes on a target that is not this machine. It needs no more than perl-base, which every
// Debian has.
//
//go:embed agent.pl
var agentText string

// agentWriter hands its work to the program. It does not wait for answers except in flush: over a link with a long way
// each file would cost that way twice.
type agentWriter struct {
	host    string
	at      place
	dir     string // the staging directory of this writer
	stream  *stream
	out     *bufio.Writer
	frame   []byte
	buf     []byte
	answers chan int // one for each flush: links lost so far

	mu     sync.Mutex
	failed error
	missed int
	closed bool
	done   chan struct{}
}

func openAgent(ctx context.Context, h *host.Host, at place, number int, stall time.Duration) (writer, error) {
	what := "write mailboxes on " + h.Name()
	p, err := h.Start(ctx, host.Command{Argv: []string{
		"perl", "-e", agentText, "--", at.root, at.staging, strconv.Itoa(number), strconv.Itoa(at.owner.uid), strconv.Itoa(at.owner.gid), at.quarantine,
	}})
	if err != nil {
		return nil, fmt.Errorf("cannot %s: %w", what, err)
	}
	w := &agentWriter{
		host: h.Name(), at: at, dir: at.staging + "/" + strconv.Itoa(number),
		stream: &stream{what: what, process: p, stall: stall, manual: true},
		out:    bufio.NewWriterSize(p.Stdin(), 256<<10), buf: make([]byte, copySize), answers: make(chan int, 1), done: make(chan struct{}),
	}
	w.stream.watch(ctx, nil)
	go w.listen()
	return w, w.flush()
}

// listen reads what the program says until it ends.
func (w *agentWriter) listen() {
	defer close(w.done)
	r := bufio.NewReader(w.stream)
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			w.ended(err)
			return
		}
		n := binary.BigEndian.Uint32(head[1:])
		text := make([]byte, min(n, 64<<10))
		if _, err := io.ReadFull(r, text); err != nil {
			w.ended(err)
			return
		}
		switch head[0] {
		case 'E':
			w.fault(fmt.Errorf("%s: %s", w.host, bytes.ToValidUTF8(text, []byte("?"))))
		case 'K':
			n, _ := strconv.Atoi(string(text))
			w.answers <- n
		default:
			w.fault(fmt.Errorf("cannot write mailboxes on %s: the program there answers %q", w.host, head[:]))
		}
	}
}

// ended notes why the program is gone: what it complained of, when it did.
func (w *agentWriter) ended(err error) {
	w.mu.Lock()
	closed := w.closed
	w.mu.Unlock()
	if closed {
		return
	}
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		if err = w.stream.wait(); err == nil {
			err = fmt.Errorf("cannot write mailboxes on %s: the program there has ended", w.host)
		}
	}
	w.fault(err)
}

func (w *agentWriter) fault(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed == nil {
		w.failed = err
	}
}

func (w *agentWriter) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

func (w *agentWriter) send(op byte, fields ...string) error {
	if err := w.err(); err != nil {
		return err
	}
	b := append(w.frame[:0], op, 0, 0, 0, 0)
	for _, f := range fields {
		b = append(append(b, f...), 0)
	}
	binary.BigEndian.PutUint32(b[1:], uint32(len(b)-5))
	w.frame = b
	return w.write(b)
}

func (w *agentWriter) write(b []byte) error {
	w.stream.owed()
	defer w.stream.relax()
	return w.wrote(w.out.Write(b))
}

// wrote prefers what the program said to the broken pipe that followed.
func (w *agentWriter) wrote(_ int, err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-w.done:
	case <-time.After(5 * time.Second):
	}
	if said := w.err(); said != nil {
		return said
	}
	return w.stream.why(err)
}

func (w *agentWriter) stage(name string, body io.Reader, size int64, mode uint32, t stamp) error {
	if err := w.send('F', w.dir+"/"+name, strconv.FormatInt(size, 10), strconv.Itoa(int(mode)), strconv.FormatInt(t.sec, 10)); err != nil {
		return err
	}
	for size > 0 {
		part := w.buf[:min(size, int64(len(w.buf)))]
		if _, err := io.ReadFull(body, part); err != nil {
			return err
		}
		size -= int64(len(part))
		if err := w.write(part); err != nil {
			return err
		}
	}
	return nil
}

func (w *agentWriter) commit(name, to string) error { return w.send('R', w.dir+"/"+name, to) }

func (w *agentWriter) stageDir(name, to string) error { return w.send('N', w.dir+"/"+name, to) }

func (w *agentWriter) commitDir(name, to string) error { return w.send('T', w.dir+"/"+name, to) }

func (w *agentWriter) do(job work) error {
	mode, sec := strconv.Itoa(int(job.mode)), strconv.FormatInt(job.time.sec, 10)
	switch job.kind {
	case makeDir:
		return w.send('M', job.to, mode)
	case setDir:
		return w.send('D', job.to, mode)
	case setAttr:
		return w.send('A', job.to, mode, sec)
	case rename:
		return w.send('R', job.from, job.to)
	case link:
		return w.send('L', job.from, job.to)
	case makeLink:
		return w.send('S', job.from, job.to)
	case quarantine:
		return w.send('Q', job.to)
	case dropCaches, dropBinary:
		return w.send('C', append([]string{job.to}, stale(job.kind)...)...)
	}
	return fmt.Errorf("no such work: %c", job.kind)
}

func (w *agentWriter) sync() error { return w.send('Y') }

func (w *agentWriter) flush() error {
	if err := w.send('W'); err != nil {
		return err
	}
	w.stream.owed()
	defer w.stream.relax()
	if err := w.wrote(0, w.out.Flush()); err != nil {
		return err
	}
	select {
	case n := <-w.answers:
		w.missed = n
		return w.err()
	case <-w.done:
		return w.err()
	}
}

// endsItself is how long the program may take for what it is busy with.
const endsItself = 5 * time.Second

func (w *agentWriter) lost() int { return w.missed }

// close lets the program end by itself where it can: to end it takes another session, which a server may not grant.
func (w *agentWriter) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	if w.err() == nil && w.stream.process.Stdin().Close() == nil {
		select {
		case <-w.done:
			_ = w.stream.wait()
		case <-w.stream.ctx.Done():
		case <-time.After(endsItself):
		}
	}
	w.stream.close()
	<-w.done
	return nil
}
