package maildir

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"runner/modules/internal/dovecot"
)

// mapping maps the paths of the source to those of the target.
type mapping struct {
	from, to Layout
	lower    bool // directories of domains and users get small letters
	strict   bool // mailboxes that lie elsewhere than in from are an error

	own, placed string // the account that was placed last
	fits        bool
}

func (o *Options) mapping() *mapping {
	return &mapping{from: o.Layout, to: o.TargetLayout, lower: o.Lowercase, strict: o.Layout.Pattern()}
}

// staying is the mapping of a side onto itself.
func staying(l Layout) *mapping { return &mapping{from: l, to: l} }

// place is how the target names a path of the source; not ok when it has no place for it.
func (m *mapping) place(at string, isDir bool) (p string, ok bool) {
	if !m.from.Pattern() {
		if m.lower {
			at = lowerAccount(at)
		}
		return at, true
	}
	own, rest, whole := m.from.split(at)
	if !whole || rest == "" && !isDir {
		return m.way(at, isDir)
	}
	if m.own != own || own == "" {
		m.own = own
		m.placed, m.fits = m.account(own)
	}
	if !m.fits {
		return "", false
	}
	return under(m.placed, m.inside(rest)), true
}

// account is the directory of an account on the target.
func (m *mapping) account(own string) (string, bool) {
	a, ok := m.from.read(own)
	if !ok {
		return "", false
	}
	return m.to.write(m.fold(a))
}

func (m *mapping) fold(a dovecot.Account) dovecot.Account {
	if m.lower {
		return dovecot.Account{User: strings.ToLower(a.User), Domain: strings.ToLower(a.Domain)}
	}
	return a
}

// way is the place of what leads to accounts, or lies beside them: where both sides have the same directories so far.
func (m *mapping) way(at string, isDir bool) (string, bool) {
	if !isDir {
		dir := dirOf(at)
		if dir == "" {
			return m.stray(at)
		}
		to, ok := m.way(dir, true)
		return join(to, nameOf(at)), ok
	}
	names := strings.Split(at, "/")
	if len(names) >= len(m.to.Dirs) || !m.same(len(names)) {
		return "", false
	}
	a, ok := m.from.read(at)
	if !ok {
		return m.stray(at)
	}
	for i := range names {
		if name, told := m.to.Dirs[i].Expand(m.fold(a), ""); told {
			names[i] = name
		}
	}
	return strings.Join(names, "/"), true
}

// stray is the place of what lies beside the directories that lead to accounts. Where both sides have the same it stays where it is.
func (m *mapping) stray(at string) (string, bool) {
	return at, len(m.from.Dirs) == len(m.to.Dirs) && m.same(len(m.from.Dirs))
}

// same says whether the first directories of both sides are called the same.
func (m *mapping) same(count int) bool {
	for i := range count {
		if !m.from.Dirs[i].Same(m.to.Dirs[i]) {
			return false
		}
	}
	return true
}

// inside is the path in an account's directory.
func (m *mapping) inside(rest string) string {
	switch {
	case m.from.Mail == m.to.Mail || rest == "":
	case m.from.Mail == "":
		if ofMaildir(rest) {
			return under(m.to.Mail, rest)
		}
	case below(rest, m.from.Mail):
		return under(m.to.Mail, strings.TrimPrefix(rest[len(m.from.Mail):], "/"))
	}
	return rest
}

// under is join for paths that may be empty.
func under(dir, rest string) string {
	if rest == "" {
		return dir
	}
	return join(dir, rest)
}

// homeFiles are what lies beside the folders when the mailbox is the home itself, and belongs to the home: scripts, forwards, what
// Dovecot's delivery remembers (https://doc.dovecot.org, "Home Directories").
var homeFiles = []string{".dovecot.sieve*", ".dovecot.svbin*", ".dovecot.lda-dupes*", ".forward*", ".procmailrc*", ".qmail*", ".mailfilter*", ".spamassassin", ".razor", ".pyzor", ".vacation*", ".ssh"}

// ofMaildir says whether a path in a home that is the mailbox itself belongs to the mailbox: its own files and, with Maildir++, all
// folders, whose names begin with a dot.
func ofMaildir(rest string) bool {
	name, _, _ := strings.Cut(rest, "/")
	switch {
	case name == "cur" || name == "new" || name == "tmp" || name == "maildirfolder" || name == "maildirsize":
		return true
	case strings.HasPrefix(name, "dovecot-") || strings.HasPrefix(name, "dovecot.") || strings.HasPrefix(name, "subscriptions") || strings.HasPrefix(name, "courierimap"):
		return true
	case strings.HasPrefix(name, "."):
		return !slices.ContainsFunc(homeFiles, func(p string) bool { return matchStar(p, name) })
	}
	return false
}

