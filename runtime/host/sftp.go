package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/pkg/sftp"

	"runner/runtime/transport"
)

// runSftpServer becomes the sftp server of the host. It is run as a program instead of asked for as a subsystem, so
// that it can be run as root through sudo, is not disturbed by what the login shell's start files print, and creates
// files that nobody else can open before they have got their mode: the protocol of that library sets no mode at the
// creation, and `sftp-server -u` is newer than Debian 5.
const runSftpServer = `umask 077
for p in /usr/lib/openssh/sftp-server /usr/lib/sftp-server /usr/libexec/openssh/sftp-server /usr/libexec/sftp-server /usr/lib/ssh/sftp-server /usr/local/libexec/sftp-server
do test -x $p && exec $p
done
set -- $(sed -n 's/^[[:space:]]*[Ss]ubsystem[[:space:]]*sftp[[:space:]]*//p' /etc/ssh/sshd_config 2>/dev/null)
test -x "$1" && exec "$@"
echo there is no sftp-server >&2
exit 127`

// subsystems is a connection that starts subsystems as well (RFC 4254, 6.5).
type subsystems interface {
	Subsystem(ctx context.Context, name string) (transport.Process, error)
}

// sftpClient is an sftp session at one privilege level.
type sftpClient struct {
	*sftp.Client
	conn  transport.Conn
	close func()
	ended chan struct{}
	users int // requests under way and open files; guarded by the mutex of remoteFiles
}

func (l *level) openSftp(ctx context.Context) (*sftpClient, error) {
	ch, err := l.launch(ctx, runSftpServer, 1)
	if err != nil {
		return nil, err
	}
	said := &tail{}
	go io.Copy(said, ch.err)
	c, err := newSftp(ctx, ch.out, ch.proc.Stdin(), ch.close)
	if err == nil {
		c.conn = ch.conn
		return c, nil
	}
	ch.close()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if lostSoon(ch.conn) {
		return nil, l.lostError(ch.conn)
	}
	if s, ok := ch.conn.(subsystems); ok && !l.sudo {
		if c, err := l.openSubsystem(ctx, ch.conn, s); err == nil {
			return c, nil
		}
	}
	if text := lastLine(said.String()); text != "" {
		err = errors.New(text)
	}
	return nil, fmt.Errorf("cannot open the files of %s: %w; install openssh-sftp-server on it", l.name, err)
}

// openSubsystem serves hosts whose sshd brings the sftp server along (internal-sftp) and that have no program for it.
func (l *level) openSubsystem(ctx context.Context, conn transport.Conn, s subsystems) (*sftpClient, error) {
	if err := l.places.take(ctx, 1); err != nil {
		return nil, err
	}
	open, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	p, err := s.Subsystem(open, "sftp")
	stop()
	if err != nil {
		cancel()
		l.places.give()
		return nil, err
	}
	closing := sync.OnceFunc(func() { p.Close(); cancel(); l.places.give() })
	go io.Copy(io.Discard, p.Stderr())
	c, err := newSftp(ctx, p.Stdout(), p.Stdin(), closing)
	if err != nil {
		closing()
		return nil, err
	}
	c.conn = conn
	return c, nil
}

func newSftp(ctx context.Context, out io.Reader, in io.WriteCloser, closing func()) (*sftpClient, error) {
	stop := context.AfterFunc(ctx, closing)
	defer stop()
	c, err := sftp.NewClientPipe(out, in, sftp.UseConcurrentWrites(true))
	if err != nil {
		return nil, err
	}
	s := &sftpClient{Client: c, ended: make(chan struct{})}
	s.close = sync.OnceFunc(func() { c.Close(); closing() })
	go func() {
		_ = c.Wait()
		close(s.ended)
		s.close()
	}()
	return s, nil
}

func (c *sftpClient) dead() bool {
	select {
	case <-c.ended:
		return true
	default:
		return lost(c.conn)
	}
}

// tail keeps the last bytes that were written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	if over := t.buf.Len() - 4096; over > 0 {
		t.buf.Next(over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
