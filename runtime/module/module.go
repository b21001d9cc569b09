// Package module is the contract between a recipe's steps and the modules that carry them out.
//
// A module is a declared value with one function, its plan: it looks at the hosts and returns the changes it would
// make. From that alone follow check mode, diff, the journal, convergence and the refusal to write in check mode; no
// module knows of them.
package module

import (
	"context"
	"fmt"
	"reflect"
)

// Module is a declared module. Make one with [Define].
type Module struct {
	// Name is how a recipe calls it: "service" or "mysql.copy".
	Name string
	// Summary is one line for the reference, without a full stop.
	Summary string

	args reflect.Type
	plan func(ctx context.Context, args any) (*Plan, error)
}

// Define declares a module. A is the struct of its arguments: exported fields with a `lua` tag, whose comments in the
// source are the reference (see [Fields]). The plan function may read the hosts in its arguments and must change nothing.
// Define panics on a struct that cannot be decoded, so that a wrong declaration fails in the first test that lists the modules.
func Define[A any](name, summary string, plan func(ctx context.Context, args *A) (*Plan, error)) Module {
	t := reflect.TypeFor[A]()
	if _, err := fieldsOf(t); err != nil {
		panic(fmt.Sprintf("module %s: %v", name, err))
	}
	return Module{
		Name: name, Summary: summary, args: t,
		plan: func(ctx context.Context, args any) (*Plan, error) { return plan(ctx, args.(*A)) },
	}
}

// Args is the struct type of the module's arguments.
func (m Module) Args() reflect.Type { return m.args }

// Validator is implemented by argument structs whose fields depend on each other. It runs after decoding and before
// anything is done; its error names the argument ("line needs path"). Hosts are not there yet: a *host.View says no more than whether one was given.
type Validator interface{ Validate() error }

// Plan is what a step would do now.
type Plan struct {
	// Changes in the order in which they are applied; none: nothing to do.
	Changes []Change

	// Output is what the module found; the recipe gets it as fields of the step's result. Values are nil, bool, int, int64,
	// float64, string, []any, []string, map[string]any or a nesting of them. Keys are lower_case.
	Output map[string]any

	// Note says why there is nothing to do, or what was found, in a few words ("already running"). Optional.
	Note string

	// Moving says that what was looked at changes by itself while the step runs (the mailboxes of a live server), so that
	// planning again after the changes proves nothing.
	Moving bool

	// Stops and Starts name what the changes take from people and give them back ("SMTP", "IMAP"): a run tells for how long they
	// went without. Optional.
	Stops, Starts []string

	// Table is what was found, where it is more than a note can hold. Reports show it. Optional.
	Table *Table
}

// Table is a small table of text for people. Every row has as many cells as there are columns.
type Table struct {
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// Change is one change of one host, small enough to be told in a line.
type Change struct {
	// Summary is imperative and names the object: "set soft_bounce = yes", "copy 12 041 messages, 1.2 GiB".
	Summary string

	// Before and After are what --diff shows: a value, a file, a row. Both empty: there is nothing to show.
	Before, After string

	// Action marks what is done each time it is asked for (restart, run a command): it does not converge.
	Action bool

	// Wait marks a change that changes nothing but waits until something is so (a port answers, the DNS says so).
	// The step's result stays "ok".
	Wait bool

	// Destroys marks a change that removes or overwrites data.
	Destroys bool

	// Apply makes the change.
	Apply func(ctx context.Context, do *Apply) error
}

// Secret is a value that must never be shown: its every printed form is a mask. Only Reveal gives it away, and whoever
// calls that keeps the value out of argv, environment and messages.
type Secret struct{ value string }

// Mask is what is shown instead of a secret.
const Mask = "********"

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{value} }

// Reveal returns the value.
func (s Secret) Reveal() string { return s.value }

// IsZero says that there is no value.
func (s Secret) IsZero() bool { return s.value == "" }

func (s Secret) String() string               { return Mask }
func (s Secret) GoString() string             { return Mask }
func (s Secret) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// AbsentError marks an error whose cause is that something is not there which an earlier step could have made: a
// database, a file, a service. In check mode such a step is told as "cannot tell before …" when an earlier step has changes pending.
type AbsentError struct{ Err error }

func (e *AbsentError) Error() string { return e.Err.Error() }
func (e *AbsentError) Unwrap() error { return e.Err }

// Absent marks err; see [AbsentError].
func Absent(err error) error {
	if err == nil {
		return nil
	}
	return &AbsentError{err}
}
