package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Purge removes what [Down] keeps: the keys, and the cache of root file systems. A layer that a host of another lab runs on
// stays.
func Purge(ctx context.Context, o Options, w io.Writer) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	if err := mustBeRoot("remove the cache of the lab"); err != nil {
		return err
	}
	if exists(filepath.Join(o.Dir, "lab.json")) {
		return fmt.Errorf("cannot remove the keys of the lab %q: it is up; runner lab down comes first", o.Name)
	}
	if exists(filepath.Join(o.Dir, marker)) {
		for _, name := range []string{"keys", "lock", marker} {
			if err := os.RemoveAll(filepath.Join(o.Dir, name)); err != nil {
				return err
			}
		}
		os.Remove(o.Dir) // stays when somebody put something else there
	}
	removed, kept := 0, 0
	for _, pattern := range []string{"base-*", "provision-*", "seed-*"} {
		names, _ := filepath.Glob(filepath.Join(o.Cache, pattern))
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			ok, err := removeUnused(name)
			if err != nil {
				return err
			}
			if ok {
				removed++
			} else {
				kept++
			}
		}
	}
	os.Remove(o.Cache)
	fmt.Fprintf(w, "removed %d files and layers of %s; %d are in use\n", removed, o.Cache, kept)
	return nil
}

// removeUnused removes a layer of the cache unless a host runs on it: its supervisor holds a shared lock on the directory.
func removeUnused(name string) (bool, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, os.RemoveAll(name)
}
