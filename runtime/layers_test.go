package runtime_test

import (
	"os/exec"
	"strings"
	"testing"
)

// layers is the import law: what each package of the house may import of the house. A package that is not listed may
// not exist. "x/..." covers everything below x.
var layers = []struct {
	pkg string
	may string
}{
	{"runtime", ""},
	{"runtime/transport", "runtime/transport/internal/..."},
	{"runtime/transport/internal/...", "runtime/transport/internal/..."},
	{"runtime/transport/...", "runtime/transport"},
	{"runtime/host", "runtime/transport"},
	{"runtime/host/...", "runtime/transport runtime/host"},
	{"runtime/module", "runtime/host"},
	{"runtime/module/...", "runtime/host runtime/host/... runtime/module"},
	{"runtime/recipe", "runtime/host runtime/module"},
	{"modules", "runtime/host runtime/module modules/internal/..."},
	{"modules/internal/...", "runtime/host runtime/module modules/internal/..."},
	{"runtime/run", "runtime/transport runtime/host runtime/module runtime/recipe"},
	{"runtime/recipetest", "runtime/host runtime/host/... runtime/module runtime/recipe runtime/run"},
	{"recipes", ""},
	{"lab", "lab/..."},
	{"lab/...", "lab lab/..."},
	{"cmd/runner", "runtime/... modules recipes lab lab/..."},
	{"docs", ""},
}

func TestImportLaw(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, "runner/...").CombinedOutput()
	if err != nil {
		t.Fatalf("cannot list the packages: %v\n%s", err, out)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		path, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		pkg := strings.TrimPrefix(path, "runner/")
		may, ok := law(pkg)
		if !ok {
			t.Errorf("package %s has no place in the house: add it to the table of this test and to docs/architecture.md", pkg)
			continue
		}
		seen++
		for _, imp := range strings.Fields(imports) {
			if inside, ok := strings.CutPrefix(imp, "runner/"); ok && !allowed(may, inside) {
				t.Errorf("package %s must not import %s", pkg, inside)
			}
			if imp == "github.com/yuin/gopher-lua" && pkg != "runtime/recipe" {
				t.Errorf("package %s must not know Lua: only runtime/recipe does", pkg)
			}
			if imp == "golang.org/x/crypto/ssh" && !strings.HasPrefix(pkg, "runtime/transport") && !strings.HasPrefix(pkg, "lab") {
				t.Errorf("package %s must not know SSH: only runtime/transport does", pkg)
			}
		}
	}
	if seen < 5 {
		t.Fatalf("only %d packages were looked at", seen)
	}
}

func law(pkg string) (string, bool) {
	may, found, longest := "", false, -1
	for _, l := range layers {
		if matches(l.pkg, pkg) && len(l.pkg) > longest {
			may, found, longest = l.may, true, len(l.pkg)
		}
	}
	return may, found
}

func allowed(may, pkg string) bool {
	for _, pattern := range strings.Fields(may) {
		if matches(pattern, pkg) {
			return true
		}
	}
	return false
}

func matches(pattern, pkg string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(pkg, base+"/")
	}
	return pattern == pkg
}
