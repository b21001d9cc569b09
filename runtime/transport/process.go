package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshProcess is a command in a session of its own. Its outputs go through pipes, because a read from a channel that we have
// closed goes on until the server closes it too, and sshd does so only when the command has ended.
type sshProcess struct {
	conn     *sshConn
	session  *ssh.Session
	in       io.WriteCloser
	out, err *io.PipeReader
	unwatch  func() bool

	given sync.Once     // Close was called
	why   error         // the reason of the Close
	gone  chan struct{} // closed then
	ended chan struct{} // the session has ended and exit is set
	exit  error
}

// startSession begins in a session. Its place is given back when the session has ended, or could not be begun.
func startSession(ctx context.Context, c *sshConn, s *ssh.Session, begin func(*ssh.Session) error) (*sshProcess, error) {
	p := &sshProcess{conn: c, session: s, gone: make(chan struct{}), ended: make(chan struct{})}
	in, err := s.StdinPipe()
	if err == nil {
		var outW, errW *io.PipeWriter
		p.in = &input{w: in}
		p.out, outW = io.Pipe()
		p.err, errW = io.Pipe()
		s.Stdout, s.Stderr = outW, errW
		if err = begin(s); err == nil {
			p.unwatch = context.AfterFunc(ctx, func() { _ = p.giveUp(context.Cause(ctx)) })
			go p.reap(outW, errW)
			return p, nil
		}
	}
	s.Close()
	c.places.give()
	return nil, err
}

// reap waits for the session, which ends when its outputs were handed over whole.
func (p *sshProcess) reap(outputs ...*io.PipeWriter) {
	p.exit = p.session.Wait()
	for _, w := range outputs {
		w.Close()
	}
	close(p.ended)
	p.unwatch()
	p.conn.places.give()
}

func (p *sshProcess) Stdin() io.WriteCloser { return p.in }
func (p *sshProcess) Stdout() io.Reader     { return p.out }
func (p *sshProcess) Stderr() io.Reader     { return p.err }

var errGivenUp = errors.New("the command was given up")

func (p *sshProcess) Wait() (Exit, error) {
	select {
	case <-p.ended:
	case <-p.gone:
		return Exit{}, p.conn.lost(p.why)
	}
	var exit *ssh.ExitError
	var missing *ssh.ExitMissingError
	switch {
	case p.exit == nil:
		return Exit{}, nil
	case errors.As(p.exit, &exit):
		e := Exit{Status: exit.ExitStatus(), Signal: exit.Signal()}
		if e.Signal != "" {
			e.Status = 128 + signalNumber(e.Signal)
		}
		return e, nil
	case errors.As(p.exit, &missing):
		return Exit{}, p.conn.whyMissing()
	}
	return Exit{}, p.conn.lost(p.exit)
}

// whyMissing is the error of a command whose channel ended without an exit status. Mostly the whole connection is
// ending, which is known a moment later.
func (c *sshConn) whyMissing() error {
	none := errors.New("the server ended the command's channel without saying how the command ended")
	select {
	case <-c.done:
		return c.lost(none)
	case <-time.After(time.Second):
		return none
	}
}

// Close gives up the channel. The command may go on on the host, and holds its place among the sessions until it ends.
func (p *sshProcess) Close() error { return p.giveUp(errGivenUp) }

func (p *sshProcess) giveUp(why error) error {
	var err error
	p.given.Do(func() {
		if why != errGivenUp {
			why = fmt.Errorf("%w: %w", errGivenUp, why)
		}
		p.why = why
		close(p.gone)
		p.out.Close()
		p.err.Close()
		err = p.session.Close()
	})
	if errors.Is(err, io.EOF) { // it was closed from the other side first
		return nil
	}
	return err
}

// input is the input of a command. The library's own must not be written to and closed at the same time, or closed twice.
type input struct {
	w io.WriteCloser

	mu      sync.Mutex
	writing int
	closed  bool
}

func (i *input) Write(b []byte) (int, error) {
	i.mu.Lock()
	if i.closed {
		i.mu.Unlock()
		return 0, io.ErrClosedPipe
	}
	i.writing++
	i.mu.Unlock()
	n, err := i.w.Write(b)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.writing--; i.closed && i.writing == 0 {
		i.w.Close()
	}
	return n, err
}

// Close tells the command that no more comes, after what is being written.
func (i *input) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil
	}
	i.closed = true
	if i.writing > 0 {
		return nil
	}
	return i.w.Close()
}

// signalNumber is the number of a signal by the name that RFC 4254, 6.10 gives it, on Linux. 0: not known.
func signalNumber(name string) int {
	return map[string]int{"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9, "SEGV": 11, "PIPE": 13, "ALRM": 14, "TERM": 15, "USR1": 10, "USR2": 12}[name]
}
