package probe

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Reply is what an SMTP server says to a command (RFC 5321, 4.2).
type Reply struct {
	Code  int
	Lines []string
}

// String is the reply as a log would show it.
func (r Reply) String() string { return fmt.Sprintf("%d %s", r.Code, strings.Join(r.Lines, " / ")) }

// Accepted says whether the server does what it was asked.
func (r Reply) Accepted() bool { return r.Code >= 200 && r.Code < 400 }

// ReplyError is a reply that was not hoped for.
type ReplyError struct {
	Command string // what it answers, without anything secret: "MAIL FROM"
	Reply   Reply
}

func (e *ReplyError) Error() string { return fmt.Sprintf("it answers %s with %s", e.Command, e.Reply) }

// SMTP is a session with an SMTP server (RFC 5321).
type SMTP struct {
	Greeting    string
	Certificate *Certificate // nil: the connection is not encrypted

	*session
	helo       string
	extensions map[string]string
	local      bool
}

// OpenSMTP connects and greets. mode "" encrypts where the server offers to. helo is the name of this client; empty: one is made up of what is known.
func OpenSMTP(ctx context.Context, server Server, mode Mode, helo string) (*SMTP, error) {
	s, err := server.open(ctx)
	if err != nil {
		return nil, err
	}
	m := &SMTP{session: s, local: Loopback(server.Host)}
	if err := m.begin(server, mode, helo); err != nil {
		s.close()
		return nil, err
	}
	return m, nil
}

func (m *SMTP) begin(server Server, mode Mode, helo string) (err error) {
	if helo == "" {
		helo = addressLiteral(m.conn)
	}
	if mode == Implicit {
		if m.Certificate, err = m.startTLS(server); err != nil {
			return err
		}
	}
	if err := m.greet(helo); err != nil {
		return err
	}
	_, offered := m.extensions["STARTTLS"]
	if mode == Plain || mode == Implicit || mode == "" && !offered {
		return nil
	}
	if err := m.requestTLS(); err != nil {
		return err
	}
	if m.Certificate, err = m.startTLS(server); err != nil {
		return err
	}
	return m.hello() // what was said before counts no longer (RFC 3207, 4.2)
}

// addressLiteral names a client that has no name (RFC 5321, 4.1.3).
func addressLiteral(conn net.Conn) string {
	if tcp, ok := conn.LocalAddr().(*net.TCPAddr); ok && tcp.IP != nil && !tcp.IP.IsUnspecified() {
		if tcp.IP.To4() != nil {
			return "[" + tcp.IP.String() + "]"
		}
		return "[IPv6:" + tcp.IP.String() + "]"
	}
	return "[127.0.0.1]"
}

func (m *SMTP) greet(helo string) error {
	m.helo = helo
	r, err := m.reply()
	if err != nil {
		return err
	}
	if r.Code != 220 {
		return &ReplyError{"the connection", r}
	}
	m.Greeting = r.Lines[0]
	return m.hello()
}

// hello says EHLO and reads what the server can.
func (m *SMTP) hello() error {
	r, err := m.command("EHLO " + m.helo)
	if err != nil {
		return err
	}
	if r.Code != 250 {
		return &ReplyError{"EHLO " + m.helo, r}
	}
	m.extensions = map[string]string{}
	for _, line := range r.Lines[1:] {
		word, rest, _ := strings.Cut(line, " ")
		m.extensions[strings.ToUpper(word)] = rest
	}
	return nil
}

func (m *SMTP) requestTLS() error {
	if _, ok := m.extensions["STARTTLS"]; !ok {
		return errNoTLS
	}
	r, err := m.command("STARTTLS")
	if err == nil && r.Code != 220 {
		err = &ReplyError{"STARTTLS", r}
	}
	return err
}

// command sends a line and reads the reply.
func (m *SMTP) command(line string) (Reply, error) {
	if strings.ContainsAny(line, "\r\n\x00") {
		return Reply{}, errors.New("a command must be one line")
	}
	if err := m.send(line); err != nil {
		return Reply{}, err
	}
	return m.reply()
}

const mostReplyLines = 200

func (m *SMTP) reply() (Reply, error) {
	var r Reply
	for len(r.Lines) < mostReplyLines {
		line, err := m.line()
		if err != nil {
			return r, err
		}
		code, text, last, ok := parseReplyLine(line)
		if !ok || r.Code != 0 && code != r.Code {
			return r, fmt.Errorf("it does not speak SMTP: %q", line)
		}
		r.Code, r.Lines = code, append(r.Lines, text)
		if last {
			return r, nil
		}
	}
	return r, errors.New("its reply has no end")
}

