package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"runner/runtime/host"
)

// pipeDump streams a dump from the source's own dump program into the target's client, inside the target's database. Neither host
// reaches the other and the runner holds a buffer of it. told is called with the bytes so far.
func pipeDump(ctx context.Context, source *Session, from *host.Host, what dumpWhat, target *Session, to *host.Host, into string, told func(int64)) error {
	dumper, err := findProgram(ctx, from.View, dumpPrograms)
	if err != nil {
		return err
	}
	client, err := findProgram(ctx, to.View, clientPrograms)
	if err != nil {
		return err
	}
	sink, err := target.start(ctx, to, `exec "$@"`, target.clientArgs(client, into)...)
	if err != nil {
		return fmt.Errorf("cannot start %s on %s: %w", client.path, to.Name(), err)
	}
	defer sink.Close()
	spring, err := source.start(ctx, from, `exec "$@" </dev/null`, source.dumpArgs(dumper, what)...)
	if err != nil {
		return fmt.Errorf("cannot start %s on %s: %w", dumper.path, from.Name(), err)
	}
	defer spring.Close()
	_ = spring.Stdin().Close()
	go func() { _, _ = io.Copy(io.Discard, sink.Stdout()) }()

	guard := &dumpGuard{told: told}
	copied := guard.copy(sink.Stdin(), spring.Stdout())
	if copied.write != nil || copied.refused != nil {
		// The client gave up, or what came is not to be run: its own words say more than a broken pipe.
		_ = spring.Close()
	}
	if ctx.Err() != nil {
		return fmt.Errorf("cannot copy database %s from %s: %w", what.database, from.Name(), context.Cause(ctx))
	}
	if copied.refused != nil {
		return fmt.Errorf("cannot copy database %s from %s: %w", what.database, from.Name(), copied.refused)
	}
	if copied.write == nil {
		if err := spring.end(); err != nil {
			return fmt.Errorf("cannot dump database %s on %s: %w", what.database, from.Name(), err)
		}
		if copied.read != nil {
			return fmt.Errorf("cannot dump database %s on %s: %w", what.database, from.Name(), copied.read)
		}
		if !complete(guard.tail) {
			return fmt.Errorf("cannot dump database %s on %s: the dump ends in the middle", what.database, from.Name())
		}
	}
	_ = sink.Stdin().Close()
	if err := sink.end(); err != nil {
		return fmt.Errorf("cannot load the dump into database %s on %s: %w", into, to.Name(), err)
	}
	if copied.write != nil {
		return fmt.Errorf("cannot load the dump into database %s on %s: %w", into, to.Name(), copied.write)
	}
	return nil
}

// dumpGuard carries a dump and watches it.
type dumpGuard struct {
	told    func(int64)
	tail    []byte // the last bytes that went by
	bytes   int64
	scanner statementScanner
}

type carried struct{ read, write, refused error }

const tailLength = 1000

// copy carries everything from r to w. Only bytes that were looked at go on.
func (g *dumpGuard) copy(w io.Writer, r io.Reader) carried {
	buffer := make([]byte, 64<<10)
	first := true
	for {
		n, err := r.Read(buffer)
		chunk := buffer[:n]
		if first && n > 0 {
			first = false
			chunk = withoutSandboxLine(chunk)
		}
		if refused := g.scanner.scan(chunk); refused != nil {
			return carried{refused: refused}
		}
		if _, werr := w.Write(chunk); werr != nil {
			return carried{write: werr}
		}
		g.bytes += int64(len(chunk))
		g.tail = append(g.tail, chunk...)
		if len(g.tail) > tailLength {
			g.tail = append(g.tail[:0], g.tail[len(g.tail)-tailLength:]...)
		}
		if g.told != nil && n > 0 {
			g.told(g.bytes)
		}
		if errors.Is(err, io.EOF) {
			return carried{}
		}
		if err != nil {
			return carried{read: err}
		}
	}
}

// withoutSandboxLine removes the first line that newer MariaDB dump programs write and older clients stumble over
// ("Unknown command '\-'").
func withoutSandboxLine(chunk []byte) []byte {
	line, rest, ok := bytes.Cut(chunk, []byte("\n"))
	if ok && bytes.Contains(line, []byte("999999")) && bytes.Contains(line, []byte("sandbox")) {
		return rest
	}
	return chunk
}
