package recipes_test

import (
	"errors"
	"io"
	"net"
	"net/smtp"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"runner/lab"
	"runner/lab/labtest"
	"runner/lab/load"
)

var wheezyDomains = []string{"example.org", "example.com", "kanzlei.example", "verein.example"}

// TestWheezyJessie moves a server as an operator would in a night that does not go smoothly: he looks, copies, freezes the old
// server, loses heart and goes back, and does it the next night.
func TestWheezyJessie(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t, labtest.Options{Name: "e2e", Network: "198.18.7.0/24"})
	m := begin(t, l, "wheezy-jessie.lua")

	before := snapshot(t, l)
	if out := m.must("--check", "--yes"); !strings.Contains(out, "would change") {
		t.Errorf("--check says:\n%s", out)
	}
	same(t, "--check", before, snapshot(t, l))

	m.must("--yes", "--phase", "check")
	same(t, "the phase check", before, snapshot(t, l))
	m.must("--yes", "--phase", "prepare")
	m.elsewhere(`target = "/srv/mail"`, "the mailbox goes to /srv/mail/")
	m.must("--yes", "--phase", "rehearse")
	m.must("--yes", "--only", "Freeze the old server")
	old := labtest.Host(t, l, "old")
	if frozen := serving(t, old); frozen != "" {
		t.Errorf("the old server is frozen and serves at %s", frozen)
	}
	if out, status := m.command("undo", "--yes", "--state", m.state); status != 0 {
		t.Fatalf("undo: exit status %d\n%s", status, out)
	}
	if frozen := serving(t, old); frozen != "25 143 " {
		t.Errorf("after undo the old server serves at %q", frozen)
	}
	if bounce := labtest.Exec(t, labtest.Host(t, l, "new"), "postconf", "-h", "soft_bounce"); bounce != "no\n" {
		t.Errorf("after undo soft_bounce is %q on the new server", bounce)
	}

	m.operator(wheezyDomains...)
	m.must("--yes", "--restart")
	m.proved()
	m.again()
	m.proved()
	m.elsewhere(`path = "/var/vmail/%d/%n/Maildir", target = "/var/vmail2/%d/%n"`, "the mailbox goes to /var/vmail2/")
	m.served()
	m.backAndForth()
	m.patterns("mail_location = maildir:", "/srv/mail/%u", "/srv/mail/%Ld/%1n/%1.2Ln/%n/Maildir", "/srv/mail/%{domain}/%-2.2n-/%{username}", "/srv/mail/x-%d/%1Ln/%n@%d/mail")
}

// backAndForth goes back after the new server has taken over and has got mail of its own, which is on the old one then, as is what reaches the
// new one later. The next night the move succeeds after all.
func (m *move) backAndForth() {
	m.t.Helper()
	old, new := labtest.Host(m.t, m.lab, "old"), labtest.Host(m.t, m.lab, "new")
	m.mail(new, "after the move", new)
	out, status := m.command("undo", "--yes", "--state", m.state)
	if status != 0 || !strings.Contains(out, "The mails that had reached the new server are on the old one.") {
		m.t.Fatalf("undo after the new server has taken over: exit status %d\n%s", status, out)
	}
	if ports := serving(m.t, old); ports != "25 143 " {
		m.t.Errorf("after undo the old server serves at %q", ports)
	}
	m.has(old, "after the move")
	m.mail(new, "after the undo", old)
	m.mail(old, "to the old server", old)
	m.must("--yes", "-p", "watch=3s")
	m.has(new, "after the undo")
	m.proved()
	m.again()
}

// mail gives a mail to one server and waits until it lies in a mailbox of another.
func (m *move) mail(to *lab.Host, subject string, on *lab.Host) {
	m.t.Helper()
	c, err := smtp.Dial(net.JoinHostPort(to.Address, "25")) // without TLS: the certificate has another name
	if err != nil {
		m.t.Fatal(err)
	}
	defer c.Close()
	var text io.WriteCloser
	err = errors.Join(c.Mail("a@example.net"), c.Rcpt("bernd@example.org"))
	if err == nil {
		text, err = c.Data()
	}
	if err == nil {
		_, err = text.Write([]byte("From: a@example.net\r\nSubject: " + subject + "\r\n\r\nHello\r\n"))
		err = errors.Join(err, text.Close())
	}
	if err != nil {
		m.t.Fatalf("a mail to %s: %v", to.Name, err)
	}
	m.has(on, subject)
}

