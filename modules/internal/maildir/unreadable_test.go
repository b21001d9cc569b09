package maildir

import (
	"bytes"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUnreadableDirectory makes passes as a user who may not read a folder of the source: nothing may be taken for removed that could
// only not be seen.
func TestUnreadableDirectory(t *testing.T) {
	if os.Getuid() != 0 {
		need(t, "root", "running a pass as another user needs root")
	}
	const nobody = 65534
	for _, wr := range writers {
		t.Run(wr.name, func(t *testing.T) {
			w := newWorld(t, wr.local)
			w.stock()
			base := filepath.Dir(filepath.Dir(w.src))
			must(t, filepath.WalkDir(base, func(path string, _ fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				return os.Lchown(path, nobody, nobody)
			}))
			// The test's program lies where only root can enter.
			program := filepath.Join(base, "runner")
			in, err := os.Open(os.Args[0])
			must(t, err)
			defer in.Close()
			out, err := os.OpenFile(program, os.O_CREATE|os.O_WRONLY, 0o755)
			must(t, err)
			_, err = io.Copy(out, in)
			must(t, err)
			must(t, out.Close())
			how := map[bool]string{true: "local", false: "perl"}[wr.local]
			pass := func(mode Mode) (string, error) {
				cmd := exec.Command(program)
				var said bytes.Buffer
				cmd.Dir, cmd.Stderr = base, &said
				cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "HOME="+base, "MAILDIR_TEST_PASS="+strings.Join([]string{w.src, w.dst, string(mode), how, filepath.Join(base, "state")}, "\x1f"))
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
				err := cmd.Run()
				return said.String(), err
			}
			if said, err := pass(Final); err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			before := inventory(t, w.dst)
			for _, dir := range []string{"example.org/john/Maildir/.Sent/cur", "example.org/mary/Maildir", "example.net"} {
				closed := filepath.Join(w.src, dir)
				must(t, os.Lchown(closed, 0, 0))
				must(t, os.Chmod(closed, 0o700))
				must(t, os.Chtimes(closed, epoch, epoch)) // the state must not hide it
				for _, mode := range []Mode{Warm, Final} {
					said, err := pass(mode)
					if err == nil || !strings.Contains(strings.ToLower(said), "permission denied") {
						t.Errorf("%s pass without %s: %v: %s", mode, dir, err, said)
					}
				}
				must(t, os.Lchown(closed, nobody, nobody))
			}
			if diff := cmp.Diff(before, inventory(t, w.dst)); diff != "" {
				t.Errorf("the target changed:\n%s", diff)
			}
		})
	}
}
