package maildir

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// need skips a test that cannot run here, or fails it when RUNNER_TEST_REQUIRE holds its word.
func need(t testing.TB, word, why string) {
	t.Helper()
	if slices.Contains(strings.FieldsFunc(os.Getenv("RUNNER_TEST_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' }), word) {
		t.Fatalf("cannot run, and RUNNER_TEST_REQUIRE holds %q: %s", word, why)
	}
	t.Skip(why)
}

// mountSmall mounts a memory file system of a given size ("size=2m", "nr_inodes=200") on dir for the time of the test.
func mountSmall(t testing.TB, dir, size string) {
	t.Helper()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", size, "tmpfs", dir).CombinedOutput(); err != nil {
		need(t, "root", "cannot mount a small file system: "+string(out))
	}
	t.Cleanup(func() { _ = exec.Command("umount", dir).Run() })
}
