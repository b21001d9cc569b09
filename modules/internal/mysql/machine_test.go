package mysql_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"runner/runtime/host"
)

// machine is this machine as a host of the given name.
type machine struct {
	name     string
	files    map[string]string // path -> the file that stands in for it
	noSocket bool              // refuse to dial sockets, as an sshd before 6.7 does
	path     string            // PATH of its programs; empty: this process's
	argv     []string          // of everything that was run, for looking for secrets

	mu      sync.Mutex
	started func(*exec.Cmd) // sees each long-running program once it runs
	slow    func(io.Reader) io.Reader
}

func (m *machine) host() *host.Host                           { return host.New(m) }
func (m *machine) Name() string                               { return m.name }
func (m *machine) Local() bool                                { return true }
func (m *machine) Files() host.Files                          { return disk{m: m} }
func (m *machine) Sudo(context.Context) (host.Backend, error) { return m, nil }

func (m *machine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if m.noSocket && network == "unix" {
		return nil, errors.New("administratively prohibited (open failed)")
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

func (m *machine) Facts(context.Context) (*host.Facts, error) {
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	return &host.Facts{Hostname: m.name, OS: "debian", Major: 12, UID: os.Getuid(), User: me.Username}, nil
}

func (m *machine) command(ctx context.Context, c host.Command) *exec.Cmd {
	m.mu.Lock()
	m.argv = append(m.argv, c.Argv...)
	m.mu.Unlock()
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Dir, cmd.Stdin = c.Dir, c.Stdin
	if m.path != "" {
		cmd.Env = append(os.Environ(), "PATH="+m.path)
	}
	return cmd
}

func (m *machine) Exec(ctx context.Context, c host.Command) (host.Output, error) {
	cmd := m.command(ctx, c)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	o := host.Output{Stdout: out.String(), Stderr: errs.String(), Status: cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = &host.ExitError{Command: c.String(), Status: o.Status, Stderr: o.Stderr}
	}
	return o, err
}

func (m *machine) Start(ctx context.Context, c host.Command) (host.Process, error) {
	cmd := m.command(ctx, c)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &process{cmd: cmd}
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.out, err = cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	if p.errs, err = cmd.StderrPipe(); err != nil {
		return nil, err
	}
	if m.slow != nil {
		p.out = m.slow(p.out)
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if m.started != nil {
		m.started(cmd)
	}
	context.AfterFunc(ctx, func() { p.Close() })
	return p, nil
}

type process struct {
	cmd       *exec.Cmd
	in        io.WriteCloser
	out, errs io.Reader
	once      sync.Once
	err       error
}

func (p *process) Stdin() io.WriteCloser { return p.in }
func (p *process) Stdout() io.Reader     { return p.out }
func (p *process) Stderr() io.Reader     { return p.errs }

func (p *process) Wait() error {
	p.once.Do(func() { p.err = p.cmd.Wait() })
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return &host.ExitError{Command: p.cmd.Path, Status: exit.ExitCode()}
	}
	return p.err
}

func (p *process) Close() error {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	return nil
}

// disk is the file system of this machine, with some files standing in for others.
type disk struct {
	host.Files // what is not asked for here
	m          *machine
}

func (d disk) at(path string) string {
	if other, ok := d.m.files[path]; ok {
		return other
	}
	// The tests must not depend on what this machine's own servers are set up with.
	if strings.HasPrefix(path, "/etc/mysql") || strings.HasSuffix(path, ".my.cnf") || path == "/etc/my.cnf" {
		return "/nonexistent" + path
	}
	return path
}

func (d disk) Open(_ context.Context, path string) (io.ReadCloser, error) { return os.Open(d.at(path)) }

func (d disk) Lstat(_ context.Context, path string) (host.FileInfo, error) {
	return describe(path, os.Lstat)
}
func (d disk) Stat(_ context.Context, path string) (host.FileInfo, error) {
	return describe(path, os.Stat)
}

func describe(path string, stat func(string) (fs.FileInfo, error)) (host.FileInfo, error) {
	i, err := stat(path)
	if err != nil {
		return host.FileInfo{}, err
	}
	return host.FileInfo{Path: path, Mode: i.Mode(), Size: i.Size(), Mtime: i.ModTime()}, nil
}

func (d disk) ReadDir(_ context.Context, path string) ([]host.FileInfo, error) {
	entries, err := os.ReadDir(d.at(path))
	var list []host.FileInfo
	for _, e := range entries {
		list = append(list, host.FileInfo{Path: filepath.Join(path, e.Name())})
	}
	return list, err
}
