package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"runner/runtime/module"
	"runner/runtime/run"
)

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return tooMany(c, args, 0, "")
	}
	return nil
}

// atMostOne allows one argument, which is what.
func atMostOne(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) > 1 {
			return tooMany(c, args, 1, what)
		}
		return nil
	}
}

func tooMany(c *cobra.Command, args []string, most int, what string) error {
	text := "it takes none"
	if most == 1 {
		text = "it takes only " + what
	}
	return &run.Failure{Err: fmt.Errorf("cannot take the arguments %s: %s", quoted(args[most:]), text), Code: run.ExitRecipe, Hint: c.CommandPath() + " --help"}
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}

func commandNames(root *cobra.Command) []string {
	var names []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return names
}

// nearFlag suggests the flag that a mistyped one most likely meant.
func nearFlag(c *cobra.Command, err error) string {
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) {
		return ""
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if near := module.Nearest(missing.GetSpecifiedName(), names); near != "" {
		return fmt.Sprintf("; did you mean --%s?", near)
	}
	return ""
}
