package host_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"runner/runtime/host"
	"runner/runtime/transport/sshtest"
)

// word is one that stands on no other command line of this machine.
func word() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return "w" + hex.EncodeToString(b[:])
}

func TestExec(t *testing.T) {
	odd := "a b\t'\"$HOME`id`\\\n*?~!#%-\xff\x01é"
	everywhere(t, func(t *testing.T, h *host.Host) {
		for name, c := range map[string]struct {
			c      host.Command
			want   host.Output
			errors string // empty: none
		}{
			"words":            {c: host.Command{Argv: []string{"printf", "%s|", odd, "", "-n"}}, want: host.Output{Stdout: odd + "||-n|"}},
			"script arguments": {c: host.Script(`printf '%s|' "$@"`, odd, "two"), want: host.Output{Stdout: odd + "|two|"}},
			"both outputs":     {c: host.Script(`echo out; echo err >&2; printf 'x\0y'`), want: host.Output{Stdout: "out\nx\x00y", Stderr: "err\n"}},
			"status":           {c: host.Script(`echo out; echo why >&2; exit 3`), want: host.Output{Stdout: "out\n", Stderr: "why\n", Status: 3}, errors: "exit status 3: why"},
			"signal":           {c: host.Command{Argv: []string{"sh", "-c", "kill -KILL $$"}}, want: host.Output{Status: 137}, errors: "ended by signal KILL"},
			"no such program":  {c: host.Command{Argv: []string{"no-such-program", "x"}}, want: host.Output{Status: 127}, errors: "cannot run no-such-program x: exit status 127: no-such-program: not found"},
			"syntax error":     {c: host.Script(`( :`), want: host.Output{Status: 2}, errors: "Syntax error"},
			"environment":      {c: host.Command{Argv: []string{"sh", "-c", `echo "$A"`}, Env: map[string]string{"A": odd}}, want: host.Output{Stdout: odd + "\n"}},
			"directory":        {c: host.Command{Argv: []string{"pwd"}, Dir: "/usr/lib"}, want: host.Output{Stdout: "/usr/lib\n"}},
			"no directory":     {c: host.Command{Argv: []string{"pwd"}, Dir: "/no/where"}, want: host.Output{Status: 2}, errors: "/no/where"},
			"input":            {c: host.Command{Argv: []string{"cat"}, Stdin: strings.NewReader("in\x00" + odd)}, want: host.Output{Stdout: "in\x00" + odd}},
			"no input":         {c: host.Command{Argv: []string{"cat"}}},
			"much":             {c: host.Script(`i=0;while [ $i -lt 2000 ];do printf '%01000d' $i;printf '%01000d' $i >&2;i=$((i+1));done`), want: host.Output{Stdout: numbers(2000), Stderr: numbers(2000)}},
		} {
			for way, run := range map[string]func(context.Context, host.Command) (host.Output, error){"query": h.QueryCommand, "run": h.RunCommand} {
				if c.c.Stdin != nil {
					c.c.Stdin = strings.NewReader("in\x00" + odd)
				}
				got, err := run(t.Context(), c.c)
				if c.errors == "" && err != nil || c.errors != "" && (err == nil || !strings.Contains(err.Error(), c.errors)) {
					t.Errorf("%s, %s: %v, want %q", way, name, err, c.errors)
				}
				if c.want.Status == 127 || c.want.Status == 2 || c.want.Status == 137 { // the words are the shell's
					got.Stderr = ""
				}
				var exit *host.ExitError
				if errors.As(err, &exit) != (c.want.Status != 0) || exit != nil && exit.Status != c.want.Status {
					t.Errorf("%s, %s: %v", way, name, err)
				}
				if got != c.want {
					t.Errorf("%s, %s: got %.200q, want %.200q", way, name, fmt.Sprint(got), fmt.Sprint(c.want))
				}
			}
		}
	})
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%01000d", i)
	}
	return b.String()
}

