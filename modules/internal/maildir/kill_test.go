package maildir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain lets the test binary be a runner that can be killed: see TestKilled.
func TestMain(m *testing.M) {
	if args := os.Getenv("MAILDIR_TEST_PASS"); args != "" {
		os.Exit(childPass(strings.Split(args, "\x1f")))
	}
	os.Exit(m.Run())
}

// testRounds is how often a test repeats what is different each time: MAILDIR_TEST_ROUNDS, or few enough for everyday use.
func testRounds(few int) int {
	if n, err := strconv.Atoi(os.Getenv("MAILDIR_TEST_ROUNDS")); err == nil && n > 0 {
		return n
	}
	return few
}

// childPass makes one pass: source, target, mode, "local" or "perl".
func childPass(args []string) int {
	from, to := &machine{name: "old"}, &machine{name: "new", local: args[3] == "local"}
	o := Options{
		From: from.host().View, To: to.host().View, Path: args[0], Target: args[1], Mode: Mode(args[2]),
		Limit: Limit{Percent: 100, Share: true}, batchFiles: 50, batchBytes: 1 << 20, StateDir: args[4], recent: settledAtOnce, Owner: fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()),
	}
	if os.Getenv("MAILDIR_TEST_STATUS") != "" {
		o.batchFiles, o.batchBytes = batchFiles, batchBytes
	}
	p, err := Look(context.Background(), o)
	if err == nil {
		_, err = p.Apply(context.Background(), to.host(), nil)
	}
	if file := os.Getenv("MAILDIR_TEST_STATUS"); file != "" { // for the benchmark of memory, which has the program's own bounds
		status, _ := os.ReadFile("/proc/self/status")
		_ = os.WriteFile(file, status, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// body is the content that a message of a given base must have.
func body(stem string) string {
	sum := sha256.Sum256([]byte(stem))
	return strings.Repeat(hex.EncodeToString(sum[:]), 1+int(sum[0])*int(sum[1]%4))
}

// user plays deliveries and IMAP sessions on a source until it is told to stop.
type user struct {
	boxes  []string
	random *rand.Rand
	serial int
}

func (u *user) deliver(t testing.TB, box string) {
	u.serial++
	stem := fmt.Sprintf("%d.M%dP1.old", 1400000000+u.serial, u.serial)
	when := epoch.Add(time.Duration(u.serial) * time.Second)
	write(t, filepath.Join(box, "tmp", stem), body(stem), when)
	must(t, os.Rename(filepath.Join(box, "tmp", stem), filepath.Join(box, "new", stem)))
}

func (u *user) act(t testing.TB) {
	box := u.boxes[u.random.IntN(len(u.boxes))]
	list := messages(t, box)
	if len(list) < 5 || u.random.IntN(4) == 0 {
		u.deliver(t, box)
		return
	}
	name := list[u.random.IntN(len(list))]
	stem := string(base([]byte(nameOf(name))))
	path := filepath.Join(box, name)
	switch u.random.IntN(5) {
	case 0, 1:
		flags := []string{"", "S", "RS", "FS", "Sa"}[u.random.IntN(5)]
		must(t, os.Rename(path, filepath.Join(box, "cur", stem+":2,"+flags)))
	case 2:
		must(t, os.Remove(path))
	case 3:
		to := u.boxes[u.random.IntN(len(u.boxes))]
		u.serial++
		// As Dovecot copies: a second link under a new base. Its content is that of the first name.
		must(t, os.Link(path, filepath.Join(to, "cur", fmt.Sprintf("%d.M%dL%s.old:2,S", 1400000000+u.serial, u.serial, hex.EncodeToString([]byte(origin(stem)))))))
	case 4:
		uidlist(t, box, u.serial)
	}
}

// origin is the base that the content of a message follows: its own, or that of the message it was copied from.
func origin(stem string) string {
	if _, rest, ok := strings.Cut(stem, "L"); ok {
		if name, err := hex.DecodeString(strings.TrimSuffix(rest, ".old")); err == nil {
			return string(name)
		}
	}
	return stem
}

// uidlist rewrites the control file as Dovecot does: aside, then renamed.
func uidlist(t testing.TB, box string, next int) {
	aside := filepath.Join(box, "dovecot-uidlist.tmp")
	must(t, os.WriteFile(aside, []byte(fmt.Sprintf("3 V1 N%d Gabcdef\n", next)), 0o600))
	must(t, os.Rename(aside, filepath.Join(box, "dovecot-uidlist")))
}

// whole checks that every message that can be seen on the target is one that was on the source, whole.
func (w *world) whole() (count int) {
	w.t.Helper()
	err := filepath.WalkDir(w.dst, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), stagingPrefix) {
			return filepath.SkipDir
		}
		dir := filepath.Base(filepath.Dir(path))
		if d.IsDir() || dir != "cur" && dir != "new" {
			return nil
		}
		count++
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if stem := origin(string(base([]byte(d.Name())))); string(content) != body(stem) {
			return fmt.Errorf("%s has %d bytes, not %d", path, len(content), len(body(stem)))
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return count
}

// TestKilled kills the runner at a hundred random instants of warm and final passes while the source is used, and goes on. Nothing
// half may ever be seen, nothing may be lost, and the last final pass must make both sides equal.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED in a short run: it takes seconds")
	}
	kills := testRounds(100) / len(writers)
	for _, wr := range writers {
		t.Run(wr.name, func(t *testing.T) {
			w := newWorld(t, wr.local)
			u := &user{random: rand.New(rand.NewPCG(1, 2))}
			for i := range 6 {
				top := makeBox(t, w.src, fmt.Sprintf("example.org/user%d/Maildir", i))
				u.boxes = append(u.boxes, top, makeBox(t, top, ".Sent"))
			}
			for range 300 {
				u.deliver(t, u.boxes[u.random.IntN(len(u.boxes))])
			}
			killed, passes := 0, 0
			// The instants lie in a time that follows how long passes take, so that most are killed on the way.
			for bound := 100 * time.Millisecond; killed < kills && passes < 5*kills; passes++ {
				if w.killed(u, passes, wr.local, rand.N(bound)) {
					killed++
					bound += bound / 8
				} else {
					bound = max(bound*3/4, 5*time.Millisecond)
				}
			}
			if killed < kills {
				t.Errorf("only %d of %d passes were killed before their end", killed, passes)
			}
			t.Logf("%d of %d passes were killed before their end", killed, passes)
			w.o.Limit = Limit{Percent: 100, Share: true}
			w.final()
			if n := w.whole(); n == 0 {
				t.Error("nothing arrived")
			}
		})
	}
}

