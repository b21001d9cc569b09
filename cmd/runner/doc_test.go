package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"runner/runtime/run"
)

func runDoc(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := newDocCommand()
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&out)
	c.SilenceErrors, c.SilenceUsage = true, true
	err := c.Execute()
	return out.String(), err
}

// The reference in docs is written by the command; whoever changes a comment writes it again.
func TestReferenceIsFresh(t *testing.T) {
	for file, flag := range map[string]string{"../../docs/modules.md": "--markdown", "../../docs/types.d.lua": "--types"} {
		want, err := runDoc(t, flag)
		if err != nil {
			t.Fatal(err)
		}
		have, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != want {
			t.Errorf("%s is not what the modules say now; write it again: go run ./cmd/runner doc %s > %s", file, flag, strings.TrimPrefix(file, "../../"))
		}
	}
}

func TestDocFitsTheTerminal(t *testing.T) {
	for _, name := range append(moduleNames(), "") {
		args := []string{name}
		if name == "" {
			args = nil
		}
		text, err := runDoc(t, args...)
		if err != nil {
			t.Fatal(err)
		}
		example := false
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, "\n")
			example = line == "EXAMPLE" || example && line != "ARGUMENTS"
			if n := utf8.RuneCountInString(line); n > docWidth && !example {
				t.Errorf("%s: a line of %d columns: %s", name, n, line)
			}
		}
		if !strings.Contains(text, name) {
			t.Errorf("%s does not say what it is about", name)
		}
	}
}

func TestDocOfUnknownModule(t *testing.T) {
	_, err := runDoc(t, "servcie")
	if err == nil || run.CodeOf(err) != run.ExitRecipe || !strings.Contains(err.Error(), "did you mean service?") {
		t.Errorf("the error is %v", err)
	}
	if _, err := runDoc(t, "--types", "service"); err == nil {
		t.Error("a module and --types together are accepted")
	}
}

// Everything that is declared for editors must be there in a recipe, so each name is looked at by one.
func TestTypesNameWhatIsThere(t *testing.T) {
	text, err := runDoc(t, "--types")
	if err != nil {
		t.Fatal(err)
	}
	text = strings.Replace(text, testTypes, "", 1) // package recipetest holds those against what there is
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(?:function ([a-z_.]+)\(|([a-z_]+) = \{\}$)`).FindAllStringSubmatch(text, -1) {
		names[m[1]+m[2]] = true
	}
	for _, name := range append(moduleNames(), "recipe", "phase", "task", "handler", "each", "say", "fail", "ask", "require", "secret", "saved", "hosts", "runner") {
		if !names[name] {
			t.Errorf("%s is not declared", name)
		}
	}
	dir := t.TempDir()
	var recipe strings.Builder
	recipe.WriteString("recipe { name = \"names\" }\n")
	for name := range names {
		recipe.WriteString("local _ = " + name + "\n")
	}
	recipe.WriteString("task(\"nothing\", function() end)\n")
	file := dir + "/names.lua"
	if err := os.WriteFile(file, []byte(recipe.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if code := execute([]string{"--list", file}, &out, &out); code != 0 {
		t.Errorf("exit status %d: %s", code, out.String())
	}
}
