package recipe

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"runner/runtime/host"
)

var update = flag.Bool("update", false, "write what came out into testdata/errors")

// TestWrongInputs runs the recipes of testdata/errors, each of which has a mistake, and compares what an operator is told: the
// message, and below it the line of the file. An archive has move.lua, and perhaps files to require, site.lua, params (lines of
// NAME=VALUE as behind --param), fail (the error of every step) and no (the answer to every question is no).
func TestWrongInputs(t *testing.T) {
	paths, err := filepath.Glob("testdata/errors/*.txtar")
	if err != nil || len(paths) < 25 {
		t.Fatalf("there are %d archives (%v)", len(paths), err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { wrongInput(t, path) })
	}
}

func wrongInput(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, f := range archive.Files {
		files[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	got := told(mistakeIn(t, files)) + "\n"
	if *update {
		i := len(archive.Files) - 1
		if archive.Files[i].Name != "want" {
			archive.Files = append(archive.Files, txtar.File{Name: "want"})
			i++
		}
		archive.Files[i].Data = []byte(got)
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(text(files, "want"), got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func text(files fstest.MapFS, name string) string {
	f := files[name]
	if f == nil {
		return ""
	}
	return string(f.Data)
}

func mistakeIn(t *testing.T, files fstest.MapFS) error {
	in, site := testInputs(), (*Site)(nil)
	if files["site.lua"] != nil {
		var err error
		if site, err = LoadSite(t.Context(), "site.lua", text(files, "site.lua")); err != nil {
			return err
		}
	}
	given := map[string]string{}
	for line := range strings.Lines(text(files, "params")) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		given[name] = value
	}
	resolve := func(d Declaration) (Inputs, error) {
		if site != nil {
			return d.Inputs(site, given)
		}
		all, err := d.Inputs(&Site{Name: "site.lua"}, given)
		in.Params = all.Params
		return in, err
	}
	e := &recorder{no: files["no"] != nil, step: func(context.Context, Step) (map[string]any, error) {
		if why := strings.TrimSpace(text(files, "fail")); why != "" {
			return nil, &host.UnreachableError{Host: "old", Err: errors.New(why)}
		}
		return map[string]any{"rows": []any{}}, nil
	}}
	r, err := Load(t.Context(), Source{Name: "move.lua", Text: text(files, "move.lua"), Files: fs.FS(files)},
		Options{Modules: testModules(), Resolve: resolve, Engine: e})
	if err != nil {
		return err
	}
	t.Cleanup(r.Close)
	if err := runAll(t, r, e); err != nil {
		return err
	}
	for _, p := range r.Phases() {
		for _, task := range p.Tasks {
			if task.HasUndo {
				if err := r.RunUndo(t.Context(), e, task); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// told is an error as an operator sees it.
func told(err error) string {
	if err == nil {
		return "no error"
	}
	var e *Error
	if errors.As(err, &e) && e.Line != "" {
		return err.Error() + "\n    " + strings.TrimSpace(e.Line)
	}
	return err.Error()
}
