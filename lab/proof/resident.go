package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"runner/lab"
)

// resident is what stood on the new server before the move, and must stand there after it.
type resident struct {
	Accounts map[string]*Account `json:"accounts"`
	Rows     []string            `json:"rows"` // of the control database
	failures []string            // accounts that cannot be read, and why
}

func rememberedFile(l *lab.Lab) string { return filepath.Join(l.Options.Dir, "before-the-move.json") }

// Remember writes down what stands on the new server before a move, for Run to compare with.
func Remember(ctx context.Context, l *lab.Lab) error {
	state, err := readResident(ctx, l)
	if err != nil {
		return err
	}
	if len(state.failures) > 0 {
		return fmt.Errorf("cannot remember the new server: %s", strings.Join(state.failures, "; "))
	}
	if len(state.Accounts) == 0 {
		return errors.New("cannot remember the new server: the lab has no account on it")
	}
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return os.WriteFile(rememberedFile(l), text, 0o600)
}

func readResident(ctx context.Context, l *lab.Lab) (*resident, error) {
	host, err := l.Host("new")
	if err != nil {
		return nil, err
	}
	r := &resident{Accounts: map[string]*Account{}}
	for _, u := range l.UsersOf("new") {
		ok, err := knows(ctx, host, u.Email, u.Password)
		if err != nil {
			return nil, err
		}
		if !ok {
			r.failures = append(r.failures, u.Email+": the account of the new server itself does not take its password any more")
			continue
		}
		a, err := ReadAccount(ctx, host.Address, u.Email, u.Password)
		if err != nil {
			r.failures = append(r.failures, u.Email+": "+err.Error())
			continue
		}
		r.Accounts[u.Email] = a
	}
	for _, d := range host.Domains {
		rows, err := controlRows(ctx, l, host, d)
		if err != nil {
			return nil, err
		}
		r.Rows = append(r.Rows, rows...)
	}
	return r, nil
}

// controlRows are the rows of a domain in the control database, without the numbers that each server gives them.
func controlRows(ctx context.Context, l *lab.Lab, h *lab.Host, domain string) ([]string, error) {
	query := fmt.Sprintf(`SELECT 'account', u.email, u.password FROM virtual_users u JOIN virtual_domains d ON d.id = u.domain_id WHERE d.name = '%[1]s'
		UNION ALL SELECT 'alias', a.source, a.destination FROM virtual_aliases a JOIN virtual_domains d ON d.id = a.domain_id WHERE d.name = '%[1]s'`, domain)
	if h.Shape == "lenny" { // user and domain apart, and views that put them together
		query = fmt.Sprintf(`SELECT 'account', email, password FROM view_users WHERE email LIKE '%%@%[1]s'
			UNION ALL SELECT 'alias', email, destination FROM view_aliases WHERE email LIKE '%%@%[1]s'`, domain)
	}
	// As the user that Postfix and Dovecot read the database as: what they cannot see does not count.
	out, err := h.Exec(ctx, "mysql", "-h127.0.0.1", "-u"+l.DatabaseUser, "-p"+l.DatabasePassword, "-N", "-B", l.Database, "-e", query)
	if err != nil {
		return nil, fmt.Errorf("cannot read the control database of %s: %w", h.Name, err)
	}
	var rows []string
	for line := range bytes.Lines(out) {
		rows = append(rows, string(bytes.TrimSpace(line)))
	}
	sort.Strings(rows)
	return rows, nil
}

// remembered reads what Remember wrote.
func remembered(l *lab.Lab) (*resident, error) {
	text, err := os.ReadFile(rememberedFile(l))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("cannot tell whether the new server's own domain is as it was: nothing was remembered; run `runner lab prove --remember` before the move")
	}
	if err != nil {
		return nil, err
	}
	var before resident
	if err := json.Unmarshal(text, &before); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", rememberedFile(l), err)
	}
	return &before, nil
}

// compareResident holds the accounts that stood on the new server against what was remembered.
func compareResident(ctx context.Context, l *lab.Lab, before *resident, r *Row) (differences []string, err error) {
	now, err := readResident(ctx, l)
	if err != nil {
		return nil, err
	}
	differences = now.failures
	for _, user := range union(before.Accounts, now.Accounts) {
		switch {
		case before.Accounts[user] == nil:
			differences = append(differences, user+": the account of the new server itself was not there before the move")
			continue
		case now.Accounts[user] == nil:
			continue // its failure says why
		}
		differences = append(differences, compareAccounts(user, before.Accounts[user], now.Accounts[user], r)...)
	}
	return append(differences, compareRows("the new server's own domain", before.Rows, now.Rows)...), nil
}

func compareRows(where string, before, now []string) (differences []string) {
	was, is := map[string]bool{}, map[string]bool{}
	for _, row := range before {
		was[row] = true
	}
	for _, row := range now {
		is[row] = true
	}
	for _, row := range union(was, is) {
		switch {
		case !is[row]:
			differences = append(differences, fmt.Sprintf("%s: row %q is gone", where, row))
		case !was[row]:
			differences = append(differences, fmt.Sprintf("%s: row %q is there and was not", where, row))
		}
	}
	return differences
}
