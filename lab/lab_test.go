package lab_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"runner/lab"
	"runner/lab/labtest"
)

// Networks of the labs of this package's tests.
const (
	network      = "198.18.20.0/27"
	otherNetwork = "198.18.20.64/27"
)

// upVariable lets this test program run Up with the options in it, for tests that kill it.
const upVariable = "LAB_TEST_UP"

func TestMain(m *testing.M) {
	lab.MaybeBootHost()
	if os.Getenv(upVariable) != "" {
		upAndExit()
	}
	labtest.Main(m)
}

// TestLab boots one lab for all that can be looked at in it. The order counts: what changes hosts comes last.
func TestLab(t *testing.T) {
	l := labtest.Open(t, labtest.Options{Name: "ltest", Network: network})
	seeded := photograph(t, l)
	for _, test := range []struct {
		name string
		do   func(*testing.T, *lab.Lab)
	}{
		{"every host serves", serves},
		{"up again changes nothing", upAgain},
		{"old is what Wheezy was", oldShape},
		{"new is what Jessie was", newShape},
		{"nothing gets out", nothingGetsOut},
		{"the name server is authoritative", authoritative},
		{"records change while it runs", recordsChange},
		{"every user logs in", everyUserLogsIn},
		{"mail arrives", mailArrives},
		{"a daemon that is started does not hold its starter", daemonStarted},
		{"a host outlives a power failure", powerFailure},
	} {
		t.Run(test.name, func(t *testing.T) { test.do(t, l) })
	}
	t.Run("reset gives back the seeded state", func(t *testing.T) {
		wreck(t, l)
		labtest.Reset(t, l)
		again := photograph(t, l)
		for _, name := range union(seeded, again) {
			if seeded[name] != again[name] {
				t.Errorf("%s: %q became %q", name, seeded[name], again[name])
			}
		}
	})
	t.Run("down leaves nothing", func(t *testing.T) {
		was := traces(l.Options)
		if len(was) < 10 {
			t.Fatalf("a lab that is up shows only %q: the test looks at the wrong things", was)
		}
		if err := lab.Down(t.Context(), l.Options, t.Output()); err != nil {
			t.Fatal(err)
		}
		nothingIsLeft(t, l.Options)
		var said bytes.Buffer
		if err := lab.Down(t.Context(), l.Options, &said); err != nil {
			t.Errorf("a second down: %v", err)
		}
		if got := said.String(); got != "no lab \"ltest\" is up\n" {
			t.Errorf("a second down says %q", got)
		}
	})
}

func serves(t *testing.T, l *lab.Lab) {
	_, hosts, err := lab.Status(t.Context(), l.Options)
	if err != nil {
		t.Fatal(err)
	}
	if len(hosts) != len(l.Hosts) {
		t.Errorf("%d hosts of %d", len(hosts), len(l.Hosts))
	}
	for _, h := range hosts {
		if h.PID == 0 || len(h.Serving) == 0 {
			t.Errorf("%s is off", h.Host.Name)
		}
		for service, problem := range h.Serving {
			if problem != "" {
				t.Errorf("%s: %s: %s", h.Host.Name, service, problem)
			}
		}
	}
}

func daemonStarted(t *testing.T, l *lab.Lab) {
	old, err := l.Host("old")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := old.Exec(ctx, "sh", "-c", "sleep 60 & echo started")
	if err != nil || string(out) != "started\n" || ctx.Err() != nil {
		t.Errorf("%q, %v, %v", out, err, ctx.Err())
	}
}

func upAgain(t *testing.T, l *lab.Lab) {
	var before, after []int
	for _, h := range l.Hosts {
		before = append(before, h.PID())
	}
	var said bytes.Buffer
	if err := lab.Up(t.Context(), l.Options, &said); err != nil {
		t.Fatal(err)
	}
	for _, h := range l.Hosts {
		after = append(after, h.PID())
	}
	if !slices.Equal(before, after) {
		t.Errorf("the hosts were started again: %v became %v", before, after)
	}
	if !strings.Contains(said.String(), "is up already") || !strings.Contains(said.String(), "hosts = {") {
		t.Errorf("says %q", &said)
	}
	other := l.Options
	other.Messages, other.NewSuite = 121, "trixie"
	err := lab.Up(t.Context(), other, &said)
	if err == nil || !strings.Contains(err.Error(), "--messages is 120, not 121") || !strings.Contains(err.Error(), "runner lab down") {
		t.Errorf("another lab under the same name: %v", err)
	}
}

// expect runs a shell command on a host and compares what it writes.
func expect(t *testing.T, h *lab.Host, command, want string) {
	t.Helper()
	out, err := h.Exec(t.Context(), "sh", "-c", command)
	if got := strings.TrimSpace(string(out)); got != want || err != nil {
		t.Errorf("%s: %s: %q, not %q (%v)", h.Name, command, got, want, err)
	}
}

