//go:build !linux

package maildir

import "errors"

// directSupported says that this system has a writer that makes system calls.
const directSupported = false

func openLocal(place, int) (writer, error) {
	return nil, errors.New("cannot write mailboxes by system calls on this system")
}
