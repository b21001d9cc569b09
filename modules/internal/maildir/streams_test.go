package maildir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"runner/runtime/transport/sshtest"
)

func TestStreamsFor(t *testing.T) {
	for _, c := range []struct {
		asked, work int
		cores       []int
		want        int
	}{
		{0, 100, []int{2, 2, 2}, 3}, {0, 100, []int{8, 1, 4}, 2}, {0, 100, []int{16, 16, 16}, 6}, {0, 100, []int{4, 0, 0}, 5}, {0, 100, nil, 6},
		{0, 2, []int{8, 8}, 2}, {0, 1, nil, 1}, {1, 100, []int{8}, 1}, {5, 100, []int{1}, 5}, {5, 3, nil, 3},
	} {
		if got := streamsFor(c.asked, c.work, c.cores...); got != c.want {
			t.Errorf("%d asked for, work for %d, cores %v: %d, not %d", c.asked, c.work, c.cores, got, c.want)
		}
	}
	if n := coresOf(t.Context(), (&machine{name: "old"}).host().View); n != runtime.NumCPU() && n < 1 {
		t.Errorf("a host has %d cores", n)
	}
}

// TestFewSessions moves mail between hosts whose servers grant few sessions on a connection: more transfers are asked for than can be,
// and none waits for ever.
func TestFewSessions(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in a short run: it takes seconds")
	}
	for _, sessions := range []int{1, 2} {
		t.Run(fmt.Sprint(sessions), func(t *testing.T) {
			few := fmt.Sprintf("MaxSessions %d", sessions)
			w := newWorld(t, true)
			w.connect(sshtest.OpenSSH(t, few), sshtest.OpenSSH(t, few))
			w.fewSessions(t)
		})
	}
}

func (w *world) fewSessions(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w.stock()
	w.o.Streams, w.o.batchFiles, w.o.batchBytes, w.o.recent = 6, 10, 1<<20, settledAtOnce
	pass := func(mode Mode) *Pass {
		t.Helper()
		p, err := Look(ctx, w.with(mode))
		must(t, err)
		_, err = p.Apply(ctx, w.host(), nil)
		must(t, err)
		return p
	}
	pass(Warm)
	pass(Warm)
	// A second name of a message whose mailbox did not change: both lists of the source are wanted at once.
	john := filepath.Join(w.src, "example.org/john/Maildir")
	list := messages(t, john)
	must(t, os.Link(filepath.Join(john, list[0]), filepath.Join(john, ".Sent/cur/9.linked:2,S")))
	must(t, os.Link(filepath.Join(john, list[0]), filepath.Join(w.src, "example.org/mary/Maildir/.Sent/cur/9.linked:2,S")))
	pass(Final)
	report, err := Verify(ctx, w.with(Final), true)
	must(t, err)
	must(t, report.Err())
}
