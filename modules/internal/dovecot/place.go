package dovecot

import (
	"regexp"
	"strings"
)

// Places are the settings that say where the mailboxes of a user lie whose lookup says nothing of it.
type Places struct {
	Location string // mail_location, until 2.3: "maildir:/var/vmail/%d/%n/Maildir"
	Path     string // mail_path, since 2.4: "~/Maildir"
	Home     string // mail_home
}

// variable is one of those that such settings are made of (https://doc.dovecot.org, "Config Variables"): %d or %Ld until 2.3,
// %{user | domain | lower} since 2.4.
var variable = regexp.MustCompile(`%\{[^}]*\}|%.?[A-Za-z%]|%`)

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
	known := true
	text = variable.ReplaceAllStringFunc(text, func(v string) string {
		value, ok := valueOf(v, user, home)
		known = known && ok
		return value
	})
	if !known {
		return ""
	}
	return text
}

func valueOf(v, user, home string) (value string, ok bool) {
	name, domain, _ := strings.Cut(user, "@")
	short := map[string]string{"u": user, "n": name, "d": domain, "h": home, "%": "%"}
	if !strings.HasPrefix(v, "%{") {
		letter, lower := strings.CutPrefix(v[1:], "L")
		if value, ok = short[letter]; ok && lower {
			value = strings.ToLower(value)
		}
		return value, ok && (letter != "h" || home != "")
	}
	parts := strings.Split(v[2:len(v)-1], "|")
	switch strings.TrimSpace(parts[0]) {
	case "user":
		value = user
	case "home":
		value, ok = home, home != ""
		if !ok {
			return "", false
		}
	default:
		return "", false
	}
	for _, filter := range parts[1:] {
		switch strings.TrimSpace(filter) {
		case "domain":
			value = domain
		case "username":
			value = name
		case "lower":
			value = strings.ToLower(value)
		default:
			return "", false
		}
	}
	return value, true
}
