package recipes_test

import (
	"strings"
	"testing"

	"runner/lab/labtest"
)

// TestLennyJessie moves a server of Lenny's shape: local parts and domains apart, capitals in names, control files of Dovecot 1.0.
func TestLennyJessie(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t, labtest.Options{Name: "lenny", Network: "198.18.14.0/27", OldShape: "lenny"})
	m := begin(t, l, "lenny-jessie.lua")
	if out := m.must("--check", "--yes"); !strings.Contains(out, "would change") {
		t.Errorf("--check says:\n%s", out)
	}
	if out := m.must("--yes", "--phase", "check"); !strings.Contains(out, "Mail programs know the folders as INBOX.Sent") {
		t.Errorf("nothing is said of the prefix INBOX.:\n%s", out)
	}
	m.operator(wheezyDomains...)
	m.must("--yes", "-p", "watch=3s")
	m.proved()
	m.again()
	m.proved()
}

// TestLennyJessieUnderLoad: as the stock recipe, with the tables, control files and mail programs of Lenny's time.
func TestLennyJessieUnderLoad(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t, labtest.Options{Name: "lennl", Network: "198.18.14.160/27", OldShape: "lenny", Messages: messagesUnderLoad()})
	m := begin(t, l, "lenny-jessie.lua")
	m.operator(wheezyDomains...)
	m.underLoad([]string{"check", "prepare", "rehearse", "cutover", "watch"}, "-p", "watch=3s")
	m.must("--yes", "-p", "watch=3s")
	m.again()
}

// TestLennyJessieOfAnotherShape: the shape is found by looking at the tables, whatever the server is called.
func TestLennyJessieOfAnotherShape(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t, labtest.Options{Name: "lenn2", Network: "198.18.14.32/27"})
	m := begin(t, l, "lenny-jessie.lua")
	if out, status := m.run("--yes"); status == 0 || !strings.Contains(out, "not Lenny's user and domain_id") {
		t.Errorf("a server of Wheezy's shape: exit status %d\n%s", status, out)
	}
}
