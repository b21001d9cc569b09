package transport_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runner/runtime/transport"
	"runner/runtime/transport/transporttest"
)

// realSSHD starts Debian's own sshd with a configuration of its own on a port of 127.0.0.1.
func realSSHD(t *testing.T, extra string, keyTypes ...string) transport.Spec {
	t.Helper()
	sshd := "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil || os.Getuid() != 0 {
		if strings.Contains(os.Getenv("RUNNER_TEST_REQUIRE"), "openssh") {
			t.Fatal("this test needs root and openssh-server")
		}
		t.Skip("SKIPPED: needs root and openssh-server")
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	keygen := func(kind, file string) {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	keygen("ed25519", at("id"))
	var config, known strings.Builder
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	for _, kind := range keyTypes {
		keygen(kind, at("host_"+kind))
		fmt.Fprintf(&config, "HostKey %s\n", at("host_"+kind))
		public, err := os.ReadFile(at("host_" + kind + ".pub"))
		if err != nil {
			t.Fatal(err)
		}
		if known.Len() == 0 { // only the first type is known of this host
			fmt.Fprintf(&known, "[127.0.0.1]:%d %s", port, public)
		}
	}
	fmt.Fprintf(&config, "Port %d\nListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\nAuthorizedKeysFile %s\nSubsystem sftp internal-sftp\n%s\n", port, at("id.pub"), extra)
	for name, text := range map[string]string{"sshd_config": config.String(), "known_hosts": known.String()} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(sshd, "-D", "-e", "-f", at("sshd_config"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 100 {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Close()
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return transport.Spec{Address: "127.0.0.1", Port: port, User: "root", Keys: []string{at("id")}, KnownHosts: []string{at("known_hosts")}, Config: []string{}}
}

func TestOpenSSH(t *testing.T) {
	spec := realSSHD(t, "", "ed25519")
	transporttest.Run(t, func(t *testing.T) transport.Conn { return dial(t, spec, transport.Options{}) })
}

func TestOpenSSHWithFewSessions(t *testing.T) {
	transporttest.Many(t, dial(t, realSSHD(t, "MaxSessions 3", "ed25519"), transport.Options{}), 20)
}

// A host known by its RSA key also has others, which the library would rather see: it must be asked for the RSA one.
func TestOpenSSHKnownByItsOldKey(t *testing.T) {
	dial(t, realSSHD(t, "", "rsa", "ecdsa", "ed25519"), transport.Options{})
}

func TestOpenSSHBusyWithHandshakes(t *testing.T) {
	spec := realSSHD(t, "MaxStartups 2", "ed25519")
	d := transport.NewDialer(transport.Options{})
	errs := make(chan error, 16)
	for range 16 {
		go func() {
			c, err := d.Dial(t.Context(), spec)
			if err == nil {
				defer c.Close()
			}
			errs <- err
		}()
	}
	for range 16 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
