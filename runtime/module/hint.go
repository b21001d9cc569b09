package module

type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

// Hint is shown below the error as what to do next.
func (e *hintError) Hint() string { return e.hint }

// WithHint adds to an error what the operator can do next ("look at journalctl -u dovecot"). Reporters find it with an
// interface{ Hint() string } along the chain of the error.
func WithHint(err error, hint string) error {
	if err == nil || hint == "" {
		return err
	}
	return &hintError{err, hint}
}
