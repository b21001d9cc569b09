package run

import (
	"encoding/json"
	"slices"
	"time"

	"runner/runtime/module"
)

// TaskName tells a task from all others of a recipe.
type TaskName struct {
	Phase string `json:"phase"`
	Task  string `json:"task"`
}

// Start is what the first event of each session of a run says beside its own fields: all that is needed to go on with it.
type Start struct {
	File    string            `json:"file"`            // recipe, below the state folder's parent if it lies there; "stock:NAME" for a stock recipe
	SHA256  string            `json:"sha256"`          // of the recipe's text
	Files   map[string]string `json:"files,omitempty"` // SHA-256 of what it required or extends; see recipe.Recipe.Files
	Site    string            `json:"site,omitempty"`  // as File
	Params  map[string]any    `json:"params,omitempty"`
	Given   map[string]string `json:"given,omitempty"` // --param as typed; a secret is masked
	Hosts   map[string]string `json:"hosts,omitempty"` // name in the recipe: address
	Limit   string            `json:"limit,omitempty"`
	Plan    []TaskName        `json:"plan,omitempty"` // every task of the recipe in its order
	Version string            `json:"version,omitempty"`
	Resumed bool              `json:"resumed,omitempty"`
}

func (s Start) detail() map[string]any {
	data, err := json.Marshal(s)
	if err != nil {
		// Parameters are made of what JSON has (see recipe.Inputs).
		panic("run: a parameter cannot be written as JSON: " + err.Error())
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		panic("run: " + err.Error())
	}
	return m
}

func startOf(e Event) Start {
	var s Start
	if data, err := json.Marshal(e.Detail); err == nil {
		_ = json.Unmarshal(data, &s) // what cannot be read stays empty: the journal is of another version
	}
	return s
}

// Record is what a journal says of a run: enough to go on, to go back and to tell what happened.
type Record struct {
	ID       string
	Recipe   string // its name
	Start    Start  // of the newest session
	Sessions []Session
	Tasks    []*TaskRecord // in the order in which they first began, without handlers
	Saved    map[string]any
	Finished bool // every task is done
	Kept     []module.Original
	Events   []Event

	pending map[string][]string // phase: handlers that were notified and have not run
	planned map[int]Event       // step that began to change something: the event of its plan
	steps   int                 // the highest number of a step
	hosts   map[workKey]map[string]hostDone
	unsaved map[workKey]map[string]hostDone // those that hold when their task has ended
}

// Session is one call of the runner that worked on a run.
type Session struct {
	Began  time.Time
	Ended  time.Time // zero: it ended without a word (killed, power cut)
	Undo   bool
	Status module.Status
	Counts Counts
	Took   float64
	Text   string
}

// TaskRecord is what became of a task.
type TaskRecord struct {
	TaskName
	Status  module.Status // of its last end; empty: it began and never ended
	Done    bool          // it, and all tasks before it, are done
	Begun   bool          // it began and was not undone since: there may be something to undo
	Undone  bool
	Changes int // made by it in all sessions
	Took    float64
	Error   string
	Began   time.Time
}

func newRecord(id string, events []Event) *Record {
	r := &Record{ID: id, Events: events, pending: map[string][]string{}, planned: map[int]Event{}, hosts: map[workKey]map[string]hostDone{}, unsaved: map[workKey]map[string]hostDone{}}
	for _, e := range events {
		r.add(e)
	}
	return r
}

func (r *Record) add(e Event) {
	r.steps = max(r.steps, e.Step)
	switch e.Kind {
	case RunStart:
		r.Recipe, r.Start = e.Recipe, startOf(e)
		r.Finished = false
		r.Sessions = append(r.Sessions, Session{Began: e.Time, Undo: e.Undo})
	case RunEnd:
		r.Finished = e.Finished
		if s := r.session(); s != nil {
			s.Ended, s.Status, s.Took, s.Text = e.Time, e.Status, e.Took, e.Text
			if e.Counts != nil {
				s.Counts = *e.Counts
			}
		}
	case TaskStart:
		r.taskStart(e)
	case TaskEnd:
		r.taskEnd(e)
	case StepPlan:
		if len(e.Notify) > 0 {
			r.planned[e.Step] = e
		}
	case StepEnd:
		delete(r.planned, e.Step)
		r.notify(e.Phase, e.Notify)
		if t := r.task(e); t != nil && e.Status == module.Failed && e.Error != "" {
			t.Error = e.Error
		}
	case EachStart, HostEnd, EachEnd:
		r.each(e)
	case ChangeDone:
		if t := r.task(e); t != nil && e.Error == "" && !e.Undo {
			t.Changes++
		}
	case Kept:
		if e.Kept != nil {
			r.Kept = append(r.Kept, *e.Kept)
		}
	}
}

