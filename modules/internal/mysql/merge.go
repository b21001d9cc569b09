package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sort"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// Merge brings the domains, accounts and aliases of one control database into another on the same server: the tables
// virtual_domains, virtual_users and virtual_aliases of the ISPmail guide, in the shape with whole addresses. Rows are matched
// by their names; the numbers that each server has given them never cross.
type Merge struct {
	On        *host.View
	Login     Login
	From      string   // database to take from
	Into      string   // database to bring it into
	Domains   []string // only these; empty: all of From
	Prune     bool     // remove accounts and aliases of these domains that From does not have
	Backup    bool
	BackupDir string
}

// accounts is what a control database says of some domains.
type accounts struct {
	domains []string
	users   map[string]account // by address
	aliases map[alias]bool
}

type account struct {
	domain string
	values []sql.NullString // of the merged columns, in their order
}

type alias struct{ domain, source, destination string }

// Plan compares both databases.
func (m Merge) Plan(ctx context.Context) (*module.Plan, error) {
	s, err := Connect(ctx, m.On, m.Login, Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	d, err := m.look(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("cannot bring %s into %s on %s: %w", m.From, m.Into, m.On.Name(), err)
	}
	plan := &module.Plan{Output: map[string]any{
		"domains": int64(len(d.want.domains)), "users": int64(len(d.want.users)), "aliases": int64(len(d.want.aliases)), "kept": int64(len(d.kept)),
	}}
	switch {
	case len(d.work) == 0 && len(d.kept) == 0:
		plan.Note = fmt.Sprintf("%s, %s, equal", count(len(d.want.domains), "domain"), count(len(d.want.users), "account"))
	case len(d.kept) > 0:
		plan.Note = fmt.Sprintf("%s only %s has are kept", count(len(d.kept), "row"), m.Into)
	}
	if len(d.work) == 0 {
		return plan, nil
	}
	plan.Changes = []module.Change{{
		Summary: d.summary(m), Before: d.text("-"), After: d.text("+"), Destroys: d.removes(),
		Apply: func(ctx context.Context, do *module.Apply) error { return m.apply(ctx, do) },
	}}
	return plan, nil
}

// difference is what is to be done, in an order that keeps the tables' references whole.
type difference struct {
	want *accounts
	work []rowChange
	kept []string // rows that only the target has and that stay
}

// rowChange is one statement and how it is told.
type rowChange struct {
	what      string // "domain", "account", "alias"
	sign      string // "+", "-", "~"
	line      string // never a password
	statement string
	args      []any
}

func (m Merge) look(ctx context.Context, s *Session) (*difference, error) {
	columns, err := m.columns(ctx, s)
	if err != nil {
		return nil, err
	}
	domains, err := m.chosen(ctx, s)
	if err != nil {
		return nil, err
	}
	want, err := s.accounts(ctx, m.From, domains, columns)
	if err != nil {
		return nil, err
	}
	have, err := s.accounts(ctx, m.Into, domains, columns)
	if err != nil {
		return nil, err
	}
	if err := m.clashes(ctx, s, want, domains); err != nil {
		return nil, err
	}
	d := &difference{want: want}
	m.domains(d, have)
	m.users(d, have, columns)
	m.aliases(d, have)
	return d, nil
}

// columns are those that virtual_users has in both databases, but for the numbers and the address.
func (m Merge) columns(ctx context.Context, s *Session) ([]string, error) {
	from, err := s.ReadDatabase(ctx, m.From)
	if err != nil {
		return nil, err
	}
	into, err := s.ReadDatabase(ctx, m.Into)
	if err != nil {
		return nil, err
	}
	need := map[string][]string{"virtual_domains": {"id", "name"}, "virtual_users": {"domain_id", "email", "password"}, "virtual_aliases": {"domain_id", "source", "destination"}}
	for _, d := range []*Database{from, into} {
		for _, table := range sortedKeys(need) {
			t := d.Table(table)
			if t == nil {
				return nil, module.Absent(fmt.Errorf("database %s has no table %s", d.Name, table))
			}
			for _, c := range need[table] {
				if t.Column(c) == nil {
					return nil, fmt.Errorf("table %s.%s has no column %s: it is not of the shape with whole addresses", d.Name, table, c)
				}
			}
		}
	}
	var common []string
	for _, c := range from.Table("virtual_users").Columns {
		if c.Name != "id" && c.Name != "domain_id" && c.Name != "email" && into.Table("virtual_users").Column(c.Name) != nil {
			common = append(common, c.Name)
		}
	}
	return common, nil
}

// chosen are the domains to bring over. Two rows for one domain, and rows without one, are for the operator to sort out.
func (m Merge) chosen(ctx context.Context, s *Session) ([]string, error) {
	from := Name(m.From)
	rows, err := s.texts(ctx, "SELECT LOWER(TRIM(name)), COUNT(*) FROM "+from+".virtual_domains GROUP BY 1 ORDER BY 1")
	if err != nil {
		return nil, err
	}
	var all []string
	for _, r := range rows {
		if r[1].String != "1" {
			return nil, fmt.Errorf("the domain %s stands in %s.virtual_domains %s times", r[0].String, m.From, r[1].String)
		}
		all = append(all, r[0].String)
	}
	for _, table := range []string{"virtual_users", "virtual_aliases"} {
		var n int64
		q := "SELECT COUNT(*) FROM " + from + "." + table + " u LEFT JOIN " + from + ".virtual_domains d ON d.id = u.domain_id WHERE d.id IS NULL"
		if err := s.row(ctx, q, nil, &n); err != nil {
			return nil, err
		}
		if n > 0 {
			return nil, fmt.Errorf("%s of %s.%s belong to no domain; look with: SELECT * FROM %s WHERE domain_id NOT IN (SELECT id FROM virtual_domains)", count(int(n), "row"), m.From, table, table)
		}
	}
	if len(m.Domains) == 0 {
		return all, nil
	}
	var some []string
	for _, d := range m.Domains {
		d = strings.ToLower(strings.TrimSpace(d))
		if !slices.Contains(all, d) {
			return nil, fmt.Errorf("there is no domain %s in %s", d, m.From)
		}
		some = append(some, d)
	}
	slices.Sort(some)
	return slices.Compact(some), nil
}

func (s *Session) accounts(ctx context.Context, database string, domains, columns []string) (*accounts, error) {
	a := &accounts{users: map[string]account{}, aliases: map[alias]bool{}}
	in := func(name string) bool { _, found := slices.BinarySearch(domains, name); return found }
	rows, err := s.texts(ctx, "SELECT LOWER(TRIM(name)) FROM "+Name(database)+".virtual_domains ORDER BY 1")
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if in(r[0].String) {
			a.domains = append(a.domains, r[0].String)
		}
	}
	join := " FROM " + Name(database) + ".%s u JOIN " + Name(database) + ".virtual_domains d ON d.id = u.domain_id"
	rows, err = s.texts(ctx, "SELECT LOWER(TRIM(d.name)), LOWER(u.email), "+qualified("u", columns)+fmt.Sprintf(join, "virtual_users"))
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if in(r[0].String) {
			a.users[r[1].String] = account{r[0].String, r[2:]}
		}
	}
	rows, err = s.texts(ctx, "SELECT LOWER(TRIM(d.name)), LOWER(u.source), u.destination"+fmt.Sprintf(join, "virtual_aliases"))
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if in(r[0].String) {
			a.aliases[alias{r[0].String, r[1].String, r[2].String}] = true
		}
	}
	return a, nil
}

