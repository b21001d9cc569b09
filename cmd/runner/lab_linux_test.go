package main_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"runner/lab/labtest"
)

// buildRunner builds the program where every user may run it.
func buildRunner(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "runner-lab-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "runner")
	if out, err := exec.Command("go", "build", "-o", program, "runner/cmd/runner").CombinedOutput(); err != nil {
		t.Fatalf("cannot build runner: %v\n%s", err, out)
	}
	return program
}

// ownNetwork is one in which this machine has an address.
func ownNetwork(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return (&net.IPNet{IP: n.IP.Mask(net.CIDRMask(24, 32)), Mask: net.CIDRMask(24, 32)}).String()
		}
	}
	return "127.0.0.0/8"
}

// TestLabRefuses: what runner lab cannot do it says in one sentence, with status 1, and nothing was changed.
func TestLabRefuses(t *testing.T) {
	if os.Geteuid() != 0 {
		labtest.Need(t, "root", "the test changes to another user")
	}
	program := buildRunner(t)
	bare, apt := t.TempDir(), t.TempDir()
	// An apt-get that installs by linking to what this machine has.
	installer := "#!/bin/sh\nfor p in ip nsenter mmdebstrap; do PATH=/usr/sbin:/usr/bin:/sbin:/bin; ln -sf \"$(command -v $p)\" " + apt + "/$p; done\n"
	if err := os.WriteFile(filepath.Join(apt, "apt-get"), []byte(installer), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "state")
	for _, c := range []struct {
		name   string
		args   string
		path   string // PATH; empty: that of the test
		nobody bool
		want   string // of the message
		others string // of the output before it
	}{
		{"no root: up", "up", "", true, "cannot start a lab: the lab needs root; call it with sudo", ""},
		{"no root: down", "down", "", true, "cannot take the lab down: the lab needs root; call it with sudo", ""},
		{"no root: reset", "reset", "", true, "cannot reset the lab: the lab needs root; call it with sudo", ""},
		{"no Debian", "up", bare, false, "cannot start a lab on this machine: it needs Debian, or a system with apt and mmdebstrap", ""},
		{"no Debian: --install", "up --install", bare, false, "it needs Debian", ""},
		{"missing packages", "up", apt, false, "this machine lacks iproute2, util-linux, mmdebstrap; install it with: apt-get install --yes --no-install-recommends iproute2 util-linux mmdebstrap (or call runner lab up --install)", ""},
		{"--install", "up --install --network " + ownNetwork(t), apt, false, "and this machine would not reach it any more; choose another network with --network", "installing iproute2, util-linux, mmdebstrap"},
		{"the machine's own network", "up --network " + ownNetwork(t), "", false, "choose another network with --network", ""},
		{"the mirror's network", "up --network 198.18.22.0/24 --mirror http://198.18.22.7/debian", "", false, "cannot use the network 198.18.22.0/24 for the lab: the package mirror 198.18.22.7 is at 198.18.22.7", ""},
		{"a network that is none", "up --network home", "", false, `cannot use the network "home": it must be an IPv4 network`, ""},
		{"an old suite", "up --old-suite wheezy", "", false, `cannot set up "wheezy" as the old server: the lab knows bullseye`, ""},
		{"a new suite", "up --suite jessie", "", false, `cannot set up "jessie" as the new server: the lab knows bookworm, trixie`, ""},
		{"a long name", "up --name rehearsal", "", false, `cannot name a lab "rehearsal"`, ""},
		{"too many messages", "up --messages 99999999", "", false, "cannot seed 99999999 messages", ""},
		{"a word too many", "up now", "", false, "now", ""},
		{"no lab: status", "status", "", false, "no lab is up; start one with: runner lab up", ""},
		{"no lab: reset", "reset", "", false, "no lab is up; start one with: runner lab up", ""},
		{"no lab: shell", "shell old", "", false, "no lab is up; start one with: runner lab up", ""},
		{"no lab: dns", "dns", "", false, "no lab is up; start one with: runner lab up", ""},
		{"no lab: prove", "prove", "", false, "no lab is up; start one with: runner lab up", ""},
		{"no host", "shell", "", false, "cannot open a shell: no host was given", ""},
		{"no value", "dns set mx example.org", "", false, "a type, a name and a value are needed", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"lab", "--name", "lnone"}
			if !c.nobody {
				args = append(args, "--dir", dir)
			}
			cmd := exec.Command(program, append(args, strings.Fields(c.args)...)...)
			cmd.Env = os.Environ()
			if c.path != "" {
				cmd.Env = append(cmd.Env, "PATH="+c.path)
			}
			if c.nobody {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
				cmd.Dir = "/"
			}
			var out, diag bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &diag
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v, not with status 1\n%s%s", err, &out, &diag)
			}
			first, rest, _ := strings.Cut(strings.TrimSpace(diag.String()), "\n")
			if !strings.HasPrefix(first, "runner: ") || !strings.Contains(first, c.want) {
				t.Errorf("says %q, not %q", first, c.want)
			}
			if rest != "" && !strings.HasPrefix(strings.TrimSpace(rest), "next: ") {
				t.Errorf("says more than one sentence and what to do next:\n%s", &diag)
			}
			if !strings.Contains(out.String(), c.others) {
				t.Errorf("writes %q, not %q", &out, c.others)
			}
		})
	}
	if links, _ := filepath.Glob("/run/netns/runnerlab-lnone*"); len(links) > 0 {
		t.Errorf("a lab that was refused left %q", links)
	}
}
