package proof

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// Mailbox is a folder as IMAP (RFC 3501) shows it.
type Mailbox struct {
	UIDValidity uint32             `json:"uidvalidity"`
	UIDNext     uint32             `json:"uidnext"`
	Messages    map[uint32]Message `json:"messages"` // by UID
}

// Message is a message as IMAP shows it.
type Message struct {
	Hash  string   `json:"hash"` // SHA-256 of the whole message
	Size  int64    `json:"size"`
	Flags []string `json:"flags"` // sorted, keywords among them, without \Recent, which is the session's
	Date  string   `json:"date"`  // INTERNALDATE, UTC
}

// Account is everything that a user sees. Names of folders are without the prefix of the server's namespace.
type Account struct {
	Mailboxes     map[string]*Mailbox `json:"mailboxes"`
	Subscriptions []string            `json:"subscriptions"`
}

// ReadAccount logs in to the IMAP server of an address, port 143, and reads everything, without changing a flag.
func ReadAccount(ctx context.Context, address, user, password string) (*Account, error) {
	c, err := Login(ctx, address, user, password)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	prefix, err := PersonalPrefix(c)
	if err != nil {
		return nil, fmt.Errorf("cannot ask for the namespace of %s: %w", user, err)
	}
	a := &Account{Mailboxes: map[string]*Mailbox{}}
	all, err := c.List("", "*", nil).Collect()
	if err != nil {
		return nil, fmt.Errorf("cannot list the folders of %s: %w", user, err)
	}
	for _, m := range all {
		if slices.Contains(m.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(m.Attrs, imap.MailboxAttrNonExistent) {
			continue
		}
		box, err := readMailbox(c, m.Mailbox)
		if err != nil {
			return nil, fmt.Errorf("cannot read folder %q of %s: %w", m.Mailbox, user, err)
		}
		a.Mailboxes[strings.TrimPrefix(m.Mailbox, prefix)] = box
	}
	subscribed, err := c.List("", "*", &imap.ListOptions{SelectSubscribed: true}).Collect()
	if err != nil {
		return nil, fmt.Errorf("cannot list the subscriptions of %s: %w", user, err)
	}
	for _, m := range subscribed {
		a.Subscriptions = append(a.Subscriptions, strings.TrimPrefix(m.Mailbox, prefix))
	}
	slices.Sort(a.Subscriptions)
	return a, nil
}

// PersonalPrefix is what a server puts before the names of a user's own folders (RFC 2342): "INBOX." on some, nothing on others. Two
// servers show the same folders when the rest of the name is the same.
func PersonalPrefix(c *imapclient.Client) (string, error) {
	if !c.Caps().Has(imap.CapNamespace) {
		return "", nil
	}
	n, err := c.Namespace().Wait()
	if err != nil || len(n.Personal) == 0 {
		return "", err
	}
	return n.Personal[0].Prefix, nil
}

// Login opens a session with the IMAP server of an address at port 143. It is patient for a few seconds with a server that has just been started.
func Login(ctx context.Context, address, user, password string) (*imapclient.Client, error) {
	for try := 0; ; try++ {
		c, err := TryLogin(ctx, address, user, password)
		if err == nil || try == 5 || ctx.Err() != nil || !strings.Contains(err.Error(), "cannot connect") {
			return c, err
		}
		time.Sleep(time.Second)
	}
}

// TryLogin opens a session with the IMAP server of an address at port 143.
func TryLogin(ctx context.Context, address, user, password string) (*imapclient.Client, error) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(address, "143"))
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the IMAP server: %w", err)
	}
	c := imapclient.New(conn, nil)
	if err := c.WaitGreeting(); err != nil {
		c.Close()
		return nil, fmt.Errorf("cannot connect to the IMAP server: %w", err)
	}
	if err := c.Login(user, password).Wait(); err != nil {
		c.Close()
		return nil, fmt.Errorf("cannot log in as %s with the password of the old server: %w", user, err)
	}
	return c, nil
}

func readMailbox(c *imapclient.Client, name string) (*Mailbox, error) {
	selected, err := c.Select(name, &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return nil, err
	}
	box := &Mailbox{UIDValidity: selected.UIDValidity, UIDNext: uint32(selected.UIDNext), Messages: map[uint32]Message{}}
	if selected.NumMessages == 0 {
		return box, nil
	}
	section := &imap.FetchItemBodySection{Peek: true}
	fetch := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, BodySection: []*imap.FetchItemBodySection{section}})
	for {
		data := fetch.Next()
		if data == nil {
			break
		}
		uid, m, err := readMessage(data)
		if err != nil {
			fetch.Close()
			return nil, err
		}
		box.Messages[uid] = m
	}
	if err := fetch.Close(); err != nil {
		return nil, err
	}
	if len(box.Messages) != int(selected.NumMessages) {
		return nil, fmt.Errorf("the server says %d messages and shows %d", selected.NumMessages, len(box.Messages))
	}
	return box, nil
}

// readMessage hashes the text as it streams in: no message is held in memory.
func readMessage(data *imapclient.FetchMessageData) (uid uint32, m Message, err error) {
	for {
		item := data.Next()
		if item == nil {
			return uid, m, nil
		}
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			uid = uint32(item.UID)
		case imapclient.FetchItemDataFlags:
			for _, f := range item.Flags {
				if f != "\\Recent" {
					m.Flags = append(m.Flags, string(f))
				}
			}
			slices.Sort(m.Flags)
		case imapclient.FetchItemDataInternalDate:
			m.Date = item.Time.UTC().Format(time.RFC3339)
		case imapclient.FetchItemDataBodySection:
			h := sha256.New()
			if m.Size, err = io.Copy(h, item.Literal); err != nil {
				return 0, m, err
			}
			m.Hash = hex.EncodeToString(h.Sum(nil))
		}
	}
}
