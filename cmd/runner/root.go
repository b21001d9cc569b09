package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"runner/runtime/run"
)

const longHelp = `runner runs recipes: Lua programs that set up, change and move servers over SSH.

A recipe is a file, or the name of a recipe that comes with runner. The hosts
and parameters stand in site.lua, beside the recipe or in the current folder.

  runner --check mail.lua    what would be done; nothing is changed
  runner plan mail.lua -o p  the same, kept in a file
  runner apply p             do exactly that, if nothing has changed since
  runner mail.lua            do it: the next phase that is not finished, and on
  runner resume              go on where the last run ended
  runner undo                go back

Exit codes: 0 done; 1 wrong usage, or a mistake in the recipe or the site;
2 a step failed on a host; 3 a question was answered with no, or nobody was
there to answer; 4 a host could not be reached; 130 stopped by Ctrl-C or a
signal.`

func newRootCommand() *cobra.Command {
	var f flags
	root := &cobra.Command{
		Use:               "runner [flags] RECIPE",
		Short:             "Run recipes that set up, change and move servers over SSH",
		Long:              longHelp,
		Args:              cobra.ArbitraryArgs, // the recipe is looked at below, with better words than cobra's
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		RunE:              func(c *cobra.Command, args []string) error { return f.runRecipe(c, args) },
	}
	root.PersistentFlags().BoolP("verbose", "v", false, "show everything: all changes of long lists, steps that had nothing to do, the stack below an error")
	root.Flags().BoolVar(&f.version, "version", false, "show the version")
	f.work(root)
	f.choose(root)
	root.Flags().BoolVar(&f.list, "list", false, "show phases and tasks and what is done, and run nothing")
	root.ValidArgsFunction = offerRecipes
	f.completeFlags(root)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", fmt.Sprintf(".FlagUsagesWrapped %d ", docWidth)))
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &run.Failure{Err: fmt.Errorf("cannot read the flags: %w%s", err, nearFlag(c, err)), Code: run.ExitRecipe, Hint: c.CommandPath() + " --help lists them"}
	})
	root.AddCommand(newResumeCommand(), newUndoCommand(), newPlanCommand(), newApplyCommand(), newHistoryCommand(), newReportCommand(), newStatusCommand(), newPauseCommand(), newContinueCommand(), newThrottleCommand(), newStopCommand(), newAnswerCommand(), newInitCommand(), newDocCommand(), newLintCommand(), newTestCommand(), newDoctorCommand(), newLabCommand(), newVersionCommand())
	return root
}

func (f *flags) runRecipe(c *cobra.Command, args []string) error {
	switch {
	case f.version:
		_, err := fmt.Fprintln(c.OutOrStdout(), versionLine())
		return err
	case len(args) == 0:
		return &run.Failure{Err: fmt.Errorf("cannot start: no recipe was given"), Code: run.ExitRecipe, Hint: "runner RECIPE, or runner --help"}
	case len(args) > 1:
		return &run.Failure{Err: fmt.Errorf("cannot run several recipes at once: %s", quoted(args)), Code: run.ExitRecipe, Hint: "a flag with a value is written --flag=VALUE or --flag VALUE"}
	}
	src, err := findRecipe(args[0], stock(), commandNames(c.Root()))
	if err != nil {
		return err
	}
	j, err := f.job(c, src)
	if err != nil {
		return err
	}
	if f.list {
		return j.list(c.Context())
	}
	return j.run(c.Context())
}
