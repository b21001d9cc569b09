package sshtest

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
)

// OpenSSH starts Debian's own sshd on a port of 127.0.0.1, with lines of configuration beside the usual ones and a new host
// key of each type ("ed25519" when none is named). It says how to log in as root with a key of its own; of the host
// keys only the first is known. Where there is no sshd, or the test does not run as root, the test is skipped, or
// fails when RUNNER_TEST_REQUIRE asks for "openssh".
func OpenSSH(t testing.TB, extra string, keyTypes ...string) transport.Spec {
	t.Helper()
	const sshd = "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil || os.Getuid() != 0 {
		if strings.Contains(os.Getenv("RUNNER_TEST_REQUIRE"), "openssh") {
			t.Fatal("this test needs root and openssh-server")
		}
		t.Skip("SKIPPED: needs root and openssh-server")
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	if len(keyTypes) == 0 {
		keyTypes = []string{"ed25519"}
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	keygen(t, "ed25519", at("id"))
	port := freePort(t)
	var config strings.Builder
	for _, kind := range keyTypes {
		keygen(t, kind, at("host_"+kind))
		fmt.Fprintf(&config, "HostKey %s\n", at("host_"+kind))
	}
	public, err := os.ReadFile(at("host_" + keyTypes[0] + ".pub"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&config, "Port %d\nListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\nAuthorizedKeysFile %s\nSubsystem sftp internal-sftp\n%s\n", port, at("id.pub"), extra)
	for name, text := range map[string]string{"sshd_config": config.String(), "known_hosts": fmt.Sprintf("[127.0.0.1]:%d %s", port, public)} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(sshd, "-D", "-e", "-f", at("sshd_config"))
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("sshd said:\n%s", said.String())
		}
	})
	for range 500 {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Close()
			return transport.Spec{Address: "127.0.0.1", Port: port, User: "root", Keys: []string{at("id")}, KnownHosts: []string{at("known_hosts")}, Config: []string{}}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("sshd does not listen")
	return transport.Spec{}
}

func keygen(t testing.TB, kind, file string) {
	t.Helper()
	if out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
