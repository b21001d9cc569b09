package maildir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every kind of difference is found, also one that a pass does not see: another content of the same size and time.
func TestVerifyTree(t *testing.T) {
	verify := func(w *world) error {
		w.t.Helper()
		r, err := VerifyTree(w.t.Context(), TreeOptions{From: w.from.host().View, To: w.to.host().View, Path: w.src, Target: w.dst, Exclude: []string{"*.tmp"}, Stall: time.Minute})
		must(w.t, err)
		if r.Files != 8 || r.Differences == 0 && r.Hashed != 8 {
			w.t.Errorf("%d files of 8 were compared, and the content of %d", r.Files, r.Hashed)
		}
		return r.Err()
	}
	w := newWorld(t, true)
	website(t, w.src)
	w.sync(nil)
	write(t, filepath.Join(w.dst, "html/cache.tmp"), "is left out", epoch)
	must(t, os.Chtimes(filepath.Join(w.dst, "html"), epoch.Add(48*time.Hour), epoch.Add(48*time.Hour)))
	if err := verify(w); err != nil {
		t.Fatalf("equal trees: %v", err)
	}
	logo := filepath.Join(w.dst, "html/img/logo.png")
	for _, c := range []struct {
		name, want string
		spoil      func() error
	}{
		{"content", `"html/img/logo.png": has another content`, func() error {
			info, err := os.Stat(logo)
			must(t, err)
			must(t, os.WriteFile(logo, []byte(strings.Repeat("x", int(info.Size()))), 0))
			return os.Chtimes(logo, info.ModTime(), info.ModTime())
		}},
		{"size", `"html/img/logo.png": has another size`, func() error { return os.Truncate(logo, 3) }},
		{"mode", `"html/img/logo.png": has another owner, mode or time`, func() error { return os.Chmod(logo, 0o604) }},
		{"missing", `"html/img/logo.png": is missing on new`, func() error { return os.Remove(logo) }},
		{"link", `"html/home": has another`, func() error {
			must(t, os.Remove(filepath.Join(w.dst, "html/home")))
			return os.Symlink("logo.png", filepath.Join(w.dst, "html/home"))
		}},
		{"too many", `"html/evil.php": is on new only`, func() error { return os.WriteFile(filepath.Join(w.dst, "html/evil.php"), nil, 0o644) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			must(t, os.RemoveAll(w.dst))
			w.sync(nil)
			must(t, c.spoil())
			if err := verify(w); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}
