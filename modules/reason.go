package modules

import (
	"errors"
	"fmt"
	"strings"

	"runner/runtime/host"
)

// reason is an error of a host without what was being done to which file or by which command: whoever tells it says that in words
// of his own, and the text of a script is nothing that an operator wants to read.
type reason struct {
	text string
	err  error
}

func (r *reason) Error() string { return r.text }
func (r *reason) Unwrap() error { return r.err }

// why makes a reason of an error where it can.
func why(err error) error {
	var file *host.FileError
	var exit *host.ExitError
	switch {
	case errors.As(err, &file):
		return &reason{file.Why, err}
	case errors.As(err, &exit):
		text := fmt.Sprintf("exit status %d", exit.Status)
		if exit.Signal != "" {
			text = "ended by signal " + exit.Signal
		}
		if said := strings.TrimSpace(exit.Stderr); said != "" {
			text = said[strings.LastIndexByte(said, '\n')+1:]
		}
		return &reason{text, err}
	}
	return err
}
