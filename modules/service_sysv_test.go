package modules

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/host"
	"runner/runtime/module"
)

// sysvMachine is a machine whose /etc/init.d, /etc/rcN.d, /var/run and /var/log are in a folder of the test. Scripts and processes are real.
func sysvMachine(t *testing.T, name, script string) (*host.Host, string) {
	t.Helper()
	root := t.TempDir()
	h, m := newMachine(t)
	m.init = host.SysV
	for _, dir := range []string{"etc/init.d", "etc/rc2.d", "etc/rc3.d", "var/run", "var/log"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	m.rewrite = strings.NewReplacer("/etc/init.d", root+"/etc/init.d", "/etc/rc", root+"/etc/rc", "/etc/inittab", root+"/etc/inittab",
		"/var/run", root+"/var/run", "/var/log", root+"/var/log", "update-rc.d", root+"/update-rc.d")
	m.root = root
	m.files.prefix = map[string]string{"/etc/rc": root + "/etc/rc"}
	script = strings.ReplaceAll(m.rewrite.Replace(script), "ROOT", root)
	if err := os.WriteFile(filepath.Join(root, "etc/init.d", name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return h, root
}

// sleeper copies sleep(1) under a name of its own, so that its processes can be told from others.
func sleeper(t *testing.T, path string) {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(sleep)
	if err == nil {
		err = os.WriteFile(path, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// oldScript is in the manner of Lenny: it knows no status, and what it stops leaves a process behind that does not end by itself.
const oldScript = `#!/bin/sh
NAME=snooze
PIDFILE="/var/run/$NAME.pid"
DAEMON=ROOT/snoozed
case "$1" in
start)
	echo "Starting snooze"
	[ -e ROOT/broken ] && { echo "snooze: cannot read snooze.conf, line 3" >> /var/log/syslog; exit 0; }
	$DAEMON 300 &
	echo $! > $PIDFILE
	;;
stop)
	ROOT/dreamer 300 &
	kill $(cat $PIDFILE) && rm -f $PIDFILE
	;;
restart)
	$0 stop; $0 start
	;;
*)
	echo "Usage: $0 {start|stop|restart}"
	exit 3
	;;
esac
`

func TestServiceOnOldInit(t *testing.T) {
	h, root := sysvMachine(t, "snooze", oldScript)
	sleeper(t, root+"/snoozed")
	sleeper(t, root+"/dreamer")
	ctx := context.Background()
	t.Cleanup(func() {
		left, _ := findProcesses(ctx, h.View, []string{"dreamer", "snoozed", "lingerer"})
		if err := endProcesses(ctx, h, left, map[int]bool{}); err != nil {
			t.Error(err)
		}
	})
	do := func(values map[string]any) outcome {
		t.Helper()
		values["on"], values["name"], values["wait"] = here, "snooze", "20s"
		return step(t, h, "service", values)
	}
	expect := func(r outcome, status module.Status, summaries ...string) {
		t.Helper()
		if r.Err != nil || r.Status != status {
			t.Fatalf("%s: %v", r.Status, r.Err)
		}
		if diff := cmp.Diff(summaries, r.summaries()); diff != "" {
			t.Fatal(diff)
		}
	}
	r := do(map[string]any{"state": "started"})
	expect(r, module.Changed, "start snooze")
	if r.Output["running"] != true || r.Output["pid"] == nil {
		t.Errorf("found %v", r.Output)
	}
	expect(do(map[string]any{"state": "started"}), module.OK)

	gone := []any{"dreamer"}
	stop := map[string]any{"state": "stopped", "processes": gone, "kill_after": "300ms", "pid_file": "/var/run/snooze.pid"}
	if r = do(map[string]any{"state": "reloaded"}); r.Err == nil || !strings.Contains(r.Err.Error(), "knows no reload") {
		t.Fatal(r.Err)
	}
	expect(do(stop), module.Changed, "stop snooze")
	left, err := findProcesses(ctx, h.View, []string{"dreamer", "snoozed"})
	if err != nil || len(left) > 0 {
		t.Errorf("still there after the stop: %v %v", left, err)
	}
	expect(do(stop), module.OK)
	// A service that does not start is told with what it logged.
	if err := os.WriteFile(root+"/broken", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r = do(map[string]any{"state": "restarted"})
	if r.Err == nil || !strings.Contains(r.Err.Error(), "cannot restart snooze on here") || !strings.Contains(r.Err.Error(), "snooze.conf, line 3") {
		t.Error(r.Err)
	}
}

// A stop must not report before the last process is gone, and a deadline must name what is left.
func TestServiceWaitsForProcesses(t *testing.T) {
	const script = "#!/bin/sh\ncase $1 in status) [ -e ROOT/up ] && exit 0; exit 3;; start) touch ROOT/up;; stop) rm ROOT/up; " +
		"(ROOT/lingerer 1 &) ;; esac\n"
	h, root := sysvMachine(t, "linger", script)
	sleeper(t, root+"/lingerer")
	values := map[string]any{"on": here, "name": "linger", "state": "started"}
	if r := step(t, h, "service", values); r.Err != nil {
		t.Fatal(r.Err)
	}
	values["state"], values["processes"] = "stopped", []any{"lingerer"}
	if r := step(t, h, "service", values); r.Err != nil || r.Status != module.Changed {
		t.Fatal(r.Status, r.Err)
	}
	left, err := findProcesses(context.Background(), h.View, []string{"dreamer", "snoozed", "lingerer"})
	if err != nil || len(left) > 0 {
		t.Errorf("still there after the stop: %v %v", left, err)
	}
	cmd := exec.Command(root+"/lingerer", "300")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	values["wait"], values["kill_after"] = "300ms", "1h"
	r := step(t, h, "service", values)
	if r.Err == nil || !strings.Contains(r.Err.Error(), "there is still left: lingerer") {
		t.Error(r.Err)
	}
}

// Of a service nothing of which can be seen nothing is claimed.
func TestServiceOfWhichNothingIsKnown(t *testing.T) {
	h, root := sysvMachine(t, "odd", "#!/bin/sh\necho \"Usage: $0 {start|status|stop}\"; exit 0\n")
	values := map[string]any{"on": here, "name": "odd", "state": "started"}
	r := step(t, h, "service", values)
	if r.Err == nil || !strings.Contains(r.Err.Error(), "cannot tell whether odd runs on here") {
		t.Fatal(r.Err)
	}
	values["pid_file"] = root + "/odd.pid"
	if r = stepIn(t, context.Background(), h, "service", values, true); r.Err != nil || r.Status != module.Changed {
		t.Errorf("%s %v", r.Status, r.Err)
	}
}

func TestServiceAtBootOfOldInit(t *testing.T) {
	h, root := sysvMachine(t, "snooze", "#!/bin/sh\ncase $1 in status) exit 3;; esac\n")
	for _, link := range []string{"/etc/rc2.d/S20snooze", "/etc/rc3.d/S20snooze"} {
		if err := os.Symlink("../init.d/snooze", root+link); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range []struct {
		enabled bool
		status  module.Status
		link    string
	}{{true, module.OK, "S20snooze"}, {false, module.Changed, "K80snooze"}, {false, module.OK, "K80snooze"}, {true, module.Changed, "S20snooze"}} {
		r := step(t, h, "service", map[string]any{"on": here, "name": "snooze", "enabled": c.enabled})
		if r.Err != nil || r.Status != c.status {
			t.Fatalf("%d: %s %v", i, r.Status, r.Err)
		}
		for _, level := range []string{"2", "3"} {
			if _, err := os.Lstat(root + "/etc/rc" + level + ".d/" + c.link); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		}
	}
}

func TestUnknownServiceOfOldInit(t *testing.T) {
	h, _ := sysvMachine(t, "mysql", "#!/bin/sh\n")
	r := step(t, h, "service", map[string]any{"on": here, "name": "mariadb", "state": "started"})
	if r.Err == nil || !strings.Contains(r.Err.Error(), "did you mean mysql?") {
		t.Error(r.Err)
	}
}

func TestServiceStopsPromptly(t *testing.T) {
	h, root := sysvMachine(t, "slow", "#!/bin/sh\ncase $1 in status) [ -e ROOT/up ] && exit 0; exit 3;; esac\n")
	if err := os.WriteFile(root+"/up", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(300*time.Millisecond, func() { cancel(context.Canceled) })
	r := stepIn(t, ctx, h, "service", map[string]any{"on": here, "name": "slow", "state": "stopped", "wait": "10m"}, false)
	if r.Err == nil {
		t.Error("a cancelled stop did not fail")
	}
}

// anewScript starts its program anew when it is to reload, as sshd does on SIGHUP: for a moment there is no process and no PID file.
const anewScript = `#!/bin/sh
PIDFILE="/var/run/doze.pid"
case "$1" in
start)
	ROOT/dozed 300 &
	echo $! > $PIDFILE
	;;
stop)
	kill $(cat $PIDFILE) && rm -f $PIDFILE
	;;
reload)
	$0 stop
	(sleep 0.4; $0 start) > /dev/null 2>&1 &
	;;
status)
	[ -e $PIDFILE ] && kill -0 $(cat $PIDFILE) || { echo "dozed is not running"; exit 3; }
	;;
esac
`

func TestServiceThatReloadsByStartingAnew(t *testing.T) {
	h, root := sysvMachine(t, "doze", anewScript)
	sleeper(t, root+"/dozed")
	ctx := context.Background()
	t.Cleanup(func() {
		left, _ := findProcesses(ctx, h.View, []string{"dozed"})
		if err := endProcesses(ctx, h, left, map[int]bool{}); err != nil {
			t.Error(err)
		}
	})
	for _, state := range []string{"started", "reloaded", "started"} {
		r := step(t, h, "service", map[string]any{"on": here, "name": "doze", "wait": "20s", "state": state})
		if r.Err != nil {
			t.Fatalf("%s: %v", state, r.Err)
		}
	}
}
