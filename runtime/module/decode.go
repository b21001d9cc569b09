package module

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"runner/runtime/host"
)

// HostName stands for a host of the recipe among the values of a call.
type HostName string

// Options are what every step takes beside the arguments of its module.
type Options struct {
	Title        string   // shown instead of the module's name
	Notify       []string // handlers to run at the end of the phase when the step changed something
	Sudo         *bool    // nil: as the host's own setting says
	Timeout      Duration // 0: none
	Retries      int      // how many more times to try after a failure
	Delay        Duration // between tries
	IgnoreErrors bool     // a failure is told and the task goes on
}

// Call is a call of a module with its arguments checked: ready to be bound to hosts and run.
type Call struct {
	Module  Module
	Options Options

	args  reflect.Value // pointer to the argument struct
	names []HostName
	slots []slot
	hosts map[*host.View]*host.Host

	instead func(context.Context) (*Plan, error) // nil: the module's own plan
}

type slot struct {
	name  HostName
	field reflect.Value
}

// ArgumentError is a call that is wrong before anything was run.
type ArgumentError struct {
	Module   string
	Argument string // empty when it is about the call as a whole
	Problem  string // "is missing", `must be one of "started", "stopped", not "running"`
}

func (e *ArgumentError) Error() string {
	if e.Argument == "" {
		return fmt.Sprintf("cannot call %s: %s", e.Module, e.Problem)
	}
	return fmt.Sprintf("cannot call %s: %s %s", e.Module, e.Argument, e.Problem)
}

// Hint says where the right call stands.
func (e *ArgumentError) Hint() string {
	if strings.HasPrefix(e.Problem, "there is no such module") {
		return "runner doc lists the modules"
	}
	return "runner doc " + e.Module + " shows its arguments"
}

// Decode checks the arguments of a call. Values are those a recipe can hold: nil, bool, float64, string, []any,
// map[string]any, Secret and HostName. Nothing is run and no host is asked.
func (m Module) Decode(values map[string]any) (*Call, error) {
	c := &Call{Module: m, args: reflect.New(m.args)}
	own := map[string]any{}
	options := map[string]any{}
	for k, v := range values {
		if reserved[k] {
			options[k] = v
		} else {
			own[k] = v
		}
	}
	d := decoder{module: m.Name, call: c}
	if err := d.options(options); err != nil {
		return nil, err
	}
	if err := d.structure("", own, c.args.Elem()); err != nil {
		return nil, err
	}
	if v, ok := c.args.Interface().(Validator); ok {
		if err := v.Validate(); err != nil {
			return nil, &ArgumentError{Module: m.Name, Problem: err.Error()}
		}
	}
	return c, nil
}

// Hosts are the hosts that the call names, without repeats, in the order of the module's arguments.
func (c *Call) Hosts() []HostName { return slices.Clone(c.names) }

// Args is the pointer to the decoded argument struct.
func (c *Call) Args() any { return c.args.Interface() }

// Secrets are the values of the call that must not be shown anywhere.
func (c *Call) Secrets() []string {
	var found []string
	collectSecrets(c.args.Elem(), &found)
	return found
}

func collectSecrets(v reflect.Value, found *[]string) {
	if v.Type() == secretType {
		if s := v.Interface().(Secret); !s.IsZero() {
			*found = append(*found, s.value)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				collectSecrets(v.Field(i), found)
			}
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() && v.Type() != viewType {
			collectSecrets(v.Elem(), found)
		}
	case reflect.Slice:
		for i := range v.Len() {
			collectSecrets(v.Index(i), found)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			collectSecrets(v.MapIndex(k), found)
		}
	}
}

// Bind gives the call its hosts. After it the call can be run.
func (c *Call) Bind(hosts map[HostName]*host.Host) error {
	c.hosts = map[*host.View]*host.Host{}
	for _, s := range c.slots {
		h, ok := hosts[s.name]
		if !ok {
			return fmt.Errorf("cannot run %s: no host %q", c.Module.Name, s.name)
		}
		s.field.Set(reflect.ValueOf(h.View))
		c.hosts[h.View] = h
	}
	return nil
}

// Replace has the call planned by another function than its module's: what a test of a recipe says that the module would find.
func (c *Call) Replace(plan func(context.Context) (*Plan, error)) { c.instead = plan }

func (c *Call) plan(ctx context.Context) (plan *Plan, err error) {
	if c.instead != nil {
		plan, err = c.instead(ctx)
	} else {
		plan, err = c.Module.plan(ctx, c.args.Interface())
	}
	if err == nil && plan == nil {
		plan = &Plan{}
	}
	if plan != nil {
		plan.Output = maps.Clone(plan.Output)
	}
	return plan, err
}

func failed(err error) Result {
	r := Result{Status: Failed, Err: err}
	var unreachable *host.UnreachableError
	if errors.As(err, &unreachable) {
		r.Status = Unreachable
	}
	return r
}
