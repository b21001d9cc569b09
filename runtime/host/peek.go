package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"
)

// Peeked is what is at a path, and what is in it when that came along.
type Peeked struct {
	Info    FileInfo
	Content []byte // of a regular file, when Read is set
	Read    bool
}

// maxPeek is the largest file whose content comes along, in bytes.
const maxPeek = 64 << 10

// Peek is Lstat, and reads a small regular file in the same round trip where the way to the host is long.
func (v *View) Peek(ctx context.Context, path string) (Peeked, error) {
	if b, ok := v.b.(peeker); ok {
		if p, err := b.peek(ctx, path); !errors.Is(err, errNoPeek) {
			return p, err
		}
	}
	info, err := v.Lstat(ctx, path)
	return Peeked{Info: info}, err
}

// peeker is a backend that can look at files by way of its shell.
type peeker interface {
	peek(ctx context.Context, path string) (Peeked, error)
	small(ctx context.Context, path string) ([]byte, error)
}

// errNoPeek says that the files of the host have to be asked, because that is faster or because they know why something cannot be looked at.
var errNoPeek = errors.New("not by way of the shell")

// peekScript prints a line of what $1 is, as hexadecimal mode, owner, group, size and time, or "absent" where nothing of that name is in a
// directory that can be searched, and at most $2 bytes of a regular file behind that. stat(1) is GNU's or busybox's.
const peekScript = `d=${1%/*}/
if [ ! -e "$1" ] && [ ! -L "$1" ]; then [ -d "$d" ] && [ -x "$d" ] && echo absent; exit 1; fi
LC_ALL=C stat -c '%f %u %g %s %Y' -- "$1" 2>/dev/null || exit 1
if [ ! -L "$1" ] && [ -f "$1" ] && [ -r "$1" ]; then exec head -c "$2" -- "$1"; fi
exit 3`

// smallScript prints at most $2 bytes of the regular file that $1 leads to.
const smallScript = `[ -f "$1" ] && [ -r "$1" ] && exec head -c "$2" -- "$1"`

func (l *level) peek(ctx context.Context, path string) (Peeked, error) {
	if !l.far(ctx) || !strings.HasPrefix(path, "/") || strings.IndexByte(path, 0) >= 0 {
		return Peeked{}, errNoPeek
	}
	out, err := l.look(ctx, peekScript, path)
	if err != nil && ctx.Err() != nil {
		return Peeked{}, err
	}
	if exit := (*ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return Peeked{}, err
	}
	if out.Stdout == "absent\n" {
		return Peeked{}, NewFileError("look at", path, syscall.ENOENT)
	}
	line, content, _ := strings.Cut(out.Stdout, "\n")
	p := Peeked{Info: FileInfo{Path: path}}
	var mode uint32
	var mtime int64
	if n, _ := fmt.Sscanf(line, "%x %d %d %d %d", &mode, &p.Info.UID, &p.Info.GID, &p.Info.Size, &mtime); n != 5 {
		return Peeked{}, errNoPeek
	}
	p.Info.Mode, p.Info.Mtime = modeOf(mode), time.Unix(mtime, 0)
	if err == nil && len(content) <= maxPeek {
		p.Content, p.Read = []byte(content), true
	}
	return p, nil
}

func (l *level) small(ctx context.Context, path string) ([]byte, error) {
	if !l.far(ctx) || !strings.HasPrefix(path, "/") || strings.IndexByte(path, 0) >= 0 {
		return nil, errNoPeek
	}
	out, err := l.look(ctx, smallScript, path)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	if err != nil || len(out.Stdout) > maxPeek {
		return nil, errNoPeek // the files know why, or read it all
	}
	return []byte(out.Stdout), nil
}

// A request of sftp takes one way to and fro, and reading a file five of them; the shell takes one and starts two programs, some
// 2 ms. So the shell is for hosts whose answers take longer than this.
const nearby = time.Millisecond

// far says that the shell is the faster way to look at files.
func (l *level) far(ctx context.Context) bool {
	if l.Local() {
		return false
	}
	conn, err := l.connect(ctx)
	if err != nil {
		return false // the files say why
	}
	c, ok := conn.(interface {
		Distance(context.Context) time.Duration
	})
	return ok && c.Distance(ctx) > nearby
}

func (l *level) look(ctx context.Context, script, path string) (Output, error) {
	c := Script(script, path, fmt.Sprint(maxPeek+1))
	c.Looking = true
	return l.Exec(ctx, c)
}

// modeOf is st_mode of stat(2) in the terms of package fs.
func modeOf(st uint32) fs.FileMode {
	mode := fs.FileMode(st & 0o777)
	mode |= map[uint32]fs.FileMode{
		syscall.S_IFDIR: fs.ModeDir, syscall.S_IFLNK: fs.ModeSymlink, syscall.S_IFIFO: fs.ModeNamedPipe, syscall.S_IFSOCK: fs.ModeSocket,
		syscall.S_IFBLK: fs.ModeDevice, syscall.S_IFCHR: fs.ModeDevice | fs.ModeCharDevice,
	}[st&syscall.S_IFMT]
	for bit, is := range map[uint32]fs.FileMode{syscall.S_ISUID: fs.ModeSetuid, syscall.S_ISGID: fs.ModeSetgid, syscall.S_ISVTX: fs.ModeSticky} {
		if st&bit != 0 {
			mode |= is
		}
	}
	return mode
}
