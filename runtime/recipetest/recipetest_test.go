package recipetest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"runner/runtime/host"
	"runner/runtime/module"
	"runner/runtime/recipe"
)

var update = flag.Bool("update", false, "write what came out into the archives of testdata")

// touchArgs and askArgs are two small modules: one that writes a file, one that asks by a command.
type touchArgs struct {
	// Host.
	On *host.View `lua:"on,required"`
	// Path.
	Path string `lua:"path,required"`
	// Content.
	Content string `lua:"content,required"`
}

type askArgs struct {
	// Host.
	On *host.View `lua:"on,required"`
	// Command.
	Argv []string `lua:"argv,required"`
}

func testModules() []module.Module {
	return []module.Module{
		module.Define("touch", "Writes a file", func(ctx context.Context, a *touchArgs) (*module.Plan, error) {
			have, err := a.On.ReadFile(ctx, a.Path)
			if err == nil && string(have) == a.Content {
				return &module.Plan{Note: "already so"}, nil
			}
			return &module.Plan{Changes: []module.Change{{Summary: "write " + a.Path, Before: string(have), After: a.Content,
				Apply: func(ctx context.Context, do *module.Apply) error {
					return do.Host(a.On).WriteFile(ctx, a.Path, []byte(a.Content), host.Attr{Mode: 0o644, UID: -1, GID: -1})
				}}}}, nil
		}),
		module.Define("query", "Asks", func(ctx context.Context, a *askArgs) (*module.Plan, error) {
			out, err := a.On.Query(ctx, a.Argv...)
			if err != nil {
				return nil, err
			}
			return &module.Plan{Output: map[string]any{"said": strings.TrimSpace(out.Stdout)}}, nil
		}),
	}
}

// TestFiles runs the archives of testdata: recipes, their tests as x_test.lua, and what comes of them.
func TestFiles(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) < 5 {
		t.Fatalf("there are %d archives (%v)", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			files := fstest.MapFS{}
			for _, f := range archive.Files {
				files[f.Name] = &fstest.MapFile{Data: f.Data}
			}
			got := told(t.Context(), files)
			last := &archive.Files[len(archive.Files)-1]
			if *update {
				if last.Name != "want" {
					archive.Files = append(archive.Files, txtar.File{Name: "want"})
					last = &archive.Files[len(archive.Files)-1]
				}
				last.Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(last.Data), got); diff != "" {
				t.Errorf("what came of it (-want +got):\n%s", diff)
			}
		})
	}
}

// told is what comes of the tests, a line or several for each.
func told(ctx context.Context, files fstest.MapFS) string {
	var b strings.Builder
	err := Run(ctx, Options{
		Source:  recipe.Source{Name: "x_test.lua", Text: string(files["x_test.lua"].Data), Files: files},
		Modules: testModules(), Version: "1",
		Recipe: func(name string) (recipe.Source, error) {
			f := files[name]
			if f == nil {
				return recipe.Source{}, fmt.Errorf("cannot find the recipe %s", name)
			}
			return recipe.Source{Name: name, Text: string(f.Data), Files: files}, nil
		},
	}, func(o Outcome) {
		if o.Err == nil {
			fmt.Fprintf(&b, "ok %s\n", o.Name)
			return
		}
		fmt.Fprintf(&b, "FAIL %s\n  %s\n", o.Name, strings.ReplaceAll(o.Err.Error(), "\n", "\n  "))
	})
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	return b.String()
}

// TestEditorKnows holds the declarations for editors against the functions and methods that there are.
func TestEditorKnows(t *testing.T) {
	text, err := os.ReadFile("../../cmd/runner/tests.d.lua")
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^function ([\w:]+)\(`).FindAllStringSubmatch(string(text), -1) {
		declared[m[1]] = true
	}
	b := newBench(&suite{}, t.TempDir())
	var want []string
	for name := range (&suite{}).functions() {
		if name != "print" && name != "say" { // those are in every recipe
			want = append(want, name)
		}
	}
	for name := range b.get("x").object.Methods {
		want = append(want, "FakeHost:"+name)
	}
	for name := range (&result{}).asObject().Methods {
		want = append(want, "RunResult:"+name)
	}
	for _, name := range append(want, "test") {
		if !declared[name] {
			t.Errorf("tests.d.lua does not declare %s", name)
		}
		delete(declared, name)
	}
	for name := range declared {
		if strings.Contains(name, ":") {
			t.Errorf("tests.d.lua declares %s, which there is not", name)
		}
	}
}
