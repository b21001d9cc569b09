package modules

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseShow(t *testing.T) {
	text := "Id=postfix.service\nActiveState=active\nExecStart={ path=/bin/true ; argv[]=/bin/true ; }\n\nId=postfix@-.service\nActiveState=failed\n"
	want := []map[string]string{
		{"Id": "postfix.service", "ActiveState": "active", "ExecStart": "{ path=/bin/true ; argv[]=/bin/true ; }"},
		{"Id": "postfix@-.service", "ActiveState": "failed"},
	}
	if diff := cmp.Diff(want, parseShow(text)); diff != "" {
		t.Error(diff)
	}
}

func TestUnitState(t *testing.T) {
	for _, c := range []struct {
		show          string
		running, busy bool
		problem       string
	}{
		{"ActiveState=active SubState=running MainPID=12", true, false, ""},
		{"ActiveState=active SubState=running Job=77", true, true, ""},
		{"ActiveState=reloading SubState=reload", true, true, ""},
		{"ActiveState=activating SubState=start", false, true, ""},
		{"ActiveState=activating SubState=auto-restart Result=exit-code ExecMainStatus=89", false, false, "exit status 89"},
		{"ActiveState=deactivating SubState=stop-sigterm", false, true, ""},
		{"ActiveState=inactive SubState=dead Result=success", false, false, ""},
		{"ActiveState=failed SubState=failed Result=start-limit-hit", false, false, "start limit"},
		{"ActiveState=failed SubState=failed Result=signal ExecMainStatus=9", false, false, "signal 9"},
		{"ActiveState=failed SubState=failed Result=timeout", false, false, "too long"},
		{"ActiveState=failed SubState=failed Result=watchdog", false, false, "(watchdog)"},
		{"ActiveState=inactive SubState=dead Result=success ConditionResult=no", false, false, "condition"},
	} {
		s := unitState(parseShow(strings.ReplaceAll(c.show, " ", "\n"))[0])
		if s.running != c.running || s.busy != c.busy || !strings.Contains(s.problem, c.problem) || (c.problem == "") != (s.problem == "") {
			t.Errorf("%s: running %v, busy %v, problem %q", c.show, s.running, s.busy, s.problem)
		}
	}
}

