package host

import (
	"bufio"
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

// FuzzMarked: whatever a command prints, and however it arrives, all of it comes out, and nothing of the mark.
func FuzzMarked(f *testing.F) {
	mark := []byte("\xf7word>")
	f.Add([]byte("text\n"), 16)
	f.Add([]byte("\xf7\xf7word\xf7wor\xf7"), 17)
	f.Add(bytes.Repeat([]byte("\xf7wor"), 50), 20)
	f.Add([]byte{}, 16)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		if bytes.Contains(append(text[:len(text):len(text)], mark[:len(mark)-1]...), mark) {
			t.Skip("holds the mark")
		}
		whole := append(append(bytes.Clone(text), mark...), "7\nnext"...)
		for _, in := range []io.Reader{bytes.NewReader(whole), iotest.OneByteReader(bytes.NewReader(whole)), iotest.HalfReader(bytes.NewReader(whole))} {
			b := bufio.NewReaderSize(in, 16+size&63)
			m := &marked{in: b, mark: mark, ended: make(chan struct{})}
			got, err := io.ReadAll(m)
			if err != nil || !bytes.Equal(got, text) || m.trailer != "7" || m.broken {
				t.Fatalf("%q of %q, trailer %q, broken %v, %v", got, text, m.trailer, m.broken, err)
			}
			if rest, _ := io.ReadAll(b); string(rest) != "next" {
				t.Fatalf("left %q", rest)
			}
			m = &marked{in: bufio.NewReader(bytes.NewReader(text)), mark: mark, ended: make(chan struct{})}
			if got, err := io.ReadAll(m); err != nil || !bytes.Equal(got, text) || !m.broken {
				t.Fatalf("without a mark: %q, broken %v, %v", got, m.broken, err)
			}
		}
	})
}