// killed makes a pass that is killed after a while, and says whether it was under way still.
func (w *world) killed(u *user, number int, local bool, after time.Duration) bool {
	t := w.t
	mode, stop := Warm, func() {}
	if number%8 == 7 {
		mode = Final
	} else {
		stop = u.play(t)
	}
	if number%4 == 3 { // an account is missing on the target: it comes again as a whole
		must(t, os.RemoveAll(filepath.Join(w.dst, fmt.Sprintf("example.org/user%d", number/4%6))))
	}
	cmd, ended := w.child(mode, local)
	time.Sleep(after)
	_ = cmd.Process.Kill()
	var exit *exec.ExitError
	err := cmd.Wait()
	killed := errors.As(err, &exit) && !exit.Exited()
	stop()
	ended()
	w.whole()
	if mode == Final {
		nextSecond(t) // who thaws a source after a final pass needs longer than that
	}
	for range 20 {
		u.act(t)
	}
	return killed
}

// nextSecond waits until files get another time in whole seconds, which is all that old hosts tell. It asks a file: the
// clock that files get their times from is a tick behind the other one.
func nextSecond(t testing.TB) {
	probe := filepath.Join(t.TempDir(), "clock")
	second := func() int64 {
		must(t, os.WriteFile(probe, nil, 0o600))
		must(t, os.Rename(probe, probe+".now"))
		info, err := os.Stat(probe + ".now")
		must(t, err)
		return info.ModTime().Unix()
	}
	for first := second(); second() == first; {
		time.Sleep(10 * time.Millisecond)
	}
}

// child starts a runner that makes one pass. ended waits until all programs that it started are gone too: the writer of
// a killed runner goes on with what it was told before, as it would on a host of its own.
func (w *world) child(mode Mode, local bool) (cmd *exec.Cmd, ended func()) {
	how := "perl"
	if local {
		how = "local"
	}
	cmd = exec.Command(os.Args[0])
	// With the race detector a program otherwise waits for a second before it ends.
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"), "MAILDIR_TEST_PASS="+strings.Join([]string{w.src, w.dst, string(mode), how, w.o.StateDir}, "\x1f"))
	cmd.Stderr = os.Stderr
	// Every descendant inherits the pipe's end, which nobody writes to: reading ends when the last of them has.
	r, end, err := os.Pipe()
	must(w.t, err)
	cmd.ExtraFiles = []*os.File{end}
	must(w.t, cmd.Start())
	must(w.t, end.Close())
	return cmd, func() {
		defer r.Close()
		must(w.t, r.SetReadDeadline(time.Now().Add(time.Minute)))
		if _, err := io.Copy(io.Discard, r); err != nil {
			w.t.Fatalf("programs of a runner that is gone have not ended: %v", err)
		}
	}
}

// play lets the user act until the returned function is called.
func (u *user) play(t testing.TB) (stop func()) {
	done := make(chan struct{})
	var g sync.WaitGroup
	g.Add(1)
	go func() {
		defer g.Done()
		for {
			select {
			case <-done:
				return
			default:
				u.act(t)
				time.Sleep(time.Millisecond)
			}
		}
	}()
	return func() { close(done); g.Wait() }
}
