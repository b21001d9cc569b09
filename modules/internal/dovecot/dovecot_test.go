package dovecot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestClassify(t *testing.T) {
	const hex = "5f4dcc3b5aa765d61d8327deb882cf99"
	for value, want := range map[string]Password{
		hex:                  {Scheme: "PLAIN-MD5", Prefix: "{PLAIN-MD5}"},
		strings.ToUpper(hex): {Scheme: "PLAIN-MD5", Prefix: "{PLAIN-MD5}"},
		"{PLAIN-MD5}" + hex:  {Scheme: "PLAIN-MD5"},
		"{plain-md5}" + hex:  {Scheme: "PLAIN-MD5"},
		"{PLAIN-MD5.B64}X03MO1qnZdYdgyfeuILPmQ==": {Scheme: "PLAIN-MD5.B64"},
		"{PLAIN-MD5}{PLAIN-MD5}" + hex:            {Problem: "two schemes, one after the other"},
		"{PLAIN-MD5}" + hex[:21]:                  {Problem: "no value of PLAIN-MD5: it was cut, or is another hash with a wrong scheme"},
		"{PLAIN-MD5}$6$salt$hash":                 {Problem: "no value of PLAIN-MD5: it was cut, or is another hash with a wrong scheme"},
		"{SHA512-CRYPT}$6$s$h":                    {Scheme: "SHA512-CRYPT"},
		"{CRYPT}$6$s$h":                           {Scheme: "SHA512-CRYPT"},
		"{CRYPT}rqXexS6ZhobKA":                    {Scheme: "DES-CRYPT"},
		"{CRYPT}":                                 {Problem: "a scheme and no value"},
		"$1$saltsalt$qjXMvbEw8oaL.CzflDt":         {Scheme: "MD5-CRYPT", Prefix: "{MD5-CRYPT}"},
		"$6$rounds=5000$s$h":                      {Scheme: "SHA512-CRYPT", Prefix: "{SHA512-CRYPT}"},
		"$2y$05$h":                                {Scheme: "BLF-CRYPT", Prefix: "{BLF-CRYPT}"},
		"$argon2id$v=19$m=65536":                  {Scheme: "ARGON2ID", Prefix: "{ARGON2ID}"},
		"rqXexS6ZhobKA":                           {Problem: "no scheme, and nothing that shows one"},
		"":                                        {Problem: "no password"},
	} {
		if d := cmp.Diff(want, Classify(value, "plain-md5")); d != "" {
			t.Errorf("%s: %s", value, d)
		}
	}
	if p := Classify(hex, "SHA256-CRYPT"); p.Problem != "32 hexadecimal digits without a scheme" {
		t.Errorf("%+v", p)
	}
	for scheme, weak := range map[string]bool{"PLAIN-MD5": true, "PLAIN-MD5.B64": true, "MD5-CRYPT": true, "DES-CRYPT": true, "SHA256-CRYPT": false, "BLF-CRYPT": false, "ARGON2ID": false} {
		if Weak(scheme) != weak {
			t.Errorf("%s is weak: %v", scheme, !weak)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("5f4dcc3b5aa765d61d8327deb882cf99")
	f.Add("{A}$1$x")
	f.Add("$2b$x")
	f.Fuzz(func(t *testing.T, value string) {
		p := Classify(value, "PLAIN-MD5")
		if (p.Scheme == "") != (p.Problem != "") {
			t.Errorf("%q: %+v", value, p)
		}
		// What got its scheme is left alone the second time.
		if again := Classify(p.Prefix+value, ""); p.Prefix != "" && (again.Prefix != "" || again.Scheme != p.Scheme) {
			t.Errorf("%q: %+v, then %+v", value, p, again)
		}
	})
}

func TestParseUsers(t *testing.T) {
	const text = `=== user anna.schmidt@example.org
field	value
uid	5000
gid	5000
home	/var/vmail/example.org/anna.schmidt
mail	maildir:/var/vmail/example.org/anna.schmidt/Maildir
=== path
/var/vmail/example.org/anna.schmidt/Maildir
=== user nobody@example.org
field	value

userdb lookup: user nobody@example.org doesn't exist
=== path
=== user old@example.org
userdb: old@example.org
  uid       : 5000
  home      : /var/vmail/example.org/old
`
	want := []User{
		{Name: "anna.schmidt@example.org", Path: "/var/vmail/example.org/anna.schmidt/Maildir", Fields: map[string]string{
			"uid": "5000", "gid": "5000", "home": "/var/vmail/example.org/anna.schmidt", "mail": "maildir:/var/vmail/example.org/anna.schmidt/Maildir"}},
		{Name: "nobody@example.org", Fields: map[string]string{}, Said: "userdb lookup: user nobody@example.org doesn't exist"},
		{Name: "old@example.org", Fields: map[string]string{"uid": "5000", "home": "/var/vmail/example.org/old"}},
	}
	got := ParseUsers(text)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !got[0].Known() || got[1].Known() || !got[2].Known() {
		t.Error("who is known is wrong")
	}
}
