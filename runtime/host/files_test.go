package host_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"runner/runtime/host"
)

// odd is a file name that everything but a NUL byte and a slash is in.
const odd = "-a b\n'\"\\$`*?\xff\xfe é"

func TestFiles(t *testing.T) {
	everywhere(t, func(t *testing.T, h *host.Host) {
		ctx, dir, files := t.Context(), t.TempDir(), h.Files()
		at := func(name string) string { return path.Join(dir, name) }
		big := bytes.Repeat([]byte("0123456789\n"), 500_000)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		w, err := files.Create(ctx, at(odd), 0o640)
		must(err)
		_, err = w.Write(big)
		must(err)
		must(w.Close())
		r, err := h.Open(ctx, at(odd))
		must(err)
		data, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(data, big) {
			t.Errorf("read %d bytes of %d, %v", len(data), len(big), err)
		}
		must(r.Close())

		mtime := time.Date(2009, 2, 14, 0, 31, 30, 0, time.UTC)
		must(files.Chtimes(ctx, at(odd), mtime))
		info, err := h.Stat(ctx, at(odd))
		if err != nil || info.Size != int64(len(big)) || info.Mode != 0o640 || !info.Mtime.Equal(mtime) || info.UID != os.Getuid() || info.Path != at(odd) {
			t.Errorf("%+v, %v", info, err)
		}
		must(files.Chmod(ctx, at(odd), 0o4755|fs.ModeSetuid))
		must(files.Mkdir(ctx, at("d"), 0o1777))
		must(files.Symlink(ctx, odd, at("link")))
		must(files.Link(ctx, at(odd), at("hard")))
		must(files.Rename(ctx, at("hard"), at("d/moved")))
		if target, err := h.Readlink(ctx, at("link")); err != nil || target != odd {
			t.Errorf("the link leads to %q, %v", target, err)
		}
		if info, err := h.Lstat(ctx, at("link")); err != nil || info.Mode.Type() != fs.ModeSymlink {
			t.Errorf("%+v, %v", info, err)
		}
		list, err := h.ReadDir(ctx, dir)
		must(err)
		var names []string
		for _, e := range list {
			names = append(names, path.Base(e.Path))
		}
		if got := strings.Join(names, "|"); got != odd+"|d|link" {
			t.Errorf("listed %q", got)
		}
		if os.Getuid() == 0 {
			must(files.Chown(ctx, at(odd), 65534, -1))
			if info, err := h.Stat(ctx, at(odd)); err != nil || info.UID != 65534 || info.GID != os.Getgid() {
				t.Errorf("%+v, %v", info, err)
			}
		}
		if n, inodes, err := h.FreeSpace(ctx, dir); err != nil || n == 0 || inodes == 0 {
			t.Errorf("free: %d, %d, %v", n, inodes, err)
		}
		must(files.Remove(ctx, at("link")))
		must(files.Remove(ctx, at("d/moved")))
		must(files.Remove(ctx, at("d")))
	})
}

