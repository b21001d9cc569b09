package container

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPID(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid.json")
	if _, err := ReadPID(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := writePID(file, cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	p, err := ReadPID(file)
	if err != nil || p.PID != cmd.Process.Pid || !p.Alive() {
		t.Fatalf("read %+v, %v", p, err)
	}
	if (PID{p.PID, p.Start + 1}).Alive() {
		t.Error("a later process with the same number is taken for the host")
	}
	go cmd.Wait()
	if err := Kill(p); err != nil {
		t.Error(err)
	}
	if p.Alive() {
		t.Error("it lives on")
	}
	if err := Kill(p); err != nil {
		t.Errorf("killed twice: %v", err)
	}
	for _, none := range []PID{{}, {1, 0}, {-5, 3}} {
		if none.Alive() {
			t.Errorf("%+v is alive", none)
		}
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPID(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a broken file: %v", err)
	}
}

// TestZombie: a process that has ended and was not waited for does not run.
func TestZombie(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	start, _, err := statOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if !waitGone(PID{cmd.Process.Pid, start}, 10*time.Second) {
		t.Error("a zombie is taken for alive")
	}
}

func TestCheck(t *testing.T) {
	good := Spec{Upper: "/u", Work: "/w", Merged: "/m", Lower: []string{"/a", "/b"}, Argv: []string{"/sbin/init"}}
	if err := good.check(); err != nil {
		t.Errorf("a good one: %v", err)
	}
	if got := good.overlayOptions(); got != "redirect_dir=on,index=on,lowerdir=/a:/b,upperdir=/u,workdir=/w" {
		t.Errorf("mounts with %s", got)
	}
	for says, change := range map[string]func(*Spec){
		"no absolute path": func(s *Spec) { s.Work = "w" },
		"overlayfs takes":  func(s *Spec) { s.Lower = []string{"/a:b"} },
		"no program":       func(s *Spec) { s.Argv = nil },
		"or no root file":  func(s *Spec) { s.Lower = nil },
		"shorter":          func(s *Spec) { s.Lower = []string{"/" + strings.Repeat("x", os.Getpagesize())} },
	} {
		bad := good
		change(&bad)
		if err := bad.check(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestTail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "console")
	if err := os.WriteFile(file, []byte("one\r\n\x1b[31mtwo\x07\nthree\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Tail(file, 2); got != "[31mtwo\nthree" {
		t.Errorf("the tail is %q", got)
	}
	if got := Tail(file+".no", 2); got != "" {
		t.Errorf("the tail of nothing is %q", got)
	}
	if got := (&ExitError{3, "why"}).Error(); got != "ended with status 3:\nwhy" {
		t.Errorf("an end says %q", got)
	}
}
