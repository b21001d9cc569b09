package proof

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"runner/lab"
)

// job is an account to compare, and what came out of it.
type job struct {
	user        lab.User
	row         *Row   // of its domain
	login       error  // nil: the old password logs in on the new server
	refused     string // what is wrong when a wrong password is tried
	counted     Row
	differences []string
}

// errNotTried marks an account that nobody logged in to, because enough others had failed.
var errNotTried = errors.New("not tried")

// accounts compares every account of the old server with the new one's over IMAP.
func (p *prover) accounts(ctx context.Context, all []*Row) error {
	var jobs []*job
	for _, row := range all {
		for _, u := range p.users(row.Domain) {
			jobs = append(jobs, &job{user: u, row: row})
		}
	}
	if err := p.logins(ctx, jobs); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for _, j := range jobs {
		if j.login != nil {
			continue
		}
		group.Go(func() error { return p.compare(ctx, j) })
	}
	if len(jobs) > 0 {
		group.Go(func() error { return p.refuses(ctx, jobs[0]) })
	}
	err := group.Wait()
	left := map[*Row]int{}
	for _, j := range jobs {
		p.works[j.user.Email] = j.login == nil
		switch {
		case errors.Is(j.login, errNotTried):
			left[j.row]++
		case j.login != nil:
			j.row.Differences = append(j.row.Differences, j.login.Error())
		}
		j.row.Accounts += j.counted.Accounts
		j.row.Folders += j.counted.Folders
		j.row.Messages += j.counted.Messages
		j.row.Bytes += j.counted.Bytes
		j.row.Differences = append(j.row.Differences, j.differences...)
		if j.refused != "" {
			j.row.Differences = append(j.row.Differences, j.refused)
		}
	}
	for row, n := range left {
		row.Differences = append(row.Differences, fmt.Sprintf("%s: %d accounts were not tried after %d logins had failed", row.Domain, n, enough))
	}
	return err
}

// logins tries every old password on the new server.
func (p *prover) logins(ctx context.Context, jobs []*job) error {
	var group errgroup.Group
	group.SetLimit(loginsAtOnce)
	var failed atomic.Int32
	for _, j := range jobs {
		group.Go(func() error {
			if failed.Load() >= enough {
				j.login = errNotTried
				return nil
			}
			if j.login = p.logsIn(ctx, j.user); j.login != nil {
				failed.Add(1)
			}
			return nil
		})
	}
	return errors.Join(group.Wait(), ctx.Err())
}

// logsIn asks Dovecot inside the host before it logs in over the network: after each login that fails from one address Dovecot lets
// that address wait longer (up to 15 s). Nil is a login over IMAP.
func (p *prover) logsIn(ctx context.Context, u lab.User) error {
	ok, err := knows(ctx, p.new, u.Email, u.Password)
	if err != nil || !ok {
		return errors.Join(fmt.Errorf("cannot log in as %s with the password of the old server", u.Email), err)
	}
	c, err := Login(ctx, p.new.Address, u.Email, u.Password)
	if err != nil {
		return err
	}
	return c.Close()
}

// exNoPerm is the status of doveadm-auth(1) for a password that is wrong (sysexits.h).
const exNoPerm = 77

// knows says whether the Dovecot of a host takes a password. It asks in the name of another client each time, so that one that
// fails delays no other.
func knows(ctx context.Context, h *lab.Host, user, password string) (bool, error) {
	client := fmt.Sprintf("rip=127.%d.%d.%d", rand.IntN(256), rand.IntN(256), 1+rand.IntN(254))
	cmd, err := h.Command(ctx, "doveadm", "auth", "test", "-x", client, user)
	if err != nil {
		return false, err
	}
	cmd.Stdin = strings.NewReader(password + "\n")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.As(err, &exit) && exit.ExitCode() == exNoPerm:
		return false, nil
	}
	return false, fmt.Errorf("cannot ask Dovecot of %s: %w: %s", h.Name, err, strings.TrimSpace(string(out)))
}

// refuses tries a wrong password: a server that lets everybody in would pass all other tests.
func (p *prover) refuses(ctx context.Context, j *job) error {
	ok, err := knows(ctx, p.new, j.user.Email, "wrong "+j.user.Password)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		j.refused = fmt.Sprintf("%s: cannot tell whether a wrong password is refused: %v", j.user.Email, err)
	case ok:
		j.refused = j.user.Email + ": a wrong password logs in on the new server"
	}
	return nil
}

// compare reads an account on both servers at the same time.
func (p *prover) compare(ctx context.Context, j *job) error {
	var old, new *Account
	var oldErr, newErr error
	var both sync.WaitGroup
	both.Go(func() { old, oldErr = ReadAccount(ctx, p.old.Address, j.user.Email, j.user.Password) })
	both.Go(func() { new, newErr = ReadAccount(ctx, p.new.Address, j.user.Email, j.user.Password) })
	both.Wait()
	switch {
	case oldErr != nil:
		return fmt.Errorf("cannot read the old server: %w", oldErr)
	case ctx.Err() != nil:
		return ctx.Err()
	case newErr != nil:
		j.differences = append(j.differences, "the new server: "+newErr.Error())
		return nil
	}
	j.differences = append(j.differences, compareAccounts(j.user.Email, old, new, &j.counted)...)
	return nil
}

// deliveries sends a mail to the first account of each domain that can read it.
func (p *prover) deliveries(ctx context.Context, all []*Row) error {
	if p.o.NoDelivery {
		return nil
	}
	var group errgroup.Group
	for _, row := range all {
		i := slices.IndexFunc(p.users(row.Domain), func(u lab.User) bool { return p.works[u.Email] })
		if i < 0 {
			continue
		}
		u := p.users(row.Domain)[i]
		group.Go(func() error {
			if err := deliver(ctx, p.new, u); err != nil {
				row.Differences = append(row.Differences, err.Error())
			}
			return nil
		})
	}
	return errors.Join(group.Wait(), ctx.Err())
}
