package probe

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Dial connects to an address, such as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Server is a server to be probed.
type Server struct {
	Dial Dial   // nil: from this machine
	Host string // name or address
	Port int
	Name string         // that it is asked for with (SNI, RFC 6066); empty: Host, when that is a name
	CA   *x509.CertPool // that certificates may come from; nil: those that this machine trusts
}

// Time limits. A server that looks up the name of its client in a dead DNS, or lets it wait on purpose (postscreen), needs
// its time; a packet filter that drops a connection never answers.
const (
	connectTime = 10 * time.Second
	sessionTime = 60 * time.Second
)

// Address is host and port in one.
func (s Server) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// Refused is the error of a server that cannot be connected to.
type Refused struct {
	Why      string // "connection refused", "no answer"
	Filtered bool   // nothing came back: a packet filter, or a host that is down
	Err      error
}

func (e *Refused) Error() string { return e.Why }
func (e *Refused) Unwrap() error { return e.Err }

// Connect opens a connection and closes it when the context ends.
func (s Server) Connect(ctx context.Context) (net.Conn, error) {
	dial := s.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	try, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := dial(try, "tcp", s.Address())
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, refusal(try, err)
	}
	return conn, nil
}

// refusal says in a few words why there is no connection. SSH servers tell the reason in words of their own: "Connection
// refused", or "open failed" with a code (RFC 4254, 5.1).
func refusal(ctx context.Context, err error) error {
	text := strings.ToLower(err.Error())
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), strings.Contains(text, "connection refused"):
		return &Refused{Why: "connection refused", Err: err}
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout(), strings.Contains(text, "timed out"):
		return &Refused{Why: "no answer", Filtered: true, Err: err}
	case strings.Contains(text, "no route to host"):
		return &Refused{Why: "no route to host", Filtered: true, Err: err}
	case strings.Contains(text, "network is unreachable"):
		return &Refused{Why: "network is unreachable", Filtered: true, Err: err}
	case strings.Contains(text, "no such host"):
		return &Refused{Why: "the name has no address", Err: err}
	}
	return err
}

// session is a connection with its reader, bounded in time.
type session struct {
	ctx  context.Context
	conn net.Conn
	in   *bufio.Reader
	end  func()
}

// open connects. The session must be closed.
func (s Server) open(ctx context.Context) (*session, error) {
	conn, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, sessionTime, fmt.Errorf("no answer within %s", sessionTime))
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return &session{ctx: ctx, conn: conn, in: bufio.NewReader(conn), end: func() { stop(); cancel() }}, nil
}

func (s *session) close() {
	s.end()
	s.conn.Close()
}

// why makes of an error of the connection what the operator should read.
func (s *session) why(err error) error {
	switch {
	case err == nil:
		return nil
	case s.ctx.Err() != nil:
		return context.Cause(s.ctx)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return errors.New("it closed the connection")
	}
	return err
}

// longestLine is more than any protocol here allows in a line (RFC 5321, 4.5.3.1.5: 512 bytes; IMAP capabilities are longer).
const longestLine = 16 << 10

// line reads one line without its end.
func (s *session) line() (string, error) {
	var text []byte
	for {
		part, err := s.in.ReadSlice('\n')
		text = append(text, part...)
		switch {
		case len(text) > longestLine:
			return "", errors.New("it sends a line without end")
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && len(text) > 0 && errors.Is(err, io.EOF):
			return "", fmt.Errorf("it closed the connection after %q", string(text))
		case err != nil:
			return "", s.why(err)
		default:
			return strings.TrimRight(string(text), "\r\n"), nil
		}
	}
}

// send writes a line.
func (s *session) send(line string) error {
	_, err := io.WriteString(s.conn, line+"\r\n")
	return s.why(err)
}

// Banner is the first line that a server says, or nothing when it says none within a moment.
func Banner(ctx context.Context, conn net.Conn, wait time.Duration) string {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	text, _ := bufio.NewReader(io.LimitReader(conn, 512)).ReadString('\n')
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '�' {
			return -1
		}
		return r
	}, text)
	return strings.TrimSpace(clean)
}
