package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// releaseVersion is what the test's releases are called.
const releaseVersion = "1.2.3"

// TestRelease builds a release in two folders, one of them a copy of the tree: the bytes are the same, and the Debian package brings the
// program, its manual and its completions.
func TestRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a release")
	}
	tree, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	tool := exec.Command("go", "tool", "-modfile=.ci/release.mod", "nfpm", "--version")
	tool.Dir = tree
	if out, err := tool.CombinedOutput(); err != nil {
		required(t, "release", "the tools of .ci/release.mod: "+string(out))
		t.Skipf("the tools of .ci/release.mod cannot be built here: %v\n%s", err, out)
	}
	dist := buildRelease(t, tree)
	if a, b := sums(t, dist), sums(t, buildRelease(t, copyOfTree(t, tree))); a != b {
		t.Errorf("the same tree in another folder gives other bytes:\n%s\n%s", a, b)
	}
	for _, name := range []string{"runner_1.2.3_linux_amd64", "runner_1.2.3_linux_amd64.cdx.json", "runner_1.2.3_amd64.deb"} {
		if !strings.Contains(sums(t, dist), "  "+name+"\n") {
			t.Errorf("SHA256SUMS lacks %s", name)
		}
	}
	checkBinary(t, filepath.Join(dist, "runner_1.2.3_linux_amd64"))
	checkSBOM(t, filepath.Join(dist, "runner_1.2.3_linux_amd64.cdx.json"), filepath.Join(tree, "go.mod"))
	checkPackage(t, filepath.Join(dist, "runner_1.2.3_amd64.deb"))
}

// buildRelease builds a release of a tree for one platform, and names its folder.
func buildRelease(t *testing.T, tree string) string {
	t.Helper()
	dist := t.TempDir()
	cmd := exec.Command(".ci/release")
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "VERSION=v"+releaseVersion, "TARGETS=linux/amd64", "DIST="+dist, "SOURCE_DATE_EPOCH=1700000000")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build a release: %v\n%s", err, out)
	}
	return dist
}

// copyOfTree is a copy without what was built and without the history.
func copyOfTree(t *testing.T, tree string) string {
	t.Helper()
	to := t.TempDir()
	output(t, "sh", "-c", `cd "$1" && tar --exclude=./.git --exclude=./bin --exclude=./dist -cf - . | tar -C "$2" -xf -`, "sh", tree, to)
	return to
}

func sums(t *testing.T, dist string) string {
	t.Helper()
	output(t, "sh", "-c", `cd "$1" && sha256sum -c --quiet SHA256SUMS`, "sh", dist)
	text, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// checkBinary wants a program that runs on any Linux: no interpreter, so no C library.
func checkBinary(t *testing.T, binary string) {
	t.Helper()
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s needs a dynamic linker", filepath.Base(binary))
		}
	}
	if out := output(t, binary, "--version"); !strings.HasPrefix(out, "runner "+releaseVersion+" (") {
		t.Errorf("--version says %q", out)
	}
}

// checkSBOM wants the modules that go.mod names for the program itself, with their versions.
func checkSBOM(t *testing.T, sbom, mod string) {
	t.Helper()
	list, err := os.ReadFile(sbom)
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := os.ReadFile(mod)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"github.com/yuin/gopher-lua", "golang.org/x/crypto", "github.com/go-sql-driver/mysql", "github.com/spf13/cobra"} {
		_, rest, _ := strings.Cut(string(wanted), "\t"+name+" ")
		version, _, _ := strings.Cut(rest, "\n")
		if version == "" || !strings.Contains(string(list), "pkg:golang/"+name+"@"+version) {
			t.Errorf("the SBOM lacks %s %s", name, version)
		}
	}
}

// checkPackage unpacks the Debian package and looks at what is in it.
func checkPackage(t *testing.T, deb string) {
	t.Helper()
	if got := output(t, "dpkg-deb", "-f", deb, "Package", "Version", "Architecture"); got != "Package: runner\nVersion: 1.2.3\nArchitecture: amd64\n" {
		t.Errorf("the package says\n%s", got)
	}
	root := t.TempDir()
	output(t, "dpkg-deb", "-x", deb, root)
	for name, word := range map[string]string{
		"usr/share/bash-completion/completions/runner":    "__start_runner",
		"usr/share/zsh/vendor-completions/_runner":        "#compdef runner",
		"usr/share/fish/vendor_completions.d/runner.fish": "complete -c runner",
		"usr/share/doc/runner/copyright":                  "Permission is hereby granted",
		"usr/share/doc/runner/guide.md":                   "# ",
	} {
		if text, err := os.ReadFile(filepath.Join(root, name)); err != nil || !strings.Contains(string(text), word) {
			t.Errorf("/%s lacks %q (%v)", name, word, err)
		}
	}
	if got := output(t, "gzip", "-dc", filepath.Join(root, "usr/share/man/man1/runner.1.gz")); !strings.Contains(got, `.TH RUNNER 1 "" "runner `+releaseVersion) {
		t.Errorf("the manual page is\n%.200s", got)
	}
	if out := output(t, filepath.Join(root, "usr/bin/runner"), "doc", "maildir_sync"); !strings.Contains(out, "maildir_sync") {
		t.Errorf("the installed program says %q", out)
	}
}
