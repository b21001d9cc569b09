package recipes_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"runner/lab"
	"runner/lab/labtest"
	"runner/modules"
)

// lookers are steps of the modules that change no host, ever, and of some whose steps here have nothing to change. All others are in changers.
var lookers = map[string]string{
	"dns_check":            `dns_check { domains = { "example.org" }, resolver = "RESOLVER" }`,
	"dovecot.accounts":     `dovecot.accounts { on = old, database = "mailserver" }`,
	"dovecot.compare":      `dovecot.compare { from = old, to = new, users = { "bernd@example.org" } }`,
	"facts":                `facts { on = new, programs = { "postfix" } }`,
	"http_check":           `http_check { on = new, url = "http://127.0.0.1:25/" }`,
	"imap_probe":           `imap_probe { address = "NEW", user = "nobody@example.org", password = "x", tls = "none", port = 143 }`,
	"maildir_sync.status":  `maildir_sync.status { on = new }`,
	"maildir_sync.verify":  `maildir_sync.verify { from = old, to = new, content = true, domains = { "verein.example" } }`,
	"mysql.query":          `mysql.query { on = old, database = "mailserver", sql = "SELECT * FROM virtual_users" }`,
	"port_check":           `port_check { on = new, open = { 25 } }`,
	"postfix.queue":        `postfix.queue { on = old }`,
	"postfix.watch":        `postfix.watch { on = new, time = "1s", quiet = "1s" }`,
	"tls_check":            `tls_check { on = new, port = 143, trusted = false }`,
	"tree_sync.verify":     `tree_sync.verify { from = old, to = new, path = "/etc/postfix" }`,
	"wait_for":             `wait_for { on = new, port = 25, wait = "1s" }`,
	"dovecot.thaw":         `dovecot.thaw { on = old } -- it is not frozen`,
	"postfix.thaw":         `postfix.thaw { on = old } -- it is not frozen`,
	"dovecot.quota_recalc": `dovecot.quota_recalc { on = new, users = { "resident@resident.example" } } -- without a quota there is nothing to count`,
	"dovecot.freeze":       `dovecot.freeze { on = new, path = "/var/vmail" } -- it cannot tell before Postfix is frozen`,
	"dovecot.index":        `dovecot.index { on = old, users = { "bernd@example.org" } } -- an index that is up to date stays`,
}

// changers are steps of all other modules that would change a host.
var changers = map[string]string{
	"archive":               `archive { from = old, path = "/root/check.tar.gz", paths = { "/etc/postfix" } }`,
	"command":               `command { on = new, argv = { "touch", "/root/check" } }`,
	"cron":                  `cron { on = new, name = "check", minute = "1", user = "root", job = "touch /root/check" }`,
	"dovecot.passwords":     `dovecot.passwords { on = new, database = "waiting", default_scheme = "PLAIN-MD5" }`,
	"dovecot.sieve":         `dovecot.sieve { on = new, scripts = { "/root/check.sieve" } }`,
	"fetch":                 `fetch { on = old, path = "/etc/postfix/main.cf", target = "HERE/fetched" }`,
	"file":                  `file { on = new, path = "/etc/hosts", line = "192.0.2.1 check" }`,
	"group":                 `group { on = new, name = "check" }`,
	"maildir_sync":          `maildir_sync { from = old, to = new }`,
	"maildir_sync.converge": `maildir_sync.converge { from = old, to = new, ["until"] = "20s" }`,
	"maildir_sync.live":     `maildir_sync.live { on = new }`,
	"mysql.column":          `mysql.column { on = new, database = "mailserver", table = "virtual_users", column = "password", type = "varchar(170) NOT NULL" }`,
	"mysql.copy":            `mysql.copy { from = old, to = new, database = "mailserver", target_database = "checked" }`,
	"mysql.database":        `mysql.database { on = new, name = "checked" }`,
	"mysql.dump":            `mysql.dump { on = old, database = "mailserver", path = "/root/check.sql.gz" }`,
	"mysql.exec":            `mysql.exec { on = new, database = "mailserver", sql = "DELETE FROM virtual_users" }`,
	"mysql.load":            `mysql.load { on = new, database = "checked", path = "/root/check.sql" }`,
	"mysql.merge":           `mysql.merge { on = new, from_database = "waiting", database = "mailserver" }`,
	"mysql.user":            `mysql.user { on = new, name = "check", host = "localhost", password = "x y z 1", grants = { "SELECT ON mailserver.*" } }`,
	"package":               `package { on = new, names = { "rsync" }, state = "purged", allow_removal = true }`,
	"postconf":              `postconf { on = new, set = { soft_bounce = "yes" }, reload = true }`,
	"postfix.flush":         `postfix.flush { on = old }`,
	"postfix.forward":       `postfix.forward { on = old, to = "mail-new.example.net" }`,
	"postfix.freeze":        `postfix.freeze { on = old }`,
	"put":                   `put { on = new, source = "HERE/source", path = "/root/check" }`,
	"service":               `service { on = new, name = "cron", state = "restarted" }`,
	"smtp_probe":            `smtp_probe { on = old, address = "NEW", to = "resident@resident.example" }`,
	"template":              `template { on = new, text = "x", path = "/root/check" }`,
	"tree_sync":             `tree_sync { from = old, to = new, path = "/etc/postfix", target = "/root/check" }`,
	"user":                  `user { on = new, name = "check" }`,
}

