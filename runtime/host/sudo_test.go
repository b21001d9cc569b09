package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"runner/runtime/host"
	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
)

const sudoPassword = "open 'sesame' $x"

// visitor is a login as a user of its own, who has a password and what a sudoers file gives him. All of it is in a mount
// namespace of the session: the users and the sudoers of this machine stay as they are.
func visitor(t *testing.T, sudoers string) transport.Spec {
	t.Helper()
	if os.Getuid() != 0 {
		require(t, "root", "needs root, for a user of its own")
	}
	for _, name := range []string{"sudo", "unshare", "setpriv", "openssl"} {
		if _, err := exec.LookPath(name); err != nil {
			require(t, "root", "needs "+name)
		}
	}
	hash := passwordHash(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	add := func(name, line string, mode os.FileMode) {
		text, err := os.ReadFile("/etc/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), append(text, line+"\n"...), mode); err != nil {
			t.Fatal(err)
		}
	}
	add("passwd", "visitor:x:64321:64321::/tmp:/bin/sh", 0o644)
	add("group", "visitor:x:64321:", 0o644)
	add("shadow", fmt.Sprintf("visitor:%s:19000:0:99999:7:::", hash), 0o600)
	if err := os.WriteFile(filepath.Join(dir, "sudoers"), []byte("Defaults timestamp_timeout=0,!fqdn,passwd_tries=3\n"+sudoers+"\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	script := `cd "$0" && for f in passwd group shadow sudoers;do mount --bind $f /etc/$f||exit;done
exec setpriv --reuid 64321 --regid 64321 --clear-groups env HOME=/tmp USER=visitor LOGNAME=visitor /bin/sh -c "$1"`
	return sshtest.Start(t, sshtest.Options{MaxSessions: 10, Login: []string{"unshare", "-m", "--propagation", "private", "sh", "-c", script, dir}}).Spec()
}

// passwordHash is sudoPassword as shadow(5) has it.
func passwordHash(t *testing.T) string {
	t.Helper()
	hash, err := exec.CommandContext(t.Context(), "openssl", "passwd", "-6", sudoPassword).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(hash))
}

func TestSudo(t *testing.T) {
	dialing := func(spec transport.Spec) func(context.Context) (transport.Conn, error) {
		return func(ctx context.Context) (transport.Conn, error) {
			return transport.Dial(ctx, spec, transport.Options{})
		}
	}
	right := func() (string, error) { return sudoPassword, nil }
	for name, c := range map[string]struct {
		sudoers  string
		password func() (string, error)
		says     string // empty: it works
	}{
		"without a password":  {sudoers: "visitor ALL=(ALL) NOPASSWD: ALL"},
		"with a password":     {sudoers: "visitor ALL=(ALL) ALL", password: right},
		"password not needed": {sudoers: "visitor ALL=(ALL) NOPASSWD: ALL", password: func() (string, error) { return "", errors.New("asked for nothing") }},
		"wrong password": {sudoers: "visitor ALL=(ALL) ALL", password: func() (string, error) { return "wr0ng", nil }, says: `cannot run commands on here: sudo refused the password
next: give the right password of the user who logs in (sudo_password in the site), allow NOPASSWD in sudoers, or log in as root`},
		"no password": {sudoers: "visitor ALL=(ALL) ALL", says: `cannot run commands on here: sudo asks for a password and none is given
next: give the password of the user who logs in (sudo_password in the site), allow NOPASSWD in sudoers, or log in as root`},
		"not in sudoers": {sudoers: "", password: right, says: `cannot run commands on here: sudo does not know the user
next: give the user the right on the host (visudo), or log in as root`},
		"not this command": {sudoers: "visitor ALL=(ALL) NOPASSWD: /bin/true", says: `cannot run commands on here: sudo asks for a password and none is given
next: give the password of the user who logs in (sudo_password in the site), allow NOPASSWD in sudoers, or log in as root`},
		"not this command, with a password": {sudoers: "visitor ALL=(ALL) /bin/true", password: right, says: `cannot run commands on here: sudo lets the user run some commands and not /bin/sh
next: allow the user (ALL) in sudoers, or log in as root`},
		"wants a terminal": {sudoers: "Defaults requiretty\nvisitor ALL=(ALL) NOPASSWD: ALL", says: `cannot run commands on here: sudo wants a terminal (requiretty)
next: put "Defaults:USER !requiretty" into sudoers with visudo, or log in as root`},
		"the operator has given up": {sudoers: "visitor ALL=(ALL) ALL", password: func() (string, error) { return "", errors.New("nobody answers") }, says: "cannot start /bin/sh on here: nobody answers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t, host.Options{Dial: dialing(visitor(t, c.sudoers)), SudoPassword: c.password})
			if out, err := h.Query(t.Context(), "id", "-un"); err != nil || out.Stdout != "visitor\n" {
				t.Fatalf("the login: %+v, %v", out, err)
			}
			root, err := h.Sudo(t.Context())
			if c.says != "" {
				if got := told(err); got != c.says {
					t.Errorf("got\n%s\nwant\n%s", got, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			asRoot(t, h, root)
		})
	}
}

// told is an error with what to do next.
func told(err error) string {
	if err == nil {
		return ""
	}
	if login := (*host.LoginError)(nil); errors.As(err, &login) {
		return err.Error() + "\nnext: " + login.Hint()
	}
	return err.Error()
}

// asRoot checks that the one level can what the other cannot, in shells, channels of their own and files.
func asRoot(t *testing.T, h, root *host.Host) {
	t.Helper()
	if out, err := root.Query(t.Context(), "id", "-u"); err != nil || out.Stdout != "0\n" {
		t.Errorf("%+v, %v", out, err)
	}
	out, err := root.RunCommand(t.Context(), host.Command{Argv: []string{"sh", "-c", `id -u; cat`}, Stdin: strings.NewReader(sudoPassword)})
	if err != nil || out.Stdout != "0\n"+sudoPassword {
		t.Errorf("with input: %+v, %v", out, err)
	}
	dir := t.TempDir()
	if err := root.WriteFile(t.Context(), dir+"/x", []byte("x"), host.Attr{Mode: 0o600, UID: -1, GID: -1}); err != nil {
		t.Error(err)
	}
	if info, err := root.Stat(t.Context(), dir+"/x"); err != nil || info.UID != 0 || info.Mode != 0o600 {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := h.ReadFile(t.Context(), dir+"/x"); !errors.Is(err, os.ErrPermission) {
		t.Errorf("the login can read it: %v", err)
	}
	if again, err := root.Sudo(t.Context()); err != nil || again != root {
		t.Errorf("root is not root already: %v", err)
	}
	mark := word()
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() {
		_, err := root.RunCommand(ctx, host.Script(`sh -c 'sleep 600; : "$0"' "$1"`, mark))
		over <- err
	}()
	if !soon(func() bool { return running(t, mark) > 0 }) {
		t.Error("it does not start")
	}
	cancel()
	<-over
	if !soon(func() bool { return running(t, mark) == 0 }) {
		t.Errorf("%d processes of root are left", running(t, mark))
	}
}

// The password is asked for once, whatever the number of shells and channels, and is on no command line meanwhile.
func TestSudoPasswordIsAskedForOnce(t *testing.T) {
	spec := visitor(t, "visitor ALL=(ALL) ALL")
	var asked atomic.Int64
	h := open(t, host.Options{
		Dial: func(ctx context.Context) (transport.Conn, error) {
			return transport.Dial(ctx, spec, transport.Options{})
		},
		SudoPassword: func() (string, error) { asked.Add(1); return sudoPassword, nil },
		Sudo:         true,
	})
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			p, err := h.Start(t.Context(), host.Script("id -u"))
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close()
			if text, err := io.ReadAll(p.Stdout()); err != nil || string(text) != "0\n" {
				t.Errorf("%q, %v", text, err)
			}
			if err := p.Wait(); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			if _, err := h.Run(t.Context(), "true"); err != nil {
				t.Error(err)
			}
		})
	}
	if n := running(t, sudoPassword); n != 0 {
		t.Errorf("the password is on %d command lines", n)
	}
	all.Wait()
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}
