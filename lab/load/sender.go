package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/smtp"
	"time"
)

// mail is one that a sender has in its queue or has got rid of.
type mail struct {
	mark   string
	to     string
	server string // address of the old server of that account
	taken  bool   // a server has confirmed that it takes it
	maybe  int    // how often it was given and nothing was confirmed
}

type sender struct {
	load   *Load
	number int
	random *rand.Rand
}

// work delivers one mail after the other. The one that is under way when it is to end is still tried for a while: a real
// sender does not forget it either.
func (s *sender) work(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		to := s.load.accounts[s.random.IntN(len(s.load.accounts))]
		m := &mail{mark: fmt.Sprintf("load-%d-%d", s.number, i), to: to.Email, server: s.load.old[to.Host]}
		s.load.mu.Lock()
		s.load.mails = append(s.load.mails, m)
		s.load.mu.Unlock()
		s.deliver(ctx, m)
		s.load.rest(ctx)
	}
}

func (s *sender) deliver(ctx context.Context, m *mail) {
	var last time.Time
	for {
		server := m.server
		if s.load.mailTo.Load() && s.number%2 == 0 {
			server = s.load.new
		}
		given, err := s.try(server, m)
		switch {
		case err == nil:
			m.taken = true
			s.load.smtp.confirmed()
			return
		case given:
			m.maybe++
		}
		if ctx.Err() != nil {
			if last.IsZero() {
				last = time.Now()
			} else if time.Since(last) > 20*time.Second {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// try gives a mail to a server. given says that all of it went there, so that it may have been taken whatever the error is.
func (s *sender) try(server string, m *mail) (given bool, err error) {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(server, "25"), 5*time.Second)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	c, err := smtp.NewClient(conn, server)
	if err != nil {
		return false, err
	}
	if err := c.Hello("sender.example.net"); err != nil {
		return false, err
	}
	if err := c.Mail("sender@example.net"); err != nil {
		return false, err
	}
	if err := c.Rcpt(m.to); err != nil {
		return false, err
	}
	w, err := c.Data()
	if err != nil {
		return false, err
	}
	fmt.Fprintf(w, "From: sender@example.net\r\nTo: %s\r\nSubject: %s\r\nMessage-ID: <%s@sender.example.net>\r\n\r\nDelivered while the server moves.\r\n", m.to, m.mark, m.mark)
	if err := w.Close(); err != nil {
		return true, err
	}
	_ = c.Quit()
	return true, nil
}
