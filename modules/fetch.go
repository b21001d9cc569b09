package modules

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// fetchArgs are the arguments of fetch.
//
// The file is streamed beside the target and renamed over it when its SHA-256 is the one that the host computes. One that
// is the same already is not fetched.
//
// # Example
//
//	fetch { on = old, path = "/var/backups/final.tar.gz", target = "archive/old.tar.gz" }
//
// # Result
//
//   - target (string): the whole path on this machine
//   - bytes (integer): length of the file
//   - sha256 (string): its SHA-256
type fetchArgs struct {
	// Host that has the file.
	On *host.View `lua:"on,required"`
	// Whole path on the host.
	Path string `lua:"path,required"`
	// Path on this machine; one that ends with "/" is a folder. One that is not whole begins at the current folder. Folders that are missing are made.
	Target string `lua:"target,required"`
	// Permissions in octal of the file on this machine.
	Mode string `lua:"mode" default:"0600"`
}

// Validate checks what the types of the arguments cannot.
func (a *fetchArgs) Validate() error {
	if !path.IsAbs(a.Path) || strings.ContainsAny(a.Path, "\n\x00") {
		return fmt.Errorf("path must be a whole path, not %q", a.Path)
	}
	if a.Target == "" || strings.ContainsAny(a.Target, "\n\x00") {
		return errors.New("target must be a path on this machine")
	}
	_, err := parseMode(a.Mode)
	return err
}

func (a *fetchArgs) target() (string, error) {
	name := a.Target
	if strings.HasSuffix(name, "/") {
		name += path.Base(a.Path)
	}
	return filepath.Abs(name)
}

func planFetch(ctx context.Context, a *fetchArgs) (*module.Plan, error) {
	target, err := a.target()
	if err != nil {
		return nil, fmt.Errorf("cannot find the current folder: %w", err)
	}
	info, err := a.On.Stat(ctx, a.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, module.Absent(fmt.Errorf("cannot find %s on %s", a.Path, a.On.Name()))
	case err != nil:
		return nil, fmt.Errorf("cannot look at %s on %s: %w", a.Path, a.On.Name(), why(err))
	case !info.Mode.IsRegular():
		return nil, fmt.Errorf("cannot fetch %s from %s: it is %s, not a file", a.Path, a.On.Name(), kindOf(info.Mode))
	}
	sum, err := sumRemote(ctx, a.On, a.Path)
	if err != nil {
		return nil, err
	}
	plan := &module.Plan{Output: map[string]any{"target": target, "bytes": info.Size, "sha256": sum}}
	c := module.Change{
		Summary: fmt.Sprintf("fetch %s to %s (%s)", a.Path, target, countOf(info.Size, "byte")), After: countOf(info.Size, "byte") + ", sha256 " + sum,
		Apply: func(ctx context.Context, do *module.Apply) error { return a.take(ctx, do, target, sum, info.Size) },
	}
	switch here, err := os.Lstat(target); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("cannot look at %s on this machine: %w", target, localReason(err))
	case !here.Mode().IsRegular():
		return nil, fmt.Errorf("cannot write %s on this machine: it is %s, not a file", target, kindOf(here.Mode()))
	default:
		c.Before, c.Destroys = countOf(here.Size(), "byte"), true
		if here.Size() != info.Size {
			break
		}
		got, _, err := sumLocal(ctx, target)
		if err != nil {
			return nil, err
		}
		if got == sum {
			plan.Note = alreadySo(nil)
			return plan, nil
		}
	}
	plan.Changes = []module.Change{c}
	return plan, nil
}

func (a *fetchArgs) take(ctx context.Context, do *module.Apply, target, sum string, size int64) error {
	wrong := func(err error) error {
		return fmt.Errorf("cannot fetch %s from %s to %s: %w", a.Path, a.On.Name(), target, localReason(why(err)))
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return wrong(err)
	}
	in, err := a.On.Open(ctx, a.Path)
	if err != nil {
		return wrong(err)
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(target), "."+filepath.Base(target)+".runner-*")
	if err != nil {
		return wrong(err)
	}
	defer os.Remove(out.Name())
	mode, _ := parseMode(a.Mode)
	from := &counted{ctx: ctx, from: in, do: do, label: "fetching " + a.Path, total: size, sum: sha256.New()}
	_, err = io.Copy(out, from)
	if err == nil {
		err = out.Chmod(mode)
	}
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return wrong(err)
	}
	if got := hex.EncodeToString(from.sum.Sum(nil)); got != sum {
		return wrong(fmt.Errorf("what arrived has the SHA-256 %s, and that of the file is %s: is it being written?", got, sum))
	}
	if err := os.Rename(out.Name(), target); err != nil {
		return wrong(err)
	}
	return nil
}
