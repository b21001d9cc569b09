package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/pkg/sftp"
)

func (r *remoteFiles) Open(ctx context.Context, p string) (io.ReadCloser, error) {
	f, c, err := r.open(ctx, "open", p, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	return &remoteReader{stream: &stream{ctx: ctx, files: r, client: c, file: f, path: p}}, nil
}

func (r *remoteFiles) Create(ctx context.Context, p string, mode fs.FileMode) (io.WriteCloser, error) {
	f, c, err := r.open(ctx, "create", p, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	_, err = within(ctx, r, c, "create", p, func() (struct{}, error) { return struct{}{}, f.Chmod(mode) })
	if err != nil {
		go func() { f.Close(); c.Remove(p); r.release(c) }()
		return nil, err
	}
	return &remoteWriter{stream: &stream{ctx: ctx, files: r, client: c, file: f, path: p}}, nil
}

// open opens a file in a session, which is in use until release.
func (r *remoteFiles) open(ctx context.Context, do, p string, flags int) (*sftp.File, *sftpClient, error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	c, err := r.session(ctx)
	if err != nil {
		return nil, nil, err
	}
	f, err := within(ctx, r, c, do, p, func() (*sftp.File, error) {
		f, err := c.OpenFile(p, flags)
		if err != nil {
			return nil, r.why(c, err, p, flags&os.O_CREATE != 0)
		}
		return f, nil
	})
	if err != nil {
		r.release(c)
		return nil, nil, err
	}
	return f, c, nil
}

// stream is an open file of a host.
type stream struct {
	ctx     context.Context
	files   *remoteFiles
	client  *sftpClient
	file    *sftp.File
	path    string
	closing sync.Once
	closed  error
}

// during does one thing to the file, and gives up on it when the context ends.
func during[T any](s *stream, f func() (T, error)) (T, error) {
	var none T
	if s.ctx.Err() != nil {
		return none, context.Cause(s.ctx)
	}
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		v, err := f()
		answers <- answer{v, err}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-s.ctx.Done():
		return none, context.Cause(s.ctx)
	}
}

// remoteReader reads a file of a host.
type remoteReader struct {
	*stream
	ahead []byte
	size  int // of the next request
	err   error
}

// Of a file as much is asked for at once as a few round trips carry: the protocol's own 32 KiB at a time would wait a
// round trip for each. A small file costs a small request.
const (
	firstRead   = 32 << 10
	largestRead = 2 << 20
)

func (r *remoteReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(r.ahead) == 0 && r.err == nil {
		r.size = min(max(firstRead, 4*r.size), largestRead)
		buf := make([]byte, r.size)
		n, err := during(r.stream, func() (int, error) { return r.file.Read(buf) })
		r.ahead = buf[:n]
		switch {
		case errors.Is(err, io.EOF) && !r.client.dead():
			r.err = io.EOF
		case err != nil:
			r.err = r.files.explain(r.client, "read", r.path, err)
		}
	}
	if len(r.ahead) > 0 {
		n := copy(b, r.ahead)
		r.ahead = r.ahead[n:]
		return n, nil
	}
	return 0, r.err
}

func (r *remoteReader) Close() error {
	r.stream.close(r.file.Close)
	return nil // what was read is read
}

// remoteWriter writes a file of a host.
type remoteWriter struct{ *stream }

func (w *remoteWriter) Write(b []byte) (int, error) {
	// A copy: when the context ends, the library goes on with it for a while.
	data := bytes.Clone(b)
	n, err := during(w.stream, func() (int, error) { return w.file.Write(data) })
	if err != nil {
		return n, w.explain(err, len(b))
	}
	return n, nil
}

func (w *remoteWriter) Close() error {
	return w.stream.close(func() error {
		var err error
		if _, ok := w.client.HasExtension("fsync@openssh.com"); ok { // OpenSSH 6.5 and later
			err = w.file.Sync()
		}
		if err = errors.Join(err, w.file.Close()); err != nil {
			return w.explain(err, 0)
		}
		return nil
	})
}

func (w *remoteWriter) explain(err error, written int) error {
	space := func(ctx context.Context, p string) (uint64, uint64, error) { return vfsSpace(w.client, p) }
	if full := diskFull(w.ctx, "write", w.path, err, written, space); full != nil {
		return full
	}
	return w.files.explain(w.client, "write", w.path, err)
}

// close closes the file once; the end of the context does not wait for it.
func (s *stream) close(f func() error) error {
	s.closing.Do(func() {
		done := make(chan error, 1)
		go func() {
			done <- f()
			s.files.release(s.client)
		}()
		select {
		case s.closed = <-done:
		case <-s.ctx.Done():
			s.closed = &FileError{Do: "close", Path: s.path, Why: context.Cause(s.ctx).Error(), Err: context.Cause(s.ctx)}
		}
	})
	return s.closed
}
