package transport

import (
	"context"
	"errors"
	"fmt"
)

// jump is a connection that others go through. It is closed when the last of them is.
type jump struct {
	name  string
	key   string
	ready chan struct{} // closed when conn or err is set
	conn  *sshConn
	err   error
	users int
}

// through returns the connection to a jump, which is made when there is none. A jump that was made is left with leave.
func (d *Dialer) through(ctx context.Context, near Spec, inherited []string) (*jump, error) {
	key := fmt.Sprintf("%q %q %q %q %q", near.String(), near.Jump, near.Config, near.KnownHosts, inherited)
	for {
		j, mine := d.join(near.String(), key)
		if mine {
			j.conn, j.err = d.dial(ctx, near, inherited)
			close(j.ready)
		}
		select {
		case <-j.ready:
		case <-ctx.Done():
			d.leave(j)
			return nil, context.Cause(ctx)
		}
		if j.err == nil {
			return j, nil
		}
		d.leave(j)
		// Whoever waited for an attempt that another host gave up makes one of his own.
		if !mine && ctx.Err() == nil && (errors.Is(j.err, context.Canceled) || errors.Is(j.err, context.DeadlineExceeded)) {
			continue
		}
		return nil, j.err
	}
}

// join adds a user to the jump of a key. The first one has to make the connection.
func (d *Dialer) join(name, key string) (j *jump, mine bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	j = d.jumps[key]
	if j == nil || j.over() {
		j, mine = &jump{name: name, key: key, ready: make(chan struct{})}, true
		d.jumps[key] = j
	}
	j.users++
	return j, mine
}

// over says that nobody new can go through it.
func (j *jump) over() bool {
	select {
	case <-j.ready:
	default:
		return false
	}
	if j.err != nil {
		return true
	}
	select {
	case <-j.conn.Done():
		return true
	default:
		return false
	}
}

func (d *Dialer) leave(j *jump) {
	if j == nil {
		return
	}
	d.mu.Lock()
	j.users--
	last := j.users == 0
	if last && d.jumps[j.key] == j {
		delete(d.jumps, j.key)
	}
	d.mu.Unlock()
	if !last {
		return
	}
	go func() { // it may be the one who makes the connection that has given up
		if <-j.ready; j.conn != nil {
			j.conn.Close()
		}
	}()
}
