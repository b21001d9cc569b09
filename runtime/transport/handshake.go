package transport

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// tries is how often a handshake that the server cut off is begun anew: a busy sshd does that beyond MaxStartups.
const tries = 6

// connect makes a connection to the host, through a jump or not.
func (d *Dialer) connect(ctx context.Context, r resolved, j *jump) (*sshConn, error) {
	leave, err := d.enter(ctx, server(r))
	if err != nil {
		return nil, &DialError{To: target(r), Err: err}
	}
	defer leave()
	var shown []*HostKeyError // keys of the host that are not the one of the fingerprint
	for try := 1; ; try++ {
		c, again, err := d.handshake(ctx, r, j, shown)
		var key *HostKeyError
		var none *AlgorithmError
		switch {
		case err == nil:
			return c, nil
		case errors.As(err, &key) && key.Pinned && len(shown) < 5:
			// A server shows one of its keys at a time, so the one that is meant may be another: ask for the other types.
			shown = append(shown, key)
			try--
			continue
		case errors.As(err, &none) && len(shown) > 0:
			return nil, notPinned(r, shown)
		case !again || try == tries:
			return nil, err
		}
		pause := time.Duration(try) * time.Duration(150+rand.IntN(200)) * time.Millisecond
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, &DialError{To: target(r), Err: context.Cause(ctx)}
		}
	}
}

// notPinned is the error of a host that has shown all its keys, and none was the one of the fingerprint.
func notPinned(r resolved, shown []*HostKeyError) error {
	e := *shown[0]
	var all []string
	for _, s := range shown {
		all = append(all, s.Got)
	}
	e.Got = strings.Join(all, ", ")
	return &DialError{To: target(r), Err: &e, Do: keyAdvice(r, &e, "")}
}

// handshake is one attempt. again says that another one may fare better.
func (d *Dialer) handshake(ctx context.Context, r resolved, j *jump, shown []*HostKeyError) (_ *sshConn, again bool, _ error) {
	given := ctx
	ctx, cancel := context.WithCancelCause(given)
	defer cancel(nil)
	clock := startClock(r.ConnectTimeout, func() { cancel(&timeoutError{r.ConnectTimeout}) })
	defer clock.stop()
	var ask *asker
	if d.options.Prompter != nil && !r.batch {
		ask = &asker{prompter: d.options.Prompter, turn: d.turn, clock: clock}
	}
	l := newLogin(ctx, r, d.ring, ask)
	defer l.done()
	keys, err := newHostKeys(ctx, r, ask, shownTypes(shown))
	if err != nil {
		return nil, false, &DialError{To: target(r), Err: err}
	}
	offered := keys.algorithms()
	if len(offered) == 0 {
		return nil, false, notPinned(r, shown)
	}
	raw, err := dialRaw(ctx, r, j)
	if err != nil {
		if given.Err() != nil {
			return nil, false, &DialError{To: target(r), Err: context.Cause(given)}
		}
		return nil, false, explain(r, causeOf(ctx, err), l, "", "")
	}
	w := &wire{Conn: raw}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	client, channels, requests, err := ssh.NewClientConn(w, server(r), &ssh.ClientConfig{
		User: r.User, AuthCallback: l.next, HostKeyCallback: keys.check, HostKeyAlgorithms: offered, ClientVersion: "SSH-2.0-runner",
		Config: ssh.Config{KeyExchanges: r.algorithms.keyExchanges, Ciphers: r.algorithms.ciphers, MACs: r.algorithms.macs},
	})
	if err == nil && !stop() { // given up at the last moment
		client.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		raw.Close()
		if given.Err() != nil { // whatever it looks like from below
			return nil, false, &DialError{To: target(r), Err: context.Cause(given)}
		}
		again = ctx.Err() == nil && cutOff(err) && busy(w.banner()) && (!l.begun || l.asked) && r.proxyCommand == ""
		return nil, again, explain(r, causeOf(ctx, err), l, w.banner(), proxySaid(raw, err))
	}
	return newSSHConn(ssh.NewClient(client, channels, requests), w, r, d, keys.seen, j), false, nil
}

func shownTypes(shown []*HostKeyError) (types []string) {
	for _, s := range shown {
		kind, _, _ := strings.Cut(s.Got, " ")
		types = append(types, kind)
	}
	return slices.Compact(types)
}

// causeOf prefers the reason of a cancelled context to the noise that it makes below.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func dialRaw(ctx context.Context, r resolved, j *jump) (net.Conn, error) {
	address := net.JoinHostPort(r.Address, strconv.Itoa(r.Port))
	switch {
	case j != nil:
		return j.conn.Dial(ctx, "tcp", address)
	case r.proxyCommand != "":
		return dialCommand(r.proxyCommand)
	}
	return (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext(ctx, r.network, address)
}

// proxySaid is what a ProxyCommand printed on its error output before it ended.
func proxySaid(raw net.Conn, err error) string {
	d, ok := raw.(*deadlineConn)
	if !ok || !cutOff(err) {
		return ""
	}
	c, ok := d.Conn.(*commandConn)
	if !ok {
		return ""
	}
	return c.said()
}

// wire is the connection below. It keeps the server's first line, its version, which the library keeps to itself when
// the handshake fails, and the time at which something was heard of the server.
type wire struct {
	net.Conn
	mu    sync.Mutex
	first []byte
	full  bool
	heard atomic.Int64 // Unix time in nanoseconds
	reads int
}

// firstReads is how many reads the beginning of a connection takes, until sshd sends its packets at once.
const firstReads = 64

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.heard.Store(time.Now().UnixNano())
	}
	if w.reads < firstReads {
		w.reads++
		acknowledge(w.Conn)
	}
	if !w.full { // only the reader asks, and it is one
		w.mu.Lock()
		w.first = append(w.first, p[:min(n, 255-len(w.first))]...)
		w.full = len(w.first) == 255
		w.mu.Unlock()
	}
	return n, err
}

// silent is how long nothing was heard of the server.
func (w *wire) silent() time.Duration { return time.Since(time.Unix(0, w.heard.Load())) }

func (w *wire) banner() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	line, _, _ := strings.Cut(string(w.first), "\n")
	return printable(strings.TrimSpace(line))
}
