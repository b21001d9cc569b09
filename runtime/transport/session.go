package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

// Start runs a command in a session of its own. When the server has no room for another session, it waits for one to end.
func (c *sshConn) Start(ctx context.Context, line string) (Process, error) {
	return c.session(ctx, func(s *ssh.Session) error { return s.Start(line) })
}

// Subsystem starts a subsystem of the server, such as "sftp" (RFC 4254, 6.5), in a session of its own as Start does. Its
// streams are those of the process.
func (c *sshConn) Subsystem(ctx context.Context, name string) (Process, error) {
	return c.session(ctx, func(s *ssh.Session) error { return s.RequestSubsystem(name) })
}

// WhenFull sets what is called, from a goroutine of its own and again and again, while a command waits because the
// server grants no more sessions: it may end sessions that wait for work. A server may grant fewer than anybody expects.
func (c *sshConn) WhenFull(free func()) { c.places.whenFull(free) }

func (c *sshConn) session(ctx context.Context, begin func(*ssh.Session) error) (Process, error) {
	for {
		if err := c.places.take(ctx, c.done); err != nil {
			return nil, fmt.Errorf("cannot start a command: %w", c.lost(err))
		}
		p, err := c.open(ctx, begin)
		for try := 1; try <= settling && sessionRefused(err); try++ {
			c.pause(ctx, time.Duration(try)*20*time.Millisecond)
			p, err = c.open(ctx, begin)
		}
		if err == nil {
			return p, nil
		}
		if sessionRefused(err) && c.places.fewer() {
			continue
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if sessionRefused(err) {
			err = errors.New("the server grants no session (MaxSessions in its sshd_config, or no process left for it)")
		}
		return nil, fmt.Errorf("cannot start a command: %w", c.lost(err))
	}
}

// settling is how often a session that was refused is asked for again before it is believed that the server grants no more:
// sshd still counts one that has just ended.
const settling = 5

func (c *sshConn) pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	case <-c.done:
	}
}

// open opens a session and begins in it. It returns as soon as ctx ends; what comes of the session then is closed, and
// its place is given back when the server has answered.
func (c *sshConn) open(ctx context.Context, begin func(*ssh.Session) error) (*sshProcess, error) {
	type opened struct {
		p   *sshProcess
		err error
	}
	result := make(chan opened, 1)
	go func() {
		s, err := c.client.NewSession()
		if err != nil {
			if !sessionRefused(err) {
				c.places.give()
			}
			result <- opened{nil, err}
			return
		}
		p, err := startSession(ctx, c, s, begin)
		result <- opened{p, err}
	}()
	var why error
	select {
	case o := <-result:
		return o.p, o.err
	case <-ctx.Done():
		why = context.Cause(ctx)
	case <-c.done:
		why = net.ErrClosed // lost knows better
	}
	go func() {
		switch o := <-result; {
		case o.err == nil:
			o.p.Close()
		case sessionRefused(o.err):
			c.places.give()
		}
	}()
	return nil, why
}

// sessionRefused says that the server has no room for another session: MaxSessions is reached, which it says in two ways.
func sessionRefused(err error) bool {
	var open *ssh.OpenChannelError
	return errors.As(err, &open) && (open.Reason == ssh.Prohibited || open.Reason == ssh.ConnectionFailed || open.Reason == ssh.ResourceShortage)
}

// nudgeEvery is how often whoever can free sessions is asked to, while a command waits for one.
const nudgeEvery = 50 * time.Millisecond