// The errors of files are the same however the host is reached, as far as its sftp server tells.
func TestFileErrors(t *testing.T) {
	everywhere(t, func(t *testing.T, h *host.Host) {
		ctx, dir, files := t.Context(), t.TempDir(), h.Files()
		at := func(name string) string { return path.Join(dir, name) }
		if err := h.WriteFile(ctx, at("file"), []byte("x"), host.Attr{Mode: 0o600, UID: -1, GID: -1}); err != nil {
			t.Fatal(err)
		}
		open := func(p string) error {
			f, err := h.Open(ctx, p)
			if err == nil {
				f.Close()
			}
			return err
		}
		for name, c := range map[string]struct {
			err  error
			is   error
			text string
		}{
			"no such file":         {open(at("none")), fs.ErrNotExist, "cannot open " + at("none") + ": no such file"},
			"no such file, stat":   {second(h.Stat(ctx, at("none"))), fs.ErrNotExist, "cannot look at " + at("none") + ": no such file"},
			"no such directory":    {second(h.ReadDir(ctx, at("none"))), fs.ErrNotExist, "cannot list " + at("none") + ": no such file"},
			"there already":        {second(files.Create(ctx, at("file"), 0o600)), fs.ErrExist, "cannot create " + at("file") + ": it exists already"},
			"directory, there":     {files.Mkdir(ctx, at("file"), 0o700), fs.ErrExist, "cannot make the directory " + at("file") + ": it exists already"},
			"link, there":          {files.Symlink(ctx, "x", at("file")), fs.ErrExist, "cannot make the link " + at("file") + ": it exists already"},
			"hard link, there":     {files.Link(ctx, at("file"), at("file")), fs.ErrExist, "it exists already"},
			"not empty":            {files.Remove(ctx, dir), syscall.ENOTEMPTY, "cannot remove " + dir + ": the directory is not empty"},
			"removed twice":        {files.Remove(ctx, at("none")), fs.ErrNotExist, "cannot remove " + at("none") + ": no such file"},
			"no parent":            {second(files.Create(ctx, at("none/x"), 0o600)), fs.ErrNotExist, "cannot create " + at("none/x") + ": no such file"},
			"renamed from nowhere": {files.Rename(ctx, at("none"), at("x")), fs.ErrNotExist, "cannot rename " + at("none") + " to " + at("x") + ": no such file"},
			"free of nothing":      {third(h.FreeSpace(ctx, at("none"))), fs.ErrNotExist, "no such file"},
		} {
			var f *host.FileError
			if !errors.Is(c.err, c.is) || !errors.As(c.err, &f) || !strings.Contains(c.err.Error(), c.text) {
				t.Errorf("%s: %v", name, c.err)
			}
		}
		gone, cancel := context.WithCancelCause(ctx)
		why := errors.New("enough")
		cancel(why)
		for name, err := range map[string]error{"stat": second(h.Stat(gone, dir)), "open": second(h.Open(gone, at("file"))), "remove": files.Remove(gone, at("file")), "list": second(h.ReadDir(gone, dir))} {
			if !errors.Is(err, why) {
				t.Errorf("%s after the context has ended: %v", name, err)
			}
		}
	})
}

func second[T any](_ T, err error) error   { return err }
func third[T any](_, _ T, err error) error { return err }

// A file is written whole or not at all, and is nobody else's to read before it has its mode.
func TestWriteFile(t *testing.T) {
	everywhere(t, func(t *testing.T, h *host.Host) {
		ctx, dir := t.Context(), t.TempDir()
		name := filepath.Join(dir, odd)
		for _, text := range []string{"first", strings.Repeat("second ", 100_000)} {
			if err := h.WriteFile(ctx, name, []byte(text), host.Attr{Mode: 0o640, UID: -1, GID: -1}); err != nil {
				t.Fatal(err)
			}
			got, err := h.ReadFile(ctx, name)
			if err != nil || string(got) != text {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o640 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		if err := h.WriteFile(ctx, filepath.Join(dir, "none", "x"), []byte("x"), host.Attr{}); err == nil || !strings.Contains(err.Error(), "cannot write "+filepath.Join(dir, "none", "x")+": no such file") {
			t.Errorf("%v", err)
		}
		if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := h.WriteFile(ctx, filepath.Join(dir, "d"), []byte("x"), host.Attr{Mode: 0o600, UID: -1, GID: -1}); err == nil {
			t.Error("a directory was replaced")
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 2 {
			t.Errorf("left behind: %v, %v", entries, err)
		}
	})
}

// A full disk is told as such, with what is free, although sftp says no more than "Failure".
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		require(t, "root", "needs root, to mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=256k,nr_inodes=20"); err != nil {
		require(t, "root", "cannot mount a small file system: "+err.Error())
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	t.Run("hosts", func(t *testing.T) {
		everywhere(t, func(t *testing.T, h *host.Host) {
			name := path.Join(dir, word())
			err := h.WriteFile(t.Context(), name, make([]byte, 1<<20), host.Attr{Mode: 0o600, UID: -1, GID: -1})
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "cannot write "+name+": disk full") {
				t.Errorf("%v", err)
			}
		})
	})
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
