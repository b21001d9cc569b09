package modules

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
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// machine is a host that is the machine of the test, with a log of what was run on it.
type machine struct {
	mu    sync.Mutex
	log   []host.Command
	init  string
	files osFiles

	rewrite *strings.Replacer // of the arguments of every command
	root    string            // taken out of what a command prints
	fake    func(host.Command) (host.Output, bool)
}

func newMachine(t *testing.T) (*host.Host, *machine) {
	t.Helper()
	m := &machine{init: host.OtherInit}
	return host.New(m), m
}

func (m *machine) Name() string                               { return "here" }
func (m *machine) Local() bool                                { return true }
func (m *machine) Files() host.Files                          { return m.files }
func (m *machine) Sudo(context.Context) (host.Backend, error) { return m, nil }
func (m *machine) Start(context.Context, host.Command) (host.Process, error) {
	return nil, errors.New("cannot start: not needed here")
}

func (m *machine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

func (m *machine) Facts(context.Context) (*host.Facts, error) {
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	return &host.Facts{Hostname: "here", OS: "debian", Major: 12, Init: m.init, UID: os.Getuid(), User: me.Username}, nil
}

func (m *machine) Exec(ctx context.Context, c host.Command) (host.Output, error) {
	m.mu.Lock()
	m.log = append(m.log, c)
	m.mu.Unlock()
	if m.fake != nil {
		if out, ok := m.fake(c); ok {
			if out.Status != 0 {
				return out, &host.ExitError{Command: c.String(), Status: out.Status, Stderr: out.Stderr}
			}
			return out, nil
		}
	}
	if m.rewrite != nil {
		argv := slices.Clone(c.Argv)
		for i := range argv {
			argv[i] = m.rewrite.Replace(argv[i])
		}
		c.Argv = argv
	}
	cmd := exec.CommandContext(ctx, c.Argv[0], c.Argv[1:]...)
	cmd.Dir, cmd.Stdin = c.Dir, c.Stdin
	cmd.Env = os.Environ()
	for k, v := range c.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	out := host.Output{Stdout: strings.ReplaceAll(stdout.String(), m.root+"/", "/"), Stderr: stderr.String(), Status: cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		e := &host.ExitError{Command: c.String(), Status: out.Status, Stderr: out.Stderr}
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			e.Signal = s.Signal().String()
		}
		return out, e
	}
	if errors.Is(err, exec.ErrNotFound) {
		out.Status = 127
		return out, &host.ExitError{Command: c.String(), Status: 127}
	}
	return out, err
}

// osFiles is the file access of the machine of the test.
type osFiles struct {
	prefix map[string]string // of paths that renames go to instead
}

func (f osFiles) at(p string) string {
	for from, to := range f.prefix {
		if rest, ok := strings.CutPrefix(p, from); ok {
			return to + rest
		}
	}
	return p
}

func describeFile(path string, info fs.FileInfo, err error) (host.FileInfo, error) {
	if err != nil {
		return host.FileInfo{}, err
	}
	s := info.Sys().(*syscall.Stat_t)
	return host.FileInfo{Path: path, Mode: info.Mode(), Size: info.Size(), UID: int(s.Uid), GID: int(s.Gid), Mtime: info.ModTime()}, nil
}

func (osFiles) Lstat(_ context.Context, p string) (host.FileInfo, error) {
	info, err := os.Lstat(p)
	return describeFile(p, info, err)
}

func (osFiles) Stat(_ context.Context, p string) (host.FileInfo, error) {
	info, err := os.Stat(p)
	return describeFile(p, info, err)
}

func (f osFiles) ReadDir(ctx context.Context, p string) ([]host.FileInfo, error) {
	entries, err := os.ReadDir(p)
	if err != nil {
		return nil, err
	}
	var list []host.FileInfo
	for _, e := range entries {
		info, err := f.Lstat(ctx, filepath.Join(p, e.Name()))
		if err != nil {
			return nil, err
		}
		list = append(list, info)
	}
	return list, nil
}

func (osFiles) Readlink(_ context.Context, p string) (string, error)    { return os.Readlink(p) }
func (osFiles) Open(_ context.Context, p string) (io.ReadCloser, error) { return os.Open(p) }
func (osFiles) Create(_ context.Context, p string, mode fs.FileMode) (io.WriteCloser, error) {
	return os.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}
func (osFiles) Mkdir(_ context.Context, p string, mode fs.FileMode) error { return os.Mkdir(p, mode) }
func (f osFiles) Rename(_ context.Context, from, to string) error {
	return os.Rename(f.at(from), f.at(to))
}
func (osFiles) Remove(_ context.Context, p string) error                  { return os.Remove(p) }
func (osFiles) Symlink(_ context.Context, target, p string) error         { return os.Symlink(target, p) }
func (osFiles) Link(_ context.Context, from, to string) error             { return os.Link(from, to) }
func (osFiles) Chmod(_ context.Context, p string, mode fs.FileMode) error { return os.Chmod(p, mode) }
func (osFiles) Chown(_ context.Context, p string, uid, gid int) error     { return os.Chown(p, uid, gid) }
func (osFiles) Chtimes(_ context.Context, p string, mtime time.Time) error {
	return os.Chtimes(p, mtime, mtime)
}
func (osFiles) FreeSpace(context.Context, string) (uint64, uint64, error) {
	return 1 << 40, 1 << 20, nil
}

// outcome is what a step came to, with everything that was told of it.
type outcome struct {
	module.Result
	kept []module.Original
}

func (o outcome) summaries() []string {
	var list []string
	for _, c := range o.Changes {
		list = append(list, c.Summary)
	}
	return list
}

// step runs one call of a module of the catalogue on a host named "here".
func step(t *testing.T, h *host.Host, name string, values map[string]any) outcome {
	t.Helper()
	return stepIn(t, context.Background(), h, name, values, false)
}

func stepIn(t *testing.T, ctx context.Context, h *host.Host, name string, values map[string]any, check bool) outcome {
	t.Helper()
	call, err := decode(name, values)
	if err != nil {
		t.Fatalf("cannot decode the call: %v", err)
	}
	if err := call.Bind(map[module.HostName]*host.Host{"here": h}); err != nil {
		t.Fatal(err)
	}
	var o outcome
	o.Result = call.Run(ctx, check, module.Observer{Keep: func(k module.Original) { o.kept = append(o.kept, k) }})
	return o
}

func decode(name string, values map[string]any) (*module.Call, error) {
	for _, m := range All() {
		if m.Name == name {
			return m.Decode(values)
		}
	}
	return nil, errors.New("no such module: " + name)
}

const here = module.HostName("here")
