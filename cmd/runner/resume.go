package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"runner/runtime/run"
)

func newResumeCommand() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "resume [RUN]",
		Short: "Go on with the last run, at the first task that is not done",
		Long: `Goes on with the last run, or the one with the given id, at the first task that
is not done: with its parameters, with what its tasks saved, and with the
handlers that wait.
Secrets that were given with --param are not recorded: give them again.`,
		Args: atMostOne("the id of a run"),
		RunE: func(c *cobra.Command, args []string) error {
			j, err := f.recordedJob(c, first(args))
			if err != nil {
				return err
			}
			if j.record.Finished {
				_, err := fmt.Fprintf(c.OutOrStdout(), "There is nothing to go on with: run %s is finished.\n", j.record.ID)
				return err
			}
			unlock, err := j.lock()
			if err != nil {
				return err
			}
			defer unlock()
			// Read again under the lock: another runner may have gone on in the meantime.
			if j.record, err = j.state.Read(j.record.ID); err != nil {
				return err
			}
			done, all := j.record.Counts()
			j.notes = append([]string{fmt.Sprintf("Going on with run %s, %s: %d of %d tasks are done.", j.record.ID, j.record.State(), done, all)}, j.notes...)
			return j.work(c.Context(), run.Run)
		},
	}
	f.work(c)
	c.ValidArgsFunction = offer(f.runIDs)
	f.completeFlags(c)
	return c
}

// recordedJob is a job for a run that is recorded.
func (f *flags) recordedJob(c *cobra.Command, id string) (*job, error) {
	state, err := f.recordedState()
	if err != nil {
		return nil, err
	}
	r, err := state.Read(id)
	if err != nil {
		f := &run.Failure{Err: err, Code: run.ExitRecipe}
		if id == "" {
			f.Hint = "a new run is begun with: runner RECIPE"
		}
		return nil, f
	}
	src, err := again(r, state, stock())
	if err != nil {
		return nil, err
	}
	if f.site == "" && r.Start.Site != "" {
		f.site = recall(r.Start.Site, state)
	}
	if f.state == "" {
		f.state = state.Dir
	}
	if f.limit == "" {
		f.limit = r.Start.Limit
	}
	j, err := f.job(c, src)
	if err != nil {
		return nil, err
	}
	j.goOnWith(r)
	return j, nil
}