// Nothing of a command is left for the next one, whatever it does to its shell.
func TestCommandsLeaveNothingBehind(t *testing.T) {
	everywhere(t, func(t *testing.T, h *host.Host) {
		for _, script := range []string{
			"cd /usr; A=1; export A; umask 000; set -e; set -- a b; IFS=x; f() { :; }; trap 'echo trapped' EXIT; exec 3>/dev/null",
			"exit 7", "exec false", "set -u; echo $nothing", "printf 'no end of line'", "printf 'no end of line' >&2", "exec >/dev/null 2>&1", "exec 0<&-; exec 1>&-; exec 2>&-", "set -n", "kill -TERM $$",
		} {
			_, _ = h.RunCommand(t.Context(), host.Script(script))
			if script != "kill -TERM $$" {
				_, _ = h.QueryScript(t.Context(), script)
			}
			out, err := h.QueryScript(t.Context(), `pwd; echo "${A-unset}"; umask; echo "$#$IFS"; command -v f; echo end`)
			if err != nil || strings.Contains(out.Stdout, "/usr\n") || !strings.Contains(out.Stdout, "unset\n") || strings.Contains(out.Stdout, "0000\n") || !strings.HasSuffix(out.Stdout, "end\n") || out.Stderr != "" {
				t.Errorf("after %q: %q, %v", script, fmt.Sprint(out), err)
			}
		}
	})
}

