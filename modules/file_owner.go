package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// findID is the number of a user or group as the host itself knows it, -1 when no name is given.
func findID(ctx context.Context, v *host.View, database, kind, name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		return n, nil
	}
	out, err := v.Query(ctx, "getent", database, name)
	var exit *host.ExitError
	if errors.As(err, &exit) && exit.Status == 2 {
		return 0, module.Absent(fmt.Errorf("cannot find the %s %s on %s", kind, name, v.Name()))
	}
	if err != nil {
		return 0, fmt.Errorf("cannot look for the %s %s on %s: %w", kind, name, v.Name(), why(err))
	}
	fields := strings.Split(out.Stdout, ":")
	if len(fields) < 3 {
		return 0, fmt.Errorf("cannot look for the %s %s on %s: getent printed %q", kind, name, v.Name(), out.Stdout)
	}
	n, err := strconv.Atoi(fields[2])
	if err != nil {
		return 0, fmt.Errorf("cannot look for the %s %s on %s: getent printed %q", kind, name, v.Name(), out.Stdout)
	}
	return n, nil
}

// followFile is where path leads when symbolic links are followed, and what is there.
func followFile(ctx context.Context, v *host.View, p string) (string, host.FileInfo, error) {
	out, err := v.Query(ctx, "readlink", "-f", "--", p)
	if err != nil {
		return "", host.FileInfo{}, fmt.Errorf("cannot follow the link %s on %s: %w", p, v.Name(), why(err))
	}
	real := strings.TrimSuffix(out.Stdout, "\n")
	info, err := v.Lstat(ctx, real)
	return real, info, err
}

// follow goes on with what a symbolic link at the path leads to. In a folder in which everybody may write, a link of somebody
// else could lead anywhere and is refused, as the kernel's protected_symlinks does (proc(5)).
func (w *fileWork) follow(ctx context.Context) error {
	dir, err := w.view.Stat(ctx, path.Dir(w.path))
	if err != nil {
		return fmt.Errorf("cannot look at %s on %s: %w", path.Dir(w.path), w.view.Name(), why(err))
	}
	facts, err := w.view.Facts(ctx)
	if err != nil {
		return err
	}
	if dir.Mode.Perm()&0o002 != 0 && w.info.UID != facts.UID && w.info.UID != dir.UID {
		return fmt.Errorf("cannot follow the link %s on %s: it belongs to another user (%d) and lies in a folder in which everybody may write",
			w.path, w.view.Name(), w.info.UID)
	}
	real, info, err := followFile(ctx, w.view, w.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && real != "":
		w.path, w.info = real, nil
	case err != nil:
		return err
	default:
		w.path, w.info = real, &info
	}
	return nil
}

// attr is what the file is to look like: what was asked for, else as it is, else fallback.
func (w *fileWork) attr(fallback fs.FileMode) host.Attr {
	a := host.Attr{Mode: fallback, UID: w.uid, GID: w.gid}
	if w.info != nil {
		a.Mode = w.info.Mode & modeBits
		if a.UID < 0 {
			a.UID = w.info.UID
		}
		if a.GID < 0 {
			a.GID = w.info.GID
		}
	}
	if w.mode != nil {
		a.Mode = *w.mode
	}
	return a
}

// planAttr are the changes of mode and owner of something that is there.
func (w *fileWork) planAttr() []module.Change {
	var changes []module.Change
	// A new owner takes the set-uid bit away, so the mode comes last.
	if w.uid >= 0 && w.uid != w.info.UID || w.gid >= 0 && w.gid != w.info.GID {
		before := fmt.Sprintf("%d:%d", w.info.UID, w.info.GID)
		want := w.attr(0)
		after := fmt.Sprintf("%d:%d", want.UID, want.GID)
		changes = append(changes, module.Change{
			Summary: fmt.Sprintf("set owner of %s to %s", w.path, w.ownerName(after)), Before: before, After: after,
			Apply: func(ctx context.Context, do *module.Apply) error {
				do.Keep(module.Original{Host: w.view.Name(), Object: w.path + " owner", Value: before})
				if err := do.Host(w.view).Files().Chown(ctx, w.path, want.UID, want.GID); err != nil {
					return fmt.Errorf("cannot set the owner of %s on %s: %w", w.path, w.view.Name(), why(err))
				}
				return nil
			},
		})
	}
	if w.mode != nil && (*w.mode != w.info.Mode&modeBits || len(changes) > 0 && *w.mode&(fs.ModeSetuid|fs.ModeSetgid) != 0) {
		before := octal(w.info.Mode)
		changes = append(changes, module.Change{
			Summary: fmt.Sprintf("set mode of %s to %s", w.path, octal(*w.mode)), Before: before, After: octal(*w.mode),
			Apply: func(ctx context.Context, do *module.Apply) error {
				do.Keep(module.Original{Host: w.view.Name(), Object: w.path + " mode", Value: before})
				if err := do.Host(w.view).Files().Chmod(ctx, w.path, *w.mode); err != nil {
					return fmt.Errorf("cannot set the mode of %s on %s: %w", w.path, w.view.Name(), why(err))
				}
				return nil
			},
		})
	}
	return changes
}

// ownerName is the owner in the recipe's words where it gave them.
func (w *fileWork) ownerName(numbers string) string {
	switch {
	case w.args.Owner != "" && w.args.Group != "":
		return w.args.Owner + ":" + w.args.Group
	case w.args.Owner != "":
		return w.args.Owner
	case w.args.Group != "":
		return "group " + w.args.Group
	}
	return numbers
}
