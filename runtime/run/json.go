package run

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// progressPause is the least time between two progress events of a step in the output of [JSON].
const progressPause = time.Second

// JSON writes each event as one JSON object a line. See [Event] for the fields and [EventFormat] for the version of their meaning.
type JSON struct {
	mu   sync.Mutex
	enc  *json.Encoder
	err  error
	last map[int]time.Time // step: its last progress event
}

// NewJSON makes a reporter for programs.
func NewJSON(w io.Writer) *JSON {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &JSON{enc: enc, last: map[int]time.Time{}}
}

// Report writes an event. Of the progress of a step about one event a second is written.
func (j *JSON) Report(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch e.Kind {
	case Progress:
		if e.Time.Sub(j.last[e.Step]) < progressPause {
			return
		}
		j.last[e.Step] = e.Time
	case StepEnd:
		delete(j.last, e.Step)
	}
	if j.err == nil {
		j.err = j.enc.Encode(e)
	}
}

// Close returns the first error of writing: a reader that went away does not stop a run.
func (j *JSON) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}
