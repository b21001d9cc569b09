package modules

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// putArgs are the arguments of put.
//
// The file is streamed beside its path, summed up on the host, and renamed over the path when the sums are equal: there is the old one or the
// new one at every moment, and never half of one. What is overwritten is copied first. A file that has the same SHA-256 is not sent.
//
// # Example
//
//	put { on = new, source = "files/ssl.key", path = "/etc/ssl/private/mail.key", owner = "root", group = "ssl-cert", mode = "0640" }
//
// # Result
//
//   - bytes (integer): length of the file
//   - sha256 (string): its SHA-256
type putArgs struct {
	// Host that gets the file.
	On *host.View `lua:"on,required"`
	// Path on this machine. One that is not whole begins at the current folder.
	Source string `lua:"source,required"`
	// Whole path on the host.
	Path string `lua:"path,required"`
	// Permissions in octal. Without it those of the file that is there stay; a new one gets 0644.
	Mode string `lua:"mode"`
	// User who is to own it, by name or number.
	Owner string `lua:"owner"`
	// Group that is to own it, by name or number.
	Group string `lua:"group"`
	// Whether what is overwritten is kept, as [file] does.
	Backup bool `lua:"backup" default:"true"`
}

// Validate checks what the types of the arguments cannot.
func (a *putArgs) Validate() error {
	if a.Source == "" {
		return errors.New("source is empty")
	}
	return (&fileArgs{Path: a.Path, Mode: a.Mode, State: "file"}).Validate()
}

func planPut(ctx context.Context, a *putArgs) (*module.Plan, error) {
	sum, size, err := sumLocal(ctx, a.Source)
	if err != nil {
		return nil, err
	}
	w := &fileWork{view: a.On, path: path.Clean(a.Path), uid: -1, gid: -1,
		args: &fileArgs{On: a.On, Path: path.Clean(a.Path), State: "file", Mode: a.Mode, Owner: a.Owner, Group: a.Group, Backup: a.Backup}}
	if err := w.look(ctx); err != nil {
		return nil, err
	}
	plan := &module.Plan{Output: map[string]any{"bytes": size, "sha256": sum}}
	switch {
	case w.info == nil:
		if err := w.needsFolder(ctx); err != nil {
			return nil, err
		}
	case !w.info.Mode.IsRegular():
		return nil, fmt.Errorf("cannot write %s on %s: it is %s, not a file", w.path, a.On.Name(), kindOf(w.info.Mode))
	case w.info.Size == size:
		there, err := sumRemote(ctx, a.On, w.path)
		if err != nil {
			return nil, err
		}
		if there == sum {
			plan.Changes = w.planAttr()
			plan.Note = alreadySo(plan.Changes)
			return plan, nil
		}
	}
	attr := w.attr(0o644)
	c := module.Change{
		Summary:  fmt.Sprintf("put %s (%s, mode %s)", w.path, countOf(size, "byte"), octal(attr.Mode)),
		After:    countOf(size, "byte") + ", sha256 " + sum,
		Destroys: w.info != nil && !a.Backup,
		Apply:    func(ctx context.Context, do *module.Apply) error { return a.send(ctx, do, w, attr, sum, size) },
	}
	if w.info != nil {
		c.Before = countOf(w.info.Size, "byte")
	}
	plan.Changes = []module.Change{c}
	return plan, nil
}

