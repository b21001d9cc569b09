package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

func (w *fileWork) planAbsent(ctx context.Context) ([]module.Change, error) {
	if w.info == nil {
		return nil, nil
	}
	c := module.Change{Summary: fmt.Sprintf("remove %s %s", kindOf(w.info.Mode)[2:], w.path), Destroys: true, Apply: w.remove}
	switch {
	case w.info.Mode.IsDir():
		entries, err := w.view.ReadDir(ctx, w.path)
		if err != nil {
			return nil, fmt.Errorf("cannot look into %s on %s: %w", w.path, w.view.Name(), why(err))
		}
		if len(entries) > 0 && !w.args.Recurse {
			// Absent: an earlier step may be the one that empties it.
			return nil, module.Absent(module.WithHint(fmt.Errorf("cannot remove the folder %s on %s: it is not empty (%s)", w.path, w.view.Name(), firstNames(entries)),
				"recurse = true removes it with all that is in it"))
		}
		if len(entries) > 0 {
			if err := removable(w.path); err != nil {
				return nil, err
			}
			c.Summary += " with all that is in it"
		}
	case w.info.Mode.IsRegular() && w.info.Mode.Perm()&0o004 == 0:
		c.Before = countOf(w.info.Size, "byte") + " " + privateContent
	case w.info.Mode.IsRegular() && w.info.Size <= largestShown:
		data, err := w.view.ReadFile(ctx, w.path)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s on %s: %w", w.path, w.view.Name(), why(err))
		}
		c.Before = showContent(data)
	}
	return []module.Change{c}, nil
}

// removable refuses to take away a whole part of the system.
func removable(p string) error {
	if strings.Count(p, "/") < 2 || slices.Contains([]string{"/usr/bin", "/usr/sbin", "/usr/lib", "/usr/share", "/var/lib", "/var/log", "/var/spool", "/var/mail"}, p) {
		return fmt.Errorf("cannot remove the folder %s with all that is in it: it belongs to the system", p)
	}
	return nil
}

func firstNames(entries []host.FileInfo) string {
	var names []string
	for i, e := range entries {
		if i == 3 {
			names = append(names, "…")
			break
		}
		names = append(names, path.Base(e.Path))
	}
	return strings.Join(names, ", ")
}

func (w *fileWork) remove(ctx context.Context, do *module.Apply) error {
	h := do.Host(w.view)
	if w.info.Mode.IsDir() {
		return w.removeFolder(ctx, do)
	}
	if err := w.keep(ctx, do); err != nil {
		return err
	}
	if err := h.Files().Remove(ctx, w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove %s on %s: %w", w.path, w.view.Name(), why(err))
	}
	return nil
}

// removeFolder moves the folder to the backups, or takes it away. What is mounted in it is left alone.
func (w *fileWork) removeFolder(ctx context.Context, do *module.Apply) error {
	h := do.Host(w.view)
	entries, err := w.view.ReadDir(ctx, w.path)
	if err != nil {
		return fmt.Errorf("cannot look into %s on %s: %w", w.path, w.view.Name(), why(err))
	}
	switch {
	case len(entries) == 0:
		err = h.Files().Remove(ctx, w.path)
	case !w.args.Recurse:
		err = fmt.Errorf("there is now something in it (%s)", firstNames(entries))
	case w.args.Backup:
		return w.keep(ctx, do)
	default:
		_, err = h.Run(ctx, "rm", "-rf", "--one-file-system", "--", w.path)
	}
	if err != nil {
		return fmt.Errorf("cannot remove %s on %s: %w", w.path, w.view.Name(), why(err))
	}
	return nil
}

// keepScript copies $1, or moves it when it is a folder, below the backup folder $2 and prints where it is.
const keepScript = `umask 077
dest=$2$1
mkdir -p "${dest%/*}" || exit
n=1
while [ -e "$dest" ] || [ -L "$dest" ]; do n=$((n+1)); dest=$2$1.$n; done
if [ -d "$1" ] && ! [ -L "$1" ]; then mv -T -- "$1" "$dest" || exit
else cp -dp -- "$1" "$dest" || exit
fi
printf '%s\n' "$dest"`

// keep puts what is there aside and records where.
func (w *fileWork) keep(ctx context.Context, do *module.Apply) error {
	if !w.args.Backup || w.info.Mode&fs.ModeType != 0 && !w.info.Mode.IsDir() && w.info.Mode&fs.ModeSymlink == 0 {
		return nil // a pipe, a socket or a device holds nothing
	}
	h := do.Host(w.view)
	root, err := backupFolder(ctx, w.view)
	if err != nil {
		return err
	}
	out, err := h.RunCommand(ctx, host.Script(keepScript, w.path, path.Join(root, time.Now().UTC().Format("20060102T150405Z"))))
	if err != nil {
		return module.WithHint(fmt.Errorf("cannot keep a copy of %s on %s: %w", w.path, w.view.Name(), why(err)), "backup = false goes on without one")
	}
	do.Keep(module.Original{Host: w.view.Name(), Object: w.path, Backup: strings.TrimSuffix(out.Stdout, "\n")})
	return nil
}

