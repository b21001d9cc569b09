package host_test

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"runner/runtime/host"
	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
)

// require skips a test that lacks something, or fails it where RUNNER_TEST_REQUIRE asks for it.
func require(t testing.TB, word, why string) {
	t.Helper()
	if strings.Contains(os.Getenv("RUNNER_TEST_REQUIRE"), word) {
		t.Fatalf("this test %s", why)
	}
	t.Skipf("SKIPPED: %s", why)
}

func open(t testing.TB, o host.Options) *host.Host {
	t.Helper()
	h := host.Open("here", o)
	t.Cleanup(func() { h.Close() })
	return h
}

func over(t testing.TB, spec transport.Spec) *host.Host {
	t.Helper()
	return open(t, host.Options{Dial: func(ctx context.Context) (transport.Conn, error) {
		return transport.Dial(ctx, spec, transport.Options{})
	}})
}

func server(t testing.TB, o sshtest.Options) *host.Host {
	t.Helper()
	return over(t, sshtest.Start(t, o).Spec())
}

// everywhere runs a test on every kind of host; all of them are this machine.
func everywhere(t *testing.T, test func(*testing.T, *host.Host)) {
	for name, start := range map[string]func(t *testing.T) *host.Host{
		"local": func(t *testing.T) *host.Host { return open(t, host.Options{Local: true}) },
		"local with sftp": func(t *testing.T) *host.Host {
			if _, err := os.Stat("/usr/lib/openssh/sftp-server"); err != nil {
				require(t, "openssh", "needs openssh-sftp-server")
			}
			return open(t, host.Options{Dial: func(context.Context) (transport.Conn, error) { return transport.Local(), nil }})
		},
		"ssh":                   func(t *testing.T) *host.Host { return server(t, sshtest.Options{MaxSessions: 10}) },
		"ssh with two sessions": func(t *testing.T) *host.Host { return server(t, sshtest.Options{MaxSessions: 2}) },
		"OpenSSH":               func(t *testing.T) *host.Host { return over(t, sshtest.OpenSSH(t, "")) },
		"OpenSSH with two sessions": func(t *testing.T) *host.Host {
			return over(t, sshtest.OpenSSH(t, "MaxSessions 2"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

// processes are the ids of the processes of this machine that have a word on their command line, without this one.
func processes(t *testing.T, word string) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, f := range files {
		text, err := os.ReadFile(f)
		id, _ := strconv.Atoi(path.Base(path.Dir(f)))
		if err == nil && strings.Contains(string(text), word) && id != os.Getpid() {
			found = append(found, id)
		}
	}
	return found
}

func running(t *testing.T, word string) int { return len(processes(t, word)) }

// end ends what a test has left running on purpose, with the process group that it is in.
func end(t *testing.T, word string) {
	t.Helper()
	for _, id := range processes(t, word) {
		if group, err := syscall.Getpgid(id); err == nil && group != syscall.Getpgrp() {
			_ = syscall.Kill(-group, syscall.SIGKILL)
		}
	}
}
