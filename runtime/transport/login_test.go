package transport_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
)

// startAgent runs an ssh agent that holds the given keys, in this order, and makes it the agent of the test.
func startAgent(t *testing.T, keys ...any) {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		if err := ring.Add(agent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "agent") // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, c); c.Close() }()
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", l.Addr().String())
}

func manyKeys(t *testing.T, n int) []any {
	t.Helper()
	var keys []any
	for range n {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, private)
	}
	return keys
}

func privateKey(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParseRawPrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pemText(t *testing.T, private any) string {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

// withoutOwnKeys is a home without keys, so that those of whoever runs the test are not offered.
func withoutOwnKeys(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	t.Setenv("SSH_AUTH_SOCK", "")
}

// An agent may hold more keys than sshd lets be tried. sshd hangs up at the sixth (MaxAuthTries), so the runner stops before.
func TestAgentWithManyKeys(t *testing.T) {
	withoutOwnKeys(t)
	real := sshtest.OpenSSH(t, "", "ed25519")
	right := privateKey(t, real.Keys[0])
	for _, c := range []struct {
		position int
		named    bool
		works    bool
	}{{0, false, true}, {4, false, true}, {7, false, false}, {7, true, true}} {
		t.Run(fmt.Sprintf("%d, named %v", c.position, c.named), func(t *testing.T) {
			startAgent(t, slices.Insert(manyKeys(t, 8), c.position, right)...)
			spec := real
			spec.Keys = nil
			if c.named { // by its public part alone: the agent has the other
				spec.Keys = []string{real.Keys[0] + ".pub"}
			}
			conn, err := transport.Dial(t.Context(), spec, transport.Options{})
			if c.works {
				if err != nil {
					t.Fatal(err)
				}
				conn.Close()
				return
			}
			tell(t, err, "name the key in site.lua", "it refused the login as root", "a key of the agent (ssh-ed25519 SHA256:",
				"4 more keys were not offered, because sshd hangs up after six tries")
			var refused *transport.AuthError
			if !errors.As(err, &refused) || len(refused.Tried) != 5 {
				t.Errorf("tried %q", refused.Tried)
			}
		})
	}
}

// A password is still tried after keys that were refused, and sshd counts those.
func TestPasswordAfterManyKeys(t *testing.T) {
	withoutOwnKeys(t)
	var failures atomic.Int64
	s := sshtest.Start(t, sshtest.Options{NoKey: true, Password: "right", Config: func(c *ssh.ServerConfig) {
		refuseKeys(c)
		c.MaxAuthTries = 6
		c.AuthLogCallback = func(_ ssh.ConnMetadata, method string, err error) {
			if err != nil && method != "none" {
				failures.Add(1)
			}
		}
	}})
	startAgent(t, manyKeys(t, 12)...)
	spec := s.Spec()
	spec.Keys = nil
	ask := &typist{t: t, passwords: []string{"right"}}
	dial(t, spec, transport.Options{Prompter: ask})
	if failures.Load() != 5 {
		t.Errorf("%d keys were refused before the password", failures.Load())
	}
}

// typist answers questions for secrets, in this order.
type typist struct {
	t         *testing.T
	mu        sync.Mutex
	passwords []string
	asked     []string
}

func (p *typist) Confirm(_ context.Context, q string) (bool, error) {
	p.t.Errorf("asked %q", q)
	return false, nil
}

func (p *typist) Secret(_ context.Context, q string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, q)
	if len(p.passwords) == 0 {
		return "", errors.New("asked once too often: " + q)
	}
	next := p.passwords[0]
	p.passwords = p.passwords[1:]
	return next, nil
}

func TestTypedPassword(t *testing.T) {
	withoutOwnKeys(t)
	s := sshtest.Start(t, sshtest.Options{NoKey: true, Password: "right", Config: func(c *ssh.ServerConfig) { c.MaxAuthTries = 6 }})
	spec := s.Spec()
	spec.Keys = nil
	ask := &typist{t: t, passwords: []string{"wrong", "right"}}
	d := transport.NewDialer(transport.Options{Prompter: ask})
	for range 2 { // the second time it is known
		c, err := d.Dial(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if len(ask.asked) != 2 || ask.asked[0] != "Password of test@"+s.Addr+": " || ask.asked[1] != "It was refused. "+ask.asked[0] {
		t.Errorf("asked %q", ask.asked)
	}
	ask = &typist{t: t, passwords: []string{"one", "two", "three", "four"}}
	_, err := transport.Dial(t.Context(), spec, transport.Options{Prompter: ask})
	tell(t, err, "see that this works: ssh -p ", "it refused the login as test; tried: password, password, password; it accepts: password")
	if len(ask.asked) != 3 || strings.Contains(err.Error(), "three") {
		t.Errorf("asked %q; %v", ask.asked, err)
	}
}

func TestKeyboardInteractive(t *testing.T) {
	withoutOwnKeys(t)
	questions := func(c *ssh.ServerConfig) {
		c.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			got, err := ask("", "Two factors", []string{"Password: ", "Code \x1b[31m: "}, []bool{false, true})
			if err != nil || len(got) != 2 || got[0] != "right" || got[1] != "123456" {
				return nil, errors.New("no")
			}
			return nil, nil
		}
	}
	spec := sshtest.Start(t, sshtest.Options{NoKey: true, Config: questions}).Spec()
	spec.Keys = nil
	ask := &typist{t: t, passwords: []string{"right", "123456"}}
	dial(t, spec, transport.Options{Prompter: ask})
	if len(ask.asked) != 2 || strings.Contains(strings.Join(ask.asked, ""), "\x1b") || !strings.Contains(ask.asked[1], "Two factors\nCode") {
		t.Errorf("asked %q", ask.asked)
	}
	// The site's password answers the question for one; the code must be typed.
	spec.Password = func() (string, error) { return "right", nil }
	dial(t, spec, transport.Options{Prompter: &typist{t: t, passwords: []string{"123456"}}})
	_, err := transport.Dial(t.Context(), spec, transport.Options{})
	tell(t, err, "", "tried: keyboard-interactive", "which nobody is there to answer")
	if strings.Contains(err.Error(), "right") {
		t.Errorf("the password is in the message: %v", err)
	}
}

// lockedKey writes a key with a passphrase that logs in to the server, in today's format or in the old one, whose
// public part cannot be read without it.
func lockedKey(t *testing.T, kind string) (file string, public ssh.PublicKey) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "id")
	args := []string{"-q", "-t", "ed25519", "-a", "1", "-N", "open sesame", "-f", file}
	if kind == "PEM" {
		args = append(args, "-m", "PEM", "-t", "ecdsa")
	}
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	public, _, _, _, err = ssh.ParseAuthorizedKey(text)
	if err != nil {
		t.Fatal(err)
	}
	if kind == "PEM" {
		if err := os.Remove(file + ".pub"); err != nil {
			t.Fatal(err)
		}
	}
	return file, public
}

