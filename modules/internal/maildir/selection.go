package maildir

import (
	"path"
	"slices"
	"strings"
)

// selection is which part of a root a pass is about.
type selection struct {
	domains []string // first part of the path; empty: all
	users   []string // "john@example.org", or "john" in any domain; empty: all
	exclude []string // folders, as patterns of path.Match
	inUse   bool     // the side may change while it is listed
}

// starts are the directories that a listing begins with.
func (s *selection) starts() []string {
	if len(s.domains) == 0 {
		return []string{"."}
	}
	list := make([]string, len(s.domains))
	for i, d := range s.domains {
		list[i] = "./" + d
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// takes says whether a path of the host is part of the selection. Domains are directories and compared as such; what
// they hold besides directories of users is left out as soon as users are named.
func (s *selection) takes(p string) bool {
	domain, rest, deep := strings.Cut(p, "/")
	if len(s.domains) > 0 && !slices.Contains(s.domains, domain) {
		return false
	}
	if len(s.users) > 0 && deep {
		user, _, _ := strings.Cut(rest, "/")
		if !slices.Contains(s.users, user) && !slices.Contains(s.users, user+"@"+domain) {
			return false
		}
	}
	return !s.excluded(p)
}

// excluded says whether a path is, or lies in, a folder that was excluded. A pattern is compared with the name of each
// directory below the user's, without the leading dot of Maildir++, and with what that name begins with up to each of
// its dots: "Trash" also excludes "Trash.old".
func (s *selection) excluded(p string) bool {
	if len(s.exclude) == 0 {
		return false
	}
	parts := strings.Split(p, "/")
	if len(parts) < 3 {
		return false
	}
	for _, part := range parts[2:] {
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
