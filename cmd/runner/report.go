package main

import (
	"errors"

	"github.com/spf13/cobra"

	"runner/runtime/run"
)

func newReportCommand() *cobra.Command {
	var f flags
	var page, junit string
	c := &cobra.Command{
		Use:   "report [RUN]",
		Short: "Show the phases and tasks of a run with times and changes",
		Long: `Shows the last run, or the one with the given id: sessions, phases, tasks,
times, numbers of changes, and what was kept before it was overwritten.`,
		Args: atMostOne("the id of a run"),
		RunE: func(c *cobra.Command, args []string) error {
			state, err := f.recordedState()
			if err != nil {
				return err
			}
			r, err := state.Read(first(args))
			if err != nil {
				return usage("%w", err)
			}
			if page != "" || junit != "" {
				return errors.Join(reportFile(page, r, run.WriteHTML), reportFile(junit, r, run.WriteJUnit))
			}
			return run.WriteReport(c.OutOrStdout(), r)
		},
	}
	f.place(c)
	c.Flags().StringVar(&page, "html", "", "write one self-contained page to `FILE` instead")
	c.Flags().StringVar(&junit, "junit", "", "write JUnit XML to `FILE` instead")
	c.ValidArgsFunction = offer(f.runIDs)
	f.completeFlags(c)
	return c
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}
