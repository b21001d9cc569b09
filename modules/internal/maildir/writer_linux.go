package maildir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// directSupported says that this system has a writer that makes system calls.
const directSupported = true

// localWriter writes by system calls relative to open directories, so that nobody who owns a directory below the root can
// lead a write out of it.
type localWriter struct {
	at      place
	root    int
	staging int
	dirs    map[string]int // open directories
	missed  int
	buf     []byte
	serial  int
}

// maxDirs is how many directories stay open.
const maxDirs = 64

func openLocal(at place, number int) (writer, error) {
	w := &localWriter{at: at, root: -1, staging: -1, dirs: map[string]int{}, buf: make([]byte, copySize)}
	var err error
	if w.root, err = unix.Open(at.root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", at.root, err)
	}
	name := at.staging
	if err = unix.Mkdirat(w.root, name, 0o700); err == nil || errors.Is(err, fs.ErrExist) {
		name += "/" + strconv.Itoa(number)
		if err = unix.Mkdirat(w.root, name, 0o700); err == nil || errors.Is(err, fs.ErrExist) {
			w.staging, err = w.openBeneath(name)
		}
	}
	if err != nil {
		_ = w.close()
		return nil, fmt.Errorf("cannot make a staging directory in %s: %w", at.root, err)
	}
	return w, nil
}

// openBeneath opens a directory below the root without following a symbolic link anywhere.
func (w *localWriter) openBeneath(dir string) (int, error) { return openBeneath(w.root, dir) }

func (w *localWriter) dir(path string) (int, error) {
	if path == "" {
		return w.root, nil
	}
	if fd, ok := w.dirs[path]; ok {
		return fd, nil
	}
	fd, err := w.openBeneath(path)
	if err != nil {
		return -1, err
	}
	if len(w.dirs) >= maxDirs {
		w.closeDirs()
	}
	w.dirs[path] = fd
	return fd, nil
}

func (w *localWriter) closeDirs() {
	for _, fd := range w.dirs {
		unix.Close(fd)
	}
	clear(w.dirs)
}

func (w *localWriter) fail(path string, err error) error {
	return fmt.Errorf("cannot write %s: %w", w.at.root+"/"+path, err)
}

func (w *localWriter) stage(name string, body io.Reader, size int64, mode uint32, t stamp) error {
	err := w.create(w.staging, name, body, size, mode, t)
	if err != nil {
		return w.fail(w.at.staging+"/"+name, err)
	}
	return nil
}

func (w *localWriter) create(dir int, name string, body io.Reader, size int64, mode uint32, t stamp) error {
	fd, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	err = w.fill(fd, body, size)
	if err == nil {
		err = unix.Fchown(fd, w.at.owner.uid, w.at.owner.gid)
	}
	if err == nil && mode != 0o600 { // which it has already, as most messages
		err = unix.Fchmod(fd, mode)
	}
	if err == nil {
		err = setTime(dir, name, t)
	}
	return errors.Join(err, unix.Close(fd))
}

func (w *localWriter) fill(fd int, body io.Reader, size int64) error {
	for size > 0 {
		part := w.buf[:min(size, int64(len(w.buf)))]
		if _, err := io.ReadFull(body, part); err != nil {
			return err
		}
		size -= int64(len(part))
		for len(part) > 0 {
			n, err := unix.Write(fd, part)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return err
			}
			part = part[n:]
		}
	}
	return nil
}

func setTime(dir int, name string, t stamp) error {
	spec, err := unix.TimeToTimespec(time.Unix(t.sec, int64(t.nsec)))
	if err != nil { // 32 bits cannot hold it
		return err
	}
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{spec, spec}, unix.AT_SYMLINK_NOFOLLOW)
}

func (w *localWriter) do(job work) error {
	var err error
	switch job.kind {
	case makeDir, setDir:
		err = w.makeDir(job)
	case dropCaches, dropBinary:
		err = w.drop(job)
	case rename:
		err = w.rename(job.from, job.to)
	case setAttr:
		err = w.setAttr(job)
	case link:
		err = w.link(job)
	case makeLink:
		err = w.symlink(job)
	case quarantine:
		err = w.putAside(job.to)
	default:
		err = fmt.Errorf("no such work: %c", job.kind)
	}
	if err != nil {
		return w.fail(job.to, err)
	}
	return nil
}

