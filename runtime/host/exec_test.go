package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func local(t testing.TB) *Host {
	h := Open("here", Options{Local: true})
	t.Cleanup(func() { h.Close() })
	return h
}

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	h := local(t)
	out, err := h.Query(ctx, "echo", "a b", "c'd")
	t.Logf("%+v %v", out, err)
	out, err = h.QueryScript(ctx, `printf 'x\0y'; echo "$2" >&2; exit 3`, "1", "two")
	t.Logf("%+v %v", out, err)
	out, err = h.Run(ctx, "nosuch", "x")
	t.Logf("%+v %v", out, err)
	out, err = h.Query(ctx, "nosuch", "x")
	t.Logf("%+v %v", out, err)
	out, err = h.QueryScript(ctx, `kill $$`)
	t.Logf("%+v %v", out, err)
	out, err = h.QueryScript(ctx, `( : `)
	t.Logf("%+v %v", out, err)
	out, err = h.RunCommand(ctx, Command{Argv: []string{"cat"}, Stdin: strings.NewReader("in\x00put")})
	t.Logf("%+v %v", out, err)
	out, err = h.RunCommand(ctx, Script(`sleep 100 & echo hi; `))
	t.Logf("%+v %v", out, err)
	out, err = h.RunCommand(ctx, Command{Argv: []string{"sh", "-c", `pwd; echo $A $PATH`}, Dir: "/tmp", Env: map[string]string{"A": "b c"}})
	t.Logf("%+v %v", out, err)
	f, err := h.Facts(ctx)
	t.Logf("%+v %v", f, err)
	c2, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	at := time.Now()
	out, err = h.Run(c2, "sleep", "77")
	t.Logf("%+v %v %s", out, err, time.Since(at))
	out, err = h.QueryScript(ctx, "ps -ef | grep '[s]leep 77'")
	t.Logf("%+v %v %s", out, err, time.Since(at))

	b := NewBackend("here", Options{Local: true}).(*level)
	t.Cleanup(func() { b.Close() })
	r := newRemoteFiles(b)
	dir := t.TempDir()
	w, err := r.Create(ctx, filepath.Join(dir, "a"), 0o640)
	if err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("0123456789"), 1<<18)
	_, err = w.Write(big)
	t.Log(err, w.Close())
	got, err := r.Open(ctx, filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(got)
	t.Log(bytes.Equal(data, big), err)
	_, err = r.Create(ctx, filepath.Join(dir, "a"), 0o640)
	t.Log(err, errors.Is(err, os.ErrExist))
	t.Log(r.Mkdir(ctx, filepath.Join(dir, "a/b"), 0o640))
	t.Log(r.Mkdir(ctx, filepath.Join(dir, "n/b"), 0o640))
	t.Log(r.Remove(ctx, dir))
	t.Log(r.FreeSpace(ctx, dir))
	t.Log(r.ReadDir(ctx, dir))
}

func BenchmarkExec(b *testing.B) {
	ctx := context.Background()
	h := local(b)
	for name, c := range map[string]Command{"builtin": {Argv: Script(":").Argv, Looking: true}, "program": {Argv: []string{"true"}, Looking: true}, "change": {Argv: []string{"true"}}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := h.b.Exec(ctx, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