func oldShape(t *testing.T, l *lab.Lab) {
	h := labtest.Host(t, l, "old")
	sql := "mysql -h127.0.0.1 -u" + l.DatabaseUser + " -p" + l.DatabasePassword + " -NB mailserver -e "
	for _, c := range []struct{ command, want string }{
		{". /etc/os-release; echo $VERSION_CODENAME", "bullseye"},
		{"cat /proc/1/comm", "init"},
		{"command -v systemctl || echo none", "none"},
		{"test -e /run/systemd || echo none", "none"},
		{"service postfix status >/dev/null && service dovecot status >/dev/null && service mysql status >/dev/null && echo run", "run"},
		{"hostname -f", "mail-old.example.net"},
		{sql + "'SHOW COLUMNS FROM virtual_users' | cut -f1,2 | tr '\\t\\n' ' ,'", "id int(11),domain_id int(11),password varchar(32),email varchar(100),"},
		{sql + "\"SELECT COUNT(*) FROM virtual_users WHERE password NOT REGEXP BINARY '^[0-9a-f]{32}$'\"", "0"},
		{sql + "'SELECT COUNT(*) FROM virtual_users'", fmt.Sprint(len(l.UsersOf("old")))},
		{"sed -n 's/^default_pass_scheme = //p' /etc/dovecot/dovecot-sql.conf.ext", "PLAIN-MD5"},
		{"doveconf -h mail_location", "maildir:/var/vmail/%d/%n/Maildir"},
		{"id vmail", "uid=5000(vmail) gid=5000(vmail) groups=5000(vmail)"},
		{"find /var/vmail -mindepth 1 -not -user vmail | wc -l", "0"},
		{"mysql -uroot -e 'SELECT 1' 2>&1 | grep -c 'Access denied'", "1"},
		{"mysql --defaults-file=/etc/mysql/debian.cnf -NBe 'SELECT 1'", "1"},
		{"ls -d /var/vmail/*/ | wc -l", fmt.Sprint(len(h.Domains))},
		{"find /var/vmail -path '*/Maildir/cur/*' | grep -q 'M.*P.*mail-old' && echo there", "there"},
	} {
		expect(t, h, c.command, c.want)
	}
	// Dovecot itself gave the UIDs: its list has the version, a UIDVALIDITY and a next UID beyond gaps.
	lists := labtest.Exec(t, h, "sh", "-c", "head -qn1 /var/vmail/*/*/Maildir/dovecot-uidlist")
	n := 0
	for line := range strings.Lines(lists) {
		n++
		if !regexp.MustCompile(`^3 V[0-9]+ N[0-9]+ G[0-9a-f]{32}\n$`).MatchString(line) {
			t.Errorf("a uidlist begins with %q", line)
		}
	}
	if n == 0 {
		t.Error("no mailbox has a uidlist")
	}
}

func newShape(t *testing.T, l *lab.Lab) {
	h := labtest.Host(t, l, "new")
	for _, c := range []struct{ command, want string }{
		{". /etc/os-release; echo $VERSION_CODENAME", h.Suite},
		{"cat /proc/1/comm", "systemd"},
		{"systemctl is-system-running --wait", "running"},
		{"systemctl --failed --no-legend | wc -l", "0"},
		{"hostname -f", "mail-new.example.net"},
		{"mysql mailserver -NBe 'SELECT name FROM virtual_domains'", "resident.example"},
		{"mysql mailserver -NBe 'SHOW COLUMNS FROM virtual_users' | cut -f1,2 | sed -n 's/^password.//p'", "varchar(150)"},
		{"ls /var/vmail", "resident.example"},
		{"id vmail", "uid=5000(vmail) gid=5000(vmail) groups=5000(vmail)"},
		{"postconf -h soft_bounce", "no"},
	} {
		expect(t, h, c.command, c.want)
	}
}

// nothingGetsOut: no host has a way out of the lab, and no process of it lives in this machine's own network.
func nothingGetsOut(t *testing.T, l *lab.Lab) {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range processes(l.Options) {
		if ns, err := os.Readlink("/proc/" + pid + "/ns/net"); err == nil && ns == own {
			t.Errorf("process %s of the lab is in this machine's own network", pid)
		}
	}
	for _, h := range l.Hosts {
		expect(t, h, "ip -o route | grep -v 'dev eth0 proto kernel scope link' | wc -l", "0")
		expect(t, h, "ip -o route get 192.0.2.1 2>&1 | grep -c unreachable", "1")
		expect(t, h, "ip -o -6 route get 2001:db8::1 2>&1 | grep -c unreachable", "1")
		expect(t, h, "ip -o link | grep -v -e ' lo:' -e ' eth0@' | wc -l", "0")
	}
	link := "/proc/sys/net/ipv4/conf/runnerlab-" + l.Options.Name + "/forwarding"
	if b, err := os.ReadFile(link); err != nil || strings.TrimSpace(string(b)) != "0" {
		t.Errorf("this machine forwards for the lab: %q, %v", b, err)
	}
	// The hosts see each other, and each has names, processes and mounts of its own.
	expect(t, labtest.Host(t, l, "old"), "ping -c1 -W5 mail-new.example.net >/dev/null && echo seen", "seen")
	pids := map[string]bool{}
	for _, h := range l.Hosts {
		for _, ns := range []string{"mnt", "pid", "uts", "ipc", "net"} {
			id, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", h.PID(), ns))
			if err != nil || pids[id] {
				t.Errorf("%s has no %s namespace of its own (%v)", h.Name, ns, err)
			}
			pids[id] = true
		}
	}
}

