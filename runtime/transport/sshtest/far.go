package sshtest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"runner/runtime/transport"
)

// Far puts a server at the end of a slow line: a relay that holds each byte back for delay, and lets no more than rate bytes a
// second through in either direction (0: as many as come). It is no model of TCP over such a line, which a kernel with netem could
// make: what it shows is how many answers a program waits for, and whether the windows of SSH keep the line full.
func Far(t testing.TB, spec transport.Spec, delay time.Duration, rate float64) transport.Spec {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	near := net.JoinHostPort(spec.Address, strconv.Itoa(spec.Port))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", near)
			if err != nil {
				c.Close()
				continue
			}
			go relay(c, s, delay, rate)
			go relay(s, c, delay, rate)
		}
	}()
	known, err := os.ReadFile(spec.KnownHosts[0])
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(known), " ")
	spec.Port = l.Addr().(*net.TCPAddr).Port
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, fmt.Appendf(nil, "[127.0.0.1]:%d %s", spec.Port, key), 0o600); err != nil {
		t.Fatal(err)
	}
	spec.KnownHosts = []string{file}
	return spec
}

// relay passes on what it reads, later and not faster than the line. Some 4 MiB can be under way, as with TCP.
func relay(from, to net.Conn, delay time.Duration, rate float64) {
	type parcel struct {
		text []byte
		due  time.Time
	}
	way := make(chan parcel, 128)
	go func() {
		defer close(way)
		var free time.Time // when the line can take the next byte
		for {
			text := make([]byte, 32<<10)
			n, err := from.Read(text)
			if n > 0 {
				if now := time.Now(); free.Before(now) {
					free = now
				}
				if rate > 0 {
					free = free.Add(time.Duration(float64(n) / rate * float64(time.Second)))
				}
				way <- parcel{text[:n], free.Add(delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	defer from.Close()
	defer to.Close()
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.text); err != nil {
			return
		}
	}
}
