// Package archive puts files of a host into a compressed archive on a host, and proves that what was written is what is there.
package archive

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"runner/runtime/host"
)

// Job is an archive to be made.
type Job struct {
	From, To *host.View
	Path     string // of the archive on To
	Paths    []string
	Exclude  []string
	Mode     fs.FileMode
}

// Sum is what an archive comes to.
type Sum struct {
	SHA256  string
	Bytes   int64 // of the archive
	Files   int64
	Content int64 // bytes of the files in it
}

// Manifest is the path of the archive's manifest.
func (j Job) Manifest() string { return j.Path + ".manifest" }

// both runs find(1) with the arguments into another program and ends with 0 when both do: the shells of old hosts tell only of
// the last program of a pipe. Paths begin at /, so that they can be unpacked elsewhere.
const both = `cd / || exit
LC_ALL=C; export LC_ALL
exec 4>&1
status=$( { { find "$@"; echo $? >&3; } | %s >&4; echo $? >&3; } 3>&1 )
case $status in "0
0") ;; *) exit 1;; esac`

var (
	packScript = fmt.Sprintf(both, "tar --null --no-recursion -T - -czf -")
	sumScript  = fmt.Sprintf(both, "xargs -0 -r sha256sum --")
)

// findArgs are arguments of find(1) for what goes into the archive. It does not go into itself.
func (j Job) findArgs(kind ...string) []string {
	var starts, leave []string
	for _, p := range j.Paths {
		starts = append(starts, "."+path.Clean(p))
	}
	out := slices.Clone(j.Exclude)
	if j.From.Name() == j.To.Name() {
		out = append(out, literal(j.Path), literal(j.Manifest()), literal(path.Dir(j.Path))+"/."+literal(path.Base(j.Path))+".runner-*")
	}
	for i, p := range out {
		if i > 0 {
			leave = append(leave, "-o")
		}
		leave = append(leave, "-path", "."+path.Clean(p))
	}
	if len(leave) > 0 {
		leave = slices.Concat([]string{"("}, leave, []string{")", "-prune", "-o"})
	}
	return slices.Concat(starts, leave, kind, []string{"-print0"})
}

