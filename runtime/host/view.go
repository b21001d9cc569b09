package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
)

// View is a host that can be looked at and not changed. There is no way from a View back to its Host: whoever applies
// a change is handed the Host by the step that runs it.
type View struct{ b Backend }

// Host is a host that can be changed.
type Host struct {
	*View
}

// New makes a host of a backend.
func New(b Backend) *Host { return &Host{View: &View{b: b}} }

// Name is the host's name in the recipe.
func (v *View) Name() string { return v.b.Name() }

// Local says that the host is the machine the runner runs on, so that a path of it can be opened directly.
func (v *View) Local() bool { return v.b.Local() }

// Query runs a program that only looks, such as `systemctl show` or `find`. A status other than 0 is an [*ExitError];
// the Output is returned as well. Never use it for a program that changes the host.
func (v *View) Query(ctx context.Context, argv ...string) (Output, error) {
	return v.QueryCommand(ctx, Command{Argv: argv})
}

// QueryScript runs a shell script that only looks; see [Script].
func (v *View) QueryScript(ctx context.Context, text string, args ...string) (Output, error) {
	return v.QueryCommand(ctx, Script(text, args...))
}

// QueryCommand is Query with a working directory, an environment or input.
func (v *View) QueryCommand(ctx context.Context, c Command) (Output, error) {
	c.Looking = true
	return v.b.Exec(ctx, c)
}

// Stream starts a program that only looks and whose output is long.
func (v *View) Stream(ctx context.Context, c Command) (Process, error) {
	c.Looking = true
	return v.b.Start(ctx, c)
}

// piper is a backend that runs one program after the other through a channel that it keeps.
type piper interface {
	Pipe(ctx context.Context, c Command, input []byte) (Process, error)
}

// Pipe is Stream for a program whose whole input is known, and which need not have a channel of its own: one that another program
// has used and left is used again. Both outputs must be read to their ends before Wait.
func (v *View) Pipe(ctx context.Context, c Command, input []byte) (Process, error) {
	c.Looking = true
	if b, ok := v.b.(piper); ok {
		return b.Pipe(ctx, c, input)
	}
	p, err := v.b.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	go func() {
		_, _ = p.Stdin().Write(input)
		_ = p.Stdin().Close()
	}()
	return p, nil
}

// Dial connects to an address as the host sees it. The caller keeps to reading.
func (v *View) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return v.b.Dial(ctx, network, address)
}

// Facts are looked up once per host and remembered.
func (v *View) Facts(ctx context.Context) (*Facts, error) { return v.b.Facts(ctx) }

// Stat describes what path leads to; Lstat does not follow a symbolic link at its end. A path that is not there gives
// an error for which errors.Is(err, fs.ErrNotExist) holds.
func (v *View) Stat(ctx context.Context, path string) (FileInfo, error) {
	return v.b.Files().Stat(ctx, path)
}

// Lstat is Stat without following a symbolic link at the end of path.
func (v *View) Lstat(ctx context.Context, path string) (FileInfo, error) {
	return v.b.Files().Lstat(ctx, path)
}

// ReadDir lists a directory, sorted by name, without "." and "..".
func (v *View) ReadDir(ctx context.Context, path string) ([]FileInfo, error) {
	return v.b.Files().ReadDir(ctx, path)
}

// Readlink returns the target of a symbolic link.
func (v *View) Readlink(ctx context.Context, path string) (string, error) {
	return v.b.Files().Readlink(ctx, path)
}

// Open reads a file of any length.
func (v *View) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	return v.b.Files().Open(ctx, path)
}

// MaxReadFile is the largest file that ReadFile reads, in bytes: configuration, not data.
const MaxReadFile = 16 << 20

// ReadFile reads a whole file of at most [MaxReadFile] bytes.
func (v *View) ReadFile(ctx context.Context, path string) ([]byte, error) {
	if b, ok := v.b.(peeker); ok {
		if data, err := b.small(ctx, path); !errors.Is(err, errNoPeek) {
			return data, err
		}
	}
	f, err := v.b.Files().Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxReadFile+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if len(data) > MaxReadFile {
		return nil, fmt.Errorf("cannot read %s: larger than %d MiB, too large for a configuration file", path, MaxReadFile>>20)
	}
	return data, nil
}

// FreeSpace says how many bytes and inodes an unprivileged writer can still use below path.
func (v *View) FreeSpace(ctx context.Context, path string) (bytes, inodes uint64, err error) {
	return v.b.Files().FreeSpace(ctx, path)
}

// Run runs a program that may change the host. A status other than 0 is an [*ExitError]; the Output is returned as well.
func (h *Host) Run(ctx context.Context, argv ...string) (Output, error) {
	return h.RunCommand(ctx, Command{Argv: argv})
}

// RunCommand is Run with a working directory, an environment or input.
func (h *Host) RunCommand(ctx context.Context, c Command) (Output, error) {
	c.Looking = false
	return h.b.Exec(ctx, c)
}

// Start starts a long-running program in a channel of its own.
func (h *Host) Start(ctx context.Context, c Command) (Process, error) {
	c.Looking = false
	return h.b.Start(ctx, c)
}

// Files is the full access to the host's files.
func (h *Host) Files() Files { return h.b.Files() }

// Sudo is the same host as root; the host itself when it is root already.
func (h *Host) Sudo(ctx context.Context) (*Host, error) {
	b, err := h.b.Sudo(ctx)
	if err != nil {
		return nil, err
	}
	if b == h.b {
		return h, nil
	}
	return New(b), nil
}
