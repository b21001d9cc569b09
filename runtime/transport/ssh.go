package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// defaultSessions is MaxSessions of an sshd_config(5) that says nothing.
const defaultSessions = 10

type sshConn struct {
	client *ssh.Client
	peer   Peer
	jump   *sshConn
	places *places

	done chan struct{}
	once sync.Once
	err  error
}

func newSSHConn(client *ssh.Client, r resolved, o Options, fingerprint string, jump *sshConn) *sshConn {
	limit := o.MaxSessions
	if limit <= 0 {
		limit = defaultSessions
	}
	c := &sshConn{
		client: client, jump: jump, places: newPlaces(limit), done: make(chan struct{}),
		peer: Peer{Address: net.JoinHostPort(r.Address, fmt.Sprint(r.Port)), User: r.User, Server: string(client.ServerVersion()), Fingerprint: fingerprint},
	}
	interval := o.KeepAlive
	if interval <= 0 {
		interval = 15 * time.Second
	}
	go c.watch()
	go c.keepAlive(interval)
	return c
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
		if c.jump != nil {
			c.jump.Close()
		}
	})
}

func (c *sshConn) watch() {
	err := c.client.Wait()
	if err == nil || errors.Is(err, io.EOF) {
		c.end(fmt.Errorf("%w: the server closed it", ErrLost))
		return
	}
	c.end(fmt.Errorf("%w: %w", ErrLost, err))
}

// keepAlive asks for a sign of life. Old servers answer that they do not know the question, which is as good.
func (c *sshConn) keepAlive(interval time.Duration) {
	const missed = 3
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
		}
		answer := make(chan error, 1)
		go func() {
			_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
			answer <- err
		}()
		select {
		case <-c.done:
			return
		case <-answer:
		case <-time.After(missed * interval):
			c.end(fmt.Errorf("%w: no answer for %s", ErrLost, missed*interval))
			return
		}
	}
}

func (c *sshConn) Start(ctx context.Context, line string) (Process, error) {
	for {
		if err := c.places.take(ctx, c.done); err != nil {
			return nil, c.lost(err)
		}
		p, err := c.start(ctx, line)
		if err == nil {
			return p, nil
		}
		if !sessionRefused(err) || !c.places.fewer() {
			c.places.give()
			return nil, c.lost(err)
		}
	}
}

func (c *sshConn) start(ctx context.Context, line string) (*sshProcess, error) {
	type opened struct {
		s   *ssh.Session
		err error
	}
	result := make(chan opened, 1)
	go func() {
		s, err := c.client.NewSession()
		result <- opened{s, err}
	}()
	select {
	case o := <-result:
		if o.err != nil {
			return nil, o.err
		}
		return startSession(ctx, c, o.s, line)
	case <-ctx.Done():
		go func() { // the session comes too late: nobody wants it
			if o := <-result; o.err == nil {
				o.s.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// sessionRefused says that the server has no room for another session: MaxSessions is reached.
func sessionRefused(err error) bool {
	var open *ssh.OpenChannelError
	return errors.As(err, &open) && (open.Reason == ssh.Prohibited || open.Reason == ssh.ConnectionFailed || open.Reason == ssh.ResourceShortage)
}

// lost prefers the reason why the connection ended to what that did to a request on it.
func (c *sshConn) lost(err error) error {
	if why := c.Err(); why != nil {
		return why
	}
	return err
}

func (c *sshConn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.client.DialContext(ctx, network, address)
	if err == nil {
		return withDeadlines(conn), nil
	}
	var open *ssh.OpenChannelError
	if network == "unix" && errors.As(err, &open) && (open.Reason == ssh.Prohibited || open.Reason == ssh.UnknownChannelType) {
		return nil, fmt.Errorf("cannot connect to %s: %w", address, ErrNoStreamlocal)
	}
	if errors.As(err, &open) {
		return nil, fmt.Errorf("cannot connect to %s as seen from the host: %s", address, strings.TrimSpace(open.Message))
	}
	return nil, fmt.Errorf("cannot connect to %s: %w", address, c.lost(err))
}

// places counts the sessions of a connection. When the server refuses one, it learns that there are fewer.
type places struct {
	mu    sync.Mutex
	limit int
	used  int
	freed chan struct{}
}

func newPlaces(n int) *places { return &places{limit: n, freed: make(chan struct{})} }

func (p *places) take(ctx context.Context, done <-chan struct{}) error {
	for {
		p.mu.Lock()
		if p.used < p.limit {
			p.used++
			p.mu.Unlock()
			return nil
		}
		wait := p.freed
		p.mu.Unlock()
		select {
		case <-wait:
		case <-done:
			return ErrLost
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *places) give() {
	p.mu.Lock()
	p.used--
	close(p.freed)
	p.freed = make(chan struct{})
	p.mu.Unlock()
}

// fewer gives a place back and keeps it from being used again: the others in use are all that the server grants. It
// is false when there is no other, so that waiting for one would never end.
func (p *places) fewer() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used <= 1 {
		return false
	}
	p.used--
	p.limit = p.used
	return true
}
