package lab_test

import (
	"fmt"
	"strings"
	"testing"

	"runner/lab"
	"runner/lab/labtest"
	"runner/lab/proof"
)

// TestVariants boots the lab with two old servers as the tutorial for Lenny made them, and with the newest release on the new one.
func TestVariants(t *testing.T) {
	l := labtest.Open(t, labtest.Options{Name: "lvari", Network: otherNetwork, SecondOld: true, NewSuite: "trixie", OldShape: "lenny", Messages: 60})
	serves(t, l)
	new := labtest.Host(t, l, "new")
	expect(t, new, ". /etc/os-release; echo $VERSION_CODENAME", "trixie")
	expect(t, new, "systemctl is-system-running --wait", "running")
	if v := labtest.Exec(t, new, "dovecot", "--version"); !strings.HasPrefix(v, "2.4.") {
		t.Errorf("trixie has Dovecot %s", v)
	}
	old2 := labtest.Host(t, l, "old2")
	expect(t, old2, "cat /proc/1/comm", "init")
	expect(t, old2, "hostname -f", "mail-old2.example.net")
	if len(l.UsersOf("old2")) == 0 {
		t.Error("nobody lives on the second old server")
	}
	lennyShape(t, l)
	for _, u := range l.Users {
		a, err := proof.ReadAccount(t.Context(), labtest.Host(t, l, u.Host).Address, u.Email, u.Password)
		if err != nil {
			t.Errorf("%s: %v", u.Host, err)
		} else if a.Mailboxes["INBOX"] == nil {
			t.Errorf("%s has no INBOX", u.Email)
		}
	}
	// What a move brings: a bare MD5 under its prefix, and mail below the same root.
	labtest.Exec(t, new, "mysql", "mailserver", "-e", `INSERT INTO virtual_domains (name) VALUES ("moved.example");
		INSERT INTO virtual_users (domain_id, email, password) VALUES (LAST_INSERT_ID(), "max@moved.example", CONCAT("{PLAIN-MD5}", MD5("secret")))`)
	if err := send(new.Address+":25", nil, "max@moved.example", "first"); err != nil {
		t.Error(err)
	} else {
		arrives(t, new, "max@moved.example", "INBOX", "first")
	}
	if _, err := proof.ReadAccount(t.Context(), new.Address, "max@moved.example", "secret"); err != nil {
		t.Error(err)
	}
	for _, domain := range old2.Domains {
		if got, _, _ := mx(t, l.DNS[0], domain); got != "mail-old2.example.net." {
			t.Errorf("the MX of %s is %s", domain, got)
		}
	}
}

func lennyShape(t *testing.T, l *lab.Lab) {
	h := labtest.Host(t, l, "old")
	sql := "mysql -h127.0.0.1 -u" + l.DatabaseUser + " -p" + l.DatabasePassword + " -NB mailserver -e "
	for _, c := range []struct{ command, want string }{
		{sql + "'SHOW COLUMNS FROM virtual_users' | cut -f1,2 | tr '\\t\\n' ' ,'", "id int(11),domain_id int(11),user varchar(40),password varchar(32),"},
		{sql + "'SELECT email FROM view_users WHERE BINARY email LIKE BINARY \"Ber%\"'", "Bernd@example.org"},
		{sql + "'SELECT email FROM view_aliases WHERE destination LIKE \"vorstand%\" ORDER BY 1' | tr '\\n' ' '", "@verein.example postmaster@verein.example "},
		{"ls -d /home/vmail/example.org/B* /var/vmail 2>/dev/null || true", "/home/vmail/example.org/Bernd"},
		{"head -qn1 /home/vmail/*/*/Maildir/.Sent/dovecot-uidlist | grep -vc '^1 [0-9]* [0-9]*$' || true", "0"},
		{"find /home/vmail -name 'dovecot.index*' | wc -l", "0"},
		{"cat /home/vmail/*/*/Maildir/subscriptions | grep -c '^V' || true", "0"},
		{"doveconf -h namespace/inbox/prefix", "INBOX."},
	} {
		expect(t, h, c.command, strings.TrimSpace(c.want))
	}
	// Whatever the case of the recipient, it is the mailbox of the one account.
	for i, to := range []string{"bernd@example.org", "Bernd@example.org", "nobody@verein.example"} {
		subject := fmt.Sprintf("to lenny %d", i)
		if err := send(h.Address+":25", nil, to, subject); err != nil {
			t.Errorf("%s: %v", to, err)
			continue
		}
		user := "Bernd@example.org"
		if i == 2 {
			user = "vorstand@verein.example"
		}
		arrives(t, h, user, "INBOX", subject)
	}
	expect(t, h, "ls -d /home/vmail/example.org/bernd 2>/dev/null || echo none", "none")
}
