package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
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
	Existing  Existing // what a domain is that both have
	Prune     bool     // remove accounts and aliases of these domains that From does not have; only with Take
	OldHosts  []string // names of the server that From is of; an alias must not lead to an address there
	Backup    bool
	BackupDir string
}

// Existing says what becomes of a domain that both databases have and in which they differ.
type Existing string

// The ways: refuse and show the rows; From is right; Into is right.
const (
	Stop Existing = "stop"
	Take Existing = "take"
	Keep Existing = "keep"
)

// account is what one address is in a control database.
type account struct {
	id             int64
	domain, domID  string // the domain's name in small letters; its number, for rows whose domain is missing
	address        string // in small letters
	values         []sql.NullString
	orphan, noName bool
}

// alias is a forwarding. Postfix looks for addresses without regard to case, a destination is kept as it is written.
type alias struct{ domain, source, destination string }

type aliasRow struct {
	alias
	id             int64
	domID          string
	orphan, noName bool
}

type domainRow struct {
	id   int64
	name string
}

// control is what stands in a control database.
type control struct {
	database string
	domains  []domainRow
	users    []account
	aliases  []aliasRow
}

// difference is what is to be done, in an order that keeps the tables' references whole.
type difference struct {
	domains, users, aliases int // that From has of the chosen domains
	work                    []rowChange
	kept                    []string         // rows in which only Into is so, and that stay
	ids                     map[string]int64 // numbers of Into's domains
}

// rowChange is one statement and how it is told.
type rowChange struct {
	what      string // "domain", "account", "alias"
	sign      string // "+", "-", "~"
	line      string // never a password
	statement string
	args      []any // a domainRef stands for the number of that domain
	makes     string
}

// domainRef is the number that Into has for a domain; an earlier statement may have just made it.
type domainRef string

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
		"domains": int64(d.domains), "users": int64(d.users), "aliases": int64(d.aliases), "kept": int64(len(d.kept)),
	}}
	switch {
	case len(d.work) == 0 && len(d.kept) == 0:
		plan.Note = fmt.Sprintf("%s, %s, equal", count(d.domains, "domain"), count(d.users, "account"))
	case len(d.kept) > 0:
		plan.Note = fmt.Sprintf("%s of %s stay as they are", count(len(d.kept), "row"), m.Into)
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

func (m Merge) look(ctx context.Context, s *Session) (*difference, error) {
	columns, tables, err := m.columns(ctx, s)
	if err != nil {
		return nil, err
	}
	from, err := s.control(ctx, m.From, columns)
	if err != nil {
		return nil, err
	}
	into, err := s.control(ctx, m.Into, columns)
	if err != nil {
		return nil, err
	}
	domains, err := m.chosen(from)
	if err != nil {
		return nil, err
	}
	c := &merging{m: m, columns: columns, tables: tables, from: from, into: into, domains: domains}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c.difference(), nil
}

// columns are those that virtual_users has in both databases, but for the numbers and the address; and Into's tables.
func (m Merge) columns(ctx context.Context, s *Session) ([]string, *Database, error) {
	from, err := s.ReadDatabase(ctx, m.From)
	if err != nil {
		return nil, nil, err
	}
	into, err := s.ReadDatabase(ctx, m.Into)
	if err != nil {
		return nil, nil, err
	}
	need := map[string][]string{"virtual_domains": {"id", "name"}, "virtual_users": {"id", "domain_id", "email", "password"}, "virtual_aliases": {"id", "domain_id", "source", "destination"}}
	for _, d := range []*Database{from, into} {
		for _, table := range sortedKeys(need) {
			t := d.Table(table)
			if t == nil {
				return nil, nil, module.Absent(fmt.Errorf("database %s has no table %s", d.Name, table))
			}
			for _, c := range need[table] {
				if t.Column(c) == nil {
					return nil, nil, fmt.Errorf("table %s.%s has no column %s: it is not of the shape with whole addresses", d.Name, table, c)
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
	return common, into, nil
}

// chosen are the domains to bring over, sorted.
func (m Merge) chosen(from *control) ([]string, error) {
	var all []string
	for _, d := range from.domains {
		all = append(all, d.name)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(m.Domains) == 0 {
		return all, nil
	}
	var some []string
	for _, d := range m.Domains {
		d = normal(d)
		if _, there := slices.BinarySearch(all, d); !there {
			return nil, fmt.Errorf("there is no domain %s in %s", d, m.From)
		}
		some = append(some, d)
	}
	slices.Sort(some)
	return slices.Compact(some), nil
}

// normal is a name as mail servers compare it.
func normal(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// control reads a control database. Names are compared here and not by the server: what it takes for equal depends on the
// collation of each table ("jorg" and "jörg" in utf8_general_ci).
func (s *Session) control(ctx context.Context, database string, columns []string) (*control, error) {
	c := &control{database: database}
	rows, err := s.texts(ctx, "SELECT id, name FROM "+Name(database)+".virtual_domains ORDER BY id")
	if err != nil {
		return nil, err
	}
	name := map[string]string{}
	for _, r := range rows {
		d := domainRow{number64(r[0].String), normal(r[1].String)}
		c.domains = append(c.domains, d)
		name[r[0].String] = d.name
	}
	rows, err = s.texts(ctx, "SELECT id, domain_id, email, "+qualifiedNames(columns)+" FROM "+Name(database)+".virtual_users ORDER BY id")
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		domain, known := name[r[1].String]
		c.users = append(c.users, account{
			id: number64(r[0].String), domain: domain, domID: shown(r[1]), orphan: !known,
			address: normal(r[2].String), noName: !strings.Contains(r[2].String, "@"), values: r[3:],
		})
	}
	rows, err = s.texts(ctx, "SELECT id, domain_id, source, destination FROM "+Name(database)+".virtual_aliases ORDER BY id")
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		domain, known := name[r[1].String]
		c.aliases = append(c.aliases, aliasRow{
			alias: alias{domain, normal(r[2].String), strings.TrimSpace(r[3].String)}, id: number64(r[0].String), domID: shown(r[1]), orphan: !known,
			noName: !strings.Contains(r[2].String, "@") || strings.TrimSpace(r[3].String) == "",
		})
	}
	return c, nil
}

func number64(text string) (n int64) {
	_, _ = fmt.Sscanf(text, "%d", &n)
	return n
}

func shown(v sql.NullString) string {
	if !v.Valid {
		return "NULL"
	}
	return v.String
}
