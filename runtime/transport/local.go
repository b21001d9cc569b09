package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Local is the machine that the runner itself runs on, at the runner's own privileges.
func Local() Conn { return &localConn{done: make(chan struct{})} }

type localConn struct {
	once sync.Once
	done chan struct{}
}

func (c *localConn) Peer() Peer            { return Peer{Address: "local", User: currentUser(), Local: true} }
func (c *localConn) Done() <-chan struct{} { return c.done }
func (c *localConn) Err() error            { return nil }

func (c *localConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}

func (c *localConn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func (c *localConn) Start(ctx context.Context, line string) (Process, error) {
	select {
	case <-c.done:
		return nil, net.ErrClosed
	default:
	}
	cmd := exec.Command("/bin/sh", "-c", line)
	// A group of its own: what the command starts in turn is ended with it, and Ctrl-C on the terminal is the runner's to handle.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = localEnviron(os.Environ())
	if dir, err := os.UserHomeDir(); err == nil {
		cmd.Dir = dir
	}
	p := &localProcess{cmd: cmd, ended: make(chan struct{})}
	if err := p.start(); err != nil {
		return nil, fmt.Errorf("cannot start /bin/sh: %w", err)
	}
	go p.watch(ctx, c.done)
	return p, nil
}

// localEnviron is what of the runner's environment its commands get: what sshd(8) gives a login, and what finds a proxy, a bus or a
// place for temporary files. The rest is the operator's own, and may hold secrets that every process of his could read there.
func localEnviron(all []string) []string {
	list := []string{}
	for _, v := range all {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case slices.Contains([]string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "MAIL", "TERM", "TZ", "TMPDIR", "LANG", "LANGUAGE", "DBUS_SESSION_BUS_ADDRESS"}, name),
			strings.HasPrefix(name, "LC_"), strings.HasPrefix(name, "XDG_"), strings.HasSuffix(strings.ToLower(name), "_proxy"):
			list = append(list, v)
		}
	}
	return list
}

type localProcess struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	out, err *countedReader
	readers  sync.WaitGroup // until both outputs were read to their end or given up
	ended    chan struct{}
	mu       sync.Mutex
	reaped   bool
	waited   sync.Once
	waitErr  error
}

// start makes the pipes itself: those of os/exec are closed by Wait while somebody may still read them.
func (p *localProcess) start() error {
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		outR.Close()
		outW.Close()
		return err
	}
	p.cmd.Stdout, p.cmd.Stderr = outW, errW
	err = p.cmd.Start()
	outW.Close()
	errW.Close()
	if err != nil {
		outR.Close()
		errR.Close()
		return err
	}
	p.readers.Add(2)
	p.in, p.out, p.err = in, &countedReader{f: outR, done: p.readers.Done}, &countedReader{f: errR, done: p.readers.Done}
	return nil
}

func (p *localProcess) watch(ctx context.Context, closed <-chan struct{}) {
	select {
	case <-ctx.Done():
		p.Close()
	case <-closed:
		p.Close()
	case <-p.ended:
	}
}

func (p *localProcess) Stdin() io.WriteCloser { return p.in }
func (p *localProcess) Stdout() io.Reader     { return p.out }
func (p *localProcess) Stderr() io.Reader     { return p.err }

func (p *localProcess) Wait() (Exit, error) {
	err := p.reap()
	var exit *exec.ExitError
	if err == nil {
		return Exit{}, nil
	}
	if !errors.As(err, &exit) {
		return Exit{}, err
	}
	if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return Exit{Status: 128 + int(ws.Signal()), Signal: signalName(ws.Signal())}, nil
	}
	return Exit{Status: exit.ExitCode()}, nil
}

func (p *localProcess) reap() error {
	p.waited.Do(func() {
		p.readers.Wait()
		p.waitErr = p.cmd.Wait()
		p.mu.Lock()
		p.reaped = true
		p.mu.Unlock()
		close(p.ended)
	})
	return p.waitErr
}

// Close ends the command with everything in its process group: asked first, killed after two seconds.
func (p *localProcess) Close() error {
	p.mu.Lock()
	if !p.reaped {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
		time.AfterFunc(2*time.Second, p.kill)
	}
	p.mu.Unlock()
	p.in.Close()
	p.out.end()
	p.err.end()
	go p.reap() //nolint:errcheck // nobody may ever ask how it ended
	return nil
}

func (p *localProcess) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

func signalName(s syscall.Signal) string {
	for _, name := range []string{"HUP", "INT", "QUIT", "ILL", "ABRT", "FPE", "KILL", "SEGV", "PIPE", "ALRM", "TERM", "USR1", "USR2"} {
		if signalNumber(name) == int(s) {
			return name
		}
	}
	return s.String()
}

// countedReader says once when its pipe has come to its end or was given up.
type countedReader struct {
	f    *os.File
	once sync.Once
	done func()
}

func (r *countedReader) Read(b []byte) (int, error) {
	n, err := r.f.Read(b)
	if err != nil {
		r.end()
		if errors.Is(err, os.ErrClosed) {
			err = io.EOF
		}
	}
	return n, err
}

func (r *countedReader) end() {
	r.once.Do(func() {
		r.f.Close()
		r.done()
	})
}
