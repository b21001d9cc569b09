package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"runner/runtime/run"
)

// flags are those that say how a recipe is run. Not every command has all.
type flags struct {
	site    string
	state   string
	params  []string
	limit   string
	forks   int
	check   bool
	diff    bool
	yes     bool
	gates   string
	wait    bool
	json    bool
	quiet   bool
	choice  run.Choice
	list    bool
	restart bool
	version bool
}

func (f *flags) place(c *cobra.Command) {
	c.Flags().StringVar(&f.site, "site", "", "`FILE` with hosts and parameters (default: site.lua beside the recipe or here)")
	c.Flags().StringVar(&f.state, "state", "", "`DIR` of journals and lock (default: .runner beside the site file)")
}

func (f *flags) output(c *cobra.Command) {
	c.Flags().BoolVar(&f.json, "json", false, "write events as JSON lines")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "show only what changed, failed or needs an answer, and the recap")
}

func (f *flags) work(c *cobra.Command) {
	f.place(c)
	f.output(c)
	f.inputs(c)
	f.narrow(c)
	f.answer(c)
	c.Flags().BoolVar(&f.check, "check", false, "look at everything, change nothing, show what would be changed")
}

func (f *flags) inputs(c *cobra.Command) {
	c.Flags().StringArrayVarP(&f.params, "param", "p", nil, "set a parameter, `NAME=VALUE`; may be given several times")
	c.Flags().IntVar(&f.forks, "forks", run.DefaultForks, "work on at most `N` hosts at a time")
	c.Flags().BoolVar(&f.diff, "diff", false, "show what was before and after each change")
}

func (f *flags) narrow(c *cobra.Command) {
	c.Flags().StringVar(&f.limit, "limit", "", "only these `HOSTS`: names, groups, patterns, with commas between; !NAME takes out")
}

func (f *flags) answer(c *cobra.Command) {
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "answer every question with yes")
	c.Flags().StringVar(&f.gates, "gates", "", "`FILE` with answers to gates, a line each: PHASE yes, or PHASE no")
	c.Flags().BoolVar(&f.wait, "wait", false, "without a terminal, wait at a question until runner answer answers it")
}

func (f *flags) choose(c *cobra.Command) {
	c.Flags().StringVar(&f.choice.Phase, "phase", "", "only the phase `NAME`")
	c.Flags().StringVar(&f.choice.From, "from", "", "this `TASK` and all after it")
	c.Flags().StringVar(&f.choice.Only, "only", "", "this `TASK` and no other")
	c.Flags().BoolVar(&f.restart, "restart", false, "begin a new run although the last one is not finished")
}

// given reads --param NAME=VALUE.
func (f *flags) given() (map[string]string, error) {
	values := map[string]string{}
	for _, p := range f.params {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usage("cannot read --param %s: it must be NAME=VALUE", p)
		}
		values[name] = value
	}
	return values, nil
}

func usage(format string, args ...any) error {
	return &run.Failure{Err: fmt.Errorf(format, args...), Code: run.ExitRecipe}
}
