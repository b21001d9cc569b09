package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"runner/runtime/recipe"
)

// What a shell offers behind a command or a flag. Nothing of a recipe but its top level is run, no host is connected to, and what
// cannot be read offers nothing: a shell in the middle of a line is no place for errors.

const noFiles = cobra.ShellCompDirectiveNoFileComp

// offer makes a completion function of one that lists names; the shell sees those that begin as the word does.
func offer(list func(c *cobra.Command, args []string) []string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		var fit []string
		for _, name := range list(c, args) {
			if strings.HasPrefix(name, word) {
				fit = append(fit, name)
			}
		}
		return fit, noFiles
	}
}

// recipes offers recipe files and stock recipes as the first argument. Folders are offered by the shell's own completion of files
// when nothing else fits.
func offerRecipes(_ *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	files, _ := filepath.Glob(word + "*.lua") // a word that is no pattern matches nothing
	found := slices.DeleteFunc(files, func(name string) bool {
		return filepath.Base(name) == siteName || strings.HasSuffix(name, "_test.lua")
	})
	for _, name := range stockNames(stock()) {
		if strings.HasPrefix(name, word) {
			found = append(found, name+"\tcomes with runner")
		}
	}
	folders, _ := filepath.Glob(word + "*/")
	for _, f := range folders {
		if info, err := os.Stat(f); err == nil && info.IsDir() {
			found = append(found, f+"/")
		}
	}
	if len(found) == 1 && strings.HasSuffix(found[0], "/") {
		return found, noFiles | cobra.ShellCompDirectiveNoSpace
	}
	return found, noFiles
}

// program is the recipe on the command line, as far as its top level goes; nil: it cannot be read.
func (f *flags) program(c *cobra.Command, args []string) *loaded {
	var j *job
	var err error
	if c.HasParent() {
		j, err = f.recordedJob(c, first(args))
	} else if len(args) > 0 {
		var src *source
		if src, err = findRecipe(args[0], stock(), nil); err == nil {
			j, err = f.job(c, src)
		}
	}
	if err != nil || j == nil {
		return nil
	}
	f.list, f.limit = true, "" // nothing of it is run, so nothing need be there
	l, err := j.load(c.Context())
	if err != nil {
		return nil
	}
	return l
}

func (f *flags) phaseNames(c *cobra.Command, args []string) (names []string) {
	if l := f.program(c, args); l != nil {
		defer l.close()
		for _, p := range l.program.Phases() {
			names = append(names, p.Name+"\t"+p.Title)
		}
	}
	return names
}

func (f *flags) taskNames(c *cobra.Command, args []string) (names []string) {
	if l := f.program(c, args); l != nil {
		defer l.close()
		for _, p := range l.program.Phases() {
			for _, t := range p.Tasks {
				names = append(names, t.Name+"\t"+p.Name)
			}
		}
	}
	return names
}

func (f *flags) paramNames(c *cobra.Command, args []string) (names []string) {
	if l := f.program(c, args); l != nil {
		defer l.close()
		for _, p := range l.program.Declaration().Params {
			help, _, _ := strings.Cut(p.Help, "\n")
			names = append(names, p.Name+"=\t"+help)
		}
	}
	return names
}

// hostNames are the hosts and groups of the site.
func (f *flags) hostNames(c *cobra.Command, args []string) []string {
	var src *source
	if !c.HasParent() && len(args) > 0 {
		src, _ = findRecipe(args[0], stock(), nil) // without a recipe the site of this folder
	}
	path, err := findSite(f.site, src)
	if err != nil || path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	site, err := recipe.LoadSite(c.Context(), path, string(text))
	if err != nil {
		return nil
	}
	return append(slices.Sorted(maps.Keys(site.Hosts)), slices.Sorted(maps.Keys(site.Groups))...)
}

// runIDs are the recorded runs, the newest first.
func (f *flags) runIDs(_ *cobra.Command, args []string) []string {
	state, err := f.recordedState()
	if err != nil || len(args) > 0 {
		return nil
	}
	ids, err := state.Runs()
	if err != nil {
		return nil
	}
	slices.Reverse(ids)
	return ids
}

// completeFlags makes the shell offer values for the flags that a command has.
func (f *flags) completeFlags(c *cobra.Command) {
	for name, complete := range map[string]cobra.CompletionFunc{
		"phase": offer(f.phaseNames), "from": offer(f.taskNames), "only": offer(f.taskNames), "limit": offer(f.hostNames),
		"param": func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			names, directive := offer(f.paramNames)(c, args, word)
			return names, directive | cobra.ShellCompDirectiveNoSpace
		},
		"site": func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"lua"}, cobra.ShellCompDirectiveFilterFileExt
		},
		"state": func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	} {
		if c.Flags().Lookup(name) != nil {
			// The only error is a flag that is registered twice, which the test of completion would show.
			_ = c.RegisterFlagCompletionFunc(name, complete)
		}
	}
}
