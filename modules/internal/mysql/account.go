package mysql

import (
	"context"
	"crypto/sha1"
	"fmt"
	"regexp"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// Account is an account of a server and what it may do.
type Account struct {
	On    *host.View
	Login Login
	Name  string
	Host  string // where it may log in from: "localhost", "127.0.0.1", "%"

	Absent   bool
	Password module.Secret // given in clear
	Hash     module.Secret // or as SHOW GRANTS shows it: "*" and 40 hexadecimal digits
	Grants   []string      // all that it may do; nil: leave that alone
}

// nativeHash is a password as mysql_native_password keeps it (MySQL Internals, "Secure Password Authentication").
var nativeHash = regexp.MustCompile(`^\*[0-9A-F]{40}$`)

// NativeHash is the hash of a password for mysql_native_password, which every server from 4.1 on takes.
func NativeHash(password string) string {
	first := sha1.Sum([]byte(password))
	return fmt.Sprintf("*%X", sha1.Sum(first[:]))
}

// Check says what is wrong with the account before any server is asked.
func (a Account) Check() error {
	if !a.Hash.IsZero() && !nativeHash.MatchString(a.Hash.Reveal()) {
		return fmt.Errorf("password_hash must be * and 40 hexadecimal digits in capitals, as SHOW GRANTS shows it; a hash of 16 digits is of before MySQL 4.1 and no server of today lets it in")
	}
	for _, text := range a.Grants {
		if _, err := ParseGrant(text); err != nil {
			return fmt.Errorf("grants %w", err)
		}
	}
	return nil
}

func (a Account) account() string { return literal(a.Name) + "@" + literal(a.Host) }
func (a Account) title() string   { return a.Name + "@" + a.Host }

func (a Account) hash() string {
	if !a.Hash.IsZero() || a.Password.IsZero() {
		return a.Hash.Reveal()
	}
	return NativeHash(a.Password.Reveal())
}

// wanted are the grants by object.
func (a Account) wanted() map[string]Grant {
	want := map[string]Grant{}
	for _, text := range a.Grants {
		g, _ := ParseGrant(text) // Check has tried them
		if now, there := want[g.Object]; there {
			g.Privileges, g.Option = append(now.Privileges, g.Privileges...), now.Option || g.Option
		}
		want[g.Object] = g
	}
	return want
}

// known is what a server says of an account.
type known struct {
	there  bool
	hash   string // of its password; empty when it has none of the native kind
	plugin string // what else proves who logs in; empty: the native hash
	grants map[string]Grant
}

// list is the grants as texts, sorted by object.
func (k known) list() []string {
	list := []string{}
	for _, object := range sortedKeys(k.grants) {
		list = append(list, k.grants[object].String())
	}
	return list
}

func (a Account) look(ctx context.Context, s *Session) (known, error) {
	k := known{grants: map[string]Grant{}}
	var n int
	if err := s.row(ctx, "SELECT COUNT(*) FROM mysql.user WHERE User = ? AND Host = ?", []any{a.Name, a.Host}, &n); err != nil || n == 0 {
		return k, err
	}
	k.there = true
	rows, err := s.texts(ctx, "SHOW GRANTS FOR "+a.account())
	if err != nil {
		return k, err
	}
	var lines []string
	for _, r := range rows {
		lines = append(lines, r[0].String)
	}
	k.grants, k.hash = parseGrants(lines)
	if k.hash == "" && !s.version.MariaDB && s.version.AtLeast(5, 7, 0) {
		if err := s.row(ctx, "SELECT plugin, authentication_string FROM mysql.user WHERE User = ? AND Host = ?", []any{a.Name, a.Host}, &k.plugin, &k.hash); err != nil {
			return k, err
		}
		if k.plugin == "mysql_native_password" {
			k.plugin = ""
		} else {
			k.hash = ""
		}
	}
	return k, nil
}

// Plan compares the account with what it is to be.
func (a Account) Plan(ctx context.Context) (*module.Plan, error) {
	s, err := Connect(ctx, a.On, a.Login, Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	now, err := a.look(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("cannot look at account %s on %s: %w", a.title(), a.On.Name(), plainError(err))
	}
	plan := &module.Plan{Output: map[string]any{"exists": now.there, "grants": now.list(), "server": s.version.Text}}
	if a.Absent {
		if now.there {
			c := a.change(now, "drop account "+a.title(), []string{"DROP USER " + a.account()})
			c.Before, c.Destroys = strings.Join(now.list(), "\n")+"\n", true
			plan.Changes = append(plan.Changes, c)
		}
		return plan, nil
	}
	if err := a.planPassword(s, now, plan); err != nil {
		return nil, err
	}
	if a.Grants != nil {
		revoke, grant := grantStatements(now.grants, a.wanted(), a.account())
		if len(revoke)+len(grant) > 0 {
			want := known{grants: a.wanted()}.list()
			c := a.change(now, "let "+a.title()+" do "+describeGrants(want), append(revoke, grant...))
			c.Before, c.After = strings.Join(append(now.list(), ""), "\n"), strings.Join(append(want, ""), "\n")
			plan.Changes = append(plan.Changes, c)
		}
	}
	return plan, nil
}

func describeGrants(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, "; ")
}

func (a Account) planPassword(s *Session, now known, plan *module.Plan) error {
	hash := a.hash()
	identified := "IDENTIFIED BY PASSWORD '" + hash + "'"
	set := "SET PASSWORD FOR " + a.account() + " = '" + hash + "'"
	if !s.version.MariaDB && s.version.AtLeast(5, 7, 6) {
		identified = "IDENTIFIED WITH mysql_native_password AS '" + hash + "'"
		set = "ALTER USER " + a.account() + " " + identified
	}
	switch {
	case !now.there && hash == "":
		return fmt.Errorf("cannot create account %s on %s: neither password nor password_hash is given", a.title(), a.On.Name())
	case !now.there:
		plan.Changes = append(plan.Changes, a.change(now, "create account "+a.title(), []string{"CREATE USER " + a.account() + " " + identified}))
	case hash == "" || hash == now.hash:
	case now.plugin != "":
		return fmt.Errorf("cannot tell whether the password of %s on %s is the one given: the server proves it by %s; leave password out, or change the account with mysql.exec", a.title(), a.On.Name(), now.plugin)
	default:
		plan.Changes = append(plan.Changes, a.change(now, "set the password of "+a.title(), []string{set}))
	}
	return nil
}

func (a Account) change(now known, summary string, statements []string) module.Change {
	return module.Change{Summary: summary, Apply: func(ctx context.Context, do *module.Apply) error {
		s, err := Connect(ctx, a.On, a.Login, Options{})
		if err != nil {
			return err
		}
		defer s.Close()
		was := "(did not exist)"
		if now.there {
			was = strings.Join(now.list(), "; ")
		}
		do.Keep(module.Original{Host: a.On.Name(), Object: "account " + a.title(), Value: was})
		do.Output("before", now.list())
		for _, q := range statements {
			if err := s.Exec(ctx, q); err != nil {
				text := plainError(err).Error()
				if hash := a.hash(); hash != "" {
					text = strings.ReplaceAll(text, hash, module.Mask)
				}
				return Reword(fmt.Sprintf("cannot %s on %s: %s", summary, a.On.Name(), text), err)
			}
		}
		return nil
	}}
}
