package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runner/lab"
	"runner/lab/labtest"
	"runner/lab/proof"
)

// upAndExit is this test program as runner lab up.
func upAndExit() {
	var o lab.Options
	err := json.Unmarshal([]byte(os.Getenv(upVariable)), &o)
	if err == nil {
		err = lab.Up(context.Background(), o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startUp starts a program that runs Up.
func startUp(t *testing.T, o lab.Options) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), upVariable+"="+string(text))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &out
}

// TestCrash kills runner lab up, or what it started, half-way; down then removes all of it, and the next up works.
func TestCrash(t *testing.T) {
	labtest.Ready(t)
	cache := t.TempDir()
	borrow(t, cache)
	o := lab.Options{Name: "lcras", Network: network27(96), Messages: 60, Cache: cache}
	down := func(t *testing.T) string {
		var said bytes.Buffer
		if err := lab.Down(context.Background(), o, &said); err != nil {
			t.Errorf("down: %v", err)
		}
		return said.String()
	}
	down(t)
	t.Cleanup(func() { down(t) })
	exists := func(pattern string) func() bool {
		return func() bool {
			found, _ := filepath.Glob(pattern)
			return len(found) > 0
		}
	}
	dir := "/var/lib/runner-lab-" + o.Name
	supervised := func(host string) func() bool { return exists(filepath.Join(dir, "hosts", host, "pid.json")) }
	for _, c := range []struct {
		name string
		when func() bool
		kill func(t *testing.T, up *exec.Cmd)
	}{
		{"up while it lays mail down", exists(filepath.Join(cache, "seed-old-*.new")), killUp},
		{"up while it makes the network", exists("/run/netns/runnerlab-" + o.Name + "-dns"), killUp},
		{"up while the first host boots", supervised("dns"), killUp},
		{"up while the last host boots", supervised("new"), killUp},
		{"the supervisor of old while it boots", supervised("old"), func(t *testing.T, up *exec.Cmd) { killSupervisor(t, o, "old") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			up, said := startUp(t, o)
			ended := make(chan error, 1)
			go func() { ended <- up.Wait() }()
			for end := time.Now().Add(2 * time.Minute); !c.when(); time.Sleep(time.Millisecond) {
				select {
				case err := <-ended:
					t.Fatalf("up ended before it could be killed: %v\n%s", err, said)
				default:
				}
				if time.Now().After(end) {
					t.Fatal("the moment for the kill never came")
				}
			}
			c.kill(t, up)
			<-ended
			down(t)
			nothingIsLeft(t, o)
			if said := down(t); said != "no lab \"lcras\" is up\n" {
				t.Errorf("a second down says %q", said)
			}
		})
	}
	if err := lab.Up(t.Context(), o, t.Output()); err != nil {
		t.Fatalf("after all that up fails: %v", err)
	}
	l, err := lab.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	serves(t, l)
	if left, _ := filepath.Glob(filepath.Join(cache, "*.new*")); len(left) > 0 {
		t.Errorf("the cache still has %q", left)
	}
	t.Run("a second seeding gives the same mail", func(t *testing.T) { seedAgain(t, l) })
}