// A daemon that a command leaves behind does not hold up the command, and lives on.
func TestDaemonIsLeftAlone(t *testing.T) {
	everywhere(t, func(t *testing.T, h *host.Host) {
		mark := word()
		out, err := h.RunCommand(t.Context(), host.Script(`sh -c 'sleep 600; : "$0"' "$1" >/dev/null 2>&1 & echo started`, mark))
		if err != nil || out.Stdout != "started\n" {
			t.Errorf("%+v, %v", out, err)
		}
		defer end(t, mark)
		for range 3 {
			if _, err := h.Query(t.Context(), "true"); err != nil {
				t.Error(err)
			}
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if n := running(t, mark); n != 1 {
			t.Errorf("%d daemons are running", n)
		}
	})
}

// What is given up is ended on the host, with everything it started, also when it does not listen to a polite request.
func TestGivenUpCommandsEnd(t *testing.T) {
	tree := `trap '' HUP; sh -c 'sleep 600; : "$0"' "$1" & sh -c '(sleep 601); : "$0"' "$1"; wait`
	deaf := `trap '' TERM HUP INT; while :;do sleep 1;done; : "$1"`
	everywhere(t, func(t *testing.T, h *host.Host) {
		for name, begin := range map[string]func(ctx context.Context, mark string) error{
			"run": func(ctx context.Context, mark string) error {
				_, err := h.RunCommand(ctx, host.Script(tree, mark))
				return err
			},
			"query": func(ctx context.Context, mark string) error { _, err := h.QueryScript(ctx, tree, mark); return err },
			"deaf": func(ctx context.Context, mark string) error {
				_, err := h.RunCommand(ctx, host.Script(deaf, mark))
				return err
			},
			"with input": func(ctx context.Context, mark string) error {
				c := host.Script(tree, mark)
				in, w := io.Pipe()
				defer w.Close()
				c.Stdin = in
				_, err := h.RunCommand(ctx, c)
				return err
			},
			"started": func(ctx context.Context, mark string) error {
				p, err := h.Start(ctx, host.Script(tree, mark))
				if err != nil {
					return err
				}
				defer p.Close()
				_, _ = io.Copy(io.Discard, p.Stdout())
				return p.Wait()
			},
			"closed": func(ctx context.Context, mark string) error {
				p, err := h.Start(context.WithoutCancel(ctx), host.Script(tree, mark))
				if err != nil {
					return err
				}
				<-ctx.Done()
				p.Close()
				_ = p.Wait()
				return context.Cause(ctx)
			},
		} {
			mark := word()
			why := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			over := make(chan error, 1)
			go func() { over <- begin(ctx, mark) }()
			if !soon(func() bool { return running(t, mark) > 0 }) {
				t.Fatalf("%s: it does not start", name)
			}
			cancel(why)
			select {
			case err := <-over:
				if !errors.Is(err, why) {
					t.Errorf("%s: %v", name, err)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%s: it goes on", name)
			}
			if !soon(func() bool { return running(t, mark) == 0 }) {
				t.Errorf("%s: %d processes are left", name, running(t, mark))
			}
			if out, err := h.Run(t.Context(), "echo", "still here"); err != nil || out.Stdout != "still here\n" {
				t.Errorf("%s: the host afterwards: %+v, %v", name, out, err)
			}
		}
	})
}

func soon(is func() bool) bool {
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		if is() {
			return true
		}
	}
	return false
}

// Many commands at a time share what sessions there are, and none gets what another one printed.
func TestManyAtATime(t *testing.T) {
	everywhere(t, func(t *testing.T, h *host.Host) {
		var all sync.WaitGroup
		for i := range 24 {
			all.Go(func() {
				mine := fmt.Sprintf("%d", i)
				var out host.Output
				var err error
				switch i % 4 {
				case 0:
					out, err = h.Query(t.Context(), "echo", mine)
				case 1:
					out, err = h.RunCommand(t.Context(), host.Script(`sleep 0.02; echo "$1"`, mine))
				case 2:
					out, err = h.RunCommand(t.Context(), host.Command{Argv: []string{"cat"}, Stdin: strings.NewReader(mine + "\n")})
				case 3:
					_, err = h.Stat(t.Context(), "/etc")
					out.Stdout = mine + "\n"
				}
				if err != nil || out.Stdout != mine+"\n" {
					t.Errorf("%d: %+v, %v", i, out, err)
				}
			})
		}
		all.Wait()
	})
}

func TestStream(t *testing.T) {
	everywhere(t, func(t *testing.T, h *host.Host) {
		p, err := h.Start(t.Context(), host.Script(`cat; echo done >&2; exit 5`))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
		go func() { _, _ = p.Stdin().Write(data); p.Stdin().Close() }()
		var both sync.WaitGroup
		var out, errs []byte
		both.Go(func() { out, _ = io.ReadAll(p.Stdout()) })
		both.Go(func() { errs, _ = io.ReadAll(p.Stderr()) })
		both.Wait()
		var exit *host.ExitError
		if err := p.Wait(); !errors.As(err, &exit) || exit.Status != 5 {
			t.Errorf("%v", err)
		}
		if !bytes.Equal(out, data) || string(errs) != "done\n" {
			t.Errorf("%d bytes, %q", len(out), errs)
		}
	})
}

func TestWhatNoShellCanPassOn(t *testing.T) {
	h := open(t, host.Options{Local: true})
	for _, c := range []host.Command{
		{}, {Argv: []string{""}}, {Argv: []string{"-x"}}, {Argv: []string{"a", "b\x00c"}}, {Argv: []string{"a"}, Dir: "\x00"},
		{Argv: []string{"a"}, Env: map[string]string{"1A": "x"}}, {Argv: []string{"a"}, Env: map[string]string{"A;id": "x"}}, {Argv: []string{"a"}, Env: map[string]string{"A": "\x00"}},
	} {
		if _, err := h.RunCommand(t.Context(), c); err == nil || !strings.HasPrefix(err.Error(), "cannot run ") {
			t.Errorf("%+v: %v", c, err)
		}
		if _, err := h.Start(t.Context(), c); err == nil {
			t.Errorf("%+v was started", c)
		}
	}
}

func TestFacts(t *testing.T) {
	everywhere(t, func(t *testing.T, h *host.Host) {
		f, err := h.Facts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if f.Hostname == "" || f.Kernel == "" || f.Arch == "" || f.User == "" || f.Skew > time.Second || f.Skew < -time.Second {
			t.Errorf("%+v", f)
		}
		for name, want := range map[string]bool{"sh": true, "no-such-program": false, "-x": false, "a b": false} {
			if got, err := h.Has(t.Context(), name); err != nil || got != want {
				t.Errorf("has %q: %v, %v", name, got, err)
			}
		}
	})
}

// Commands that hold every session which the server grants are ended as well when they are given up.
func TestGivenUpCommandsEndOnAFullServer(t *testing.T) {
	for sessions := 1; sessions <= 3; sessions++ {
		t.Run(fmt.Sprint(sessions), func(t *testing.T) {
			t.Parallel()
			h := over(t, sshtest.OpenSSH(t, fmt.Sprintf("MaxSessions %d", sessions)))
			ctx, cancel := context.WithCancel(t.Context())
			mark := word()
			var all sync.WaitGroup
			for range sessions {
				all.Go(func() { _, _ = h.RunCommand(ctx, host.Script(`trap '' HUP; sh -c 'sleep 600; : "$0"' "$1"`, mark)) })
			}
			if !soon(func() bool { return running(t, mark) == 2*sessions }) {
				t.Fatalf("%d of %d processes run", running(t, mark), 2*sessions)
			}
			cancel()
			if all.Wait(); !soon(func() bool { return running(t, mark) == 0 }) {
				end(t, mark)
				t.Fatalf("%d processes are left", running(t, mark))
			}
			if out, err := h.Run(t.Context(), "echo", "still here"); err != nil || out.Stdout != "still here\n" {
				t.Errorf("the host afterwards: %+v, %v", out, err)
			}
		})
	}
}
