package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"runner/modules/internal/dovecot"
	"runner/runtime/host"
	"runner/runtime/module"
)

// dovecotQuotaRecalcArgs are accounts whose used quota Dovecot is to count anew.
//
// Dovecot keeps the sum of what a mailbox holds and changes it with each mail. Mails that were copied into the mailbox by something else it
// has not counted: users could go on over their limit, or mail be refused to somebody who has room. So the mailbox is counted in its
// files, and where the sum that Dovecot keeps is another, Dovecot counts anew (doveadm quota recalc). Where it then comes to
// another sum than the files (folders that its rules leave out), that is remembered on the host and the account left alone until its mailbox
// changes. With the driver "maildir" the sum is read in maildirsize; with others Dovecot is asked. Needs a Dovecot of 2.0 or later that runs and keeps a quota, and
// mailboxes in the Maildir format.
//
// # Example
//
//	dovecot.quota_recalc { on = new, database = "mailserver" }
//
// # Result
//
//   - accounts (integer): accounts looked at
//   - wrong (list of string): those whose sum was another, or missing
//   - driver (string): how Dovecot keeps the sums: maildir, count, dict
type dovecotQuotaRecalcArgs struct {
	// Host of Dovecot, and of the database.
	On *host.View `lua:"on,required"`
	dovecotUsers
}

// Validate checks what the types of the arguments cannot.
func (a *dovecotQuotaRecalcArgs) Validate() error {
	if !a.given() {
		return errors.New("say which accounts: users, or database")
	}
	return a.check()
}

// quotaMark remembers on the host the accounts for which Dovecot comes to another sum than the files.
const quotaMark = "/var/lib/runner/dovecot-quota"

// lookQuotas prints for each user what the mailbox holds by its files, messages and bytes as they lie on the disk and as clients get them (with
// CR before each LF, as names of files tell it), and the sum that Dovecot keeps. The arguments are the driver and then pairs of an address
// and the directory of the INBOX.
const lookQuotas = sbinPath + `
LC_ALL=C; export LC_ALL
driver=$1; shift
while [ $# -gt 1 ]; do
  printf '%s\n' "` + dovecot.UserMark + `$1"
  if [ -d "$2" ] && [ ! -d "$2/cur" ]; then
    echo "no Maildir"
  else
    find "$2" -type f ! -name '.*' \( -path '*/cur/*' -o -path '*/new/*' \) -printf '%s %f\n' 2>/dev/null |
    awk '{ size = $1; if (match($0, /,S=[0-9]+/)) size = substr($0, RSTART + 3, RLENGTH - 3)
        sent = size; if (match($0, /,W=[0-9]+/)) sent = substr($0, RSTART + 3, RLENGTH - 3)
        n++; disk += size; wire += sent }
      END { printf "files\t%.0f\t%.0f\t%.0f\n", n, disk, wire }'
    if [ "$driver" != maildir ]; then
      doveadm -f tab quota get -u "$1" 2>&1
    elif [ -f "$2/maildirsize" ]; then
      awk 'NR > 1 { bytes += $1; n += $2 } END { printf "sum\t%.0f\t%.0f\n", n, bytes }' "$2/maildirsize"
    fi
  fi
  shift 2
done
:`

// countQuotas lets Dovecot count the mailboxes of users.
const countQuotas = sbinPath + `
for user; do
  printf '%s\n' "` + dovecot.UserMark + `$user"
  doveadm quota recalc -u "$user" 2>&1
  echo "` + statusMark + `$?"
done`

