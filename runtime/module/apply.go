package module

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"runner/runtime/host"
)

// Progress is how far a long change has come. Total fields are 0 while unknown.
type Progress struct {
	Label      string // what is being done, "copying", "example.org"
	Done       int64  // things done, in Unit
	Total      int64
	Unit       string // "messages"
	Bytes      int64
	TotalBytes int64
	Detail     string // how far the part that Label names is: shown last, where there is room
}

// Apply is what a change is applied with: the writable hosts of its step and the way to tell how it goes.
type Apply struct {
	hosts    map[*host.View]*host.Host
	progress func(Progress)
	keep     func(Original)

	mu     sync.Mutex
	output map[string]any
}

// Original is what was there before a change, for going back by hand or by undo: a backup file, a setting's value.
type Original struct {
	Host   string `json:"host,omitempty"`
	Object string `json:"object"`           // "database mailserver", "main.cf soft_bounce", "/etc/hosts"
	Value  string `json:"value,omitempty"`  // the value itself, when short and no secret
	Backup string `json:"backup,omitempty"` // path of the copy on Host
}

// Host gives the writable host of a view that the step got as an argument. It panics on any other view: that is a
// mistake in the module, not in a recipe.
func (a *Apply) Host(v *host.View) *host.Host {
	h, ok := a.hosts[v]
	if !ok {
		panic(fmt.Sprintf("module asked to write to host %q, which is not an argument of its step", v.Name()))
	}
	return h
}

// Progress tells how far the change has come. It may be called often and from several goroutines: the reporter shows what it has time for.
func (a *Apply) Progress(p Progress) {
	if a.progress != nil {
		a.progress(p)
	}
}

// Keep records what was there before, in the journal.
func (a *Apply) Keep(o Original) {
	if a.keep != nil {
		a.keep(o)
	}
}

// Output adds a field to the step's result that only applying could find (what a command printed).
func (a *Apply) Output(name string, value any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.output == nil {
		a.output = map[string]any{}
	}
	a.output[name] = value
}

func (a *Apply) found() map[string]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.output)
}

// Status of a step.
type Status string

// What can become of a step.
const (
	OK          Status = "ok"
	Changed     Status = "changed"
	Skipped     Status = "skipped"
	Failed      Status = "failed"
	Unreachable Status = "unreachable"
	Unknown     Status = "unknown" // check mode: cannot tell before an earlier step is done
)

// Result is what a step came to.
type Result struct {
	Status  Status
	Changes []Change       // applied, or in check mode the ones that would be
	Output  map[string]any // what the module found
	Note    string
	Err     error // set when Failed, Unreachable or Unknown
}

// Observer is told what a step does while it does it. Any field may be nil.
type Observer struct {
	Approve  func(*Plan) error   // asked once the plan is known; an error ends the step before anything is changed
	Planned  func(*Plan)         // before the first change
	Applying func(Change)        // before each change
	Applied  func(Change, error) // after each
	Progress func(Progress)      // during one
	Keep     func(Original)      // before something is overwritten
	Stop     func() error        // asked before each change; an error ends the step between two changes
}

// Run plans and, unless check, applies a decoded call. It returns an error nowhere: what went wrong is in the result.
// After applying, the plan is made again and must hold no change but actions, unless what was looked at moves by itself.
func (c *Call) Run(ctx context.Context, check bool, see Observer) Result {
	plan, err := c.plan(ctx)
	if err != nil {
		return failed(err)
	}
	if see.Approve != nil {
		if err := see.Approve(plan); err != nil {
			return failed(err)
		}
	}
	if see.Planned != nil {
		see.Planned(plan)
	}
	result := Result{Status: OK, Changes: plan.Changes, Output: plan.Output, Note: plan.Note}
	if check || len(plan.Changes) == 0 {
		if changes(plan.Changes) {
			result.Status = Changed
		}
		return result
	}
	do := &Apply{hosts: c.hosts, progress: see.Progress, keep: see.Keep}
	result.Changes = nil
	for _, change := range plan.Changes {
		if err := ctx.Err(); err != nil {
			return result.stop(fmt.Errorf("cannot %s: %w", change.Summary, context.Cause(ctx)), do)
		}
		if see.Stop != nil {
			if err := see.Stop(); err != nil {
				return result.stop(err, do)
			}
		}
		if see.Applying != nil {
			see.Applying(change)
		}
		err := change.Apply(ctx, do)
		if see.Applied != nil {
			see.Applied(change, err)
		}
		if err != nil {
			return result.stop(err, do)
		}
		result.Changes = append(result.Changes, change)
	}
	if changes(result.Changes) {
		result.Status = Changed
	}
	if err := c.converged(ctx, plan, &result); err != nil {
		return result.stop(err, do)
	}
	result.add(do.found())
	return result
}

// converged plans again. What the second plan found is what is so now, and replaces what the first one found.
func (c *Call) converged(ctx context.Context, first *Plan, result *Result) error {
	if first.Moving || onlyActions(first.Changes) {
		return nil
	}
	again, err := c.plan(ctx)
	if err != nil {
		return fmt.Errorf("cannot look again after the change: %w", err)
	}
	for _, change := range again.Changes {
		if !change.Action {
			return fmt.Errorf("cannot make the change last: after it was made there is still to do: %s (did not converge)", change.Summary)
		}
	}
	result.Output = again.Output
	return nil
}

func (r *Result) add(output map[string]any) {
	if len(output) == 0 {
		return
	}
	merged := maps.Clone(r.Output)
	if merged == nil {
		merged = map[string]any{}
	}
	maps.Copy(merged, output)
	r.Output = merged
}

func (r Result) stop(err error, do *Apply) Result {
	f := failed(err)
	r.Status, r.Err = f.Status, f.Err
	r.add(do.found())
	return r
}

func changes(list []Change) bool {
	for _, c := range list {
		if !c.Wait {
			return true
		}
	}
	return false
}

func onlyActions(list []Change) bool {
	for _, c := range list {
		if !c.Action {
			return false
		}
	}
	return true
}
