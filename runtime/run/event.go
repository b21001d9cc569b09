package run

import (
	"time"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

// Kind says what an event is about.
type Kind string

// Events come in this nesting: run, phase, task, step, change. Each start has one end, also when it failed.
const (
	RunStart   Kind = "run_start"
	RunEnd     Kind = "run_end"
	PhaseStart Kind = "phase_start"
	PhaseEnd   Kind = "phase_end"
	GateAsked  Kind = "gate"   // Text is the question
	GateAnswer Kind = "answer" // Text is "yes", "no"; Note who or what answered ("--yes", "terminal")
	TaskStart  Kind = "task_start"
	TaskEnd    Kind = "task_end"
	StepStart  Kind = "step_start" // hosts are known, nothing was looked at yet
	StepPlan   Kind = "step_plan"  // Changes holds what would be done
	ChangeDone Kind = "change"     // one change was applied (or failed: Error)
	Kept       Kind = "kept"       // Original was kept before something is overwritten
	Progress   Kind = "progress"   // never in the journal
	StepEnd    Kind = "step_end"
	EachStart  Kind = "each_start" // each(hosts, fn) begins; Hosts are those that it takes
	Batch      Kind = "batch"      // of each with serial; Hosts are those of the batch
	HostEnd    Kind = "host_end"   // fn has ended for one host
	EachEnd    Kind = "each_end"   // Hosts are those that failed, Left those that were not begun
	Said       Kind = "say"        // Text is from the recipe
	Warned     Kind = "warning"    // Text is from the runner
)

// Event is one thing that happened in a run. The journal (JSON lines), --json and the terminal are three readers of
// the same events. Secrets are masked before anybody gets one.
type Event struct {
	Time    time.Time        `json:"time"`
	Kind    Kind             `json:"event"`
	Run     string           `json:"run,omitempty"` // id of the run, in every event of --json; in the journal only in run_start
	Recipe  string           `json:"recipe,omitempty"`
	Phase   string           `json:"phase,omitempty"`
	Task    string           `json:"task,omitempty"`
	Step    int              `json:"step,omitempty"` // number of the step in the run, from 1
	Module  string           `json:"module,omitempty"`
	Title   string           `json:"title,omitempty"` // what the step is called on the terminal
	Hosts   []string         `json:"hosts,omitempty"` // the step's hosts in the order of the module's arguments
	At      *recipe.Position `json:"at,omitempty"`
	Source  string           `json:"source,omitempty"` // the recipe's line at At, of events with an Error
	Check   bool             `json:"check,omitempty"`
	Undo    bool             `json:"undo,omitempty"`
	Status  module.Status    `json:"status,omitempty"` // of the *_end events
	Text    string           `json:"text,omitempty"`
	Note    string           `json:"note,omitempty"` // why there was nothing to do, or what was found
	Error   string           `json:"error,omitempty"`
	Hint    string           `json:"hint,omitempty"` // what to do next
	Changes []ChangeInfo     `json:"changes,omitempty"`
	Kept    *module.Original `json:"kept,omitempty"`
	Took    float64          `json:"took,omitempty"` // seconds, of the *_end events
	Counts  *Counts          `json:"counts,omitempty"`
	Saved   map[string]any   `json:"saved,omitempty"`  // the table `saved` of the recipe, at task_end
	Detail  map[string]any   `json:"detail,omitempty"` // of run_start: parameters, host versions, recipe hash …

	Progress *module.Progress `json:"progress,omitempty"`

	Stops  []string      `json:"stops,omitempty"`  // of step_plan: what its changes take from people, such as SMTP
	Starts []string      `json:"starts,omitempty"` // of step_plan: what they give back
	Table  *module.Table `json:"table,omitempty"`  // of step_plan: what was found

	Each       int          `json:"each,omitempty"`        // of each_start to each_end: which call of each it is in the task, from 1; none inside of another each
	Body       string       `json:"body,omitempty"`        // sum of the text of its function
	Done       bool         `json:"done,omitempty"`        // of host_end: the host is not taken again when the run goes on
	NeedsSaved bool         `json:"needs_saved,omitempty"` // of host_end: Done holds when the task ends, with what is in the table saved
	Result     any          `json:"result,omitempty"`      // of host_end that is Done: what the function returned
	Left       []string     `json:"left,omitempty"`        // of each_end
	PerHost    []HostResult `json:"per_host,omitempty"`    // of run_end

	Format     int      `json:"format,omitempty"`       // of run_start: version of this form of event; see EventFormat
	Handler    bool     `json:"handler,omitempty"`      // of task_start and task_end: Task is the name of a handler
	Notify     []string `json:"notify,omitempty"`       // of step_plan: handlers that its changes notify; of step_end: those that now wait for the end of the phase
	OutOfOrder bool     `json:"out_of_order,omitempty"` // of task_end: an earlier task was not done, so this one will be run again
	Finished   bool     `json:"finished,omitempty"`     // of run_end: every task of the recipe is done
}

// EventFormat is raised when an event changes in a way that a reader of an older form would take wrongly.
const EventFormat = 1

// Stopped is the result of a step, task, phase or run that the operator stopped.
const Stopped module.Status = "stopped"

// ChangeInfo is a change as it is told.
type ChangeInfo struct {
	Summary  string `json:"summary"`
	Before   string `json:"before,omitempty"`
	After    string `json:"after,omitempty"`
	Action   bool   `json:"action,omitempty"`
	Wait     bool   `json:"wait,omitempty"`
	Destroys bool   `json:"destroys,omitempty"`
}

// Counts of the steps of a phase or a run, by result.
type Counts struct {
	OK          int `json:"ok"`
	Changed     int `json:"changed"`
	Skipped     int `json:"skipped"`
	Failed      int `json:"failed"`
	Unreachable int `json:"unreachable"`
	Unknown     int `json:"unknown"`
}

// Reporter tells the operator what happens. Report is called from several goroutines and must not block for long.
type Reporter interface {
	Report(Event)
	// Close writes what is still to be written.
	Close() error
}
