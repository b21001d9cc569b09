package recipes_test

import (
	"strings"
	"testing"

	"runner/lab/labtest"
	"runner/lab/proof"
)

// TestWheezyJessieSomeDomains moves one domain of several: its mails are on the new server and go there, while the old server goes on
// with the others.
func TestWheezyJessieSomeDomains(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t, labtest.Options{Name: "somed", Network: "198.18.14.96/27"})
	m := begin(t, l, "wheezy-jessie.lua")
	m.operator("example.org")
	arguments := []string{"--yes", "-p", "domains=example.org", "-p", "watch=3s"}
	out := m.must(arguments...)
	for _, line := range []string{"The old server goes on with example.com, kanzlei.example, verein.example", "The old server still serves example.com"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), line) {
			t.Errorf("nothing says %q:\n%s", line, out)
		}
	}
	var users []string
	for _, u := range l.Users {
		if u.Host == "old" && u.Domain == "example.org" {
			users = append(users, u.Email)
		}
	}
	report, err := proof.Run(t.Context(), l, proof.Options{Users: users, NoDelivery: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, difference := range report.Differences() {
		t.Errorf("not as on the old server: %v", difference)
	}
	old := labtest.Host(t, l, "old")
	if ports := serving(t, old); ports != "25 143 " {
		t.Errorf("the old server serves at %q", ports)
	}
	if rows := labtest.Exec(t, labtest.Host(t, l, "new"), "mysql", "-h127.0.0.1", "-u"+l.DatabaseUser, "-p"+l.DatabasePassword, "-N", l.Database, "-e",
		"SELECT name FROM virtual_domains WHERE name IN ('example.com', 'kanzlei.example', 'verein.example')"); rows != "" {
		t.Errorf("the new server knows domains that stay on the old one: %s", rows)
	}
	if relay := delivered(t, old, "alice@example.com"); relay != "dovecot" {
		t.Errorf("mail for a domain that stays goes to %s", relay)
	}
	if relay := delivered(t, old, "bernd@example.org"); !strings.HasPrefix(relay, "mail-new.") {
		t.Errorf("mail for the domain that moved goes to %s", relay)
	}
	if again := m.must(append(arguments, "--restart")...); !nothingChanged.MatchString(again) {
		t.Errorf("the second run changed something:\n%s", again)
	}
}
