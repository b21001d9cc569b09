package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"runner/runtime/run"
)

func newStatusCommand() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "status",
		Short: "Say where the run that is going on stands",
		Long:  "Says where the run of the site that is going on stands: task, steps at work with\ntheir progress, whether it is paused, throttled or waits for an answer. When\nnone is going on: how the last one ended.",
		Args:  none,
		RunE: func(c *cobra.Command, _ []string) error {
			state, err := f.recordedState()
			if err != nil {
				return err
			}
			r, err := state.Send(c.Context(), run.Request{Do: "status"})
			if errors.Is(err, run.ErrNoRun) && !f.json {
				return lastRun(c, state)
			}
			if err != nil {
				return noRun(c, err)
			}
			if f.json {
				return json.NewEncoder(c.OutOrStdout()).Encode(r.Standing)
			}
			_, err = fmt.Fprint(c.OutOrStdout(), standing(r.Standing, time.Now()))
			return err
		},
	}
	f.place(c)
	c.Flags().BoolVar(&f.json, "json", false, "write one JSON object")
	f.completeFlags(c)
	return c
}

func lastRun(c *cobra.Command, state run.State) error {
	ids, err := state.Runs()
	if err != nil {
		return err
	}
	text := "No run is going on, and none is recorded."
	if len(ids) > 0 {
		r, err := state.Read(ids[len(ids)-1])
		if err != nil {
			return err
		}
		done, all := r.Counts()
		text = fmt.Sprintf("No run is going on. The last one, %s (%s): %s, %d of %d tasks are done.", r.ID, r.Recipe, r.State(), done, all)
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), text)
	return err
}

// standing tells where a run stands, for people.
func standing(s run.Standing, now time.Time) string {
	var b strings.Builder
	if s.Run == "" {
		return fmt.Sprintf("Process %d is about to begin.\n", s.PID)
	}
	fmt.Fprintf(&b, "%s  run %s, process %d, for %s\n", s.Recipe, s.Run, s.PID, run.Seconds(now.Sub(s.Began).Seconds()))
	if s.Undo {
		fmt.Fprintln(&b, "It is being undone.")
	}
	if s.Phase != "" {
		fmt.Fprintf(&b, "phase %s", s.Phase)
		if s.Task != "" {
			fmt.Fprintf(&b, ", task %s", s.Task)
		}
		fmt.Fprintln(&b)
	}
	for _, at := range s.AtWork {
		e := at.Event
		if e.Progress != nil {
			fmt.Fprintln(&b, run.LiveLine(e, now.Sub(at.Began)))
			continue
		}
		title := e.Title
		if title == "" {
			title = e.Module
		}
		fmt.Fprintf(&b, "  at work  %s: %s, for %s\n", strings.Join(e.Hosts, " -> "), title, run.Seconds(now.Sub(at.Began).Seconds()))
	}
	if s.Question != "" {
		fmt.Fprintf(&b, "It waits for an answer: %s\n", s.Question)
	}
	if s.Rate > 0 {
		fmt.Fprintf(&b, "Each copying step reads at most %s/s (runner throttle).\n", run.Bytes(s.Rate))
	}
	if s.Paused {
		fmt.Fprintln(&b, "It is paused. Go on with: runner continue")
	}
	if s.Stopping {
		fmt.Fprintln(&b, "It is about to stop.")
	}
	return b.String()
}
