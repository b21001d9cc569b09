package module_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/host"
	"runner/runtime/host/hosttest"
	"runner/runtime/module"
)

// desk is what a module of these tests looks at and changes: a number that is to become another one.
type desk struct {
	have, want int
	action     bool
	wait       bool
	moving     bool
	stubborn   bool // changes do nothing
	failAt     int  // the change to this number fails
	planErr    error
	plans      int
}

func (d *desk) plan(context.Context, *everything) (*module.Plan, error) {
	d.plans++
	if d.planErr != nil {
		return nil, d.planErr
	}
	p := &module.Plan{Output: map[string]any{"have": d.have}, Moving: d.moving}
	for n := d.have + 1; n <= d.want; n++ {
		p.Changes = append(p.Changes, module.Change{
			Summary: fmt.Sprintf("count to %d", n), Action: d.action, Wait: d.wait,
			Apply: func(_ context.Context, do *module.Apply) error {
				if n == d.failAt {
					return errors.New("cannot count")
				}
				do.Keep(module.Original{Object: "number", Value: fmt.Sprint(d.have)})
				do.Progress(module.Progress{Done: int64(n)})
				do.Output("before", n-1)
				if !d.stubborn {
					d.have = n
				}
				return nil
			},
		})
	}
	if len(p.Changes) == 0 {
		p.Note = "counted already"
	}
	return p, nil
}

func (d *desk) run(t *testing.T, ctx context.Context, check bool, see module.Observer) module.Result {
	t.Helper()
	call, err := defined(d.plan).Decode(map[string]any{"on": onNew})
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Bind(map[module.HostName]*host.Host{"new": hosttest.New("new").Host()}); err != nil {
		t.Fatal(err)
	}
	return call.Run(ctx, check, see)
}

func TestRunAppliesAndLooksAgain(t *testing.T) {
	d := &desk{want: 2}
	var told []string
	r := d.run(t, context.Background(), false, module.Observer{
		Planned:  func(p *module.Plan) { told = append(told, fmt.Sprintf("planned %d", len(p.Changes))) },
		Applying: func(c module.Change) { told = append(told, c.Summary) },
		Applied:  func(_ module.Change, err error) { told = append(told, fmt.Sprintf("applied %v", err)) },
		Progress: func(p module.Progress) { told = append(told, fmt.Sprintf("progress %d", p.Done)) },
		Keep:     func(o module.Original) { told = append(told, "kept "+o.Value) },
	})
	if r.Err != nil || r.Status != module.Changed || len(r.Changes) != 2 || d.plans != 2 {
		t.Fatalf("%+v after %d plans", r, d.plans)
	}
	// What the second look found is what is so; what applying found is added to it.
	if diff := cmp.Diff(map[string]any{"have": 2, "before": 1}, r.Output); diff != "" {
		t.Error(diff)
	}
	want := []string{"planned 2", "count to 1", "kept 0", "progress 1", "applied <nil>", "count to 2", "kept 1", "progress 2", "applied <nil>"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
	if r = d.run(t, context.Background(), false, module.Observer{}); r.Status != module.OK || r.Note != "counted already" || len(r.Changes) != 0 {
		t.Errorf("a second time: %+v", r)
	}
}

func TestRunChecks(t *testing.T) {
	d := &desk{want: 2}
	r := d.run(t, context.Background(), true, module.Observer{Applying: func(module.Change) { t.Error("applied in check mode") }})
	if r.Status != module.Changed || len(r.Changes) != 2 || d.have != 0 || d.plans != 1 {
		t.Errorf("%+v", r)
	}
	d = &desk{want: 1, wait: true}
	if r = d.run(t, context.Background(), true, module.Observer{}); r.Status != module.OK || len(r.Changes) != 1 {
		t.Errorf("a wait: %+v", r)
	}
}

func TestRunDemandsConvergence(t *testing.T) {
	for _, c := range []struct {
		name  string
		desk  desk
		wrong string
		plans int
	}{
		{"changes that do nothing", desk{want: 1, stubborn: true}, "count to 1 (did not converge)", 2},
		{"actions are done each time", desk{want: 1, stubborn: true, action: true}, "", 1},
		{"what moves by itself", desk{want: 1, stubborn: true, moving: true}, "", 1},
		{"a wait", desk{want: 1, wait: true}, "", 2},
		{"a wait that ended too early", desk{want: 1, wait: true, stubborn: true}, "did not converge", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := c.desk.run(t, context.Background(), false, module.Observer{})
			if c.wrong == "" && r.Err != nil || c.wrong != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), c.wrong)) {
				t.Errorf("the error is %v, want %q in it", r.Err, c.wrong)
			}
			if c.desk.plans != c.plans {
				t.Errorf("%d plans, want %d", c.desk.plans, c.plans)
			}
			if want := map[bool]module.Status{true: module.OK, false: module.Changed}[c.desk.wait]; r.Err == nil && r.Status != want {
				t.Errorf("status %s, want %s", r.Status, want)
			}
		})
	}
}