func (w *localWriter) makeDir(job work) error {
	dir, err := w.dir(dirOf(job.to))
	if err != nil {
		return err
	}
	if job.kind == makeDir {
		if err := unix.Mkdirat(dir, nameOf(job.to), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	fd, err := w.dir(job.to)
	if err != nil {
		return err
	}
	if err := unix.Fchown(fd, w.at.owner.uid, w.at.owner.gid); err != nil {
		return err
	}
	return unix.Fchmod(fd, job.mode)
}

// drop removes the caches of a directory; one that is not there has none.
func (w *localWriter) drop(job work) error {
	fd, err := w.openBeneath(job.to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), job.to)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		for _, p := range stale(job.kind) {
			if matchStar(p, name) {
				if err := unix.Unlinkat(fd, name, 0); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EISDIR) {
					return err
				}
			}
		}
	}
	return nil
}

func (w *localWriter) rename(from, to string) error {
	old, place, err := w.both(dirOf(from), dirOf(to))
	if err != nil {
		return err
	}
	return unix.Renameat(old, nameOf(from), place, nameOf(to))
}

// both opens two directories such that opening one does not close the other.
func (w *localWriter) both(a, b string) (int, int, error) {
	if len(w.dirs) > maxDirs-2 {
		w.closeDirs()
	}
	first, err := w.dir(a)
	if err != nil {
		return -1, -1, err
	}
	second, err := w.dir(b)
	return first, second, err
}

func (w *localWriter) setAttr(job work) error {
	dir, err := w.dir(dirOf(job.to))
	if err != nil {
		return err
	}
	fd, err := unix.Openat(dir, nameOf(job.to), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Fchown(fd, w.at.owner.uid, w.at.owner.gid); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, job.mode); err != nil {
		return err
	}
	return setTime(dir, nameOf(job.to), job.time)
}

func (w *localWriter) link(job work) error {
	from, to, err := w.both(dirOf(job.from), dirOf(job.to))
	if err != nil {
		return err
	}
	err = unix.Linkat(from, nameOf(job.from), to, nameOf(job.to), 0)
	if errors.Is(err, fs.ErrNotExist) {
		w.missed++
		return nil
	}
	return err
}

func (w *localWriter) symlink(job work) error {
	dir, err := w.dir(dirOf(job.to))
	if err != nil {
		return err
	}
	err = w.symlinkFrom(w.staging, job.from, dir, nameOf(job.to))
	if errors.Is(err, unix.EXDEV) { // another file system below the root
		err = w.symlinkFrom(dir, job.from, dir, nameOf(job.to))
	}
	return err
}

// symlinkFrom makes a symbolic link in one directory and renames it to its place in another.
func (w *localWriter) symlinkFrom(aside int, text string, dir int, to string) error {
	name := fmt.Sprintf("%slink-%d-%d", ownPrefix, os.Getpid(), w.serial)
	w.serial++
	err := unix.Symlinkat(text, aside, name)
	if err == nil {
		err = unix.Fchownat(aside, name, w.at.owner.uid, w.at.owner.gid, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil {
		err = unix.Renameat(aside, name, dir, to)
	}
	if err != nil {
		_ = unix.Unlinkat(aside, name, 0)
	}
	return err
}

// putAside moves a file or a directory into the quarantine, under the same path.
func (w *localWriter) putAside(name string) error {
	dir, err := w.dir(dirOf(name))
	if err != nil {
		return err
	}
	to := path.Join(w.at.quarantine, name)
	if err := os.MkdirAll(path.Dir(to), 0o700); err != nil {
		return err
	}
	return unix.Renameat(dir, nameOf(name), unix.AT_FDCWD, to)
}

func (w *localWriter) sync() error {
	if err := unix.Syncfs(w.root); err != nil {
		return fmt.Errorf("cannot sync %s: %w", w.at.root, err)
	}
	return nil
}

// syncLocal is syncDir on the runner's own host.
func syncLocal(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.Syncfs(fd), unix.Close(fd))
	}
	if err != nil {
		return fmt.Errorf("cannot sync %s: %w", dir, err)
	}
	return nil
}

// flush forgets the open directories: another writer may put others in their places.
func (w *localWriter) flush() error {
	w.closeDirs()
	return nil
}

func (w *localWriter) lost() int { return w.missed }

func (w *localWriter) close() error {
	w.closeDirs()
	for _, fd := range []int{w.staging, w.root} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	w.root, w.staging = -1, -1
	return nil
}
