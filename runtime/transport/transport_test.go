package transport_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
	"runner/runtime/transport/transporttest"
)

func dial(t *testing.T, spec transport.Spec, o transport.Options) transport.Conn {
	t.Helper()
	c, err := transport.Dial(t.Context(), spec, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestLocal(t *testing.T) {
	transporttest.Run(t, func(*testing.T) transport.Conn { return transport.Local() })
}

func TestSSH(t *testing.T) {
	t.Setenv("SSH_AUTH_SOCK", "")
	transporttest.Run(t, func(t *testing.T) transport.Conn {
		return dial(t, sshtest.Start(t, sshtest.Options{MaxSessions: 10}).Spec(), transport.Options{})
	})
}

func TestFewerSessionsThanUsual(t *testing.T) {
	c := dial(t, sshtest.Start(t, sshtest.Options{MaxSessions: 2}).Spec(), transport.Options{})
	transporttest.Many(t, c, 20)
}

func TestThroughJumps(t *testing.T) {
	first, second := sshtest.Start(t, sshtest.Options{}), sshtest.Start(t, sshtest.Options{})
	target := sshtest.Start(t, sshtest.Options{})
	// One key and one known_hosts file for all three.
	spec := target.Spec()
	spec.Keys = []string{first.KeyFile, second.KeyFile, target.KeyFile}
	spec.KnownHosts = []string{first.Known}
	for _, s := range []*sshtest.Server{second, target} {
		text, err := os.ReadFile(s.Known)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(first.Known, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.Write(text)
		f.Close()
	}
	spec.Jump = []string{"test@" + first.Addr, "test@" + second.Addr}
	c := dial(t, spec, transport.Options{})
	if out, _, _, err := transporttest.Command(t.Context(), c, "echo there", ""); err != nil || out != "there\n" {
		t.Errorf("through two jumps: %q, %v", out, err)
	}
	if first.Sessions.Load() != 0 || target.Sessions.Load() != 1 {
		t.Errorf("the command ran on the wrong host")
	}
}

func TestPassword(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{NoKey: true, Password: "right", Config: refuseKeys})
	spec := s.Spec()
	spec.Password = func() (string, error) { return "right", nil }
	dial(t, spec, transport.Options{})

	spec.Password = func() (string, error) { return "wr0ng-secret", nil }
	_, err := transport.Dial(t.Context(), spec, transport.Options{})
	var refused *transport.AuthError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	if text := err.Error(); strings.Contains(text, "wr0ng") || !strings.Contains(text, "tried: key "+s.KeyFile) || !strings.Contains(text, "password") {
		t.Errorf("the message: %s", text)
	}
}

// refuseKeys makes a server that takes keys, and none of ours.
func refuseKeys(c *ssh.ServerConfig) {
	c.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, errors.New("no") }
}

// A server that takes no keys is not bothered with them, and the error says that they were not tried.
func TestKeyWhereNoneIsTaken(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{NoKey: true, Password: "right"})
	_, err := transport.Dial(t.Context(), s.Spec(), transport.Options{})
	want := "tried: nothing, since there is no key and no password to try; it accepts: password (the key that the site names was not offered, since the server takes none)"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the message: %v", err)
	}
}

type answers struct {
	yes   bool
	asked []string
}

func (a *answers) Confirm(_ context.Context, q string) (bool, error) {
	a.asked = append(a.asked, q)
	return a.yes, nil
}
func (a *answers) Secret(_ context.Context, q string) (string, error) {
	a.asked = append(a.asked, q)
	return "", nil
}

func TestUnknownHostKey(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	if err := os.Remove(s.Known); err != nil {
		t.Fatal(err)
	}
	_, err := transport.Dial(t.Context(), s.Spec(), transport.Options{})
	var key *transport.HostKeyError
	if !errors.As(err, &key) || len(key.Want) != 0 || !strings.Contains(err.Error(), "is not known: it shows ssh-ed25519 SHA256:") {
		t.Fatalf("nobody to ask: %v", err)
	}
	no := &answers{}
	if _, err := transport.Dial(t.Context(), s.Spec(), transport.Options{Prompter: no}); err == nil || len(no.asked) != 1 {
		t.Errorf("answered no: %v, %q", err, no.asked)
	}
	yes := &answers{yes: true}
	dial(t, s.Spec(), transport.Options{Prompter: yes})
	dial(t, s.Spec(), transport.Options{}) // remembered
	pinned := s.Spec()
	pinned.KnownHosts, pinned.Fingerprint = []string{"/nowhere"}, key.Got[strings.LastIndexByte(key.Got, ' ')+1:]
	dial(t, pinned, transport.Options{})
}

func TestChangedHostKey(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	other := sshtest.NewSigner(t)
	if err := os.WriteFile(s.Known, []byte(knownhosts.Line([]string{s.Addr}, other.PublicKey())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	yes := &answers{yes: true}
	_, err := transport.Dial(t.Context(), s.Spec(), transport.Options{Prompter: yes})
	if err == nil || len(yes.asked) != 0 {
		t.Fatalf("a changed key was asked about or accepted: %v, %q", err, yes.asked)
	}
	for _, part := range []string{"CHANGED", ssh.FingerprintSHA256(other.PublicKey()), s.Known} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in the message: %v", part, err)
		}
	}
	if hint := err.(interface{ Hint() string }).Hint(); !strings.Contains(hint, "ssh-keygen -R") {
		t.Errorf("what to do: %q", hint)
	}
}

func TestLostConnection(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	c := dial(t, s.Spec(), transport.Options{})
	p, err := c.Start(t.Context(), "sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	s.Cut()
	if _, err := p.Wait(); !errors.Is(err, transport.ErrLost) {
		t.Errorf("the command: %v", err)
	}
	<-c.Done()
	if _, err := c.Start(t.Context(), "true"); !errors.Is(err, transport.ErrLost) {
		t.Errorf("a new command: %v", err)
	}
}

func TestNoStreamlocal(t *testing.T) {
	c := dial(t, sshtest.Start(t, sshtest.Options{NoStreamlocal: true}).Spec(), transport.Options{})
	if _, err := c.Dial(t.Context(), "unix", "/run/x"); !errors.Is(err, transport.ErrNoStreamlocal) {
		t.Errorf("got %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	spec := sshtest.Start(t, sshtest.Options{}).Spec()
	spec.Port = 1
	if _, err := transport.Dial(t.Context(), spec, transport.Options{}); err == nil || err.Error() != "cannot connect to test@127.0.0.1:1: connection refused" {
		t.Errorf("a closed port: %v", err)
	}
	slow := sshtest.Start(t, sshtest.Options{Delay: time.Minute}).Spec()
	slow.ConnectTimeout = 200 * time.Millisecond
	if _, err := transport.Dial(t.Context(), slow, transport.Options{}); err == nil || !strings.Contains(err.Error(), "no answer within 0.2 s") {
		t.Errorf("no answer: %v", err)
	}
}

func TestOldServerAndNewKey(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{NoKey: true, Config: func(c *ssh.ServerConfig) {
		c.ServerVersion = "SSH-2.0-OpenSSH_6.0p1 Debian-4+deb7u4"
		c.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, errors.New("no") }
	}})
	_, err := transport.Dial(t.Context(), s.Spec(), transport.Options{})
	if err == nil || !strings.Contains(err.Error(), "was not offered: OpenSSH 6.0 knows no ed25519 keys, use an RSA key") {
		t.Errorf("got %v", err)
	}
}
