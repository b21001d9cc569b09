package modules

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"runner/modules/internal/dovecot"
	"runner/modules/internal/mysql"
	"runner/runtime/host"
	"runner/runtime/module"
)

// dovecotAccountsArgs is every account of a control database, as Dovecot sees it.
//
// Dovecot is asked for each of them (doveadm user), so this finds what a look at the table does not: a query that was mistyped, a user id
// that does not exist, a home elsewhere than the mails were copied to. An account that Dovecot does not know fails the step; mail
// for it would bounce. Needs Dovecot 2.0 or later on the host. Nothing is changed.
//
// # Example
//
//	dovecot.accounts { on = new, database = "mailserver", path = "/var/vmail" }
//
// # Result
//
//   - accounts (list of table): address, home, uid, gid, and mailbox, the directory of the INBOX, where Dovecot tells it
//   - count (integer): how many there are
//   - missing (list of string): accounts whose home is not there yet; Dovecot makes it with the first mail
type dovecotAccountsArgs struct {
	// Host of Dovecot and of the database.
	On *host.View `lua:"on,required"`
	// Control database.
	Database string `lua:"database,required"`
	// Table of the accounts.
	Table string `lua:"table" default:"virtual_users"`
	// Its column with the addresses.
	Address string `lua:"address" default:"email"`
	// Directory that every mailbox must be below. Empty: anywhere.
	Path string `lua:"path"`
	// Only these domains. Empty: all.
	Domains []string `lua:"domains"`
	MySQLLogin
}

// Validate checks what the types of the arguments cannot.
func (a *dovecotAccountsArgs) Validate() error {
	if a.Path != "" && !strings.HasPrefix(a.Path, "/") {
		return fmt.Errorf("path must be an absolute path, not %q", a.Path)
	}
	return a.check("")
}

// missingHomes prints those of some directories that are not there.
const missingHomes = `for d; do [ -d "$d" ] || printf '%s\n' "$d"; done; :`

func planDovecotAccounts(ctx context.Context, a *dovecotAccountsArgs) (*module.Plan, error) {
	addresses, err := a.addresses(ctx)
	if err != nil {
		return nil, err
	}
	users, err := lookUpUsers(ctx, a.On, addresses)
	if err != nil {
		return nil, err
	}
	if err := a.judge(users); err != nil {
		return nil, err
	}
	missing, err := a.missing(ctx, users)
	if err != nil {
		return nil, err
	}
	list := []any{}
	for _, u := range users {
		m := map[string]any{"address": u.Name, "home": u.Fields["home"], "uid": u.Fields["uid"], "gid": u.Fields["gid"]}
		if u.Path != "" {
			m["mailbox"] = u.Path
		}
		list = append(list, m)
	}
	return &module.Plan{Note: "Dovecot knows " + countOf(len(users), "account"), Output: map[string]any{"accounts": list, "count": len(users), "missing": missing}}, nil
}

func (a *dovecotAccountsArgs) addresses(ctx context.Context) ([]string, error) {
	s, err := oneServer{a.On, a.MySQLLogin}.session(ctx, mysql.Options{Database: a.Database, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	query := fmt.Sprintf("SELECT %s AS a FROM %s.%s ORDER BY 1", mysql.Name(a.Address), mysql.Name(a.Database), mysql.Name(a.Table))
	rows, err := s.Query(ctx, query)
	if err != nil {
		return nil, mysqlFailure(err, query, "ask", a.On)
	}
	var list []string
	for _, r := range rows {
		address, _ := r["a"].(string)
		if strings.ContainsAny(address, "\n\r\x00") || address == "" {
			return nil, fmt.Errorf("cannot ask Dovecot for %q of %s.%s: that is no address", address, a.Database, a.Table)
		}
		_, domain, _ := strings.Cut(address, "@")
		if len(a.Domains) == 0 || slices.ContainsFunc(a.Domains, func(d string) bool { return strings.EqualFold(d, domain) }) {
			list = append(list, address)
		}
	}
	return list, nil
}

// judge fails on accounts that Dovecot does not know or keeps elsewhere.
func (a *dovecotAccountsArgs) judge(users []dovecot.User) error {
	var unknown, elsewhere []string
	below := strings.TrimRight(a.Path, "/") + "/"
	for _, u := range users {
		at := u.Path
		if at == "" {
			at = u.Fields["home"]
		}
		switch {
		case !u.Known():
			unknown = append(unknown, strings.TrimSuffix(u.Name+": "+u.Said, ": "))
		case a.Path != "" && !strings.HasPrefix(at, below):
			elsewhere = append(elsewhere, u.Name+": "+at)
		}
	}
	switch {
	case len(unknown) > 0:
		return fmt.Errorf("cannot serve %s on %s, because Dovecot does not know them:\n  %s", countOf(len(unknown), "account"), a.On.Name(), firstOf(unknown, 20, "\n  "))
	case len(elsewhere) > 0:
		return fmt.Errorf("cannot serve %s on %s from %s, because Dovecot looks for them elsewhere:\n  %s",
			countOf(len(elsewhere), "account"), a.On.Name(), a.Path, firstOf(elsewhere, 20, "\n  "))
	}
	return nil
}

// missing are the accounts without a home.
func (a *dovecotAccountsArgs) missing(ctx context.Context, users []dovecot.User) ([]string, error) {
	missing := []string{}
	for chunk := range slices.Chunk(users, usersAtOnce) {
		var homes []string
		for _, u := range chunk {
			homes = append(homes, u.Fields["home"])
		}
		out, err := a.On.QueryScript(ctx, missingHomes, homes...)
		if err != nil {
			return nil, fmt.Errorf("cannot look for the homes of the accounts on %s: %w", a.On.Name(), why(err))
		}
		gone := out.Lines()
		for _, u := range chunk {
			if slices.Contains(gone, u.Fields["home"]) {
				missing = append(missing, u.Name)
			}
		}
	}
	return missing, nil
}
