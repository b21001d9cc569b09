// Package labtest gives a test a rehearsal lab of its own: real mail servers that are there when the test begins and gone when
// it ends. A package that uses it boots hosts from its test program, and must let it:
//
//	func TestMain(m *testing.M) { labtest.Main(m) }
//
// Packages are tested side by side, so that each needs a name and a network of its own. 198.18.0.0/15 is reserved for the
// like (RFC 2544).
package labtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"runner/lab"
)

// Options of a test's lab. Name and Network must be set; the rest is as in [lab.Options], but that Messages is 120 by default.
type Options = lab.Options

// DefaultMessages is how many messages the old server of a test has.
const DefaultMessages = 120

// Environment variables.
const (
	// RequireVariable holds words, such as "lab root", of what must not be missing: a test that needs it then fails instead
	// of being skipped.
	RequireVariable = "RUNNER_TEST_REQUIRE"
	// KeepVariable lets the lab of a failed test stay up, to look around in, when it is not empty.
	KeepVariable = "RUNNER_TEST_KEEP_LAB"
)

// Main runs the tests of a package, or becomes a host of a lab where the program was started for that.
func Main(m *testing.M) {
	lab.MaybeBootHost()
	os.Exit(m.Run())
}

// Need skips the test, or fails it when RequireVariable holds the word.
func Need(t testing.TB, word, why string) {
	t.Helper()
	required := strings.FieldsFunc(os.Getenv(RequireVariable), func(r rune) bool { return r == ',' || r == ' ' })
	if slices.Contains(required, word) {
		t.Fatalf("cannot run, and %s holds %q: %s", RequireVariable, word, why)
	}
	t.Skipf("SKIPPED, nothing was tested: %s", why)
}

// Ready skips or fails a test that needs a lab where there can be none: without root, without Debian's tools, in a short run.
func Ready(t testing.TB) {
	t.Helper()
	if len(os.Args) > 1 && os.Args[1] == "lab" {
		t.Fatal("cannot boot a host from this test program: its TestMain must call labtest.Main")
	}
	if testing.Short() {
		t.Skip("SKIPPED, nothing was tested: a lab takes longer than a short run may")
	}
	if os.Geteuid() != 0 {
		Need(t, "lab", "a lab needs root")
	}
	if err := lab.Available(); err != nil {
		Need(t, "lab", err.Error())
	}
}

// Open sets up the lab that the test asks for, freshly booted in the seeded state, and brings it down when the test has
// ended. What an earlier run left under that name is removed first; a run that goes on at the same time is waited for.
func Open(t testing.TB, o Options) *lab.Lab {
	t.Helper()
	Ready(t)
	if o.Name == "" || o.Network == "" || o.Name == lab.DefaultName {
		t.Fatal("cannot open a lab for a test: it needs a name and a network of its own, so that it meets no other one")
	}
	if o.Messages == 0 {
		o.Messages = DefaultMessages
	}
	lock(t, o.Name)
	down := func() {
		if err := lab.Down(context.Background(), o, output{t}); err != nil {
			t.Errorf("cannot bring down the lab %q: %v", o.Name, err)
		}
	}
	down()
	t.Cleanup(func() {
		if t.Failed() && os.Getenv(KeepVariable) != "" {
			t.Logf("the lab stays up: runner lab status --name %s", o.Name)
			return
		}
		down()
	})
	if err := lab.Up(t.Context(), o, output{t}); err != nil {
		t.Fatalf("cannot bring up the lab %q: %v", o.Name, err)
	}
	l, err := lab.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Reset puts hosts back to the seeded state; without names, all of them.
func Reset(t testing.TB, l *lab.Lab, names ...string) {
	t.Helper()
	if err := lab.Reset(t.Context(), l.Options, output{t}, names...); err != nil {
		t.Fatalf("cannot reset the lab: %v", err)
	}
}

// Host is the host of that name.
func Host(t testing.TB, l *lab.Lab, name string) *lab.Host {
	t.Helper()
	h, err := l.Host(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Exec runs a program as root on a host and returns what it writes to standard output; a status other than 0 ends the test.
func Exec(t testing.TB, h *lab.Host, argv ...string) string {
	t.Helper()
	out, err := h.Exec(t.Context(), argv...)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// lock keeps a second run of the same test away until this one has ended.
func lock(t testing.TB, name string) {
	t.Helper()
	file := filepath.Join(os.TempDir(), "runner-labtest-"+name+".lock")
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	for waited := false; ; waited = true {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			t.Fatalf("cannot lock %s: %v", file, err)
		}
		if !waited {
			t.Logf("another run has the lab %q; waiting for it", name)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(fmt.Errorf("cannot get the lab %q: %w", name, context.Cause(t.Context())))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// output writes what the lab says to the log of the test, but for the site.lua that it shows.
type output struct{ t testing.TB }

func (o output) Write(b []byte) (int, error) {
	if text := strings.TrimRight(string(b), "\n"); strings.TrimSpace(text) != "" && !strings.HasPrefix(text, "    ") {
		o.t.Log(text)
	}
	return len(b), nil
}
