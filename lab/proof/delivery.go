package proof

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/smtp"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"runner/lab"
)

// deliver sends a marked message to port 25 of a host, as a stranger's server would, waits until its recipient sees it, and
// takes it away again, so that a second proof finds what the first one found.
func deliver(ctx context.Context, h *lab.Host, u lab.User) error {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	mark := hex.EncodeToString(random[:])
	if err := send(ctx, h.Address, u.Email, mark); err != nil {
		return fmt.Errorf("%s takes no mail for %s: %w", h.Name, u.Email, err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		found, err := arrived(ctx, h.Address, u, mark)
		if err != nil {
			return err
		}
		if found {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("a mail to %s was taken by %s and has not arrived after 20 s", u.Email, h.Name)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func send(ctx context.Context, address, to, mark string) error {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(address, "25"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	c, err := smtp.NewClient(conn, address)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return c.Hello("prover.example.net") },
		func() error { return c.Mail("prover@example.net") },
		func() error { return c.Rcpt(to) },
		func() error {
			w, err := c.Data()
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "From: prover@example.net\r\nTo: %s\r\nSubject: proof %s\r\nMessage-ID: <%s@prover.example.net>\r\n\r\nThis mail proves that mail arrives.\r\n", to, mark, mark)
			return w.Close()
		},
		c.Quit,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// arrived looks for the marked message in every folder, since a sieve script may have filed it anywhere, and expunges it.
func arrived(ctx context.Context, address string, u lab.User, mark string) (bool, error) {
	c, err := Login(ctx, address, u.Email, u.Password)
	if err != nil {
		return false, err
	}
	defer c.Close()
	boxes, err := c.List("", "*", nil).Collect()
	if err != nil {
		return false, err
	}
	for _, b := range boxes {
		if _, err := c.Select(b.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
			continue
		}
		found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: mark}}}, nil).Wait()
		if err != nil {
			return false, err
		}
		uids := found.AllUIDs()
		if len(uids) == 0 {
			continue
		}
		if err := expunge(c, b.Mailbox, imap.UIDSetNum(uids...)); err != nil {
			return true, fmt.Errorf("cannot remove the proof's own mail from %q of %s: %w", b.Mailbox, u.Email, err)
		}
		return true, nil
	}
	return false, nil
}

func expunge(c *imapclient.Client, mailbox string, uids imap.UIDSet) error {
	if _, err := c.Select(mailbox, nil).Wait(); err != nil {
		return err
	}
	store := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := c.Store(uids, store, nil).Close(); err != nil {
		return err
	}
	return c.UIDExpunge(uids).Close()
}