// backupFolder is where the host keeps what was overwritten.
func backupFolder(ctx context.Context, v *host.View) (string, error) {
	facts, err := v.Facts(ctx)
	if err != nil {
		return "", err
	}
	if facts.UID == 0 {
		return "/var/backups/runner", nil
	}
	out, err := v.QueryScript(ctx, `printf '%s\n' "$HOME"`)
	if err != nil {
		return "", fmt.Errorf("cannot find the home folder of %s on %s: %w", facts.User, v.Name(), why(err))
	}
	home := strings.TrimSuffix(out.Stdout, "\n")
	if !path.IsAbs(home) {
		return "", fmt.Errorf("cannot keep copies on %s: %s has no home folder", v.Name(), facts.User)
	}
	return path.Join(home, ".runner/backups"), nil
}

// planDirectory makes the folder, and those above it that are missing.
func (w *fileWork) planDirectory(ctx context.Context) ([]module.Change, error) {
	if w.info != nil {
		if !w.info.Mode.IsDir() {
			return nil, fmt.Errorf("cannot make the folder %s on %s: there is %s of that name", w.path, w.view.Name(), kindOf(w.info.Mode))
		}
		return w.planAttr(), nil
	}
	var missing []string
	for dir := path.Dir(w.path); dir != "/"; dir = path.Dir(dir) {
		info, err := w.view.Stat(ctx, dir)
		if errors.Is(err, fs.ErrNotExist) {
			missing = append([]string{dir}, missing...)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot look at %s on %s: %w", dir, w.view.Name(), why(err))
		}
		if !info.Mode.IsDir() {
			return nil, fmt.Errorf("cannot make the folder %s on %s: %s is %s", w.path, w.view.Name(), dir, kindOf(info.Mode))
		}
		break
	}
	attr := w.attr(0o755)
	return []module.Change{{
		Summary: fmt.Sprintf("make folder %s (mode %s)", w.path, octal(attr.Mode)),
		After:   "folder, mode " + octal(attr.Mode),
		Apply: func(ctx context.Context, do *module.Apply) error {
			do.Keep(module.Original{Host: w.view.Name(), Object: w.path, Value: "(was not there)"})
			return makeFolders(ctx, do.Host(w.view), missing, w.path, attr)
		},
	}}, nil
}

func makeFolders(ctx context.Context, h *host.Host, above []string, p string, attr host.Attr) error {
	files := h.Files()
	wrong := func(err error) error { return fmt.Errorf("cannot make the folder %s on %s: %w", p, h.Name(), why(err)) }
	for _, dir := range above {
		if err := files.Mkdir(ctx, dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return wrong(err)
		}
	}
	if err := files.Mkdir(ctx, p, attr.Mode.Perm()); err != nil && !errors.Is(err, fs.ErrExist) {
		return wrong(err)
	}
	if attr.UID >= 0 || attr.GID >= 0 {
		if err := files.Chown(ctx, p, attr.UID, attr.GID); err != nil {
			return wrong(err)
		}
	}
	// The umask of the host has its say in mkdir, not in chmod.
	if err := files.Chmod(ctx, p, attr.Mode); err != nil {
		return wrong(err)
	}
	return nil
}

// planLink makes a symbolic link.
func (w *fileWork) planLink(ctx context.Context) ([]module.Change, error) {
	before := ""
	if w.info != nil {
		if w.info.Mode&fs.ModeSymlink == 0 {
			return nil, fmt.Errorf("cannot make the link %s on %s: there is %s of that name", w.path, w.view.Name(), kindOf(w.info.Mode))
		}
		target, err := w.view.Readlink(ctx, w.path)
		if err != nil {
			return nil, fmt.Errorf("cannot read the link %s on %s: %w", w.path, w.view.Name(), why(err))
		}
		if target == w.args.Target {
			return nil, nil
		}
		before = target
	}
	return []module.Change{{
		Summary: fmt.Sprintf("link %s to %s", w.path, w.args.Target), Before: before, After: w.args.Target,
		Apply: func(ctx context.Context, do *module.Apply) error {
			original := module.Original{Host: w.view.Name(), Object: "link " + w.path, Value: before}
			if before == "" {
				original.Value = "(was not there)"
			}
			do.Keep(original)
			return replaceLink(ctx, do.Host(w.view), w.args.Target, w.path)
		},
	}}, nil
}

// replaceLink puts the link at the path by renaming, so that there is a link there at every moment.
func replaceLink(ctx context.Context, h *host.Host, target, p string) error {
	aside, err := asideName(p)
	if err != nil {
		return err
	}
	files := h.Files()
	if err = files.Symlink(ctx, target, aside); err == nil {
		if err = files.Rename(ctx, aside, p); err != nil {
			_ = files.Remove(context.WithoutCancel(ctx), aside)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot make the link %s on %s: %w", p, h.Name(), why(err))
	}
	return nil
}
