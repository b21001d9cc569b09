package recipes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runner/lab"
	"runner/lab/labtest"
)

// forwardRecipe forwards one of the old server's domains, or all, or none.
const forwardRecipe = `recipe { name = "forward", hosts = { old = "old", new = "new" }, params = {
  mx = { default = "" }, resolver = { default = "" }, domains = { type = "list", default = {} }, state = { default = "present" } } }
task("Forward", function()
  local to
  if params.state == "present" then to = params.mx end
  postfix.forward { on = hosts.old, to = to, domains = params.domains, state = params.state }
end)
`

// TestForwardSomeDomains: real mails go to the new server for the domain that moved, and to the old mailboxes for the others.
func TestForwardSomeDomains(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t, labtest.Options{Name: "forwd", Network: "198.18.14.64/27"})
	file := filepath.Join(t.TempDir(), "forward.lua")
	if err := os.WriteFile(file, []byte(forwardRecipe), 0o644); err != nil {
		t.Fatal(err)
	}
	m := begin(t, l, file)
	old := labtest.Host(t, l, "old")
	settings := labtest.Exec(t, old, "postconf", "-n")
	m.must("--yes", "-p", "domains=example.org")
	if out := m.must("--yes", "--restart", "-p", "domains=example.org"); !nothingChanged.MatchString(out) {
		t.Errorf("the second run changed something:\n%s", out)
	}
	if relay := delivered(t, old, "bernd@example.org"); !strings.HasPrefix(relay, "mail-new.") {
		t.Errorf("mail for the domain that moved goes to %s", relay)
	}
	if relay := delivered(t, old, "alice@example.com"); relay != "dovecot" {
		t.Errorf("mail for another domain goes to %s", relay)
	}
	m.must("--yes", "--restart", "-p", "state=absent")
	if now := labtest.Exec(t, old, "postconf", "-n"); now != settings {
		t.Errorf("the settings were\n%s\nand are\n%s", settings, now)
	}
	if relay := delivered(t, old, "claudia.meier@example.org"); relay != "dovecot" {
		t.Errorf("after it was taken back mail goes to %s", relay)
	}
}

// delivered sends a mail on a host and returns by which way Postfix tried to deliver it, as its log tells.
func delivered(t *testing.T, h *lab.Host, to string) string {
	t.Helper()
	return strings.TrimSpace(labtest.Exec(t, h, "sh", "-c", `printf 'Subject: a way\n\na way\n' | /usr/sbin/sendmail -f kasse@verein.example "$1" || exit
		for i in $(seq 300); do
			sed -n "s/.* to=<$1>.* relay=\([^,[]*\).*/\1/p" /var/log/mail.log | tail -n 1 | grep . && exit
			sleep 0.1
		done
		tail -n 20 /var/log/mail.log >&2; exit 1`, "sh", to))
}
