package mysql

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"runner/runtime/module"
)

func (m Merge) domains(d *difference, have *accounts) {
	known := map[string]bool{}
	for _, name := range have.domains {
		known[name] = true
	}
	for _, name := range d.want.domains {
		if !known[name] {
			d.work = append(d.work, rowChange{"domain", "+", name, "INSERT INTO " + Name(m.Into) + ".virtual_domains (name) VALUES (?)", []any{name}})
		}
	}
}

// domainID finds the number of a domain in the target when the statement runs: an earlier one may have just made it.
func (m Merge) domainID() string {
	return "(SELECT MIN(id) FROM " + Name(m.Into) + ".virtual_domains WHERE LOWER(TRIM(name)) = ?)"
}

func (m Merge) users(d *difference, have *accounts, columns []string) {
	table := Name(m.Into) + ".virtual_users"
	for _, address := range sortedKeys(d.want.users) {
		want := d.want.users[address]
		now, there := have.users[address]
		values := make([]any, len(want.values))
		var differ []string
		for i, v := range want.values {
			values[i] = v
			if there && now.values[i] != v {
				differ = append(differ, columns[i])
			}
		}
		switch {
		case !there:
			list := qualifiedNames(append([]string{"domain_id", "email"}, columns...))
			q := "INSERT INTO " + table + " (" + list + ") VALUES (" + m.domainID() + ", ?" + strings.Repeat(", ?", len(columns)) + ")"
			d.work = append(d.work, rowChange{"account", "+", address, q, append([]any{want.domain, address}, values...)})
		case len(differ) > 0:
			set := make([]string, len(columns))
			for i, c := range columns {
				set[i] = Name(c) + " = ?"
			}
			q := "UPDATE " + table + " SET " + strings.Join(set, ", ") + " WHERE LOWER(email) = ?"
			d.work = append(d.work, rowChange{"account", "~", address + ": " + strings.Join(differ, ", "), q, append(values, address)})
		}
	}
	for _, address := range sortedKeys(have.users) {
		if _, wanted := d.want.users[address]; !wanted {
			d.surplus(m, "account", address, "DELETE FROM "+table+" WHERE LOWER(email) = ?", address)
		}
	}
}

func (m Merge) aliases(d *difference, have *accounts) {
	table := Name(m.Into) + ".virtual_aliases"
	for _, a := range sortedAliases(d.want.aliases) {
		if !have.aliases[a] {
			q := "INSERT INTO " + table + " (domain_id, source, destination) VALUES (" + m.domainID() + ", ?, ?)"
			d.work = append(d.work, rowChange{"alias", "+", a.source + " -> " + a.destination, q, []any{a.domain, a.source, a.destination}})
		}
	}
	for _, a := range sortedAliases(have.aliases) {
		if !d.want.aliases[a] {
			d.surplus(m, "alias", a.source+" -> "+a.destination, "DELETE FROM "+table+" WHERE LOWER(source) = ? AND destination = ?", a.source, a.destination)
		}
	}
}

// surplus removes a row that only the target has, or keeps and counts it.
func (d *difference) surplus(m Merge, what, line, statement string, args ...any) {
	if !m.Prune {
		d.kept = append(d.kept, what+" "+line)
		return
	}
	d.work = append(d.work, rowChange{what, "-", line, statement, args})
}

func sortedAliases(set map[alias]bool) []alias {
	list := make([]alias, 0, len(set))
	for a := range set {
		list = append(list, a)
	}
	sort.Slice(list, func(i, j int) bool {
		return list[i].source+"\x00"+list[i].destination < list[j].source+"\x00"+list[j].destination
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
	for _, w := range d.work {
		if w.sign == "-" {
			return true
		}
	}
	return false
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
		if err = s.Exec(ctx, w.statement, w.args...); err != nil {
			err = fmt.Errorf("%s %s: %w", w.what, w.line, plainError(err))
		}
	}
	if err != nil {
		_ = s.Exec(context.WithoutCancel(ctx), "ROLLBACK") // ending the session does it as well
		return fmt.Errorf("cannot bring %s into %s on %s: %w", m.From, m.Into, m.On.Name(), err)
	}
	return s.Exec(ctx, "COMMIT")
}
