package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

// State is the folder in which the runs of one site are recorded, normally ".runner" beside the site file:
//
//	lock            held while a run is going on
//	runs/ID.jsonl   the journal of a run: its events, one JSON object a line
//	runs/ID.log     the same for people
//
// Folders have mode 0700 and files 0600.
type State struct{ Dir string }

const (
	journalSuffix = ".jsonl"
	logSuffix     = ".log"
)

// make creates the folder. It tells git to leave it alone: a journal holds what configuration was before.
func (s State) make() error {
	if err := os.MkdirAll(s.runs(), 0o700); err != nil {
		return fmt.Errorf("cannot make the state folder %s: %w (choose another one with --state DIR)", s.Dir, reason(err))
	}
	ignore := filepath.Join(s.Dir, ".gitignore")
	if _, err := os.Lstat(ignore); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(ignore, []byte("*\n"), 0o600); err != nil {
			return fmt.Errorf("cannot write in the state folder %s: %w (choose another one with --state DIR)", s.Dir, reason(err))
		}
	}
	return nil
}

func (s State) runs() string { return filepath.Join(s.Dir, "runs") }

func (s State) journal(id string) string { return filepath.Join(s.runs(), id+journalSuffix) }

// Log is the path of the log of a run.
func (s State) Log(id string) string { return filepath.Join(s.runs(), id+logSuffix) }

// Runs lists the ids of the recorded runs, oldest first.
func (s State) Runs() ([]string, error) {
	entries, err := os.ReadDir(s.runs())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the recorded runs in %s: %w", s.runs(), reason(err))
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), journalSuffix); ok {
			ids = append(ids, id)
		}
	}
	sort.Strings(ids)
	return ids, nil
}

// Read reads the journal of a run. The id may be cut short as long as it stays the only one that begins so; empty is the last run.
func (s State) Read(id string) (*Record, error) {
	ids, err := s.Runs()
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("cannot find a run: none is recorded in %s (--state DIR or --site FILE says where else to look)", s.Dir)
	}
	if id == "" {
		id = ids[len(ids)-1]
	}
	var found []string
	for _, have := range ids {
		if have == id {
			found = []string{have}
			break
		}
		if strings.HasPrefix(have, id) {
			found = append(found, have)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("cannot find run %q in %s; runner history lists the runs", id, s.Dir)
	case 1:
		return s.read(found[0])
	}
	return nil, fmt.Errorf("cannot choose a run: %d begin with %q: %s", len(found), id, strings.Join(found, ", "))
}

func (s State) read(id string) (*Record, error) {
	data, err := os.ReadFile(s.journal(id))
	if err != nil {
		return nil, fmt.Errorf("cannot read the journal of run %s: %w", id, err)
	}
	events, _ := ReadEvents(data)
	return newRecord(id, events), nil
}

// Last finds the last run of a recipe, given by what [Start.File] holds; nil when there is none.
func (s State) Last(file string) (*Record, error) {
	ids, err := s.Runs()
	if err != nil {
		return nil, err
	}
	for i := len(ids) - 1; i >= 0; i-- {
		r, err := s.read(ids[i])
		if err != nil {
			return nil, err
		}
		if r.Start.File == file {
			return r, nil
		}
	}
	return nil, nil
}

// newID names a run by the time at which it began. Names sort in the order of the runs, also of two in one second and when the
// clock goes back: then the name follows that of the last run.
func newID(now time.Time, last string) string {
	if id := now.Format("20060102-150405"); id > last {
		return id
	}
	base, number := last, 1
	if len(last) > idLength {
		base = last[:idLength]
		if n, err := strconv.Atoi(last[idLength+1:]); err == nil {
			number = n
		}
	}
	return fmt.Sprintf("%s-%03d", base, number+1)
}

const idLength = len("20060102-150405")

// reason takes the path out of an error of package os, for messages that name it already.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
