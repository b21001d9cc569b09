package mysql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// merging is two control databases and the domains that are brought from one into the other.
type merging struct {
	m          Merge
	columns    []string
	tables     *Database // those of Into
	from, into *control
	domains    []string
	problems   []problem
}

// problem is one reason against a merge, with the rows that show it.
type problem struct {
	what string
	rows []string
}

func (c *merging) chosen(domain string) bool {
	_, found := slices.BinarySearch(c.domains, domain)
	return found
}

// shownRows is how many rows of a kind an error shows.
const shownRows = 20

func (c *merging) add(what string, rows []string) {
	if len(rows) > 0 {
		c.problems = append(c.problems, problem{what, rows})
	}
}

// check finds everything that would lose mail, lead it to somebody else or drop a row in silence, all at once.
func (c *merging) check() error {
	c.checkRows()
	c.checkLengths()
	c.checkShared()
	come, stay := c.sides()
	c.checkAddresses(come, stay)
	c.checkCatchAlls(come, stay)
	c.add("aliases would lead in a circle", loops(come.aliases, stay.aliases, c.users()))
	c.checkOldHosts(come)
	if len(c.problems) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("nothing was changed, because")
	for _, p := range c.problems {
		fmt.Fprintf(&b, "\n%s:", p.what)
		for i, row := range p.rows {
			if i == shownRows {
				fmt.Fprintf(&b, "\n  … and %d more", len(p.rows)-shownRows)
				break
			}
			b.WriteString("\n  " + row)
		}
	}
	return errors.New(b.String())
}

// checkRows looks for rows that cannot be told apart or belong to nothing. In Into only the chosen domains matter.
func (c *merging) checkRows() {
	var names, addresses, orphans, nameless []string
	for _, side := range []*control{c.from, c.into} {
		domain, address := map[string][]string{}, map[string][]string{}
		for _, d := range side.domains {
			if side == c.from && d.name == "" {
				nameless = append(nameless, fmt.Sprintf("%s.virtual_domains id %d", side.database, d.id))
			}
			if c.chosen(d.name) {
				domain[d.name] = append(domain[d.name], fmt.Sprintf("id %d", d.id))
			}
		}
		for _, u := range side.users {
			if c.chosen(u.domain) && !u.orphan {
				address[u.address] = append(address[u.address], fmt.Sprintf("id %d", u.id))
			}
			if side == c.from && u.orphan {
				orphans = append(orphans, fmt.Sprintf("%s.virtual_users id %d, domain_id %s: %s", side.database, u.id, u.domID, u.address))
			}
			if side == c.from && u.noName {
				nameless = append(nameless, fmt.Sprintf("%s.virtual_users id %d: %q", side.database, u.id, u.address))
			}
		}
		for _, a := range side.aliases {
			if side == c.from && a.orphan {
				orphans = append(orphans, fmt.Sprintf("%s.virtual_aliases id %d, domain_id %s: %s", side.database, a.id, a.domID, a.line()))
			}
			if side == c.from && a.noName {
				nameless = append(nameless, fmt.Sprintf("%s.virtual_aliases id %d: %q -> %q", side.database, a.id, a.source, a.destination))
			}
		}
		names = append(names, repeated(side.database+".virtual_domains", domain)...)
		addresses = append(addresses, repeated(side.database+".virtual_users", address)...)
	}
	c.add("a domain stands there more than once", names)
	c.add("an address stands there more than once", addresses)
	c.add("rows belong to no domain", orphans)
	c.add("rows have no whole address", nameless)
}

func repeated(table string, ids map[string][]string) []string {
	var rows []string
	for _, name := range sortedKeys(ids) {
		if len(ids[name]) > 1 {
			rows = append(rows, fmt.Sprintf("%s: %s (%s)", table, name, strings.Join(ids[name], ", ")))
		}
	}
	return rows
}

// checkLengths looks for values that Into's columns have no room for.
func (c *merging) checkLengths() {
	var rows []string
	fits := func(table, column, value, row string) {
		limit, unit := c.tables.Table(table).Column(column).capacity()
		n := int64(len(value))
		if unit == "CHAR_LENGTH" {
			n = int64(utf8.RuneCountInString(value))
		}
		if limit > 0 && n > limit {
			rows = append(rows, fmt.Sprintf("%s.%s takes %d, not %d: %s", table, column, limit, n, row))
		}
	}
	for _, d := range c.domains {
		fits("virtual_domains", "name", d, d)
	}
	for _, u := range c.from.users {
		if c.chosen(u.domain) {
			fits("virtual_users", "email", u.address, u.address)
			for i, column := range c.columns {
				fits("virtual_users", column, u.values[i].String, u.address)
			}
		}
	}
	for _, a := range c.from.aliases {
		if c.chosen(a.domain) {
			fits("virtual_aliases", "source", a.source, a.line())
			fits("virtual_aliases", "destination", a.destination, a.line())
		}
	}
	c.add("values are too long for "+c.m.Into, rows)
}

