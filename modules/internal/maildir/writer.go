package maildir

import (
	"context"
	"io"

	"runner/runtime/host"
)

// writer changes the target. Paths are relative to the root; no symbolic link on the way is followed. A writer belongs to
// one goroutine, and what it was asked for need not be done before flush.
type writer interface {
	// stage writes a file of exactly size bytes aside, with its owner, mode and time.
	stage(name string, body io.Reader, size int64, mode uint32, t stamp) error
	// commit gives a staged file its place, replacing what is there.
	commit(name, to string) error
	// stageDir makes a directory aside in which files can be staged that go to one directory; it gets the owner and mode of that.
	stageDir(name, to string) error
	// commitDir gives the files staged in a directory their places: all at once where the one that they go to is empty.
	commitDir(name, to string) error
	// do does a piece of work other than copying.
	do(w work) error
	// sync makes what was written so far survive a loss of power.
	sync() error
	// flush waits until all is done and tells the first failure.
	flush() error
	// lost is how many links could not be made because the file to link to was not there.
	lost() int
	// close gives the writer up, its staged files with it.
	close() error
}

// copySize is the size of one write; most messages are smaller.
const copySize = 256 << 10

// place is what all writers of a pass share.
type place struct {
	root       string
	owner      ids
	staging    string // name of the staging directory in the root
	quarantine string // path of the quarantine directory, once a pass needs one
}

// openWriter opens a writer whose staged files do not meet those of the writers with other numbers.
func openWriter(ctx context.Context, h *host.Host, at place, number int, o *Options) (writer, error) {
	if direct(h.View) {
		return openLocal(at, number)
	}
	return openAgent(ctx, h, at, number, o.Stall)
}
