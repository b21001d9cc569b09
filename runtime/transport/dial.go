package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// Options are what a connection needs from its surroundings.
type Options struct {
	Prompter    Prompter      // nil: nobody is asked, what is unknown is refused
	MaxSessions int           // channels with a command at a time on one connection; 0: 10, what sshd allows when nothing is said
	KeepAlive   time.Duration // between two signs of life; 0: 15 s; three without an answer end the connection
	Gate        *Gate         // limits handshakes under way; nil: none
}

// Gate limits how many handshakes are under way at a time. An sshd drops new ones beyond its MaxStartups, 10 on old
// servers, so the connections of one runner share a gate.
type Gate struct{ places chan struct{} }

// NewGate makes a gate with n places.
func NewGate(n int) *Gate { return &Gate{places: make(chan struct{}, n)} }

func (g *Gate) enter(ctx context.Context) (leave func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	select {
	case g.places <- struct{}{}:
		return func() { <-g.places }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Dial connects to the host that spec describes. A failure is a [*DialError], whose Err is a [*HostKeyError] or an
// [*AuthError] where it was one.
func Dial(ctx context.Context, spec Spec, o Options) (Conn, error) {
	if spec.Local {
		return Local(), nil
	}
	return dial(ctx, spec, o, 0)
}

// maxHops bounds a chain of jumps, so that a ProxyJump that leads back to itself ends.
const maxHops = 8

func dial(ctx context.Context, spec Spec, o Options, hops int) (*sshConn, error) {
	r, err := resolve(spec)
	if err != nil {
		return nil, err
	}
	if hops > maxHops {
		return nil, fmt.Errorf("cannot connect to %s: more than %d jumps; does its ProxyJump lead back to itself?", r.name, maxHops)
	}
	var jump *sshConn
	if len(r.Jump) > 0 {
		// The last jump is the nearest to the target; what is before it is how that one is reached.
		near, err := Parse(strings.TrimPrefix(r.Jump[len(r.Jump)-1], "ssh://"))
		if err != nil {
			return nil, err
		}
		near.Jump, near.Config = r.Jump[:len(r.Jump)-1], spec.Config
		if len(spec.KnownHosts) > 0 {
			near.KnownHosts = spec.KnownHosts
		}
		near.Keys, near.Passphrase = spec.Keys, spec.Passphrase
		if jump, err = dial(ctx, near, o, hops+1); err != nil {
			return nil, fmt.Errorf("cannot reach %s through %s: %w", r.name, near.Address, err)
		}
	}
	c, err := connect(ctx, r, o, jump)
	if err != nil && jump != nil {
		jump.Close()
	}
	return c, err
}

// tries is how often a handshake that the server cut off is begun anew: a busy sshd does that beyond MaxStartups.
const tries = 5

func connect(ctx context.Context, r resolved, o Options, jump *sshConn) (*sshConn, error) {
	leave, err := o.Gate.enter(ctx)
	if err != nil {
		return nil, &DialError{To: target(r), Err: err}
	}
	defer leave()
	for try := 1; ; try++ {
		c, err := handshake(ctx, r, o, jump)
		if err == nil || try == tries || !cutOff(err) {
			return c, err
		}
		pause := time.Duration(try) * time.Duration(150+rand.IntN(200)) * time.Millisecond
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, &DialError{To: target(r), Err: context.Cause(ctx)}
		}
	}
}

func cutOff(err error) bool {
	var key *HostKeyError
	var auth *AuthError
	if errors.As(err, &key) || errors.As(err, &auth) {
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}

func handshake(ctx context.Context, r resolved, o Options, jump *sshConn) (*sshConn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.ConnectTimeout, fmt.Errorf("no answer within %s", r.ConnectTimeout))
	defer cancel()
	keys, err := newHostKeys(r, o.Prompter)
	if err != nil {
		return nil, &DialError{To: target(r), Err: err}
	}
	tried := &attempts{}
	raw, err := dialRaw(ctx, r, jump)
	if err != nil {
		return nil, explain(r, cmpCause(ctx, err), tried)
	}
	watched := &watchedConn{Conn: raw}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	methods, done := tried.methods(r, o.Prompter)
	defer done()
	config := &ssh.ClientConfig{
		User: r.User, Auth: methods, HostKeyCallback: keys.check, HostKeyAlgorithms: keys.algorithms(), ClientVersion: "SSH-2.0-runner",
		Config: ssh.Config{KeyExchanges: keyExchanges, Ciphers: ciphers, MACs: macs},
	}
	client, channels, requests, err := ssh.NewClientConn(watched, net.JoinHostPort(r.Address, strconv.Itoa(r.Port)), config)
	if err != nil {
		raw.Close()
		tried.noteServer(watched.banner())
		return nil, explain(r, cmpCause(ctx, err), tried)
	}
	if !stop() { // the deadline has closed the connection under us
		return nil, explain(r, context.Cause(ctx), tried)
	}
	return newSSHConn(ssh.NewClient(client, channels, requests), r, o, keys.shown, jump), nil
}

// cmpCause prefers the reason of a cancelled context to the noise that it makes below.
func cmpCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func dialRaw(ctx context.Context, r resolved, jump *sshConn) (net.Conn, error) {
	address := net.JoinHostPort(r.Address, strconv.Itoa(r.Port))
	switch {
	case jump != nil:
		return jump.Dial(ctx, "tcp", address)
	case r.proxyCommand != "":
		return dialCommand(r.proxyCommand)
	}
	return (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext(ctx, "tcp", address)
}

// watchedConn remembers the first bytes that the server sends: its version, which the library keeps to itself when
// the handshake fails.
type watchedConn struct {
	net.Conn
	mu    sync.Mutex
	first []byte
}

func (w *watchedConn) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	if room := 255 - len(w.first); room > 0 {
		w.first = append(w.first, p[:min(n, room)]...)
	}
	w.mu.Unlock()
	return n, err
}

func (w *watchedConn) banner() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	line, _, _ := strings.Cut(string(w.first), "\n")
	return strings.TrimSpace(line)
}
