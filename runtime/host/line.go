package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// line is a channel kept for programs that print much: they run in it one after the other, so that only the first one waits
// for a session of the server, the start files of the login shell and sudo. Its shell reads a request (one line of shell
// text) at a time; what follows a line are as many bytes of input as it says.
type line struct {
	*channel
	out, err *bufio.Reader
}

// serve is the shell text of a line.
const serve = `while IFS= read -r l;do eval "$(printf %b "$l")";done`

// maxLines is how many lines a privilege level keeps while nobody uses them.
const maxLines = 4

// lines are the lines of a privilege level that wait for work.
type lines struct {
	mu   sync.Mutex
	idle []*line
}

func (p *lines) pop() *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	n := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return n
}

func (p *lines) give(n *line) {
	p.mu.Lock()
	keep := len(p.idle) < maxLines
	if keep {
		p.idle = append(p.idle, n)
	}
	p.mu.Unlock()
	if !keep {
		n.close()
	}
}

// evict ends a line that waits for work, if there is one.
func (p *lines) evict() bool {
	n := p.pop()
	if n != nil {
		n.close()
	}
	return n != nil
}

func (p *lines) drop() {
	for p.evict() {
	}
}

// line takes a line that waits for work, or opens one.
func (l *level) line(ctx context.Context) (*line, error) {
	for {
		n := l.lines.pop()
		if n == nil {
			break
		}
		if !lost(n.conn) {
			return n, nil
		}
		n.close()
	}
	c, err := l.launch(ctx, serve, 1)
	if err != nil {
		return nil, err
	}
	return &line{channel: c, out: bufio.NewReaderSize(c.out, 256<<10), err: bufio.NewReaderSize(c.err, 4<<10)}, nil
}

// request is the shell text that runs a command with n bytes of the line's input. What the command leaves of these is
// read all the same: the next request stands behind them. The mark follows on both outputs, with the status on the first.
func request(c Command, mark string, n int) string {
	text, args, isScript := scriptOf(c)
	run := `(set -- ` + Quote(args...) + `;eval ` + Quote(text) + `)`
	if !isScript {
		run = `(set -- ` + Quote(c.Argv...) + `;exec "$@")`
	}
	if setting := setting(c); setting != "" {
		run = "(" + setting + run + ")"
	}
	if n > 0 {
		run = fmt.Sprintf(`head -c %d|(%s;s=$?;cat >/dev/null;exit $s)`, n, run)
	} else {
		run += " </dev/null"
	}
	return fmt.Sprintf(`%s;printf '\%o%s>%%d\n' $?;printf '\%o%s>\n' >&2`, run, rare, mark, rare, mark)
}

// rare is the first byte of a mark: one that no UTF-8 text holds, so that a search for marks runs through mail and paths fast.
const rare = 0xf7

// Pipe runs a command in a line. See [View.Pipe].
func (l *level) Pipe(ctx context.Context, c Command, input []byte) (Process, error) {
	if err := check(c); err != nil {
		return nil, err
	}
	n, err := l.line(ctx)
	if err != nil {
		return nil, err
	}
	mark := randomWord()
	p := &piped{line: n, level: l, command: c, gone: make(chan struct{})}
	p.stdout = &marked{in: n.out, mark: []byte(string([]byte{rare}) + mark + ">"), ended: make(chan struct{})}
	p.stderr = &marked{in: n.err, mark: p.stdout.mark, ended: make(chan struct{})}
	p.mu.Lock() // so that Close finds unwatch, however soon the context ends
	p.unwatch = context.AfterFunc(ctx, func() { p.end(context.Cause(ctx)) })
	p.mu.Unlock()
	go func() { // what goes wrong here shows in the outputs
		_, err := io.WriteString(n.proc.Stdin(), encode(request(c, mark, len(input)))+"\n")
		if err == nil {
			_, _ = n.proc.Stdin().Write(input)
		}
	}()
	return p, nil
}

// piped is a command in a line.
type piped struct {
	*line
	level          *level
	command        Command
	stdout, stderr *marked

	mu      sync.Mutex
	unwatch func() bool
	gone    chan struct{} // closed when it was given up
	over    bool          // the line was given back or given up
	why     error         // it was given up for
}