// parseReplyLine reads "250-SIZE 1000" or "250 ok" (RFC 5321, 4.2.1).
func parseReplyLine(line string) (code int, text string, last, ok bool) {
	if len(line) < 3 || line[0] < '2' || line[0] > '5' {
		return 0, "", false, false
	}
	for _, c := range []byte(line[:3]) {
		if c < '0' || c > '9' {
			return 0, "", false, false
		}
		code = code*10 + int(c-'0')
	}
	switch {
	case len(line) == 3:
		return code, "", true, true
	case line[3] == ' ' || line[3] == '-':
		return code, line[4:], line[3] == ' ', true
	}
	return 0, "", false, false
}

// Login logs in with PLAIN or LOGIN (RFC 4954). Without encryption it refuses, unless the connection does not leave the machine.
func (m *SMTP) Login(user, password string) error {
	if m.Certificate == nil && !m.local {
		return errors.New("the connection is not encrypted, and the password is not sent over it")
	}
	b64 := base64.StdEncoding.EncodeToString
	offered := strings.Fields(strings.ToUpper(m.extensions["AUTH"]))
	has := func(word string) bool {
		for _, o := range offered {
			if o == word {
				return true
			}
		}
		return false
	}
	var r Reply
	var err error
	switch {
	case has("PLAIN"):
		r, err = m.command("AUTH PLAIN " + b64([]byte("\x00"+user+"\x00"+password)))
	case has("LOGIN"):
		for _, line := range []string{"AUTH LOGIN", b64([]byte(user)), b64([]byte(password))} {
			if r, err = m.command(line); err != nil || r.Code/100 != 3 {
				break
			}
		}
	case len(offered) == 0:
		return errors.New("it offers no login")
	default:
		return fmt.Errorf("it offers no login with a password but %s", strings.Join(offered, " "))
	}
	if err == nil && r.Code != 235 {
		err = &ReplyError{"the login of " + user, r}
	}
	return err
}

// Asks asks whether a mail from one address to another would be taken, without sending one. The reply that refuses, of whatever
// command, or that of RCPT is returned.
func (m *SMTP) Asks(from, to string) (Reply, error) {
	r, err := m.envelope(from, to)
	if err != nil {
		return r, err
	}
	if _, err := m.command("RSET"); err != nil {
		return r, err
	}
	return r, nil
}

func (m *SMTP) envelope(from, to string) (Reply, error) {
	r, err := m.command("MAIL FROM:<" + from + ">")
	if err != nil || !r.Accepted() {
		return r, err
	}
	return m.command("RCPT TO:<" + to + ">")
}

// Deliver sends a mail. It returns what the server says when it has taken responsibility for it, and what it is called there
// when the server tells, as Postfix does ("queued as 4F1C3").
func (m *SMTP) Deliver(from, to string, message []byte) (said Reply, queue string, err error) {
	for _, c := range []string{"MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA"} {
		r, err := m.command(c)
		if err != nil {
			return r, "", err
		}
		if !r.Accepted() {
			return r, "", &ReplyError{c, r}
		}
	}
	if _, err := m.conn.Write(dotted(message)); err != nil {
		return Reply{}, "", m.why(err)
	}
	r, err := m.reply()
	if err == nil && r.Code != 250 {
		err = &ReplyError{"the mail", r}
	}
	if _, after, ok := strings.Cut(strings.Join(r.Lines, " "), "queued as "); ok {
		queue, _, _ = strings.Cut(after, " ")
	}
	return r, queue, err
}

// dotted is the message with the end of data, its lines with CR LF and their leading dots doubled (RFC 5321, 4.5.2).
func dotted(message []byte) []byte {
	var out strings.Builder
	for line := range strings.Lines(string(message)) {
		if strings.HasPrefix(line, ".") {
			out.WriteByte('.')
		}
		out.WriteString(strings.TrimRight(line, "\r\n"))
		out.WriteString("\r\n")
	}
	out.WriteString(".\r\n")
	return []byte(out.String())
}

// Close says goodbye and ends the connection.
func (m *SMTP) Close() {
	if m.ctx.Err() == nil {
		_, _ = io.WriteString(m.conn, "QUIT\r\n")
	}
	m.close()
}

// Helo is the name that the client gave itself.
func (m *SMTP) Helo() string { return m.helo }

// MarkHeader is the header field in which a mail carries its mark.
const MarkHeader = "X-Runner-Mark"

// Message is a mail with a mark, by which it can be found again. The null sender and Auto-Submitted (RFC 3834) keep it from
// being answered.
func Message(mark, from, to, domain string, now time.Time) []byte {
	return fmt.Appendf(nil, "From: %s\nTo: %s\nSubject: Test of mail delivery %s\nDate: %s\nMessage-ID: <%s@%s>\n"+
		"%s: %s\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\n\n"+
		"This mail was sent to see whether mail is delivered. It may be deleted.\n",
		from, to, mark, now.Format(time.RFC1123Z), mark, domain, MarkHeader, mark)
}
