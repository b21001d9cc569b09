// Package container runs a Debian root file system as a host of its own: process, mount, name, network and cgroup
// namespaces around an overlay, with any program as PID 1 (an init system, or one script).
//
// A host is started by two further processes of the calling program. The supervisor owns the pseudo terminal that is the
// host's console and lives as long as the host; the other becomes PID 1. Both are the program itself, started again as
// "PROGRAM lab boot-host STAGE", which must call [Main] with STAGE. The supervisor outlives its caller.
package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Spec says what to start. Every path is absolute.
type Spec struct {
	Hostname string   // host name without domain
	NetNS    string   // network namespace to start in (a file as made by ip-netns(8)); empty: a new one without interfaces
	Lower    []string // read-only layers, topmost first
	Upper    string   // directory that takes all writes
	Work     string   // overlayfs work directory, on the file system of Upper
	Merged   string   // directory on which the root is put together
	Argv     []string // PID 1
	Env      []string // its whole environment
	Cgroup   string   // directory in the cgroup2 hierarchy for the host's processes; empty: none
	Systemd  bool     // mount the cgroup2 hierarchy inside, as systemd needs it
	Console  string   // file that gets what PID 1 writes to its console
	PIDFile  string   // file that gets the process id of PID 1 (see [ReadPID])

	// Bound ends the host with the program that started it. [Run] sets it.
	Bound bool
}

// PID is the identity of a host's PID 1 as seen from outside. Start tells a process from a later one with the same number.
type PID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks after the boot of the machine, field 22 of /proc/PID/stat (proc(5))
}

// Alive reports whether the process still runs (a zombie does not).
func (p PID) Alive() bool {
	if p.PID <= 1 {
		return false
	}
	start, state, err := statOf(p.PID)
	return err == nil && start == p.Start && state != "Z" && state != "X"
}

// ReadPID reads the process id that the supervisor wrote. A file that is not there is an error for which
// errors.Is(err, os.ErrNotExist) holds.
func ReadPID(file string) (PID, error) {
	var p PID
	b, err := os.ReadFile(file)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("cannot read %s: %w", file, err)
	}
	return p, nil
}

func writePID(file string, pid int) error {
	start, _, err := statOf(pid)
	if err != nil {
		return err
	}
	b, err := json.Marshal(PID{pid, start})
	if err != nil {
		return err
	}
	tmp := file + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// statOf reads start time and state of a process from /proc/PID/stat. The name in parentheses may hold blanks and
// parentheses itself, so the fields are counted from the last one.
func statOf(pid int) (start uint64, state string, err error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, "", err
	}
	text := string(b)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return 0, "", fmt.Errorf("cannot read /proc/%d/stat: %d fields", pid, len(fields))
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return start, fields[0], err
}

// check finds mistakes that would otherwise show up as a mount error without a name.
func (s Spec) check() error {
	for _, dir := range append([]string{s.Upper, s.Work, s.Merged}, s.Lower...) {
		if !filepath.IsAbs(dir) {
			return fmt.Errorf("cannot start a host: %q is no absolute path", dir)
		}
		if strings.ContainsAny(dir, `,:\`) {
			return fmt.Errorf(`cannot start a host: overlayfs takes no path with "," ":" or "\": %s`, dir)
		}
	}
	if len(s.Argv) == 0 || len(s.Lower) == 0 {
		return errors.New("cannot start a host: no program or no root file system was given")
	}
	if n := len(s.overlayOptions()); n >= os.Getpagesize() {
		return fmt.Errorf("cannot start a host: the mount options have %d bytes, more than the kernel takes: use a shorter directory", n)
	}
	return nil
}

// overlayOptions are the mount data of the root. Without redirect_dir a rename of a directory of a lower layer fails with
// EXDEV (IMAP RENAME of a folder); without index a hard link breaks when one of its names is written.
func (s Spec) overlayOptions() string {
	return "redirect_dir=on,index=on,lowerdir=" + strings.Join(s.Lower, ":") + ",upperdir=" + s.Upper + ",workdir=" + s.Work
}

// ExitError says that the program of [Run] ended with a status other than 0. Tail holds the last lines of its output.
type ExitError struct {
	Status int
	Tail   string
}

func (e *ExitError) Error() string {
	text := fmt.Sprintf("ended with status %d", e.Status)
	if e.Tail != "" {
		text += ":\n" + e.Tail
	}
	return text
}

// Tail is the end of a text file: at most lines lines, without control characters that a terminal would act on. A
// file that cannot be read has an empty tail.
func Tail(file string, lines int) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, string(b))
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}

// waitGone waits until the process has ended.
func waitGone(p PID, limit time.Duration) bool {
	for end := time.Now().Add(limit); p.Alive(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
