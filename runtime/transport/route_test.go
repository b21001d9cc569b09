package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
	"runner/runtime/transport/transporttest"
)

// TestMain lets the test program stand in for the command of a ProxyCommand.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "connect-to" {
		os.Exit(connectTo(os.Args[2]))
	}
	os.Exit(m.Run())
}

func connectTo(address string) int {
	c, err := net.Dial("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { _, _ = io.Copy(c, os.Stdin); c.Close() }()
	_, _ = io.Copy(os.Stdout, c)
	return 0
}

func program(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestProxyCommand(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	spec := s.Spec()
	spec.Config = []string{write(t, "config", "Host gate*\n  ProxyCommand "+program(t)+" connect-to "+s.Addr+"\n  HostKeyAlias mail\n  User %n-is-not-expanded")}
	spec.Address, spec.Port = "gate-of-%d", 0
	if _, err := transport.Dial(t.Context(), spec, transport.Options{}); err == nil {
		t.Error("a name with a % was taken")
	}
	spec.Address = "gate-of-mail"
	known, err := os.ReadFile(s.Known)
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(known), " ")
	spec.KnownHosts = []string{write(t, "known_hosts", "mail "+key)}
	c := dial(t, spec, transport.Options{})
	if out, _, _, err := transporttest.Command(t.Context(), c, "echo there", ""); err != nil || out != "there\n" {
		t.Errorf("%q, %v", out, err)
	}
	if c.Peer().Address != "gate-of-mail:22" {
		t.Errorf("the address is %s", c.Peer().Address)
	}
	c.Close()
	<-c.Done()
}

func TestProxyCommandThatFails(t *testing.T) {
	for name, c := range map[string]struct{ command, says string }{
		"says why":       {`sh -c 'echo "no way to %h" >&2; exit 1'`, `said: no way to mail`},
		"is not there":   {"/nowhere/proxy %h:%p", "its ProxyCommand (/nowhere/proxy mail:22) said: "},
		"says nothing":   {"false", "its ProxyCommand (false) ended and said nothing"},
		"prints rubbish": {"sh -c 'echo hello; exec sleep 60'", "no answer within 0.5 s"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := transport.Spec{Address: "mail", User: "test", ConnectTimeout: 500 * time.Millisecond, Config: []string{write(t, "config", "ProxyCommand "+c.command)}}
			_, err := transport.Dial(t.Context(), spec, transport.Options{})
			tell(t, err, "", "cannot connect to test@mail:22: ", c.says)
		})
	}
}

// shared makes a known_hosts file of several servers.
func shared(t *testing.T, servers ...*sshtest.Server) string {
	t.Helper()
	var lines []string
	for _, s := range servers {
		text, err := os.ReadFile(s.Known)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimSpace(string(text)))
	}
	return write(t, "known_hosts", lines...)
}

