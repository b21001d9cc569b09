package maildir

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sync/errgroup"
)

// hashScript prints the SHA-256 of each file whose path arrives on standard input.
const hashScript = `LC_ALL=C; export LC_ALL
cd "$1" || exit 97
exec xargs -0 -r sha256sum --
`

// contents compares the content of the files in the list, by hashes that both hosts compute at the same time.
func (v *verifier) contents(ctx context.Context) error {
	if v.hash.count == 0 {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	var sums [2]chan [32]byte
	for i, s := range []side{v.report.from, v.report.to} {
		sums[i] = make(chan [32]byte, 1024)
		g.Go(func() error {
			defer close(sums[i])
			return v.sums(ctx, s, i == 0, sums[i])
		})
	}
	var other []work
	g.Go(func() error {
		return v.hash.each(func(w work) error {
			a, ok := <-sums[0]
			b, too := <-sums[1]
			if !ok || !too {
				return ctx.Err() // why is the other goroutine's to say
			}
			v.report.Hashed++
			if a != b {
				other = append(other, w)
			}
			return nil
		})
	})
	if err := g.Wait(); err != nil {
		return err
	}
	for _, w := range other {
		if err := v.other(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// sums hashes one side's files in the order of the list.
func (v *verifier) sums(ctx context.Context, s side, source bool, out chan<- [32]byte) error {
	path := func(w *work) string {
		if source {
			return w.from
		}
		return w.to
	}
	feed := func(w io.Writer) error {
		var b []byte
		return v.hash.each(func(job work) error {
			b = appendPath(b[:0], path(&job))
			_, err := w.Write(b)
			return err
		})
	}
	what := "hash the files of " + s.String()
	p, err := open(ctx, s.view, what, v.o.Stall, feed, hashScript, s.root)
	if err != nil {
		return err
	}
	defer p.close()
	in := bufio.NewReaderSize(p, 64<<10)
	err = v.hash.each(func(job work) error {
		sum, name, err := readSum(in)
		if err != nil {
			return err
		}
		if name != "./"+path(&job) {
			return fmt.Errorf("the hash of %q came where that of %q was due", clip(name), clip(path(&job)))
		}
		select {
		case out <- sum:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if ended := p.wait(); ended != nil {
		return listingError(what, ended)
	}
	if err != nil {
		return fmt.Errorf("cannot %s: %w", what, err)
	}
	return nil
}

// readSum reads a line of sha256sum(1): the hash, two characters, the name. A name with a backslash or a line end makes
// the line begin with a backslash and is escaped.
func readSum(r *bufio.Reader) (sum [32]byte, name string, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return sum, "", short(err)
	}
	line, escaped := bytes.CutPrefix(line[:len(line)-1], []byte{'\\'})
	if len(line) < 67 {
		return sum, "", fmt.Errorf("no line of sha256sum: %q", clip(string(line)))
	}
	if _, err := hex.Decode(sum[:], line[:64]); err != nil {
		return sum, "", fmt.Errorf("no line of sha256sum: %q", clip(string(line)))
	}
	name = string(line[66:])
	if escaped {
		name = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(name)
	}
	return sum, name, nil
}

// other tells that two files of the same size differ, and for a uidlist what matters in it.
func (v *verifier) other(ctx context.Context, w work) error {
	kind := "content"
	if dir := nameOf(dirOf(w.to)); dir != "cur" && dir != "new" {
		kind = fileKind(w.to)
	}
	what := "has another content"
	if kind == "uidlist" {
		a, err := uidlistHead(ctx, v.report.from, w.from)
		if err != nil {
			return err
		}
		b, err := uidlistHead(ctx, v.report.to, w.to)
		if err != nil {
			return err
		}
		if a != b {
			what = fmt.Sprintf("begins with %q, not with %q", b, a)
		}
	}
	v.report.differ(w.to, kind, "%s", what)
	return nil
}

// uidlistHead is the first line of a dovecot-uidlist, which holds UIDVALIDITY and the next UID.
func uidlistHead(ctx context.Context, s side, path string) (string, error) {
	f, err := s.view.Open(ctx, s.root+"/"+path)
	if err != nil {
		return "", fmt.Errorf("cannot read %s of %s: %w", path, s, err)
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 4096)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("cannot read %s of %s: %w", path, s, err)
	}
	return strings.TrimSuffix(line, "\n"), nil
}
