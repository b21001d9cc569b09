package modules

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"runner/modules/internal/archive"
	"runner/runtime/host"
	"runner/runtime/module"
)

// archiveArgs are the arguments of archive.
//
// The files are read by tar on from, go through this machine and are written beside the path on to. On the way every file in the archive is
// unpacked and summed up (SHA-256); then from sums up its files once more, and to sums up the archive. Only when both agree with what
// went by, the archive gets its name, and beside it stands path.manifest with the sum of the archive and a line for each file, as sha256sum -c reads
// it. An archive that is there already with its manifest is not made again.
//
// Files that change while they are read fail the step: stop what writes them, or leave them out. Sockets are left out.
//
// # Example
//
//	archive { from = old, to = new, path = "/var/backups/old-final.tar.gz", paths = { "/etc", "/var/vmail", "/root" }, exclude = { "/var/vmail/tmp" } }
//	archive { from = new, path = "/var/backups/etc.tar.gz", paths = { "/etc" } }
//
// # Result
//
//   - path (string): the archive
//   - manifest (string): its manifest
//   - bytes (integer): length of the archive
//   - sha256 (string): its SHA-256
//   - files (integer): files in it
//   - content_bytes (integer): their length
type archiveArgs struct {
	// Host whose files are archived.
	From *host.View `lua:"from,required"`
	// Host that gets the archive; from when it is not given.
	To *host.View `lua:"to"`
	// Whole path of the archive.
	Path string `lua:"path,required"`
	// Whole paths of the files and folders that go into it.
	Paths []string `lua:"paths,required"`
	// Whole paths that are left out, with all below them. "*" stands for any characters.
	Exclude []string `lua:"exclude"`
	// Permissions in octal of the archive and its manifest.
	Mode string `lua:"mode" default:"0600"`
}

// Validate checks what the types of the arguments cannot.
func (a *archiveArgs) Validate() error {
	if !path.IsAbs(a.Path) || strings.ContainsAny(a.Path, "\n\x00") || strings.HasSuffix(a.Path, "/") {
		return fmt.Errorf("path must be a whole path, not %q", a.Path)
	}
	if len(a.Paths) == 0 {
		return errors.New("paths is empty")
	}
	for name, list := range map[string][]string{"paths": a.Paths, "exclude": a.Exclude} {
		for _, p := range list {
			if !path.IsAbs(p) || strings.ContainsAny(p, "\n\x00") {
				return fmt.Errorf("%s: %q is not a whole path", name, p)
			}
		}
	}
	_, err := parseMode(a.Mode)
	return err
}

func planArchive(ctx context.Context, a *archiveArgs) (*module.Plan, error) {
	to := a.To
	if to == nil {
		to = a.From
	}
	job := archive.Job{From: a.From, To: to, Path: path.Clean(a.Path), Paths: a.Paths, Exclude: a.Exclude}
	job.Mode, _ = parseMode(a.Mode)
	for _, p := range a.Paths {
		there, err := pathThere(ctx, a.From, p)
		if err != nil {
			return nil, err
		}
		if !there {
			return nil, module.Absent(fmt.Errorf("cannot archive %s of %s: it is not there", p, a.From.Name()))
		}
	}
	output := map[string]any{"path": job.Path, "manifest": job.Manifest()}
	known, err := job.Known(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot archive files of %s: %w", a.From.Name(), why(err))
	}
	if known != nil {
		for name, value := range archiveOutput(known) {
			output[name] = value
		}
		return &module.Plan{Output: output, Note: fmt.Sprintf("%s is there, with %s", job.Path, countOf(known.Files, "file"))}, nil
	}
	return &module.Plan{Output: output, Changes: []module.Change{{
		Summary: fmt.Sprintf("archive %s of %s in %s", strings.Join(a.Paths, ", "), a.From.Name(), job.Path),
		Apply: func(ctx context.Context, do *module.Apply) error {
			do.Keep(module.Original{Host: to.Name(), Object: job.Path, Value: "(was not there)"})
			made, err := job.Make(ctx, do.Host(to), func(files, bytes int64) {
				do.Progress(module.Progress{Label: "archiving " + a.From.Name(), Done: files, Unit: "files", Bytes: bytes})
			})
			if err != nil {
				return fmt.Errorf("cannot archive files of %s in %s on %s: %w", a.From.Name(), job.Path, to.Name(), why(err))
			}
			for name, value := range archiveOutput(made) {
				do.Output(name, value)
			}
			return nil
		},
	}}}, nil
}

func archiveOutput(s *archive.Sum) map[string]any {
	return map[string]any{"bytes": s.Bytes, "sha256": s.SHA256, "files": s.Files, "content_bytes": s.Content}
}
