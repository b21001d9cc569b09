package maildir

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"runner/runtime/transport"
)

// benchMessages is how many messages the benchmarks use: MAILDIR_BENCH_MESSAGES, or those of the guide's server.
func benchMessages() int {
	if n, err := strconv.Atoi(os.Getenv("MAILDIR_BENCH_MESSAGES")); err == nil {
		return n
	}
	return 60_000
}

// benchWorld is a world in memory whose messages have the sizes of real mail: half below 6 KiB, some of a megabyte.
func benchWorld(b *testing.B, local bool, count, perBox, shrink int) (*world, []string) {
	if exec.Command("rsync", "--version").Run() != nil {
		need(b, "rsync", "rsync is not installed")
	}
	root, err := os.MkdirTemp("/dev/shm", "maildir")
	if err != nil {
		b.Skip("no memory file system: ", err)
	}
	b.Cleanup(func() { os.RemoveAll(root) })
	w := newWorld(b, local)
	w.src, w.dst = filepath.Join(root, "old"), filepath.Join(root, "new")
	must(b, os.Mkdir(w.src, 0o755))
	must(b, os.Mkdir(w.dst, 0o755))
	w.o.Path, w.o.Target = w.src, w.dst
	random := rand.New(rand.NewPCG(1, 1))
	text := make([]byte, 2<<20)
	for i := range text {
		text[i] = byte(' ' + random.IntN(90))
	}
	var boxes []string
	for i := 0; i < count; i++ {
		if i%perBox == 0 {
			n := len(boxes)
			top := filepath.Join(w.src, fmt.Sprintf("domain%d.example/user%d/Maildir", n/200, n/8))
			if n%8 > 0 {
				top = filepath.Join(top, fmt.Sprintf(".Folder%d", n%8))
			}
			boxes = append(boxes, makeBox(b, top, ""))
			must(b, os.WriteFile(filepath.Join(top, "dovecot-uidlist"), text[:perBox*60], 0o600))
		}
		size := int(2000 * (1 + random.ExpFloat64()*2))
		switch random.IntN(100) {
		case 0:
			size += random.IntN(1 << 20)
		case 1, 2, 3, 4:
			size += random.IntN(150_000)
		}
		size /= shrink
		name := fmt.Sprintf("%d.M%dP%d.mail-old,S=%d,W=%d:2,S", 1_400_000_000+i, random.IntN(1_000_000), random.IntN(30000), size, size+size/40)
		path := filepath.Join(boxes[len(boxes)-1], "cur", name)
		must(b, os.WriteFile(path, text[:size], 0o600))
		when := time.Unix(int64(1_400_000_000+i), 0)
		must(b, os.Chtimes(path, when, when))
	}
	return w, boxes
}

func rsync(b *testing.B, args ...string) time.Duration {
	b.Helper()
	started := time.Now()
	if out, err := exec.Command("rsync", args...).CombinedOutput(); err != nil {
		b.Fatalf("rsync: %v\n%s", err, out)
	}
	return time.Since(started)
}

// BenchmarkPasses compares with rsync as the guide uses it: a first copy, a pass without a change, a pass after 5 % of the
// messages changed their flags. Both read and write memory on this machine, without a network between.
func BenchmarkPasses(b *testing.B) {
	for _, wr := range writers {
		b.Run(strings.ReplaceAll(wr.name, " ", "-"), func(b *testing.B) {
			w, boxes := benchWorld(b, wr.local, benchMessages(), 250, 1)
			theirs := filepath.Join(filepath.Dir(w.dst), "rsync")
			for range b.N {
				must(b, os.RemoveAll(w.dst))
				must(b, os.RemoveAll(theirs))
				must(b, os.Mkdir(w.dst, 0o755))
				first := rsync(b, "-a", w.src+"/", theirs)
				report(b, "first", w.timed(b, Warm), first)
				report(b, "equal", w.timed(b, Warm), rsync(b, "-a", "--delete", w.src+"/", theirs))
				flip(b, boxes)
				report(b, "flags", w.timed(b, Warm), rsync(b, "-a", "--delete", w.src+"/", theirs))
			}
		})
	}
}

func (w *world) timed(b *testing.B, mode Mode) time.Duration {
	b.Helper()
	started := time.Now()
	w.pass(mode)
	return time.Since(started)
}

func report(b *testing.B, what string, ours, theirs time.Duration) {
	b.ReportMetric(ours.Seconds(), what+"-s")
	b.ReportMetric(theirs.Seconds(), what+"-rsync-s")
	b.ReportMetric(ours.Seconds()/theirs.Seconds(), what+"-ratio")
}

