package lab_test

import (
	"strings"
	"testing"

	"runner/lab/labtest"
	"runner/lab/proof"
)

// TestVariants boots the lab with a second old server and with the newest release on the new one.
func TestVariants(t *testing.T) {
	l := labtest.Open(t, labtest.Options{Name: "lvari", Network: otherNetwork, SecondOld: true, NewSuite: "trixie", Messages: 60})
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
	for _, u := range append(l.UsersOf("old2"), l.UsersOf("new")...) {
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
