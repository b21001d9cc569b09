package host

import (
	"bytes"
	"io"
	"math"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseDf(t *testing.T) {
	const head, inodeHead = "Filesystem     1024-blocks    Used Available Capacity Mounted on\n", "Filesystem      Inodes  IUsed   IFree IUse% Mounted on\n"
	for name, c := range map[string]struct {
		text          string
		bytes, inodes uint64
		fails         bool
	}{
		"Debian 12":           {text: head + "/dev/vda1        100000000 20000000  75053132      22% /\n" + inodeHead + "/dev/vda1      19660800 3439239 16221561   18% /\n", bytes: 75053132 << 10, inodes: 16221561},
		"Debian 5":            {text: "Filesystem         1024-blocks      Used Available Capacity Mounted on\n/dev/sda1              9920624   1234567   8182113      14% /\n" + "Filesystem            Inodes   IUsed   IFree IUse% Mounted on\n/dev/sda1             630784   12345  618439    2% /\n", bytes: 8182113 << 10, inodes: 618439},
		"no inodes to count":  {text: head + "/dev/sdb 1 1 5 1% /data\n" + inodeHead + "/dev/sdb 0 0 0 - /data\n", bytes: 5 << 10, inodes: math.MaxUint64},
		"busybox has no -i":   {text: head + "tmpfs 256 0 256 0% /run\n", bytes: 256 << 10, inodes: math.MaxUint64},
		"full":                {text: head + "/dev/sdb 10 10 0 100% /data\n" + inodeHead + "/dev/sdb 10 10 0 100% /data\n"},
		"blanks in names":     {text: head + "//nas/my share 100 40 60 40% /mnt/my 100% share\n" + inodeHead + "//nas/my share 7 3 4 43% /mnt/my 100% share\n", bytes: 60 << 10, inodes: 4},
		"nothing":             {text: "", fails: true},
		"complaint":           {text: "df: /x: No such file or directory\n", fails: true},
		"more than there is":  {text: head + "/dev/x 1 1 18446744073709551615 1% /\n", fails: true},
		"numbers that are no": {text: head + "/dev/x a b c 1% /\n", fails: true},
	} {
		b, i, err := parseDf(c.text)
		if (err != nil) != c.fails || err == nil && (b != c.bytes || i != c.inodes) {
			t.Errorf("%s: %d bytes, %d inodes, %v", name, b, i, err)
		}
	}
}

func FuzzParseDf(f *testing.F) {
	f.Add("Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 1 2 3 4% /\nFilesystem Inodes IUsed IFree IUse% Mounted on\n/dev/x 1 2 3 - /\n")
	f.Fuzz(func(t *testing.T, text string) {
		if b, _, err := parseDf(text); err == nil && b%1024 != 0 {
			t.Errorf("%d bytes", b)
		}
	})
}

func TestParseFacts(t *testing.T) {
	const common = "hostname=mail.example.org\nkernel=3.2.0-4-amd64\nmachine=x86_64\nuid=0\nuser=root\ntime=1400000000\n"
	base := Facts{Hostname: "mail.example.org", Kernel: "3.2.0-4-amd64", Arch: "x86_64", User: "root"}
	with := func(os, version string, major int, init string) Facts {
		f := base
		f.OS, f.Version, f.Major, f.Init = os, version, major, init
		return f
	}
	for name, c := range map[string]struct {
		text string
		want Facts
	}{
		"Lenny":   {common + "debian=5.0.10\ninit.fifo=yes\ninit.name=init\n", with("debian", "5.0.10", 5, SysV)},
		"Wheezy":  {common + "debian=7.11\n PRETTY_NAME=\"Debian GNU/Linux 7 (wheezy)\"\n NAME=\"Debian GNU/Linux\"\n VERSION_ID=\"7\"\n VERSION=\"7 (wheezy)\"\n ID=debian\ninit.fifo=yes\ninit.name=init\n", with("debian", "7.11", 7, SysV)},
		"Jessie":  {common + "debian=8.11\n ID=debian\n VERSION_ID=\"8\"\ninit.systemd=yes\ninit.fifo=yes\ninit.name=systemd\n", with("debian", "8.11", 8, Systemd)},
		"testing": {common + "debian=trixie/sid\n ID=debian\n VERSION_CODENAME=trixie\n", with("debian", "trixie", 0, OtherInit)},
		"Ubuntu":  {common + "debian=wheezy/sid\n ID=ubuntu\n VERSION_ID='12.04'\ninit.upstart=yes\ninit.name=init\n", with("ubuntu", "12.04", 12, OtherInit)},
		"Alpine":  {common + " ID=alpine\n VERSION_ID=3.20.1\n", with("alpine", "3.20.1", 3, OtherInit)},
		"hostile": {common + " ID=debian\n uid=7\n hostname=other\nuid=9\nnonsense\n=\n", with("debian", "", 0, OtherInit)},
	} {
		got, clock, err := parseFacts(c.text)
		if err != nil || clock != 1400000000 {
			t.Errorf("%s: %d, %v", name, clock, err)
			continue
		}
		if d := cmp.Diff(c.want, *got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if _, _, err := parseFacts("hostname=x\n"); err == nil {
		t.Error("a host without a user was taken")
	}
}

func FuzzParseFacts(f *testing.F) {
	f.Add("hostname=mail\nuid=0\ndebian=7.11\n ID=\"debian\"\n VERSION_ID='7'\ntime=1\n")
	f.Fuzz(func(t *testing.T, text string) {
		if facts, _, err := parseFacts(text); (err == nil) == (facts == nil) {
			t.Error("neither facts nor an error, or both")
		}
	})
}

func TestSkew(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 500e6) }
	for _, c := range []struct{ clock, before, after, want int64 }{{0, 100, 101, 0}, {100, 100, 101, 0}, {101, 100, 101, 0}, {90, 100, 101, -10}, {161, 100, 101, 60}} {
		if got := skew(c.clock, at(c.before), at(c.after)); got != time.Duration(c.want)*time.Second {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// Whatever a command prints, and however the bytes come in, a frame is read as it was printed.
func FuzzFrame(f *testing.F) {
	f.Add("noise", "data\nof a command", "0", uint8(3))
	f.Add("marker", "marker>", "-1", uint8(1))
	f.Add("", "", "", uint8(0))
	f.Fuzz(func(t *testing.T, noise, data, trailer string, way uint8) {
		const marker = "0123456789abcdef"
		if strings.Contains(noise+data+trailer, marker) || strings.Contains(trailer, "\n") {
			return // the marker is random: nobody prints it
		}
		text := noise + marker + "<\n" + data + marker + ">" + trailer + "\nthe next"
		var r io.Reader = strings.NewReader(text)
		switch way % 3 {
		case 1:
			r = iotest.OneByteReader(r)
		case 2:
			r = iotest.HalfReader(r)
		}
		tape := &tape{r: r}
		got, end, begun, err := tape.readFrame(marker, nil)
		if err != nil || !begun || string(got) != data || end != trailer {
			t.Errorf("read %q, %q, %v, %v", got, end, begun, err)
		}
		rest, err := io.ReadAll(io.MultiReader(bytes.NewReader(tape.buf), tape.r))
		if err != nil || string(rest) != "the next" {
			t.Errorf("left %q, %v", rest, err)
		}
	})
}

// Any words at all reach a program as they are, through a shell's command line and through the line that boots a channel.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a b", "'", "\\", "$(id)", "`id`", "!", "-n", "\n", "\xff", "~", "a\x01é"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.IndexByte(a+b, 0) >= 0 || len(a)+len(b) > 10_000 {
			return
		}
		want := a + "|" + b + "|"
		line := "printf '%s|' " + Quote(a, b)
		for _, text := range []string{line, `eval "$(printf %b "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(encode(line)) + `")"`} {
			out, err := exec.Command("/bin/sh", "-c", text).Output()
			if err != nil || string(out) != want {
				t.Errorf("%q: got %q, %v, want %q", text, out, err, want)
			}
		}
	})
}

func TestEncodeIsOneLine(t *testing.T) {
	for i := range 256 {
		text := encode("a" + string(rune(0)) + string([]byte{byte(i)}) + strconv.Itoa(i))
		for _, c := range []byte(text) {
			if c < ' ' || c > '~' {
				t.Errorf("byte %d is sent as %q", i, text)
			}
		}
	}
}
