package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// Options are what connections need from their surroundings.
type Options struct {
	Prompter    Prompter      // nil: nobody is asked, what is unknown is refused
	MaxSessions int           // channels with a command at a time on one connection; 0: 10, what sshd allows when nothing is said
	KeepAlive   time.Duration // between two signs of life; 0: what ssh_config says, else 15 s; three without an answer end the connection
	Handshakes  int           // under way with one server at a time; 0: 8, since an old sshd drops those beyond 10 (MaxStartups)
}

// Dialer connects to hosts. Its connections share what need not be had twice: answers that the operator typed, and the
// connections to hosts that others are reached through. The methods may be called from several goroutines at once.
type Dialer struct {
	options Options
	ring    *keyring
	turn    chan struct{} // whose turn it is to ask the operator

	mu    sync.Mutex
	gates map[string]chan struct{}
	jumps map[string]*jump
}

// NewDialer makes a dialer.
func NewDialer(o Options) *Dialer {
	if o.Handshakes <= 0 {
		o.Handshakes = 8
	}
	return &Dialer{options: o, ring: newKeyring(), turn: make(chan struct{}, 1), gates: map[string]chan struct{}{}, jumps: map[string]*jump{}}
}

// Dial connects to the host that spec describes. A failure is a [*DialError]; below it is a [*HostKeyError], an [*AuthError] or
// an [*AlgorithmError] where it was one. Cancelling ctx ends the attempt, not the connection that came of it.
func (d *Dialer) Dial(ctx context.Context, spec Spec) (Conn, error) {
	if spec.Local {
		return Local(), nil
	}
	if err := endless(ctx, spec); err != nil {
		return nil, err
	}
	c, err := d.dial(ctx, spec, nil)
	if err != nil {
		return nil, err // not a Conn that holds a nil
	}
	return c, nil
}

// Dial connects to one host by a [Dialer] of its own.
func Dial(ctx context.Context, spec Spec, o Options) (Conn, error) {
	return NewDialer(o).Dial(ctx, spec)
}

// maxHops bounds a chain of jumps.
const maxHops = 8

// endless finds out whether the jumps lead in a circle, before anybody waits for a jump that waits for him.
func endless(ctx context.Context, spec Spec) error {
	to := spec
	for range maxHops + 1 {
		r, err := resolve(ctx, spec)
		if err != nil || len(r.Jump) == 0 {
			return nil // what is wrong is told when the host is dialled
		}
		near, err := nearest(r, spec)
		if err != nil || r.is(near) {
			return nil
		}
		spec = near
	}
	return &DialError{To: to.String(), Err: fmt.Errorf("there are more than %d jumps on the way", maxHops), Do: "does a ProxyJump lead back to itself?"}
}

// dial connects to a host. For a jump, inherited are the keys that the site names for the host behind it: where neither the site
// nor ssh_config names one for the jump, they are tried before the usual ones.
func (d *Dialer) dial(ctx context.Context, spec Spec, inherited []string) (*sshConn, error) {
	r, err := resolve(ctx, spec)
	if err != nil {
		return nil, &DialError{To: spec.String(), Err: err}
	}
	if !r.explicitKeys {
		r.Keys = r.paths(inherited)
	}
	if len(r.Jump) == 0 {
		return d.connect(ctx, r, nil)
	}
	near, err := nearest(r, spec)
	if err != nil {
		return nil, &DialError{To: target(r), Err: err}
	}
	if r.is(near) {
		return d.connect(ctx, r, nil) // a ProxyJump for a whole domain stands for the jump itself too: go straight
	}
	if len(spec.Keys) > 0 {
		inherited = spec.Keys
	}
	j, err := d.through(ctx, near, inherited)
	if err != nil {
		return nil, throughError(r, near, err)
	}
	c, err := d.connect(ctx, r, j)
	if err != nil {
		d.leave(j)
		return nil, err
	}
	return c, nil
}

// is says whether a jump is the host itself.
func (r *resolved) is(near Spec) bool {
	return (near.Address == r.name || near.Address == r.Address) && (near.Port == r.Port || near.Port == 0 && r.Port == 22)
}

// nearest is the last jump, the nearest to the target; what is before it is how that one is reached.
func nearest(r resolved, spec Spec) (Spec, error) {
	near, err := Parse(r.Jump[len(r.Jump)-1])
	if err != nil {
		return near, err
	}
	if near.Local {
		return near, errors.New("this machine is no jump: leave \"local\" out")
	}
	near.Jump = r.Jump[:len(r.Jump)-1]
	near.Config, near.KnownHosts, near.Passphrase, near.ConnectTimeout = spec.Config, spec.KnownHosts, spec.Passphrase, spec.ConnectTimeout
	return near, nil
}

func throughError(r resolved, near Spec, err error) error {
	e := &DialError{To: target(r), Err: fmt.Errorf("through %s: %w", near, err)}
	var inner *DialError
	if errors.As(err, &inner) {
		e.Do = inner.Do
	}
	return e
}

// enter waits for a place among those who are in a handshake with the same server.
func (d *Dialer) enter(ctx context.Context, server string) (leave func(), err error) {
	d.mu.Lock()
	gate := d.gates[server]
	if gate == nil {
		gate = make(chan struct{}, d.options.Handshakes)
		d.gates[server] = gate
	}
	d.mu.Unlock()
	select {
	case gate <- struct{}{}:
		return func() { <-gate }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// server is what a handshake burdens. Who is behind a ProxyCommand is not known; mostly it is one and the same machine.
func server(r resolved) string {
	if r.proxyCommand != "" {
		return "ProxyCommand"
	}
	return net.JoinHostPort(r.Address, strconv.Itoa(r.Port))
}
