package probetest

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// listen serves each connection with a function, until the test ends. It returns the port.
func listen(t testing.TB, serve func(net.Conn)) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			group.Go(func() { serve(conn); conn.Close() })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for conn := range open {
			conn.Close()
		}
		mu.Unlock()
		group.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}

// SMTP is an SMTP server that keeps what it takes. The zero value greets, offers nothing and refuses to relay.
type SMTP struct {
	Certificate *tls.Certificate // offered by STARTTLS
	Implicit    bool             // encrypted from the first byte
	Domain      string           // that it takes mail for
	OpenRelay   bool
	Trusts      string // a sender for whom it relays
	User        string // may log in, with Password
	Password    string
	Refuses     string // the reply to RCPT, instead of taking mail
	Early       bool   // says more than the answer to STARTTLS before the handshake
	Greets      string // instead of the usual greeting

	taken *taken
}

// taken are the mails that a server took.
type taken struct {
	mu    sync.Mutex
	mails []string
}

// Mails are those that it took, with LF at the end of lines.
func (s *SMTP) Mails() []string {
	s.taken.mu.Lock()
	defer s.taken.mu.Unlock()
	return append([]string(nil), s.taken.mails...)
}

// Start listens on 127.0.0.1.
func (s *SMTP) Start(t testing.TB) (port int) {
	t.Helper()
	s.taken = &taken{}
	return listen(t, s.serve)
}

func (s *SMTP) serve(conn net.Conn) {
	encrypted := false
	if s.Implicit {
		conn, encrypted = tls.Server(conn, s.config()), true
	}
	text := textproto.NewConn(conn)
	say := func(line string) { _ = text.PrintfLine("%s", line) }
	if s.Greets != "" {
		say(s.Greets)
	} else {
		say("220 mx.example.org ESMTP Postfix")
	}
	from := ""
	for {
		line, err := text.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			for _, w := range s.offers(encrypted) {
				say("250-" + w)
			}
			say("250 8BITMIME")
		case "STARTTLS":
			if s.Early {
				_, _ = conn.Write([]byte("220 go\r\n250 more\r\n"))
			} else {
				say("220 go")
			}
			conn, encrypted = tls.Server(conn, s.config()), true
			text = textproto.NewConn(conn)
		case "AUTH":
			s.login(rest, say)
		case "MAIL":
			from = rest
			say("250 2.1.0 Ok")
		case "RCPT":
			say(s.recipient(from, rest))
		case "DATA":
			say("354 go on")
			mail, err := text.ReadDotBytes()
			if err != nil {
				return
			}
			s.taken.mu.Lock()
			s.taken.mails = append(s.taken.mails, from+"\n"+string(mail))
			s.taken.mu.Unlock()
			say("250 2.0.0 Ok: queued as 4F1C3A0042")
		case "RSET":
			say("250 2.0.0 Ok")
		case "QUIT":
			say("221 2.0.0 Bye")
			return
		default:
			say("502 5.5.2 Error: command not recognized")
		}
	}
}

func (s *SMTP) config() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{*s.Certificate}}
}

func (s *SMTP) offers(encrypted bool) []string {
	words := []string{"mx.example.org", "SIZE 10240000"}
	if s.Certificate != nil && !encrypted {
		words = append(words, "STARTTLS")
	}
	if s.User != "" && encrypted {
		words = append(words, "AUTH PLAIN LOGIN")
	}
	return words
}

func (s *SMTP) login(rest string, say func(string)) {
	_, code, _ := strings.Cut(rest, " ")
	given, _ := base64.StdEncoding.DecodeString(code)
	if string(given) == "\x00"+s.User+"\x00"+s.Password {
		say("235 2.7.0 Authentication successful")
		return
	}
	say("535 5.7.8 Error: authentication failed")
}

func (s *SMTP) recipient(from, to string) string {
	switch {
	case strings.Contains(to, "@"+s.Domain+">") && s.Refuses != "":
		return s.Refuses
	case strings.Contains(to, "@"+s.Domain+">"), s.OpenRelay, s.Trusts != "" && strings.Contains(from, s.Trusts):
		return "250 2.1.5 Ok"
	}
	return "554 5.7.1 " + to + ": Relay access denied"
}

// IMAP starts an IMAP server with the mailboxes of one user. With a certificate it offers STARTTLS, and wants it before a login.
func IMAP(t testing.TB, certificate *tls.Certificate, user *imapmemserver.User) (port int) {
	t.Helper()
	memory := imapmemserver.New()
	memory.AddUser(user)
	o := &imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return memory.NewSession(), nil, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUIDPlus: {}},
		InsecureAuth: certificate == nil,
		Logger:       quiet{},
	}
	if certificate != nil {
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, done := imapserver.New(o), make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
	return l.Addr().(*net.TCPAddr).Port
}

// quiet takes what a server logs of clients that hang up.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// Append puts a mail into a mailbox.
func Append(t testing.TB, user *imapmemserver.User, mailbox string, mail []byte) {
	t.Helper()
	text := strings.ReplaceAll(string(mail), "\n", "\r\n")
	if _, err := user.Append(mailbox, literal{strings.NewReader(text)}, &imap.AppendOptions{}); err != nil {
		t.Fatal(err)
	}
}

type literal struct{ *strings.Reader }

func (l literal) Size() int64 { return l.Reader.Size() }

// Greeter starts a server that knows the beginning of pop3, imap or sieve and then TLS.
func Greeter(t testing.TB, protocol string, certificate tls.Certificate, offers bool) (port int) {
	t.Helper()
	words := map[string][2]string{
		"pop3":  {"+OK Dovecot ready.\r\n", "+OK Begin TLS negotiation now.\r\n"},
		"imap":  {"* OK [CAPABILITY IMAP4rev1 STARTTLS] Dovecot ready.\r\n", "a OK Begin TLS negotiation now.\r\n"},
		"sieve": {"\"IMPLEMENTATION\" \"Dovecot Pigeonhole\"\r\n\"STARTTLS\"\r\nOK \"Dovecot ready.\"\r\n", "OK \"Begin TLS negotiation now.\"\r\n"},
	}[protocol]
	if !offers {
		words[0] = strings.ReplaceAll(words[0], "\"STARTTLS\"\r\n", "")
		words[1] = map[string]string{"pop3": "-ERR Unknown command.\r\n", "imap": "a BAD Unknown command\r\n", "sieve": "NO\r\n"}[protocol]
	}
	return listen(t, func(conn net.Conn) {
		fmt.Fprint(conn, words[0])
		if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
			return
		}
		fmt.Fprint(conn, words[1])
		if !offers {
			return
		}
		c := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}})
		if err := c.Handshake(); err == nil {
			_, _ = c.Read(make([]byte, 1))
		}
	})
}

// Port listens and says a line, or accepts and says nothing.
func Port(t testing.TB, says string) (port int) {
	t.Helper()
	return listen(t, func(conn net.Conn) {
		fmt.Fprint(conn, says)
		_, _ = conn.Read(make([]byte, 1))
	})
}
