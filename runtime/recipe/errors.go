package recipe

import (
	"errors"
	"fmt"
)

// Error is what went wrong in a recipe or a site file, or in a step that a recipe asked for, with the place in the file.
type Error struct {
	At    Position // Line 0: the file as a whole
	What  string   // the message without the place
	Line  string   // the line of the file at At
	Err   error    // the cause; nil for a mistake in the Lua itself
	Trace string   // the calls that led there, for -v
}

func (e *Error) Error() string {
	switch {
	case e.At.File == "":
		return e.What
	case e.At.Line == 0:
		return e.At.File + ": " + e.What
	}
	return e.At.String() + ": " + e.What
}

func (e *Error) Unwrap() error { return e.Err }

// Bare is the error without its place, for a report that shows the place on a line of its own.
func (e *Error) Bare() error { return &Error{What: e.What, Err: e.Err} }

// PanicError is a mistake in the runner itself that came to light while a recipe asked for something.
type PanicError struct {
	Value any
	Stack string
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("cannot go on: this is a bug in runner, not in your recipe: %v", e.Value)
}

// finalError is an error that a recipe cannot catch.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// Final marks an error that the recipe's pcall must not catch: the run is being stopped, and a recipe that tries again
// until a step succeeds would never end.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &finalError{err}
}

func isFinal(err error) bool {
	var f *finalError
	var p *PanicError
	return errors.As(err, &f) || errors.As(err, &p)
}
