package run

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

// Options are all that a run needs.
type Options struct {
	State     State
	Program   Program
	Recipe    string  // name of the recipe
	Start     Start   // what the journal is to say of the run; the plan is filled in
	Record    *Record // the run to go on with; nil: a new one
	Modules   []module.Module
	Hosts     HostSource
	Mask      *Masker
	Stop      *Stopper
	Wheel     *Wheel // what second terminals steer the run with; nil: nothing
	Operator  Operator
	Reporters []Reporter

	Choice  Choice
	Outside func(module.HostName) bool // hosts that --limit leaves out; nil: none
	Limit   string
	Forks   int // steps at work at a time; 0: DefaultForks
	Check   bool
	Plan    *SavedPlan // check mode: the steps are entered here; nil: nowhere
	Expect  *SavedPlan // the steps must be those of this plan; nil: they need not
	Yes     bool
	Wait    bool                                // without a terminal, questions wait for `runner answer`
	Answers func(phase string) (*Answer, error) // to gates, from a file; looked at again while a question waits; nil: there are none
	Changed []string                            // what is not as when the run was begun: shown, and asked about before it goes on
	GoOn    string                              // command that goes on with the run, "runner resume"
	Notes   string                              // told at the start: what changed since the run was begun, and so on
	Now     func() time.Time

	// Instead is shown each step before it is run, as the event of its start with its arguments, and may give it another plan than its
	// module's; nil: the module's own. Tests of recipes stand in for modules with it.
	Instead func(start Event, arguments map[string]any) func(context.Context) (*module.Plan, error)
}

// DefaultForks is how many steps are at work at a time when nothing is said.
const DefaultForks = 10

// Run runs what is left of a recipe, or what was chosen of it. The error is a [*Failure], [ErrStopped] or an error of before the first step;
// [CodeOf] makes an exit code of it.
func Run(ctx context.Context, o Options) (err error) {
	return runExpecting(ctx, o, newExpectation(o.Expect))
}

func runExpecting(ctx context.Context, o Options, x *expectation) (err error) {
	s, err := open(o, false)
	if err != nil {
		return err
	}
	s.expected = x
	defer func() { err = errors.Join(err, s.closeAll()) }()
	parts, err := choose(o.Program.Phases(), s.record, o.Choice)
	if err != nil {
		return err
	}
	if len(o.Changed) > 0 && !s.check {
		// Asked before anything is written: a no leaves the journal as it was, and the next resume asks again.
		question := "Since the run was begun:\n  " + strings.Join(o.Changed, "\n  ") + "\nGo on with what is there now?"
		if _, err := s.ask(ctx, s.event(GateAsked), question); err != nil {
			return err
		}
	}
	if err := s.start(o, false); err != nil {
		return err
	}
	return s.finish(s.guarded(func() error {
		if err := s.runParts(ctx, parts); err != nil {
			return err
		}
		s.sayLeft()
		return nil
	}))
}

// sayLeft tells what of a saved plan the recipe did not come to.
func (s *session) sayLeft() {
	if s.expected == nil || s.check {
		return
	}
	for _, p := range s.expected.left() {
		if len(p.Changes) == 0 {
			continue
		}
		e := s.event(Warned)
		e.Text = fmt.Sprintf("planned and not come to: %s in the task %q: %s", p.name(), p.Task, p.does())
		s.tell.tell(e)
	}
}

// sayStop tells what a first wish to stop waits for, when it comes.
func (s *session) sayStop() (end func()) {
	said := make(chan struct{})
	unhook := context.AfterFunc(s.stop.soft, func() {
		defer close(said)
		list := s.stop.atHand()
		if len(list) == 0 {
			return
		}
		e := s.event(Warned)
		e.Text = "stopping; still to be finished: " + strings.Join(list, "; ")
		e.Hint = "Ctrl-C once more stops at once"
		s.tell.tell(e)
	})
	return func() {
		if !unhook() {
			<-said
		}
	}
}

// guarded turns a panic of the runner into an error: a journal that ends as it should is worth more than a stack on the screen.
func (s *session) guarded(work func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			bug := &bugError{value: p, stack: string(debug.Stack())}
			err = &Failure{Err: bug, Code: ExitFailed, Hint: bug.Hint(), Stack: bug.stack}
		}
	}()
	defer s.sayStop()()
	return work()
}

func open(o Options, undo bool) (*session, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Forks <= 0 {
		o.Forks = DefaultForks
	}
	if o.Outside == nil {
		o.Outside = func(module.HostName) bool { return false }
	}
	modules := map[string]module.Module{}
	for _, m := range o.Modules {
		modules[m.Name] = m
	}
	e := &engine{
		modules: modules, hosts: o.Hosts, stop: o.Stop, operator: o.Operator, handlers: o.Program.Handlers, outside: o.Outside, source: o.Program.Line,
		check: o.Check, making: o.Plan, yes: o.Yes, patient: o.Wait, answers: o.Answers, limit: o.Limit, goOn: o.GoOn, slots: make(chan struct{}, o.Forks),
		instead: o.Instead, byHost: hostTable{}, afresh: o.Choice.From != "" || o.Choice.Only != "",
		tell: &teller{mask: o.Mask, reporters: slices.Clone(o.Reporters), now: o.Now},
	}
	if o.Wheel != nil {
		e.wheel = o.Wheel
		e.tell.reporters = append(e.tell.reporters, o.Wheel)
	}
	e.tell.broken = func(err error) { e.stop.Stop(err) }
	s := &session{engine: e, program: o.Program, record: o.Record, began: o.Now(), undo: undo}
	if s.record == nil {
		s.record = newRecord("", nil)
	}
	e.steps = s.record.steps
	e.hostsDone = func(k workKey) map[string]hostDone { return s.record.hosts[k] }
	return s, nil
}

