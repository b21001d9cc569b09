package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Holder says who holds the lock of a site.
type Holder struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	User    string    `json:"user"`
	Since   time.Time `json:"since"`
	Command string    `json:"command"` // "runner mail.lua", without values of parameters
}

// LockedError says that another run of the site is going on.
type LockedError struct {
	Dir    string
	Holder *Holder // nil when the holder cannot be read
	now    time.Time
	here   string
}

func (e *LockedError) Error() string {
	if e.Holder == nil {
		return fmt.Sprintf("cannot start: another run holds the lock %s", filepath.Join(e.Dir, "lock"))
	}
	h := e.Holder
	return fmt.Sprintf("cannot start: another run of this site is going on: %s, process %d of %s on %s, since %s (%s)",
		h.Command, h.PID, h.User, h.Host, h.Since.Format("2006-01-02 15:04:05"), Seconds(max(e.now.Sub(h.Since).Seconds(), 0)))
}

// Hint says what to do about it.
func (e *LockedError) Hint() string {
	switch {
	case e.Holder == nil:
		return "wait until it has ended"
	case e.Holder.Host != e.here:
		return fmt.Sprintf("wait until it has ended, or stop it on %s with: runner stop", e.Holder.Host)
	}
	return "wait until it has ended; runner status shows where it stands, runner stop stops it after the change at hand"
}

// Lock keeps other runs of the same site away.
type Lock struct {
	f *os.File

	// Left is who held the lock before and ended without giving it back: killed, or the machine stopped; nil: nobody.
	Left *Holder
}

// Lock takes the lock of the state folder or returns a *LockedError. The lock is one of flock(2): it ends with the process
// that holds it, however that ends, so none is ever left behind.
func (s State) Lock(command string, now time.Time) (*Lock, error) {
	if err := s.make(); err != nil {
		return nil, err
	}
	path := filepath.Join(s.Dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot take the lock %s: %w", path, reason(err))
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		defer f.Close()
		return nil, &LockedError{Dir: s.Dir, Holder: readHolder(f), now: now, here: hostname()}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot take the lock %s: %w", path, err)
	}
	l := &Lock{f: f, Left: readHolder(f)}
	if err := l.write(Holder{PID: os.Getpid(), Host: hostname(), User: userName(), Since: now, Command: command}); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot take the lock %s: %w", path, reason(err))
	}
	return l, nil
}

// Told says in a sentence what was taken over; empty: nothing was left behind.
func (l *Lock) Told(now time.Time) string {
	h := l.Left
	if h == nil {
		return ""
	}
	return fmt.Sprintf("Took over the lock of %s, process %d of %s on %s, begun %s (%s ago): it ended without giving it back.",
		h.Command, h.PID, h.User, h.Host, h.Since.Format("2006-01-02 15:04:05"), Seconds(max(now.Sub(h.Since).Seconds(), 0)))
}

func (l *Lock) write(h Holder) error {
	line, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err = l.f.WriteAt(append(line, '\n'), 0)
	return err
}

// Release gives the lock back. The file stays: removing it would let two others lock two different files of the same name.
func (l *Lock) Release() error {
	return errors.Join(l.f.Truncate(0), l.f.Close())
}

func readHolder(f *os.File) *Holder {
	data, err := io.ReadAll(io.LimitReader(f, 1<<16))
	if err != nil {
		return nil
	}
	var h Holder
	if err := json.Unmarshal(data, &h); err != nil || h.PID == 0 {
		return nil
	}
	return &h
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "this machine"
	}
	return name
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}
