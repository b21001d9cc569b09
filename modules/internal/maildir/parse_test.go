package maildir

import (
	"archive/tar"
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNames(t *testing.T) {
	for name, want := range map[string][3]string{
		"1400.M1P2.host,S=3,W=4:2,FS":   {"1400.M1P2.host,S=3,W=4", "FS", "1400.M1P2.host,S=3,W=4:2,FS"},
		"1400.M1P2.host:2,":             {"1400.M1P2.host", "", "1400.M1P2.host"},
		"1400.M1P2.host":                {"1400.M1P2.host", "", "1400.M1P2.host"},
		"1400.M1P2.host:2,RSTabz":       {"1400.M1P2.host", "RSTabz", "1400.M1P2.host:2,RST"},
		"1400.M1P2.host:1,experimental": {"1400.M1P2.host", "", "1400.M1P2.host"},
		"1400.M1P2.host:2,S,mark":       {"1400.M1P2.host", "S,mark", "1400.M1P2.host:2,S"},
		"":                              {"", "", ""},
	} {
		got := [3]string{string(base([]byte(name))), flagsOf(name), lateName(name)}
		if got != want {
			t.Errorf("%q: %q, not %q", name, got, want)
		}
	}
	for name, want := range map[string]bool{
		"dovecot.index": true, "dovecot.index.log.2": true, "dovecot.index.cache": true, "dovecot.list.index.log": true, "dovecot-uidlist.lock": true,
		"maildirsize": true, "courierimapuiddb": true, "courierimapkeywords": true, ".dovecot.svbin": true, "x.tmp": true, ".temp.1.host": true,
		"dovecot-uidlist": false, "dovecot-keywords": false, "dovecot-uidvalidity": false, "dovecot-uidvalidity.51847a89": false, "subscriptions": false,
		"maildirfolder": false, "dovecot-acl": false, "dovecot-attributes": false, ".dovecot.sieve": false, ".dovecot.lda-dupes": false, ".forward": false, "filter.sieve": false,
	} {
		if isCache(name) != want {
			t.Errorf("%q is taken for a cache: %v", name, !want)
		}
	}
}

func TestHomes(t *testing.T) {
	for top, want := range map[string]string{
		"example.org/john/Maildir": "example.org/john", "example.org/john": "example.org/john", "john": "john", "": "",
		"a/b/c/d": "a/b",
	} {
		if got := homeOf(top, 2); got != want {
			t.Errorf("homeOf(%q) = %q, not %q", top, got, want)
		}
	}
}

func TestLinkText(t *testing.T) {
	_, plain, _ := ParseLayouts("/var/vmail", "", nil)
	cases := []struct {
		path, text, want string
		ok               bool
	}{
		{"d/u/.dovecot.sieve", "sieve/x.sieve", "sieve/x.sieve", true},
		{"d/u/.dovecot.sieve", "/var/vmail/d/u/sieve/x", "/srv/mail/d/u/sieve/x", true},
		{"d/u/l", "../../e/f", "../../e/f", true},
		{"d/u/l", "../../../e", "", false},
		{"d/u/l", "..", "..", true},
		{"d/u/l", "/etc/passwd", "", false},
		{"d/u/l", "/var/vmail2/x", "", false},
		{"d/u/l", "/var/vmail/../x", "", false},
		{"d/u/l", "", "", false},
	}
	for _, c := range cases {
		got, ok := staying(plain).linkText(&node{at: c.path, path: c.path, text: c.text}, "/var/vmail", "/srv/mail")
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s -> %q: %q, %v", c.path, c.text, got, ok)
		}
	}
	from, to, err := ParseLayouts("/var/vmail/%d/%n", "/srv/mail/%1n/%u/Maildir", nil)
	must(t, err)
	m := &mapping{from: from, to: to}
	for text, want := range map[string]string{
		"sieve/x.sieve": "sieve/x.sieve", "../mary/x": "../../m/mary@d/x", "../../e/max/cur": "../../m/max@e/Maildir/cur", "/var/vmail/d/mary/.Sent": "/srv/mail/m/mary@d/Maildir/.Sent",
		"../../e": "", "/var/vmail/e": "", "../../../x": "",
	} {
		if got, ok := m.linkText(&node{at: "d/john/link", path: "j/john@d/link", text: text}, "/var/vmail", "/srv/mail"); got != want && ok || ok != (want != "") {
			t.Errorf("%s: %q, %v, not %q", text, got, ok, want)
		}
	}
}

func TestWorklist(t *testing.T) {
	var l worklist
	var want []work
	for i := range 5000 {
		w := work{kind: copyFile, from: fmt.Sprintf("a\n%d", i), to: strings.Repeat("t", i%300), size: int64(i) << 20, time: stamp{int64(-i), int32(i)}, mode: uint32(i % 512)}
		want = append(want, w)
		l.add(w)
	}
	l.seal()
	for range 2 {
		var got []work
		must(t, l.each(func(w work) error { got = append(got, w); return nil }))
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(work{}, stamp{})); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1 000", 12041: "12 041", 1234567: "1 234 567", -1000: "-1 000"} {
		if got := Number(n); got != want {
			t.Errorf("Number(%d) = %q", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 1288490189: "1.2 GiB", 200 << 20: "200 MiB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q", n, got)
		}
	}
}

// realListing is what find prints of a small tree, as a seed.
func realListing(f *testing.F, script string, stdin string, root string) []byte {
	cmd := exec.Command("/bin/sh", "-c", script, "sh", root, ".")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		f.Fatal(err)
	}
	return out
}

