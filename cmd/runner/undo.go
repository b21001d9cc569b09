package main

import (
	"github.com/spf13/cobra"

	"runner/runtime/run"
)

func newUndoCommand() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "undo [RUN]",
		Short: "Go back: undo the tasks of the last run, the last one first",
		Long: `Runs the undo bodies of the tasks of the last run, or of the one with the given
id, the last task first. Shows what that would change, asks, and does it. A task
that is undone is marked: an undo that was broken off goes on where it was, and
runner resume does what was undone again.`,
		Args: atMostOne("the id of a run"),
		RunE: func(c *cobra.Command, args []string) error {
			j, err := f.recordedJob(c, first(args))
			if err != nil {
				return err
			}
			unlock, err := j.lock()
			if err != nil {
				return err
			}
			defer unlock()
			if j.record, err = j.state.Read(j.record.ID); err != nil {
				return err
			}
			return j.work(c.Context(), run.Undo)
		},
	}
	f.work(c)
	c.ValidArgsFunction = offer(f.runIDs)
	f.completeFlags(c)
	return c
}
