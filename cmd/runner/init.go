package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"runner/runtime/recipe"
	"runner/runtime/run"
)

func newInitCommand() *cobra.Command {
	var from string
	var extend bool
	c := &cobra.Command{
		Use:   "init DIR --from RECIPE",
		Short: "Make a folder with a recipe and a site file of your own",
		Long: `Makes DIR with a copy of the recipe and a site.lua in which every host and
parameter that the recipe knows stands with its explanation, to be filled in.
With --extend the recipe is no copy of the stock recipe but extends it: what
you do not change stays the stock recipe's, with its later versions.
The recipe's tests come with it, or one to begin with (runner test).
recipe.d.lua and .luarc.json let editors with the Lua language server complete
and check what you write. Files that are there already are left as they are.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return &run.Failure{Err: errors.New("cannot make a site: one folder must be given"), Code: run.ExitRecipe, Hint: "runner init DIR --from RECIPE"}
		},
		RunE: func(c *cobra.Command, args []string) error {
			if from == "" {
				return &run.Failure{Err: errors.New("cannot make a site: no recipe was given"), Code: run.ExitRecipe,
					Hint: fmt.Sprintf("runner init %s --from RECIPE (%s)", args[0], strings.Join(stockNames(stock()), ", "))}
			}
			return initSite(c, args[0], from, extend)
		},
	}
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	c.Flags().BoolVar(&extend, "extend", false, "write a recipe that extends a stock recipe instead of a copy, so that it gets its later versions")
	c.Flags().StringVar(&from, "from", "", "`RECIPE` to copy: a file or a stock recipe")
	_ = c.RegisterFlagCompletionFunc("from", func(c *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return offerRecipes(c, nil, word)
	})
	return c
}

func initSite(c *cobra.Command, dir, from string, extend bool) error {
	src, err := findRecipe(from, stock(), nil)
	if err != nil {
		return err
	}
	decl, err := declarationOf(c.Context(), src)
	if err != nil {
		return err
	}
	text, name := src.text, filepath.Base(src.path)
	if extend {
		if src.stock == "" {
			return &run.Failure{Err: fmt.Errorf("cannot extend %s from another folder: only a stock recipe can be", from), Code: run.ExitRecipe,
				Hint: fmt.Sprintf("runner init %s --from %s copies it", dir, from)}
		}
		text, name = thinRecipe(src.stock, decl), "my-"+src.stock+".lua"
	}
	testName, tests := testFile(c.Context(), src, name, text, decl)
	var stubs strings.Builder
	if err := showDocs(&stubs, nil, false, true); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return usage("cannot make the folder %s: %w", dir, reason(err))
	}
	// 0600: a site may hold passwords.
	for _, file := range []struct {
		name, text string
		mode       fs.FileMode
	}{
		{name, text, 0o644}, {testName, tests, 0o644}, {siteName, siteText(decl), 0o600}, {"recipe.d.lua", stubs.String(), 0o644}, {".luarc.json", editorSettings, 0o644},
	} {
		done, err := writeNew(filepath.Join(dir, file.name), file.text, file.mode)
		if err != nil {
			return err
		}
		verb := "wrote"
		if !done {
			verb = "left "
		}
		fmt.Fprintf(c.OutOrStdout(), "%s %s\n", verb, filepath.Join(dir, file.name))
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "next: fill in %s, then: runner --check %s\n", filepath.Join(dir, siteName), filepath.Join(dir, name))
	return err
}

const editorSettings = `{
  "runtime.version": "Lua 5.1",
  "workspace.library": ["recipe.d.lua"]
}
`

// thinRecipe is a recipe that extends a stock recipe and shows what it could change.
func thinRecipe(stock string, d recipe.Declaration) string {
	var b strings.Builder
	fmt.Fprintf(&b, `-- %s, with changes of your own. What is not changed here stays the stock recipe's:
--   runner --list my-%s.lua     its phases and tasks, which all can be named below

local stock = extend(%q, {
  name = %q,
  defaults = { -- other defaults of its parameters; what is true of one site only stands in site.lua
`, d.Name, stock, stock, d.Name+", our way")
	for _, p := range d.Params {
		if v, ok := p.Default.(string); ok {
			fmt.Fprintf(&b, "    -- %s = %q, -- %s\n", p.Name, v, p.Help)
		}
	}
	b.WriteString(`  },
})

-- phase("name", { gate = "Another question?" })                      another gate; tasks below it come at its end
-- task("name", { before = "another task" }, function() … end)        one more; or after = "another task"
-- task("name", { replace = true }, function() … end)                 another body; undo and unless stay
-- task("name", { remove = true })
-- stock                                                              what the stock recipe returns: its functions
`)
	return b.String()
}

// writeNew writes a file that must not be there yet; false: it is there and was left.
func writeNew(path, text string, mode fs.FileMode) (bool, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, usage("cannot write %s: %w", path, reason(err))
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return false, fmt.Errorf("cannot write %s: %w", path, reason(err))
	}
	return true, nil
}