// Stdin takes nothing: the input was given as a whole.
func (p *piped) Stdin() io.WriteCloser { return noInput{} }
func (p *piped) Stdout() io.Reader     { return p.stdout }
func (p *piped) Stderr() io.Reader     { return p.stderr }

type noInput struct{}

func (noInput) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
func (noInput) Close() error              { return nil }

// errClosed says that a command was given up by whoever ran it.
var errClosed = errors.New("it was closed")

func (p *piped) Wait() error {
	for _, m := range []*marked{p.stdout, p.stderr} {
		select {
		case <-m.ended:
		case <-p.gone:
		}
	}
	what := brief(p.command)
	p.mu.Lock()
	p.unwatch()
	over, why := p.over, p.why
	p.over = true
	p.mu.Unlock()
	if why != nil {
		return fmt.Errorf("cannot run %s: %w", what, why)
	}
	if p.stdout.broken || p.stderr.broken {
		if !over {
			p.line.close()
		}
		if lostSoon(p.conn) {
			return fmt.Errorf("cannot tell what became of %s: %w", what, p.level.lostError(p.conn))
		}
		return fmt.Errorf("cannot tell what became of %s: the shell that it ran in ended under it", what)
	}
	status, err := strconv.Atoi(p.stdout.trailer)
	if err != nil {
		if !over {
			p.line.close()
		}
		return fmt.Errorf("cannot tell how %s ended: its shell said %q instead of an exit status", what, p.stdout.trailer)
	}
	if !over {
		p.level.lines.give(p.line)
		p.level.places.nudge()
	}
	return exitError(p.command, status, "", "")
}

// Close ends the command if it still runs.
func (p *piped) Close() error {
	p.end(errClosed)
	return nil
}

func (p *piped) end(why error) {
	p.mu.Lock()
	over := p.over
	if !over {
		p.over, p.why = true, why
		p.unwatch()
	}
	p.mu.Unlock()
	if !over {
		close(p.gone)
		p.level.end(p.conn, p.group)
		p.line.close()
	}
}

// marked reads up to a mark.
type marked struct {
	in      *bufio.Reader
	mark    []byte
	clean   int    // bytes of what is buffered that are known to stand before the mark
	trailer string // what stands between the mark and the end of its line
	broken  bool   // the output ended without a mark
	err     error
	ended   chan struct{} // closed when there is no more to read
}

func (m *marked) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for m.clean == 0 {
		if !m.look() {
			m.err = io.EOF
			close(m.ended)
			return 0, m.err
		}
	}
	n, err := m.in.Read(p[:min(len(p), m.clean)])
	m.clean -= n
	return n, err
}

// look finds out how much of what is buffered, or comes next, stands before the mark; false: nothing more does.
func (m *marked) look() bool {
	b, _ := m.in.Peek(max(m.in.Buffered(), 1))
	for {
		if len(b) == 0 {
			m.broken = true
			return false
		}
		i := bytes.Index(b, m.mark)
		if i == 0 {
			return m.finish()
		}
		if i < 0 {
			i = len(b) - partial(b, m.mark)
		}
		if i > 0 {
			m.clean = i
			return true
		}
		// All there is may be the beginning of the mark.
		more, err := m.in.Peek(len(b) + 1)
		if err != nil {
			m.clean = len(b) // and is not: the output ends here
			return m.clean > 0
		}
		b = more
	}
}

// finish takes the mark and its line.
func (m *marked) finish() bool {
	_, _ = m.in.Discard(len(m.mark))
	text, err := m.in.ReadSlice('\n')
	if err != nil {
		m.broken = true
		return false
	}
	m.trailer = strings.TrimSuffix(string(text), "\n")
	return false
}

// partial is how many bytes at the end of b may be the beginning of the mark.
func partial(b, mark []byte) int {
	tail := b[max(0, len(b)-len(mark)+1):]
	for i := bytes.IndexByte(tail, mark[0]); i >= 0; {
		if bytes.HasPrefix(mark, tail[i:]) {
			return len(tail) - i
		}
		next := bytes.IndexByte(tail[i+1:], mark[0])
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return 0
}
