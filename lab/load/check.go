package load

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"runner/lab"
	"runner/lab/proof"
)

// Result is what was confirmed, and what of it is not so on the new server.
type Result struct {
	Mails     int           // that a server has taken
	Actions   int           // messages that users worked on
	Passwords int           // that users changed
	NoMail    time.Duration // longest time in which no server took a mail
	NoUsers   time.Duration // longest time in which no server answered a user
	Problems  []string
	Uncertain int // mails and messages of which either of two states would have been right
}

// Write prints a result.
func (r *Result) Write(w io.Writer) {
	fmt.Fprintf(w, "%d mails were taken, users worked on %d messages and changed %d passwords; longest pause of SMTP %.1f s, of IMAP %.1f s; %d differences\n",
		r.Mails, r.Actions, r.Passwords, r.NoMail.Seconds(), r.NoUsers.Seconds(), len(r.Problems))
	for _, p := range r.Problems {
		fmt.Fprintln(w, " ", p)
	}
}

// Check logs in to the new server as everybody and compares with what was confirmed. All must have been stopped. Mail that a
// server forwards may be under way, so it is waited for.
func (x *Load) Check(ctx context.Context) (*Result, error) {
	var r *Result
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(time.Second) {
		seen := map[string]map[string][]state{} // account, mark -> where it is
		for _, a := range x.accounts {
			marks, err := readMarks(ctx, x.new, a.Email, x.password(a))
			if err != nil {
				return nil, err
			}
			seen[a.Email] = marks
		}
		if r = x.compare(seen); len(r.Problems) == 0 || time.Now().After(until) || ctx.Err() != nil {
			return r, ctx.Err()
		}
	}
}

// password is what the owner of an account logs in with.
func (x *Load) password(a lab.User) string {
	for _, u := range x.users {
		if u.account == a {
			return u.knows()
		}
	}
	return a.Password
}

func (x *Load) compare(seen map[string]map[string][]state) *Result {
	r := &Result{Passwords: int(x.changed.Load()), NoMail: x.smtp.longest, NoUsers: x.imap.longest}
	for _, m := range x.mails {
		if m.taken {
			r.Mails++
		}
		n := len(seen[m.to][m.mark])
		switch {
		case m.taken && n == 0:
			r.Problems = append(r.Problems, fmt.Sprintf("mail %s to %s was taken and is lost", m.mark, m.to))
		case n > 1+m.maybe:
			r.Problems = append(r.Problems, fmt.Sprintf("mail %s to %s is there %d times", m.mark, m.to, n))
		case n == 1 && !m.taken, n > 1:
			r.Uncertain++
		}
	}
	for _, u := range x.users {
		for _, m := range u.messages {
			r.Actions++
			if len(m.possible) > 1 {
				r.Uncertain++
			}
			if found := seen[u.account.Email][m.mark]; !m.is(found) {
				r.Problems = append(r.Problems, fmt.Sprintf("message %s should be %s and is %s", m.mark, described(m.possible), described(found)))
			}
		}
	}
	return r
}

// is says whether what was found is one of the possible states. A move that was not answered may have left it in both folders.
func (m *message) is(found []state) bool {
	if len(found) == 0 {
		return slices.ContainsFunc(m.possible, func(s state) bool { return s.folder == "" })
	}
	for _, f := range found {
		if !slices.Contains(m.possible, f) {
			return false
		}
	}
	return len(found) == 1 || len(m.possible) == 2
}

func described(list []state) string {
	var all []string
	for _, s := range list {
		text := "gone"
		if s.folder != "" {
			text = "in " + s.folder
			for i, set := range s.flags {
				if set {
					text += " " + string(flags[i])
				}
			}
		}
		all = append(all, text)
	}
	if len(all) == 0 {
		return "gone"
	}
	return strings.Join(all, " or ")
}

// readMarks finds every message of the load in all folders of an account.
func readMarks(ctx context.Context, server, account, password string) (map[string][]state, error) {
	c, err := proof.Login(ctx, server, account, password)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	prefix, err := proof.PersonalPrefix(c)
	if err != nil {
		return nil, err
	}
	boxes, err := c.List("", "*", nil).Collect()
	if err != nil {
		return nil, err
	}
	marks := map[string][]state{}
	for _, b := range boxes {
		if slices.Contains(b.Attrs, imap.MailboxAttrNoSelect) {
			continue
		}
		selected, err := c.Select(b.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait()
		if err != nil {
			return nil, err
		}
		if selected.NumMessages == 0 {
			continue
		}
		var all imap.SeqSet
		all.AddRange(1, 0)
		list, err := c.Fetch(all, &imap.FetchOptions{Envelope: true, Flags: true}).Collect()
		if err != nil {
			return nil, err
		}
		for _, m := range list {
			mark := m.Envelope.Subject
			if !strings.HasPrefix(mark, "load-") && !strings.HasPrefix(mark, "own-") {
				continue
			}
			s := state{folder: strings.TrimPrefix(b.Mailbox, prefix)}
			for i, f := range flags {
				s.flags[i] = slices.ContainsFunc(m.Flags, func(g imap.Flag) bool { return strings.EqualFold(string(f), string(g)) })
			}
			marks[mark] = append(marks[mark], s)
		}
	}
	return marks, nil
}
