package maildir

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"runner/modules/internal/dovecot"
)

// Layout is where the mailboxes of accounts lie below a root, as a path of a recipe says it. The zero Layout says nothing of it: in
// directories of domains and users, or wherever mailboxes are found.
type Layout struct {
	Root   string            // directory of all mailboxes
	Dirs   []dovecot.Pattern // the names of the directories that lead to an account's own, and of that
	Mail   string            // directory of an account's mailbox, below the account's own; "": that itself
	Domain string            // which all accounts are of, where Dirs do not tell it
}

// Pattern says whether the layout says where mailboxes lie; those that lie elsewhere are an error then.
func (l *Layout) Pattern() bool { return len(l.Dirs) > 0 }

// ParseLayout reads a directory of all mailboxes, "/var/vmail", or a pattern of where one lies, in the variables of Dovecot's
// mail_location: "/var/vmail/%d/%n/Maildir", "/home/%u", "/srv/mail/%{user | domain}/%1n/%n". The root is what stands before the
// first directory whose name holds a variable, and an account's own directory, its home, ends with the last such name.
func ParseLayout(name, text string) (l Layout, err error) {
	var plain []string // names without variables since the last one that has some
	for _, part := range strings.Split(text, "/") {
		p, err := dovecot.ParsePattern(part)
		if err != nil {
			return l, fmt.Errorf("%s: cannot read %q: %w", name, text, err)
		}
		if said, ok := p.Fixed(); ok {
			plain = append(plain, said)
			continue
		}
		if err := p.CheckName(); err != nil {
			return l, fmt.Errorf("%s: cannot read the directory %q of %q: %w", name, part, text, err)
		}
		if !l.Pattern() {
			l.Root, plain = strings.Join(plain, "/"), nil
			if l.Root == "" && path.IsAbs(text) {
				l.Root = "/"
			}
		}
		for _, between := range pathNames(plain) {
			fixed, _ := dovecot.ParsePattern(strings.ReplaceAll(between, "%", "%%"))
			l.Dirs = append(l.Dirs, fixed)
		}
		l.Dirs, plain = append(l.Dirs, p), nil
	}
	if !l.Pattern() {
		l.Root = strings.Join(plain, "/")
		return l, CheckRoot(name, l.Root)
	}
	if err := CheckRoot(name, l.Root); err != nil {
		return l, err
	}
	l.Mail = strings.Join(pathNames(plain), "/")
	return l, l.check(name, text)
}

// pathNames are the names of a path without what says nothing.
func pathNames(parts []string) []string {
	return slices.DeleteFunc(slices.Clone(parts), func(s string) bool { return s == "" || s == "." })
}

func (l *Layout) check(name, text string) error {
	switch {
	case slices.Contains(strings.Split(text, "/"), ".."):
		return fmt.Errorf("%s must not hold \"..\", as %q does", name, text)
	case !l.tells('n'):
		return fmt.Errorf("%s must tell the user, with %%n or %%u in the name of a directory; %q does not", name, text)
	case !l.tells('d') && slices.ContainsFunc(l.Dirs, func(p dovecot.Pattern) bool { return p.Uses('d') || p.Uses('u') }):
		return fmt.Errorf("%s must tell the whole domain where it holds a part of it; %q does not", name, text)
	}
	for _, part := range strings.Split(l.Mail, "/") {
		if part == "cur" || part == "new" || part == "tmp" {
			return fmt.Errorf("%s is where mailboxes lie, which hold cur, new and tmp; %q ends in one of these", name, text)
		}
	}
	return nil
}

func (l *Layout) tells(variable byte) bool {
	return slices.ContainsFunc(l.Dirs, func(p dovecot.Pattern) bool { return p.Tells(variable) })
}

// ParseLayouts reads the paths of both sides; without the second it is as the first. domains are those that the step is about.
func ParseLayouts(from, to string, domains []string) (source, target Layout, err error) {
	if source, err = ParseLayout("path", from); err != nil {
		return source, target, err
	}
	target = source
	if to != "" {
		if target, err = ParseLayout("target", to); err != nil {
			return source, target, err
		}
	}
	switch {
	case target.Pattern() && !source.Pattern():
		return source, target, errors.New("target is a pattern, so path must be one too: it says where the mailboxes lie now, as in /var/vmail/%d/%n")
	case !source.Pattern():
		return source, target, nil
	case !target.Pattern():
		target.Dirs, target.Mail = source.Dirs, source.Mail
	}
	return source, target, settleDomain(&source, &target, domains)
}

