package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"runner/runtime/host"
	"runner/runtime/module"
	"runner/runtime/recipe"
)

// Exit codes of the command.
const (
	ExitOK          = 0
	ExitRecipe      = 1   // wrong usage, or a mistake in the recipe or the site
	ExitFailed      = 2   // a step failed on a host
	ExitGate        = 3   // a gate was answered with no, or nobody was there to answer
	ExitUnreachable = 4   // a host could not be reached
	ExitStopped     = 130 // stopped by Ctrl-C or a signal
)

// Failure is an error together with what an operator needs to know of it.
type Failure struct {
	Err    error
	Code   int
	Hosts  []string
	At     *recipe.Position
	Source string // the line at At
	Hint   string // what to do next
	Stack  string // of a bug in the runner, or of the recipe's functions; shown with -v
	told   bool   // the reporters have shown it
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// Told says that the reporters have shown the error already.
func (f *Failure) Told() bool { return f.told }

// hinted is an error that knows what to do next.
type hinted interface{ Hint() string }

func hintOf(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// codeOfHosts is the exit code for what failed on several hosts: they count as unreachable when all of them are.
func codeOfHosts(each *recipe.EachError) int {
	code := CodeOf(each.Failures[0].Err)
	for _, h := range each.Failures {
		if CodeOf(h.Err) != code {
			return ExitFailed
		}
	}
	return code
}

// CodeOf is the exit code for an error.
func CodeOf(err error) int {
	var f *Failure
	var argument *module.ArgumentError
	var unreachable *host.UnreachableError
	var each *recipe.EachError
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrStopped), errors.Is(err, context.Canceled):
		return ExitStopped
	case errors.Is(err, ErrGate):
		return ExitGate
	case errors.As(err, &each) && len(each.Failures) > 1:
		return codeOfHosts(each)
	case errors.As(err, &f) && f.Code != 0:
		return f.Code
	case errors.As(err, &argument):
		return ExitRecipe
	case errors.As(err, &unreachable):
		return ExitUnreachable
	}
	return ExitRecipe
}

// bugError is a panic of the runner itself.
type bugError struct {
	value any
	stack string
}

func (e *bugError) Error() string {
	return fmt.Sprintf("cannot go on: this is a bug in runner, not in your recipe: %v", e.value)
}

func (e *bugError) Hint() string {
	return "run it again with -v and send what it shows to the authors of runner; nothing else is needed to go on"
}

// plainReason turns what Go says of common failures into what an operator says.
func plainReason(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission) && hintOf(err) == "":
		return &hintError{err, "log in as a user who may, or give the step or the host sudo = true"}
	}
	return err
}

type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }
func (e *hintError) Hint() string  { return e.hint }

// Silent is an error that has been told already and only sets the exit code.
func Silent(code int) error {
	return &Failure{Err: fmt.Errorf("ended with status %d", code), Code: code, told: true}
}
