package maildir

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"runner/runtime/host"
)

// writer changes the target. Paths are relative to the root; no symbolic link on the way is followed. A writer belongs to
// one goroutine, and what it was asked for need not be done before flush.
type writer interface {
	// stage writes a file of exactly size bytes aside, with its owner, mode and time.
	stage(name string, body io.Reader, size int64, mode uint32, t stamp) error
	// commit gives a staged file its place, replacing what is there.
	commit(name, to string) error
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

// makeQuarantine makes a directory beside the root, or in it where the root is a file system of its own: a rename does not
// leave its file system. It returns the path.
func makeQuarantine(ctx context.Context, h *host.Host, root, stamp string) (string, error) {
	out, err := h.RunCommand(ctx, host.Script(`cd "$1" || exit 1
base=$1.quarantine-$2
[ "$(stat -c %d .)" = "$(stat -c %d ..)" ] || base=$1/`+quarantinePrefix+`$2
n=1 try=$base
until mkdir -m 0700 "$try"; do
  [ -d "$try" ] && [ $n -lt 100 ] || exit 1
  n=$((n+1)) try=$base-$n
done
printf %s "$try"`, root, stamp))
	if err != nil {
		return "", fmt.Errorf("cannot make a quarantine directory for %s on %s: %w", root, h.Name(), err)
	}
	return out.Stdout, nil
}

// stagingName is the name of a pass's staging directory: what the pass is about, a point, and a part that no other pass
// has. On a slow target the writer of a run whose runner was killed can live on for a while; it must not find the files
// of the next run under the names of its own, or it would give them the places of other messages.
func stagingName(from side, o *Options) string {
	return stagingPrefix + recordID(from) + selectionID(o) + "." + strings.ToLower(rand.Text()[:10])
}

// removeStaging removes what dead runs left in the root: the staging directories of passes about the same as this one,
// and those of others that are older than a day.
func removeStaging(ctx context.Context, h *host.Host, at place) error {
	_, err := h.RunCommand(ctx, host.Script(`cd "$1" || exit 1
rm -rf "./$2".* || exit 1
find . -maxdepth 1 -type d -name '`+stagingPrefix+`*' -mtime +0 -exec rm -rf {} \;`, at.root, at.staging[:strings.LastIndexByte(at.staging, '.')]))
	if err != nil {
		return fmt.Errorf("cannot clear the staging directory in %s on %s: %w", at.root, h.Name(), err)
	}
	return nil
}
