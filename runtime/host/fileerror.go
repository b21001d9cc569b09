package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/pkg/sftp"
)

// FileError says what could not be done to a file. It wraps fs.ErrNotExist, fs.ErrExist, fs.ErrPermission,
// syscall.ENOSPC, syscall.ENOTEMPTY, … where that is the reason.
type FileError struct {
	Do   string // "open", "rename"
	Path string
	Why  string // in words
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("cannot %s %s: %s", e.Do, e.Path, e.Why) }
func (e *FileError) Unwrap() error { return e.Err }

// reasons are the errors of files in the words of an operator.
var reasons = []struct {
	is  error
	say string
}{
	{syscall.ENOSPC, "disk full"},
	{syscall.EDQUOT, "the disk quota is used up"},
	{syscall.EROFS, "the file system is read-only"},
	{syscall.ENOTEMPTY, "the directory is not empty"},
	{syscall.EISDIR, "it is a directory"},
	{syscall.ENOTDIR, "a part of the path is no directory"},
	{syscall.ELOOP, "the symbolic links lead round in a circle"},
	{syscall.EXDEV, "both are not on the same file system"},
	{syscall.ENAMETOOLONG, "the name is too long"},
	{syscall.EBUSY, "it is in use"},
	{fs.ErrNotExist, "no such file"},
	{fs.ErrExist, "it exists already"},
	{fs.ErrPermission, "permission denied"},
}

// NewFileError gives an error of the os or syscall package its shape; nil stays nil.
func NewFileError(do, path string, err error) error {
	if err == nil {
		return nil
	}
	for _, r := range reasons {
		if errors.Is(err, r.is) {
			return &FileError{Do: do, Path: path, Why: r.say, Err: err}
		}
	}
	var inner *os.PathError
	var link *os.LinkError
	why := err.Error()
	switch {
	case errors.As(err, &inner):
		why = inner.Err.Error()
	case errors.As(err, &link):
		why = link.Err.Error()
	}
	return &FileError{Do: do, Path: path, Why: why, Err: err}
}

// spaceFinder says what is free below a path.
type spaceFinder func(ctx context.Context, path string) (bytes, inodes uint64, err error)

// diskFull makes of an error that means a full disk one that says what is free; of any other it returns nil. Written is
// how many bytes did not fit: sftp says only "Failure".
func diskFull(ctx context.Context, do, path string, err error, written int, free spaceFinder) error {
	known := errors.Is(err, syscall.ENOSPC)
	if !known && !isFailure(err) {
		return nil
	}
	where := dirOf(path)
	bytes, inodes, spaceErr := free(ctx, where)
	switch {
	case spaceErr == nil && inodes == 0:
		return &FileError{Do: do, Path: path, Why: fmt.Sprintf("disk full: 0 inodes free on %s", where), Err: syscall.ENOSPC}
	case spaceErr == nil && (known || bytes == 0 || bytes < uint64(written)):
		return &FileError{Do: do, Path: path, Why: fmt.Sprintf("disk full: %d bytes free on %s", bytes, where), Err: syscall.ENOSPC}
	case known:
		return &FileError{Do: do, Path: path, Why: "disk full", Err: syscall.ENOSPC}
	}
	return nil
}

func dirOf(path string) string {
	switch i := strings.LastIndexByte(path, '/'); {
	case i > 0:
		return path[:i]
	case i == 0:
		return "/"
	}
	return "."
}

// isFailure says that sftp gives no reason: SSH_FX_FAILURE (draft-ietf-secsh-filexfer-02, 7).
func isFailure(err error) bool {
	var status *sftp.StatusError
	return errors.As(err, &status) && status.FxCode() == sftp.ErrSSHFxFailure
}

func isUnsupported(err error) bool {
	var status *sftp.StatusError
	return errors.As(err, &status) && status.FxCode() == sftp.ErrSSHFxOpUnsupported
}
