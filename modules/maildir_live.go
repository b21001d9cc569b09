package modules

import (
	"context"
	"fmt"
	"strings"
	"time"

	"runner/modules/internal/maildir"
	"runner/runtime/host"
	"runner/runtime/module"
)

// maildirLiveArgs are the arguments of maildir_sync.live.
//
// From then on warm and final passes into these mailboxes are refused: they would undo what users do there. The mark is a
// file beside the mailboxes (/var/vmail.runner/live.json).
//
// Who goes back to the old server (see maildir_sync's mode "reverse") takes the mark away again with state = "absent", so that the mailboxes can be
// moved another day.
//
// # Example
//
//	maildir_sync.live { on = new }
//	maildir_sync.live { on = new, state = "absent" }
//
// # Result
//
//   - live (boolean): whether all of the directory is live
//   - since (string): since when, as 2026-11-23T15:30:00Z
//   - domains (table): since when single domains are
type maildirLiveArgs struct {
	// Host whose mailboxes are in use from now on.
	On *host.View `lua:"on,required"`
	// Directory of all mailboxes there, or the pattern that maildir_sync was given.
	Target string `lua:"target" default:"/var/vmail"`
	// Only these domains are in use; others can still be moved here. Empty: all.
	Domains []string `lua:"domains"`
	// present: the mailboxes are in use; absent: nobody uses them any more, or yet.
	State string `lua:"state" choice:"present,absent" default:"present"`
}

// Validate checks what the types do not.
func (a *maildirLiveArgs) Validate() error {
	if err := rootOf(&a.Target); err != nil {
		return err
	}
	return checkDomains(a.Domains)
}

func planMaildirLive(ctx context.Context, a *maildirLiveArgs) (*module.Plan, error) {
	root, err := maildir.ResolveRoot(ctx, a.On, a.Target)
	if err != nil {
		return nil, err
	}
	live, err := maildir.ReadLive(ctx, a.On, root)
	if err != nil {
		return nil, err
	}
	plan := &module.Plan{Output: liveOutput(live)}
	what := root
	if len(a.Domains) > 0 {
		what = strings.Join(a.Domains, ", ") + " in " + root
	}
	if a.State == "absent" {
		return a.withdraw(plan, live, root, what)
	}
	if live.Covered(a.Domains) {
		plan.Note = "live already"
		return plan, nil
	}
	plan.Starts = []string{"IMAP"} // on the new server, where it was stopped on the old one
	plan.Changes = []module.Change{{
		Summary: fmt.Sprintf("declare %s live: no pass removes or renames there any more", what),
		Apply: func(ctx context.Context, do *module.Apply) error {
			live.Declare(a.Domains, time.Now())
			return maildir.WriteLive(ctx, do.Host(a.On), root, live)
		},
	}}
	return plan, nil
}

// withdraw plans to take the mark away.
func (a *maildirLiveArgs) withdraw(plan *module.Plan, live *maildir.Live, root, what string) (*module.Plan, error) {
	if !live.Marks(a.Domains) {
		plan.Note = "not live"
		return plan, nil
	}
	if err := live.Withdraw(a.Domains); err != nil {
		return nil, fmt.Errorf("cannot take back that %s on %s is live: %w", what, a.On.Name(), err)
	}
	plan.Output = liveOutput(live)
	plan.Changes = []module.Change{{
		Summary: fmt.Sprintf("take back that %s is live: it can be moved to again", what),
		Apply: func(ctx context.Context, do *module.Apply) error {
			return maildir.WriteLive(ctx, do.Host(a.On), root, live)
		},
	}}
	return plan, nil
}

// liveOutput is what a recipe gets to know of a mark.
func liveOutput(l *maildir.Live) map[string]any {
	out := map[string]any{"live": !l.Since.IsZero()}
	if !l.Since.IsZero() {
		out["since"] = l.Since.Format(time.RFC3339)
	}
	domains := map[string]any{}
	for d, since := range l.Domains {
		domains[d] = since.Format(time.RFC3339)
	}
	out["domains"] = domains
	return out
}

// maildirStatusArgs are the arguments of maildir_sync.status.
//
// # Example
//
//	local state = maildir_sync.status { on = new }
//	if state.live then fail("the new server is in use since " .. state.since) end
//
// # Result
//
//   - live (boolean): whether all of the directory is live
//   - since (string): since when, as 2026-11-23T15:30:00Z
//   - domains (table): since when single domains are
//   - last_final (string): when the last final pass into the directory was
//   - finals (list of table): the last final pass of each source: from, path, time, messages, bytes
type maildirStatusArgs struct {
	// Host to look at.
	On *host.View `lua:"on,required"`
	// Directory of all mailboxes there, or the pattern that maildir_sync was given.
	Target string `lua:"target" default:"/var/vmail"`
}

// Validate checks what the types do not.
func (a *maildirStatusArgs) Validate() error { return rootOf(&a.Target) }

// rootOf keeps the directory of a pattern.
func rootOf(target *string) error {
	l, err := maildir.ParseLayout("target", *target)
	*target = l.Root
	return err
}

func planMaildirStatus(ctx context.Context, a *maildirStatusArgs) (*module.Plan, error) {
	root, err := maildir.ResolveRoot(ctx, a.On, a.Target)
	if err != nil {
		return nil, err
	}
	live, err := maildir.ReadLive(ctx, a.On, root)
	if err != nil {
		return nil, err
	}
	records, err := maildir.Records(ctx, a.On, root)
	if err != nil {
		return nil, err
	}
	out := liveOutput(live)
	var last time.Time
	finals := []any{}
	for _, r := range records {
		finals = append(finals, map[string]any{
			"from": r.From, "path": r.Path, "time": r.Time.Format(time.RFC3339), "messages": r.Messages, "bytes": r.Bytes,
		})
		if r.Time.After(last) {
			last = r.Time
		}
	}
	out["finals"] = finals
	if !last.IsZero() {
		out["last_final"] = last.Format(time.RFC3339)
	}
	return &module.Plan{Output: out}, nil
}