// literal is a name as a pattern that only it matches.
func literal(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// Make makes the archive and its manifest on to. progress is told of files and of bytes of the archive.
func (j Job) Make(ctx context.Context, to *host.Host, progress func(files, bytes int64)) (*Sum, error) {
	files := to.Files()
	aside, err := asideOf(j.Path)
	if err != nil {
		return nil, err
	}
	list := aside + ".manifest"
	made, err := j.make(ctx, to, aside, list, progress)
	if err == nil {
		err = files.Rename(ctx, list, j.Manifest())
	}
	if err == nil { // last, so that an archive that is there is whole
		err = files.Rename(ctx, aside, j.Path)
	}
	if err != nil {
		kept := context.WithoutCancel(ctx) // the context may be what failed
		_ = files.Remove(kept, aside)
		_ = files.Remove(kept, list)
		return nil, err
	}
	return made, nil
}

func (j Job) make(ctx context.Context, to *host.Host, aside, list string, progress func(files, bytes int64)) (*Sum, error) {
	packed, made, err := j.pack(ctx, to, aside, progress)
	if err != nil {
		return nil, err
	}
	there, err := j.sums(ctx)
	if err != nil {
		return nil, err
	}
	if err := compare(there, packed); err != nil {
		return nil, err
	}
	out, err := j.To.Query(ctx, "sha256sum", "--", aside)
	if err != nil {
		return nil, fmt.Errorf("it cannot be summed up: %w", err)
	}
	if got, _, _ := strings.Cut(strings.TrimPrefix(out.Stdout, `\`), " "); got != made.SHA256 {
		return nil, fmt.Errorf("what was written has the SHA-256 %s, and %s was sent", got, made.SHA256)
	}
	if err := to.Files().Chmod(ctx, aside, j.Mode); err != nil {
		return nil, err
	}
	return made, j.writeManifest(ctx, to, list, made, packed)
}

// pack streams the archive to its host and sums up every file in it as it goes by.
func (j Job) pack(ctx context.Context, to *host.Host, aside string, progress func(files, bytes int64)) (map[string]string, *Sum, error) {
	process, err := j.From.Stream(ctx, host.Script(packScript, j.findArgs("!", "-type", "s")...))
	if err != nil {
		return nil, nil, err
	}
	defer process.Close()
	said := collect(process.Stderr())
	process.Stdin().Close()
	out, err := to.Files().Create(ctx, aside, 0o600)
	if err != nil {
		return nil, nil, err
	}
	meter := &meter{sum: sha256.New()}
	whole := io.TeeReader(process.Stdout(), io.MultiWriter(out, meter))
	made := &Sum{}
	packed, err := unpack(whole, made, func() { progress(made.Files, meter.bytes) })
	if err == nil {
		_, err = io.Copy(io.Discard, whole)
	}
	// What the programs say is the cause; that the archive ends early only follows from it.
	if failed := process.Wait(); failed != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %s", failed, said())
		if text := said(); text != "" {
			err = errors.New(text)
		}
	}
	if closed := out.Close(); err == nil {
		err = closed
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	made.SHA256, made.Bytes = hex.EncodeToString(meter.sum.Sum(nil)), meter.bytes
	return packed, made, err
}

// unpack reads an archive and returns the SHA-256 of each file in it, by its name.
func unpack(r io.Reader, made *Sum, step func()) (map[string]string, error) {
	zipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("no archive came: %w", err)
	}
	found := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the archive is broken: %w", err)
		}
		switch head.Typeflag {
		case tar.TypeReg:
			digest := sha256.New()
			n, err := io.Copy(digest, archive)
			if err != nil {
				return nil, fmt.Errorf("the archive is broken: %w", err)
			}
			made.Content += n
			found[head.Name] = hex.EncodeToString(digest.Sum(nil))
		case tar.TypeLink: // a further name of a file that came before
			found[head.Name] = found[head.Linkname]
		default:
			continue
		}
		made.Files++
		step()
	}
	if _, err := io.Copy(io.Discard, zipped); err != nil {
		return nil, fmt.Errorf("the archive is broken: %w", err)
	}
	return found, nil
}

// sums are the SHA-256 of the files as the host they come from computes them.
func (j Job) sums(ctx context.Context) (map[string]string, error) {
	process, err := j.From.Stream(ctx, host.Script(sumScript, j.findArgs("-type", "f")...))
	if err != nil {
		return nil, err
	}
	defer process.Close()
	said := collect(process.Stderr())
	process.Stdin().Close()
	found, lines := map[string]string{}, bufio.NewReaderSize(process.Stdout(), 1<<16)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		sum, name, ok := parseSum(strings.TrimSuffix(line, "\n"))
		if !ok {
			return nil, fmt.Errorf("sha256sum printed %q", line)
		}
		found[name] = sum
	}
	if err := process.Wait(); err != nil {
		if text := said(); text != "" && ctx.Err() == nil {
			err = errors.New(text)
		}
		return nil, err
	}
	return found, nil
}

// compare says how the files differ from those in the archive.
func compare(there, packed map[string]string) error {
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(there)) {
		switch sum, ok := packed[name]; {
		case !ok:
			wrong = append(wrong, name+" is not in the archive")
		case sum != there[name]:
			wrong = append(wrong, name+" has changed")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(packed)) {
		if _, ok := there[name]; !ok {
			wrong = append(wrong, name+" has gone")
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	text := strings.Join(wrong[:min(3, len(wrong))], ", ")
	if len(wrong) > 3 {
		text += fmt.Sprintf(" and %d more", len(wrong)-3)
	}
	return fmt.Errorf("files changed while they were read: %s", text)
}

// meter counts and sums up what is written to it.
type meter struct {
	sum   hash.Hash
	bytes int64
}

func (m *meter) Write(p []byte) (int, error) {
	m.bytes += int64(len(p))
	return m.sum.Write(p)
}

// collect reads what a program says as errors; the function returns its last lines once all is read.
func collect(r io.Reader) func() string {
	done := make(chan string, 1)
	go func() {
		var lines []string
		for in := bufio.NewScanner(r); in.Scan(); {
			if lines = append(lines, in.Text()); len(lines) > 3 {
				lines = lines[1:]
			}
		}
		_, _ = io.Copy(io.Discard, r)
		done <- strings.Join(lines, "; ")
	}()
	var text string
	var read bool
	return func() string {
		if !read {
			text, read = <-done, true
		}
		return text
	}
}
