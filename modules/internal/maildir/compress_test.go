package maildir

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCompress sends everything compressed, and as it is tried by itself; what arrives is the same.
func TestCompress(t *testing.T) {
	for _, mode := range []Compress{CompressYes, CompressAuto, CompressNo} {
		t.Run(string(mode), func(t *testing.T) {
			eachWriter(t, func(t *testing.T, w *world) {
				w.o.Compress, w.o.batchFiles, w.o.batchBytes = mode, 10, 1<<20
				log := filepath.Join(t.TempDir(), "log")
				w.from.fake(t, "tar", `printf '%s\n' "$*" >>"`+log+`"; exec /bin/tar "$@"`)
				box := makeBox(t, w.src, "example.org/john/Maildir")
				for i := range 200 {
					stem := fmt.Sprintf("%d.M%dP1.old", 1400000000+i, i)
					write(t, filepath.Join(box, "cur", stem+":2,S"), body(stem), epoch)
				}
				for i, name := range tortureNames {
					write(t, filepath.Join(box, "new", name), fmt.Sprint(i), epoch)
				}
				w.final()
				called, err := os.ReadFile(log)
				must(t, err)
				calls, packed := bytes.Count(called, []byte("\n")), bytes.Count(called, []byte("--gzip"))
				if mode == CompressYes && packed != calls || mode == CompressNo && packed > 0 || calls < 20 {
					t.Errorf("%d of %d transfers were compressed", packed, calls)
				}
			})
		})
	}
}

// TestCompressHostile sends what is no gzip stream, or a broken one, to a runner that asked for one.
func TestCompressHostile(t *testing.T) {
	var good bytes.Buffer
	z := gzip.NewWriter(&good)
	_, _ = z.Write(make([]byte, 1<<20))
	must(t, z.Close())
	flipped := bytes.Clone(good.Bytes())
	flipped[len(flipped)/2] ^= 0xff
	for name, stream := range map[string][]byte{
		"plain": bytes.Repeat([]byte("x"), 1<<16), "nothing": nil, "half": good.Bytes()[:good.Len()/2], "flipped": flipped,
		"a header": good.Bytes()[:5], "an archive without files": good.Bytes(),
	} {
		t.Run(name, func(t *testing.T) {
			eachWriter(t, func(t *testing.T, w *world) {
				w.o.Compress = CompressYes
				box := makeBox(t, w.src, "example.org/john/Maildir")
				write(t, filepath.Join(box, "cur", "1.a:2,"), "one", epoch)
				file := filepath.Join(t.TempDir(), "stream")
				must(t, os.WriteFile(file, stream, 0o600))
				w.from.fake(t, "tar", `cat >/dev/null; cat "`+file+`"`)
				if _, _, err := w.try(w.with(Final)); err == nil {
					t.Error("a final pass took it")
				} else {
					t.Log(err)
				}
				if n := len(messages(t, filepath.Join(w.dst, "example.org/john/Maildir"))); n > 0 {
					t.Errorf("%d messages are on the target", n)
				}
			})
		})
	}
}

// TestCompressionChoice plays lines of different speed.
func TestCompressionChoice(t *testing.T) {
	for name, c := range map[string]struct {
		plain, packed int64         // bytes that one transfer brought in a second
		since         time.Duration // how long the pass has been running
		tries, use    bool
	}{
		"slow line, texts":          {2e6, 5e6, time.Second, true, true},
		"slow line, packed already": {2e6, 2e6, time.Second, true, false},
		"slow source":               {5e6, 1e6, time.Second, true, false},
		"fast line":                 {90e6, 200e6, time.Second, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			choice := &compression{mode: CompressAuto, started: time.Now().Add(-c.since)}
			if choice.next() {
				t.Error("the first transfer is compressed")
			}
			choice.took(false, c.plain, time.Second)
			if choice.next() != c.tries {
				t.Errorf("tried: %v", !c.tries)
			}
			if c.tries {
				if choice.next() {
					t.Error("two transfers try at once")
				}
				choice.took(true, c.packed, time.Second)
			}
			if choice.next() != c.use {
				t.Errorf("used: %v", !c.use)
			}
		})
	}
}