func qualified(table string, columns []string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = table + "." + Name(c)
	}
	return strings.Join(list, ", ")
}

// clashes are addresses that a domain which is not moved already has: one server's mail would go to the other's users.
func (m Merge) clashes(ctx context.Context, s *Session, want *accounts, domains []string) error {
	into := Name(m.Into)
	rows, err := s.texts(ctx, "SELECT LOWER(TRIM(d.name)), LOWER(u.email) FROM "+into+".virtual_users u JOIN "+into+".virtual_domains d ON d.id = u.domain_id "+
		"UNION SELECT LOWER(TRIM(d.name)), LOWER(a.source) FROM "+into+".virtual_aliases a JOIN "+into+".virtual_domains d ON d.id = a.domain_id")
	if err != nil {
		return err
	}
	var found []string
	for _, r := range rows {
		if _, moved := slices.BinarySearch(domains, r[0].String); moved {
			continue
		}
		if _, same := want.users[r[1].String]; same {
			found = append(found, fmt.Sprintf("%s (in domain %s of %s)", r[1].String, r[0].String, m.Into))
		}
	}
	if len(found) > 0 {
		sort.Strings(found)
		return fmt.Errorf("these addresses are there already and belong to others: %s", strings.Join(slices.Compact(found), ", "))
	}
	return nil
}
