package host

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Attr is what a written file is to look like.
type Attr struct {
	Mode     fs.FileMode // permissions
	UID, GID int         // -1: leave as the writing user's
}

// WriteFile puts content at path, whole or not at all: it is written beside path under a new name, given its mode and
// owner, synced, then renamed over path.
func (h *Host) WriteFile(ctx context.Context, name string, content []byte, attr Attr) error {
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	files := h.b.Files()
	aside := path.Join(path.Dir(name), "."+path.Base(name)+".runner-"+hex.EncodeToString(random[:]))
	if err := writeAside(ctx, files, aside, content, attr); err != nil {
		// The context may be what failed; the half-written file must go all the same.
		_ = files.Remove(context.WithoutCancel(ctx), aside)
		return writeError(name, err)
	}
	if err := files.Rename(ctx, aside, name); err != nil {
		_ = files.Remove(context.WithoutCancel(ctx), aside)
		return writeError(name, err)
	}
	return nil
}

// writeError tells of the file that was to be written, not of the one beside it that the operator never named.
func writeError(name string, err error) error {
	var f *FileError
	if errors.As(err, &f) {
		return &FileError{Do: "write", Path: name, Why: f.Why, Err: f.Err}
	}
	return fmt.Errorf("cannot write %s: %w", name, err)
}

func writeAside(ctx context.Context, files Files, aside string, content []byte, attr Attr) error {
	// 0600 until the owner is right: what is written may be a secret.
	w, err := files.Create(ctx, aside, 0o600)
	if err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		w.Close()
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if attr.UID >= 0 || attr.GID >= 0 {
		if err := files.Chown(ctx, aside, attr.UID, attr.GID); err != nil {
			return err
		}
	}
	return files.Chmod(ctx, aside, attr.Mode)
}
