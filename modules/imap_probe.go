package modules

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"runner/modules/internal/probe"
	"runner/runtime/module"
)

// imapProbeArgs are the arguments of imap_probe.
//
// It logs in as the user's own program would, opens a mailbox for reading and, with mark, finds the mail that [smtp_probe] delivered and reads
// it. No flag of a message changes. The password is sent over an encrypted connection with a certificate that is trusted, or within the host itself.
// UIDVALIDITY and the UIDs are what the programs of users know messages by: compare them before and after a move.
//
// # Example
//
//	imap_probe { address = "mail.example.org", user = "john@example.org", password = params.password, names = { "imap.example.org" } }
//	local found = imap_probe { on = new, port = 143, tls = "none", user = "john@example.org", password = params.password, mark = sent.mark, wait = "1m" }
//
// # Result
//
//   - messages (integer): messages in the mailbox
//   - uidvalidity (integer): its UIDVALIDITY
//   - uidnext (integer): the UID that the next message gets
//   - mailboxes (list of string): the names of all mailboxes of the user
//   - found (integer): messages with the mark
//   - uids (list of integer): their UIDs
//   - header (string): the header of the first one: the way that it took stands there
//   - seconds (number): how long it was waited for
//   - encrypted (boolean): whether the connection was encrypted
//   - certificate (table): of the server, as of [tls_check]
type imapProbeArgs struct {
	probeTarget
	// TCP port: 993 or 143.
	Port int `lua:"port" default:"993"`
	probeTLS
	// Whether the certificate must lead to an authority that this machine trusts. Without it, it must unless the connection stays within the host.
	Trusted *bool `lua:"trusted"`
	// User to log in as.
	User string `lua:"user,required"`
	// The password.
	Password module.Secret `lua:"password,required"`
	// The mailbox that is looked into.
	Mailbox string `lua:"mailbox" default:"INBOX"`
	// Mark of the mail that must be there exactly once.
	Mark string `lua:"mark"`
	// How long to wait for it.
	Wait time.Duration `lua:"wait"`
	// Whether the marked mail is removed once it has been found.
	Remove bool `lua:"remove"`
}

const imapInterval = time.Second // between two looks for a mail

// Validate checks what the types of the arguments cannot.
func (a *imapProbeArgs) Validate() error {
	if err := errors.Join(a.probeTarget.validate(a.Port), a.probeTLS.validate()); err != nil {
		return err
	}
	switch {
	case a.User == "" || strings.ContainsAny(a.User, "\x00\r\n"):
		return errors.New("user must be one line")
	case a.Mark != "" && !markShape.MatchString(a.Mark):
		return errors.New("mark must be 8 to 64 letters, digits, dots, - and _")
	case a.Mark == "" && (a.Wait > 0 || a.Remove):
		return errors.New("wait and remove need mark")
	}
	return nil
}

// imapFound is what one session found.
type imapFound struct {
	box         *probe.Mailbox
	names       []string
	mails       []probe.Mail
	certificate *probe.Certificate
}

func planIMAPProbe(ctx context.Context, a *imapProbeArgs) (*module.Plan, error) {
	server := a.server(a.Port)
	server.CA, _ = a.authorities()
	if len(a.Names) > 0 {
		server.Name = a.Names[0]
	}
	doing := fmt.Sprintf("confirm that %s can read mail at %s", a.User, a.at(server))
	f, err := a.look(ctx, server)
	if err != nil {
		return nil, a.failed(ctx, doing, err)
	}
	plan := &module.Plan{Output: a.output(f, 0), Note: fmt.Sprintf("%d messages in %s of %s", f.box.Messages, a.Mailbox, a.User)}
	switch n := len(f.mails); {
	case a.Mark == "":
	case n > 1:
		return nil, fmt.Errorf("cannot %s: the marked mail is there %d times", doing, n)
	case n == 1 && a.Remove:
		plan.Changes = []module.Change{{Summary: "remove the marked mail from " + a.Mailbox + " of " + a.User, Action: true, Destroys: true,
			Apply: func(ctx context.Context, _ *module.Apply) error { return a.remove(ctx, server, f) }}}
	case n == 1:
		plan.Note = fmt.Sprintf("the marked mail is in %s of %s, UID %d", a.Mailbox, a.User, f.mails[0].UID)
	case a.Wait == 0:
		return nil, module.WithHint(a.failed(ctx, doing, fmt.Errorf("the marked mail is not in %s", a.Mailbox)), "wait = \"1m\" would wait for it")
	default:
		plan.Moving = true
		summary := fmt.Sprintf("wait until the marked mail is in %s of %s, at most %s", a.Mailbox, a.User, module.FormatDuration(a.Wait))
		if a.Remove {
			summary += ", and remove it"
		}
		plan.Changes = []module.Change{{
			Summary: summary, Wait: !a.Remove, Destroys: a.Remove,
			Apply: func(ctx context.Context, do *module.Apply) error { return a.await(ctx, do, server, doing) },
		}}
	}
	return plan, nil
}