// seedAgain makes the mail of the old server anew and compares what users see, but for UIDVALIDITY, which is the time.
func seedAgain(t *testing.T, l *lab.Lab) {
	before := view(t, l)
	if err := lab.Down(t.Context(), l.Options, t.Output()); err != nil {
		t.Fatal(err)
	}
	names, _ := filepath.Glob(filepath.Join(l.Options.Cache, "seed-old-*"))
	if len(names) == 0 {
		t.Fatal("the cache has no mail of the old server")
	}
	for _, name := range names {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := lab.Up(t.Context(), l.Options, t.Output()); err != nil {
		t.Fatal(err)
	}
	if difference := cmp.Diff(before, view(t, l)); difference != "" {
		t.Error(difference)
	}
}

// view is the mail of every user of the old server.
func view(t *testing.T, l *lab.Lab) map[string]*proof.Account {
	t.Helper()
	out := map[string]*proof.Account{}
	for _, u := range l.UsersOf("old") {
		a, err := proof.ReadAccount(t.Context(), labtest.Host(t, l, "old").Address, u.Email, u.Password)
		if err != nil {
			t.Fatal(err)
		}
		for _, box := range a.Mailboxes {
			box.UIDValidity = 0
		}
		out[u.Email] = a
	}
	return out
}

func killUp(t *testing.T, up *exec.Cmd) {
	if err := up.Process.Kill(); err != nil {
		t.Error(err)
	}
}

// killSupervisor kills the process beside a host: the parent of its PID 1.
func killSupervisor(t *testing.T, o lab.Options, host string) {
	b, err := os.ReadFile(filepath.Join("/var/lib/runner-lab-"+o.Name, "hosts", host, "pid.json"))
	if err != nil {
		t.Fatal(err)
	}
	var p struct{ PID int }
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	parent, err := strconv.Atoi(fields[1])
	if err != nil || parent <= 1 {
		t.Fatalf("process %d has the parent %q", p.PID, fields[1])
	}
	if err := syscall.Kill(parent, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

// borrow lets a cache of a test use the finished layers below the mail of the common one, which TestLab, run before, has made: they
// take a minute.
func borrow(t *testing.T, cache string) {
	t.Helper()
	common := os.Getenv(lab.CacheVariable)
	if common == "" {
		common = lab.DefaultCache
	}
	for _, pattern := range []string{"base-*", "provision-*"} {
		names, _ := filepath.Glob(filepath.Join(common, pattern))
		for _, name := range names {
			if info, err := os.Stat(name); err != nil || !info.IsDir() || strings.Contains(name, ".new") {
				continue
			}
			if err := os.Symlink(name, filepath.Join(cache, filepath.Base(name))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func network27(offset int) string { return fmt.Sprintf("198.18.20.%d/27", offset) }

// traces are what the machine shows of a lab, found without any of its own code.
func traces(o lab.Options) []string {
	var out []string
	add := func(what, pattern string) {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			out = append(out, what+" "+name)
		}
	}
	add("link", "/sys/class/net/runnerlab-"+o.Name)
	add("namespace", "/run/netns/runnerlab-"+o.Name+"-*")
	add("cgroup", "/sys/fs/cgroup/runnerlab-"+o.Name+"-*")
	add("cgroup", "/sys/fs/cgroup/unified/runnerlab-"+o.Name+"-*")
	for _, name := range []string{"hosts", "lab.json", "site.lua", "ssh_config", "known_hosts"} {
		add("file", "/var/lib/runner-lab-"+o.Name+"/"+name)
	}
	for _, pid := range processes(o) {
		out = append(out, "process "+pid)
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "runner-lab-"+o.Name) || strings.Contains(line, "runnerlab-"+o.Name) {
			out = append(out, "mount "+strings.TrimSpace(line))
		}
	}
	addresses, _ := exec.Command("ip", "-o", "addr").Output()
	for line := range strings.Lines(string(addresses)) {
		if strings.Contains(line, "runnerlab-"+o.Name) {
			out = append(out, "address "+strings.TrimSpace(line))
		}
	}
	return out
}

// processes are those whose root is a host of the lab, or that were started as a supervisor in one of its directories.
func processes(o lab.Options) []string {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	var out []string
	for _, dir := range dirs {
		mounts, err := os.ReadFile(filepath.Join(dir, "mountinfo"))
		cgroup, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		first, _, _ := strings.Cut(string(mounts), "\n")
		if err == nil && strings.Contains(first, "/runner-lab-"+o.Name+"/hosts/") || strings.Contains(string(cgroup), "/runnerlab-"+o.Name+"-") {
			out = append(out, filepath.Base(dir))
		}
	}
	return out
}

func nothingIsLeft(t *testing.T, o lab.Options) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left := traces(o)
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("down leaves:\n%s", strings.Join(left, "\n"))
			return
		}
	}
}
