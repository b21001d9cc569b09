package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// defaultSessions is MaxSessions of an sshd_config(5) that says nothing.
const defaultSessions = 10

// sshConn is a connection to an SSH server.
type sshConn struct {
	client *ssh.Client
	wire   *wire
	peer   Peer
	dialer *Dialer
	jump   *jump
	places *places

	done chan struct{}
	once sync.Once
	err  error

	met      chan struct{} // closed when distance is known
	distance time.Duration
}

func newSSHConn(client *ssh.Client, w *wire, r resolved, d *Dialer, key ssh.PublicKey, j *jump) *sshConn {
	limit := d.options.MaxSessions
	if limit <= 0 {
		limit = defaultSessions
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	c := &sshConn{
		client: client, wire: w, dialer: d, jump: j, places: newPlaces(limit), done: make(chan struct{}), met: make(chan struct{}),
		peer: Peer{Address: server(r), User: r.User, Server: printable(string(client.ServerVersion())), Fingerprint: ssh.FingerprintSHA256(key)},
	}
	if r.proxyCommand != "" {
		c.peer.Address = net.JoinHostPort(r.Address, fmt.Sprint(r.Port))
	}
	interval := 15 * time.Second
	if r.keepAlive > 0 {
		interval = r.keepAlive
	}
	if d.options.KeepAlive > 0 {
		interval = d.options.KeepAlive
	}
	go c.watch()
	go c.measure()
	go c.keepAlive(interval)
	return c
}

// measure asks for signs of life at once: how long one takes to come is the distance. The server has still to do with the login when it
// gets the first question, so the quickest counts.
func (c *sshConn) measure() {
	defer close(c.met)
	for i := range 3 {
		began := time.Now()
		_, _, _ = c.client.SendRequest("keepalive@openssh.com", true, nil) // whatever the answer is; see keepAlive
		if took := time.Since(began); i == 0 || took < c.distance {
			c.distance = took
		}
	}
}

// longWay is what a host is away at least that has not answered yet.
const longWay = 50 * time.Millisecond

// Distance is how long a question to the server and its answer were under way when the connection was new.
func (c *sshConn) Distance(ctx context.Context) time.Duration {
	select {
	case <-c.met:
		return c.distance
	case <-ctx.Done():
	case <-time.After(longWay):
	}
	return longWay
}

func (c *sshConn) Peer() Peer            { return c.peer }
func (c *sshConn) Done() <-chan struct{} { return c.done }

func (c *sshConn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

func (c *sshConn) Close() error {
	c.end(nil)
	return nil
}

func (c *sshConn) end(why error) {
	c.once.Do(func() {
		c.err = why
		close(c.done)
		c.client.Close()
		c.dialer.leave(c.jump)
	})
}

// watch waits for the end of the connection.
func (c *sshConn) watch() {
	err := c.client.Wait()
	if c.jump != nil { // is it the jump that went? Its own end is noticed at about the same time.
		select {
		case <-c.jump.conn.done:
			if why := c.jump.conn.err; why != nil {
				c.end(fmt.Errorf("%w on the way: %s: %w", ErrLost, c.jump.name, why))
				return
			}
		case <-c.done:
		case <-time.After(200 * time.Millisecond):
		}
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = errors.New("the server closed it")
	}
	c.end(fmt.Errorf("%w: %w", ErrLost, err))
}

// missed is how many signs of life may fail to come.
const missed = 3

// keepAlive asks for a sign of life. Old servers answer that they do not know the question, which is as good, and so is
// anything else that comes from the server: behind a large upload the question itself takes a while to get there.
func (c *sshConn) keepAlive(interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	answer := make(chan struct{}, 1)
	asked := false
	for {
		select {
		case <-c.done:
			return
		case <-answer:
			asked = false
		case <-tick.C:
			switch {
			case !asked:
				asked = true
				go func() {
					// Whatever the answer is, or the error: watch sees to the end of the connection.
					_, _, _ = c.client.SendRequest("keepalive@openssh.com", true, nil)
					answer <- struct{}{}
				}()
			case c.wire.silent() >= missed*interval:
				c.end(fmt.Errorf("%w: no answer for %s", ErrLost, inSeconds(missed*interval)))
				return
			}
		}
	}
}

// lost prefers the reason why the connection ended to what that did to a request on it.
func (c *sshConn) lost(err error) error {
	select {
	case <-c.done:
		if c.err != nil {
			return c.err
		}
		return plain("the connection is closed", net.ErrClosed)
	default:
		return err
	}
}

// Dial connects to an address as the server sees it.
func (c *sshConn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.client.DialContext(ctx, network, address)
	if err == nil {
		return withDeadlines(conn), nil
	}
	var open *ssh.OpenChannelError
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.As(err, &open):
		err = c.notOpened(network, open)
	default:
		err = c.lost(err)
	}
	return nil, fmt.Errorf("cannot connect to %s through %s: %w", address, c.peer.Address, err)
}

// notOpened is what a server means that does not open a channel to an address.
func (c *sshConn) notOpened(network string, e *ssh.OpenChannelError) error {
	switch {
	case network == "unix" && (e.Reason == ssh.Prohibited || e.Reason == ssh.UnknownChannelType):
		return ErrNoStreamlocal
	case e.Reason == ssh.Prohibited:
		return ErrForbidden
	}
	text := printable(strings.TrimSpace(e.Message))
	// sshd passes on what the system said, in words.
	for words, errno := range map[string]syscall.Errno{
		"refused": syscall.ECONNREFUSED, "timed out": syscall.ETIMEDOUT, "No route to host": syscall.EHOSTUNREACH,
		"unreachable": syscall.ENETUNREACH, "No such file": syscall.ENOENT, "Permission denied": syscall.EACCES,
	} {
		if strings.Contains(text, words) {
			return plain(text, errno)
		}
	}
	if text == "open failed" || text == "" { // all that sshd says of a Unix socket
		text = "the server could not open it"
	}
	return errors.New(text)
}
