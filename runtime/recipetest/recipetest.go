// Package recipetest runs tests of recipes, which are Lua files themselves: NAME_test.lua beside NAME.lua. A test runs the recipe as
// package run does, with real modules, on hosts that are made of answers (package hosttest) instead of servers, and says what must
// have happened. Nothing is connected to, and nothing on this machine is changed.
package recipetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

// Options are what a file of tests is run with.
type Options struct {
	Source  recipe.Source
	Recipe  func(name string) (recipe.Source, error) // finds a recipe by the name that a test gives, "move.lua"
	Modules []module.Module
	Scripts map[string]string // short names of the scripts of modules, to answer them by
	Version string            // what runner.version says in recipes
	Only    *regexp.Regexp    // runs the tests whose names it matches; nil: all
	Limit   time.Duration     // for one test; 0: [DefaultLimit]
}

// DefaultLimit ends a test that waits for something which the fakes never do.
const DefaultLimit = time.Minute

// Suffix ends the names of files of tests.
const Suffix = "_test.lua"

// Outcome is what became of a test.
type Outcome struct {
	Name  string
	At    recipe.Position
	Err   error // nil: it passed. A [*recipe.Error] knows the line that failed.
	Notes []string
	Took  time.Duration
}

// Run runs the tests of a file one after the other and reports each. The error is one of the file as a whole, or of the context.
func Run(ctx context.Context, o Options, report func(Outcome)) error {
	if o.Limit <= 0 {
		o.Limit = DefaultLimit
	}
	s := &suite{Options: o}
	tests, err := recipe.LoadTests(ctx, o.Source, s.functions())
	if err != nil {
		return err
	}
	defer tests.Close()
	for _, t := range tests.List() {
		if o.Only != nil && !o.Only.MatchString(t.Name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		outcome, err := s.test(ctx, tests, t)
		if err != nil {
			return err
		}
		report(outcome)
	}
	return nil
}

// suite is a file of tests that is run. Tests are run one after the other.
type suite struct {
	Options
	bench *bench // of the test that is run
}

func (s *suite) test(ctx context.Context, tests *recipe.Tests, t *recipe.Test) (Outcome, error) {
	dir, err := os.MkdirTemp("", "runner-test-")
	if err != nil {
		return Outcome{}, fmt.Errorf("cannot make a folder for the journals of a test: %w", err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeoutCause(ctx, s.Limit, fmt.Errorf("the test has run for %s (does a step wait for what no fake does?)", s.Limit))
	defer cancel()
	s.bench = newBench(s, dir)
	began := time.Now()
	err = tests.Run(ctx, t)
	if err == nil {
		if problem := s.bench.loose(); problem != "" {
			err = &recipe.Error{At: t.At, What: problem}
		}
	}
	return Outcome{Name: t.Name, At: t.At, Err: err, Notes: s.bench.notes, Took: time.Since(began)}, nil
}

// functions are what a file of tests can call.
func (s *suite) functions() map[string]recipe.Function {
	on := func(fn func(*bench, context.Context, recipe.Called) (any, error)) recipe.Function {
		return func(ctx context.Context, c recipe.Called) (any, error) { return fn(s.bench, ctx, c) }
	}
	return map[string]recipe.Function{
		"host": on((*bench).host), "stub": on((*bench).stub), "run": on((*bench).run), "equal": on((*bench).equal),
		"contains": on((*bench).contains), "rows": on((*bench).rows), "say": on((*bench).say), "print": on((*bench).say),
	}
}

func (b *bench) say(_ context.Context, c recipe.Called) (any, error) {
	parts := make([]string, len(c.Args))
	for i, a := range c.Args {
		parts[i] = text(a)
	}
	b.note(strings.Join(parts, "\t"))
	return nil, nil
}

// RecipeOf is the recipe that a file of tests is for when it does not say: NAME.lua of NAME_test.lua.
func RecipeOf(tests string) string {
	return strings.TrimSuffix(filepath.Base(tests), Suffix) + ".lua"
}

// errForm says that the arguments are not those of the form.
var errForm = errors.New("it was called in another form")

// form is the error of a function that was called in a wrong form.
func form(want string) error { return fmt.Errorf("cannot do this: the form is %s", want) }
