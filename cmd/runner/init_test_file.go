package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"runner/modules"
	"runner/runtime/recipe"
	"runner/runtime/recipetest"
)

// testFile is the name and the text of tests for a recipe of one's own: those that its original has, else one to begin with. They also
// fit a recipe that extends the original.
func testFile(ctx context.Context, src *source, name, text string, d recipe.Declaration) (file, tests string) {
	file = strings.TrimSuffix(name, ".lua") + recipetest.Suffix
	original := strings.TrimSuffix(filepath.Base(src.path), ".lua") + recipetest.Suffix
	if known, err := fs.ReadFile(src.files(), original); err == nil {
		return file, string(known)
	}
	own := src.source()
	own.Text = text
	return file, firstTest(ctx, own, name, d, phasesOf(ctx, src))
}

// phasesOf are the names of a recipe's phases; none where it cannot be read without a site.
func phasesOf(ctx context.Context, src *source) (names []string) {
	r, err := recipe.Load(ctx, src.source(), recipe.Options{
		Modules: modules.All(), Version: versionText(),
		Resolve: func(d recipe.Declaration) (recipe.Inputs, error) {
			in, err := d.Inputs(&recipe.Site{}, nil)
			return d.StandIns(in), err
		},
	})
	if err != nil {
		return nil
	}
	defer r.Close()
	for _, p := range r.Phases() {
		names = append(names, p.Name)
	}
	return names
}

// firstTest is a test to begin with, which the recipe passes: with stubs for every module it goes through all of the recipe in check
// mode, or through the first phase for which that is enough, or else says that the stubs must be given results.
func firstTest(ctx context.Context, src recipe.Source, name string, d recipe.Declaration, phases []string) string {
	file := strings.TrimSuffix(name, ".lua") + recipetest.Suffix
	for _, phase := range append([]string{""}, phases...) {
		text := testText(name, file, d, phase, false)
		if passes(ctx, src, file, text) {
			return text
		}
	}
	return testText(name, file, d, "", true)
}

func passes(ctx context.Context, src recipe.Source, file, text string) bool {
	passed := true
	err := recipetest.Run(ctx, recipetest.Options{
		Source: recipe.Source{Name: file, Text: text}, Modules: modules.All(), Scripts: modules.Scripts(), Version: versionText(),
		Recipe: func(string) (recipe.Source, error) { return src, nil },
	}, func(o recipetest.Outcome) { passed = passed && o.Err == nil })
	return err == nil && passed
}

func testText(name, file string, d recipe.Declaration, phase string, fails bool) string {
	var given []string
	if params := requiredParams(d); params != "" {
		given = append(given, "params = { "+params+" }")
	}
	var groups []string
	for _, g := range d.Groups {
		groups = append(groups, fmt.Sprintf("%s = { %q, %q }", key(g.Name), g.Name+"1", g.Name+"2"))
	}
	if groups != nil {
		given = append(given, "groups = { "+strings.Join(groups, ", ")+" }")
	}
	real := strings.Join(append(given, "answers = true"), ", ")
	if phase != "" {
		given = append(given, fmt.Sprintf("phase = %q", phase))
	}
	given = append(given, "check = true")
	if fails {
		given = append(given, "fails = true")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "-- Tests of %s on hosts that are made of answers: runner test %s\n\n", name, file)
	b.WriteString("test(\"check mode changes nothing\", function()\n  stub(\"*\", { changed = true }) -- stands in for every module\n")
	if fails {
		b.WriteString("  -- The recipe needs results of its steps. Give them to it, stub(\"module\", { … }), and take the word fails away.\n")
	}
	fmt.Fprintf(&b, "  run { %s }\n", strings.Join(given, ", "))
	for _, h := range d.Hosts {
		fmt.Fprintf(&b, "  equal(host(%q):writes(), {})\n", h.Name)
	}
	b.WriteString("end)\n\n-- test(\"what must happen\", function()\n")
	if len(d.Hosts) > 0 {
		fmt.Fprintf(&b, "--   host(%q):file(\"/etc/motd\", \"old\\n\"):answer(\"uname -r\", \"6.1.0\\n\")\n", d.Hosts[0].Name)
	}
	fmt.Fprintf(&b, `--   local result = run { %s }
--   result:changed("name of a task")
--   result:order { "a task", "a task after it" }
-- end)
`, real)
	return b.String()
}

func requiredParams(d recipe.Declaration) string {
	var list []string
	for _, p := range d.Params {
		if !p.Required {
			continue
		}
		value := example(p)
		if value == `""` {
			value = `"example"`
		}
		list = append(list, key(p.Name)+" = "+value)
	}
	return strings.Join(list, ", ")
}
