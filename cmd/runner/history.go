package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"runner/runtime/run"
)

func newHistoryCommand() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "history [RUN]",
		Short: "List the recorded runs, or what happened in one of them",
		Long: `Lists the recorded runs, newest last. With the id of a run, or the beginning of
one: everything that happened in it.`,
		Args: atMostOne("the id of a run"),
		RunE: func(c *cobra.Command, args []string) error {
			state, err := f.recordedState()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				r, err := state.Read(args[0])
				if err != nil {
					return usage("%w", err)
				}
				return run.WriteEvents(c.OutOrStdout(), r)
			}
			return listRuns(c, state)
		},
	}
	f.place(c)
	c.ValidArgsFunction = offer(f.runIDs)
	f.completeFlags(c)
	return c
}

func listRuns(c *cobra.Command, state run.State) error {
	ids, err := state.Runs()
	if err != nil {
		return err
	}
	if len(ids) == 0 {
		_, err := fmt.Fprintf(c.OutOrStdout(), "No run is recorded in %s.\n", state.Dir)
		return err
	}
	var runs []*run.Record
	for _, id := range ids {
		r, err := state.Read(id)
		if err != nil {
			return err
		}
		runs = append(runs, r)
	}
	return run.WriteHistory(c.OutOrStdout(), runs)
}

// recordedState is the state folder for a command that is given no recipe.
func (f *flags) recordedState() (run.State, error) {
	site, err := findSite(f.site, nil)
	if err != nil {
		return run.State{}, err
	}
	return stateOf(f.state, site)
}
