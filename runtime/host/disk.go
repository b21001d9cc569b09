package host

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// diskFiles is the file system of this machine, without a detour. Relative paths start at the home directory, as with sftp.
type diskFiles struct{}

func (diskFiles) at(p string) string {
	if path.IsAbs(p) {
		return p
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return p
	}
	return path.Join(home, p)
}

func describe(p string, info fs.FileInfo) FileInfo {
	f := FileInfo{Path: p, Mode: info.Mode(), Size: info.Size(), Mtime: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.UID, f.GID = int(st.Uid), int(st.Gid)
	}
	return f
}

func (d diskFiles) look(ctx context.Context, p string, stat func(string) (fs.FileInfo, error)) (FileInfo, error) {
	if err := ctx.Err(); err != nil {
		return FileInfo{}, context.Cause(ctx)
	}
	info, err := stat(d.at(p))
	if err != nil {
		return FileInfo{}, NewFileError("look at", p, err)
	}
	return describe(p, info), nil
}

func (d diskFiles) Lstat(ctx context.Context, p string) (FileInfo, error) {
	return d.look(ctx, p, os.Lstat)
}
func (d diskFiles) Stat(ctx context.Context, p string) (FileInfo, error) {
	return d.look(ctx, p, os.Stat)
}

func (d diskFiles) ReadDir(ctx context.Context, p string) ([]FileInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	entries, err := os.ReadDir(d.at(p))
	if err != nil {
		return nil, NewFileError("list", p, err)
	}
	list := make([]FileInfo, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) { // gone since the directory was read
			continue
		}
		if err != nil {
			return nil, NewFileError("look at", path.Join(p, e.Name()), err)
		}
		list = append(list, describe(path.Join(p, e.Name()), info))
	}
	return list, nil
}

func (d diskFiles) Readlink(ctx context.Context, p string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", context.Cause(ctx)
	}
	target, err := os.Readlink(d.at(p))
	return target, NewFileError("read the link", p, err)
}

func (d diskFiles) Open(ctx context.Context, p string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	f, err := os.Open(d.at(p))
	if err != nil {
		return nil, NewFileError("open", p, err)
	}
	return f, nil
}

func (d diskFiles) Create(ctx context.Context, p string, mode fs.FileMode) (io.WriteCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	f, err := os.OpenFile(d.at(p), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, d.explain(ctx, "create", p, err)
	}
	// Not by O_CREAT, whose mode the umask cuts.
	if err := f.Chmod(mode); err != nil {
		f.Close()
		os.Remove(d.at(p))
		return nil, NewFileError("create", p, err)
	}
	return &diskWriter{ctx: ctx, f: f, path: p}, nil
}

// diskWriter writes a file of this machine.
type diskWriter struct {
	ctx  context.Context
	f    *os.File
	path string
}

func (w *diskWriter) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, context.Cause(w.ctx)
	}
	n, err := w.f.Write(b)
	return n, diskFiles{}.explain(w.ctx, "write", w.path, err)
}

func (w *diskWriter) Close() error {
	err := w.f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) { // a file system without it
		err = nil
	}
	return diskFiles{}.explain(w.ctx, "write", w.path, errors.Join(err, w.f.Close()))
}

func (d diskFiles) explain(ctx context.Context, do, p string, err error) error {
	if err == nil {
		return nil
	}
	if full := diskFull(ctx, do, p, err, 0, d.FreeSpace); full != nil {
		return full
	}
	return NewFileError(do, p, err)
}

func (d diskFiles) Mkdir(ctx context.Context, p string, mode fs.FileMode) error {
	return d.change(ctx, "make the directory", p, func() error {
		if err := os.Mkdir(d.at(p), 0o700); err != nil {
			return err
		}
		return os.Chmod(d.at(p), mode)
	})
}

func (d diskFiles) Rename(ctx context.Context, from, to string) error {
	return d.change(ctx, "rename", from+" to "+to, func() error { return os.Rename(d.at(from), d.at(to)) })
}

func (d diskFiles) Remove(ctx context.Context, p string) error {
	return d.change(ctx, "remove", p, func() error { return os.Remove(d.at(p)) })
}

func (d diskFiles) Symlink(ctx context.Context, target, p string) error {
	return d.change(ctx, "make the link", p, func() error { return os.Symlink(target, d.at(p)) })
}

func (d diskFiles) Link(ctx context.Context, from, to string) error {
	return d.change(ctx, "link", from+" to "+to, func() error { return os.Link(d.at(from), d.at(to)) })
}

func (d diskFiles) Chmod(ctx context.Context, p string, mode fs.FileMode) error {
	return d.change(ctx, "change the mode of", p, func() error { return os.Chmod(d.at(p), mode) })
}

func (d diskFiles) Chown(ctx context.Context, p string, uid, gid int) error {
	return d.change(ctx, "change the owner of", p, func() error { return os.Chown(d.at(p), uid, gid) })
}

func (d diskFiles) Chtimes(ctx context.Context, p string, mtime time.Time) error {
	return d.change(ctx, "change the time of", p, func() error { return os.Chtimes(d.at(p), mtime, mtime) })
}

func (d diskFiles) change(ctx context.Context, do, p string, f func() error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return d.explain(ctx, do, p, f())
}

func (d diskFiles) FreeSpace(ctx context.Context, p string) (bytes, inodes uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, context.Cause(ctx)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(d.at(p), &st); err != nil {
		return 0, 0, NewFileError("find out what is free on", p, err)
	}
	return st.Bavail * uint64(st.Bsize), inodesOf(st.Files, st.Ffree), nil
}

// inodesOf is what is free of inodes. A file system that makes them as needed, such as btrfs, says that it has none at all.
func inodesOf(total, free uint64) uint64 {
	if total == 0 {
		return math.MaxUint64
	}
	return free
}