func seedTree(f *testing.F) string {
	root := f.TempDir()
	box := makeBox(f, root, "example.org/john/Maildir")
	write(f, filepath.Join(box, "cur", "1.a:2,S"), "x", epoch)
	write(f, filepath.Join(box, "new", "2\n.b"), "xy", epoch)
	write(f, filepath.Join(box, "dovecot-uidlist"), "3 V1 N2\n", epoch)
	if err := os.Symlink("a b", filepath.Join(box, "link")); err != nil {
		f.Fatal(err)
	}
	return root
}

// FuzzTree: whatever a listing holds, no node leads out of the root and none lies below something that is no directory.
func FuzzTree(f *testing.F) {
	f.Add(realListing(f, treeScript(false), "", seedTree(f)))
	f.Add([]byte("1\nd 700 0 0 1 -1.5 1.0 1 ./a\x00\x00f 600 0 0 1 1.0 1.0 1 ./a/../b\x00\x00"))
	f.Fuzz(func(t *testing.T, listing []byte) {
		found := newTree()
		b := newTreeBuilder(found, side{}, &selection{}, staying(Layout{}))
		if _, err := readTree(bufio.NewReaderSize(bytes.NewReader(listing), 4096), b.add); err != nil {
			return
		}
		b.tree.finish()
		for path := range b.tree.nodes {
			if !filepath.IsLocal(path) || filepath.Clean(path) != path {
				t.Errorf("%q leads out", path)
			}
			if dir := found.node(dirOf(path)); dir == nil || dir.kind != 'd' {
				t.Errorf("%q lies in no directory", path)
			}
		}
		if len(found.order) != len(found.nodes) {
			t.Errorf("%d of %d nodes are in the order", len(found.order), len(found.nodes))
		}
		_ = b.hidden()
	})
}

// FuzzMessages: a listing of messages yields names that stay in their directory, or an error.
func FuzzMessages(f *testing.F) {
	f.Add(realListing(f, messageScript, "./example.org/john/Maildir/new\x00./example.org/john/Maildir/cur\x00", seedTree(f)))
	f.Add([]byte("D./example.org/john/Maildir/cur\x00f 600 0 0 1 1.0 1 1 ../x\x00"))
	f.Fuzz(func(t *testing.T, listing []byte) {
		r := &messageReader{in: bufio.NewReaderSize(bytes.NewReader(listing), 4096), what: "test", strange: func(string, byte) {}, stream: &stream{}}
		for _, dir := range []string{"example.org/john/Maildir/new", "example.org/john/Maildir/cur"} {
			err := r.directory(dir, func(m *message) error {
				name := string(m.name)
				if filepath.Base(name) != name || name == "." || name == ".." || len(name) > 255 || m.size < 0 || m.time.nsec < 0 || m.time.nsec >= 1e9 {
					t.Errorf("%q %+v", name, m)
				}
				return nil
			})
			if err != nil && err != errVanished {
				return
			}
		}
	})
}

// sink is a writer that only counts.
type sink struct {
	staged []string
	bytes  int64
}

func (s *sink) stage(name string, body io.Reader, size int64, _ uint32, _ stamp) error {
	n, err := io.CopyN(io.Discard, body, size)
	s.bytes += n
	s.staged = append(s.staged, name)
	return err
}
func (s *sink) commit(string, string) error { return nil }
func (s *sink) stageDir(_, _ string) error  { return nil }
func (s *sink) commitDir(_, _ string) error { return nil }
func (s *sink) do(work) error               { return nil }
func (s *sink) sync() error                 { return nil }
func (s *sink) flush() error                { return nil }
func (s *sink) lost() int                   { return 0 }
func (s *sink) close() error                { return nil }

// FuzzTar: whatever the source sends, only what was asked for is staged, each once, in order, with its size.
func FuzzTar(f *testing.F) {
	items := []work{{from: "d/u/cur/1", size: 3}, {from: "d/u/cur/2", size: 0}, {from: "d/u/cur/" + strings.Repeat("x", 120), size: 1000}}
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatGNU, tar.FormatPAX} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, i := range items {
			if err := w.WriteHeader(&tar.Header{Name: "./" + i.from, Size: i.size, Mode: 0o600, Format: format}); err != nil {
				break
			}
			_, _ = w.Write(make([]byte, i.size))
		}
		_ = w.Close()
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &sink{}
		fetch := &fetcher{o: &Options{Mode: Warm}, from: side{(&machine{name: "old"}).host().View, "/x"}}
		came, _, err := fetch.receive(bytes.NewReader(data), s, items, fetch.stageAt(items))
		var want int64
		last := -1
		for _, name := range s.staged {
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i <= last || i >= len(items) {
				t.Fatalf("staged %q after %d", name, last)
			}
			last = i
			want += items[i].size
		}
		if err == nil {
			n := 0
			for _, c := range came {
				if c {
					n++
				}
			}
			if n != len(s.staged) || s.bytes != want {
				t.Fatalf("staged %v, %d bytes; came %v", s.staged, s.bytes, came)
			}
		}
	})
}

func FuzzSum(f *testing.F) {
	f.Add([]byte(strings.Repeat("a", 64) + "  ./x\n"))
	f.Add([]byte(`\` + strings.Repeat("0", 64) + `  ./a\nb\\` + "\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		_, _, _ = readSum(bufio.NewReader(bytes.NewReader(line)))
	})
}

func FuzzEscape(f *testing.F) {
	f.Add("a b\n%41\xff")
	f.Fuzz(func(t *testing.T, s string) {
		e := string(appendEscaped(nil, s))
		if strings.ContainsAny(e, " \n\r") || unescape(e) != s {
			t.Errorf("%q -> %q -> %q", s, e, unescape(e))
		}
	})
}
