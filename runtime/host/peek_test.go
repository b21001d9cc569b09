package host_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/host"
	"runner/runtime/transport/sshtest"
)

// TestPeek: what comes in one round trip is what Lstat and ReadFile say, whatever is at the path, and by whichever way.
func TestPeek(t *testing.T) {
	everywhere(t, peeks)
	t.Run("far", func(t *testing.T) {
		t.Parallel()
		peeks(t, over(t, sshtest.Far(t, sshtest.OpenSSH(t, ""), time.Millisecond, 0)))
	})
}

func peeks(t *testing.T, h *host.Host) {
	dir := t.TempDir()
	at := func(name string) string { return path.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	content := map[string][]byte{
		odd: []byte("no end of line"), "empty": {}, "binary": {0, 1, 0xf7, '\n', '\r', 0xff, 0, '\n'},
		"full": bytes.Repeat([]byte("x"), 64<<10), "large": bytes.Repeat([]byte("0123456789\n"), 20_000),
	}
	for name, data := range content {
		must(os.WriteFile(at(name), data, 0o640))
		must(os.Chtimes(at(name), time.Unix(1234567890, 0), time.Unix(1234567890, 0)))
	}
	must(os.Chmod(at("full"), 0o4711|fs.ModeSetuid))
	must(os.Mkdir(at("d"), 0o700))
	must(os.Chmod(at("d"), 0o1777|fs.ModeSticky))
	must(os.Symlink(odd, at("link")))
	must(os.Symlink("nowhere", at("dangling")))
	must(os.Symlink("round", at("round")))
	must(syscall.Mkfifo(at("pipe"), 0o600))
	for name := range content {
		p, err := h.Peek(t.Context(), at(name))
		if err != nil || p.Read && !bytes.Equal(p.Content, content[name]) || name == "large" && p.Read {
			t.Errorf("%q: %d bytes, %t, %v", name, len(p.Content), p.Read, err)
		}
		if data, err := h.ReadFile(t.Context(), at(name)); err != nil || !bytes.Equal(data, content[name]) {
			t.Errorf("%q: read %d bytes, %v", name, len(data), err)
		}
	}
	if data, err := h.ReadFile(t.Context(), at("link")); err != nil || !bytes.Equal(data, content[odd]) {
		t.Errorf("by a link: %q, %v", data, err)
	}
	if version, err := h.ReadFile(t.Context(), "/proc/version"); err != nil || len(version) == 0 {
		t.Errorf("a file without a size: %q, %v", version, err)
	}
	for _, name := range []string{odd, "empty", "full", "d", "link", "dangling", "round", "pipe", "missing", "missing/too", "empty/x"} {
		p, err := h.Peek(t.Context(), at(name))
		want, wrong := h.Lstat(t.Context(), at(name))
		if (err == nil) != (wrong == nil) || err != nil && errors.Is(err, fs.ErrNotExist) != errors.Is(wrong, fs.ErrNotExist) {
			t.Errorf("%q: %v, and Lstat says %v", name, err, wrong)
		}
		p.Info.Mtime, want.Mtime = p.Info.Mtime.Truncate(time.Second).UTC(), want.Mtime.Truncate(time.Second).UTC()
		if d := cmp.Diff(want, p.Info); err == nil && d != "" {
			t.Errorf("%q (-want +got):\n%s", name, d)
		}
	}
	for _, name := range []string{"missing", "d", "dangling", "round"} {
		if _, err := h.ReadFile(t.Context(), at(name)); err == nil {
			t.Errorf("%q can be read", name)
		}
	}
	must(os.Remove(at("pipe")))
}

// TestPeekTakesOneWay: a step on a far host waits for one answer. Counted are not seconds but sessions: no session of sftp is begun for it.
func TestPeekTakesOneWay(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{MaxSessions: 10})
	h := over(t, sshtest.Far(t, s.Spec(), time.Millisecond, 0))
	name := path.Join(t.TempDir(), "x")
	if err := os.WriteFile(name, []byte("text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p, err := h.Peek(t.Context(), name)
		if err != nil || !p.Read || string(p.Content) != "text\n" {
			t.Fatalf("%+v, %v", p, err)
		}
		if _, err := h.Peek(t.Context(), name+"-missing"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		if data, err := h.ReadFile(t.Context(), name); err != nil || string(data) != "text\n" {
			t.Errorf("%q, %v", data, err)
		}
	}
	if n := s.Sessions.Load(); n != 1 {
		t.Errorf("%d sessions were opened", n)
	}
}
