package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"runner/modules"
	"runner/runtime/recipe"
	"runner/runtime/recipetest"
	"runner/runtime/run"
)

func newTestCommand() *cobra.Command {
	var only, junit string
	c := &cobra.Command{
		Use:   "test [FILE...]",
		Short: "Test recipes on hosts that are made of answers",
		Long: `Runs the tests of recipes, which are Lua files: NAME_test.lua beside NAME.lua.
A test runs the recipe with the real modules on fake hosts, which answer to
commands and have files as the test says, and says what must have happened.
Nothing is connected to. For NAME.lua its NAME_test.lua is run, for a folder
every test in it; without an argument those of the current folder.

Exit codes: 0 every test passed, 1 one did not, or could not be run.`,
		ValidArgsFunction: offerTests,
		RunE: func(c *cobra.Command, args []string) error {
			pattern, err := testPattern(only)
			if err != nil {
				return err
			}
			files, err := findTests(args)
			if err != nil {
				return err
			}
			verbose, _ := c.Flags().GetBool("verbose")
			t := &tester{out: c.OutOrStdout(), only: pattern, verbose: verbose}
			for _, file := range files {
				if err := t.file(c.Context(), file); err != nil {
					return err
				}
			}
			return t.end(junit)
		},
	}
	c.Flags().StringVar(&only, "run", "", "only tests whose names match `PATTERN`, a regular expression")
	c.Flags().StringVar(&junit, "junit", "", "write JUnit XML to `FILE` as well")
	return c
}

func testPattern(only string) (*regexp.Regexp, error) {
	if only == "" {
		return nil, nil
	}
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, usage("cannot use --run %s: %w", only, err)
	}
	return pattern, nil
}

// findTests makes a list of files of tests from the arguments.
func findTests(args []string) (files []string, err error) {
	if len(args) == 0 {
		args = []string{"."}
	}
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case err == nil && info.IsDir():
			found, err := filepath.Glob(filepath.Join(arg, "*"+recipetest.Suffix))
			if err != nil || len(found) == 0 {
				return nil, &run.Failure{Err: fmt.Errorf("cannot find tests in %s: there is no file NAME%s", arg, recipetest.Suffix), Code: run.ExitRecipe,
					Hint: "runner init DIR --from RECIPE makes a recipe with a test to begin with"}
			}
			files = append(files, found...)
		case strings.HasSuffix(arg, recipetest.Suffix):
			files = append(files, arg)
		case strings.HasSuffix(arg, ".lua"):
			files = append(files, strings.TrimSuffix(arg, ".lua")+recipetest.Suffix)
		default:
			return nil, usage("cannot find tests in %s: it must be NAME%s, NAME.lua or a folder", arg, recipetest.Suffix)
		}
	}
	return files, nil
}

// tester runs files of tests and shows what comes of them.
type tester struct {
	out     io.Writer
	only    *regexp.Regexp
	verbose bool

	passed, failed int
	junit          run.JUnit
}

func (t *tester) file(ctx context.Context, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return usage("cannot read the tests %s: %w", path, reason(err))
	}
	fmt.Fprintln(t.out, path)
	suite := run.JUnitSuite{Name: run.XMLText(path), Timestamp: time.Now().UTC().Format(time.RFC3339)}
	began := time.Now()
	err = recipetest.Run(ctx, testOptions(path, string(text), t.only), func(o recipetest.Outcome) {
		t.tell(o)
		c := run.JUnitCase{Class: suite.Name, Name: run.XMLText(o.Name), Time: fmt.Sprintf("%.3f", o.Took.Seconds())}
		suite.Tests++
		if o.Err != nil {
			suite.Failures++
			c.Failure = &run.JUnitMessage{Message: run.XMLText(o.Err.Error()), Text: run.XMLText(failureOf(o, true))}
		}
		suite.Cases = append(suite.Cases, c)
	})
	suite.Time = fmt.Sprintf("%.3f", time.Since(began).Seconds())
	t.junit.Suites = append(t.junit.Suites, suite)
	if err != nil {
		return loadFailure(err)
	}
	return nil
}

func testOptions(path, text string, only *regexp.Regexp) recipetest.Options {
	dir := filepath.Dir(path)
	return recipetest.Options{
		Source: recipe.Source{Name: path, Text: text, Files: os.DirFS(dir)}, Only: only, Modules: modules.All(), Scripts: modules.Scripts(), Version: versionText(),
		Recipe: func(name string) (recipe.Source, error) {
			src, err := findRecipe(filepath.Join(dir, name), stock(), nil)
			if err != nil {
				if again, stockErr := findRecipe(name, stock(), nil); stockErr == nil {
					return again.source(), nil
				}
				return recipe.Source{}, err
			}
			return src.source(), nil
		},
	}
}

func (t *tester) tell(o recipetest.Outcome) {
	if o.Err == nil {
		t.passed++
		fmt.Fprintf(t.out, "  ok    %s\n", o.Name)
	} else {
		t.failed++
		fmt.Fprintf(t.out, "  FAIL  %s\n", o.Name)
		fmt.Fprint(t.out, failureOf(o, false))
	}
	if t.verbose {
		for _, note := range o.Notes {
			fmt.Fprintf(t.out, "        | %s\n", strings.ReplaceAll(note, "\n", "\n        | "))
		}
	}
}

// failureOf is what went wrong in a test, with the line of it.
func failureOf(o recipetest.Outcome, notes bool) string {
	var b strings.Builder
	what, at, line := o.Err.Error(), o.At.String(), ""
	var wrong *recipe.Error
	if errors.As(o.Err, &wrong) {
		what, line = wrong.What, strings.TrimSpace(wrong.Line)
		if wrong.At.File != "" {
			at = wrong.At.String()
		}
	}
	fmt.Fprintf(&b, "        %s\n", strings.ReplaceAll(what, "\n", "\n          "))
	fmt.Fprintf(&b, "        at %s\n", at)
	if line != "" {
		fmt.Fprintf(&b, "          %s\n", line)
	}
	if calls := strings.Split(calledFrom(wrong), "\n"); len(calls) > 1 {
		if last := calls[len(calls)-1]; !strings.HasPrefix(at, last) {
			fmt.Fprintf(&b, "        called at %s\n", last)
		}
	}
	if notes {
		for _, note := range o.Notes {
			fmt.Fprintf(&b, "        | %s\n", note)
		}
	}
	return b.String()
}

// calledFrom are the calls that led to an error, the innermost first.
func calledFrom(e *recipe.Error) string {
	if e == nil {
		return ""
	}
	return e.Trace
}

// end shows the sum and writes the XML.
func (t *tester) end(junit string) error {
	if t.passed+t.failed == 0 {
		return usage("cannot test anything: no test has a name that matches %s", t.only)
	}
	fmt.Fprintf(t.out, "%d passed, %d failed\n", t.passed, t.failed)
	if junit != "" {
		var b bytes.Buffer
		t.junit.Name = "runner test"
		if err := t.junit.Write(&b); err != nil {
			return fmt.Errorf("cannot make the JUnit file %s: %w", junit, err)
		}
		if err := os.WriteFile(junit, b.Bytes(), 0o644); err != nil {
			return usage("cannot write the JUnit file %s: %w", junit, reason(err))
		}
	}
	if t.failed > 0 {
		return run.Silent(run.ExitRecipe)
	}
	return nil
}

// offerTests offers files of tests.
func offerTests(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	files, _ := filepath.Glob(word + "*" + recipetest.Suffix) // a word that is no pattern matches nothing
	if len(files) > 0 {
		return files, noFiles
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}
