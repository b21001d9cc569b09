package transport

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"
)

// dialCommand runs a ProxyCommand and talks to the host through its input and output.
func dialCommand(line string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(context.Background())
	p, err := Local().Start(ctx, "exec "+line)
	if err != nil {
		cancel()
		return nil, err
	}
	c := &commandConn{p: p, cancel: cancel, quiet: make(chan struct{})}
	go c.listen()
	go p.Wait() //nolint:errcheck // reaps it
	return withDeadlines(c), nil
}

type commandConn struct {
	p      Process
	cancel func()
	quiet  chan struct{} // closed when the command's error output has ended

	mu      sync.Mutex
	printed []byte
}

// maxPrinted bounds what is kept of a command's error output: it is for one line of an error.
const maxPrinted = 2048

// listen reads the command's error output to its end, lest the command waits for it, and keeps the beginning.
func (c *commandConn) listen() {
	defer close(c.quiet)
	buf := make([]byte, 512)
	for {
		n, err := c.p.Stderr().Read(buf)
		c.mu.Lock()
		c.printed = append(c.printed, buf[:min(n, maxPrinted-len(c.printed))]...)
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// said is what the command printed on its error output.
func (c *commandConn) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.TrimSpace(string(c.printed))
}

// hearOut lets the error output of a command that is ending come in, before anybody hears that it has ended: the first who does closes
// the connection, and with it what was not read. A command may leave another behind that holds the output open; hence no longer than
// a moment.
func (c *commandConn) hearOut() {
	select {
	case <-c.quiet:
	case <-time.After(2 * time.Second):
	}
}

func (c *commandConn) Read(b []byte) (int, error) {
	n, err := c.p.Stdout().Read(b)
	if err != nil {
		c.hearOut()
	}
	return n, err
}

func (c *commandConn) Write(b []byte) (int, error) {
	n, err := c.p.Stdin().Write(b)
	if err != nil {
		c.hearOut()
	}
	return n, err
}

func (c *commandConn) Close() error {
	c.cancel()
	return c.p.Close()
}

func (c *commandConn) LocalAddr() net.Addr              { return commandAddr{} }
func (c *commandConn) RemoteAddr() net.Addr             { return commandAddr{} }
func (c *commandConn) SetDeadline(time.Time) error      { return nil }
func (c *commandConn) SetReadDeadline(time.Time) error  { return nil }
func (c *commandConn) SetWriteDeadline(time.Time) error { return nil }

type commandAddr struct{}

func (commandAddr) Network() string { return "proxycommand" }
func (commandAddr) String() string  { return "proxycommand" }
