package recipes_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runner/modules"
	"runner/recipes"
	"runner/runtime/recipe"
	"runner/runtime/recipetest"
)

// TestRecipes runs the tests that stand beside the stock recipes. Each recipe has one.
func TestRecipes(t *testing.T) {
	files, err := fs.Glob(recipes.FS, "*.lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, recipetest.Suffix) {
			continue
		}
		name := strings.TrimSuffix(file, ".lua")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(name + recipetest.Suffix)
			if err != nil {
				t.Fatal(err)
			}
			ran := 0
			err = recipetest.Run(t.Context(), recipetest.Options{
				Source:  recipe.Source{Name: name + recipetest.Suffix, Text: string(text), Files: os.DirFS(".")},
				Modules: modules.All(), Scripts: modules.Scripts(), Version: "test",
				Recipe: func(name string) (recipe.Source, error) {
					text, err := os.ReadFile(name)
					return recipe.Source{Name: filepath.Base(name), Text: string(text), Files: os.DirFS("."), Stock: recipes.FS}, err
				},
			}, func(o recipetest.Outcome) {
				ran++
				if o.Err != nil {
					t.Errorf("%s: %v\n%s", o.Name, o.Err, strings.Join(o.Notes, "\n"))
				}
			})
			if err != nil || ran < 5 {
				t.Errorf("%d tests ran: %v", ran, err)
			}
		})
	}
}
