package probe

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/textproto"
	"strings"
	"testing"
)

func TestReplyLine(t *testing.T) {
	for line, want := range map[string]struct {
		code     int
		text     string
		last, ok bool
	}{
		"250-SIZE 1000": {250, "SIZE 1000", false, true}, "250 ok": {250, "ok", true, true}, "220": {220, "", true, true},
		"250": {250, "", true, true}, "199 x": {}, "600 x": {}, "25x ok": {}, "2": {}, "": {}, "250_ok": {}, "* OK": {},
	} {
		code, text, last, ok := parseReplyLine(line)
		if code != want.code && ok || text != want.text || last != want.last || ok != want.ok {
			t.Errorf("%q: %d %q %v %v", line, code, text, last, ok)
		}
	}
}

// What is sent is what a server reads again, whatever stands in the lines.
func FuzzDotted(f *testing.F) {
	f.Add("a\n.b\n..\n")
	f.Add(".\n.\r\n")
	f.Add("no end")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "\r") {
			return
		}
		sent := dotted([]byte(text))
		r := textproto.NewReader(bufio.NewReader(bytes.NewReader(sent)))
		got, err := r.ReadDotBytes()
		want := text
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		if err != nil || string(got) != want {
			t.Errorf("%q %v, want %q", got, err, want)
		}
		if rest, _ := r.R.Peek(1); len(rest) > 0 {
			t.Errorf("something follows the end: %q", rest)
		}
	})
}

// FuzzServer says whatever bytes to the clients: they must end, and take none for a success that is none.
func FuzzServer(f *testing.F) {
	f.Add([]byte("220 mail ESMTP\r\n250-mail\r\n250 STARTTLS\r\n220 go\r\n"))
	f.Add([]byte("* OK ready\r\na OK begin\r\n"))
	f.Add([]byte("+OK\r\n+OK\r\n"))
	f.Add([]byte("\"STARTTLS\"\r\nOK\r\nOK\r\n"))
	f.Add([]byte("220-a\r\n250 b\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		server := Server{Host: "mail.example.org", Port: 25, Dial: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() { defer there.Close(); _, _ = there.Write(data) }()
			go func() {
				for b := make([]byte, 512); ; {
					if _, err := there.Read(b); err != nil {
						return
					}
				}
			}()
			return here, nil
		}}
		for protocol := range protocols {
			if c, err := Check(context.Background(), server, StartTLS, protocol); err == nil {
				t.Errorf("%s: a certificate of nothing: %v", protocol, c)
			}
		}
		if s, err := OpenSMTP(context.Background(), server, "", "client.example.org"); err == nil {
			if !bytes.HasPrefix(data, []byte("220")) {
				t.Errorf("taken for an SMTP server: %q", data)
			}
			s.Close()
		}
	})
}
