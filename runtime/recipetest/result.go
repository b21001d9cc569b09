package recipetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"runner/runtime/module"
	"runner/runtime/recipe"
	"runner/runtime/run"
)

// result is what came of a run, made of its events. It is a [run.Reporter].
type result struct {
	session *session
	program *recipe.Recipe
	names   []string // of tasks and handlers that the recipe has

	mu        sync.Mutex
	tasks     []*done // that ended, in their order
	steps     []*done
	questions []question
	said      []string
	warnings  []string
	failure   error // nil: it did not fail
	stopped   bool  // at a gate that was answered with no
	saved     map[string]any
	at        map[int]*done // steps at work
}

// done is a task or a step that ended.
type done struct {
	name    string // of a task, or the title of a step, else its module
	module  string // empty: a task
	task    string
	phase   string
	hosts   []string
	status  module.Status
	note    string
	failure string
	changes []string
	args    map[string]any
	handler bool
	undo    bool
}

type question struct {
	phase, text string
	yes         bool
}

func newResult(s *session, p *recipe.Recipe) *result {
	r := &result{session: s, program: p, at: map[int]*done{}, names: p.Handlers()}
	for _, phase := range p.Phases() {
		for _, t := range phase.Tasks {
			r.names = append(r.names, t.Name)
		}
	}
	return r
}

// Close implements [run.Reporter].
func (r *result) Close() error { return nil }

// Report keeps what an event says.
func (r *result) Report(e run.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case run.RunStart:
		// Undo looks first, in check mode, and then does it: the result is what was done.
		r.tasks, r.steps, r.said, r.warnings = nil, nil, nil, nil
		if e.Undo && e.Check != r.session.check {
			r.session.note("what undo would do:")
		}
	case run.GateAsked:
		r.questions = append(r.questions, question{phase: e.Phase, text: e.Text})
	case run.GateAnswer:
		r.questions[len(r.questions)-1].yes = e.Text == "yes"
	case run.Said:
		r.said = append(r.said, e.Text)
	case run.Warned:
		r.warnings = append(r.warnings, e.Text)
	case run.TaskStart:
		kind := "task "
		switch {
		case e.Handler:
			kind = "handler "
		case e.Undo:
			kind = "undo "
		}
		r.session.note(kind + strconv.Quote(e.Task))
	case run.TaskEnd:
		r.tasks = append(r.tasks, &done{name: e.Task, task: e.Task, phase: e.Phase, status: e.Status, note: e.Note, failure: e.Error, handler: e.Handler, undo: e.Undo})
		if e.Status == module.Skipped || e.Error != "" {
			r.session.note(fmt.Sprintf("  %-9s", e.Status) + because(e))
		}
	case run.StepEnd:
		d := r.at[e.Step]
		if d == nil {
			d = &done{}
		}
		d.name, d.module, d.task, d.phase, d.hosts, d.status, d.note, d.failure, d.undo = e.Title, e.Module, e.Task, e.Phase, e.Hosts, e.Status, e.Note, e.Error, e.Undo
		if d.name == "" {
			d.name = e.Module
		}
		for _, c := range e.Changes {
			d.changes = append(d.changes, c.Summary)
		}
		r.steps = append(r.steps, d)
		r.session.note(fmt.Sprintf("  %-9s %s: %s", e.Status, strings.Join(e.Hosts, ", "), strings.Join(append([]string{d.name}, d.changes...), "; ")) + because(e))
	}
}

func because(e run.Event) string {
	switch {
	case e.Error != "":
		return " (" + plainWords(e.Error) + ")"
	case e.Note != "":
		return " (" + e.Note + ")"
	}
	return ""
}

// plainWords takes out of an error which package has made it.
func plainWords(text string) string {
	return strings.NewReplacer("hosttest: nothing is declared on", "there is no answer on", "hosttest: ", "").Replace(text)
}

// began keeps the arguments of a step.
func (r *result) began(e run.Event, arguments map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	args, _ := plain(arguments).(map[string]any)
	r.at[e.Step] = &done{args: args}
}

func (r *result) lastQuestion() question {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.questions) == 0 {
		return question{}
	}
	return r.questions[len(r.questions)-1]
}

func (r *result) wasAsked(phaseOrText string) bool {
	return slices.ContainsFunc(r.questions, func(q question) bool { return q.phase == phaseOrText || strings.Contains(q.text, phaseOrText) })
}

// failureText is the error of the run with where it is in the recipe.
func (r *result) failureText() string {
	var f *run.Failure
	text := plainWords(r.failure.Error())
	if errors.As(r.failure, &f) && f.At != nil && f.At.File != "" {
		text += "\nat " + f.At.String()
		if source := strings.TrimSpace(f.Source); source != "" {
			text += ": " + source
		}
	}
	return text
}

// ranText lists the tasks that ended.
func (r *result) ranText() string {
	if len(r.tasks) == 0 {
		return "; no task ran"
	}
	list := make([]string, len(r.tasks))
	for i, t := range r.tasks {
		list[i] = fmt.Sprintf("%s (%s)", t.name, t.status)
	}
	return "; these tasks ran: " + strings.Join(list, ", ")
}

// find gives the tasks, or else the steps, of a name: a task, a handler, a title or a module. With a host, only those on it. None is an
// error that suggests a name.
func (r *result) find(name, host string) ([]*done, error) {
	var found []*done
	for _, t := range r.tasks {
		if t.name == name && (host == "" || r.stepped(t, host)) {
			found = append(found, t)
		}
	}
	if found != nil {
		return found, nil
	}
	if slices.Contains(r.names, name) {
		if host != "" && slices.ContainsFunc(r.tasks, func(t *done) bool { return t.name == name }) {
			return nil, fmt.Errorf("the task %q ran no step on %s", name, host)
		}
		return nil, fmt.Errorf("the task %q did not run%s", name, r.ranText())
	}
	return r.findSteps(name, host)
}

// stepped says whether a task had a step on a host.
func (r *result) stepped(t *done, host string) bool {
	return slices.ContainsFunc(r.steps, func(s *done) bool { return s.task == t.name && s.phase == t.phase && slices.Contains(s.hosts, host) })
}

func (r *result) findSteps(name, host string) ([]*done, error) {
	var found []*done
	var candidates, elsewhere []string
	for _, s := range r.steps {
		candidates = append(candidates, s.name, s.module)
		switch {
		case s.name != name && s.module != name:
		case host != "" && !slices.Contains(s.hosts, host):
			elsewhere = append(elsewhere, strings.Join(s.hosts, ", "))
		default:
			found = append(found, s)
		}
	}
	if found != nil {
		return found, nil
	}
	if elsewhere != nil {
		return nil, fmt.Errorf("%q did not run on %s but on %s", name, host, strings.Join(slices.Compact(elsewhere), ", "))
	}
	if r.isModule(name) {
		return nil, fmt.Errorf("no step of %s ran%s", name, r.ranText())
	}
	candidates = append(candidates, r.names...)
	for _, m := range r.session.suite.Modules {
		candidates = append(candidates, m.Name)
	}
	if near := module.Nearest(name, candidates); near != "" {
		return nil, fmt.Errorf("there is no task or step %q; did you mean %q?", name, near)
	}
	return nil, fmt.Errorf("there is no task %q, and no step with that title or module ran%s", name, r.ranText())
}

func (r *result) isModule(name string) bool {
	return slices.ContainsFunc(r.session.suite.Modules, func(m module.Module) bool { return m.Name == name })
}