func TestRunStopsAtTheFirstFailure(t *testing.T) {
	d := &desk{want: 3, failAt: 2}
	r := d.run(t, context.Background(), false, module.Observer{})
	if r.Status != module.Failed || r.Err == nil || len(r.Changes) != 1 || d.have != 1 || r.Output["before"] != 0 {
		t.Errorf("%+v, counted to %d", r, d.have)
	}
	d = &desk{planErr: &host.UnreachableError{Host: "new", Err: errors.New("refused")}}
	if r = d.run(t, context.Background(), false, module.Observer{}); r.Status != module.Unreachable {
		t.Errorf("%+v", r)
	}
}

func TestRunStopsBetweenChanges(t *testing.T) {
	stop := errors.New("stop")
	d := &desk{want: 3}
	r := d.run(t, context.Background(), false, module.Observer{Stop: func() error {
		if d.have == 2 {
			return stop
		}
		return nil
	}})
	if !errors.Is(r.Err, stop) || d.have != 2 || len(r.Changes) != 2 {
		t.Errorf("%+v, counted to %d", r, d.have)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	d = &desk{want: 3}
	r = d.run(t, ctx, false, module.Observer{Applied: func(module.Change, error) { cancel(stop) }})
	if !errors.Is(r.Err, stop) || d.have != 1 || !strings.Contains(r.Err.Error(), "cannot count to 2") {
		t.Errorf("%+v, counted to %d", r, d.have)
	}
}

func TestApplyRefusesForeignHosts(t *testing.T) {
	foreign := hosttest.New("foreign").Host()
	m := defined(func(_ context.Context, e *everything) (*module.Plan, error) {
		return &module.Plan{Changes: []module.Change{{Summary: "write elsewhere", Apply: func(_ context.Context, do *module.Apply) error {
			if h := do.Host(e.On); h.Name() != "new" {
				t.Errorf("the host of the call is %s", h.Name())
			}
			defer func() {
				if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), `"foreign", which is not an argument of its step`) {
					t.Errorf("the panic is %v", p)
				}
			}()
			do.Host(foreign.View)
			return nil
		}, Action: true}}}, nil
	})
	call, err := m.Decode(map[string]any{"on": onNew})
	if err != nil {
		t.Fatal(err)
	}
	if err := call.Bind(map[module.HostName]*host.Host{"new": hosttest.New("new").Host()}); err != nil {
		t.Fatal(err)
	}
	if r := call.Run(context.Background(), false, module.Observer{}); r.Err != nil {
		t.Error(r.Err)
	}
}

func TestMarkedErrors(t *testing.T) {
	cause := errors.New("cause")
	err := module.WithHint(module.Absent(fmt.Errorf("cannot find it: %w", cause)), "make it")
	var absent *module.AbsentError
	var hinted interface{ Hint() string }
	if !errors.Is(err, cause) || !errors.As(err, &absent) || !errors.As(err, &hinted) || hinted.Hint() != "make it" || err.Error() != "cannot find it: cause" {
		t.Errorf("%v", err)
	}
	if module.Absent(nil) != nil || module.WithHint(nil, "x") != nil {
		t.Error("no error became one")
	}
}