// flip changes the flags of every twentieth message.
func flip(b *testing.B, boxes []string) {
	for _, box := range boxes {
		for i, m := range messages(b, box) {
			if i%20 == 0 {
				to := m + "T"
				if strings.HasSuffix(m, "T") {
					to = strings.TrimSuffix(m, "T")
				}
				must(b, os.Rename(filepath.Join(box, m), filepath.Join(box, to)))
			}
		}
	}
}

// BenchmarkFinal is the pass that users wait for: 500 000 messages in 4000 folders, 0.5 % of the folders changed since the
// last pass (a new message, a flag, an expunged one), with the state of that pass and without.
func BenchmarkFinal(b *testing.B) {
	if os.Getenv("MAILDIR_BENCH_FINAL") == "" {
		b.Skip("half a million messages take some minutes: set MAILDIR_BENCH_FINAL")
	}
	w, boxes := benchWorld(b, true, 500_000, 125, 4)
	w.o.Limit = Limit{Percent: 100, Share: true}
	theirs := filepath.Join(filepath.Dir(w.dst), "rsync")
	rsync(b, "-a", w.src+"/", theirs)
	w.timed(b, Warm)
	time.Sleep(3 * time.Second)
	b.ReportMetric(w.timed(b, Warm).Seconds(), "listing-s")
	b.ResetTimer()
	for round := range b.N {
		for _, how := range []string{"state", "full"} {
			for i := round; i < len(boxes); i += 200 {
				list := messages(b, boxes[i])
				must(b, os.Rename(filepath.Join(boxes[i], list[0]), filepath.Join(boxes[i], list[0]+"F")))
				must(b, os.Remove(filepath.Join(boxes[i], list[1])))
				must(b, os.WriteFile(filepath.Join(boxes[i], "new", fmt.Sprintf("15%08d.M%dP1.old", round, time.Now().UnixNano())), make([]byte, 3000), 0o600))
			}
			o := w.with(Final)
			o.Full = how == "full"
			started := time.Now()
			p, _, err := w.try(o)
			must(b, err)
			ours := time.Since(started)
			b.Logf("%s: %s; skipped %d of %d mailboxes; look %s, of which trees %s; next pass %.2f s", how, p.Summary(), p.Counts.Skipped, p.Counts.Mailboxes, p.Listing, p.trees, p.NextPass())
			report(b, how, ours, rsync(b, "-a", "--delete", w.src+"/", theirs))
		}
	}
}

// BenchmarkMemory makes a first copy and a final pass of a million small messages and tells the most memory that the Go
// heap took from the system.
func BenchmarkMemory(b *testing.B) {
	if os.Getenv("MAILDIR_BENCH_MILLION") == "" {
		b.Skip("a million messages take some minutes: set MAILDIR_BENCH_MILLION")
	}
	w, _ := benchWorld(b, true, 1_000_000, 1000, 100)
	for range b.N {
		for _, mode := range []Mode{Warm, Final} {
			p, err := Look(context.Background(), w.with(mode))
			must(b, err)
			_, err = p.Apply(context.Background(), w.host(), nil)
			must(b, err)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.Sys)/(1<<20), "MiB")
	}
}

// BenchmarkOverSSH is the first copy and a pass after 5 % of the flags changed, through OpenSSH on the loopback: runner on
// the new host (one hop), runner between the hosts (two hops), and rsync over ssh from old to new.
func BenchmarkOverSSH(b *testing.B) {
	spec := sshd(b)
	shell := fmt.Sprintf("ssh -p %d -i %s -o UserKnownHostsFile=%s -o BatchMode=yes", spec.Port, spec.Keys[0], spec.KnownHosts[0])
	for _, hops := range []string{"one-hop", "two-hops"} {
		b.Run(hops, func(b *testing.B) {
			w, boxes := benchWorld(b, true, benchMessages(), 250, 1)
			to := transport.Spec{}
			if hops == "two-hops" {
				to = spec
			}
			w.connect(spec, to)
			theirs := filepath.Join(filepath.Dir(w.dst), "rsync")
			for range b.N {
				must(b, os.RemoveAll(w.dst))
				must(b, os.RemoveAll(theirs))
				must(b, os.Mkdir(w.dst, 0o755))
				first := rsync(b, "-a", "-e", shell, "root@127.0.0.1:"+w.src+"/", theirs)
				report(b, "first", w.timed(b, Warm), first)
				flip(b, boxes)
				report(b, "flags", w.timed(b, Warm), rsync(b, "-a", "--delete", "-e", shell, "root@127.0.0.1:"+w.src+"/", theirs))
			}
		})
	}
}