// merges says whether a directory of the source becomes one with that of its account.
func (m *mapping) merges(at string) bool {
	_, rest, _ := m.from.split(at)
	return m.from.Mail != m.to.Mail && m.to.Mail == "" && rest == m.from.Mail && rest != ""
}

// between says whether a path of the target leads to an account, or from there to its mailbox, or is that: a directory that the
// source need not have.
func (m *mapping) between(p string) bool {
	_, rest, whole := m.to.split(p)
	switch {
	case !m.from.Pattern():
		return false
	case !whole:
		return true
	}
	return m.from.Mail != m.to.Mail && rest != "" && below(m.to.Mail, rest)
}

// leads says whether a directory of the source can only lead to accounts.
func (m *mapping) leads(at string) bool {
	_, _, whole := m.from.split(at)
	return !whole
}

// linkText is what a symbolic link says on the target, so that it leads to the same file there. A link that leads out of the root is not
// copied: on the target it would lead to files that nobody meant.
func (m *mapping) linkText(n *node, from, to string) (string, bool) {
	if n.text == "" {
		return "", false
	}
	if rest, ok := strings.CutPrefix(path.Clean(n.text), path.Clean(from)+"/"); ok && path.IsAbs(n.text) {
		end, ok := m.place(rest, true)
		return to + "/" + end, ok
	}
	if path.IsAbs(n.text) {
		return "", false
	}
	end := path.Join(dirOf(n.at), n.text)
	if end == ".." || strings.HasPrefix(end, "../") {
		return "", false
	}
	if end == "." || m.from.String() == m.to.String() {
		return n.text, true
	}
	placed, ok := m.place(end, true)
	if !ok || path.Join(dirOf(n.path), n.text) == placed {
		return n.text, ok
	}
	text, err := filepath.Rel("/"+dirOf(n.path), "/"+placed)
	return text, err == nil
}

// check refuses mailboxes that a pattern has no place for: they would lie where Dovecot does not look.
func (m *mapping) check(t *tree, s side) error {
	if !m.strict {
		return nil
	}
	found, elsewhere := map[string]bool{}, map[string]*mailbox{}
	for _, b := range t.boxes {
		own, rest, whole := m.to.split(b.path)
		switch {
		case !whole:
			return fmt.Errorf("cannot use %s: it is a mailbox itself, and path looks for mailboxes in the directories of accounts", s.String()+"/"+b.at)
		case rest == m.to.Mail:
			found[own] = true
		case m.to.Mail != "" && !below(rest, m.to.Mail) && m.from.Mail == "":
			return fmt.Errorf("cannot find a place for the mailbox %s of %s: folders whose names do not begin with a dot (LAYOUT=fs) lie among the files of the home; "+
				"they cannot be told apart when the mailbox moves to another directory", b.at, s)
		default:
			elsewhere[own] = b
		}
	}
	for _, own := range slices.Sorted(maps.Keys(elsewhere)) {
		if b := elsewhere[own]; !found[own] {
			home, _, _ := m.from.split(b.at)
			return fmt.Errorf("cannot find the mailbox of %s in %s: path looks for it in %q, and it is %q", home, s, under(home, m.from.Mail), b.at)
		}
	}
	return nil
}

// Inbox is an account and the directory of its INBOX on the target.
type Inbox struct{ Address, Path string }

// maxInboxes is how many are worth asking Dovecot for.
const maxInboxes = 8

// someInboxes are accounts whose directory tells their address: of as many domains as possible.
func someInboxes(src *tree, to Layout, root string) []Inbox {
	var first, others []Inbox
	seen := map[string]bool{}
	for _, m := range src.boxes {
		a, ok := to.read(m.home)
		if !ok || m.path != m.top || a.User == "" || strings.ContainsAny(a.String(), " \t\n\r/") || strings.Contains(a.User+a.Domain, "@") {
			continue
		}
		in := Inbox{Address: a.String(), Path: root + "/" + m.path}
		if seen[a.Domain] {
			others = append(others, in)
		} else {
			first = append(first, in)
		}
		seen[a.Domain] = true
	}
	all := append(first, others...)
	return all[:min(len(all), maxInboxes)]
}
