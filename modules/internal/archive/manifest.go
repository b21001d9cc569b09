package archive

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// headShape is the first line of a manifest. sha256sum -c passes over it.
const headShape = "# archive sha256 %s bytes %d files %d content %d\n"

// asideOf is a name beside a path that nobody uses.
func asideOf(p string) (string, error) {
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return path.Join(path.Dir(p), "."+path.Base(p)+".runner-"+hex.EncodeToString(random[:])), nil
}

func (j Job) writeManifest(ctx context.Context, to *host.Host, name string, made *Sum, sums map[string]string) error {
	files := to.Files()
	out, err := files.Create(ctx, name, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 1<<16)
	fmt.Fprintf(w, headShape, made.SHA256, made.Bytes, made.Files, made.Content)
	for _, file := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintln(w, sumLine(sums[file], file))
	}
	if err = errors.Join(w.Flush(), out.Close()); err != nil {
		return err
	}
	return files.Chmod(ctx, name, j.Mode)
}

// Known is the archive that is there already, as its manifest has it; nil when there is none.
func (j Job) Known(ctx context.Context) (*Sum, error) {
	info, err := j.To.Stat(ctx, j.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir, err := j.To.Stat(ctx, path.Dir(j.Path))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !dir.Mode.IsDir() {
			return nil, module.Absent(fmt.Errorf("the folder %s is not there on %s", path.Dir(j.Path), j.To.Name()))
		}
		return nil, err
	case err != nil:
		return nil, err
	}
	in, err := j.To.Open(ctx, j.Manifest())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is there on %s without its manifest, so it was not made by this module: remove it, or name another path", j.Path, j.To.Name())
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("%s of %s is no manifest", j.Manifest(), j.To.Name())
	}
	s := &Sum{}
	if _, err := fmt.Sscanf(line, headShape, &s.SHA256, &s.Bytes, &s.Files, &s.Content); err != nil {
		return nil, fmt.Errorf("%s of %s is no manifest", j.Manifest(), j.To.Name())
	}
	if s.Bytes != info.Size {
		return nil, fmt.Errorf("%s on %s has %d bytes, and its manifest says %d: it was changed since", j.Path, j.To.Name(), info.Size, s.Bytes)
	}
	return s, nil
}

// sumLine is a line of sha256sum(1). It marks names that hold a backslash or a line end with a backslash at the start of the line.
func sumLine(sum, name string) string {
	if strings.ContainsAny(name, "\\\n\r") {
		return `\` + sum + "  " + strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(name)
	}
	return sum + "  " + name
}

// parseSum reads a line of sha256sum(1).
func parseSum(line string) (sum, name string, ok bool) {
	rest, escaped := strings.CutPrefix(line, `\`)
	sum, name, ok = strings.Cut(rest, " ")
	if !ok || len(sum) != 64 || name == "" || name[0] != ' ' && name[0] != '*' {
		return "", "", false
	}
	name = name[1:]
	if escaped {
		name = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(name)
	}
	return sum, name, true
}