// Debian's postfix.service only stands for the instances of Postfix.
func TestUnitParts(t *testing.T) {
	whole := map[string]string{
		"Id": "postfix.service", "Type": "oneshot", "RemainAfterExit": "yes", "ActiveState": "active", "SubState": "exited",
		"ConsistsOf": "postfix@-.service other.service", "Wants": "postfix@-.service network-online.target",
	}
	if diff := cmp.Diff([]string{"postfix@-.service"}, partsOf(whole)); diff != "" {
		t.Error(diff)
	}
	dead := map[string]string{"Id": "postfix@-.service", "ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "ExecMainStatus": "1"}
	if s := joinParts(unitState(whole), []map[string]string{dead}); s.running || s.why() != "postfix@-.service: it ended with exit status 1" {
		t.Errorf("running %v, %s", s.running, s.why())
	}
	stopped := map[string]string{"ActiveState": "inactive", "SubState": "dead"}
	live := map[string]string{"Id": "postfix@-.service", "ActiveState": "active", "SubState": "running", "MainPID": "44"}
	if s := joinParts(unitState(stopped), []map[string]string{live}); !s.running || s.pid != 44 {
		t.Errorf("a part that lives: running %v, pid %d", s.running, s.pid)
	}
	if parts := partsOf(map[string]string{"SubState": "running", "ConsistsOf": "a.service", "Wants": "a.service"}); parts != nil {
		t.Errorf("parts of a unit that runs itself: %v", parts)
	}
}

func TestNearServices(t *testing.T) {
	known := []string{"postfix", "mariadb", "dovecot", "ssh", "php8.2-fpm", "postgresql@15-main"}
	for name, want := range map[string]string{
		"mysql": "mariadb", "postifx": "postfix", "sshd": "ssh", "php-fpm": "php8.2-fpm", "postgresql": "postgresql@15-main", "zabbix": "",
	} {
		if got := strings.Join(nearServices(name, known), " "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestServiceArguments(t *testing.T) {
	for _, c := range []struct {
		values map[string]any
		wrong  string
	}{
		{map[string]any{"name": "a"}, "needs state or enabled"},
		{map[string]any{"name": "-x", "state": "started"}, "no name of a service"},
		{map[string]any{"name": "../x", "state": "started"}, "no name of a service"},
		{map[string]any{"name": "a b", "state": "started"}, "no name of a service"},
		{map[string]any{"name": "a", "state": "running"}, `must be one of "started"`},
		{map[string]any{"name": "a", "state": "stopped", "processes": []any{"/"}}, "neither a program nor a folder"},
	} {
		c.values["on"] = here
		if _, err := decode("service", c.values); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%v: the error is %v, want %q in it", c.values, err, c.wrong)
		}
	}
}

const processExample = `self 300
/proc/1/status:Name:	init
/proc/1/status:State:	S (sleeping)
/proc/1/status:PPid:	0
/proc/2/status:Name:	kthreadd
/proc/2/status:State:	S (sleeping)
/proc/2/status:PPid:	0
/proc/90/status:Name:	sshd
/proc/90/status:State:	S (sleeping)
/proc/90/status:PPid:	1
/proc/300/status:Name:	sh
/proc/300/status:State:	S (sleeping)
/proc/300/status:PPid:	90
/proc/301/status:Name:	grep
/proc/301/status:State:	R (running)
/proc/301/status:PPid:	300
/proc/41/status:Name:	imap
/proc/41/status:State:	S (sleeping)
/proc/41/status:PPid:	40
/proc/42/status:Name:	imap
/proc/42/status:State:	Z (zombie)
/proc/42/status:PPid:	40
/proc/43/status:Name:	imap
/proc/43/status:State:	S (sleeping)
/proc/43/status:PPid:	1
/proc/44/status:Name:	a-very-long-nam
/proc/44/status:State:	S (sleeping)
/proc/44/status:PPid:	1
/proc/45/status:Name:	sshd
/proc/45/status:State:	S (sleeping)
/proc/45/status:PPid:	1
/proc/1/exe /sbin/init
/proc/41/exe /usr/lib/dovecot/imap (deleted)
/proc/43/exe /usr/lib/dovecot/imap
/proc/44/exe /usr/bin/perl
/proc/90/exe /usr/sbin/sshd
/proc/1/ns/pid pid:[1]
/proc/41/ns/pid pid:[1]
/proc/43/ns/pid pid:[7]
/proc/300/ns/pid pid:[1]
`

func TestListProcesses(t *testing.T) {
	for pattern, want := range map[string]string{
		"imap":                    "imap 41", // 42 has ended, 43 is in a container
		"/usr/lib/dovecot/":       "imap 41",
		"/usr/lib/dovecot/imap":   "imap 41",
		"/usr/lib/dove/":          "",
		"a-very-long-name-indeed": "perl 44",
		"sshd":                    "sshd 45", // 90 carries the connection
		"sh":                      "",
		"grep":                    "",
		"init":                    "",
		"kthreadd":                "kthreadd 2",
	} {
		var found []process
		for _, p := range listProcesses(processExample) {
			if p.matches(pattern) {
				found = append(found, p)
			}
		}
		if got := describeProcesses(found); got != want {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
}

func FuzzListProcesses(f *testing.F) {
	f.Add(processExample)
	f.Add("self 1\n/proc/1/status:PPid:\t1\n/proc/1/status:Name:\ta\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range listProcesses(text) {
			if p.name == "" {
				t.Fatalf("a process without a name: %+v", p)
			}
		}
	})
}

func TestInitReport(t *testing.T) {
	for _, c := range []struct {
		text    string
		running bool
		boot    bool
		wrong   bool
	}{
		{"script yes\nstatus 0\nsaid dovecot is running.\nlevel 2\nlink /etc/rc2.d/S20dovecot\n", true, true, false},
		{"script yes\nstatus 3\nsaid dovecot is not running ... failed!\nlevel 2\nlink /etc/rc2.d/K80dovecot\n", false, false, false},
		{"script yes\nstatus 1\nlevel 3\nlink /etc/rc2.d/S20x\n", false, false, false},
		{"script yes\nstatus 3\nsaid Usage: /etc/init.d/x {start|stop}\nwatched /var/run/x.pid\npid 7\n", true, false, false},
		{"script yes\nstatus 0\nsaid Usage: /etc/init.d/x {start|stop}\nwatched /var/run/x.pid\n", false, false, false},
		{"script yes\nstatus 3\nsaid Usage: /etc/init.d/x {start|stop}\n", false, false, true},
		{"script yes\nstatus 4\nsaid unknown\n", false, false, true},
		{"script yes\nlevel 2\n", false, false, true},
		{"script yes\nlevel 2\nlink /etc/rcS.d/S05x\nwatched /var/run/x.pid\npid 8\n", true, true, false},
	} {
		s, err := readInitReport(c.text).state()
		if (err != nil) != c.wrong {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if err == nil && (s.running != c.running || *s.boot != c.boot) {
			t.Errorf("%q: running %v, at boot %v", c.text, s.running, *s.boot)
		}
	}
}
