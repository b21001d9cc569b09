package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"runner/runtime/host"
)

// pipe runs a script in a line and returns what it came to.
func pipe(t *testing.T, h *host.Host, input []byte, script string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	p, err := h.Pipe(t.Context(), host.Script(script, args...), input)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	errs := make(chan string)
	go func() {
		text, _ := io.ReadAll(p.Stderr())
		errs <- string(text)
	}()
	out, readErr := io.ReadAll(p.Stdout())
	stderr = <-errs
	if err = p.Wait(); readErr != nil {
		t.Fatal(readErr)
	}
	return string(out), stderr, err
}

// TestPipe runs commands one after the other in the line that the first one opened.
func TestPipe(t *testing.T) {
	everywhere(t, func(t *testing.T, h *host.Host) {
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		large := bytes.Repeat(all, 1<<15)
		for range 2 {
			if out, errs, err := pipe(t, h, large, `cat; echo done >&2`); err != nil || out != string(large) || errs != "done\n" {
				t.Fatalf("%d bytes came back of %d, %q, %v", len(out), len(large), errs, err)
			}
		}
		first, _, err := pipe(t, h, nil, `printf '%s|' $$ "$@"; cat`, "a b", "", "*", "it's", "\xf7\xff\n")
		if parent, rest, _ := strings.Cut(first, "|"); err != nil || parent == "" || rest != "a b||*|it's|\xf7\xff\n|" {
			t.Fatalf("%q, %v", first, err)
		}
		// What a command does not read of its input, a line that does not end, a status and a directory stay with it.
		out, errs, err := pipe(t, h, large, `cd /; printf 'no end'; printf 'nor here' >&2; exit 3`)
		var exit *host.ExitError
		if !errors.As(err, &exit) || exit.Status != 3 || out != "no end" || errs != "nor here" {
			t.Fatalf("%q, %q, %v", out, errs, err)
		}
		if out, _, err := pipe(t, h, nil, `exec sh -c 'kill -KILL $$'`); !errors.As(err, &exit) || exit.Signal != "KILL" || out != "" {
			t.Fatalf("%q, %v", out, err)
		}
		again, _, err := pipe(t, h, nil, `printf '%s|' $$ "$@"; cat`, "a b", "", "*", "it's", "\xf7\xff\n")
		if err != nil || again != first {
			t.Fatalf("another shell: %q, then %q, %v", first, again, err)
		}
	})
}

// TestPipesSideBySide needs more lines than a server may grant.
func TestPipesSideBySide(t *testing.T) {
	everywhere(t, func(t *testing.T, h *host.Host) {
		failed := make(chan error)
		for i := range 6 {
			go func() {
				p, err := h.Pipe(t.Context(), host.Script(`cat; sleep 0.1; echo "$1"`, fmt.Sprint(i)), []byte("in "))
				if err != nil {
					failed <- err
					return
				}
				defer p.Close()
				go io.Copy(io.Discard, p.Stderr())
				text, _ := io.ReadAll(p.Stdout())
				if err = p.Wait(); err == nil && string(text) != fmt.Sprintf("in %d\n", i) {
					err = fmt.Errorf("%q", text)
				}
				failed <- err
			}()
		}
		for range 6 {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
		if out, err := h.Query(t.Context(), "echo", "the lines gave way"); err != nil || out.Stdout != "the lines gave way\n" {
			t.Errorf("%v %v", out, err)
		}
	})
}

// TestPipeGivenUp: neither what is closed nor what a context ends goes on on the host, and the next command is served.
func TestPipeGivenUp(t *testing.T) {
	everywhere(t, func(t *testing.T, h *host.Host) {
		long := fmt.Sprintf("77.%d", time.Now().UnixNano())
		for _, give := range []func(host.Process, context.CancelFunc){
			func(p host.Process, _ context.CancelFunc) { p.Close() },
			func(_ host.Process, cancel context.CancelFunc) { cancel() },
		} {
			ctx, cancel := context.WithCancel(t.Context())
			p, err := h.Pipe(ctx, host.Script(`echo ready; exec sleep "$1"`, long), []byte("input that nobody reads"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(p.Stdout(), make([]byte, 6)); err != nil {
				t.Fatal(err)
			}
			give(p, cancel)
			if err := p.Wait(); err == nil {
				t.Error("what was given up ended well")
			}
			for i := 0; running(t, "sleep\x00"+long) > 0; i++ {
				if i == 1000 {
					t.Fatal("it goes on on the host")
				}
				time.Sleep(10 * time.Millisecond)
			}
			cancel()
		}
		if out, _, err := pipe(t, h, nil, "echo on"); err != nil || out != "on\n" {
			t.Errorf("%q %v", out, err)
		}
	})
}

// TestPipeShellEnded: a shell that is killed under a command is an error and not the end of what it printed.
func TestPipeShellEnded(t *testing.T) {
	everywhere(t, func(t *testing.T, h *host.Host) {
		out, _, err := pipe(t, h, nil, `echo half; kill -KILL $$`)
		if err == nil || strings.Contains(out, ">") {
			t.Errorf("%q %v", out, err)
		}
		if out, _, err := pipe(t, h, nil, "echo on"); err != nil || out != "on\n" {
			t.Errorf("%q %v", out, err)
		}
	})
}
