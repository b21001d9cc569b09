package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"runner/runtime/module"
)

// difference finds what is to be done, once nothing stands in the way.
func (c *merging) difference() *difference {
	d := &difference{domains: len(c.domains), ids: map[string]int64{}}
	for _, have := range c.into.domains {
		if _, there := d.ids[have.name]; !there {
			d.ids[have.name] = have.id
		}
	}
	for _, name := range c.domains {
		if _, there := d.ids[name]; !there {
			d.work = append(d.work, rowChange{what: "domain", sign: "+", line: name,
				statement: "INSERT INTO " + Name(c.m.Into) + ".virtual_domains (name) VALUES (?)", args: []any{name}, makes: name})
		}
	}
	c.userRows(d)
	c.aliasRows(d)
	return d
}

func (c *merging) userRows(d *difference) {
	table := Name(c.m.Into) + ".virtual_users"
	have := map[string]account{}
	for _, u := range c.into.users {
		if c.chosen(u.domain) {
			have[u.address] = u
		}
	}
	wanted := map[string]bool{}
	for _, want := range sortedUsers(c.from.users) {
		if !c.chosen(want.domain) {
			continue
		}
		d.users++
		wanted[want.address] = true
		now, there := have[want.address]
		differ := c.differing(now, want)
		values := make([]any, len(want.values))
		for i, v := range want.values {
			values[i] = v
		}
		switch {
		case !there:
			list := qualifiedNames(append([]string{"domain_id", "email"}, c.columns...))
			q := "INSERT INTO " + table + " (" + list + ") VALUES (?, ?" + strings.Repeat(", ?", len(c.columns)) + ")"
			d.work = append(d.work, rowChange{what: "account", sign: "+", line: want.address, statement: q, args: append([]any{domainRef(want.domain), want.address}, values...)})
		case len(differ) > 0 && c.m.Existing == Keep:
			d.kept = append(d.kept, "account "+want.address+": "+strings.Join(differ, ", "))
		case len(differ) > 0:
			set := make([]string, len(c.columns))
			for i, column := range c.columns {
				set[i] = Name(column) + " = ?"
			}
			q := "UPDATE " + table + " SET " + strings.Join(set, ", ") + " WHERE id = ?"
			d.work = append(d.work, rowChange{what: "account", sign: "~", line: want.address + ": " + strings.Join(differ, ", "), statement: q, args: append(values, now.id)})
		}
	}
	for _, address := range sortedKeys(have) {
		if !wanted[address] {
			d.surplus(c.m, "account", address, "DELETE FROM "+table+" WHERE id = ?", have[address].id)
		}
	}
}

// differing are the columns in which an account is not what From says.
func (c *merging) differing(now, want account) []string {
	var list []string
	for i, v := range now.values {
		if v != want.values[i] {
			list = append(list, c.columns[i])
		}
	}
	return list
}

func (c *merging) aliasRows(d *difference) {
	table := Name(c.m.Into) + ".virtual_aliases"
	have, wanted := map[alias]bool{}, map[alias]bool{}
	for _, a := range c.into.aliases {
		have[a.alias] = true
	}
	for _, a := range sortedAliases(c.from.aliases) {
		if !c.chosen(a.domain) || wanted[a.alias] {
			continue
		}
		d.aliases++
		wanted[a.alias] = true
		if !have[a.alias] {
			q := "INSERT INTO " + table + " (domain_id, source, destination) VALUES (?, ?, ?)"
			d.work = append(d.work, rowChange{what: "alias", sign: "+", line: a.line(), statement: q, args: []any{domainRef(a.domain), a.source, a.destination}})
		}
	}
	for _, a := range sortedAliases(c.into.aliases) {
		if c.chosen(a.domain) && !wanted[a.alias] {
			d.surplus(c.m, "alias", a.line(), "DELETE FROM "+table+" WHERE id = ?", a.id)
		}
	}
}

func (a alias) line() string { return a.source + " -> " + a.destination }

