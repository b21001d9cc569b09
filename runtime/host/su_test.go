package host_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"runner/runtime/host"
	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
)

// TestSu: a host where root's password makes root. The su of Debian up to 9 (shadow) wants a terminal as its input.
func TestSu(t *testing.T) {
	if os.Getuid() != 0 {
		require(t, "root", "needs root, for a user of its own")
	}
	const wrong = `cannot run commands on here: su refused the password
next: give the right password of root (su_password in the site), use sudo or doas, or log in as root`
	for name, c := range map[string]struct {
		old            bool
		password, says string
	}{
		"the right password":              {password: sudoPassword},
		"the right password on an old su": {old: true, password: sudoPassword},
		"a wrong password":                {password: "wr0ng", says: wrong},
		"a wrong password on an old su":   {old: true, password: "wr0ng", says: wrong},
		"no password": {says: `cannot run commands on here: su asks for a password and none is given
next: give the password of root (su_password in the site), use sudo or doas, or log in as root`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := suVisitor(t, c.old)
			h := open(t, host.Options{Become: "su", SudoPassword: given(c.password), Dial: func(ctx context.Context) (transport.Conn, error) {
				return transport.Dial(ctx, spec, transport.Options{})
			}})
			root, err := h.Sudo(t.Context())
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				asRoot(t, h, root)
				return
			}
			if got := told(err); got != c.says {
				t.Errorf("got\n%s\nwant\n%s", got, c.says)
			}
		})
	}
}

// suVisitor is the login of a user on a host where root has a password, in a mount namespace of the session.
func suVisitor(t *testing.T, old bool) transport.Spec {
	t.Helper()
	su, err := exec.LookPath("su")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	shadow, err := os.ReadFile("/etc/shadow")
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{"root:" + passwordHash(t) + ":19000:0:99999:7:::", "visitor:!:19000:0:99999:7:::"}
	for line := range strings.Lines(string(shadow)) {
		if !strings.HasPrefix(line, "root:") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"shadow": strings.Join(lines, "\n") + "\n",
		"passwd": string(passwd) + "visitor:x:64321:64321::/tmp:/bin/sh\n",
		"su":     "#!/bin/sh\ntest -t 0 || { echo 'su: must be run from a terminal' >&2; exit 1; }\nexec " + dir + "/real/su \"$@\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	script := `cd "$0" && mount --bind shadow /etc/shadow && mount --bind passwd /etc/passwd || exit
`
	if old {
		for _, argv := range [][]string{{"chmod", "755", filepath.Dir(dir), dir + "/su"}, {"mkdir", dir + "/real"}, {"cp", "-p", su, dir + "/real/su"}} {
			if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", argv, err, out)
			}
		}
		script += "mount --bind su " + su + " || exit\n"
	}
	script += `exec setpriv --reuid 64321 --regid 64321 --clear-groups env HOME=/tmp USER=visitor LOGNAME=visitor /bin/sh -c "$1"`
	return sshtest.Start(t, sshtest.Options{MaxSessions: 10, Login: []string{"unshare", "-m", "--propagation", "private", "sh", "-c", script, dir}}).Spec()
}
