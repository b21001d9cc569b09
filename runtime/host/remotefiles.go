package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/pkg/sftp"
)

// remoteFiles is the file system of a host over sftp, at one privilege level.
type remoteFiles struct {
	level *level

	opening chan struct{} // holds one element while a session is being opened
	mu      sync.Mutex
	client  *sftpClient
}

func newRemoteFiles(l *level) *remoteFiles {
	return &remoteFiles{level: l, opening: make(chan struct{}, 1)}
}

func (r *remoteFiles) current() *sftpClient {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil && r.client.dead() {
		r.client.close()
		r.client = nil
	}
	if r.client != nil {
		r.client.users++
	}
	return r.client
}

// release ends the use of a session that session gave.
func (r *remoteFiles) release(c *sftpClient) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.users--
}

// evict ends the session if nobody uses it at the moment.
func (r *remoteFiles) evict() bool {
	r.mu.Lock()
	c := r.client
	if c == nil || c.users > 0 {
		r.mu.Unlock()
		return false
	}
	r.client = nil
	r.mu.Unlock()
	c.close()
	return true
}

// session returns the sftp session, opened anew when there is none. It is not ended for others to have its place before
// release is called.
func (r *remoteFiles) session(ctx context.Context) (*sftpClient, error) {
	if c := r.current(); c != nil {
		return c, nil
	}
	select {
	case r.opening <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-r.opening }()
	if c := r.current(); c != nil {
		return c, nil
	}
	c, err := r.level.openSftp(ctx)
	if err != nil {
		return nil, err
	}
	c.users = 1
	r.mu.Lock()
	r.client = c
	r.mu.Unlock()
	return c, nil
}

func (r *remoteFiles) drop() {
	r.mu.Lock()
	c := r.client
	r.client = nil
	r.mu.Unlock()
	if c != nil {
		c.close()
	}
}

// ask sends one request. The library knows no contexts: a request whose context ends is left to itself.
func ask[T any](ctx context.Context, r *remoteFiles, do, p string, request func(*sftpClient) (T, error)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, context.Cause(ctx)
	}
	c, err := r.session(ctx)
	if err != nil {
		return none, err
	}
	defer r.release(c)
	return within(ctx, r, c, do, p, func() (T, error) { return request(c) })
}

func within[T any](ctx context.Context, r *remoteFiles, c *sftpClient, do, p string, request func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	answers := make(chan answer, 1)
	go func() {
		v, err := request()
		answers <- answer{v, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return a.value, r.explain(c, do, p, a.err)
		}
		return a.value, nil
	case <-ctx.Done():
		return none, &FileError{Do: do, Path: p, Why: context.Cause(ctx).Error(), Err: context.Cause(ctx)}
	}
}

// explain gives an error of sftp its shape.
func (r *remoteFiles) explain(c *sftpClient, do, p string, err error) error {
	if errors.Is(err, sftp.ErrSSHFxConnectionLost) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, io.EOF) {
		if lostSoon(c.conn) {
			return &FileError{Do: do, Path: p, Why: r.level.lostError(c.conn).Error(), Err: r.level.lostError(c.conn)}
		}
		return &FileError{Do: do, Path: p, Why: "the sftp server of the host ended under it", Err: err}
	}
	var known *FileError
	if errors.As(err, &known) {
		return err
	}
	if isFailure(err) {
		return &FileError{Do: do, Path: p, Why: "the sftp server of the host refuses and does not say why", Err: err}
	}
	return NewFileError(do, p, err)
}

func change(ctx context.Context, r *remoteFiles, do, p string, request func(*sftpClient) error) error {
	_, err := ask(ctx, r, do, p, func(c *sftpClient) (struct{}, error) { return struct{}{}, request(c) })
	return err
}

func describeRemote(p string, info os.FileInfo) FileInfo {
	f := FileInfo{Path: p, Mode: info.Mode(), Size: info.Size(), Mtime: info.ModTime()}
	if st, ok := info.Sys().(*sftp.FileStat); ok {
		f.UID, f.GID = int(st.UID), int(st.GID)
	}
	return f
}

func (r *remoteFiles) Lstat(ctx context.Context, p string) (FileInfo, error) {
	return ask(ctx, r, "look at", p, func(c *sftpClient) (FileInfo, error) {
		info, err := c.Lstat(p)
		if err != nil {
			return FileInfo{}, err
		}
		return describeRemote(p, info), nil
	})
}

func (r *remoteFiles) Stat(ctx context.Context, p string) (FileInfo, error) {
	return ask(ctx, r, "look at", p, func(c *sftpClient) (FileInfo, error) {
		info, err := c.Stat(p)
		if err != nil {
			return FileInfo{}, err
		}
		return describeRemote(p, info), nil
	})
}

func (r *remoteFiles) ReadDir(ctx context.Context, p string) ([]FileInfo, error) {
	return ask(ctx, r, "list", p, func(c *sftpClient) ([]FileInfo, error) {
		entries, err := c.ReadDirContext(ctx, p)
		if err != nil {
			return nil, r.why(c, err, p, false)
		}
		list := make([]FileInfo, len(entries))
		for i, e := range entries {
			list[i] = describeRemote(path.Join(p, e.Name()), e)
		}
		slices.SortFunc(list, func(a, b FileInfo) int { return cmp.Compare(a.Path, b.Path) })
		return list, nil
	})
}

func (r *remoteFiles) Readlink(ctx context.Context, p string) (string, error) {
	return ask(ctx, r, "read the link", p, func(c *sftpClient) (string, error) { return c.ReadLink(p) })
}

