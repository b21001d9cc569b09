package maildir

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestShells makes passes with each shell that a host's sh may be. Names that break careless scripts go through all of them.
func TestShells(t *testing.T) {
	for _, shell := range [][]string{{"dash"}, {"bash", "--posix"}, {"bash"}, {"busybox", "sh"}} {
		t.Run(shell[0]+shell[len(shell)-1], func(t *testing.T) {
			if _, err := exec.LookPath(shell[0]); err != nil {
				need(t, shell[0], shell[0]+" is not installed")
			}
			w := newWorld(t, false)
			w.from.shell, w.to.shell = shell, shell
			w.stock()
			box := makeBox(t, w.src, "example.org/o'br\\ie\n-n/Maildir")
			for _, name := range tortureNames {
				write(t, filepath.Join(box, "cur", name), name, epoch)
			}
			w.pass(Warm)
			john := filepath.Join(w.src, "example.org/john/Maildir")
			list := messages(t, john)
			must(t, os.Remove(filepath.Join(john, list[0])))
			must(t, os.Rename(filepath.Join(john, list[1]), filepath.Join(john, list[1]+"T")))
			w.final()
			if w.from.shells.Load() == 0 || w.to.shells.Load() == 0 {
				t.Errorf("the shell was started %d and %d times", w.from.shells.Load(), w.to.shells.Load())
			}
		})
	}
}
