package recipes_test

import (
	"strings"

	"runner/lab/labtest"
)

// patterns lets the new Dovecot look for mailboxes in other places, one after the other: maildir_sync copies to where the same pattern
// leads by its own reckoning, Dovecot says that this is where it looks, and it refuses another one. In the last place Dovecot serves
// what the old server had. setting is what comes before a pattern in Dovecot's configuration.
func (m *move) patterns(setting string, patterns ...string) {
	m.t.Helper()
	new := labtest.Host(m.t, m.lab, "new")
	paths := func(pattern string) string {
		return `from = hosts.old, to = hosts.new, path = "/var/vmail/%d/%n/Maildir", target = "` + pattern + `"`
	}
	other := "/var/vmail/%d/%n/Maildir"
	for _, pattern := range patterns {
		name, _, _ := strings.Cut(setting, " ")
		labtest.Exec(m.t, new, "sed", "-i", "s#^"+name+" = .*#"+setting+pattern+"#", "/etc/dovecot/dovecot.conf")
		labtest.Exec(m.t, new, "doveadm", "reload")
		if said, status := m.step("maildir_sync { "+paths(pattern)+" }", "--check"); status != 0 || !strings.Contains(said, "copy ") {
			m.t.Errorf("copying to %s: exit status %d\n%s", pattern, status, said)
		}
		if said, status := m.step("maildir_sync { "+paths(other)+", full = true }", "--check"); status == 0 {
			m.t.Errorf("copying to %s while Dovecot looks in %s:\n%s", other, pattern, said)
		}
		other = pattern
	}
	if said, status := m.step("maildir_sync { "+paths(other)+" }", "--yes"); status != 0 {
		m.t.Fatalf("copying to %s: exit status %d\n%s", other, status, said)
	}
	said, status := m.step(`dovecot.compare { ` + paths(other) + `, more = true, database = "mailserver", domains = { "` + strings.Join(wheezyDomains, `", "`) + `" } }`)
	if status != 0 || !strings.Contains(said, " are the same") {
		m.t.Errorf("dovecot.compare in %s: exit status %d\n%s", other, status, said)
	}
}
