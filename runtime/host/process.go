package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"runner/runtime/transport"
)

// Start runs a command in a channel of its own. Cancelling ctx is Close.
func (l *level) Start(ctx context.Context, c Command) (Process, error) {
	if err := check(c); err != nil {
		return nil, err
	}
	ch, err := l.launch(ctx, alone(c), 1)
	if err != nil {
		return nil, err
	}
	p := &process{channel: ch, level: l, command: c, ended: make(chan struct{})}
	p.mu.Lock() // so that Close finds unwatch, however soon the context ends
	p.unwatch = context.AfterFunc(ctx, func() {
		p.mu.Lock()
		p.why = context.Cause(ctx)
		p.mu.Unlock()
		p.Close()
	})
	p.mu.Unlock()
	if c.Stdin != nil {
		go func() {
			_, _ = io.Copy(ch.proc.Stdin(), c.Stdin)
			ch.proc.Stdin().Close()
		}()
	}
	return p, nil
}

// process is a command in a channel of its own.
type process struct {
	*channel
	level   *level
	command Command
	unwatch func() bool

	waiting sync.Once
	ended   chan struct{} // closed when exit and err are known
	exit    transport.Exit
	err     error

	closing sync.Once
	mu      sync.Mutex
	why     error // of a Close that a context caused
	closed  bool
}

func (p *process) Stdin() io.WriteCloser { return p.proc.Stdin() }
func (p *process) Stdout() io.Reader     { return p.channel.out }
func (p *process) Stderr() io.Reader     { return p.channel.err }

func (p *process) Wait() error {
	p.wait()
	<-p.ended
	p.unwatch()
	p.mu.Lock()
	closed, why := p.closed, p.why
	p.mu.Unlock()
	what := brief(p.command)
	switch {
	case why != nil:
		return fmt.Errorf("cannot run %s: %w", what, why)
	case closed:
		return fmt.Errorf("cannot tell how %s ended: it was closed", what)
	case p.err != nil && lostSoon(p.conn):
		return fmt.Errorf("cannot tell what became of %s: %w", what, p.level.lostError(p.conn))
	case p.err != nil:
		return fmt.Errorf("cannot tell how %s ended: %w", what, p.err)
	}
	return exitError(p.command, p.exit.Status, p.exit.Signal, "")
}

func (p *process) wait() {
	p.waiting.Do(func() {
		go func() {
			p.exit, p.err = p.proc.Wait()
			close(p.ended)
			p.give()
		}()
	})
}

// Close ends the command and gives up the channel. After the command has ended it only does the latter.
func (p *process) Close() error {
	p.closing.Do(func() {
		p.unwatch()
		select {
		case <-p.ended:
		default:
			p.mu.Lock()
			p.closed = true
			p.mu.Unlock()
			p.level.end(p.conn, p.group)
		}
		p.channel.close()
		p.waiting.Do(func() { close(p.ended) })
	})
	return nil
}

// execWithInput runs a command that reads input in a channel of its own, since its input may be any bytes at all.
func (l *level) execWithInput(ctx context.Context, c Command) (Output, error) {
	p, err := l.Start(ctx, c)
	if err != nil {
		return Output{}, err
	}
	defer p.Close()
	var stdout, stderr []byte
	var outErr, errErr error
	var both sync.WaitGroup
	both.Go(func() { stdout, outErr = readMost(p.Stdout()) })
	both.Go(func() { stderr, errErr = readMost(p.Stderr()) })
	both.Wait()
	if errors.Is(outErr, errTooMuch) || errors.Is(errErr, errTooMuch) {
		return Output{}, fmt.Errorf("cannot run %s: %w", brief(c), errTooMuch)
	}
	err = p.Wait()
	out := Output{Stdout: string(stdout), Stderr: string(stderr)}
	var exit *ExitError
	if errors.As(err, &exit) {
		exit.Stderr, out.Status = out.Stderr, exit.Status
	}
	return out, err
}

func readMost(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(r, MaxOutput+1))
	if n > MaxOutput {
		return nil, errTooMuch
	}
	return b.Bytes(), err
}

// endScript ends process groups: asked first, killed after two seconds. What kills them outlives the shell it is started from,
// which on this machine is itself ended by a signal to its group.
const endScript = `trap '' TERM HUP
for g;do kill -TERM -$g;done 2>/dev/null
after='sleep 2;for g;do kill -KILL -$g;done'
if command -v setsid >/dev/null;then setsid /bin/sh -c "$after" sh "$@" >/dev/null 2>&1 &
else /bin/sh -c "$after" sh "$@" >/dev/null 2>&1 &
fi`

// How long the end of a command on a host is waited for, on its connection and then on another one. A connection that is
// lost answers never.
const (
	endTimeout      = 3 * time.Second
	endAgainTimeout = 30 * time.Second
	endPatience     = 8 * time.Second
)

// end ends process groups on the host. A signal over SSH does nothing (sshd since 5.1 takes none from root, none at all
// before 7.9), and a closed channel does not end what ran in it. Nothing is ended when the connection is another by now:
// the host may have been started anew, and the groups be those of others.
func (l *level) end(conn transport.Conn, groups ...int) {
	var args []string
	for _, g := range groups {
		if g > 1 { // never "every process there is"
			args = append(args, strconv.Itoa(g))
		}
	}
	if len(args) == 0 || !l.uses(conn) {
		return
	}
	c := Script(endScript, args...)
	c.Looking = true // no group of its own, which would be looked at by the next command
	if l.endHere(c) || !l.uses(conn) {
		return
	}
	done := make(chan struct{})
	go func() { l.endApart(c); close(done) }()
	select {
	case <-done:
	case <-time.After(endPatience):
	}
}

func (l *level) endHere(c Command) bool {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	s, err := l.spare(ctx)
	if err != nil {
		return false
	}
	defer s.close()
	_, err = s.run(ctx, c)
	return err == nil
}

// endApart ends processes over a connection of its own: those that are to be ended may hold every session that the server
// grants on the other one.
func (l *level) endApart(c Command) {
	ctx, cancel := context.WithTimeout(context.Background(), endAgainTimeout)
	defer cancel()
	o := l.options
	o.Sudo = l.sudo
	o.SudoPassword = func() (string, error) { return l.password.get(l.options.SudoPassword) }
	apart := Open(l.name, o)
	defer apart.Close()
	_, _ = apart.b.Exec(ctx, c)
}

// spare is a shell beyond those of the pool when none of them is idle: what is to be ended may hold them all.
func (l *level) spare(ctx context.Context) (*shell, error) {
	if s := l.pool.pop(); s != nil && !s.dead() {
		return s, nil
	}
	return newShell(ctx, l)
}