func (r *remoteFiles) Mkdir(ctx context.Context, p string, mode fs.FileMode) error {
	return change(ctx, r, "make the directory", p, func(c *sftpClient) error {
		if err := c.Mkdir(p); err != nil {
			return r.why(c, err, p, true)
		}
		return c.Chmod(p, mode)
	})
}

func (r *remoteFiles) Rename(ctx context.Context, from, to string) error {
	return change(ctx, r, "rename", from+" to "+to, func(c *sftpClient) error {
		if _, ok := c.HasExtension("posix-rename@openssh.com"); ok {
			return c.PosixRename(from, to)
		}
		if err := c.Client.Rename(from, to); err != nil {
			return r.why(c, err, to, true)
		}
		return nil
	})
}

func (r *remoteFiles) Remove(ctx context.Context, p string) error {
	return change(ctx, r, "remove", p, func(c *sftpClient) error {
		err := c.Remove(p)
		if !isFailure(err) {
			return err
		}
		if entries, listErr := c.ReadDir(p); listErr == nil && len(entries) > 0 {
			return syscall.ENOTEMPTY
		}
		return err
	})
}

func (r *remoteFiles) Symlink(ctx context.Context, target, p string) error {
	return change(ctx, r, "make the link", p, func(c *sftpClient) error {
		if err := c.Symlink(target, p); err != nil {
			return r.why(c, err, p, true)
		}
		return nil
	})
}

// linkScript stands in for an sftp server without the extension for hard links (before OpenSSH 5.7). ln by itself would put
// the link into a directory that is there already.
const linkScript = `if test -e "$2" || test -L "$2";then exit 17;fi;ln -- "$1" "$2"`

func (r *remoteFiles) Link(ctx context.Context, from, to string) error {
	what := from + " to " + to
	err := change(ctx, r, "link", what, func(c *sftpClient) error {
		if err := c.Link(from, to); err != nil {
			return r.why(c, err, to, true)
		}
		return nil
	})
	if !isUnsupported(err) {
		return err
	}
	var exit *ExitError
	_, err = r.level.Exec(ctx, Script(linkScript, absolute(from), absolute(to)))
	switch {
	case errors.As(err, &exit) && exit.Status == 17:
		return NewFileError("link", what, fs.ErrExist)
	case exit != nil:
		return &FileError{Do: "link", Path: what, Why: lastLine(exit.Stderr), Err: err}
	}
	return err
}

// absolute keeps a relative path from being taken for an option.
func absolute(p string) string {
	if path.IsAbs(p) {
		return p
	}
	return "./" + p
}

func (r *remoteFiles) Chmod(ctx context.Context, p string, mode fs.FileMode) error {
	return change(ctx, r, "change the mode of", p, func(c *sftpClient) error { return c.Chmod(p, mode) })
}

func (r *remoteFiles) Chown(ctx context.Context, p string, uid, gid int) error {
	return change(ctx, r, "change the owner of", p, func(c *sftpClient) error {
		if uid < 0 || gid < 0 { // the protocol sets both or none
			info, err := c.Stat(p)
			if err != nil {
				return err
			}
			now := describeRemote(p, info)
			if uid < 0 {
				uid = now.UID
			}
			if gid < 0 {
				gid = now.GID
			}
		}
		return c.Chown(p, uid, gid)
	})
}

func (r *remoteFiles) Chtimes(ctx context.Context, p string, mtime time.Time) error {
	return change(ctx, r, "change the time of", p, func(c *sftpClient) error { return c.Chtimes(p, mtime, mtime) })
}

// why finds the reason of a "Failure" about a path: something is there already, a part of the path is no directory, or the disk is full.
func (r *remoteFiles) why(c *sftpClient, err error, p string, making bool) error {
	if !isFailure(err) {
		return err
	}
	if parent, statErr := c.Stat(dirOf(p)); making && statErr == nil && !parent.IsDir() {
		return syscall.ENOTDIR
	}
	if info, statErr := c.Lstat(p); statErr == nil {
		switch {
		case making:
			return fs.ErrExist
		case !info.IsDir():
			return syscall.ENOTDIR
		}
	}
	if making {
		if bytes, inodes, spaceErr := vfsSpace(c, dirOf(p)); spaceErr == nil && (bytes == 0 || inodes == 0) {
			return syscall.ENOSPC
		}
	}
	return err
}

func vfsSpace(c *sftpClient, p string) (bytes, inodes uint64, err error) {
	st, err := c.StatVFS(p)
	if err != nil {
		return 0, 0, err
	}
	size := cmp.Or(st.Frsize, st.Bsize)
	return st.Bavail * size, inodesOf(st.Files, st.Favail), nil
}

func (r *remoteFiles) FreeSpace(ctx context.Context, p string) (bytes, inodes uint64, err error) {
	type space struct{ bytes, inodes uint64 }
	s, err := ask(ctx, r, "find out what is free on", p, func(c *sftpClient) (space, error) {
		bytes, inodes, err := vfsSpace(c, p)
		return space{bytes, inodes}, err
	})
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || ctx.Err() != nil {
		return s.bytes, s.inodes, err
	}
	var unreachable *UnreachableError
	if errors.As(err, &unreachable) {
		return 0, 0, err
	}
	// A server without statvfs@openssh.com.
	c := Script(dfScript, absolute(p))
	c.Looking = true
	out, err := r.level.Exec(ctx, c)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot find out what is free on %s: %w", p, err)
	}
	bytes, inodes, err = parseDf(out.Stdout)
	if err != nil {
		return 0, 0, fmt.Errorf("cannot find out what is free on %s: %w", p, err)
	}
	return bytes, inodes, nil
}