// surplus removes a row that only the target has, or keeps and counts it.
func (d *difference) surplus(m Merge, what, line, statement string, args ...any) {
	if !m.Prune {
		d.kept = append(d.kept, what+" "+line)
		return
	}
	d.work = append(d.work, rowChange{what: what, sign: "-", line: line, statement: statement, args: args})
}

func sortedUsers(list []account) []account {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b account) int { return strings.Compare(a.address, b.address) })
	return list
}

func sortedAliases(list []aliasRow) []aliasRow {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b aliasRow) int {
		return strings.Compare(a.source+"\x00"+a.destination, b.source+"\x00"+b.destination)
	})
	return list
}

func qualifiedNames(columns []string) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = Name(c)
	}
	return strings.Join(list, ", ")
}

func (d *difference) removes() bool {
	return slices.ContainsFunc(d.work, func(w rowChange) bool { return w.sign == "-" })
}

// summary counts: "bring 3 domains, 31 accounts, 12 aliases into mailserver; change 2 accounts; remove 1 alias".
func (d *difference) summary(m Merge) string {
	var parts []string
	for _, kind := range []struct{ sign, verb, end string }{{"+", "bring ", " into " + m.Into}, {"~", "change ", ""}, {"-", "remove ", ""}} {
		n := map[string]int{}
		for _, w := range d.work {
			if w.sign == kind.sign {
				n[w.what]++
			}
		}
		var list []string
		for _, what := range []string{"domain", "account", "alias"} {
			if n[what] > 0 {
				plural := count(n[what], what)
				if what == "alias" && n[what] != 1 {
					plural = fmt.Sprintf("%d aliases", n[what])
				}
				list = append(list, plural)
			}
		}
		if len(list) > 0 {
			parts = append(parts, kind.verb+strings.Join(list, ", ")+kind.end)
		}
	}
	return strings.Join(parts, "; ")
}

// text is one side of what --diff shows. A changed account stands on both, without its values.
func (d *difference) text(sign string) string {
	var b strings.Builder
	for _, w := range d.work {
		if w.sign == sign || w.sign == "~" {
			line := w.line
			if w.sign == "~" {
				line += map[string]string{"-": " (old)", "+": " (new)"}[sign]
			}
			fmt.Fprintf(&b, "%s %s\n", w.what, line)
		}
	}
	return b.String()
}

// apply does the work in one transaction, on what is there at that moment.
func (m Merge) apply(ctx context.Context, do *module.Apply) error {
	s, err := Connect(ctx, m.On, m.Login, Options{Strict: true})
	if err != nil {
		return err
	}
	defer s.Close()
	if m.Backup {
		file, err := BackUp(ctx, do, do.Host(m.On), s, m.Into, m.BackupDir)
		if err != nil {
			return err
		}
		do.Output("backup", file)
	}
	if err := s.Exec(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	d, err := m.look(ctx, s)
	for i := 0; err == nil && i < len(d.work); i++ {
		w := d.work[i]
		if err = s.mergeRow(ctx, w, d.ids); err != nil {
			err = fmt.Errorf("%s %s: %w", w.what, w.line, plainError(err))
		}
	}
	if err != nil {
		_ = s.Exec(context.WithoutCancel(ctx), "ROLLBACK") // ending the session does it as well
		return fmt.Errorf("cannot bring %s into %s on %s: %w", m.From, m.Into, m.On.Name(), err)
	}
	return s.Exec(ctx, "COMMIT")
}

// mergeRow runs one statement and notes the number of a domain that it makes.
func (s *Session) mergeRow(ctx context.Context, w rowChange, ids map[string]int64) error {
	args := slices.Clone(w.args)
	for i, a := range args {
		if name, ok := a.(domainRef); ok {
			args[i] = ids[string(name)]
		}
	}
	result, err := s.conn.ExecContext(ctx, w.statement, args...)
	if err != nil || w.makes == "" {
		return err
	}
	ids[w.makes], err = result.LastInsertId()
	return err
}