func powerFailure(t *testing.T, l *lab.Lab) {
	h := labtest.Host(t, l, "old")
	labtest.Exec(t, h, "sh", "-c", "echo kept >/var/lib/kept; sync")
	pid := h.PID()
	if err := h.Kill(); err != nil {
		t.Fatal(err)
	}
	if h.PID() != 0 || h.Root() != "" {
		t.Error("a host that was killed runs")
	}
	if _, err := h.Exec(t.Context(), "true"); err == nil || !strings.Contains(err.Error(), "the host is off") {
		t.Errorf("a program on a host that is off: %v", err)
	}
	if _, hosts, err := lab.Status(t.Context(), l.Options); err != nil {
		t.Error(err)
	} else if i := slices.IndexFunc(hosts, func(s lab.Health) bool { return s.Host.Name == "old" }); hosts[i].PID != 0 {
		t.Error("the status says that the host runs")
	}
	var said bytes.Buffer
	if err := lab.Up(t.Context(), l.Options, &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "starting old\n") || h.PID() == pid || h.PID() == 0 {
		t.Errorf("up does not bring it back: %q", &said)
	}
	expect(t, h, "cat /var/lib/kept", "kept")
	serves(t, l)
}

// union is the sorted set of the keys of both.
func union(a, b map[string]string) []string {
	return slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for _, m := range []map[string]string{a, b} {
			for k := range maps.Keys(m) {
				if !yield(k) {
					return
				}
			}
		}
	}))
}

// identity is what each boot writes again, with a time of its own.
var (
	identity    = regexp.MustCompile(`^etc/(hostname|hosts|machine-id|ssh/ssh_host_.*)$`)
	withoutTime = regexp.MustCompile(` [0-9]+\.[0-9]+ `)
)

// photograph is what must come back with a reset, by host and file: mailboxes, configuration, control database.
func photograph(t *testing.T, l *lab.Lab) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, h := range l.MailHosts() {
		const look = `cd / && find var/vmail etc home root -xdev \( -type f -printf '%p %m %U:%G %s %T@ ' -exec sha256sum {} \; \) \
			-o -printf '%p %m %U:%G %l\n' | grep -v -e ^etc/mtab -e ^etc/resolv.conf -e 'root/.ssh\|home/admin/.ssh' -e '^etc [0-9]' -e '^etc/ssh '`
		for line := range strings.Lines(labtest.Exec(t, h, "sh", "-c", look)) {
			name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			if identity.MatchString(name) {
				rest = withoutTime.ReplaceAllString(rest, "")
			}
			out[h.Name+":/"+name] = rest
		}
		dump := "mysqldump --skip-dump-date mailserver"
		if h.DatabaseRootPassword != "" {
			dump = "mysqldump --defaults-file=/etc/mysql/debian.cnf --skip-dump-date mailserver"
		}
		out[h.Name+":database"] = labtest.Exec(t, h, "sh", "-c", dump+" | sha256sum")
	}
	if len(out) < 500 {
		t.Fatalf("saw only %d files: the test looks at the wrong things", len(out))
	}
	return out
}

// wreck does what a move that went wrong would leave, and worse.
func wreck(t *testing.T, l *lab.Lab) {
	t.Helper()
	old, new := labtest.Host(t, l, "old"), labtest.Host(t, l, "new")
	labtest.Exec(t, old, "sh", "-c", "service dovecot stop; rm -r /var/vmail/example.org; touch /var/vmail/example.com; echo x >/etc/postfix/main.cf; chmod 0777 /var/vmail")
	labtest.Exec(t, new, "sh", "-c", "mysql mailserver -e 'DROP TABLE virtual_aliases'; mkdir /var/vmail/stray; systemctl disable --now postfix 2>/dev/null; rm /etc/dovecot/dovecot.conf")
	if err := l.SetRecords(context.Background(), "mx", "example.org", 5, "nowhere.example.net"); err != nil {
		t.Error(err)
	}
}
