package lab_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net/smtp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"runner/lab"
	"runner/lab/labtest"
	"runner/lab/proof"
)

// everyUserLogsIn reads all mail of all users over IMAP and looks for what a move must carry.
func everyUserLogsIn(t *testing.T, l *lab.Lab) {
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(4)
	has := map[string]int{}
	for _, u := range l.UsersOf("old") {
		group.Go(func() error {
			a, err := proof.ReadAccount(t.Context(), labtest.Host(t, l, "old").Address, u.Email, u.Password)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			count(has, a)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{
		"folder INBOX", "folder Archive.2013.Q4", "folder Kunden und Partner.Müller GmbH", "folder 日本語", "folder Bob's things",
		`flag \Seen`, `flag \Answered`, `flag \Flagged`, "flag $label1", "flag wichtig", "message", "subscribed", "not subscribed", "gap in the UIDs",
	} {
		if has[what] == 0 {
			t.Errorf("nobody has a %s", what)
		}
	}
	if n := has["message"]; n < 100 || n > 140 {
		t.Errorf("%d messages, not about 120", n)
	}
	u := l.UsersOf("old")[0]
	if _, err := proof.ReadAccount(t.Context(), labtest.Host(t, l, "old").Address, u.Email, u.Password+"x"); err == nil {
		t.Errorf("%s logs in with a wrong password", u.Email)
	}
}

// count notes what is in an account. Dovecot may write keywords as it saw them first, so that their case does not count.
func count(has map[string]int, a *proof.Account) {
	for name, box := range a.Mailboxes {
		has["folder "+name]++
		if slices.Contains(a.Subscriptions, name) {
			has["subscribed"]++
		} else {
			has["not subscribed"]++
		}
		if box.UIDNext > uint32(len(box.Messages))+1 {
			has["gap in the UIDs"]++
		}
		for _, m := range box.Messages {
			has["message"]++
			for _, f := range m.Flags {
				has["flag "+f]++
				if !strings.HasPrefix(f, `\`) {
					has["flag "+strings.ToLower(f)]++
				}
			}
		}
	}
}

// mailArrives sends by real SMTP to an account, an alias with several destinations, a catch-all and through a sieve script.
func mailArrives(t *testing.T, l *lab.Lab) {
	old := labtest.Host(t, l, "old")
	for _, c := range []struct{ to, subject, user, folder string }{
		{"bernd@example.org", "plain", "bernd@example.org", "INBOX"},
		{"sales@example.org", "to many", "claudia.meier@example.org", "INBOX"},
		{"team@example.org", "to another domain", "max@verein.example", "INBOX"},
		{"nobody.at.all@verein.example", "catch-all", "vorstand@verein.example", "INBOX"},
		{"anna.schmidt@example.org", "[sieve-old] sorted", "anna.schmidt@example.org", "Sent"},
	} {
		if err := send(old.Address+":25", nil, c.to, c.subject); err != nil {
			t.Errorf("%s: %v", c.to, err)
			continue
		}
		arrives(t, old, c.user, c.folder, c.subject)
	}
	for _, to := range []string{"nobody@example.org", "somebody@elsewhere.example"} {
		if err := send(old.Address+":25", nil, to, "refused"); err == nil || !strings.Contains(err.Error(), "55") {
			t.Errorf("mail to %s is not refused: %v", to, err)
		}
	}
	// A user sends through the old server to one of the new one: SASL, TLS, the MX from the lab's DNS.
	u := account(t, l, "alice@example.com")
	auth := smtp.PlainAuth("", u.Email, u.Password, old.Address)
	if err := send(old.Address+":587", auth, "anna@resident.example", "across"); err != nil {
		t.Errorf("submission: %v", err)
	} else {
		arrives(t, labtest.Host(t, l, "new"), "anna@resident.example", "INBOX", "across")
	}
	if err := send(old.Address+":587", smtp.PlainAuth("", u.Email, "wrong", old.Address), "anna@resident.example", "no"); err == nil {
		t.Error("submission takes a wrong password")
	}
}

func account(t *testing.T, l *lab.Lab, email string) lab.User {
	t.Helper()
	i := slices.IndexFunc(l.Users, func(u lab.User) bool { return u.Email == email })
	if i < 0 {
		t.Fatalf("the lab has no %s", email)
	}
	return l.Users[i]
}

func send(address string, auth smtp.Auth, to, subject string) error {
	c, err := smtp.Dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	if auth != nil {
		// The certificate is one that the lab made for itself.
		host, _, _ := strings.Cut(address, ":")
		if err := c.StartTLS(&tls.Config{ServerName: host, InsecureSkipVerify: true}); err != nil {
			return err
		}
		if err := c.Auth(auth); err != nil {
			return err
		}
	}
	if err := c.Mail("tester@example.net"); err != nil {
		return err
	}
	if err := c.Rcpt(to); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "From: tester@example.net\r\nTo: %s\r\nSubject: %s\r\n\r\nhello\r\n", to, subject)
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

// arrives waits until a message with that subject lies in a folder.
func arrives(t *testing.T, h *lab.Host, email, folder, subject string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out []byte
	var err error
	for ctx.Err() == nil {
		out, err = h.Exec(ctx, "doveadm", "search", "-u", email, "mailbox", folder, "header", "subject", subject)
		if err == nil && len(bytes.TrimSpace(out)) > 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	log, _ := h.Exec(t.Context(), "tail", "-n", "15", "/var/log/mail.log")
	t.Errorf("%q has not arrived in %q of %s: %v\n%s", subject, folder, email, err, log)
}
