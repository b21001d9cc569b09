package dovecot

import "testing"

func TestPlaces(t *testing.T) {
	for want, all := range map[string][]Places{
		"/var/vmail/Example.org/john/Maildir": {
			{Location: "maildir:/var/vmail/%d/%n/Maildir"},
			{Location: "maildir:/var/vmail/%d/%n/Maildir:LAYOUT=++:INDEX=/x"},
			{Location: "maildir:~/Maildir", Home: "/var/vmail/%d/%n"},
			{Path: "~/Maildir", Home: "/var/vmail/%{user | domain}/%{user|username}"},
			{Path: "%{home}/Maildir", Home: "/var/vmail/%{user | domain}/%{user|username}"},
		},
		"/var/vmail/example.org/john": {
			{Location: "maildir:/var/vmail/%Ld/%Ln"},
			{Path: "/var/vmail/%{user | domain | lower}/%{user|username}"},
		},
		"/m/john@Example.org/100%": {{Location: "maildir:/m/%u/100%%"}},
		"/m/j/oh/e/hn/john": { // as Dovecot 2.3.19 and 2.4.1 say
			{Location: "maildir:/m/%1n/%1.2n/%1Ld/%-2.2n/%{username}"},
			{Path: "/m/%{user | substr(0, 1)}/%{user|username|substr(1,2)}/%{user | domain | lower | substr(0, 1)}/%{user | username | substr(-2, 2)}/%{user | username}"},
		},
		"": {
			{}, {Location: "mbox:~/mail:INBOX=/var/mail/%u"}, {Location: "maildir:~/Maildir"}, {Location: "maildir:/var/vmail/%2.26Hn/%n"}, {Location: "maildir:/var/vmail/%0.3n"},
			{Path: "%{home}/Maildir"}, {Path: "/m/%{protocol}/%{user}"}, {Path: "/m/%{user|md5}"}, {Path: "Maildir"}, {Location: "maildir:/x/%"},
			{Location: "maildir:%h/Maildir"},
		},
	} {
		for _, p := range all {
			if got := p.Inbox("john@Example.org"); got != want {
				t.Errorf("%+v: %q, not %q", p, got, want)
			}
		}
	}
}

func TestUserInbox(t *testing.T) {
	for want, u := range map[string]User{
		"/told":                  {Path: "/told", Fields: map[string]string{"mail": "maildir:/other"}},
		"/var/vmail/x/y/Maildir": {Fields: map[string]string{"mail": "maildir:~/Maildir:LAYOUT=fs", "home": "/var/vmail/x/y"}},
		"":                       {Fields: map[string]string{"mail": "mdbox:/x", "home": "/var/vmail/x/y"}},
	} {
		if got := u.Inbox(); got != want {
			t.Errorf("%+v: %q, not %q", u, got, want)
		}
	}
}
