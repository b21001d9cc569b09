package dovecot

import "strings"

// Places are the settings that say where the mailboxes of a user lie whose lookup says nothing of it.
type Places struct {
	Location string // mail_location, until 2.3: "maildir:/var/vmail/%d/%n/Maildir"
	Path     string // mail_path, since 2.4: "~/Maildir"
	Home     string // mail_home
}

// Inbox is the directory of a user's INBOX; "" where the settings do not tell it.
func (p Places) Inbox(user string) string {
	place := p.Path
	if place == "" {
		location, ok := strings.CutPrefix(p.Location, "maildir:")
		if !ok {
			return ""
		}
		place, _, _ = strings.Cut(location, ":")
	}
	home := expand(p.Home, user, "")
	if rest, ok := strings.CutPrefix(place, "~/"); ok {
		place = "%h/" + rest
	}
	if place = expand(place, user, home); !strings.HasPrefix(place, "/") {
		return ""
	}
	return place
}

// expand replaces the variables of a setting; "" when it holds others than of the user.
func expand(text, user, home string) string {
	p, err := ParsePattern(text)
	if err != nil {
		return ""
	}
	text, _ = p.Expand(ParseAccount(user), home)
	return text
}
