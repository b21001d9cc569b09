package host

import (
	"context"
	"errors"
	"io"
	"sync"

	"runner/runtime/transport"
)

// Options say how a host is reached and what may be done with the connection.
type Options struct {
	// Dial connects to the host. It is called at the first use, and again when the connection was lost. It may be nil
	// when Local is set.
	Dial func(ctx context.Context) (transport.Conn, error)

	// Local says that the host is this machine: its files are opened without a detour.
	Local bool

	// Sudo makes everything run as root, through sudo, doas or su where the user who logs in is somebody else.
	Sudo bool

	// Become is which of them: "sudo", "doas" or "su". Empty: sudo, or doas on a host that has only that.
	Become string

	// SudoPassword gives the password that is asked for on the way: sudo and doas ask for that of the user who logs in, su for root's. It
	// is called when they ask, and what worked is kept in memory until Close. nil: there is none.
	SudoPassword func() (string, error)

	// MaxSessions is how many commands may run on one connection at a time, shells that wait for work included.
	// 0: 10, what sshd allows when sshd_config(5) says nothing.
	MaxSessions int
}

// Open makes a host without connecting to it: that happens at the first use. A failure to connect is an
// [*UnreachableError], and so is what a command comes to whose connection is lost under it; the next use connects anew.
func Open(name string, o Options) *Host { return New(NewBackend(name, o)) }

// NewBackend is [Open] for those who want the backend itself. It has a method Close.
func NewBackend(name string, o Options) Backend {
	if o.Dial == nil && o.Local {
		o.Dial = func(context.Context) (transport.Conn, error) { return transport.Local(), nil }
	}
	if o.MaxSessions <= 0 {
		o.MaxSessions = 10
	}
	k := &link{name: name, options: o, sh: "/bin/sh"}
	k.places = newPlaces(o.MaxSessions, k.evict)
	k.login = newLevel(k, false)
	k.root = newLevel(k, true)
	if o.Sudo {
		return k.root
	}
	return k.login
}

// Close ends the connection of the host, at every privilege level. What runs on it ends too. The host can be used
// again: it connects anew.
func (h *Host) Close() error {
	if c, ok := h.b.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// link is the one connection of a host, whatever the number of its privilege levels.
type link struct {
	name    string
	options Options
	sh      string // the shell: /bin/sh
	places  *places
	login   *level
	root    *level

	mu      sync.Mutex
	conn    transport.Conn
	dialing *dialing

	password secret
}

// dialing is a dial under way, which everybody who needs the connection waits for.
type dialing struct {
	done chan struct{}
	conn transport.Conn
	err  error
}

// connect returns the connection, dialled anew when there is none or it was lost.
func (k *link) connect(ctx context.Context) (transport.Conn, error) {
	for {
		k.mu.Lock()
		if k.conn != nil && !lost(k.conn) {
			defer k.mu.Unlock()
			return k.conn, nil
		}
		d := k.dialing
		mine := d == nil
		if mine {
			d = &dialing{done: make(chan struct{})}
			k.dialing = d
		}
		k.mu.Unlock()
		if mine {
			k.dial(ctx, d)
		}
		select {
		case <-d.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		// Whoever waited for a dial that another caller gave up begins one of his own.
		if d.err != nil && !mine && ctx.Err() == nil && (errors.Is(d.err, context.Canceled) || errors.Is(d.err, context.DeadlineExceeded)) {
			continue
		}
		if d.err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if d.err != nil {
			return nil, &UnreachableError{Host: k.name, Err: d.err}
		}
		return d.conn, nil
	}
}

func (k *link) dial(ctx context.Context, d *dialing) {
	if k.options.Dial == nil {
		d.err = errors.New("nothing says how to connect to it")
	} else {
		d.conn, d.err = k.options.Dial(ctx)
	}
	// A server may grant fewer sessions than were reckoned with: what waits for work lets go of its own then.
	if c, ok := d.conn.(interface{ WhenFull(func()) }); ok {
		c.WhenFull(func() { k.evict() })
	}
	k.mu.Lock()
	k.dialing = nil
	if d.err == nil {
		k.conn = d.conn
	}
	k.mu.Unlock()
	close(d.done)
}

// uses says that a connection is the one that is used now.
func (k *link) uses(c transport.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conn == c && !lost(c)
}

// Close ends the connection.
func (k *link) Close() error {
	k.login.drop()
	k.root.drop()
	k.mu.Lock()
	c := k.conn
	k.conn = nil
	k.mu.Unlock()
	k.password.forget()
	if c == nil {
		return nil
	}
	return c.Close()
}

// evict closes a line, a shell or an sftp session that waits for work, so that its place is free.
func (k *link) evict() bool {
	return k.login.lines.evict() || k.root.lines.evict() || k.login.pool.evict() || k.root.pool.evict() || k.login.files.evict() || k.root.files.evict()
}

func lost(c transport.Conn) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

// lostError is what a connection that ended makes of whatever ran on it.
func (k *link) lostError(c transport.Conn) error {
	why := c.Err()
	if why == nil {
		why = errors.New("the connection was closed")
	}
	return &UnreachableError{Host: k.name, Err: why}
}
