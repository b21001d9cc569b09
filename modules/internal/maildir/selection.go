package maildir

import (
	"path"
	"slices"
	"strings"

	"runner/modules/internal/dovecot"
)

// selection is which part of a root a pass is about.
type selection struct {
	layout  Layout
	domains []string // empty: all
	users   []string // "john@example.org", or "john" in any domain; empty: all
	exclude []string // folders, as patterns of path.Match
	inUse   bool     // the side may change while it is listed
	fold    bool     // large and small letters of domains and users are the same
}

// starts are the directories that a listing begins with.
func (s *selection) starts() []string {
	if len(s.domains) == 0 || !s.layout.byDomain() {
		return []string{"."}
	}
	list := make([]string, len(s.domains))
	for i, d := range s.domains {
		list[i] = "./" + d
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// takes says whether a path of the host is part of the selection. What lies beside the directories of accounts is left out as soon as
// domains or users are named that its own directory does not tell.
func (s *selection) takes(p string) bool {
	if len(s.domains) > 0 || len(s.users) > 0 {
		a, ok := s.layout.read(p)
		_, _, whole := s.layout.split(p)
		if !ok || !s.takesAccount(a, whole) {
			return false
		}
	}
	return !s.excluded(p)
}

// takesAccount says whether an account is part of the selection; where not all of it is known, whether it can be.
func (s *selection) takesAccount(a dovecot.Account, whole bool) bool {
	if len(s.domains) > 0 && (a.Domain != "" || whole) && !slices.ContainsFunc(s.domains, s.same(a.Domain)) {
		return false
	}
	return len(s.users) == 0 || a.User == "" && !whole || slices.ContainsFunc(s.users, s.same(a.User)) || slices.ContainsFunc(s.users, s.same(a.String()))
}

// takesKey is takes for what records call an account by.
func (s *selection) takesKey(key string) bool {
	if !s.layout.Pattern() {
		return s.takes(key)
	}
	domain, user, ok := strings.Cut(key, "/")
	if !ok {
		domain, user = "", key
	}
	return s.takesAccount(dovecot.Account{User: user, Domain: domain}, true)
}

func (s *selection) same(a string) func(string) bool {
	return func(b string) bool { return a == b || s.fold && strings.EqualFold(a, b) }
}

// excluded says whether a path is, or lies in, a folder that was excluded. A pattern is compared with the name of each
// directory below the user's, without the leading dot of Maildir++, and with what that name begins with up to each of
// its dots: "Trash" also excludes "Trash.old".
func (s *selection) excluded(p string) bool {
	if len(s.exclude) == 0 {
		return false
	}
	_, rest, _ := s.layout.split(p)
	if rest == "" {
		return false
	}
	for _, part := range strings.Split(rest, "/") {
		folder := strings.TrimPrefix(part, ".")
		for end := 0; end <= len(folder); end++ {
			if end < len(folder) && folder[end] != '.' || end == 0 {
				continue
			}
			for _, pattern := range s.exclude {
				if ok, _ := path.Match(strings.TrimPrefix(pattern, "."), folder[:end]); ok {
					return true
				}
			}
		}
	}
	return false
}
