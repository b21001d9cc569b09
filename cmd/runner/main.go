// Command runner runs recipes: Lua programs that set up, change and move servers over SSH.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"runner/runtime/run"
)

func main() {
	maybeBootHost()
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs the command and returns its exit code.
func execute(args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	if err != nil {
		verbose, _ := root.PersistentFlags().GetBool("verbose")
		explain(stderr, err, verbose)
	}
	return run.CodeOf(err)
}

// explain shows an error that no reporter has shown: what, where in the recipe, and what to do next.
func explain(w io.Writer, err error, verbose bool) {
	var f *run.Failure
	known := errors.As(err, &f)
	if !known || !f.Told() {
		fmt.Fprintf(w, "runner: %s\n", indented(err.Error()))
		if known {
			if f.At != nil && f.At.File != "" {
				fmt.Fprintf(w, "  at %s\n", f.At)
				if source := strings.TrimSpace(f.Source); source != "" {
					fmt.Fprintf(w, "    %s\n", source)
				}
			}
		}
		if hint := hintOf(err); hint != "" {
			fmt.Fprintf(w, "  next: %s\n", indented(hint))
		}
	}
	if known && verbose && f.Stack != "" {
		fmt.Fprintln(w, f.Stack)
	}
}

func indented(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ") }

func hintOf(err error) string {
	var f *run.Failure
	if errors.As(err, &f) && f.Hint != "" {
		return f.Hint
	}
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}