func (a *putArgs) send(ctx context.Context, do *module.Apply, w *fileWork, attr host.Attr, sum string, size int64) error {
	if w.info != nil {
		if err := w.keep(ctx, do); err != nil {
			return err
		}
	} else {
		do.Keep(module.Original{Host: a.On.Name(), Object: w.path, Value: "(was not there)"})
	}
	f, err := os.Open(a.Source)
	if err != nil {
		return fmt.Errorf("cannot read %s on this machine: %w", a.Source, localReason(err))
	}
	defer f.Close()
	wrong := func(err error) error { return fmt.Errorf("cannot put %s on %s: %w", w.path, a.On.Name(), why(err)) }
	aside, err := asideName(w.path)
	if err != nil {
		return err
	}
	h := do.Host(a.On)
	label := "putting " + w.path
	err = a.stream(ctx, do, h, f, aside, attr, label, size)
	if err == nil {
		err = confirmSum(ctx, a.On, aside, sum)
	}
	if err == nil {
		err = h.Files().Rename(ctx, aside, w.path)
	}
	if err != nil {
		_ = h.Files().Remove(context.WithoutCancel(ctx), aside) // the context may be what failed
		return wrong(err)
	}
	return nil
}

func (a *putArgs) stream(ctx context.Context, do *module.Apply, h *host.Host, from io.Reader, aside string, attr host.Attr, label string, size int64) error {
	files := h.Files()
	out, err := files.Create(ctx, aside, 0o600) // until the owner is right: what is written may be a secret
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, &counted{ctx: ctx, from: from, do: do, label: label, total: size}); err != nil {
		out.Close()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	if attr.UID >= 0 || attr.GID >= 0 {
		if err := files.Chown(ctx, aside, attr.UID, attr.GID); err != nil {
			return err
		}
	}
	return files.Chmod(ctx, aside, attr.Mode)
}

// counted is a reader that tells how far it has come and ends when the context does.
type counted struct {
	ctx   context.Context
	from  io.Reader
	do    *module.Apply
	label string
	done  int64
	total int64
	sum   hash.Hash // nil: not summed up
}

func (c *counted) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.from.Read(p)
	if c.sum != nil {
		c.sum.Write(p[:n])
	}
	c.done += int64(n)
	c.do.Progress(module.Progress{Label: c.label, Bytes: c.done, TotalBytes: c.total})
	return n, err
}

// asideName is a name beside a path that nobody uses.
func asideName(p string) (string, error) {
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return path.Join(path.Dir(p), "."+path.Base(p)+".runner-"+hex.EncodeToString(random[:])), nil
}

// localReason says why something could not be done to a file of this machine.
func localReason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return &reason{p.Err.Error(), err}
	}
	return err
}

// sumLocal is the SHA-256 of a file of this machine, and its length.
func sumLocal(ctx context.Context, name string) (sum string, size int64, err error) {
	f, err := os.Open(filepath.Clean(name))
	if err != nil {
		return "", 0, fmt.Errorf("cannot read %s on this machine: %w", name, localReason(err))
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("cannot read %s on this machine: it is not a file", name)
	}
	digest := sha256.New()
	size, err = io.Copy(digest, stoppable{ctx, f})
	if err != nil {
		return "", 0, fmt.Errorf("cannot read %s on this machine: %w", name, localReason(err))
	}
	return hex.EncodeToString(digest.Sum(nil)), size, nil
}

// stoppable is a reader that ends when the context does.
type stoppable struct {
	ctx  context.Context
	from io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	return s.from.Read(p)
}

// sumRemote is the SHA-256 of a file of a host, computed there.
func sumRemote(ctx context.Context, v *host.View, p string) (string, error) {
	out, err := v.Query(ctx, "sha256sum", "--", p)
	if err != nil {
		return "", fmt.Errorf("cannot sum up %s on %s: %w", p, v.Name(), why(err))
	}
	// A name with a backslash or a line end is marked with a backslash (GNU coreutils).
	sum, _, _ := strings.Cut(strings.TrimPrefix(out.Stdout, `\`), " ")
	if len(sum) != sha256.Size*2 {
		return "", fmt.Errorf("cannot sum up %s on %s: sha256sum printed %q", p, v.Name(), out.Stdout)
	}
	return sum, nil
}

func confirmSum(ctx context.Context, v *host.View, p, want string) error {
	got, err := sumRemote(ctx, v, p)
	if err == nil && got != want {
		err = fmt.Errorf("what arrived has the SHA-256 %s, and %s was sent", got, want)
	}
	return err
}
