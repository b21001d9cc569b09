package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"runner/runtime/module"
	"runner/runtime/run"
)

// steering is a command that asks something of the run that is going on, and tells what came of it.
func steering(c *cobra.Command, request func(args []string) (run.Request, error), tell func(run.Reply) string) *cobra.Command {
	var f flags
	c.RunE = func(c *cobra.Command, args []string) error {
		q, err := request(args)
		if err != nil {
			return err
		}
		state, err := f.recordedState()
		if err != nil {
			return err
		}
		r, err := state.Send(c.Context(), q)
		if err != nil {
			return noRun(c, err)
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), tell(r))
		return err
	}
	f.place(c)
	f.completeFlags(c)
	return c
}

func noRun(c *cobra.Command, err error) error {
	if errors.Is(err, run.ErrNoRun) {
		return &run.Failure{Err: fmt.Errorf("cannot %s: %w", c.Name(), err), Code: run.ExitRecipe, Hint: "runner history lists the runs of the past; --site FILE or --state DIR names another site"}
	}
	return err
}

func only(do string) func([]string) (run.Request, error) {
	return func([]string) (run.Request, error) { return run.Request{Do: do}, nil }
}

func newPauseCommand() *cobra.Command {
	return steering(&cobra.Command{
		Use:   "pause",
		Short: "Let the run that is going on begin no further step",
		Long:  "Lets the run that is going on finish the steps at work and begin no further one,\nuntil runner continue. Connections stay open.",
		Args:  none,
	}, only("pause"), func(r run.Reply) string {
		text := "Paused"
		if !r.Was {
			text = "It was paused already"
		}
		if n := len(r.Standing.AtWork); n > 0 {
			return fmt.Sprintf("%s; %d at work will be finished. Go on with: runner continue", text, n)
		}
		return text + ". Go on with: runner continue"
	})
}

func newContinueCommand() *cobra.Command {
	return steering(&cobra.Command{
		Use:   "continue",
		Short: "Let a paused run go on",
		Args:  none,
	}, only("continue"), func(r run.Reply) string {
		if !r.Was {
			return "It was not paused."
		}
		return "It goes on."
	})
}

func newStopCommand() *cobra.Command {
	return steering(&cobra.Command{
		Use:   "stop",
		Short: "Stop the run that is going on, after the change at hand",
		Long:  "Does what Ctrl-C does at the run's own terminal: the change at hand is finished\nand the run says how to go on. Given twice it stops at once.",
		Args:  none,
	}, only("stop"), func(r run.Reply) string {
		if r.Was {
			return "It stops after the change at hand. Once more stops at once."
		}
		return "It stops at once."
	})
}

func newThrottleCommand() *cobra.Command {
	return steering(&cobra.Command{
		Use:   "throttle RATE|off",
		Short: "Limit how fast the run that is going on copies",
		Long:  "Limits how fast each copying step reads from its source, in bytes per second\n(500K, 20M, 1G), also where it is at work, until the run ends. It goes before\nthe step's own rate; off gives that back.",
		Args:  cobra.ArbitraryArgs,
	}, func(args []string) (run.Request, error) {
		if len(args) != 1 {
			return run.Request{}, usage("cannot throttle: give one rate, such as 20M, or off")
		}
		q := run.Request{Do: "throttle"}
		if args[0] == "off" {
			return q, nil
		}
		rate, err := module.ParseSize(args[0])
		if err != nil || rate <= 0 {
			return q, usage("cannot throttle to %q: it must be bytes per second, such as 500K or 20M, or off", args[0])
		}
		q.Rate = int64(rate)
		return q, nil
	}, func(r run.Reply) string {
		if r.Standing.Rate == 0 {
			return "Copying is as fast as the recipe lets it."
		}
		return fmt.Sprintf("Each copying step reads at most %s/s.", run.Bytes(r.Standing.Rate))
	})
}

func none(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return tooMany(c, args, 0, "")
	}
	return nil
}
