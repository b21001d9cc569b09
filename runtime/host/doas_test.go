package host_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"runner/runtime/host"
	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
)

// TestDoas: a host that has doas(1) and no sudo. Its /etc is an overlay in a mount namespace of the session, and sudo is hidden there.
func TestDoas(t *testing.T) {
	if os.Getuid() != 0 {
		require(t, "root", "needs root, for a user of its own")
	}
	for _, name := range []string{"doas", "unshare", "setpriv"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("SKIPPED: needs %s (apt-get install opendoas)", name)
		}
	}
	for name, c := range map[string]struct{ conf, password, says string }{
		"without a password": {conf: "permit nopass visitor\n"},
		"with a password":    {conf: "permit visitor\n", password: sudoPassword},
		"wrong password": {"permit visitor\n", "wr0ng", `cannot run commands on here: doas refused the password
next: give the right password of the user who logs in (sudo_password in the site), permit nopass in doas.conf, or log in as root`},
		"no password": {"permit visitor\n", "", `cannot run commands on here: doas asks for a password and none is given
next: give the password of the user who logs in (sudo_password in the site), permit nopass in doas.conf, or log in as root`},
		"not permitted": {"permit nopass somebody\n", "", `cannot run commands on here: doas does not let the user run /bin/sh
next: permit it on the host (permit nopass USER in doas.conf), or log in as root`},
	} {
		t.Run(name, func(t *testing.T) {
			spec := doasVisitor(t, c.conf)
			h := open(t, host.Options{SudoPassword: given(c.password), Dial: func(ctx context.Context) (transport.Conn, error) {
				return transport.Dial(ctx, spec, transport.Options{})
			}})
			root, err := h.Sudo(t.Context())
			if err == nil {
				_, err = root.Query(t.Context(), "true")
			}
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

// given is a password of a site; empty: there is none.
func given(password string) func() (string, error) {
	if password == "" {
		return nil
	}
	return func() (string, error) { return password, nil }
}

func doasVisitor(t *testing.T, conf string) transport.Spec {
	t.Helper()
	dir := t.TempDir()
	etc := filepath.Join(dir, "etc")
	for _, d := range []string{etc, filepath.Join(dir, "work")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{"passwd": "visitor:x:64321:64321::/tmp:/bin/sh", "group": "visitor:x:64321:", "shadow": "visitor:" + passwordHash(t) + ":19000:0:99999:7:::", "doas.conf": ""} {
		text, err := os.ReadFile("/etc/" + name)
		if name == "doas.conf" {
			text, err = []byte(conf), nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(etc, name), append(text, line+"\n"...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	script := fmt.Sprintf(`cd "$0" && mount -t overlay overlay -o lowerdir=/etc,upperdir=%[1]s/etc,workdir=%[1]s/work /etc || exit
for s in /usr/bin/sudo /usr/local/bin/sudo; do if test -e $s; then mount --bind /dev/null $s || exit; fi; done
exec setpriv --reuid 64321 --regid 64321 --clear-groups env HOME=/tmp USER=visitor LOGNAME=visitor /bin/sh -c "$1"`, dir)
	return sshtest.Start(t, sshtest.Options{MaxSessions: 10, Login: []string{"unshare", "-m", "--propagation", "private", "sh", "-c", script, dir}}).Spec()
}
