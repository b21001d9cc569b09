package maildir

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// walker lists directories below a root, and follows no symbolic link on the way to them.
type walker struct {
	root  int
	buf   []byte
	names []string
	st    unix.Stat_t
}

func openWalker(root string) (*walker, error) {
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: root, Err: err}
	}
	return &walker{root: fd, buf: make([]byte, 64<<10)}, nil
}

func (w *walker) close() { unix.Close(w.root) }

// stat looks at a path that is one name below the root.
func (w *walker) stat(path string) (node, error) {
	if err := unix.Fstatat(w.root, path, &w.st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return node{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return w.node(w.root, path)
}

// directory calls each with what lies in a directory: its name, what it is, and how many names it has. The node is used again
// for the next. What is not there any more, the directory itself (Op is then "open") or a file in it, is no error: gone tells the
// last of them.
func (w *walker) directory(dir string, each func(name string, n *node, links uint64) error) (gone, err error) {
	fd, err := openBeneath(w.root, dir)
	if err != nil {
		err = &fs.PathError{Op: "open", Path: dir, Err: err}
		if errors.Is(err, fs.ErrNotExist) {
			return err, nil
		}
		return nil, err
	}
	defer unix.Close(fd)
	for {
		size, err := unix.ReadDirent(fd, w.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: dir, Err: err}
		}
		if size <= 0 {
			return gone, nil
		}
		_, _, w.names = unix.ParseDirent(w.buf[:size], -1, w.names[:0])
		for _, name := range w.names {
			n, err := w.entry(fd, name)
			if err == nil {
				err = each(name, &n, uint64(w.st.Nlink))
			} else if err = (&fs.PathError{Op: "stat", Path: join(dir, name), Err: err}); errors.Is(err, fs.ErrNotExist) {
				gone, err = err, nil
			}
			if err != nil {
				return nil, err
			}
		}
	}
}

func (w *walker) entry(fd int, name string) (node, error) {
	if err := unix.Fstatat(fd, name, &w.st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return node{}, err
	}
	return w.node(fd, name)
}

// node makes a node of what was looked at last.
func (w *walker) node(fd int, name string) (node, error) {
	st := &w.st
	n := node{
		kind: kindOf(st.Mode), mode: st.Mode & 0o7777, uid: int(st.Uid), gid: int(st.Gid), size: st.Size, inode: st.Ino,
		time: stamp{int64(st.Mtim.Sec), int32(st.Mtim.Nsec)}, ctime: stamp{int64(st.Ctim.Sec), int32(st.Ctim.Nsec)},
	}
	if n.kind == 'l' {
		var text [4096]byte
		size, err := unix.Readlinkat(fd, name, text[:])
		if err != nil {
			return n, err
		}
		n.text = string(text[:size])
	}
	return n, nil
}

// kindOf is the type of a file as find's %y writes it.
func kindOf(mode uint32) byte {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 'f'
	case unix.S_IFDIR:
		return 'd'
	case unix.S_IFLNK:
		return 'l'
	case unix.S_IFIFO:
		return 'p'
	case unix.S_IFSOCK:
		return 's'
	case unix.S_IFBLK:
		return 'b'
	case unix.S_IFCHR:
		return 'c'
	}
	return 'U'
}

// openBeneath opens a directory below the directory root without following a symbolic link anywhere.
func openBeneath(root int, dir string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if dir == "" {
		dir = "."
	}
	fd, err := unix.Openat2(root, dir, &unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS})
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return fd, err
	}
	// Linux before 5.6, or a sandbox that knows no openat2: one directory after the other.
	at, err := unix.Dup(root)
	for _, part := range strings.Split(dir, "/") {
		if err != nil {
			return -1, err
		}
		var next int
		next, err = unix.Openat(at, part, flags, 0)
		unix.Close(at)
		at = next
	}
	return at, err
}

// sameDevice says whether two files lie on one file system.
func sameDevice(a, b fs.FileInfo) bool {
	x, isUnix := a.Sys().(*syscall.Stat_t)
	y, _ := b.Sys().(*syscall.Stat_t)
	return isUnix && x.Dev == y.Dev
}
