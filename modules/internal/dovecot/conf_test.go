package dovecot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const conf23 = `# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf
mail_location = maildir:~/Maildir
plugin {
  imapsieve_mailbox1_before = file:/etc/dovecot/sieve/learn-spam.sieve
  imapsieve_mailbox1_causes = COPY
  imapsieve_mailbox1_name = Junk
  quota = maildir:User quota
  quota_rule2 = Trash:storage=+10%
  sieve = file:~/sieve;active=~/.dovecot.sieve
  sieve_after = /etc/dovecot/sieve-after
  sieve_before2 = ldap:/etc/ldap.conf
  sieve_extensions = +vnd.dovecot.pipe
}
protocol lmtp {
  plugin {
    sieve_before = file:/etc/dovecot/before.sieve;bindir=/var/lib/sieve
  }
}
`

const conf24 = `dovecot_config_version = 2.4.0
namespace inbox {
  mailbox Junk {
    sieve_script learn {
      cause = copy
      path = /etc/dovecot/sieve/learn-spam.sieve
      type = before
    }
  }
}
quota "User quota" {
  driver = maildir
}
sieve_script personal {
  active_path = ~/.dovecot.sieve
  driver = file
  path = ~/sieve
}
sieve_script after {
  path = /etc/dovecot/sieve-after
  type = after
}
sieve_script far {
  driver = ldap
  type = before
}
`

func TestConf(t *testing.T) {
	for name, c := range map[string]struct {
		text             string
		quota            string
		global, personal []Script
	}{
		"2.3": {conf23, "maildir",
			[]Script{{Path: "/etc/dovecot/sieve/learn-spam.sieve"}, {Path: "/etc/dovecot/sieve-after"}, {Path: "/etc/dovecot/before.sieve", Binaries: "/var/lib/sieve"}},
			[]Script{{Path: "~/.dovecot.sieve"}}},
		"2.4": {conf24, "maildir",
			[]Script{{Path: "/etc/dovecot/sieve/learn-spam.sieve"}, {Path: "/etc/dovecot/sieve-after"}}, []Script{{Path: "~/.dovecot.sieve"}}},
		"nothing":      {"", "", nil, []Script{{Path: "~/.dovecot.sieve"}}},
		"2.4's count":  {"quota q {\n  storage_size = 1G\n}\n", "count", nil, []Script{{Path: "~/.dovecot.sieve"}}},
		"unbalanced }": {"}\n}\nplugin {\n  quota2 = dict:x:y\n", "dict", nil, []Script{{Path: "~/.dovecot.sieve"}}},
	} {
		conf := ParseConf(c.text)
		if driver := conf.QuotaDriver(); driver != c.quota {
			t.Errorf("%s: the driver of the quota is %q, not %q", name, driver, c.quota)
		}
		global, personal := conf.Scripts()
		if d := cmp.Diff(c.global, global); d != "" {
			t.Errorf("%s: scripts of all: %s", name, d)
		}
		if d := cmp.Diff(c.personal, personal); d != "" {
			t.Errorf("%s: scripts of users: %s", name, d)
		}
	}
}

func TestScriptOf(t *testing.T) {
	john := User{Name: "john@example.org", Fields: map[string]string{"home": "/var/vmail/example.org/john"}}
	for _, c := range []struct {
		script, want Script
		ok           bool
	}{
		{Script{Path: "~/.dovecot.sieve"}, Script{Path: "/var/vmail/example.org/john/.dovecot.sieve"}, true},
		{Script{Path: "/srv/%d/%Ln.sieve", Binaries: "/var/bin/%{user | domain}"}, Script{Path: "/srv/example.org/john.sieve", Binaries: "/var/bin/example.org"}, true},
		{Script{Path: "relative"}, Script{Path: "relative"}, false},
		{Script{Path: "/srv/%z"}, Script{Path: "/srv/%z"}, false},
	} {
		if got, ok := c.script.Of(john); ok != c.ok || got != c.want {
			t.Errorf("%v: %v %v", c.script, got, ok)
		}
	}
	if _, ok := (Script{Path: "~/x"}).Of(User{Name: "john"}); ok {
		t.Error("a script in the home of a user without one")
	}
}

func TestScriptErrors(t *testing.T) {
	const path = "/etc/dovecot/spam.sieve"
	for text, want := range map[string][]string{
		"spam: line 2: error: unknown test 'headr' (only reported once at first occurrence).\nspam: error: validation failed.\nsievec: Fatal: failed to compile sieve script\n": {
			path + ":2: unknown test 'headr' (only reported once at first occurrence)."},
		"spam: line 1: warning: old.\nother: line 7: error: bad.\n": {path + ": other.sieve:7: bad."},
		"sievec: Fatal: no such user\n":                             {path + ": sievec: Fatal: no such user"},
		"":                                                          nil,
	} {
		if d := cmp.Diff(want, ScriptErrors(path, "spam", text)); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}