// look logs in, looks, and logs out.
func (a *imapProbeArgs) look(ctx context.Context, server probe.Server) (*imapFound, error) {
	m, err := a.open(ctx, server)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	f := &imapFound{certificate: m.Certificate}
	if f.box, err = m.Open(a.Mailbox); err != nil {
		return nil, err
	}
	if f.names, err = m.Mailboxes(); err != nil {
		return nil, err
	}
	if a.Mark != "" {
		f.mails, err = m.Find(a.Mark)
	}
	return f, err
}

func (a *imapProbeArgs) open(ctx context.Context, server probe.Server) (*probe.IMAP, error) {
	mode := a.mode(a.Port)
	if mode == "" {
		mode = probe.StartTLS
	}
	trusted := !probe.Loopback(server.Host)
	if a.Trusted != nil {
		trusted = *a.Trusted
	}
	accept := func(c *probe.Certificate) error {
		wrong := a.judge(c, trusted, 0, time.Now())
		if trusted && len(a.Names) == 0 {
			if err := c.Covers(server.Host); err != nil {
				wrong = append(wrong, err)
			}
		}
		if len(wrong) == 0 || !trusted && len(a.Names) == 0 {
			return nil
		}
		return joinReasons(wrong)
	}
	return probe.OpenIMAP(ctx, server, mode, a.User, a.Password.Reveal(), accept)
}

// await looks again and again until the mail is there.
func (a *imapProbeArgs) await(ctx context.Context, do *module.Apply, server probe.Server, doing string) error {
	began := time.Now()
	for {
		f, err := a.look(ctx, server)
		if err != nil {
			return a.failed(ctx, doing, err)
		}
		if len(f.mails) > 1 {
			return fmt.Errorf("cannot %s: the marked mail is there %d times", doing, len(f.mails))
		}
		if len(f.mails) == 1 {
			for name, value := range a.output(f, time.Since(began)) {
				do.Output(name, value)
			}
			if a.Remove {
				return a.remove(ctx, server, f)
			}
			return nil
		}
		left := a.Wait - time.Since(began)
		if left <= 0 {
			return module.WithHint(fmt.Errorf("cannot %s: the marked mail did not arrive in %s within %s", doing, a.Mailbox, module.FormatDuration(a.Wait)),
				"the mail.log of the server that took it tells where it is; postqueue -p shows whether it waits")
		}
		do.Progress(module.Progress{Label: "waiting for the marked mail of " + a.User})
		if err := sleep(ctx, min(imapInterval, left)); err != nil {
			return err
		}
	}
}

func (a *imapProbeArgs) remove(ctx context.Context, server probe.Server, f *imapFound) error {
	doing := "remove the marked mail of " + a.User
	m, err := a.open(ctx, server)
	if err != nil {
		return a.failed(ctx, doing, err)
	}
	defer m.Close()
	if err := m.Remove(a.Mailbox, f.mails[0].UID); err != nil {
		return a.failed(ctx, doing, err)
	}
	return nil
}

func (a *imapProbeArgs) output(f *imapFound, waited time.Duration) map[string]any {
	uids, header := []any{}, ""
	for i, m := range f.mails {
		uids = append(uids, int64(m.UID))
		if i == 0 {
			header = m.Header
		}
	}
	return map[string]any{
		"messages": int64(f.box.Messages), "uidvalidity": int64(f.box.UIDValidity), "uidnext": int64(f.box.UIDNext),
		"mailboxes": nonNil(f.names), "found": int64(len(f.mails)), "uids": uids, "header": header,
		"seconds": waited.Seconds(), "encrypted": f.certificate != nil, "certificate": certificateOutput(f.certificate, time.Now()),
	}
}
