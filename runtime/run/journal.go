package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"runner/runtime/module"
)

// Journal is the record of a run while it is written. Lines are only ever added. What matters for going on or back (a plan with
// changes before the first is made, each change, what was kept, the end of each task) is on the disk before the run goes on;
// that a step had nothing to do is written and left to the system, because losing it costs nothing but looking again.
type Journal struct {
	id string

	mu  sync.Mutex
	f   *os.File
	err error
}

// create begins the journal of a new run.
func (s State) create(now time.Time) (*Journal, error) {
	if err := s.make(); err != nil {
		return nil, err
	}
	ids, err := s.Runs()
	if err != nil {
		return nil, err
	}
	last := ""
	if len(ids) > 0 {
		last = ids[len(ids)-1]
	}
	id := newID(now, last)
	f, err := os.OpenFile(s.journal(id), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot begin a journal in %s: %w (choose another place with --state DIR)", s.runs(), reason(err))
	}
	if err := syncDir(s.runs()); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot begin a journal in %s: %w", s.runs(), reason(err))
	}
	return &Journal{id: id, f: f}, nil
}

// appendTo goes on with the journal of an earlier run. What a crash left half-written at its end is cut off.
func (s State) appendTo(id string) (*Journal, error) {
	path := s.journal(id)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the journal of run %s: %w", id, err)
	}
	_, whole := ReadEvents(data)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot go on with the journal of run %s: %w", id, err)
	}
	if whole < len(data) {
		if err := f.Truncate(int64(whole)); err != nil {
			f.Close()
			return nil, fmt.Errorf("cannot go on with the journal of run %s: %w", id, err)
		}
	}
	return &Journal{id: id, f: f}, nil
}

func syncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Write adds an event. After the first error nothing more is written, and each call returns that error.
func (j *Journal) Write(e Event) error {
	if e.Kind == Progress {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("cannot write the journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	// One write call for the line and its end: a crash leaves a part of the last line at worst.
	_, err = j.f.Write(append(line, '\n'))
	if err == nil && lasting(e) {
		err = j.f.Sync()
	}
	if err != nil {
		j.err = fmt.Errorf("cannot write the journal %s: %w", j.f.Name(), reason(err))
	}
	return j.err
}

// lasting says that the run must not go on before the event is on the disk.
func lasting(e Event) bool {
	switch e.Kind {
	case StepStart, Said, Warned, PhaseStart, TaskStart, EachStart, Batch, EachEnd:
		return false
	case StepPlan:
		return len(e.Changes) > 0
	case StepEnd:
		return e.Status != module.OK && e.Status != module.Skipped
	case HostEnd:
		return e.Status == module.Changed
	}
	return true
}

// Close ends the journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.f.Close()
}

// ReadEvents reads a journal and says how many of its bytes are whole lines. A last line that a crash left half-written, also
// as the zeros that some file systems leave, is not counted and not an error. A line in the middle that cannot be read is left out.
func ReadEvents(data []byte) (events []Event, whole int) {
	for at := 0; at < len(data); {
		n := bytes.IndexByte(data[at:], '\n')
		if n < 0 {
			break
		}
		var e Event
		if err := json.Unmarshal(data[at:at+n], &e); err == nil && e.Kind != "" {
			events = append(events, e)
			whole = at + n + 1
		}
		at += n + 1
	}
	return events, whole
}
