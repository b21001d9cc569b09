package host

import "fmt"

// UnreachableError says that a host could not be reached or was lost, as opposed to a host that was reached and refused something.
type UnreachableError struct {
	Host string
	Err  error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("cannot reach %s: %v", e.Host, e.Err) }
func (e *UnreachableError) Unwrap() error { return e.Err }
