package hosttest

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"runner/runtime/host"
)

const story = `
-- facts --
os: debian
version: 7.11
init: sysv
-- programs --
postconf mysql
-- looks postconf -n 'a b' --
soft_bounce = no
-- looks @units postfix --
inactive
-- changes service postfix start --
Starting.
-- after service postfix start --
-- looks @units postfix --
active
-- file /run/postfix.pid 0600 --
12
-- initially --
-- looks false ... --
-- status --
3
-- stderr --
no
-- file /etc/a 0640 0:8 --
one
-- file /etc/bare --
no end
\
-- dir /var/vmail 2770 5000:5000 --
-- symlink /etc/l -> a --
-- hardlink /etc/h -> /etc/a --
-- fails write /etc/full* --
disk full
-- new: file /etc/only-new --
-- new: looks hostname --
new
-- call --
something else
`

func load(t *testing.T) map[string]*Fake {
	t.Helper()
	fakes, rest, err := Load(txtar.Parse([]byte(story)), "old", "new")
	if err != nil {
		t.Fatal(err)
	}
	if len(rest) != 1 || rest[0].Name != "call" {
		t.Fatalf("rest: %v", rest)
	}
	return fakes
}

const units = "systemctl show \"$@\"\nsecond line"

func TestAnswers(t *testing.T) {
	ctx := context.Background()
	f := load(t)["old"].Script("units", units)
	h := f.Host()
	out, err := h.Query(ctx, "postconf", "-n", "a b")
	if err != nil || out.Stdout != "soft_bounce = no\n" {
		t.Errorf("%+v, %v", out, err)
	}
	if out, _ = h.QueryScript(ctx, units, "postfix"); out.Stdout != "inactive\n" {
		t.Errorf("before the start: %+v", out)
	}
	if _, err := h.Query(ctx, "service", "postfix", "start"); err == nil || !strings.Contains(err.Error(), "a view of old ran a command that changes it") {
		t.Errorf("a view that changes: %v", err)
	}
	if w := f.Writes(); w != nil {
		t.Errorf("looking has written: %v", w)
	}
	if _, err := h.Run(ctx, "service", "postfix", "start"); err != nil {
		t.Error(err)
	}
	if out, _ = h.QueryScript(ctx, units, "postfix"); out.Stdout != "active\n" {
		t.Errorf("after the start: %+v", out)
	}
	if got, _ := f.Content("/run/postfix.pid"); got != "12\n" {
		t.Errorf("the pid file: %q", got)
	}
	if !slices.Equal(f.Writes(), []string{"service postfix start"}) {
		t.Errorf("writes: %q", f.Writes())
	}
	var exit *host.ExitError
	if out, err := h.Query(ctx, "false", "x", "y"); !errors.As(err, &exit) || exit.Status != 3 || out.Stderr != "no\n" {
		t.Errorf("%+v, %v", out, err)
	}
	if _, err := h.Query(ctx, "undeclared", "it's"); err == nil || !strings.HasSuffix(err.Error(), `undeclared 'it'\''s'`) {
		t.Errorf("undeclared: %v", err)
	}
	if len(f.Problems()) != 2 {
		t.Errorf("problems: %q", f.Problems())
	}
	if ok, _ := h.Has(ctx, "mysql"); !ok {
		t.Error("mysql is there")
	}
	if ok, _ := h.Has(ctx, "perl"); ok {
		t.Error("perl is not")
	}
	facts, _ := h.Facts(ctx)
	if facts.Major != 7 || facts.Init != host.SysV {
		t.Errorf("%+v", facts)
	}
}

func TestFiles(t *testing.T) {
	ctx := context.Background()
	f := load(t)["old"]
	h := f.Host()
	if data, err := h.ReadFile(ctx, "/etc/l"); err != nil || string(data) != "one\n" {
		t.Errorf("%q, %v", data, err)
	}
	if data, _ := h.ReadFile(ctx, "/etc/bare"); string(data) != "no end" {
		t.Errorf("%q", data)
	}
	i, err := h.Stat(ctx, "/var/vmail")
	if err != nil || i.Mode != fs.ModeDir|fs.ModeSetgid|0o770 || i.UID != 5000 {
		t.Errorf("%+v, %v", i, err)
	}
	_, err = h.ReadFile(ctx, "/etc/none")
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != "cannot open /etc/none: no such file" {
		t.Error(err)
	}
	if w := f.Writes(); w != nil {
		t.Errorf("looking has written: %v", w)
	}
	if err := h.WriteFile(ctx, "/etc/a", []byte("two\n"), host.Attr{Mode: 0o600, UID: -1, GID: 8}); err != nil {
		t.Fatal(err)
	}
	want := []string{"create /etc/.a.runner-*", "write /etc/.a.runner-* (4 bytes)", "chown -1:8 /etc/.a.runner-*", "chmod 0600 /etc/.a.runner-*", "rename /etc/.a.runner-* to /etc/a"}
	if d := cmp.Diff(want, f.Writes()); d != "" {
		t.Error(d)
	}
	if got, _ := f.Content("/etc/h"); got != "one\n" {
		t.Errorf("the other name of the file that was replaced: %q", got)
	}
	if err := h.Files().Remove(ctx, "/var"); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Error(err)
	}
	if err := h.Files().Remove(ctx, "/etc/bare"); err != nil {
		t.Error(err)
	}
	changed := txtar.Format(&txtar.Archive{Files: f.Changed()})
	if d := cmp.Diff("-- file /etc/a 0600 0:8 --\ntwo\n-- absent /etc/bare --\n", string(changed)); d != "" {
		t.Error(d)
	}
	w, err := h.Files().Create(ctx, "/etc/full1", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, syscall.ENOSPC) || err.Error() != "cannot write /etc/full1: disk full" {
		t.Error(err)
	}
}
