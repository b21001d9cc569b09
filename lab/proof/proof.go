// Package proof holds a moved mail server of the lab against the one that it was moved from. It believes nothing that the
// move reported: it reads both servers over IMAP as every one of their users, looks at the files from outside of the
// hosts, sends mail, and knows the passwords only from the lab.
package proof

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"runner/lab"
)

// Options say what to prove.
type Options struct {
	Users      []string // only these accounts of the old server; empty: all. Then the other checks are left out.
	NoDelivery bool     // send no mail: the state of the mailboxes stays as it is
}

// Row counts what was compared of a domain.
type Row struct {
	Domain      string
	Accounts    int
	Folders     int
	Messages    int
	Files       int
	Bytes       int64
	Differences []string
}

// Report is the result of a proof.
type Report struct {
	Rows []*Row
	Took time.Duration
}

// ErrNothing says that there was nothing to compare: no proof of anything.
var ErrNothing = errors.New("nothing was compared")

// Differences of all domains.
func (r *Report) Differences() (all []string) {
	for _, row := range r.Rows {
		all = append(all, row.Differences...)
	}
	return all
}

// Bounds of what is done at a time.
const (
	loginsAtOnce = 16 // a login that fails costs seconds, which the server spends waiting
	enough       = 5  // so many logins may fail before the rest is left out
	readsAtOnce  = 4
)

// Run proves. The error says that it could not be done; what is different is in the report.
func Run(ctx context.Context, l *lab.Lab, o Options) (*Report, error) {
	began := time.Now()
	new, err := l.Host("new")
	if err != nil {
		return nil, err
	}
	var before *resident
	if len(o.Users) == 0 {
		if before, err = remembered(l); err != nil {
			return nil, err
		}
	}
	r := &Report{}
	for _, old := range l.MailHosts() {
		if old.Shape == "" { // the new one
			continue
		}
		rows, err := prove(ctx, &prover{l: l, old: old, new: new, o: o, works: map[string]bool{}})
		if err != nil {
			return nil, err
		}
		r.Rows = append(r.Rows, rows...)
	}
	if before != nil {
		row := &Row{Domain: strings.Join(new.Domains, " ") + " (was there)"}
		if row.Differences, err = compareResident(ctx, l, before, row); err != nil {
			return nil, err
		}
		r.Rows = append(r.Rows, row)
	}
	for _, row := range r.Rows {
		if len(row.Differences) == 0 && row.Folders == 0 && len(o.Users) == 0 {
			return r, fmt.Errorf("cannot prove anything of %s: %w", row.Domain, ErrNothing)
		}
	}
	if len(r.Differences()) == 0 && !r.compared() {
		return r, fmt.Errorf("cannot prove anything: %w", ErrNothing)
	}
	r.Took = time.Since(began)
	return r, nil
}

// prove holds the new server against one old one.
func prove(ctx context.Context, p *prover) (rows []*Row, err error) {
	thaw, err := startDovecot(ctx, p.old)
	if err != nil {
		return nil, err
	}
	defer thaw()
	for _, domain := range p.old.Domains {
		rows = append(rows, &Row{Domain: domain})
	}
	// Files first: who opens a mailbox moves messages from new/ to cur/. Delivery last: it adds one.
	steps := []func(context.Context, []*Row) error{p.state, p.accounts, p.deliveries}
	if len(p.o.Users) > 0 {
		steps = []func(context.Context, []*Row) error{p.accounts}
	}
	for _, step := range steps {
		if err := step(ctx, rows); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// compared says that at least one message stood on both sides.
func (r *Report) compared() bool {
	for _, row := range r.Rows {
		if row.Messages > 0 {
			return true
		}
	}
	return false
}

// startDovecot lets the old server show its mailboxes again when the move has stopped it, and stops it afterwards.
func startDovecot(ctx context.Context, h *lab.Host) (undo func(), err error) {
	if _, err := h.Exec(ctx, "sh", "-c", "service dovecot status >/dev/null"); err == nil {
		return func() {}, nil
	}
	if _, err := h.Exec(ctx, "service", "dovecot", "start"); err != nil {
		return nil, fmt.Errorf("cannot start Dovecot on the old server to compare with it: %w", err)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_, _ = h.Exec(ctx, "service", "dovecot", "stop")
	}, nil
}

type prover struct {
	l        *lab.Lab
	old, new *lab.Host
	o        Options
	works    map[string]bool // accounts whose old password logs in on the new server
}

func (p *prover) users(domain string) (list []lab.User) {
	for _, u := range p.l.UsersOf(p.old.Name) {
		if u.Domain != domain {
			continue
		}
		if len(p.o.Users) == 0 {
			list = append(list, u)
		}
		for _, wanted := range p.o.Users {
			if wanted == u.Email {
				list = append(list, u)
			}
		}
	}
	return list
}

// state compares what is there without a mail user: files and rows of the control database.
func (p *prover) state(ctx context.Context, all []*Row) error {
	for _, row := range all {
		if err := p.files(ctx, row); err != nil {
			return err
		}
		if err := p.rows(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

func (p *prover) files(ctx context.Context, row *Row) error {
	uid, gid, err := vmailIDs(ctx, p.new)
	if err != nil {
		return err
	}
	old, err := readFiles(p.old, row.Domain)
	if err != nil {
		return err
	}
	new, err := readFiles(p.new, row.Domain)
	if err != nil {
		row.Differences = append(row.Differences, err.Error())
		return nil
	}
	row.Differences = append(row.Differences, compareFiles(row.Domain, old, new, uid, gid, row)...)
	return nil
}

func vmailIDs(ctx context.Context, h *lab.Host) (uid, gid uint32, err error) {
	out, err := h.Exec(ctx, "sh", "-c", "id -u vmail; id -g vmail")
	if err != nil {
		return 0, 0, err
	}
	var ids [2]uint32
	for i, field := range strings.Fields(string(out)) {
		n, err := strconv.ParseUint(field, 10, 32)
		if err != nil {
			return 0, 0, err
		}
		ids[i] = uint32(n)
	}
	return ids[0], ids[1], nil
}

// rows compares accounts and aliases. A password is the same when the old one logs in, which accounts tries; here only
// the names count.
func (p *prover) rows(ctx context.Context, row *Row) error {
	var both [2][]string
	for i, h := range []*lab.Host{p.old, p.new} {
		rows, err := controlRows(ctx, p.l, h, row.Domain)
		if err != nil {
			return err
		}
		for _, r := range rows {
			kind, rest, _ := strings.Cut(r, "\t")
			name, value, _ := strings.Cut(rest, "\t")
			if kind == "account" {
				name, value = strings.ToLower(name), ""
			}
			both[i] = append(both[i], strings.TrimSpace(kind+" "+name+" "+value))
		}
	}
	row.Differences = append(row.Differences, compareRows(row.Domain, both[0], both[1])...)
	return nil
}
