package dovecot

import "strings"

// User is what a user lookup told.
type User struct {
	Name   string
	Fields map[string]string // "uid", "gid", "home", "mail" …
	Path   string            // directory of the INBOX
	Said   string            // why there is no such user, in doveadm's words
}

// Marks of a list of lookups: a line with the user's name, and one before the directory of the INBOX.
const (
	UserMark = "=== user "
	PathMark = "=== path"
)

// ParseUsers reads lookups one after the other, each as doveadm user prints it: a field and its value with a tab between them since
// 2.1, "  uid : 5000" before.
func ParseUsers(text string) []User {
	var users []User
	path := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if name, ok := strings.CutPrefix(line, UserMark); ok {
			users, path = append(users, User{Name: name, Fields: map[string]string{}}), false
			continue
		}
		if len(users) == 0 || strings.TrimSpace(line) == "" {
			continue
		}
		u := &users[len(users)-1]
		field, value, ok := strings.Cut(line, "\t")
		if !ok {
			if field, value, ok = strings.Cut(line, " : "); !ok && line[0] == ' ' {
				field, value, ok = strings.Cut(line, ":")
			}
		}
		switch {
		case line == PathMark:
			path = true
		case path:
			if strings.HasPrefix(line, "/") {
				u.Path = line
			}
		case field == "field" && value == "value":
		case ok:
			u.Fields[strings.TrimSpace(field)] = strings.TrimSpace(value)
		case !strings.HasPrefix(line, "userdb: "):
			u.Said = line
		}
	}
	return users
}

// Known says whether the lookup found the user.
func (u User) Known() bool { return u.Fields["uid"] != "" || u.Fields["home"] != "" }

// Inbox is the directory of the user's INBOX: as doveadm told it, or, before Dovecot 2.1.10, from a mail location in the Maildir format
// that the lookup returned; "" where neither tells.
func (u User) Inbox() string {
	if u.Path != "" {
		return u.Path
	}
	place, ok := strings.CutPrefix(u.Fields["mail"], "maildir:")
	if !ok {
		return ""
	}
	place, _, _ = strings.Cut(place, ":")
	if rest, ok := strings.CutPrefix(place, "~/"); ok && u.Fields["home"] != "" {
		place = u.Fields["home"] + "/" + rest
	}
	if !strings.HasPrefix(place, "/") || strings.Contains(place, "%") {
		return ""
	}
	return place
}
