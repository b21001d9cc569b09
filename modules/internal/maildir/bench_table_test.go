package maildir

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
)

// scaled is a number of messages of the table, or the share of it that MAILDIR_BENCH_SCALE says.
func scaled(n int) int {
	if scale, err := strconv.ParseFloat(os.Getenv("MAILDIR_BENCH_SCALE"), 64); err == nil && scale > 0 {
		n = int(float64(n) * scale)
	}
	return n
}

// rounds is how often each work is done by both; the shortest times count.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("MAILDIR_BENCH_ROUNDS")); err == nil && n > 0 {
		return n
	}
	return 2
}

// line is a line of the table: the shortest of the times of both for one work.
type line struct {
	work, target string
	ours, theirs time.Duration
	note         string
}

func (l *line) took(ours, theirs time.Duration) {
	if l.ours == 0 || ours < l.ours {
		l.ours = ours
	}
	if l.theirs == 0 || theirs < l.theirs {
		l.theirs = theirs
	}
}

func (l *line) print() {
	fmt.Printf("| %s | %.2f s | %.2f s | %.2f | %s | %s |\n", l.work, l.ours.Seconds(), l.theirs.Seconds(), l.ours.Seconds()/l.theirs.Seconds(), l.target, l.note)
}

// shellOf is how rsync reaches a server.
func shellOf(spec transport.Spec) string {
	return fmt.Sprintf("ssh -p %d -i %s -o UserKnownHostsFile=%s -o BatchMode=yes", spec.Port, spec.Keys[0], spec.KnownHosts[0])
}

// rival is rsync as it is called for such a move, from the server to this machine.
type rival struct {
	spec     transport.Spec
	src, dst string
}

func (r *rival) copy(b *testing.B, more ...string) time.Duration {
	args := append([]string{"-a", "-e", shellOf(r.spec)}, more...)
	return rsync(b, append(args, "root@"+r.spec.Address+":"+r.src+"/", r.dst)...)
}

// empty removes both copies.
func (w *world) empty(b *testing.B, r *rival) {
	must(b, os.RemoveAll(r.dst))
	must(b, os.RemoveAll(w.dst))
	must(b, os.Mkdir(w.dst, 0o755))
}

// BenchmarkTable compares passes with rsync over OpenSSH on the same mailboxes in memory, each work in turn by one and by
// the other, and prints what docs/performance.md keeps.
func BenchmarkTable(b *testing.B) {
	fmt.Printf("\n| work | runner | rsync | ratio | target | |\n|---|---|---|---|---|---|\n")
	for _, part := range []struct {
		name string
		run  func(*testing.B)
	}{{"copies", benchCopies}, {"final", benchFinal}, {"far", benchFar}, {"memory", benchMemory}} {
		b.Run(part.name, part.run)
	}
}

// benchCopies: 60 000 messages, one hop and two, then 5 % of them with other flags.
func benchCopies(b *testing.B) {
	spec := sshd(b)
	w, boxes := benchWorld(b, true, scaled(60_000), 250, 1)
	r := &rival{spec, w.src, filepath.Join(filepath.Dir(w.dst), "rsync")}
	one := line{work: "first copy, one hop", target: "0.6"}
	two := line{work: "first copy, two hops (rsync: one)", target: "1.0"}
	flags := line{work: "5 % of messages with other flags", target: "0.1"}
	for range rounds() {
		w.empty(b, r)
		w.connect(spec, spec)
		theirs := r.copy(b)
		two.took(w.timed(b, Warm), theirs)
		w.empty(b, r)
		w.connect(spec, transport.Spec{})
		ours := w.timed(b, Warm)
		one.took(ours, r.copy(b))
		w.pass(Warm) // which remembers
		flip(b, boxes)
		flags.took(w.timed(b, Warm), r.copy(b, "--delete"))
	}
	size := fmt.Sprintf("%s messages, %s", Number(int64(scaled(60_000))), Size(w.sizeOf(b)))
	for _, l := range []*line{&one, &two, &flags} {
		l.note = size
		l.print()
	}
}

// sizeOf is the size of the source.
func (w *world) sizeOf(b *testing.B) int64 {
	p, err := Look(b.Context(), w.with(Warm))
	must(b, err)
	return p.Counts.Bytes
}

