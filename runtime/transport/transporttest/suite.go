// Package transporttest is the suite that every [transport.Conn] passes.
package transporttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"runner/runtime/transport"
)

// Run runs the suite. open makes a new connection that the suite closes.
func Run(t *testing.T, open func(t *testing.T) transport.Conn) {
	for name, test := range map[string]func(*testing.T, transport.Conn){
		"output": testOutput, "status": testStatus, "signal": testSignal, "large": testLarge, "many": testMany,
		"tcp": testTCP, "unix": testUnix, "deadline": testDeadline, "cancel": testCancel, "close": testClose, "refused": testRefused,
	} {
		t.Run(name, func(t *testing.T) {
			c := open(t)
			defer c.Close()
			test(t, c)
		})
	}
}

// Command runs a line to its end.
func Command(ctx context.Context, c transport.Conn, line, input string) (stdout, stderr string, exit transport.Exit, err error) {
	p, err := c.Start(ctx, line)
	if err != nil {
		return "", "", exit, err
	}
	go func() {
		_, _ = io.WriteString(p.Stdin(), input)
		p.Stdin().Close()
	}()
	var out, errs bytes.Buffer
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(&out, p.Stdout()) })
	both.Go(func() { _, _ = io.Copy(&errs, p.Stderr()) })
	both.Wait()
	exit, err = p.Wait()
	return out.String(), errs.String(), exit, err
}

func testOutput(t *testing.T, c transport.Conn) {
	out, errs, exit, err := Command(t.Context(), c, `cat; echo "to stderr" >&2`, "in\x00put without end")
	if err != nil || exit.Status != 0 || out != "in\x00put without end" || errs != "to stderr\n" {
		t.Errorf("got %q, %q, %+v, %v", out, errs, exit, err)
	}
}

func testStatus(t *testing.T, c transport.Conn) {
	if _, _, exit, err := Command(t.Context(), c, "exit 42", ""); err != nil || exit.Status != 42 {
		t.Errorf("got %+v, %v", exit, err)
	}
}

func testSignal(t *testing.T, c transport.Conn) {
	if _, _, exit, err := Command(t.Context(), c, "kill -KILL $$", ""); err != nil || exit.Status != 137 || exit.Signal != "KILL" {
		t.Errorf("got %+v, %v", exit, err)
	}
}

func testLarge(t *testing.T, c transport.Conn) {
	input := strings.Repeat("0123456789abcdef", 2<<20)
	out, _, exit, err := Command(t.Context(), c, "cat", input)
	if err != nil || exit.Status != 0 || sha256.Sum256([]byte(out)) != sha256.Sum256([]byte(input)) {
		t.Errorf("32 MiB through cat: %d bytes back, %+v, %v", len(out), exit, err)
	}
}

func testMany(t *testing.T, c transport.Conn) { Many(t, c, 30) }

// Many runs n commands at once, more than a connection has room for.
func Many(t *testing.T, c transport.Conn, n int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			out, _, _, err := Command(t.Context(), c, fmt.Sprintf("echo %d", i), "")
			if err != nil || out != fmt.Sprintf("%d\n", i) {
				t.Errorf("command %d: %q, %v", i, out, err)
			}
		})
	}
	all.Wait()
}

func echo(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	return l
}

func testTCP(t *testing.T, c transport.Conn) {
	talk(t, c, "tcp", echo(t, "tcp", "127.0.0.1:0").Addr().String())
}

func testUnix(t *testing.T, c transport.Conn) {
	dir, err := os.MkdirTemp("", "sock")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	echo(t, "unix", path)
	talk(t, c, "unix", path)
}

func talk(t *testing.T, c transport.Conn, network, address string) {
	t.Helper()
	conn, err := c.Dial(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
}

func testDeadline(t *testing.T, c transport.Conn) {
	conn, err := c.Dial(t.Context(), "tcp", echo(t, "tcp", "127.0.0.1:0").Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read past the deadline: %v", err)
	}
}

func testRefused(t *testing.T, c transport.Conn) {
	l := echo(t, "tcp", "127.0.0.1:0")
	l.Close()
	if _, err := c.Dial(t.Context(), "tcp", l.Addr().String()); err == nil || !strings.Contains(strings.ToLower(err.Error()), "refused") {
		t.Errorf("a closed port: %v", err)
	}
}

func testCancel(t *testing.T, c transport.Conn) {
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		_, _, _, _ = Command(ctx, c, "sleep 60", "")
		close(over)
	}()
	time.Sleep(50 * time.Millisecond)
	cancel()
	select {
	case <-over:
	case <-time.After(10 * time.Second):
		t.Error("a cancelled command went on")
	}
	if out, _, _, err := Command(t.Context(), c, "echo still here", ""); err != nil || out != "still here\n" {
		t.Errorf("after a cancelled command: %q, %v", out, err)
	}
}

func testClose(t *testing.T, c transport.Conn) {
	p, err := c.Start(t.Context(), "sleep 60")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, p.Stdout())
		_, _ = p.Wait()
		close(over)
	}()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-over:
	case <-time.After(10 * time.Second):
		t.Error("a command outlived its connection")
	}
	<-c.Done()
	if _, err := c.Start(t.Context(), "true"); err == nil {
		t.Error("a command was started on a closed connection")
	}
}
