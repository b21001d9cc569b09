package recipes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runner/lab/labtest"
)

// TestMergeDomains brings two old servers into a new one that serves a third's domain. A domain that two of them claim stops it
// while all go on.
func TestMergeDomains(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t, labtest.Options{Name: "mergd", Network: "198.18.14.128/27", SecondOld: true})
	m := begin(t, l, "merge-domains.lua")
	m.merges()

	// The second server claims a domain of the first.
	old2 := labtest.Host(t, l, "old2")
	sql := func(statement string) {
		t.Helper()
		args := []string{"mysql", "-uroot"}
		if old2.DatabaseRootPassword != "" {
			args = append(args, "-p"+old2.DatabaseRootPassword)
		}
		labtest.Exec(t, old2, append(args, l.Database, "-e", statement)...)
	}
	sql("INSERT INTO virtual_domains (name) VALUES ('example.org')")
	if out, status := m.run("--yes", "--phase", "check"); status == 0 || !strings.Contains(out, "example.org is on old2 and on old") {
		t.Errorf("a domain on two servers: exit status %d\n%s", status, out)
	}
	sql("DELETE FROM virtual_domains WHERE name = 'example.org'")

	for _, name := range []string{"old", "old2"} {
		if ports := serving(t, labtest.Host(t, l, name)); ports != "25 143 " {
			t.Errorf("%s serves at %q", name, ports)
		}
	}
	m.operator(m.merged()...)
	m.must("--yes", "--restart")
	m.proved()
	m.again()
	m.proved()
}

// TestMergeDomainsUnderLoad: both old servers are used until they stop.
func TestMergeDomainsUnderLoad(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t, labtest.Options{Name: "mergl", Network: "198.18.14.192/27", SecondOld: true, Messages: messagesUnderLoad()})
	m := begin(t, l, "merge-domains.lua")
	m.merges()
	m.operator(m.merged()...)
	m.underLoad([]string{"check", "prepare", "cutover", "watch"})
	m.must("--yes")
	m.again()
}

// merges gives the operator a site with both old servers in the group that is merged.
func (m *move) merges() {
	m.t.Helper()
	text, err := os.ReadFile(m.site)
	if err != nil {
		m.t.Fatal(err)
	}
	m.site = filepath.Join(m.t.TempDir(), "site.lua")
	site := strings.Replace(string(text), "  params = {", "  groups = { olds = { \"old\", \"old2\" } },\n  params = {", 1)
	if err := os.WriteFile(m.site, []byte(site), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// merged are the domains that move.
func (m *move) merged() (all []string) {
	for _, name := range []string{"old", "old2"} {
		all = append(all, labtest.Host(m.t, m.lab, name).Domains...)
	}
	return all
}