// benchFinal is the pass that users wait for: 500 000 messages in 4000 folders, 0.5 % of the folders changed since the last
// pass (a new message, a flag, an expunged one), with the state of that pass and without.
func benchFinal(b *testing.B) {
	spec := sshd(b)
	w, boxes := benchWorld(b, true, scaled(500_000), 125, 8)
	w.connect(spec, transport.Spec{})
	r := &rival{spec, w.src, filepath.Join(filepath.Dir(w.dst), "rsync")}
	r.copy(b)
	w.pass(Warm)
	time.Sleep(3 * time.Second)
	w.pass(Warm)
	lines := []*line{{work: "final pass, 0.5 % of folders changed", target: "0.05"}, {work: "the same without state", target: "0.6"}}
	for round := range 2 * rounds() {
		l := lines[round%2]
		spoil(b, boxes, round)
		o := w.with(Final)
		o.Full = round%2 == 1
		started := time.Now()
		p, _, err := w.try(o)
		must(b, err)
		l.took(time.Since(started), r.copy(b, "--delete"))
		l.note = fmt.Sprintf("%s messages in %s folders; looked at %s", Number(p.Counts.Messages), Number(p.Counts.Mailboxes), Number(p.Counts.Mailboxes-p.Counts.Skipped))
		time.Sleep(3 * time.Second)
		w.pass(Final)
	}
	for _, l := range lines {
		l.print()
	}
}

// spoil changes every two-hundredth folder: a flag, an expunged message, a new one.
func spoil(b *testing.B, boxes []string, round int) {
	for i := round; i < len(boxes); i += 200 {
		list := messages(b, boxes[i])
		must(b, os.Rename(filepath.Join(boxes[i], list[0]), filepath.Join(boxes[i], list[0]+"F")))
		must(b, os.Remove(filepath.Join(boxes[i], list[1])))
		must(b, os.WriteFile(filepath.Join(boxes[i], "new", fmt.Sprintf("15%08d.M%dP1.old", round, time.Now().UnixNano())), make([]byte, 3000), 0o600))
	}
}

// benchFar is a first copy over a line of 200 Mbit/s with 50 ms for the way there and back. The messages cannot be compressed.
func benchFar(b *testing.B) {
	const rate = 200e6 / 8
	spec := sshtest.Far(b, sshd(b), 25*time.Millisecond, rate)
	w, _ := benchWorld(b, true, scaled(15_000), 250, 1)
	noise(b, w.src)
	w.connect(spec, transport.Spec{})
	r := &rival{spec, w.src, filepath.Join(filepath.Dir(w.dst), "rsync")}
	l := line{work: "first copy, 50 ms and 200 Mbit/s", target: "1.0"}
	for range rounds() {
		w.empty(b, r)
		ours := w.timed(b, Warm)
		l.took(ours, r.copy(b))
	}
	bytes := w.sizeOf(b)
	l.note = fmt.Sprintf("%s; %.0f %% of the line are mail", Size(bytes), 100*float64(bytes)/rate/l.ours.Seconds())
	l.print()
}

// noise gives every message a content of its own that no compression helps.
func noise(b *testing.B, root string) {
	random := rand.NewChaCha8([32]byte{1})
	must(b, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		i, err := d.Info()
		if err != nil {
			return err
		}
		text := make([]byte, i.Size())
		_, _ = random.Read(text)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return err
		}
		return os.Chtimes(path, i.ModTime(), i.ModTime())
	}))
}

// benchMemory is the most memory that a process of its own has resident while it makes a first copy of a million messages,
// and then a final pass.
func benchMemory(b *testing.B) {
	w, _ := benchWorld(b, true, scaled(1_000_000), 1000, 100)
	most := 0
	for _, mode := range []Mode{Warm, Final} {
		file := filepath.Join(b.TempDir(), "status")
		b.Setenv("MAILDIR_TEST_STATUS", file)
		cmd, ended := w.child(mode, true)
		must(b, cmd.Wait())
		ended()
		status, err := os.ReadFile(file)
		must(b, err)
		_, rest, _ := strings.Cut(string(status), "VmHWM:")
		var kib int
		_, err = fmt.Sscan(rest, &kib)
		must(b, err)
		most = max(most, kib)
	}
	fmt.Printf("| resident memory at %s messages | %d MiB | | | 150 MiB | first copy, final pass |\n", Number(int64(scaled(1_000_000))), most>>10)
}
