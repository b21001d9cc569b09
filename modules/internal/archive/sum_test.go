package archive

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A line that is written is read again, whatever the name.
func FuzzSumLine(f *testing.F) {
	sum := strings.Repeat("0a", 32)
	for _, name := range []string{"./etc/passwd", "a b", "a\nb", `a\b`, `a\nb`, "a\rb", `\`, "*x", " x"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name == "" || strings.Contains(name, "\x00") {
			return
		}
		line := sumLine(sum, name)
		if strings.Contains(line, "\n") {
			t.Fatalf("more than one line: %q", line)
		}
		gotSum, got, ok := parseSum(line)
		if !ok || gotSum != sum || got != name {
			t.Errorf("%q %q %v, want %q", gotSum, got, ok, name)
		}
	})
}

func FuzzParseSum(f *testing.F) {
	f.Add("sha256sum: a: No such file or directory")
	f.Add(strings.Repeat("0", 64) + " *x")
	f.Fuzz(func(t *testing.T, line string) {
		if sum, name, ok := parseSum(line); ok && (len(sum) != 64 || name == "") {
			t.Errorf("%q: %q %q", line, sum, name)
		}
	})
}

// What sha256sum itself prints is read.
func TestSumOfRealProgram(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a b", "new\nline", `back\slash`, `\n`} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		run := exec.Command("sha256sum", "--", name)
		run.Dir = dir
		out, err := run.Output()
		if err != nil {
			t.Fatal(err)
		}
		if _, got, ok := parseSum(strings.TrimSuffix(string(out), "\n")); !ok || got != name {
			t.Errorf("%q is read as %q %v", out, got, ok)
		}
	}
}
