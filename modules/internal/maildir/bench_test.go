package maildir

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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
	w.o.Path, w.o.Target, w.o.Limit = w.src, w.dst, Limit{Percent: 100, Share: true}
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
		size += size / 8
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

func (w *world) timed(b *testing.B, mode Mode) time.Duration {
	b.Helper()
	started := time.Now()
	w.pass(mode)
	return time.Since(started)
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
