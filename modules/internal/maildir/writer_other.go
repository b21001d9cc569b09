//go:build !linux

package maildir

import (
	"errors"
	"io/fs"
)

// directSupported says that this system has a writer that makes system calls.
const directSupported = false

func openLocal(place, int) (writer, error) {
	return nil, errors.New("cannot write mailboxes by system calls on this system")
}

// walker lists directories on systems that it is written for; see directSupported.
type walker struct{}

func openWalker(string) (*walker, error) {
	return nil, errors.New("cannot list mailboxes by system calls on this system")
}

func (*walker) close() {}

func (*walker) stat(string) (node, error) { panic("no walker was opened") }

func (*walker) directory(string, func(string, *node, uint64) error) (gone, err error) {
	panic("no walker was opened")
}

func sameDevice(fs.FileInfo, fs.FileInfo) bool { return false }

func syncLocal(string) error { panic("unreachable") }