// has waits until a server has a mail in one mailbox, and once.
func (m *move) has(on *lab.Host, subject string) {
	m.t.Helper()
	var found string
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
		found = labtest.Exec(m.t, on, "sh", "-c", `grep -rl --exclude='dovecot*' "^Subject: $1" "$2" || true`, "sh", subject, on.Vmail)
		if strings.Count(found, "\n") == 1 {
			return
		}
	}
	m.t.Errorf("%s has the mail %q at %q", on.Name, subject, found)
}

// elsewhere holds that mailboxes are not copied to where the new Dovecot does not look for them: before it knows the accounts its
// settings tell that, afterwards it is asked.
func (m *move) elsewhere(paths, part string) {
	m.t.Helper()
	said, status := m.step("maildir_sync { from = hosts.old, to = hosts.new, "+paths+" }", "--check")
	if status == 0 || !strings.Contains(said, "all old mails would be missing") || !strings.Contains(said, part) {
		m.t.Errorf("copying with %s: exit status %d\n%s", paths, status, said)
	}
}

// step runs a recipe of one step and returns what runner says, without the ends of its lines.
func (m *move) step(text string, args ...string) (said string, status int) {
	m.t.Helper()
	recipe := filepath.Join(m.t.TempDir(), "step.lua")
	text = "recipe { name = \"step\", hosts = { old = \"had the mail\", new = \"has it\" } }\ntask(\"step\", function() " + text + " end)\n"
	if err := os.WriteFile(recipe, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	out, status := m.command(append(append([]string{"--site", m.site, "--state", filepath.Join(m.t.TempDir(), "state")}, args...), recipe)...)
	return strings.Join(strings.Fields(out), " "), status
}

// served holds what the new Dovecot says of folders and UIDs against the files of the old server, whose Dovecot is stopped.
func (m *move) served() {
	m.t.Helper()
	const compare = `dovecot.compare { from = hosts.old, to = hosts.new, more = true, `
	said, status := m.step(compare + `database = "mailserver", domains = { "` + strings.Join(wheezyDomains, `", "`) + `" } }`)
	if status != 0 || !regexp.MustCompile(`30 accounts, \d+ folders and \d{3,} `).MatchString(said) {
		m.t.Errorf("dovecot.compare: exit status %d\n%s", status, said)
	}
	if said, status := m.step(compare + `users = { "nobody@example.org" } }`); status == 0 || !strings.Contains(said, "nobody@example.org: no folders on new") {
		m.t.Errorf("dovecot.compare of nobody: exit status %d\n%s", status, said)
	}
}

var taskLine = regexp.MustCompile(`(?m)^[ *]  ([A-Z].*?)(?:  \(undo\))?$`)

// TestWheezyJessieInPieces runs every task by itself, and the new server is one of today's: Debian 13 with Dovecot 2.4.
func TestWheezyJessieInPieces(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t, labtest.Options{Name: "e2er", Network: "198.18.8.0/24", NewSuite: "trixie"})
	m := begin(t, l, "wheezy-jessie.lua")
	m.operator(wheezyDomains...)
	// Every task is a run of its own, as if the runner had been killed after each and resumed on another day.
	list := m.must("--list")
	tasks := 0
	for _, line := range taskLine.FindAllStringSubmatch(list, -1) {
		tasks++
		m.must("--yes", "--only", line[1])
	}
	if tasks < 15 {
		t.Fatalf("only %d tasks were found in\n%s", tasks, list)
	}
	m.proved()
	m.again()
	m.patterns("mail_path = ", "/srv/mail/%{user|domain|substr(1, 2)}-/%{user | username | substr(-2, 2)}/%{user}", "/srv/mail/%{user | domain | lower}/%{user|username}/Maildir", "/srv/mail/%{user | domain}/%{user | username | substr(0, 1)}/%{user | lower}")
}

