package maildir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"runner/runtime/host"
)

// makeQuarantine makes a directory beside the root, or in it where the root is a file system of its own: a rename does not
// leave its file system. It returns the path.
func makeQuarantine(ctx context.Context, h *host.Host, root, stamp string) (string, error) {
	if direct(h.View) {
		path, err := mkdirQuarantine(root, stamp)
		if err != nil {
			return "", fmt.Errorf("cannot make a quarantine directory for %s: %w", root, err)
		}
		return path, nil
	}
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

// mkdirQuarantine is makeQuarantine on the runner's own host.
func mkdirQuarantine(root, stamp string) (string, error) {
	inside, err := os.Stat(root)
	if err != nil {
		return "", err
	}
	above, err := os.Stat(root + "/..")
	if err != nil {
		return "", err
	}
	base := root + ".quarantine-" + stamp
	if !sameDevice(inside, above) {
		base = root + "/" + quarantinePrefix + stamp
	}
	try := base
	for n := 2; ; n++ {
		err := os.Mkdir(try, 0o700)
		if !errors.Is(err, fs.ErrExist) || n > 100 {
			return try, err
		}
		try = base + "-" + strconv.Itoa(n)
	}
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
	prefix := at.staging[:strings.LastIndexByte(at.staging, '.')]
	if direct(h.View) {
		if err := removeDead(at.root, prefix+"."); err != nil {
			return fmt.Errorf("cannot clear the staging directory in %s: %w", at.root, err)
		}
		return nil
	}
	_, err := h.RunCommand(ctx, host.Script(`cd "$1" || exit 1
rm -rf "./$2".* || exit 1
find . -maxdepth 1 -type d -name '`+stagingPrefix+`*' -mtime +0 -exec rm -rf {} \;`, at.root, prefix))
	if err != nil {
		return fmt.Errorf("cannot clear the staging directory in %s on %s: %w", at.root, h.Name(), err)
	}
	return nil
}

// removeDead is removeStaging on the runner's own host.
func removeDead(root, prefix string) error {
	list, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, e := range list {
		dead := strings.HasPrefix(e.Name(), prefix)
		if !dead && strings.HasPrefix(e.Name(), stagingPrefix) && e.IsDir() {
			info, err := e.Info()
			dead = err == nil && time.Since(info.ModTime()) > 24*time.Hour
		}
		if dead {
			if err := os.RemoveAll(root + "/" + e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}
