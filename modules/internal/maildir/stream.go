package maildir

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"runner/runtime/host"
)

// stream is a program on a host whose output is long. It ends the program when the context ends, and when the program
// gives no byte for longer than stall while somebody waits for one: a hung peer is an error, not a hung runner.
type stream struct {
	what    string // "list the mailboxes on old", for messages
	process host.Process
	stall   time.Duration

	manual  bool         // reading is not waiting: the reader says itself when it waits
	waiting atomic.Int64 // since when somebody waits for output, in Unix nanoseconds; 0: nobody does
	stalled atomic.Bool
	ctx     context.Context
	stop    func() bool
	done    chan struct{}
	once    sync.Once

	stderr complaints
	input  chan error // result of feeding standard input; nil channel: there was none
	eof    chan struct{}
}

// open starts a script on a host. feed, when it is not nil, writes the script's standard input and may take as long as it needs.
func open(ctx context.Context, v *host.View, what string, stall time.Duration, feed func(io.Writer) error, script string, args ...string) (*stream, error) {
	p, err := v.Stream(ctx, host.Script(script, args...))
	if err != nil {
		return nil, fmt.Errorf("cannot %s: %w", what, err)
	}
	s := &stream{what: what, process: p, stall: stall}
	s.watch(ctx, feed)
	return s, nil
}

// ask is open for a script whose whole input is at hand. It runs in a channel that is used again: see [host.View.Pipe].
func ask(ctx context.Context, v *host.View, what string, stall time.Duration, input []byte, script string, args ...string) (*stream, error) {
	p, err := v.Pipe(ctx, host.Script(script, args...), input)
	if err != nil {
		return nil, fmt.Errorf("cannot %s: %w", what, err)
	}
	s := &stream{what: what, process: p, stall: stall}
	s.watch(ctx, nil)
	return s, nil
}

// watch begins to look after the process.
func (s *stream) watch(ctx context.Context, feed func(io.Writer) error) {
	p := s.process
	s.ctx, s.done, s.eof = ctx, make(chan struct{}), make(chan struct{})
	s.stop = context.AfterFunc(ctx, func() { p.Close() })
	if feed != nil {
		s.input = make(chan error, 1)
		go func() { s.input <- s.feed(feed) }()
	}
	go func() {
		defer close(s.eof)
		s.stderr.read(p.Stderr())
	}()
	if s.stall > 0 {
		go s.guard()
	}
}

// owed and relax bracket the time in which the peer owes something.
func (s *stream) owed()  { s.waiting.Store(time.Now().UnixNano()) }
func (s *stream) relax() { s.waiting.Store(0) }

func brokenPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, fs.ErrClosed) || errors.Is(err, io.EOF)
}

func (s *stream) feed(write func(io.Writer) error) error {
	in := s.process.Stdin()
	w := bufio.NewWriterSize(in, 64<<10)
	err := write(w)
	if err == nil {
		err = w.Flush()
	}
	if closed := in.Close(); err == nil {
		err = closed
	}
	return err
}

// guard ends the process when a reader has waited for too long.
func (s *stream) guard() {
	tick := time.NewTicker(max(s.stall/8, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case now := <-tick.C:
			since := s.waiting.Load()
			if since != 0 && now.UnixNano()-since > int64(s.stall) {
				s.stalled.Store(true)
				s.process.Close()
				return
			}
		}
	}
}

// Read reads standard output.
func (s *stream) Read(p []byte) (int, error) {
	if !s.manual {
		s.owed()
		defer s.relax()
	}
	n, err := s.process.Stdout().Read(p)
	if err != nil && err != io.EOF {
		err = s.why(err)
	}
	return n, err
}

// why says what really ended the stream when an error is only its echo.
func (s *stream) why(err error) error {
	if cause := context.Cause(s.ctx); cause != nil {
		return fmt.Errorf("cannot %s: %w", s.what, cause)
	}
	if s.stalled.Load() {
		return fmt.Errorf("cannot %s: no sign of life for %s", s.what, s.stall)
	}
	return fmt.Errorf("cannot %s: %w", s.what, err)
}

// wait reads what is left of standard output (which must be little), and returns how the program ended: nil, an
// [*host.ExitError] with what it complained of, or why it cannot be known.
func (s *stream) wait() error {
	defer s.close()
	if n, err := io.Copy(io.Discard, io.LimitReader(s, 1<<20)); err != nil {
		return err
	} else if n == 1<<20 {
		return fmt.Errorf("cannot %s: it goes on sending after its end", s.what)
	}
	s.owed()
	<-s.eof
	err := s.process.Wait()
	s.relax()
	if s.input != nil {
		// A pipe that broke is no error of its own: a program that ended before it had read everything has said why by its
		// status, and what it did not do for want of input is missed by whoever reads its output.
		if fed := <-s.input; fed != nil && err == nil && !brokenPipe(fed) {
			err = fed
		}
	}
	var exit *host.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && !s.stalled.Load() && s.ctx.Err() == nil:
		return &host.ExitError{Command: s.what, Status: exit.Status, Signal: exit.Signal, Stderr: s.stderr.String()}
	}
	return s.why(err)
}

// close ends the program if it still runs. It may be called more than once.
func (s *stream) close() {
	s.once.Do(func() {
		close(s.done)
		s.stop()
		s.process.Close()
	})
}

// complaints keeps the first lines of a program's standard error and counts all.
type complaints struct {
	mu    sync.Mutex
	lines []string
	count int
	other int // lines that are not about a file that has gone
	first string
}

// maxComplaints is how many lines of standard error are kept; a listing can complain of every file.
const maxComplaints = 50

func (c *complaints) read(r io.Reader) {
	scan := bufio.NewScanner(r)
	scan.Buffer(make([]byte, 4096), 64<<10)
	for scan.Scan() {
		c.add(scan.Text())
	}
	// A line that is too long ends the scanner; the rest must be read all the same, or the program would block.
	_, _ = io.Copy(io.Discard, r)
}

func (c *complaints) add(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	if !gone(line) {
		if c.other == 0 {
			c.first = line
		}
		c.other++
	}
	if len(c.lines) < maxComplaints {
		c.lines = append(c.lines, clip(line))
	}
}

// serious is the first line that speaks of something else than a file that has gone, and how many there are.
func (c *complaints) serious() (string, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first, c.other
}

func (c *complaints) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.lines, "\n")
}

// gone recognises, in the messages of GNU find and tar in the C locale from tar 1.20 and findutils 4.4 on, those that a
// mailbox in use causes: a file that was renamed or removed, or that got a second name, between being listed and being read.
func gone(line string) bool {
	for _, end := range []string{
		": No such file or directory", ": File removed before we read it", ": file changed as we read it",
		"Exiting with failure status due to previous errors", "Error exit delayed from previous errors",
	} {
		if strings.HasSuffix(strings.TrimRight(line, "."), end) {
			return true
		}
	}
	return false
}

// appendPath writes a path with "./" before it and NUL after it, so that it cannot be taken for an option.
func appendPath(b []byte, path string) []byte {
	return append(append(append(b, "./"...), path...), 0)
}

// paths are many of them, as the standard input of xargs, tar and find.
func paths(list []string) []byte {
	size := 0
	for _, p := range list {
		size += len(p) + 3
	}
	b := make([]byte, 0, size)
	for _, p := range list {
		b = appendPath(b, p)
	}
	return b
}
