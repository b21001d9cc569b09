package host_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"runner/runtime/host"
	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
)

// A connection that is lost is told of whatever ran on it, and made anew for what comes next.
func TestLostAndFoundAgain(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	h := over(t, s.Spec())
	if _, err := h.Stat(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	p, err := h.Start(t.Context(), host.Script("read x"))
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	mark := word()
	go func() {
		_, err := h.RunCommand(t.Context(), host.Script(`: "$1"; sleep 600`, mark))
		ran <- err
	}()
	if !soon(func() bool { return running(t, mark) > 0 }) {
		t.Fatal("it does not start")
	}
	s.Cut()
	var unreachable *host.UnreachableError
	if err := <-ran; !errors.As(err, &unreachable) || !errors.Is(err, transport.ErrLost) || !strings.Contains(err.Error(), "cannot tell what became of") {
		t.Errorf("a command in the shell: %v", err)
	}
	if err := p.Wait(); !errors.As(err, &unreachable) {
		t.Errorf("a command of its own: %v", err)
	}
	if out, err := h.Run(t.Context(), "echo", "again"); err != nil || out.Stdout != "again\n" {
		t.Errorf("the next command: %+v, %v", out, err)
	}
	if _, err := h.Stat(t.Context(), "/"); err != nil {
		t.Errorf("files: %v", err)
	}
	end(t, mark) // the server let it go on, as sshd does
}

// Nobody there is an error of the host, that leads to what the connection says is to be done.
func TestUnreachable(t *testing.T) {
	var dials atomic.Int64
	h := open(t, host.Options{Dial: func(ctx context.Context) (transport.Conn, error) {
		dials.Add(1)
		return transport.Dial(ctx, transport.Spec{Address: "127.0.0.1", Port: 1, User: "root", Config: []string{}}, transport.Options{})
	}})
	for name, err := range map[string]error{
		"run": second(h.Run(t.Context(), "true")), "stat": second(h.Stat(t.Context(), "/")), "start": second(h.Start(t.Context(), host.Script(":"))),
		"dial": second(h.Dial(t.Context(), "tcp", "127.0.0.1:1")), "facts": second(h.Facts(t.Context())), "sudo": second(h.Sudo(t.Context())),
	} {
		var unreachable *host.UnreachableError
		var hint interface{ Hint() string }
		if !errors.As(err, &unreachable) || unreachable.Host != "here" || !errors.As(err, &hint) || !strings.Contains(hint.Hint(), "is sshd running there") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if dials.Load() != 6 {
		t.Errorf("%d tries", dials.Load())
	}
}

// A host can be used after Close; nothing is left running by it on the host.
func TestCloseAndGoOn(t *testing.T) {
	everywhere(t, func(t *testing.T, h *host.Host) {
		mark := word()
		p, err := h.Start(t.Context(), host.Script(`sh -c 'sleep 600; : "$0"' "$1"`, mark))
		if err != nil {
			t.Fatal(err)
		}
		if !soon(func() bool { return running(t, mark) > 0 }) {
			t.Fatal("it does not start")
		}
		p.Close()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if !soon(func() bool { return running(t, mark) == 0 }) {
			t.Errorf("%d processes are left", running(t, mark))
		}
		if out, err := h.Run(t.Context(), "echo", "again"); err != nil || out.Stdout != "again\n" {
			t.Errorf("%+v, %v", out, err)
		}
	})
}

// A server that grants one session only is used for one thing after the other.
func TestOneSession(t *testing.T) {
	for name, h := range map[string]*host.Host{"ssh": server(t, sshtest.Options{MaxSessions: 1}), "OpenSSH": over(t, sshtest.OpenSSH(t, "MaxSessions 1"))} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for range 3 {
				if _, err := h.Run(t.Context(), "true"); err != nil {
					t.Fatal(err)
				}
				if err := h.WriteFile(t.Context(), dir+"/x", []byte("x"), host.Attr{Mode: 0o600, UID: -1, GID: -1}); err != nil {
					t.Fatal(err)
				}
				p, err := h.Start(t.Context(), host.Command{Argv: []string{"cat", dir + "/x"}})
				if err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(p.Stdout()); err != nil || string(text) != "x" {
					t.Errorf("%q, %v", text, err)
				}
				if err := p.Wait(); err != nil {
					t.Error(err)
				}
				p.Close()
			}
		})
	}
}

// A host whose sshd has the sftp server built in, and no program for it.
func TestSubsystem(t *testing.T) {
	h := server(t, sshtest.Options{Login: []string{"env", "-i", "/bin/sh", "-c"}})
	if _, err := h.Stat(t.Context(), "/"); err != nil {
		t.Error(err)
	}
}

// Login shells that are none, that say much, or that die, are told apart.
func TestLoginShells(t *testing.T) {
	for name, c := range map[string]struct {
		login []string
		says  string // empty: commands run
		do    string
	}{
		"talkative":       {login: []string{"sh", "-c", `echo Welcome; echo "You have mail" >&2; yes noise | head -c 100000; exec /bin/sh -c "$0"`}},
		"bash":            {login: []string{"bash", "-c"}},
		"nologin":         {login: []string{"sh", "-c", "echo 'This account is currently not available.'; exit 1"}, says: "the user has no login shell (nologin)", do: "log in as a user with a shell"},
		"ends at once":    {login: []string{"sh", "-c", "echo broken .bashrc >&2; exit 3"}, says: "the login shell ended before it ran anything; it said: broken .bashrc", do: "log in by hand and see"},
		"prints for ever": {login: []string{"sh", "-c", "exec yes"}, says: "it prints and prints and does not start"},
	} {
		t.Run(name, func(t *testing.T) {
			h := server(t, sshtest.Options{Login: c.login})
			out, err := h.Run(t.Context(), "echo", "here")
			if c.says == "" {
				if err != nil || out.Stdout != "here\n" {
					t.Errorf("%+v, %v", out, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			var hint interface{ Hint() string }
			if c.do != "" && (!errors.As(err, &hint) || !strings.Contains(hint.Hint(), c.do)) {
				t.Errorf("nothing says %q: %v", c.do, err)
			}
		})
	}
}
