package run

import (
	"slices"
	"sync"
	"time"
)

// teller hands each event to the journal and the reporters, in one order and without secrets.
type teller struct {
	mask      *Masker
	journal   *Journal // nil in check mode
	reporters []Reporter
	run       string
	now       func() time.Time
	broken    func(error) // called once, when the journal cannot be written

	mu     sync.Mutex
	failed bool
}

func (t *teller) tell(e Event) {
	if e.Time.IsZero() {
		e.Time = t.now()
	}
	e = t.mask.Event(e)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.journal != nil && !t.failed {
		if err := t.journal.Write(forJournal(e)); err != nil {
			t.failed = true
			t.broken(err)
		}
	}
	e.Run = t.run
	for _, r := range t.reporters {
		r.Report(e)
	}
}

// forJournal takes out what the journal has already: step_plan holds what was before and after each change.
func forJournal(e Event) Event {
	if e.Kind != StepEnd && e.Kind != ChangeDone || len(e.Changes) == 0 {
		return e
	}
	e.Changes = slices.Clone(e.Changes)
	for i := range e.Changes {
		e.Changes[i].Before, e.Changes[i].After = "", ""
	}
	return e
}
