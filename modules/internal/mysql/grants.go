package mysql

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Grant is what an account may do to one object, as SHOW GRANTS tells it.
type Grant struct {
	Privileges []string // "SELECT", "ALL PRIVILEGES", "SELECT (`email`)"; sorted, in capitals
	Object     string   // "*.*", "`mailserver`.*", "`mailserver`.`virtual_users`", "PROCEDURE `db`.`name`"
	Option     bool     // WITH GRANT OPTION
}

// String is the grant as it is written in a recipe and between GRANT and TO of SHOW GRANTS.
func (g Grant) String() string {
	text := strings.Join(g.Privileges, ", ") + " ON " + g.Object
	if g.Option {
		text += " WITH GRANT OPTION"
	}
	return text
}

var (
	privilege   = regexp.MustCompile(`^[A-Z][A-Z ]*[A-Z]( \([^()]+\))?$`)
	grantObject = regexp.MustCompile("^(?i:(TABLE|FUNCTION|PROCEDURE) +)?(\\*|`(?:[^`]|``)+`|[\\w$\\\\%-]+)(?:\\.(\\*|`(?:[^`]|``)+`|[\\w$]+))?$")
	grantLine   = regexp.MustCompile("^GRANT (.+) ON (.+?) TO ['`\"]")
	passwordIs  = regexp.MustCompile(`IDENTIFIED (?:BY PASSWORD|VIA mysql_native_password USING) '([^']+)'`)
)

// ParseGrant reads "SELECT, INSERT ON mailserver.* WITH GRANT OPTION".
func ParseGrant(text string) (Grant, error) {
	g := Grant{}
	text = strings.TrimSpace(text)
	if upper := strings.ToUpper(text); strings.HasPrefix(upper, "GRANT ") {
		return g, errors.New("begins with GRANT; write only what stands behind it, such as \"SELECT ON mailserver.*\"")
	} else if rest, ok := strings.CutSuffix(upper, " WITH GRANT OPTION"); ok {
		g.Option, text = true, text[:len(rest)]
	}
	at := strings.LastIndex(strings.ToUpper(text), " ON ")
	if at < 0 {
		return g, errors.New("is no grant, such as \"SELECT ON mailserver.*\"")
	}
	for _, p := range splitPrivileges(text[:at]) {
		if !privilege.MatchString(p) {
			return g, fmt.Errorf("holds %q, which is no privilege", p)
		}
		g.Privileges = append(g.Privileges, p)
	}
	slices.Sort(g.Privileges)
	m := grantObject.FindStringSubmatch(strings.TrimSpace(text[at+4:]))
	if m == nil || m[3] == "" {
		return g, fmt.Errorf("holds %q, which is no database or table, such as mailserver.*", strings.TrimSpace(text[at+4:]))
	}
	if kind := strings.ToUpper(m[1]); kind != "" && kind != "TABLE" {
		g.Object = kind + " "
	}
	g.Object += quotedPart(m[2]) + "." + quotedPart(m[3])
	return g, nil
}

func quotedPart(p string) string {
	if p == "*" || p[0] == '`' {
		return p
	}
	return Name(p)
}

// splitPrivileges cuts at commas outside parentheses and writes names of privileges in one way.
func splitPrivileges(text string) []string {
	var list []string
	depth, from := 0, 0
	add := func(p string) {
		name, columns, some := strings.Cut(strings.TrimSpace(p), "(")
		name = strings.Join(strings.Fields(strings.ToUpper(name)), " ")
		if name == "ALL" {
			name = "ALL PRIVILEGES"
		}
		if some {
			name = strings.TrimSpace(name) + " (" + columnList(columns) + ")"
		}
		list = append(list, name)
	}
	for i, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				add(text[from:i])
				from = i + 1
			}
		}
	}
	add(text[from:])
	return list
}

// columnList writes the columns of a privilege in one way.
func columnList(text string) string {
	var columns []string
	for _, c := range strings.Split(strings.TrimSuffix(text, ")"), ",") {
		columns = append(columns, strings.Trim(strings.TrimSpace(c), "`"))
	}
	slices.Sort(columns)
	return names(columns)
}

// parseGrants reads SHOW GRANTS: what the account may do, by object, and the hash of its password where the server tells it
// there (MariaDB, and MySQL before 5.7). Lines of roles and of PROXY are none of these.
func parseGrants(lines []string) (grants map[string]Grant, hash string) {
	grants = map[string]Grant{}
	for _, line := range lines {
		if m := passwordIs.FindStringSubmatch(line); m != nil {
			hash = m[1]
		}
		m := grantLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		text := m[1] + " ON " + m[2]
		if strings.HasSuffix(line, " WITH GRANT OPTION") {
			text += " WITH GRANT OPTION"
		}
		g, err := ParseGrant(text)
		if err != nil || len(g.Privileges) == 1 && g.Privileges[0] == "USAGE" && !g.Option {
			continue
		}
		grants[g.Object] = g
	}
	return grants, hash
}

// grantStatements are what makes the first of two sets of grants the second.
func grantStatements(have, want map[string]Grant, account string) (revoke, grant []string) {
	for _, object := range sortedKeys(have) {
		var surplus []string
		for _, p := range have[object].Privileges {
			if !slices.Contains(want[object].Privileges, p) && !slices.Contains(want[object].Privileges, "ALL PRIVILEGES") && p != "USAGE" {
				surplus = append(surplus, p)
			}
		}
		if have[object].Option && !want[object].Option {
			surplus = append(surplus, "GRANT OPTION")
		}
		for _, p := range surplus {
			revoke = append(revoke, "REVOKE "+p+" ON "+object+" FROM "+account)
		}
	}
	for _, object := range sortedKeys(want) {
		var missing []string
		for _, p := range want[object].Privileges {
			if !slices.Contains(have[object].Privileges, p) {
				missing = append(missing, p)
			}
		}
		option := want[object].Option && !have[object].Option
		if len(missing) == 0 && option {
			missing = []string{"USAGE"}
		}
		if len(missing) > 0 {
			q := "GRANT " + strings.Join(missing, ", ") + " ON " + object + " TO " + account
			if option {
				q += " WITH GRANT OPTION"
			}
			grant = append(grant, q)
		}
	}
	return revoke, grant
}
