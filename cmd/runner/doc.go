package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"runner/modules"
	"runner/runtime/module"
	"runner/runtime/run"
)

// docWidth is the columns of a terminal that every operator has.
const docWidth = 80

// recipeTypes declares what a recipe sees beside the modules.
//
//go:embed recipe.d.lua
var recipeTypes string

// testTypes declares what only a file of tests sees.
//
//go:embed tests.d.lua
var testTypes string

func newDocCommand() *cobra.Command {
	var markdown, types, man bool
	c := &cobra.Command{
		Use:   "doc [MODULE]",
		Short: "Show what a recipe can call",
		Long: `Without MODULE lists the modules; with it shows the module's arguments and
results. --markdown writes the whole reference, --types declarations for editors
with the Lua language server, --man the manual page: runner doc --man | man -l -`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &run.Failure{Err: fmt.Errorf("cannot show several modules at once: %s", quoted(args)), Code: run.ExitRecipe, Hint: c.CommandPath() + " lists them"}
			}
			return nil
		},
		ValidArgsFunction: offer(func(*cobra.Command, []string) []string { return moduleNames() }),
		RunE: func(c *cobra.Command, args []string) error {
			asked := len(args)
			for _, on := range []bool{markdown, types, man} {
				if on {
					asked++
				}
			}
			if asked > 1 {
				return &run.Failure{Err: errors.New("cannot show all this at once: give one of MODULE, --markdown, --types and --man"), Code: run.ExitRecipe}
			}
			if man {
				return writeManual(c.OutOrStdout(), c.Root())
			}
			return showDocs(c.OutOrStdout(), args, markdown, types)
		},
	}
	c.Flags().BoolVar(&markdown, "markdown", false, "write the reference of all modules in Markdown")
	c.Flags().BoolVar(&types, "types", false, "write declarations of all that a recipe sees, for editors")
	c.Flags().BoolVar(&man, "man", false, "write the manual page, runner(1)")
	return c
}

func moduleNames() []string {
	var names []string
	for _, m := range modules.All() {
		names = append(names, m.Name)
	}
	return names
}

func showDocs(w io.Writer, args []string, markdown, types bool) error {
	docs, err := module.Reference(modules.Source, modules.All())
	if err != nil {
		return err
	}
	switch {
	case markdown:
		return module.WriteMarkdown(w, docs)
	case types:
		return writeTypes(w, docs)
	case len(args) == 0:
		if err := module.WriteList(w, docs, docWidth); err != nil {
			return err
		}
		_, err := fmt.Fprint(w, "\nrunner doc MODULE shows one of them.\n")
		return err
	}
	i := slices.IndexFunc(docs, func(d module.Doc) bool { return d.Name == args[0] })
	if i < 0 {
		text := "cannot show " + args[0] + ": there is no such module"
		if near := module.Nearest(args[0], moduleNames()); near != "" {
			text += "; did you mean " + near + "?"
		}
		return &run.Failure{Err: errors.New(text), Code: run.ExitRecipe, Hint: "runner doc lists them"}
	}
	return module.WriteText(w, docs[i], docWidth)
}

// writeTypes writes what an editor is told of everything that a recipe sees.
func writeTypes(w io.Writer, docs []module.Doc) error {
	if _, err := io.WriteString(w, recipeTypes+testTypes); err != nil {
		return err
	}
	return module.WriteTypes(w, docs)
}
