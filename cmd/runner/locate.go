package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"runner/runtime/module"
	"runner/runtime/run"
)

const (
	siteName    = "site.lua"
	stateName   = ".runner"
	stockPrefix = "stock:" // of run.Start.File
)

// source is a recipe that was found.
type source struct {
	path  string // of the file; of a stock recipe its name in messages, "recipes/NAME.lua"
	stock string // name of a stock recipe; empty: a file
	text  string
}

// findRecipe reads the recipe that an argument names: a file, else a stock recipe by its name or its path in the source tree.
func findRecipe(arg string, stock fs.FS, commands []string) (*source, error) {
	text, err := os.ReadFile(arg)
	if err == nil {
		return &source{path: arg, text: string(text)}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, usage("cannot read the recipe %s: %w", arg, reason(err))
	}
	names := stockNames(stock)
	name := strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(filepath.Clean(arg)), "recipes/"), ".lua")
	if slices.Contains(names, name) {
		return stockRecipe(stock, name)
	}
	return nil, &run.Failure{Code: run.ExitRecipe, Err: fmt.Errorf("cannot find the recipe %s: %s", arg, whyNot(arg, name, names, commands)),
		Hint: "runner --help shows how runner is called"}
}

func whyNot(arg, name string, names, commands []string) string {
	if near := module.Nearest(arg, slices.Clone(commands)); near != "" {
		return fmt.Sprintf("there is no such file; did you mean the command %q?", near)
	}
	beside, _ := filepath.Glob(filepath.Join(filepath.Dir(arg), "*.lua"))
	candidates := slices.DeleteFunc(append(beside, names...), func(c string) bool { return filepath.Base(c) == siteName })
	for _, tried := range []string{arg, arg + ".lua", name} {
		if near := module.Nearest(tried, slices.Clone(candidates)); near != "" {
			return fmt.Sprintf("there is no such file; did you mean %s?", near)
		}
	}
	if len(names) == 0 {
		return "there is no such file"
	}
	return "there is no such file and no stock recipe of that name (there are: " + strings.Join(names, ", ") + ")"
}

func stockRecipe(stock fs.FS, name string) (*source, error) {
	text, err := fs.ReadFile(stock, name+".lua")
	if err != nil {
		return nil, fmt.Errorf("cannot read the stock recipe %s: %w", name, err)
	}
	return &source{path: "recipes/" + name + ".lua", stock: name, text: string(text)}, nil
}

func stockNames(stock fs.FS) []string {
	files, err := fs.Glob(stock, "*.lua")
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range files {
		if !strings.HasSuffix(f, "_test.lua") {
			names = append(names, strings.TrimSuffix(f, ".lua"))
		}
	}
	return names
}

// findSite is the path of the site file: the one that was given, else site.lua beside the recipe, else in the current folder.
// Empty: there is none.
func findSite(given string, recipe *source) (string, error) {
	if given != "" {
		info, err := os.Stat(given)
		switch {
		case err != nil:
			return "", usage("cannot read the site file %s: %w", given, reason(err))
		case info.IsDir():
			given = filepath.Join(given, siteName)
			if _, err := os.Stat(given); err != nil {
				return "", usage("cannot read the site file %s: %w", given, reason(err))
			}
		}
		return given, nil
	}
	var places []string
	if recipe != nil && recipe.stock == "" {
		places = append(places, filepath.Join(filepath.Dir(recipe.path), siteName))
	}
	for _, path := range append(places, siteName) {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", nil
}

// stateOf is the state folder: the one that was given, else .runner beside the site file, else in the current folder.
func stateOf(given, site string) (run.State, error) {
	dir := given
	if dir == "" {
		dir = filepath.Join(filepath.Dir(site), stateName)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return run.State{}, fmt.Errorf("cannot find the state folder %s: %w", dir, err)
	}
	return run.State{Dir: abs}, nil
}

// recorded is how a path stands in the journal: from the folder that holds the state folder when it lies below that, so that the
// whole can be moved; else in full.
func recorded(path string, s run.State) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	base := filepath.Dir(s.Dir)
	if rel, err := filepath.Rel(base, abs); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return abs
}

// recall is the inverse of recorded, as short as it can be for messages.
func recall(path string, s run.State) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(s.Dir), path)
	}
	if here, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return path
}

func (s *source) recorded(state run.State) string {
	if s.stock != "" {
		return stockPrefix + s.stock
	}
	return recorded(s.path, state)
}

// again finds the recipe of a recorded run.
func again(r *run.Record, state run.State, stock fs.FS) (*source, error) {
	if name, ok := strings.CutPrefix(r.Start.File, stockPrefix); ok {
		return stockRecipe(stock, name)
	}
	path := recall(r.Start.File, state)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("cannot read the recipe of run %s, %s: %w", r.ID, path, reason(err))
	}
	return &source{path: path, text: string(text)}, nil
}

func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