func planDovecotQuotaRecalc(ctx context.Context, a *dovecotQuotaRecalcArgs) (*module.Plan, error) {
	const needs = "count quotas"
	tools, err := findDovecotTools(ctx, a.On, "doveadm", needs, true)
	if err != nil {
		return nil, err
	}
	driver := tools.conf.QuotaDriver()
	if driver == "" {
		err := fmt.Errorf("cannot count quotas on %s: Dovecot keeps none there", a.On.Name())
		return nil, module.Absent(module.WithHint(err, "its settings need the plugin quota and a quota root, such as quota = maildir:User quota, or quota \"User quota\" { } since 2.4"))
	}
	users, err := a.known(ctx, a.On, needs)
	if err != nil {
		return nil, err
	}
	sums, err := a.look(ctx, driver, users)
	if err != nil {
		return nil, err
	}
	known, err := a.remembered(ctx)
	if err != nil {
		return nil, err
	}
	wrong, before, after := []string{}, []string{}, []string{}
	for _, q := range sums {
		if q.Right() || known[q.Remember()] {
			continue
		}
		wrong, before, after = append(wrong, q.User), append(before, q.User+": "+q.Kept()), append(after, q.User+": "+q.Files())
	}
	plan := &module.Plan{Moving: true, Output: map[string]any{"accounts": len(users), "wrong": wrong, "driver": driver}}
	if len(wrong) == 0 {
		plan.Note = "the quotas of " + countOf(len(users), "account") + " are right"
		return plan, nil
	}
	plan.Changes = []module.Change{{
		Summary: "count the quota of " + countOf(len(wrong), "account") + " anew", Before: joined(before), After: joined(after),
		Apply: func(ctx context.Context, do *module.Apply) error {
			if err := forEachUser(ctx, do, a.On, countQuotas, needs, wrong); err != nil {
				return err
			}
			counted := slices.DeleteFunc(slices.Clone(users), func(u dovecot.User) bool { return !slices.Contains(wrong, u.Name) })
			return a.remember(ctx, do, driver, counted, known)
		},
	}}
	return plan, nil
}

// look counts the mailboxes of users and reads the sums that Dovecot keeps.
func (a *dovecotQuotaRecalcArgs) look(ctx context.Context, driver string, users []dovecot.User) ([]dovecot.Quota, error) {
	var sums []dovecot.Quota
	for chunk := range slices.Chunk(users, usersAtOnce) {
		pairs, err := inboxPairs(a.On, chunk)
		if err != nil {
			return nil, err
		}
		out, err := a.On.QueryScript(ctx, lookQuotas, append([]string{driver}, pairs...)...)
		if err != nil {
			return nil, fmt.Errorf("cannot count the mailboxes on %s: %w", a.On.Name(), why(err))
		}
		answers := parseEachUser(out.Stdout)
		if len(answers) != len(chunk) {
			return nil, fmt.Errorf("cannot count the mailboxes on %s: %d accounts were asked for, %d answered", a.On.Name(), len(chunk), len(answers))
		}
		for i, answer := range answers {
			if strings.TrimSpace(answer.said) == "no Maildir" {
				return nil, notMaildir(a.On, chunk[i])
			}
			q, err := dovecot.ParseQuota(chunk[i].Name, answer.said)
			if err != nil {
				return nil, fmt.Errorf("cannot ask Dovecot for the quota of %s on %s: %w", chunk[i].Name, a.On.Name(), err)
			}
			sums = append(sums, q)
		}
	}
	return sums, nil
}

// remembered are the accounts for which Dovecot comes to another sum than the files, as it was found once.
func (a *dovecotQuotaRecalcArgs) remembered(ctx context.Context) (map[string]bool, error) {
	text, err := a.On.ReadFile(ctx, quotaMark)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read %s on %s: %w", quotaMark, a.On.Name(), why(err))
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		known[strings.TrimRight(line, "\n")] = true
	}
	return known, nil
}

// remember writes down for which of the accounts that were just counted Dovecot comes to another sum than the files.
func (a *dovecotQuotaRecalcArgs) remember(ctx context.Context, do *module.Apply, driver string, counted []dovecot.User, known map[string]bool) error {
	sums, err := a.look(ctx, driver, counted)
	if err != nil {
		return err
	}
	lines := map[string]string{} // by account
	for line := range known {
		user, _, _ := strings.Cut(line, "\t")
		lines[user] = line
	}
	wanted := 0
	for _, q := range sums {
		if !q.Right() {
			lines[q.User] = q.Remember()
			wanted++
		}
	}
	if wanted == 0 {
		return nil
	}
	var all []string
	for _, line := range lines {
		all = append(all, line)
	}
	slices.Sort(all)
	if _, err := do.Host(a.On).RunCommand(ctx, host.Script(keepMark, quotaMark, strings.Join(all, "\n"))); err != nil {
		return fmt.Errorf("cannot note on %s what Dovecot counts: %w", a.On.Name(), why(err))
	}
	return nil
}