// TestCheckModeOfEveryModule runs a step of every module in check mode on the two servers of a lab, most of which would change something, and
// watches all of both hosts: files, databases, queue, accounts and processes stay as they are.
func TestCheckModeOfEveryModule(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t, labtest.Options{Name: "check", Network: "198.18.14.224/27"})
	m := operate(t, l, filepath.Join(t.TempDir(), "all.lua"))
	here := t.TempDir()
	if err := os.WriteFile(filepath.Join(here, "source"), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	old, new := labtest.Host(t, l, "old"), labtest.Host(t, l, "new")
	labtest.Exec(t, new, "sh", "-c", `echo 'CREATE TABLE x (i int);' > /root/check.sql; echo 'require "fileinto"; fileinto "x";' > /root/check.sieve
mysql -e 'CREATE DATABASE waiting; CREATE DATABASE loaded'; mysqldump mailserver | mysql waiting
mysql waiting -e "UPDATE virtual_domains SET name = 'check.example'; UPDATE virtual_users SET password = MD5('x'), email = REPLACE(email, SUBSTRING_INDEX(email, '@', -1), 'check.example'); DELETE FROM virtual_aliases"`)
	// A folder that nobody has opened yet gets its index when Dovecot is asked for it.
	labtest.Exec(t, old, "sh", "-c", `doveadm mailbox status -u bernd@example.org 'messages uidnext' '*' >/dev/null
postconf -e 'defer_transports = dovecot' && postfix reload && sleep 1; echo x | sendmail bernd@example.org; sleep 1`)

	steps := map[string]string{}
	var text strings.Builder
	fmt.Fprintf(&text, "recipe { name = \"all\", hosts = { old = \"one\", new = \"two\" } }\nlocal old, new = hosts.old, hosts.new\n")
	fill := strings.NewReplacer("HERE", here, "NEW", new.Address, "RESOLVER", l.DNS[0], `"checked", path`, `"loaded", path`)
	for _, d := range modules.All() {
		step, ok := lookers[d.Name]
		if !ok {
			step, ok = changers[d.Name]
		}
		if !ok {
			t.Errorf("no step of %s is in the tables of this test", d.Name)
			continue
		}
		steps[d.Name] = step
		fmt.Fprintf(&text, "task(%q, function() %s\nend)\n", d.Name, strings.Replace(fill.Replace(step), "{ ", "{ ignore_errors = true, ", 1))
	}
	if err := os.WriteFile(m.recipe, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	before := map[string]string{"old": whole(t, old), "new": whole(t, new), "here": strings.Join(names(t, here), " ")}
	out, _ := m.run("--check", "--yes", "--json")
	after := map[string]string{"old": whole(t, old), "new": whole(t, new), "here": strings.Join(names(t, here), " ")}
	same(t, "--check", before, after)
	ended := map[string]string{}
	for line := range strings.Lines(out) {
		var e struct{ Event, Task, Module, Status, Error string }
		if json.Unmarshal([]byte(line), &e) == nil && e.Event == "step_end" && e.Module == e.Task {
			ended[e.Module] = e.Status + " " + e.Error
		}
	}
	for name := range steps {
		if _, changes := changers[name]; changes && !strings.HasPrefix(ended[name], "changed") {
			t.Errorf("%s would change something and is told as %q", name, ended[name])
		} else if ended[name] == "" {
			t.Errorf("%s did not run", name)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// whole describes a host: every file but logs, what the database keeps in files, and the state of daemons; every row; every process.
func whole(t *testing.T, h *lab.Host) string {
	t.Helper()
	text := labtest.Exec(t, h, "sh", "-c", `find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /var/log -o -path /var/lib/mysql -o -path /var/lib/dovecot \
  -o -path /var/lib/postfix -o -path /var/spool/postfix/active -o -path /var/spool/postfix/defer -o -path /var/spool/postfix/pid -o -path /var/lib/systemd \) -prune -o \( -type d -printf '%p %m %u %g\n' \) \
  -o -printf '%p %y %s %T@ %m %u %g %l\n' | sort
ps -eo user:20,args | grep -v 'ps -eo\|sshd\|sort\|grep\|sh -c\|kworker\|pickup\|smtpd\|cleanup\|trivial\|bounce\|qmgr\|local \|anvil\|proxymap\|scache\|tlsmgr\|virtual\|pipe -n\|error -n\|retry\|showq\|dovecot/\|^dovenull' | sort`)
	args := ""
	if h.DatabaseRootPassword != "" {
		args = " -p'" + h.DatabaseRootPassword + "'"
	}
	text += labtest.Exec(t, h, "sh", "-c", `mysqldump -uroot`+args+` --all-databases --skip-comments --single-transaction --ignore-table=mysql.innodb_table_stats --ignore-table=mysql.innodb_index_stats; postqueue -p`)
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return line == "" })
	return strings.Join(lines, "\n")
}
