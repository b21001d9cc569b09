package transport

import (
	"context"
	"io"
	"net"
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
	go io.Copy(io.Discard, p.Stderr()) //nolint:errcheck // what a proxy says beside the protocol is for nobody
	go p.Wait()                        //nolint:errcheck // reaps it
	return withDeadlines(&commandConn{p: p, cancel: cancel}), nil
}

type commandConn struct {
	p      Process
	cancel func()
}

func (c *commandConn) Read(b []byte) (int, error)  { return c.p.Stdout().Read(b) }
func (c *commandConn) Write(b []byte) (int, error) { return c.p.Stdin().Write(b) }

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
