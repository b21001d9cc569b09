package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
	"runner/runtime/transport/transporttest"
)

// cable passes connections on to a server until it is pulled: from then on nothing comes through, and nobody is told.
type cable struct {
	addr   string
	pulled atomic.Bool
}

func layCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{addr: l.Addr().String()}
	var ends []net.Conn
	var mu sync.Mutex
	keep := func(n net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		ends = append(ends, n)
	}
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, e := range ends {
			e.Close()
		}
	})
	pass := func(from, to net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			if c.pulled.Load() {
				continue
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			keep(near)
			keep(far)
			go pass(near, far)
			go pass(far, near)
		}
	}()
	return c
}

func (c *cable) spec(t *testing.T, s *sshtest.Server) transport.Spec {
	t.Helper()
	spec, err := transport.Parse("test@" + c.addr)
	if err != nil {
		t.Fatal(err)
	}
	spec.Keys, spec.KnownHosts, spec.Config = []string{s.KeyFile}, []string{s.Known}, []string{}
	spec.Alias = "[127.0.0.1]:" + s.Addr[strings.LastIndexByte(s.Addr, ':')+1:]
	return spec
}

func TestSilentPeer(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	line := layCable(t, s.Addr)
	c := dial(t, line.spec(t, s), transport.Options{KeepAlive: 100 * time.Millisecond})
	p, err := c.Start(t.Context(), "sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	line.pulled.Store(true)
	started := make(chan error, 1)
	go func() {
		_, err := c.Start(t.Context(), "true")
		started <- err
	}()
	if _, err := p.Wait(); !errors.Is(err, transport.ErrLost) || !strings.Contains(err.Error(), "connection lost: no answer for 0.3 s") {
		t.Errorf("the command: %v", err)
	}
	<-c.Done()
	if err := c.Err(); !errors.Is(err, transport.ErrLost) {
		t.Errorf("the connection: %v", err)
	}
	if err := <-started; !errors.Is(err, transport.ErrLost) {
		t.Errorf("a command that was being started: %v", err)
	}
	if _, err := c.Dial(t.Context(), "tcp", "127.0.0.1:1"); !errors.Is(err, transport.ErrLost) {
		t.Errorf("an address behind it: %v", err)
	}
}

// A server that does not know the question (keepalive@openssh.com) is alive all the same, and one that is busy with our bytes too.
func TestKeepAliveSparesTheLiving(t *testing.T) {
	c := dial(t, sshtest.Start(t, sshtest.Options{}).Spec(), transport.Options{KeepAlive: 300 * time.Millisecond})
	out, _, _, err := transporttest.Command(t.Context(), c, "sleep 1.5; wc -c", strings.Repeat("x", 8<<20))
	if err != nil || strings.TrimSpace(out) != fmt.Sprint(8<<20) {
		t.Errorf("%q, %v", out, err)
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func TestClosedConnection(t *testing.T) {
	c := dial(t, sshtest.Start(t, sshtest.Options{}).Spec(), transport.Options{})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if err := c.Err(); err != nil {
		t.Errorf("a connection that we closed is lost: %v", err)
	}
	_, err := c.Start(t.Context(), "true")
	if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "the connection is closed") {
		t.Errorf("a command: %v", err)
	}
	if _, err := c.Dial(t.Context(), "tcp", "127.0.0.1:1"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("an address: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

// A server with room for two commands gets two; the third waits, or gives up when its context ends.
func TestFullServer(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{MaxSessions: 2})
	c := dial(t, s.Spec(), transport.Options{MaxSessions: 2})
	var running []transport.Process
	for range 2 {
		p, err := c.Start(t.Context(), "read line")
		if err != nil {
			t.Fatal(err)
		}
		running = append(running, p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() {
		_, err := c.Start(ctx, "true")
		gaveUp <- err
	}()
	third := make(chan error, 1)
	go func() {
		out, _, _, err := transporttest.Command(t.Context(), c, "echo third", "")
		if out != "third\n" && err == nil {
			err = fmt.Errorf("it printed %q", out)
		}
		third <- err
	}()
	time.Sleep(50 * time.Millisecond)
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "all 2 sessions of the connection are taken") {
		t.Errorf("given up: %v", err)
	}
	select {
	case err := <-third:
		t.Errorf("a third command did not wait: %v", err)
	default:
	}
	if n := s.Sessions.Load(); n != 2 {
		t.Errorf("%d sessions were asked for", n)
	}
	_, _ = io.WriteString(running[0].Stdin(), "\n")
	if _, err := running[0].Wait(); err != nil {
		t.Error(err)
	}
	if err := <-third; err != nil {
		t.Error(err)
	}
}

// Whoever holds sessions without need is asked to let go of them when others wait.
func TestWhenFull(t *testing.T) {
	c := dial(t, sshtest.Start(t, sshtest.Options{MaxSessions: 1}).Spec(), transport.Options{})
	idle, err := c.Start(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	c.(interface{ WhenFull(func()) }).WhenFull(func() { idle.Stdin().Close() })
	if out, _, _, err := transporttest.Command(t.Context(), c, "echo mine", ""); err != nil || out != "mine\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestErrorsOfDialling(t *testing.T) {
	withoutOwnKeys(t)
	s := sshtest.Start(t, sshtest.Options{})
	speaks := func(t *testing.T, text string) transport.Spec {
		l, err := net.Listen("tcp", "127.0.0.1:0")
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
				go func() { _, _ = io.WriteString(c, text); time.Sleep(50 * time.Millisecond); c.Close() }()
			}
		}()
		return transport.Spec{Address: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, User: "root", Config: []string{}, KnownHosts: []string{"/nowhere"}}
	}
	for name, c := range map[string]struct {
		spec func(*testing.T) transport.Spec
		says string
		do   string
	}{
		"mail server": {func(t *testing.T) transport.Spec { return speaks(t, "220 mail ESMTP Postfix\r\n") }, `is no ssh server: it said "220 mail ESMTP Postfix"`, ""},
		"banned":      {func(t *testing.T) transport.Spec { return speaks(t, "Not allowed at this time\r\n") }, "the server hung up: Not allowed", "PerSourcePenalties"},
		"hangs up":    {func(t *testing.T) transport.Spec { return speaks(t, "") }, "the server hung up during the handshake", "MaxStartups"},
		"slow": {func(t *testing.T) transport.Spec {
			spec := sshtest.Start(t, sshtest.Options{Delay: time.Minute}).Spec()
			spec.ConnectTimeout = 100 * time.Millisecond
			return spec
		}, "no answer within 0.1 s", "does a firewall let port"},
		"no network": {func(*testing.T) transport.Spec {
			return transport.Spec{Address: "127.0.0.1", Port: 22, User: "root", Config: []string{"/etc"}}
		}, "cannot read the ssh configuration", ""},
		"bad config": {func(t *testing.T) transport.Spec {
			return transport.Spec{Address: "127.0.0.1", User: "root", Config: []string{write(t, "config", "Host *", "Port ssh")}}
		}, "cannot use what ssh_config says of 127.0.0.1: the port must be a number from 1 to 65535", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := transport.Dial(t.Context(), c.spec(t), transport.Options{})
			tell(t, err, c.do, "cannot connect to ", c.says)
		})
	}
	// The whole of the texts that are met most.
	port := closedPort(t)
	fingerprint := "SHA256:"
	if text := knownFingerprint(t, s); text != "" {
		fingerprint = text
	}
	unknown := s.Spec()
	unknown.KnownHosts = []string{"/home/me/.ssh/known_hosts"}
	refused := sshtest.Start(t, sshtest.Options{NoKey: true, Config: refuseKeys})
	for _, c := range []struct {
		spec     transport.Spec
		text, do string
	}{
		{transport.Spec{Address: "127.0.0.1", Port: port, User: "root", Config: []string{}},
			fmt.Sprintf("cannot connect to root@127.0.0.1:%d: connection refused", port), fmt.Sprintf("is sshd running there, and on port %d?", port)},
		{unknown, "cannot connect to test@" + s.Addr + ": its host key is not known: it shows ssh-ed25519 " + fingerprint,
			`compare it with what this says on the host: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub; then write into site.lua: fingerprint = "` + fingerprint +
				`", or run: ssh-keyscan -p ` + s.Addr[len("127.0.0.1:"):] + " -t ed25519 127.0.0.1 >> /home/me/.ssh/known_hosts"},
		{refused.Spec(), "cannot connect to test@" + refused.Addr + ": it refused the login as test; tried: key " + refused.KeyFile + " (ssh-ed25519 " + keyFingerprint(t, refused.KeyFile) + "); it accepts: publickey",
			`see that this works: ssh -p ` + refused.Addr[len("127.0.0.1:"):] + ` test@127.0.0.1 true; name the key in site.lua: key = "~/.ssh/…"`},
	} {
		_, err := transport.Dial(t.Context(), c.spec, transport.Options{})
		if err == nil || err.Error() != c.text {
			t.Errorf("got  %v\nwant %s", err, c.text)
		}
		if got := hint(err); got != c.do {
			t.Errorf("got  %s\nwant %s", got, c.do)
		}
	}
}

// The name that nobody has; a machine without a name server says that instead.
func TestUnknownName(t *testing.T) {
	spec := transport.Spec{Address: "no-such-host.invalid", User: "root", Config: []string{}, ConnectTimeout: 5 * time.Second}
	_, err := transport.Dial(t.Context(), spec, transport.Options{})
	if err == nil || !strings.Contains(err.Error(), "no-such-host.invalid") || hint(err) == "" {
		t.Errorf("got %v; %s", err, hint(err))
	}
	t.Logf("%v; %s", err, hint(err))
}

func knownFingerprint(t *testing.T, s *sshtest.Server) string {
	t.Helper()
	c := dial(t, s.Spec(), transport.Options{})
	defer c.Close()
	return c.Peer().Fingerprint
}

func keyFingerprint(t *testing.T, file string) string {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(privateKey(t, file))
	if err != nil {
		t.Fatal(err)
	}
	return ssh.FingerprintSHA256(signer.PublicKey())
}