// settleDomain gives layouts that do not tell the domain of an account the one that the step is about.
func settleDomain(source, target *Layout, domains []string) error {
	switch {
	case source.tells('d') && target.tells('d'):
		return nil
	case len(domains) == 1:
	case len(domains) > 1:
		return errors.New("domains must be one domain only where path or target does not tell the domain of a mailbox (%d or %u)")
	case source.tells('d'):
		return errors.New("target does not tell the domain of a mailbox (%d or %u), and path does: say with domains which one to take")
	case target.tells('d'):
		return errors.New("path does not tell the domain of a mailbox (%d or %u), and target does: say with domains which one it is")
	default:
		return nil
	}
	for _, l := range []*Layout{source, target} {
		if !l.tells('d') {
			l.Domain = domains[0]
		}
	}
	return nil
}

// depth is how many directories lead to an account's own, and are that.
func (l *Layout) depth() int {
	if l.Pattern() {
		return len(l.Dirs)
	}
	return 2
}

// split cuts a path behind the account's own directory; not whole when it does not reach that.
func (l *Layout) split(p string) (own, rest string, whole bool) {
	at := 0
	for n := l.depth(); ; n-- {
		i := strings.IndexByte(p[at:], '/')
		if i < 0 {
			return p, "", n == 1
		}
		at += i + 1
		if n == 1 {
			return p[:at-1], p[at:], true
		}
	}
}

// read says whose a path is, as far as its directories tell it. It is not ok when they do not fit the pattern.
func (l *Layout) read(p string) (a dovecot.Account, ok bool) {
	if !l.Pattern() {
		domain, rest, _ := strings.Cut(p, "/")
		user, _, _ := strings.Cut(rest, "/")
		return dovecot.Account{User: user, Domain: domain}, true
	}
	own, _, whole := l.split(p)
	names := strings.Split(own, "/")
	for i, name := range names {
		if !l.Dirs[i].Read(name, &a) {
			return a, false
		}
	}
	if a.Domain == "" {
		a.Domain = l.Domain
	}
	for i, name := range names {
		if _, can := l.Dirs[i].Expand(a, ""); (can || whole) && !l.Dirs[i].Fits(name, a) {
			return a, false
		}
	}
	return a, true
}

// write is an account's own directory; not ok when the account lacks what the pattern holds, or has what cannot be a name.
func (l *Layout) write(a dovecot.Account) (string, bool) {
	names := make([]string, len(l.Dirs))
	for i, p := range l.Dirs {
		name, ok := p.Expand(a, "")
		if !ok || checkName(name) != nil {
			return "", false
		}
		names[i] = name
	}
	return strings.Join(names, "/"), true
}

// domain is the domain that a path belongs to: what progress and reports are told by.
func (l *Layout) domain(p string) string {
	a, _ := l.read(p)
	return a.Domain
}

// key is what records call an account by its directory: the same name whatever the patterns of both sides are.
func (l *Layout) key(home string) string {
	if !l.Pattern() {
		return home
	}
	a, ok := l.read(home)
	switch {
	case !ok:
		return home
	case a.Domain == "":
		return a.User
	}
	return a.Domain + "/" + a.User
}

// keyed says what the keys are made of: "" for paths.
func (l *Layout) keyed() string {
	switch {
	case !l.Pattern():
		return ""
	case l.tells('d') || l.Domain != "":
		return "addresses"
	}
	return "users"
}

// byDomain says whether the directories of the root are domains.
func (l *Layout) byDomain() bool { return !l.Pattern() || l.Dirs[0].Is('d') }

// lowers says whether the target has directories of domains or users in small letters where the source may have others.
func (o *Options) lowers() bool {
	return o.Lowercase || slices.ContainsFunc(o.TargetLayout.Dirs, dovecot.Pattern.Lowers)
}

// chosen is the selection of the source as the target names paths.
func (o *Options) chosen() *selection {
	s := &selection{layout: o.TargetLayout, domains: slices.Clone(o.Domains), users: slices.Clone(o.Users), exclude: o.Exclude}
	if o.lowers() {
		for _, list := range [][]string{s.domains, s.users} {
			for i, name := range list {
				list[i] = strings.ToLower(name)
			}
		}
	}
	return s
}

func (l *Layout) String() string {
	var names []string
	for _, p := range l.Dirs {
		names = append(names, p.String())
	}
	if l.Mail != "" {
		names = append(names, strings.ReplaceAll(l.Mail, "%", "%%"))
	}
	return strings.Join(names, "/")
}
