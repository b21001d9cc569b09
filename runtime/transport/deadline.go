package transport

import (
	"net"
	"os"
	"sync"
	"time"
)

// withDeadlines gives a tunnelled connection the read and write deadlines that the SSH library has none of. A deadline
// that passes ends the connection: nothing can be said of what is still under way in it.
func withDeadlines(c net.Conn) net.Conn { return &deadlineConn{Conn: c} }

type deadlineConn struct {
	net.Conn
	read, write deadline
}

type deadline struct {
	mu     sync.Mutex
	timer  *time.Timer
	passed bool
}

func (d *deadline) set(t time.Time, c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if t.IsZero() || d.passed {
		return
	}
	d.timer = time.AfterFunc(time.Until(t), func() {
		d.mu.Lock()
		d.passed = true
		d.mu.Unlock()
		c.Close()
	})
}

func (d *deadline) err(err error) error {
	if err == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.passed {
		return os.ErrDeadlineExceeded
	}
	return err
}

func (c *deadlineConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.read.err(err)
}

func (c *deadlineConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.write.err(err)
}

func (c *deadlineConn) Close() error {
	c.read.set(time.Time{}, c.Conn)
	c.write.set(time.Time{}, c.Conn)
	return c.Conn.Close()
}

func (c *deadlineConn) SetDeadline(t time.Time) error {
	c.read.set(t, c.Conn)
	c.write.set(t, c.Conn)
	return nil
}

func (c *deadlineConn) SetReadDeadline(t time.Time) error {
	c.read.set(t, c.Conn)
	return nil
}

func (c *deadlineConn) SetWriteDeadline(t time.Time) error {
	c.write.set(t, c.Conn)
	return nil
}

// CloseWrite tells the other end that no more comes.
func (c *deadlineConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}
