package maildir

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func (w *localWriter) commit(name, to string) error {
	if err := w.place(w.staging, name, to); err != nil {
		return w.fail(to, err)
	}
	return nil
}

// place renames a file of the directory from to its place.
func (w *localWriter) place(from int, name, to string) error {
	for again := false; ; again = true {
		dir, err := w.dir(dirOf(to))
		if err != nil {
			return err
		}
		err = unix.Renameat(from, name, dir, nameOf(to))
		switch {
		case errors.Is(err, unix.ENOENT) && !again:
			w.forget(dirOf(to)) // another writer may have put another directory there
		case errors.Is(err, unix.EXDEV):
			return w.placeAcross(from, name, dir, nameOf(to))
		default:
			return err
		}
	}
}

func (w *localWriter) forget(dir string) {
	if fd, open := w.dirs[dir]; open {
		unix.Close(fd)
		delete(w.dirs, dir)
	}
}

// placeAcross brings a staged file to another file system mounted below the root: a second copy beside the place, then a rename.
func (w *localWriter) placeAcross(from int, name string, dir int, to string) error {
	fd, err := unix.Openat(from, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	aside := fmt.Sprintf("%saside-%d-%d", ownPrefix, os.Getpid(), w.serial)
	w.serial++
	err = w.create(dir, aside, f, st.Size, st.Mode&0o777, stamp{int64(st.Mtim.Sec), int32(st.Mtim.Nsec)})
	if err == nil { // what sync did was for the other file system
		err = syncFile(dir, aside)
	}
	if err == nil {
		err = unix.Renameat(dir, aside, dir, to)
	}
	if err != nil {
		_ = unix.Unlinkat(dir, aside, 0)
		return err
	}
	return unix.Unlinkat(from, name, 0)
}

func syncFile(dir int, name string) error {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return errors.Join(unix.Fsync(fd), unix.Close(fd))
}

func (w *localWriter) stageDir(name, to string) error {
	like, err := w.dir(to)
	if err != nil {
		return w.fail(to, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(like, &st); err == nil {
		err = unix.Mkdirat(w.staging, name, 0o700)
	}
	if err == nil {
		err = unix.Fchownat(w.staging, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW)
	}
	if err == nil {
		err = unix.Fchmodat(w.staging, name, st.Mode&0o7777, 0)
	}
	if err != nil {
		return w.fail(w.at.staging+"/"+name, err)
	}
	return nil
}

// commitDir: rename(2) puts a directory in the place of another that is empty, and of no other.
func (w *localWriter) commitDir(name, to string) error {
	parent, err := w.dir(dirOf(to))
	if err == nil {
		if unix.Renameat(w.staging, name, parent, nameOf(to)) == nil {
			w.forget(to)
			return nil
		}
		err = w.placeEach(name, to)
	}
	if err != nil {
		return w.fail(to, err)
	}
	return nil
}

func (w *localWriter) placeEach(name, to string) error {
	fd, err := unix.Openat(w.staging, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	staged := os.NewFile(uintptr(fd), name)
	defer staged.Close()
	files, err := staged.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := w.place(fd, file, join(to, file)); err != nil {
			return err
		}
	}
	return unix.Unlinkat(w.staging, name, unix.AT_REMOVEDIR)
}
