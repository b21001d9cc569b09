package host_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"

	"runner/runtime/host"
	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
)

// BenchmarkCommands runs 100 commands that do nothing, one after the other, on one host: a script of the shell's own words, a
// program that only looks, and one that may change the host and therefore gets a process group.
func BenchmarkCommands(b *testing.B) {
	for where, h := range map[string]*host.Host{"local": open(b, host.Options{Local: true}), "OpenSSH": over(b, sshtest.OpenSSH(b, ""))} {
		for what, run := range map[string]func() error{
			"script":  func() error { return second(h.QueryScript(b.Context(), ":")) },
			"program": func() error { return second(h.Query(b.Context(), "true")) },
			"change":  func() error { return second(h.Run(b.Context(), "true")) },
		} {
			b.Run(where+"/"+what, func(b *testing.B) {
				const n = 100
				for b.Loop() {
					for range n {
						if err := run(); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/n/float64(b.N), "ms/command")
			})
		}
	}
}

// BenchmarkTwentyHosts connects to twenty hosts at once, looks at each and runs ten commands on each.
func BenchmarkTwentyHosts(b *testing.B) {
	spec := sshtest.OpenSSH(b, "MaxStartups 100")
	d := transport.NewDialer(transport.Options{})
	for b.Loop() {
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				h := host.Open(fmt.Sprint(i), host.Options{Dial: func(ctx context.Context) (transport.Conn, error) { return d.Dial(ctx, spec) }})
				defer h.Close()
				if _, err := h.Facts(b.Context()); err != nil {
					b.Error(err)
					return
				}
				for range 10 {
					if _, err := h.Query(b.Context(), "true"); err != nil {
						b.Error(err)
					}
				}
			})
		}
		all.Wait()
	}
}

// BenchmarkRead and BenchmarkWrite move one file of 64 MiB over sftp.
func BenchmarkRead(b *testing.B) {
	h, name := over(b, sshtest.OpenSSH(b, "")), b.TempDir()+"/big"
	if err := h.WriteFile(b.Context(), name, make([]byte, 64<<20), host.Attr{Mode: 0o600, UID: -1, GID: -1}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(64 << 20)
	for b.Loop() {
		f, err := h.Open(b.Context(), name)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, f); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

func BenchmarkWrite(b *testing.B) {
	h, name := over(b, sshtest.OpenSSH(b, "")), b.TempDir()+"/big"
	data := bytes.Repeat([]byte("x"), 64<<20)
	b.SetBytes(64 << 20)
	for b.Loop() {
		if err := h.WriteFile(b.Context(), name, data, host.Attr{Mode: 0o600, UID: -1, GID: -1}); err != nil {
			b.Fatal(err)
		}
	}
}