// checkShared shows how a domain differs that both have, unless the operator has said which of them is right.
func (c *merging) checkShared() {
	if c.m.Existing != Stop {
		return
	}
	var rows []string
	theirs := map[string]account{}
	aliases := map[alias]bool{}
	for _, u := range c.from.users {
		theirs[u.address] = u
	}
	for _, a := range c.from.aliases {
		aliases[a.alias] = true
	}
	for _, u := range sortedUsers(c.into.users) {
		want, there := theirs[u.address]
		switch {
		case !c.chosen(u.domain):
		case !there:
			rows = append(rows, fmt.Sprintf("account %s: only %s has it", u.address, c.m.Into))
		case want.domain == u.domain && len(c.differing(u, want)) > 0:
			rows = append(rows, fmt.Sprintf("account %s: another %s", u.address, strings.Join(c.differing(u, want), ", ")))
		}
	}
	for _, a := range sortedAliases(c.into.aliases) {
		if c.chosen(a.domain) && !aliases[a.alias] {
			rows = append(rows, fmt.Sprintf("alias %s: only %s has it", a.line(), c.m.Into))
		}
	}
	c.add(fmt.Sprintf("both databases have a domain and differ in it (existing = \"take\": %s is right; existing = \"keep\": %s is right)", c.m.From, c.m.Into), rows)
}

// sides are the rows that come and the rows of Into that stay and that From does not have.
func (c *merging) sides() (come, stay *control) {
	come, stay = &control{database: c.from.database}, &control{database: c.into.database}
	users, aliases := map[string]bool{}, map[string]bool{}
	for _, u := range c.from.users {
		if c.chosen(u.domain) {
			come.users = append(come.users, u)
			users[u.domain+"\x00"+u.address] = true
		}
	}
	for _, a := range c.from.aliases {
		if c.chosen(a.domain) {
			come.aliases = append(come.aliases, a)
			aliases[a.line()] = true
		}
	}
	for _, u := range c.into.users {
		if !users[u.domain+"\x00"+u.address] && !(c.m.Prune && c.chosen(u.domain)) {
			stay.users = append(stay.users, u)
		}
	}
	for _, a := range c.into.aliases {
		if !aliases[a.line()] && !(c.m.Prune && c.chosen(a.domain)) {
			stay.aliases = append(stay.aliases, a)
		}
	}
	return come, stay
}

// users is every mailbox after the merge.
func (c *merging) users() map[string]bool {
	come, stay := c.sides()
	all := map[string]bool{}
	for _, u := range slices.Concat(come.users, stay.users) {
		all[u.address] = true
	}
	return all
}

// checkAddresses looks for one address that means two things: virtual_alias_maps go before mailboxes, so a mailbox would starve.
func (c *merging) checkAddresses(come, stay *control) {
	var twice, starving []string
	for _, u := range sortedUsers(come.users) {
		for _, other := range stay.users {
			if other.address == u.address {
				twice = append(twice, fmt.Sprintf("%s: in %s of domain %s, in %s of domain %s", u.address, come.database, u.domain, stay.database, other.domain))
			}
		}
	}
	for _, side := range [][2]*control{{come, stay}, {stay, come}} {
		mailboxes, own := map[string]bool{}, map[string]bool{}
		for _, u := range side[1].users {
			mailboxes[u.address] = true
		}
		for _, u := range side[0].users {
			own[u.address] = true
		}
		for _, a := range sortedAliases(side[0].aliases) {
			if mailboxes[a.source] && !own[a.source] {
				starving = append(starving, fmt.Sprintf("alias %s of %s, mailbox %s of %s", a.line(), side[0].database, a.source, side[1].database))
			}
		}
	}
	c.add("an address belongs to others", twice)
	c.add("an alias would take the mail of a mailbox", starving)
}

// checkCatchAlls looks for catch-alls that would get mail for addresses of the other server.
func (c *merging) checkCatchAlls(come, stay *control) {
	var rows []string
	for _, side := range [][2]*control{{come, stay}, {stay, come}} {
		for _, a := range sortedAliases(side[0].aliases) {
			if !strings.HasPrefix(a.source, "@") {
				continue
			}
			for _, u := range sortedUsers(side[1].users) {
				if strings.HasSuffix(u.address, a.source) {
					rows = append(rows, fmt.Sprintf("catch-all %s of %s, mailbox %s of %s", a.line(), side[0].database, u.address, side[1].database))
				}
			}
			for _, b := range sortedAliases(side[1].aliases) {
				if b.source == a.source && side[0] == come {
					rows = append(rows, fmt.Sprintf("catch-all %s of %s, catch-all %s of %s", a.line(), side[0].database, b.line(), side[1].database))
				}
			}
		}
	}
	c.add("a catch-all would take mail of the other server", rows)
}

// checkOldHosts looks for aliases that lead to the server that goes away.
func (c *merging) checkOldHosts(come *control) {
	var rows []string
	for _, a := range sortedAliases(come.aliases) {
		for _, to := range destinations(a.destination) {
			_, domain, _ := strings.Cut(to, "@")
			for _, h := range c.m.OldHosts {
				if domain == normal(h) {
					rows = append(rows, "alias "+a.line())
				}
			}
		}
	}
	c.add("aliases lead to the old server by its name", slices.Compact(rows))
}

// destinations are the addresses of an alias, in small letters.
func destinations(text string) []string {
	var list []string
	for _, to := range strings.Split(text, ",") {
		if to = normal(to); to != "" {
			list = append(list, to)
		}
	}
	return list
}
