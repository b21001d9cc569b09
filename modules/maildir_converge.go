package modules

import (
	"context"
	"errors"
	"fmt"
	"time"

	"runner/modules/internal/maildir"
	"runner/runtime/module"
)

// maildirConvergeArgs are the arguments of maildir_sync.converge.
//
// Warm passes are repeated while the old server is in use, each shorter than the one before it, until the forecast of the
// next is no longer than asked for: that is about how long the final pass will keep users waiting. Nothing is removed on the
// new host. When the passes no longer get shorter, or after as many as allowed, the step says so and ends well; with strict
// it fails. A recipe can look at the field reached.
//
// # Example
//
//	maildir_sync.converge { from = old, to = new, until = "20s" }
//
// # Result
//
//   - reached (boolean): whether the next pass is forecast to take no longer than until
//   - passes (integer): how many passes were made
//   - why (string): why no further one was made
//   - next_pass_seconds (number): how long the next pass would take
//   - seconds (list of number): how long each pass took
//   - copied (integer): messages that were sent, in all
//   - copied_bytes (integer): their size
//   - messages (integer): messages on from
//   - bytes (integer): their size
//   - mailboxes (integer): mailboxes on from
type maildirConvergeArgs struct {
	maildirScope
	maildirWhere
	// How long the next pass may be forecast to take.
	Until time.Duration `lua:"until" default:"20s"`
	// The most passes that are made.
	Passes int `lua:"passes" default:"10"`
	// Fail when the passes do not get as short as until.
	Strict bool `lua:"strict"`
	// How many transfers run at once. 0: one more than the host with the fewest cores has, but 2 to 6. Where the MaxSessions of a
	// server allows fewer, fewer run.
	Streams int `lua:"streams"`
	// The most bytes a second that are read from from, such as "20M". 0: no limit.
	Rate module.Size `lua:"rate"`
	// Whether from compresses what it sends, with gzip. auto: when the way is slow and a transfer shows that it gains.
	Compress string `lua:"compress" choice:"auto,yes,no" default:"auto"`
}

// Validate checks what the types do not.
func (a *maildirConvergeArgs) Validate() error {
	if err := a.maildirScope.Validate(); err != nil {
		return err
	}
	if a.Until <= 0 {
		return errors.New("until must be longer than nothing: a pass at least lists directories")
	}
	if a.Passes < 1 {
		return errors.New("passes must be at least 1")
	}
	return checkStreams(a.Streams)
}

func planMaildirConverge(ctx context.Context, a *maildirConvergeArgs) (*module.Plan, error) {
	o := a.options()
	o.Mode, o.Streams, o.Rate, o.StateDir = maildir.Warm, a.Streams, int64(a.Rate), maildirStateDir()
	o.Compress = maildir.Compress(a.Compress)
	pass, err := maildir.Look(ctx, o)
	if err != nil {
		return nil, err
	}
	where, err := a.compare(ctx, a.To, pass)
	if err != nil {
		return nil, err
	}
	c := &pass.Counts
	next := pass.NextPass()
	plan := &module.Plan{
		Moving: true,
		Output: map[string]any{
			"reached": false, "passes": int64(0), "why": "", "next_pass_seconds": next, "seconds": []any{},
			"copied": int64(0), "copied_bytes": int64(0), "messages": c.Messages, "bytes": c.Bytes, "mailboxes": c.Mailboxes,
		},
		Note: joinNotes(maildirNote(pass), where),
	}
	if pass.Empty() && next <= a.Until.Seconds() {
		plan.Output["reached"], plan.Output["why"] = true, "short enough"
		plan.Note += fmt.Sprintf("; the next pass would take about %s", maildir.Span(time.Duration(next*float64(time.Second))))
		return plan, nil
	}
	summary := fmt.Sprintf("repeat warm passes until one takes about %s", maildir.Span(a.Until))
	if !pass.Empty() {
		summary += "; first " + pass.Summary()
	}
	plan.Changes = []module.Change{{
		Summary: summary,
		Apply:   func(ctx context.Context, do *module.Apply) error { return applyMaildirConverge(ctx, do, a, pass) },
	}}
	return plan, nil
}

func applyMaildirConverge(ctx context.Context, do *module.Apply, a *maildirConvergeArgs, pass *maildir.Pass) error {
	done, err := pass.Converge(ctx, do.Host(a.To), maildir.Until{Forecast: a.Until, Passes: a.Passes}, do.Progress)
	var copied, bytes int64
	seconds := make([]any, 0, len(done.Rounds))
	for _, r := range done.Rounds {
		copied, bytes = copied+r.Done.Copied, bytes+r.Done.Bytes
		seconds = append(seconds, r.Took.Seconds())
	}
	do.Output("copied", copied)
	do.Output("copied_bytes", bytes)
	do.Output("passes", int64(len(done.Rounds)))
	do.Output("seconds", seconds)
	if err != nil {
		return err
	}
	do.Output("reached", done.Reached)
	do.Output("why", done.Why)
	do.Output("next_pass_seconds", done.Forecast.Seconds())
	if a.Strict && !done.Reached {
		return fmt.Errorf("cannot bring the next pass down to %s: %s; move fewer domains at a time, or give until more time", maildir.Span(a.Until), done.Why)
	}
	return nil
}
