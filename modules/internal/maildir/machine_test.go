package maildir

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"runner/runtime/host"
)

// machine is this machine as a host, without a connection: what the tests of this package need and no more.
type machine struct {
	name    string
	local   bool
	path    string          // PATH of its programs, when a test wants other ones
	shell   []string        // instead of sh, when a test wants another one
	start   func(*exec.Cmd) // sees each long-running program before it starts
	wrapOut func(io.Reader) io.Reader
	wrapIn  func(io.WriteCloser) io.WriteCloser
	shells  atomic.Int64 // how often shell was started
	free    uint64       // what it says is free, in bytes and inodes; 0: plenty, trueSpace: what is
}

func (m *machine) host() *host.Host { return host.New(m) }

func (m *machine) Name() string { return m.name }
func (m *machine) Local() bool  { return m.local }

func (m *machine) command(ctx context.Context, c host.Command) *exec.Cmd {
	argv := c.Argv
	if name := filepath.Base(argv[0]); name == "sh" && m.shell != nil {
		argv = append(slices.Clone(m.shell), argv[1:]...)
		if m.shell[0] == "busybox" {
			gnuTools(argv)
		}
		m.shells.Add(1)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdin = c.Dir, c.Stdin
	if m.path != "" {
		cmd.Env = append(os.Environ(), "PATH="+m.path)
	}
	return cmd
}

// gnuTools names GNU's programs by their paths in a script for busybox, whose shell otherwise takes its own of the same names.
func gnuTools(argv []string) {
	tools := regexp.MustCompile(`(^|[\s;|(])(find|xargs|tar|sha256sum|readlink|head) `)
	if i := slices.Index(argv, "-c"); i >= 0 {
		argv[i+1] = tools.ReplaceAllString(argv[i+1], "${1}/usr/bin/$2 ")
	}
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

func (m *machine) Start(_ context.Context, c host.Command) (host.Process, error) {
	cmd := m.command(context.Background(), c)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &program{cmd: cmd}
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
	if m.start != nil {
		m.start(cmd)
	}
	if m.wrapOut != nil {
		p.out = m.wrapOut(p.out)
	}
	if m.wrapIn != nil {
		p.in = m.wrapIn(p.in)
	}
	return p, cmd.Start()
}

func (m *machine) Files() host.Files { return disk{m.free} }

func (m *machine) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no network here")
}
func (m *machine) Facts(context.Context) (*host.Facts, error) { return &host.Facts{}, nil }
func (m *machine) Sudo(context.Context) (host.Backend, error) { return m, nil }

type program struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  io.Reader
	errs io.Reader
	once sync.Once
	err  error
}

func (p *program) Stdin() io.WriteCloser { return p.in }
func (p *program) Stdout() io.Reader     { return p.out }
func (p *program) Stderr() io.Reader     { return p.errs }

func (p *program) Wait() error {
	p.once.Do(func() { p.err = p.cmd.Wait() })
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		e := &host.ExitError{Command: p.cmd.Path, Status: exit.ExitCode()}
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			e.Signal = unix.SignalName(s.Signal())
		}
		return e
	}
	return p.err
}

func (p *program) Close() error {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	go p.Wait()
	return nil
}

// disk is the file system of this machine.
type disk struct{ free uint64 }

func info(path string, i fs.FileInfo) host.FileInfo {
	st := i.Sys().(*syscall.Stat_t)
	return host.FileInfo{Path: path, Mode: i.Mode(), Size: i.Size(), UID: int(st.Uid), GID: int(st.Gid), Mtime: i.ModTime()}
}

func (disk) Lstat(_ context.Context, path string) (host.FileInfo, error) {
	i, err := os.Lstat(path)
	if err != nil {
		return host.FileInfo{}, err
	}
	return info(path, i), nil
}

func (disk) Stat(_ context.Context, path string) (host.FileInfo, error) {
	i, err := os.Stat(path)
	if err != nil {
		return host.FileInfo{}, err
	}
	return info(path, i), nil
}

func (disk) ReadDir(_ context.Context, path string) ([]host.FileInfo, error) {
	entries, err := os.ReadDir(path)
	var list []host.FileInfo
	for _, e := range entries {
		if i, err := e.Info(); err == nil {
			list = append(list, info(filepath.Join(path, e.Name()), i))
		}
	}
	return list, err
}

func (disk) Readlink(_ context.Context, path string) (string, error)    { return os.Readlink(path) }
func (disk) Open(_ context.Context, path string) (io.ReadCloser, error) { return os.Open(path) }
func (disk) Create(_ context.Context, path string, mode fs.FileMode) (io.WriteCloser, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}
func (disk) Mkdir(_ context.Context, path string, mode fs.FileMode) error {
	return os.Mkdir(path, mode)
}
func (disk) Rename(_ context.Context, from, to string) error      { return os.Rename(from, to) }
func (disk) Remove(_ context.Context, path string) error          { return os.Remove(path) }
func (disk) Symlink(_ context.Context, target, path string) error { return os.Symlink(target, path) }
func (disk) Link(_ context.Context, from, to string) error        { return os.Link(from, to) }
func (disk) Chmod(_ context.Context, path string, mode fs.FileMode) error {
	return os.Chmod(path, mode)
}
func (disk) Chown(_ context.Context, path string, uid, gid int) error {
	return os.Chown(path, uid, gid)
}
func (disk) Chtimes(_ context.Context, path string, t time.Time) error { return os.Chtimes(path, t, t) }

// trueSpace lets a machine say what is free.
const trueSpace = 1

func (d disk) FreeSpace(_ context.Context, dir string) (bytes, inodes uint64, err error) {
	switch d.free {
	case 0:
		return 1 << 50, 1 << 40, nil
	case trueSpace:
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		return st.Bavail * uint64(st.Bsize), st.Ffree, err
	}
	return d.free, d.free, nil
}
