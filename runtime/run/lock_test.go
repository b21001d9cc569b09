package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLockNamesItsHolder(t *testing.T) {
	s := State{filepath.Join(t.TempDir(), ".runner")}
	first, err := s.Lock("runner mail.lua", testTime)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Lock("runner other.lua", testTime.Add(4*time.Minute))
	var locked *LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"runner mail.lua", fmt.Sprintf("process %d of ", os.Getpid()), "(4 m 00 s)", testTime.Format("15:04:05")} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if want := "runner stop stops it after the change at hand"; !strings.Contains(locked.Hint(), want) {
		t.Errorf("%q does not say %q", locked.Hint(), want)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := s.Lock("runner other.lua", testTime)
	if err != nil {
		t.Fatalf("after its release: %v", err)
	}
	if again.Left != nil {
		t.Errorf("after its release there is left %v", again.Left)
	}
	again.f.Close() // as when the process is killed
	third, err := s.Lock("runner mail.lua", testTime.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	defer third.Release()
	if want := "Took over the lock of runner other.lua, process"; !strings.HasPrefix(third.Told(testTime.Add(time.Hour)), want) {
		t.Errorf("%q does not say %q", third.Told(testTime), want)
	}
}

func TestLockOfAnotherMachineOrUnreadable(t *testing.T) {
	e := &LockedError{Dir: "/x/.runner", here: "a", now: testTime, Holder: &Holder{PID: 7, Host: "b", User: "root", Since: testTime, Command: "runner"}}
	if want := "stop it on b with: runner stop"; !strings.Contains(e.Hint(), want) {
		t.Errorf("%q does not say %q", e.Hint(), want)
	}
	e.Holder = nil
	if want := "cannot start: another run holds the lock /x/.runner/lock"; e.Error() != want {
		t.Errorf("got %q", e.Error())
	}
}

func TestStateFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := State{filepath.Join(file, ".runner")}.Lock("runner", testTime)
	if want := "not a directory (choose another one with --state DIR)"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}
