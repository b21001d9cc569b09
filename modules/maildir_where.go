package modules

import (
	"context"
	"fmt"
	"strings"

	"runner/modules/internal/dovecot"
	"runner/modules/internal/maildir"
	"runner/runtime/host"
	"runner/runtime/module"
)

// maildirWhere is whether mailboxes go to where Dovecot looks for them.
type maildirWhere struct {
	// Ask the Dovecot of to, where there is one, where it looks for the mailboxes of some accounts, before the first pass. When that is
	// elsewhere the step fails: users would find all their old mails missing.
	AskDovecot bool `lua:"ask_dovecot" default:"true"`
}

// realPaths resolves symbolic links as far as there are directories.
const realPaths = `for p; do readlink -m -- "$p"; done`

// compare asks once, before anything is copied: in the last pass users wait.
func (a *maildirWhere) compare(ctx context.Context, to *host.View, pass *maildir.Pass) (note string, err error) {
	if !a.AskDovecot || !pass.First || len(pass.Inboxes) == 0 || !pass.Fills() {
		return "", nil
	}
	args := []string{}
	for _, in := range pass.Inboxes {
		args = append(args, in.Address)
	}
	out, err := to.QueryScript(ctx, lookUsers, args...)
	if err != nil {
		return "", fmt.Errorf("cannot ask Dovecot on %s where it looks for mailboxes: %w", to.Name(), why(err))
	}
	if strings.TrimSpace(out.Stdout) == "absent" {
		return "", nil
	}
	var asked []maildir.Inbox
	var paths []string
	said := ""
	for i, u := range dovecot.ParseUsers(out.Stdout) {
		if i >= len(pass.Inboxes) {
			break
		}
		if looks := u.Inbox(); looks != "" {
			asked, paths = append(asked, pass.Inboxes[i]), append(paths, pass.Inboxes[i].Path, looks)
		} else if said == "" {
			said = strings.TrimSuffix(u.Name+": "+u.Said, ": ")
		}
	}
	if len(asked) == 0 { // it does not know the accounts yet
		if asked, paths, err = a.settings(ctx, to, pass.Inboxes); err != nil {
			return "", err
		}
	}
	if len(asked) == 0 {
		return fmt.Sprintf("Dovecot on %s does not say where it looks for mailboxes (%s)", to.Name(), said), nil
	}
	if out, err = to.QueryScript(ctx, realPaths, paths...); err != nil {
		return "", fmt.Errorf("cannot look at %s on %s: %w", paths[0], to.Name(), why(err))
	}
	return "", judgePlaces(to.Name(), asked, out.Lines())
}

// mailSettings prints where mailboxes lie whose user lookup does not say it.
const mailSettings = sbinPath + `
for s in mail_location mail_path mail_home; do echo "$s=$(doveconf -h "$s" 2>/dev/null | head -n 1)"; done`

// settings are where mailboxes go and where the settings say that Dovecot looks.
func (a *maildirWhere) settings(ctx context.Context, to *host.View, inboxes []maildir.Inbox) (asked []maildir.Inbox, paths []string, err error) {
	out, err := to.QueryScript(ctx, mailSettings)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot ask Dovecot on %s for its settings: %w", to.Name(), why(err))
	}
	values := map[string]string{}
	for _, line := range out.Lines() {
		name, value, _ := strings.Cut(line, "=")
		values[name] = value
	}
	places := dovecot.Places{Location: values["mail_location"], Path: values["mail_path"], Home: values["mail_home"]}
	for _, in := range inboxes {
		if looks := places.Inbox(in.Address); looks != "" {
			asked, paths = append(asked, in), append(paths, in.Path, looks)
		}
	}
	return asked, paths, nil
}

// judgePlaces fails when Dovecot looks elsewhere; places are for each account where the mailbox goes and where Dovecot looks.
func judgePlaces(host string, asked []maildir.Inbox, places []string) error {
	if len(places) != 2*len(asked) {
		return nil // the host has no readlink -m: it cannot be told
	}
	var wrong []string
	for i, in := range asked {
		if goes, looks := places[2*i], places[2*i+1]; goes != looks {
			wrong = append(wrong, fmt.Sprintf("%s: the mailbox goes to %s, and Dovecot looks in %s", in.Address, goes, looks))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	err := fmt.Errorf("cannot copy mailboxes to %s, because Dovecot there looks for them elsewhere (%d of %d accounts asked), and all old mails would be missing:\n  %s",
		host, len(wrong), len(asked), strings.Join(wrong, "\n  "))
	return module.WithHint(err, "say with patterns where they lie and where they go, such as path = \"/var/vmail/%d/%n\", target = \"/var/vmail/%d/%n/Maildir\" "+
		"(%Ld and %Ln for small letters, %u for the whole address), or change mail_location there; ask_dovecot = false copies all the same")
}

// joinNotes puts notes into one line.
func joinNotes(notes ...string) string {
	var all []string
	for _, n := range notes {
		if n != "" {
			all = append(all, n)
		}
	}
	return strings.Join(all, "; ")
}