func TestProxyJumpOfSSHConfig(t *testing.T) {
	withoutOwnKeys(t)
	for name, real := range map[string]bool{"sshtest": false, "OpenSSH": true} {
		t.Run(name, func(t *testing.T) {
			var specs []transport.Spec
			for range 3 {
				if real {
					specs = append(specs, sshtest.OpenSSH(t, "", "ed25519"))
				} else {
					specs = append(specs, sshtest.Start(t, sshtest.Options{}).Spec())
				}
			}
			var config, known strings.Builder
			for i, s := range specs {
				fmt.Fprintf(&config, "Host h%d\n  HostName %s\n  Port %d\n  User %s\n  IdentityFile %s\n", i, s.Address, s.Port, s.User, s.Keys[0])
				if i > 0 {
					fmt.Fprintf(&config, "  ProxyJump h%d\n", i-1)
				}
				text, err := os.ReadFile(s.KnownHosts[0])
				if err != nil {
					t.Fatal(err)
				}
				known.Write(text)
			}
			spec := transport.Spec{Address: "h2", Config: []string{write(t, "config", config.String())}, KnownHosts: []string{write(t, "known_hosts", known.String())}}
			c := dial(t, spec, transport.Options{})
			if out, _, _, err := transporttest.Command(t.Context(), c, "echo there", ""); err != nil || out != "there\n" {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
}

// A jump is shared by those who go through it at the same time, and closed after the last of them.
func TestJumpIsShared(t *testing.T) {
	anyKey := sshtest.Options{NoKey: true, Config: func(c *ssh.ServerConfig) {
		c.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }
	}}
	gate := sshtest.Start(t, anyKey)
	servers := []*sshtest.Server{gate}
	for range 5 {
		servers = append(servers, sshtest.Start(t, anyKey))
	}
	known := shared(t, servers...)
	d := transport.NewDialer(transport.Options{})
	conns := make([]transport.Conn, 5)
	var all sync.WaitGroup
	for i, s := range servers[1:] {
		all.Go(func() {
			spec := s.Spec()
			spec.Keys, spec.KnownHosts, spec.Jump = []string{gate.KeyFile}, []string{known}, []string{"test@" + gate.Addr}
			var err error
			if conns[i], err = d.Dial(t.Context(), spec); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	for i, c := range conns {
		if n := gate.Conns(); n != 1 {
			t.Errorf("there are %d connections to the jump, with %d hosts behind it", n, len(conns)-i)
		}
		c.Close()
	}
	for range 500 {
		if gate.Conns() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the connection to the jump stays open with nobody behind it")
}

func TestJumpErrors(t *testing.T) {
	withoutOwnKeys(t)
	gate, target := sshtest.Start(t, sshtest.Options{}), sshtest.Start(t, sshtest.Options{})
	known := shared(t, gate, target)
	spec := target.Spec()
	spec.KnownHosts, spec.Keys = []string{known}, []string{target.KeyFile, gate.KeyFile}
	with := func(change func(*transport.Spec)) error {
		s := spec
		change(&s)
		c, err := transport.Dial(t.Context(), s, transport.Options{})
		if err == nil {
			c.Close()
		}
		return err
	}
	port := closedPort(t)
	err := with(func(s *transport.Spec) { s.Jump = []string{fmt.Sprintf("test@127.0.0.1:%d", port)} })
	tell(t, err, fmt.Sprintf("is sshd running there, and on port %d?", port), fmt.Sprintf("cannot connect to test@%s: through test@127.0.0.1:%d: ", target.Addr, port), "connection refused")
	err = with(func(s *transport.Spec) { s.Jump, s.Port = []string{"test@" + gate.Addr}, port })
	tell(t, err, fmt.Sprintf("is sshd running there, and on port %d?", port), "connection refused")
	err = with(func(s *transport.Spec) { s.Jump = []string{"local"} })
	tell(t, err, "", `this machine is no jump: leave "local" out`)
	err = with(func(s *transport.Spec) { s.Jump = []string{"a b"} })
	tell(t, err, "", "no host has such a name")

	config := "Host a\n ProxyJump b\nHost b\n ProxyJump a\nHost *\n HostName 127.0.0.1\n Port " + fmt.Sprint(port)
	err = with(func(s *transport.Spec) { s.Address, s.Port, s.Config = "a", 0, []string{write(t, "config", config)} })
	tell(t, err, "does a ProxyJump lead back to itself?", "there are more than 8 jumps on the way")
}

// What goes through a jump ends with it, and says so.
func TestLostJump(t *testing.T) {
	gate, target := sshtest.Start(t, sshtest.Options{}), sshtest.Start(t, sshtest.Options{})
	spec := target.Spec()
	spec.KnownHosts, spec.Keys, spec.Jump = []string{shared(t, gate, target)}, []string{target.KeyFile, gate.KeyFile}, []string{"test@" + gate.Addr}
	c := dial(t, spec, transport.Options{})
	p, err := c.Start(t.Context(), "sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	gate.Cut()
	if _, err := p.Wait(); !errors.Is(err, transport.ErrLost) {
		t.Errorf("the command: %v", err)
	}
	<-c.Done()
	if err := c.Err(); !errors.Is(err, transport.ErrLost) || !strings.Contains(err.Error(), "on the way: test@"+gate.Addr) {
		t.Errorf("the connection: %v", err)
	}
}

func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestIPv6(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("SKIPPED: this machine has no IPv6: %v", err)
	} else {
		l.Close()
	}
	s := sshtest.Start(t, sshtest.Options{Listen: "[::1]:0"})
	spec := s.Spec()
	c := dial(t, spec, transport.Options{})
	if want := s.Addr; c.Peer().Address != want {
		t.Errorf("the address is %s, not %s", c.Peer().Address, want)
	}
	parsed, err := transport.Parse("test@" + s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Keys, parsed.KnownHosts, parsed.Config = spec.Keys, spec.KnownHosts, spec.Config
	dial(t, parsed, transport.Options{})
	parsed.Config = []string{write(t, "config", "AddressFamily inet")}
	_, err = transport.Dial(t.Context(), parsed, transport.Options{})
	tell(t, err, "", "cannot connect to test@"+s.Addr)
	// As a jump, and behind one.
	gate := sshtest.Start(t, sshtest.Options{})
	spec.KnownHosts, spec.Keys, spec.Jump = []string{shared(t, s, gate)}, []string{s.KeyFile, gate.KeyFile}, []string{"test@" + gate.Addr}
	dial(t, spec, transport.Options{})
	back := gate.Spec()
	back.KnownHosts, back.Keys, back.Jump = spec.KnownHosts, spec.Keys, []string{"test@" + s.Addr}
	dial(t, back, transport.Options{})
}

func TestCancelIsPrompt(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	mute := transport.Spec{Address: "127.0.0.1", Port: silent.Addr().(*net.TCPAddr).Port, User: "test", Config: []string{}}
	gate := sshtest.Start(t, sshtest.Options{})
	behind := mute
	behind.Jump, behind.Keys, behind.KnownHosts = []string{"test@" + gate.Addr}, []string{gate.KeyFile}, []string{gate.Known}
	waits := sshtest.Start(t, sshtest.Options{NoKey: true, Password: "right"}).Spec()
	slowCommand := mute
	slowCommand.Config = []string{write(t, "config", "ProxyCommand sleep 60")}
	match := mute
	match.Config = []string{write(t, "config", "Match exec \"sleep 60\"\n  User x")}
	for name, c := range map[string]struct {
		spec transport.Spec
		o    transport.Options
	}{
		"handshake": {spec: mute}, "behind a jump": {spec: behind}, "proxy command": {spec: slowCommand}, "match exec": {spec: match},
		"while the operator is asked": {spec: waits, o: transport.Options{Prompter: deaf{}}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			over := make(chan error, 1)
			go func() {
				_, err := transport.Dial(ctx, c.spec, c.o)
				over <- err
			}()
			time.Sleep(100 * time.Millisecond)
			why := errors.New("the operator has had enough")
			cancel(why)
			select {
			case err := <-over:
				if !errors.Is(err, why) {
					t.Errorf("got %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("it went on")
			}
		})
	}
}

// deaf never answers.
type deaf struct{}

func (deaf) Confirm(context.Context, string) (bool, error)  { select {} }
func (deaf) Secret(context.Context, string) (string, error) { select {} }

// Handshakes with one server are begun in turn, so that a busy sshd need not drop any.
func TestHandshakesInTurn(t *testing.T) {
	var now, most int
	var mu sync.Mutex
	s := sshtest.Start(t, sshtest.Options{Config: func(c *ssh.ServerConfig) {
		inner := c.PublicKeyCallback
		c.PublicKeyCallback = func(m ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			mu.Lock()
			now--
			mu.Unlock()
			return inner(m, k)
		}
	}})
	d := transport.NewDialer(transport.Options{Handshakes: 3})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			c, err := d.Dial(t.Context(), s.Spec())
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		})
	}
	all.Wait()
	if most > 3 || most < 2 {
		t.Errorf("%d handshakes at a time", most)
	}
}