// start opens the journal and tells the first event.
func (s *session) start(o Options, undo bool) error {
	start := o.Start
	start.Plan, start.Resumed = planOf(o.Program.Phases()), o.Record != nil
	s.record.Start.Plan = start.Plan
	if !s.check {
		if err := s.openJournal(o); err != nil {
			return err
		}
	}
	e := Event{Kind: RunStart, Format: EventFormat, Recipe: o.Recipe, Run: s.tell.run, Check: s.check, Undo: undo, Text: o.Notes, Detail: start.detail()}
	s.note(e)
	return nil
}

func (s *session) openJournal(o Options) (err error) {
	if o.Record == nil {
		s.tell.journal, err = o.State.create(s.began)
	} else {
		s.tell.journal, err = o.State.appendTo(o.Record.ID)
	}
	if err != nil {
		return err
	}
	s.tell.run = s.tell.journal.id
	log, err := openLog(o.State.Log(s.tell.run), s.tell.now)
	if err != nil {
		return err
	}
	s.tell.reporters = append(s.tell.reporters, log)
	s.log = log
	return nil
}

func (s *session) closeAll() (err error) {
	if s.log != nil {
		err = s.log.Close()
	}
	if s.tell.journal != nil {
		err = errors.Join(err, s.tell.journal.Close())
	}
	return err
}

// finish tells how the run ended and how to go on.
func (s *session) finish(err error) error {
	s.enter(scope{})
	counts := s.tally()
	e := Event{Kind: RunEnd, Check: s.check, Undo: s.undo, Counts: &counts, Took: s.tell.now().Sub(s.began).Seconds(), Status: statusOf(err, counts)}
	e.PerHost = s.hostResults()
	e.Finished = err == nil && !s.check && s.complete()
	var f *Failure
	errors.As(err, &f)
	switch {
	case errors.Is(err, ErrStopped):
		cause := s.stop.asked()
		if cause == nil {
			cause = err
		}
		e.Text = sentence(cause.Error()) + s.standing()
		e.Hint = "go on with: " + s.goOn
		if !errors.Is(cause, ErrStopped) {
			err = &Failure{Err: cause, Code: ExitFailed, Hint: e.Hint, told: true}
		} else {
			err = &Failure{Err: err, Code: ExitStopped, told: true}
		}
	case errors.Is(err, ErrGate):
		e.Text = sentence(err.Error()) + s.standing()
		if f != nil {
			e.Hint, f.told = f.Hint, true
		}
	case err != nil:
		if f != nil && !f.told {
			e.Error, e.Hint, e.Source, e.At = f.Error(), f.Hint, f.Source, f.At
			f.told = true
		}
		e.Text = strings.TrimSpace(s.standing())
		if !s.check && e.Hint == "" {
			e.Hint = "when the cause is gone, go on with: " + s.goOn
		}
	case s.check:
		e.Text = "Nothing was changed."
	case s.undo:
		e.Text = "Undone."
	case e.Finished:
		e.Text = "All tasks are done."
	default:
		e.Text = strings.TrimSpace(s.standing())
		e.Hint = "go on with: " + s.goOn
	}
	s.note(e)
	return err
}

func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// complete says that every task of the recipe is done and no handler waits.
func (s *session) complete() bool {
	for _, name := range s.record.Start.Plan {
		if !s.record.Done(name) {
			return false
		}
	}
	return true
}

// standing says where the run stands, with a space before it.
func (s *session) standing() string {
	if s.check {
		return ""
	}
	done, all := s.record.Counts()
	text := fmt.Sprintf(" %d of %d tasks are done", done, all)
	for _, name := range s.record.Start.Plan {
		if !s.record.Done(name) {
			return text + fmt.Sprintf("; next is %q in the phase %s.", name.Task, name.Phase)
		}
	}
	return text + "."
}

// recipeFailure is an error of the recipe's own Lua.
func (s *session) recipeFailure(err error) *Failure {
	f := &Failure{Err: err, Code: CodeOf(err), Hint: hintOf(err)}
	var wrong *recipe.Error
	if errors.As(err, &wrong) && wrong.At.File != "" {
		f.Err, f.At, f.Source, f.Stack = wrong.Bare(), &wrong.At, wrong.Line, wrong.Trace
	}
	var bug *recipe.PanicError
	if errors.As(err, &bug) {
		f.Code, f.Stack = ExitFailed, bug.Stack
		f.Hint = (&bugError{}).Hint()
	}
	return f
}

var _ recipe.Engine = (*engine)(nil)
