package modules

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"runner/runtime/module"
)

// greeter listens and greets as a mail server does.
func greeter(t *testing.T, address string) (net.Listener, int) {
	t.Helper()
	l, err := net.Listen("tcp", address)
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
			fmt.Fprint(c, "220 mail.example.org ESMTP\r\n")
			c.Close()
		}
	}()
	return l, l.Addr().(*net.TCPAddr).Port
}

func TestWaitForPort(t *testing.T) {
	h, _ := newMachine(t)
	l, port := greeter(t, "127.0.0.1:0")
	values := map[string]any{"on": here, "port": float64(port), "contains": "220 ", "interval": "20ms", "wait": "30s"}
	if r := step(t, h, "wait_for", values); r.Err != nil || len(r.Changes) != 0 {
		t.Errorf("open: %v %v", r.summaries(), r.Err)
	}
	values["contains"], values["wait"] = "* OK", "100ms"
	r := step(t, h, "wait_for", values)
	if r.Err == nil || !strings.Contains(r.Err.Error(), `it says "220 mail.example.org ESMTP"`) {
		t.Error(r.Err)
	}
	l.Close()
	delete(values, "contains")
	r = step(t, h, "wait_for", values)
	if r.Err == nil || !strings.Contains(r.Err.Error(), fmt.Sprintf("cannot wait longer than 100ms until port 127.0.0.1:%d on here is open: connection refused", port)) {
		t.Error(r.Err)
	}
	if r := step(t, nil, "wait_for", map[string]any{"address": "127.0.0.1", "port": float64(port), "state": "closed"}); r.Err != nil || len(r.Changes) != 0 {
		t.Errorf("closed, from the runner: %v %v", r.summaries(), r.Err)
	}
	time.AfterFunc(100*time.Millisecond, func() { greeter(t, fmt.Sprintf("127.0.0.1:%d", port)) })
	values["wait"] = "30s"
	r = step(t, h, "wait_for", values)
	if r.Err != nil || r.Status != module.OK || len(r.Changes) != 1 || !r.Changes[0].Wait {
		t.Errorf("%s %v %v", r.Status, r.summaries(), r.Err)
	}
}

func TestWaitForPath(t *testing.T) {
	h, _ := newMachine(t)
	p := filepath.Join(t.TempDir(), "ready")
	values := map[string]any{"on": here, "path": p, "contains": "done", "interval": "20ms"}
	time.AfterFunc(60*time.Millisecond, func() { _ = os.WriteFile(p, []byte("almost\n"), 0o644) })
	time.AfterFunc(160*time.Millisecond, func() { _ = os.WriteFile(p, []byte("done\n"), 0o644) })
	if r := step(t, h, "wait_for", values); r.Err != nil || r.Status != module.OK {
		t.Errorf("%s %v", r.Status, r.Err)
	}
	if data, err := os.ReadFile(p); err != nil || string(data) != "done\n" {
		t.Errorf("it did not wait for the text: %q %v", data, err)
	}
	delete(values, "contains")
	values["state"], values["wait"] = "absent", "50ms"
	if r := step(t, h, "wait_for", values); r.Err == nil || !strings.Contains(r.Err.Error(), "is gone: it is still there") {
		t.Error(r.Err)
	}
}

func TestWaitForCommand(t *testing.T) {
	h, _ := newMachine(t)
	p := filepath.Join(t.TempDir(), "ready")
	values := map[string]any{"on": here, "command": []any{"cat", p}, "interval": "20ms", "contains": "yes"}
	time.AfterFunc(60*time.Millisecond, func() { _ = os.WriteFile(p, []byte("yes"), 0o644) })
	if r := step(t, h, "wait_for", values); r.Err != nil {
		t.Error(r.Err)
	}
	delete(values, "contains")
	values["state"], values["wait"] = "absent", "50ms"
	if r := step(t, h, "wait_for", values); r.Err == nil || !strings.Contains(r.Err.Error(), "fails: it succeeds") {
		t.Error(r.Err)
	}
	r := step(t, h, "wait_for", map[string]any{"on": here, "command": []any{"no-such-program-here"}})
	var absent *module.AbsentError
	if !errors.As(r.Err, &absent) {
		t.Errorf("a program that is not there: %v", r.Err)
	}
}

func TestWaitForStopsPromptly(t *testing.T) {
	h, _ := newMachine(t)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	r := stepIn(t, ctx, h, "wait_for", map[string]any{"on": here, "path": "/nowhere/at/all", "wait": "1h", "interval": "1h"}, false)
	if !errors.Is(r.Err, context.Canceled) {
		t.Error(r.Err)
	}
}

func TestWaitForArguments(t *testing.T) {
	for _, c := range []struct {
		values map[string]any
		wrong  string
	}{
		{map[string]any{"on": here}, "needs one of"},
		{map[string]any{"on": here, "port": 25.0, "path": "/x"}, "needs one of"},
		{map[string]any{"on": here, "port": 99999.0}, "between 1 and 65535"},
		{map[string]any{"port": 25.0}, "port needs on or address"},
		{map[string]any{"path": "/x"}, "need on"},
		{map[string]any{"on": here, "port": 25.0, "state": "present"}, `"open" or "closed"`},
		{map[string]any{"on": here, "path": "/x", "state": "open"}, "needs port"},
		{map[string]any{"on": here, "path": "x"}, "whole path"},
		{map[string]any{"on": here, "path": "/x", "address": "y"}, "address needs port"},
		{map[string]any{"on": here, "path": "/x", "state": "absent", "contains": "y"}, "contains does not go"},
		{map[string]any{"on": here, "path": "/x", "interval": 0.0}, "interval must be"},
	} {
		if _, err := decode("wait_for", c.values); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%v: the error is %v, want %q in it", c.values, err, c.wrong)
		}
	}
}
