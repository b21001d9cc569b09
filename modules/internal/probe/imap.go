package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// IMAP is a session with an IMAP server that has logged in.
type IMAP struct {
	Certificate *Certificate // nil: the connection is not encrypted

	session *session
	client  *imapclient.Client
	secret  string
}

// OpenIMAP connects and logs in. Without encryption the password is only sent to an address that does not leave the machine. accept is
// asked about the certificate before the password is sent; nil: any will do.
func OpenIMAP(ctx context.Context, server Server, mode Mode, user, password string, accept func(*Certificate) error) (*IMAP, error) {
	s, err := server.open(ctx)
	if err != nil {
		return nil, err
	}
	m := &IMAP{session: s, secret: password}
	if err := m.begin(server, mode, user, accept); err != nil {
		err = m.why(err) // before closing, which ends the context
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *IMAP) begin(server Server, mode Mode, user string, accept func(*Certificate) error) (err error) {
	greeting := ""
	if mode == StartTLS {
		if err := startIMAP(m.session); err != nil {
			return err
		}
		greeting = "* OK\r\n" // the client waits for one, and there is none after STARTTLS
	}
	switch mode {
	case StartTLS, Implicit:
		if m.Certificate, err = m.session.startTLS(server); err != nil {
			return err
		}
		if accept != nil {
			if err := accept(m.Certificate); err != nil {
				return err
			}
		}
	default:
		if !Loopback(server.Host) {
			return errors.New("the connection is not encrypted, and the password is not sent over it")
		}
	}
	m.client = imapclient.New(&greeted{Conn: m.session.conn, in: io.MultiReader(strings.NewReader(greeting), m.session.conn)}, nil)
	if err := m.client.WaitGreeting(); err != nil {
		return err
	}
	if err := m.client.Login(user, m.secret).Wait(); err != nil {
		return fmt.Errorf("the login of %s failed: %w", user, err)
	}
	return nil
}

// greeted is a connection whose first line is put in.
type greeted struct {
	net.Conn
	in io.Reader
}

func (g *greeted) Read(p []byte) (int, error) { return g.in.Read(p) }

// why makes of an error what the operator should read; a server may say again what it was sent.
func (m *IMAP) why(err error) error {
	var refused *imap.Error
	if errors.As(err, &refused) {
		text := strings.TrimPrefix(refused.Text, "[")
		err = fmt.Errorf("%s", strings.Replace(err.Error(), refused.Error(), "it answers "+string(refused.Type)+" "+text, 1))
	}
	err = m.session.why(err)
	if err != nil && m.secret != "" && strings.Contains(err.Error(), m.secret) {
		err = errors.New(strings.ReplaceAll(err.Error(), m.secret, "********"))
	}
	return err
}

// Mailbox is the state of one mailbox.
type Mailbox struct {
	Name        string
	Messages    uint32
	UIDValidity uint32
	UIDNext     uint32
}

// Open opens a mailbox for reading; no flag of a message changes.
func (m *IMAP) Open(name string) (*Mailbox, error) {
	data, err := m.client.Select(name, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return nil, fmt.Errorf("the mailbox %s cannot be opened: %w", name, m.why(err))
	}
	return &Mailbox{Name: name, Messages: data.NumMessages, UIDValidity: data.UIDValidity, UIDNext: uint32(data.UIDNext)}, nil
}

// Mailboxes lists the names of all mailboxes.
func (m *IMAP) Mailboxes() ([]string, error) {
	list, err := m.client.List("", "*", nil).Collect()
	if err != nil {
		return nil, fmt.Errorf("its mailboxes cannot be listed: %w", m.why(err))
	}
	var names []string
	for _, l := range list {
		names = append(names, l.Mailbox)
	}
	return names, nil
}

// Mail is a message that was found.
type Mail struct {
	UID      uint32
	Received time.Time // INTERNALDATE
	Bytes    int64
	Header   string
}

// Find looks for messages with a mark in the open mailbox, and reads each: that it can be read is part of the proof.
func (m *IMAP) Find(mark string) ([]Mail, error) {
	found, err := m.client.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: MarkHeader, Value: mark}}}, nil).Wait()
	if err != nil {
		return nil, fmt.Errorf("it cannot be searched: %w", m.why(err))
	}
	uids := found.AllUIDs()
	if len(uids) == 0 {
		return nil, nil
	}
	whole := &imap.FetchItemBodySection{Peek: true}
	list, err := m.client.Fetch(imap.UIDSetNum(uids...), &imap.FetchOptions{
		UID: true, InternalDate: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{whole},
	}).Collect()
	if err != nil {
		return nil, fmt.Errorf("the mail cannot be read: %w", m.why(err))
	}
	var mails []Mail
	for _, l := range list {
		body := l.FindBodySection(whole)
		if !bytes.Contains(body, []byte(mark)) {
			return nil, fmt.Errorf("the message with UID %d was found by its mark and does not hold it", l.UID)
		}
		header, _, _ := strings.Cut(strings.ReplaceAll(string(body), "\r\n", "\n"), "\n\n")
		mails = append(mails, Mail{UID: uint32(l.UID), Received: l.InternalDate, Bytes: l.RFC822Size, Header: header})
	}
	return mails, nil
}

// Remove takes messages away from a mailbox for good: by UID, which needs UIDPLUS (RFC 4315), so that nothing that somebody else has marked as
// deleted goes with them.
func (m *IMAP) Remove(mailbox string, uids ...uint32) error {
	if !m.client.Caps().Has(imap.CapUIDPlus) {
		return errors.New("it cannot remove single messages (no UIDPLUS)")
	}
	if _, err := m.client.Select(mailbox, nil).Wait(); err != nil {
		return m.why(err)
	}
	var set imap.UIDSet
	for _, u := range uids {
		set.AddNum(imap.UID(u))
	}
	err := m.client.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close()
	if err == nil {
		err = m.client.UIDExpunge(set).Close()
	}
	return m.why(err)
}

// Close logs out and ends the connection.
func (m *IMAP) Close() {
	if m.client != nil {
		if m.session.ctx.Err() == nil {
			_ = m.client.Logout().Wait()
		}
		m.client.Close()
	}
	m.session.close()
}
