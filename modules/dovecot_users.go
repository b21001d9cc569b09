package modules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"runner/modules/internal/dovecot"
	"runner/runtime/host"
	"runner/runtime/module"
)

// dovecotUsers says which accounts a module is about.
type dovecotUsers struct {
	// Accounts. Empty: all of the control database.
	Users []string `lua:"users"`
	// Control database, which says what accounts there are; where two hosts take part, that on to.
	Database string `lua:"database"`
	// Its table of the accounts.
	Table string `lua:"table" default:"virtual_users"`
	// Its column with the addresses.
	Address string `lua:"address" default:"email"`
	// Only these domains of it. Empty: all.
	Domains []string `lua:"domains"`
	MySQLLogin
}

// given says whether it is said in exactly one way which accounts there are.
func (a *dovecotUsers) given() bool { return (len(a.Users) == 0) != (a.Database == "") }

// check refuses what is no address.
func (a *dovecotUsers) check() error {
	if len(a.Users) > 0 && a.Database != "" {
		return errors.New("users and database cannot stand beside each other")
	}
	for _, u := range a.Users {
		if name, domain, _ := strings.Cut(u, "@"); name == "" || domain == "" || strings.ContainsAny(u, "/\n\r\x00") {
			return fmt.Errorf("users holds %q, which is no address", u)
		}
	}
	return a.MySQLLogin.check("")
}

// addresses are those that are given, or those of the control database on a host.
func (a *dovecotUsers) addresses(ctx context.Context, on *host.View) ([]string, error) {
	if a.Database == "" {
		return slices.Clone(a.Users), nil
	}
	accounts := &dovecotAccountsArgs{On: on, Database: a.Database, Table: a.Table, Address: a.Address, Domains: a.Domains, MySQLLogin: a.MySQLLogin}
	return accounts.addresses(ctx)
}

// known are the accounts as the Dovecot of a host knows them; it is an error when it does not know one. needs is what for, in words.
func (a *dovecotUsers) known(ctx context.Context, on *host.View, needs string) ([]dovecot.User, error) {
	addresses, err := a.addresses(ctx, on)
	if err != nil {
		return nil, err
	}
	users, err := lookUpUsers(ctx, on, addresses)
	if err != nil {
		return nil, err
	}
	var unknown []string
	for _, u := range users {
		if !u.Known() {
			unknown = append(unknown, strings.TrimSuffix(u.Name+": "+u.Said, ": "))
		}
	}
	if len(unknown) > 0 {
		return nil, module.Absent(fmt.Errorf("cannot %s on %s, because Dovecot does not know %s:\n  %s",
			needs, on.Name(), countOf(len(unknown), "account"), firstOf(unknown, 20, "\n  ")))
	}
	return users, nil
}

// dovecotRuns is true on a host whose Dovecot runs. Without it each question to doveadm would wait for its socket.
const dovecotRuns = `pid=$(cat "$(doveconf -h base_dir 2>/dev/null)/master.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null`

// lookUsers asks Dovecot for users. The directory of the INBOX is told since 2.1.10.
const lookUsers = sbinPath + `
command -v doveadm >/dev/null || { echo absent; exit 0; }
for user; do
  echo "` + dovecot.UserMark + `$user"
  doveadm user "$user" 2>&1
  echo "` + dovecot.PathMark + `"
  doveadm mailbox path -u "$user" INBOX 2>/dev/null
done
:`

// usersAtOnce is how many users one script is asked for.
const usersAtOnce = 100

// lookUpUsers asks the Dovecot of a host for users; they are in the order of the addresses.
func lookUpUsers(ctx context.Context, on *host.View, addresses []string) ([]dovecot.User, error) {
	var users []dovecot.User
	for chunk := range slices.Chunk(addresses, usersAtOnce) {
		out, err := on.QueryScript(ctx, lookUsers, chunk...)
		if err != nil {
			return nil, fmt.Errorf("cannot ask Dovecot for its users on %s: %w", on.Name(), why(err))
		}
		if strings.TrimSpace(out.Stdout) == "absent" {
			return nil, module.Absent(fmt.Errorf("cannot find doveadm on %s: Dovecot 2 is not installed there", on.Name()))
		}
		users = append(users, dovecot.ParseUsers(out.Stdout)...)
	}
	if len(users) != len(addresses) {
		return nil, fmt.Errorf("cannot ask Dovecot for its users on %s: %d were asked for, %d answered", on.Name(), len(addresses), len(users))
	}
	return users, nil
}

