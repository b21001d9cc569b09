package maildir

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
)

// sshd starts Debian's own SSH server on a port of 127.0.0.1.
func sshd(t testing.TB) transport.Spec { return sshdAt(t, "127.0.0.1") }

// sshdAt starts it on an address, by way of a program such as ip netns exec.
func sshdAt(t testing.TB, address string, by ...string) transport.Spec {
	t.Helper()
	const program = "/usr/sbin/sshd"
	if _, err := os.Stat(program); err != nil || os.Getuid() != 0 {
		need(t, "openssh", "needs root and openssh-server")
	}
	must(t, os.MkdirAll("/run/sshd", 0o755))
	dir := t.TempDir()
	for _, key := range []string{"id", "host"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	must(t, l.Close())
	public, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "known_hosts"), []byte(fmt.Sprintf("[%s]:%d %s", address, port, public)), 0o600))
	config := fmt.Sprintf("HostKey %s/host\nPort %d\nListenAddress %s\nPidFile none\nUsePAM no\nStrictModes no\nAuthorizedKeysFile %s/id.pub\nSubsystem sftp internal-sftp\n", dir, port, address, dir)
	must(t, os.WriteFile(filepath.Join(dir, "config"), []byte(config), 0o600))
	argv := append(by, program, "-D", "-e", "-f", filepath.Join(dir, "config"))
	cmd := exec.Command(argv[0], argv[1:]...)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		if c, err := net.Dial("tcp", net.JoinHostPort(address, fmt.Sprint(port))); err == nil {
			c.Close()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return transport.Spec{Address: address, Port: port, User: "root", Keys: []string{filepath.Join(dir, "id")}, KnownHosts: []string{filepath.Join(dir, "known_hosts")}, Config: []string{}}
}

func overSSH(t testing.TB, name string, spec transport.Spec) *host.Host {
	h := host.Open(name, host.Options{Dial: func(ctx context.Context) (transport.Conn, error) {
		return transport.Dial(ctx, spec, transport.Options{})
	}})
	t.Cleanup(func() { h.Close() })
	return h
}

// connect puts hosts behind SSH; a spec without an address leaves the host as this machine.
func (w *world) connect(from, to transport.Spec) {
	if from.Address != "" {
		w.o.From = overSSH(w.t, "old", from).View
	}
	w.target = host.Open("new", host.Options{Local: true})
	if to.Address != "" {
		w.target = overSSH(w.t, "new", to)
	}
	w.o.To = w.target.View
	w.t.Cleanup(func() { w.target.Close() })
}

// TestOverOpenSSH goes through real SSH servers: the source alone (the runner is on the new host), then both.
func TestOverOpenSSH(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in a short run: it takes seconds")
	}
	spec := sshd(t)
	for name, to := range map[string]transport.Spec{"one hop": {}, "two hops": spec} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, true)
			w.connect(spec, to)
			w.stock()
			box := makeBox(t, w.src, "example.org/torture/Maildir")
			for _, name := range tortureNames {
				write(t, filepath.Join(box, "cur", name), name, epoch)
			}
			w.pass(Warm)
			john := filepath.Join(w.src, "example.org/john/Maildir")
			list := messages(t, john)
			must(t, os.Rename(filepath.Join(john, list[0]), filepath.Join(john, list[0]+"T")))
			must(t, os.Remove(filepath.Join(john, list[1])))
			w.final()
			live := &Live{Version: recordVersion}
			live.Declare(nil, time.Now())
			must(t, WriteLive(t.Context(), w.host(), w.dst, live))
			write(t, filepath.Join(john, "new", "1500000000.M1P1.old"), "late", epoch)
			if _, d := w.pass(Late); d.Copied != 1 {
				t.Errorf("late: %+v", d)
			}
			w.refused(w.with(Final), "has been live since")
		})
	}
}

// TestConnectionCut cuts the connection to either host in the middle of a copy.
func TestConnectionCut(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in a short run: it takes seconds")
	}
	for _, which := range []string{"old", "new"} {
		t.Run(which, func(t *testing.T) {
			server := sshtest.Start(t, sshtest.Options{})
			w := newWorld(t, true)
			if which == "old" {
				w.connect(server.Spec(), transport.Spec{})
			} else {
				w.connect(transport.Spec{}, server.Spec())
			}
			// One transfer after the other, each larger than what an SSH channel holds in its window: the cut finds the second half
			// way, whatever the machine is busy with.
			w.o.Compress = CompressNo
			w.o.Streams, w.o.batchFiles, w.o.Rate = 1, 600, 8<<20
			w.o.batchBytes = batchBytes
			box := makeBox(t, w.src, "example.org/john/Maildir")
			for i := range 1200 {
				stem := fmt.Sprintf("%d.M%dP1.old", 1400000000+i, i)
				write(t, filepath.Join(box, "cur", stem+":2,S"), body(stem), epoch)
			}
			p, err := Look(t.Context(), w.with(Warm))
			must(t, err)
			var once sync.Once
			_, err = p.Apply(t.Context(), w.host(), func(now module.Progress) {
				if now.Done > 800 {
					once.Do(server.Cut)
				}
			})
			var lost *host.UnreachableError
			if !errors.As(err, &lost) {
				t.Errorf("the connection was cut and the error is %v", err)
			} else if !strings.Contains(err.Error(), which) {
				t.Errorf("the error does not name %s: %v", which, err)
			}
			if n := w.whole(); n != 600 {
				t.Errorf("%d messages were there, not the 600 of the first transfer", n)
			}
			w.o.Rate = 0
			w.final()
		})
	}
}
