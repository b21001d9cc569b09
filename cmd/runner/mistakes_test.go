package main

import (
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"runner/runtime/transport/sshtest"
)

// TestMistakes is the catalogue of what an operator is told when something is wrong: each script of testdata/errors is one wrong
// input, or one host that is not as it should be, with the exact output. See TestScripts for the commands; besides there are
//
//	$SMTP                          a port on which a mail server listens, and no sshd
//	$STRICT, $STRICT_KNOWN         an sshd that lets nobody in, and its known_hosts
//	$BARE, $BARE_KNOWN, $BARE_KEY  an sshd of a host without Postfix and without logins for MySQL, where [tmpfs]
//	$FULL                          a file system of 64 KiB, where [tmpfs]
//	$SOCKET                        a MariaDB server with accounts root (with a password) and reader, where [mariadb]
func TestMistakes(t *testing.T) {
	strict := sshtest.Start(t, sshtest.Options{NoKey: true, Password: "nobody knows it"})
	// Where this machine has Postfix, or logins of MySQL, the host does not see them.
	bare := sshtest.Start(t, sshtest.Options{Login: []string{"unshare", "-m", "sh", "-c",
		`if test -e /usr/sbin/postconf; then mount --bind /dev/null /usr/sbin/postconf || exit 1; fi;
		if test -e /etc/mysql; then mount -t tmpfs none /etc/mysql || exit 1; fi; exec sh -c "$0"`}})
	env := map[string]string{
		"SMTP":   otherServer(t),
		"STRICT": portOf(t, strict.Addr), "STRICT_KNOWN": strict.Known,
		"BARE": portOf(t, bare.Addr), "BARE_KNOWN": bare.Known, "BARE_KEY": bare.KeyFile,
		"FULL": smallDisk(t), "SOCKET": database(t),
	}
	runScripts(t, "testdata/errors", env)
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// otherServer is the port of one that greets as a mail server does.
func otherServer(t *testing.T) string {
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
			fmt.Fprint(c, "220 mail.example.org ESMTP Postfix\r\n")
			c.Close()
		}
	}()
	return portOf(t, l.Addr().String())
}

// required says that what the test lacks must not be missing here.
func required(t *testing.T, word, lack string) {
	t.Helper()
	if strings.Contains(os.Getenv("RUNNER_TEST_REQUIRE"), word) {
		t.Fatalf("this test needs %s", lack)
	}
}

// smallDisk is a file system of 64 KiB; empty: it could not be made.
func smallDisk(t *testing.T) string {
	dir := filepath.Join(scriptRoot(t), "full")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		required(t, "root", "root, to mount a small file system: "+err.Error())
		return ""
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// database is the socket of a new MariaDB server; empty: there is none.
func database(t *testing.T) string {
	if testing.Short() {
		return ""
	}
	for _, p := range []string{"mariadbd", "mariadb-install-db"} {
		if _, err := exec.LookPath(p); err != nil {
			required(t, "mariadb", p+" (apt-get install mariadb-server)")
			return ""
		}
	}
	dir := scriptRoot(t)
	common := []string{"--no-defaults", "--datadir=" + filepath.Join(dir, "data")}
	if os.Getuid() == 0 {
		u, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		if err := os.Chown(dir, uid, -1); err != nil {
			t.Fatal(err)
		}
		common = append(common, "--user=nobody")
	}
	if out, err := exec.Command("mariadb-install-db", append(common, "--auth-root-authentication-method=normal", "--skip-test-db")...).CombinedOutput(); err != nil {
		t.Fatalf("mariadb-install-db: %v\n%s", err, out)
	}
	socket := filepath.Join(dir, "s")
	server := exec.Command("mariadbd", append(common, "--socket="+socket, "--pid-file="+filepath.Join(dir, "pid"), "--skip-networking",
		"--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0", "--log-error="+filepath.Join(dir, "log"))...)
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	db, err := sql.Open("mysql", "root@unix("+socket+")/")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for deadline := time.Now().Add(time.Minute); db.Ping() != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("mariadbd does not answer")
		}
	}
	for _, statement := range []string{"CREATE USER reader@localhost", "ALTER USER root@localhost IDENTIFIED BY 'secret'"} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	return socket
}