func TestKeyWithPassphrase(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		require(t, "openssh", "needs ssh-keygen")
	}
	withoutOwnKeys(t)
	for _, kind := range []string{"OpenSSH", "PEM"} {
		t.Run(kind, func(t *testing.T) {
			file, public := lockedKey(t, kind)
			takes := func(c *ssh.ServerConfig) {
				c.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
					if string(k.Marshal()) == string(public.Marshal()) {
						return nil, nil
					}
					return nil, errors.New("no")
				}
			}
			spec := sshtest.Start(t, sshtest.Options{NoKey: true, Config: takes}).Spec()
			spec.Keys = []string{file}

			// Ten hosts at once, one question; a slip of the finger is asked again.
			ask := &typist{t: t, passwords: []string{"slip", "open sesame"}}
			d := transport.NewDialer(transport.Options{Prompter: ask})
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					c, err := d.Dial(t.Context(), spec)
					if err != nil {
						t.Error(err)
						return
					}
					c.Close()
				})
			}
			all.Wait()
			if want := "Passphrase of " + file + ": "; len(ask.asked) != 2 || ask.asked[0] != want || ask.asked[1] != "That is not it. "+want {
				t.Errorf("asked %q", ask.asked)
			}

			spec.Passphrase = func(string) (string, error) { return "open sesame", nil }
			dial(t, spec, transport.Options{})
			spec.Passphrase = func(string) (string, error) { return "wr0ng", nil }
			_, err := transport.Dial(t.Context(), spec, transport.Options{})
			tell(t, err, "", "cannot use the key "+file+": the passphrase that the site has for it is wrong")
			if strings.Contains(err.Error(), "wr0ng") {
				t.Errorf("the passphrase is in the message: %v", err)
			}
			spec.Passphrase = nil
			_, err = transport.Dial(t.Context(), spec, transport.Options{})
			tell(t, err, "", "it has a passphrase, and there is nobody to ask for it: load it with ssh-add, or give passphrase")

			// A server that does not take the key anyway: nobody types a passphrase for nothing, where that can be known.
			if kind == "OpenSSH" {
				spec := sshtest.Start(t, sshtest.Options{NoKey: true, Config: refuseKeys}).Spec()
				spec.Keys = []string{file}
				_, err = transport.Dial(t.Context(), spec, transport.Options{Prompter: &typist{t: t}})
				tell(t, err, "", "tried: key "+file)
			}
		})
	}
}

// A certificate that lies beside a key is offered first, as ssh does it.
func TestUserCertificate(t *testing.T) {
	withoutOwnKeys(t)
	authority := sshtest.NewSigner(t)
	checker := &ssh.CertChecker{IsUserAuthority: func(k ssh.PublicKey) bool {
		return string(k.Marshal()) == string(authority.PublicKey().Marshal())
	}}
	s := sshtest.Start(t, sshtest.Options{NoKey: true, Config: func(c *ssh.ServerConfig) { c.PublicKeyCallback = checker.Authenticate }})
	signer, err := ssh.NewSignerFromKey(privateKey(t, s.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"test"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	_, err = transport.Dial(t.Context(), s.Spec(), transport.Options{})
	tell(t, err, "", "tried: key "+s.KeyFile)
	if err := os.WriteFile(s.KeyFile+"-cert.pub", ssh.MarshalAuthorizedKey(cert), 0o600); err != nil {
		t.Fatal(err)
	}
	dial(t, s.Spec(), transport.Options{})
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	withoutOwnKeys(t)
	s := sshtest.Start(t, sshtest.Options{NoKey: true, Config: refuseKeys})
	spec := s.Spec()
	rubbish := write(t, "rubbish", "no key")
	lone := write(t, "lone.pub", public(sshtest.NewSigner(t).PublicKey()))
	broken := write(t, "broken", string(pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: []byte("x")})))
	spec.Keys = []string{"/nowhere/id", rubbish, lone, broken}
	_, err := transport.Dial(t.Context(), spec, transport.Options{})
	tell(t, err, "name the key in site.lua: key = ", "cannot read the key: open /nowhere/id: no such file", "cannot use the key "+rubbish,
		lone+" is a public key, and the agent does not hold its private part", "cannot use the key "+broken, "tried: nothing")
}

// require skips a test that lacks something, or fails it where RUNNER_TEST_REQUIRE asks for it.
func require(t testing.TB, word, why string) {
	t.Helper()
	if strings.Contains(os.Getenv("RUNNER_TEST_REQUIRE"), word) {
		t.Fatalf("this test %s", why)
	}
	t.Skipf("SKIPPED: %s", why)
}