func (r *Record) session() *Session {
	if len(r.Sessions) == 0 {
		return nil
	}
	return &r.Sessions[len(r.Sessions)-1]
}

func (r *Record) task(e Event) *TaskRecord { return r.find(TaskName{e.Phase, e.Task}) }

func (r *Record) find(name TaskName) *TaskRecord {
	for _, t := range r.Tasks {
		if t.TaskName == name {
			return t
		}
	}
	return nil
}

func (r *Record) taskStart(e Event) {
	if e.Undo {
		r.forgetHosts(r.hosts, TaskName{e.Phase, e.Task})
	}
	if e.Handler || e.Undo {
		return
	}
	r.forgetHosts(r.unsaved, TaskName{e.Phase, e.Task})
	t := r.task(e)
	if t == nil {
		t = &TaskRecord{TaskName: TaskName{e.Phase, e.Task}}
		r.Tasks = append(r.Tasks, t)
	}
	t.Began, t.Begun, t.Undone, t.Status, t.Error = e.Time, true, false, "", ""
}

func (r *Record) taskEnd(e Event) {
	good := e.Status == module.OK || e.Status == module.Changed || e.Status == module.Skipped
	if e.Handler {
		if good {
			r.pending[e.Phase] = slices.DeleteFunc(r.pending[e.Phase], func(h string) bool { return h == e.Task })
		}
		return
	}
	t := r.task(e)
	if t == nil {
		return
	}
	if e.Saved != nil {
		r.Saved = e.Saved
	}
	if e.Undo {
		if good {
			r.undone(t)
		}
		return
	}
	t.Status, t.Took = e.Status, e.Took
	if e.Error != "" {
		t.Error = e.Error
	}
	t.Done = good && !e.OutOfOrder
	r.settleHosts(t.TaskName, good)
}

// undone takes back that a task is done, and with it all tasks after it: they were done on top of what is no more.
func (r *Record) undone(t *TaskRecord) {
	t.Undone, t.Begun = true, false
	delete(r.pending, t.Phase)
	from := slices.Index(r.Start.Plan, t.TaskName)
	if from < 0 {
		t.Done = false
		return
	}
	for _, name := range r.Start.Plan[from:] {
		if later := r.find(name); later != nil {
			later.Done = false
		}
	}
	r.Finished = false
}

func (r *Record) notify(phase string, handlers []string) {
	for _, h := range handlers {
		if !slices.Contains(r.pending[phase], h) {
			r.pending[phase] = append(r.pending[phase], h)
		}
	}
}

// Done says that a task is done and need not be run when the run goes on.
func (r *Record) Done(name TaskName) bool {
	t := r.find(name)
	return t != nil && t.Done
}

// passed says that the gate of a phase was passed: one of its tasks is done.
func (r *Record) passed(phase string) bool {
	return slices.ContainsFunc(r.Tasks, func(t *TaskRecord) bool { return t.Phase == phase && t.Done })
}

// Pending are the handlers that were notified in a phase and have not run yet. A step that never told its end, because the
// runner was killed, may have made its changes: its handlers are among them.
func (r *Record) Pending(phase string) []string {
	names := slices.Clone(r.pending[phase])
	for _, e := range r.planned {
		for _, name := range e.Notify {
			if e.Phase == phase && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Counts are the numbers of tasks done and of all tasks of the recipe.
func (r *Record) Counts() (done, all int) {
	for _, name := range r.Start.Plan {
		if r.Done(name) {
			done++
		}
	}
	return done, len(r.Start.Plan)
}

// State says in a word or two how the run stands: "finished", "failed", "stopped", "broken off", "undone", "not finished".
func (r *Record) State() string {
	s := r.session()
	switch {
	case s == nil:
		return "empty"
	case s.Ended.IsZero():
		return "broken off"
	case r.Finished:
		return "finished"
	case s.Status == module.Failed || s.Status == module.Unreachable || s.Status == Stopped:
		return string(s.Status)
	case s.Undo:
		return "undone"
	}
	return "not finished"
}
