package maildir

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Layout is where the mailboxes of accounts lie on a side, as a path of a recipe says it: a directory of all mailboxes, or a
// pattern of where one lies, in the variables of Dovecot's mail_location (https://doc.dovecot.org, "Config Variables").
type Layout struct {
	Root    string // directory of all mailboxes
	Mail    string // directory of an account's mailbox, below the account's own directory; "": that itself
	Lower   bool   // domains and users are written in small letters
	Pattern bool   // Mail and Lower were said; else mailboxes lie where they are found
}

// ParseLayout reads "/var/vmail", or a pattern such as "/var/vmail/%d/%n/Maildir" or "/home/vmail/%Ld/%Ln".
func ParseLayout(name, text string) (Layout, error) {
	root, account, found := strings.Cut(text, "/%")
	l := Layout{Root: root, Pattern: found}
	if !found {
		if strings.Contains(text, "%") {
			return l, fmt.Errorf("%s: a variable begins a directory's name, as in /var/vmail/%%d/%%n; %q has it elsewhere", name, text)
		}
		return l, CheckRoot(name, text)
	}
	if err := CheckRoot(name, root); err != nil {
		return l, err
	}
	parts := strings.SplitN("%"+path.Clean(account), "/", 3)
	switch {
	case len(parts) > 1 && parts[0] == "%Ld" && parts[1] == "%Ln":
		l.Lower = true
	case len(parts) > 1 && parts[0] == "%d" && parts[1] == "%n":
	default:
		return l, fmt.Errorf("%s: of a pattern %%d and %%n must be two directories one in the other, as in /var/vmail/%%d/%%n/Maildir (or %%Ld/%%Ln, for small letters), not %q", name, text)
	}
	if len(parts) == 3 {
		l.Mail = parts[2]
	}
	if strings.Contains(l.Mail, "%") || slices.Contains(strings.Split(l.Mail, "/"), "..") {
		return l, fmt.Errorf("%s: after %%n only names of directories can follow, not %q", name, l.Mail)
	}
	for _, part := range strings.Split(l.Mail, "/") {
		if part == "cur" || part == "new" || part == "tmp" {
			return l, fmt.Errorf("%s is where mailboxes lie, which hold cur, new and tmp; %q ends in one of these", name, text)
		}
	}
	return l, nil
}

// ParseLayouts reads the paths of both sides; without the second it is as the first. A pattern of the target alone would leave open
// where the mailboxes lie on the source.
func ParseLayouts(from, to string) (source, target Layout, err error) {
	if source, err = ParseLayout("path", from); err != nil {
		return source, target, err
	}
	if to == "" {
		return source, source, nil
	}
	if target, err = ParseLayout("target", to); err != nil {
		return source, target, err
	}
	if target.Pattern && !source.Pattern {
		return source, target, errors.New("target is a pattern, so path must be one too: it says where the mailboxes lie now, as in /var/vmail/%d/%n")
	}
	if source.Pattern && !target.Pattern {
		target.Mail = source.Mail
	}
	return source, target, nil
}

// layout maps the paths of the source to those of the target.
type layout struct {
	from, to string // Layout.Mail of both
	lower    bool
	strict   bool // mailboxes that lie elsewhere than in from are an error
}

func (o *Options) layout() *layout {
	return &layout{from: o.PathMail, to: o.TargetMail, lower: o.Lowercase, strict: o.Strict}
}

// path is how the target names a path of the source.
func (l *layout) path(at string) string {
	if l.lower {
		at = lowerAccount(at)
	}
	if l.from == l.to {
		return at
	}
	account, rest := splitAccount(at)
	switch {
	case rest == "":
		return at
	case l.from == "":
		if !ofMaildir(rest) {
			return at
		}
	case below(rest, l.from):
		rest = strings.TrimPrefix(rest[len(l.from):], "/")
	default:
		return at
	}
	return under(under(account, l.to), rest)
}

// under is join for a path that may be empty.
func under(dir, rest string) string {
	if rest == "" {
		return dir
	}
	return join(dir, rest)
}

// splitAccount cuts a path after domain and user.
func splitAccount(at string) (account, rest string) {
	i := strings.IndexByte(at, '/')
	if i < 0 {
		return at, ""
	}
	j := strings.IndexByte(at[i+1:], '/')
	if j < 0 {
		return at, ""
	}
	return at[:i+1+j], at[i+j+2:]
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
func (l *layout) merges(at string) bool {
	_, rest := splitAccount(at)
	return l.from != l.to && l.to == "" && rest == l.from && rest != ""
}

// between says whether a path of the target lies between an account and its mailbox, or is the mailbox: a directory that the source
// need not have.
func (l *layout) between(p string) bool {
	_, rest := splitAccount(p)
	return l.from != l.to && rest != "" && below(l.to, rest)
}

// check refuses mailboxes that a pattern has no place for: they would lie where Dovecot does not look.
func (l *layout) check(t *tree, s side) error {
	if !l.strict {
		return nil
	}
	found, elsewhere := map[string]bool{}, map[string]string{}
	for _, m := range t.boxes {
		switch account, rest := splitAccount(m.path); {
		case !strings.Contains(account, "/"):
			return fmt.Errorf("cannot use %s: it is a mailbox itself, and path looks for mailboxes in directories of domains and users", s.String()+"/"+m.at)
		case rest == l.to:
			found[account] = true
		case l.to != "" && !below(rest, l.to) && l.from == "":
			return fmt.Errorf("cannot find a place for the mailbox %s of %s: folders whose names do not begin with a dot (LAYOUT=fs) lie among the files of the home; "+
				"they cannot be told apart when the mailbox moves to another directory", m.at, s)
		default:
			elsewhere[account] = m.at
		}
	}
	for _, account := range slices.Sorted(maps.Keys(elsewhere)) {
		if !found[account] {
			return fmt.Errorf("cannot find the mailbox of %s in %s: path looks for it in %q, and it is %q", account, s, under(account, l.from), elsewhere[account])
		}
	}
	return nil
}

// Inbox is an account and the directory of its INBOX on the target.
type Inbox struct{ Address, Path string }

// maxInboxes is how many are worth asking Dovecot for.
const maxInboxes = 8

// someInboxes are accounts in directories of domain and user: of as many domains as possible.
func someInboxes(src *tree, root string) []Inbox {
	var first, others []Inbox
	seen := map[string]bool{}
	for _, m := range src.boxes {
		domain, user, ok := strings.Cut(m.home, "/")
		if !ok || m.path != m.top || strings.ContainsAny(m.home, "@ \t\n\r") {
			continue
		}
		in := Inbox{Address: user + "@" + domain, Path: root + "/" + m.path}
		if seen[domain] {
			others = append(others, in)
		} else {
			first = append(first, in)
		}
		seen[domain] = true
	}
	all := append(first, others...)
	return all[:min(len(all), maxInboxes)]
}