// lookDovecot prints the version of Dovecot, whether it runs, the programs of it that are there, and its settings.
const lookDovecot = sbinPath + `
LC_ALL=C; export LC_ALL
echo "version $(dovecot --version 2>/dev/null)"
` + dovecotRuns + ` && echo running
for program in doveadm sievec; do command -v $program >/dev/null && echo "has $program"; done
echo settings
doveconf -n 2>/dev/null
:`

// dovecotTools is what there is of Dovecot on a host.
type dovecotTools struct {
	version string // "2.3.19.1"; "" where there is none
	running bool
	has     map[string]bool
	conf    dovecot.Conf
}

// findDovecotTools looks for a Dovecot 2 with a program that is needed; needs is what for, in words. With users it must run, too: it is asked
// for each of them.
func findDovecotTools(ctx context.Context, on *host.View, program, needs string, users bool) (*dovecotTools, error) {
	out, err := on.QueryScript(ctx, lookDovecot)
	if err != nil {
		return nil, fmt.Errorf("cannot look for Dovecot on %s: %w", on.Name(), why(err))
	}
	t := &dovecotTools{has: map[string]bool{}}
	about, settings, _ := strings.Cut(out.Stdout, "settings\n")
	for line := range strings.Lines(about) {
		switch word, value, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "version":
			t.version, _, _ = strings.Cut(value, " ")
		case "running":
			t.running = true
		case "has":
			t.has[value] = true
		}
	}
	t.conf = dovecot.ParseConf(settings)
	return t, t.judge(on.Name(), program, needs, users)
}

func (t *dovecotTools) judge(name, program, needs string, users bool) error {
	switch {
	case t.version == "" && !t.has["doveadm"]:
		return module.Absent(fmt.Errorf("cannot %s on %s: Dovecot is not installed there", needs, name))
	case strings.HasPrefix(t.version, "1.") || strings.HasPrefix(t.version, "0."):
		return fmt.Errorf("cannot %s on %s: Dovecot is %s there, and doveadm came with 2.0", needs, name, t.version)
	case !t.has[program]:
		err := fmt.Errorf("cannot %s on %s: there is no %s", needs, name, program)
		if program == "sievec" {
			err = module.WithHint(err, "Debian has it in the package dovecot-sieve")
		}
		return module.Absent(err)
	case users && !t.running:
		return module.Absent(fmt.Errorf("cannot %s on %s: Dovecot does not run, and only it knows the accounts", needs, name))
	}
	return nil
}

// eachUser is what a script did for a user: what was printed, and the status.
type eachUser struct {
	name, said string
	status     string
}

// statusMark begins the line with the status after what was printed for a user.
const statusMark = "=== status "

// parseEachUser reads what a script prints that does something for one user after the other, with [dovecot.UserMark] before and statusMark after.
func parseEachUser(text string) []eachUser {
	var list []eachUser
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, dovecot.UserMark); ok {
			list = append(list, eachUser{name: strings.TrimRight(name, "\n")})
		} else if status, ok := strings.CutPrefix(line, statusMark); ok && len(list) > 0 {
			list[len(list)-1].status = strings.TrimSpace(status)
		} else if len(list) > 0 {
			list[len(list)-1].said += line
		}
	}
	return list
}

// applyAtOnce is how many users are served by one call when something is changed: after each the operator sees how far it is.
const applyAtOnce = 10

// forEachUser runs a script for users, some at a time, and fails with what was said of those with whom it failed; what says what it
// does: "make indexes".
func forEachUser(ctx context.Context, do *module.Apply, on *host.View, script, what string, users []string) error {
	var failed []string
	done := 0
	for chunk := range slices.Chunk(users, applyAtOnce) {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		do.Progress(module.Progress{Label: what, Done: int64(done), Total: int64(len(users)), Unit: "accounts"})
		out, err := do.Host(on).RunCommand(ctx, host.Script(script, chunk...))
		if err != nil {
			return fmt.Errorf("cannot %s on %s: %w", what, on.Name(), why(err))
		}
		answers := parseEachUser(out.Stdout)
		for i, name := range chunk {
			if i >= len(answers) {
				failed = append(failed, name+": no answer")
			} else if answers[i].status != "0" {
				failed = append(failed, name+": "+lastLine(answers[i].said, "exit status "+answers[i].status))
			}
		}
		done += len(chunk)
	}
	if len(failed) > 0 {
		return fmt.Errorf("cannot %s on %s of %s:\n  %s", what, on.Name(), countOf(len(failed), "account"), firstOf(failed, 20, "\n  "))
	}
	return nil
}

// lastLine is the last line of a text that says something.
func lastLine(text, otherwise string) string {
	text = strings.TrimSpace(text)
	if text == "" {
		return otherwise
	}
	return text[strings.LastIndexByte(text, '\n')+1:]
}
