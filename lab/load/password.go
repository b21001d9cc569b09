package load

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strings"
)

// ChangePasswords gives every user another password, as a page for that on the old server would: a row of its database. What users
// log in with from then on is the new one, also in [Load.Check].
func (x *Load) ChangePasswords(ctx context.Context) error {
	n := x.changed.Load()
	for _, u := range x.users {
		password := fmt.Sprintf("changed %d of %s", n, u.account.Email)
		if err := x.store(ctx, u, password); err != nil {
			return fmt.Errorf("cannot change the password of %s: %w", u.account.Email, err)
		}
		u.mu.Lock()
		u.password = password
		u.mu.Unlock()
		x.changed.Add(1)
	}
	return nil
}

// store writes the sum of a password into the table of the user's old server, as servers of that time have it. Lenny's has the local part and the number of the domain, later ones the address.
func (x *Load) store(ctx context.Context, u *user, password string) error {
	h, err := x.lab.Host(u.account.Host)
	if err != nil {
		return err
	}
	sum := md5.Sum([]byte(password))
	local, domain, _ := strings.Cut(u.account.Email, "@")
	where := "email = '" + u.account.Email + "'"
	if h.Shape == "lenny" {
		where = "user = '" + local + "' AND domain_id = (SELECT id FROM virtual_domains WHERE name = '" + domain + "')"
	}
	argv := []string{"mysql", "-uroot"}
	if h.DatabaseRootPassword != "" {
		argv = append(argv, "-p"+h.DatabaseRootPassword)
	}
	sql := "UPDATE virtual_users SET password = '" + hex.EncodeToString(sum[:]) + "' WHERE " + where + "; SELECT ROW_COUNT()"
	out, err := h.Exec(ctx, append(argv, "-N", x.lab.Database, "-e", sql)...)
	if err == nil && strings.TrimSpace(string(out)) != "1" {
		err = fmt.Errorf("the table has %q such rows", strings.TrimSpace(string(out)))
	}
	return err
}
