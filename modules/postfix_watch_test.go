package modules

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

func TestLogReaderGoesOnWhereItStopped(t *testing.T) {
	h, _ := newMachine(t)
	file := filepath.Join(t.TempDir(), "mail.log")
	add := func(text string) {
		t.Helper()
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	log := &logReader{view: h.View, path: file}
	reads := func(want string) {
		t.Helper()
		got, err := log.read(context.Background())
		if err != nil || got != want {
			t.Errorf("read %q, %v, not %q", got, err, want)
		}
	}
	add("before\n")
	reads("")
	reads("")
	add("one\ntwo\nhal")
	reads("one\ntwo\n")
	reads("")
	add("f\nthree\n")
	reads("half\nthree\n")
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	add("new\n")
	reads("new\n")
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	add("cut\n") // as short as what was read: only its growth shows
	add("off\n")
	reads("off\n")
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	reads("")
	add("x\n")
	reads("x\n")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := log.read(context.Background()); err == nil {
		t.Error("a log that is gone was read")
	}
}
