package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"runner/runtime/run"
)

func newInitCommand() *cobra.Command {
	var from string
	c := &cobra.Command{
		Use:   "init DIR --from RECIPE",
		Short: "Make a folder with a recipe and a site file of your own",
		Long: `Makes DIR with a copy of the recipe and a site.lua in which every host and
parameter that the recipe knows stands with its explanation, to be filled in.
Files that are there already are left as they are.`,
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
			return initSite(c, args[0], from)
		},
	}
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	c.Flags().StringVar(&from, "from", "", "`RECIPE` to copy: a file or a stock recipe")
	_ = c.RegisterFlagCompletionFunc("from", func(c *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return offerRecipes(c, nil, word)
	})
	return c
}

func initSite(c *cobra.Command, dir, from string) error {
	src, err := findRecipe(from, stock(), nil)
	if err != nil {
		return err
	}
	decl, err := declarationOf(c.Context(), src)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return usage("cannot make the folder %s: %w", dir, reason(err))
	}
	name := filepath.Base(src.path)
	// 0600: a site may hold passwords.
	for _, file := range []struct {
		name, text string
		mode       fs.FileMode
	}{{name, src.text, 0o644}, {siteName, siteText(decl), 0o600}} {
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
