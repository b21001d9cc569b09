package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"runner/modules"
	"runner/runtime/recipe"
	"runner/runtime/run"
)

func newLintCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lint RECIPE...",
		Short: "Look for mistakes in recipes without running them",
		Long: `Reads recipes and the files that they require, and tells what is wrong or most
likely not meant: unknown names, arguments that modules do not take, parameters,
hosts and handlers that are declared and never used, steps outside tasks, what
destroys without a backup, globals, and locals that hide a module. Needs no site
and no host. One line for each, FILE:LINE:COLUMN: what, as editors read it.

A comment on the line, "-- lint: WHY", says that what is unwise there is meant.

Exit codes: 0 there is nothing to tell, 1 there is.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return nil
			}
			return &run.Failure{Err: errors.New("cannot look for mistakes: no recipe was given"), Code: run.ExitRecipe, Hint: "runner lint RECIPE"}
		},
		ValidArgsFunction: func(c *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
			return offerRecipes(c, nil, word)
		},
		RunE: func(c *cobra.Command, args []string) error {
			told := 0
			for _, arg := range args {
				src, err := findRecipe(arg, stock(), nil)
				if err != nil {
					return err
				}
				found, err := lint(c, src)
				if err != nil {
					return err
				}
				for _, e := range found {
					fmt.Fprintln(c.OutOrStdout(), e)
				}
				told += len(found)
			}
			if told > 0 {
				return run.Silent(run.ExitRecipe)
			}
			return nil
		},
	}
}

// lint loads a recipe with stand-ins for what a site would give it.
func lint(c *cobra.Command, src *source) ([]*recipe.Error, error) {
	return recipe.Lint(c.Context(), src.source(), recipe.Options{
		Modules: modules.All(), Version: versionText(),
		Resolve: func(d recipe.Declaration) (recipe.Inputs, error) {
			in, err := d.Inputs(&recipe.Site{}, nil)
			return d.StandIns(in), err
		},
	})
}
