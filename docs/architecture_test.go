package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFiveSteps adds the module of the architecture in a copy of the tree.
func TestFiveSteps(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED, nothing was tested: a copy of the tree is compiled, which takes longer than a short run may")
	}
	d, err := readDocument("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	tree := copyOfTree(t)
	const list, example = "modules/modules.go", "modules/testdata/sysctl/set.txtar"
	steps := 0
	for _, b := range d.blocks {
		step, ok := b.notes["step"]
		if !ok {
			continue
		}
		steps++
		switch path := filepath.Join(tree, step); step {
		case list:
			const before = "\tslices.SortFunc("
			replace(t, path, before, b.text()+before)
		case "run":
			for _, c := range b.commands() {
				shell := exec.Command("sh", "-c", c.text)
				shell.Dir = tree
				if out, err := shell.CombinedOutput(); err != nil {
					t.Fatalf("%s: %s: %v\n%s", c.at(), c.text, err, out)
				}
			}
		case "added":
			text, err := os.ReadFile(filepath.Join(tree, example))
			if err != nil || !strings.HasSuffix(string(text), b.text()) {
				t.Errorf("%s: the case ends otherwise (%v):\n%s", b.at(), err, text)
			}
		default:
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(b.text()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if steps != 5 {
		t.Errorf("%d blocks were used, not 5", steps)
	}
	doc := exec.Command("go", "run", "./cmd/runner", "doc", "sysctl")
	doc.Dir = tree
	if out, err := doc.CombinedOutput(); err != nil || !strings.Contains(string(out), "Host whose kernel it is.") {
		t.Errorf("runner doc sysctl: %v\n%s", err, out)
	}
}

func replace(t *testing.T, path, old, by string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), old) != 1 {
		t.Fatalf("%s does not have %q once", path, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, by, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func copyOfTree(t *testing.T) string {
	t.Helper()
	tree := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "cmd", "lab", "modules", "recipes", "runtime"} {
		if out, err := exec.Command("cp", "-r", filepath.Join("..", name), tree).CombinedOutput(); err != nil {
			t.Fatalf("cannot copy the tree: %v\n%s", err, out)
		}
	}
	return tree
}

// TestLibraries sees to it that the architecture gives a reason for each library, and for none that is not there.
func TestLibraries(t *testing.T) {
	gomod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ").FindAllStringSubmatch(string(page), -1) {
		named[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^(?:\t|tool )(\S+)(?: v\S+)?$`).FindAllStringSubmatch(string(gomod), -1) {
		name := strings.TrimSuffix(strings.TrimPrefix(m[1], "github.com/"), "/cmd/staticcheck")
		if !named[name] {
			t.Errorf("architecture.md gives no reason for %s", name)
		}
		delete(named, name)
	}
	for name := range named {
		t.Errorf("architecture.md gives a reason for %s, which go.mod does not have", name)
	}
}