// TestWheezyJessieUnderLoad moves a server while mail arrives and users are at work. Whatever a server confirmed must be so on the
// new server in the end: every mail there once, every message where its user put it and with the flags that he gave it.
func TestWheezyJessieUnderLoad(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t, labtest.Options{Name: "e2el", Network: "198.18.9.0/24", Messages: messagesUnderLoad()})
	m := begin(t, l, "wheezy-jessie.lua")
	m.operator(wheezyDomains...)
	m.underLoad([]string{"check", "prepare", "rehearse", "cutover", "watch"}, "-p", "watch=3s")
	m.must("--yes", "-p", "watch=3s")
	m.again()
}

// underLoad runs phases of the recipe while the servers are used. Users change their passwords while mails are copied, and again when the old server
// stops.
func (m *move) underLoad(phases []string, args ...string) {
	m.t.Helper()
	x, err := load.Start(m.t.Context(), m.lab, load.Options{})
	if err != nil {
		m.t.Fatal(err)
	}
	stop := sync.OnceFunc(x.Stop)
	defer stop()
	passwords := func() {
		if err := x.ChangePasswords(m.t.Context()); err != nil {
			m.t.Error(err)
		}
	}
	m.when(`"event":"step_start".*"task":"Copy the mails"`, passwords)
	m.when(`"event":"step_start".*"task":"Freeze the old servers?"`, passwords)
	m.when(`"event":"task_end".*"task":"Let the new server take over"`, x.SwitchClients)
	m.when(`"event":"step_start".*"task":"Switch the MX records".*"module":"dns_check"`, x.SwitchMX)
	for _, phase := range phases {
		m.must(append([]string{"--yes", "--phase", phase}, args...)...)
	}
	stop()
	r, err := x.Check(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	r.Write(m.t.Output())
	if keep := os.Getenv("KEEP_JOURNAL"); keep != "" {
		_ = os.CopyFS(keep, os.DirFS(m.state))
	}
	if len(r.Problems) > 0 {
		m.t.Errorf("%d differences", len(r.Problems))
	}
	if r.Mails < 50 || r.Actions < 50 || r.Passwords == 0 {
		m.t.Error("there was hardly any load")
	}
}

// messagesUnderLoad is how much mail there is: RUNNER_TEST_MESSAGES, for measuring, or little.
func messagesUnderLoad() int {
	if n, err := strconv.Atoi(os.Getenv("RUNNER_TEST_MESSAGES")); err == nil {
		return n
	}
	return 600
}

// serving tells at which of the ports of a mail server a host takes connections.
func serving(t *testing.T, h *lab.Host) string {
	t.Helper()
	return labtest.Exec(t, h, "bash", "-c", `for p in 25 143; do (exec 3<>/dev/tcp/127.0.0.1/$p) 2>/dev/null && printf "$p "; done; true`)
}

// snapshot describes what must not change on either server while a recipe only looks: files, database rows, settings, processes
// of services.
func snapshot(t *testing.T, l *lab.Lab) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"old", "new"} {
		h := labtest.Host(t, l, name)
		all[name+" files"] = labtest.Exec(t, h, "sh", "-c", `find /etc /var/vmail /var/backups /root /var/spool/postfix/deferred /usr/local -xdev \( -type d -printf '%p %T@ %m %u\n' \) -o -printf '%p %s %T@ %C@ %m %u\n' | sort`)
		all[name+" rows"] = labtest.Exec(t, h, "mysql", "-h127.0.0.1", "-u"+l.DatabaseUser, "-p"+l.DatabasePassword, "-N", l.Database, "-e",
			"SHOW TABLES; CHECKSUM TABLE virtual_users, virtual_domains, virtual_aliases; SHOW CREATE TABLE virtual_users")
		all[name+" services"] = labtest.Exec(t, h, "sh", "-c", `pgrep -x 'master|dovecot' | sort`)
	}
	return all
}

func same(t *testing.T, what string, before, after map[string]string) {
	t.Helper()
	for name := range before {
		if before[name] != after[name] {
			t.Errorf("%s changed the %s", what, name)
			was := map[string]bool{}
			for line := range strings.Lines(before[name]) {
				was[line] = true
			}
			for line := range strings.Lines(after[name]) {
				if !was[line] {
					t.Logf("now: %s", line)
				}
			}
		}
	}
}
