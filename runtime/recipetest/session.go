package recipetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"runner/runtime/module"
	"runner/runtime/recipe"
	"runner/runtime/run"
)

// asked is what a test says of a run: run { phase = …, params = …, … }.
type asked struct {
	recipe  string
	choice  run.Choice
	params  map[string]any
	groups  map[string][]string
	answers map[string]any
	no      bool // every question is answered with no
	check   bool
	limit   string
	fails   string // the run must fail, with this text in its error
	failing bool
}

func (b *bench) read(c recipe.Called) (a asked, err error) {
	values, ok := table(c.Args)
	if !ok {
		return a, form(`run { phase = "…", params = { … }, answers = { … }, … }`)
	}
	r := reader{table: values}
	r.known("recipe", "phase", "from", "only", "params", "groups", "answers", "check", "limit", "fails")
	a.recipe, a.limit, a.check = r.text("recipe"), r.text("limit"), r.flag("check")
	a.choice = run.Choice{Phase: r.text("phase"), From: r.text("from"), Only: r.text("only")}
	a.params, a.groups = r.named("params"), map[string][]string{}
	for name, members := range r.named("groups") {
		if a.groups[name], err = texts(members); err != nil {
			r.fail("groups.%s: %v", name, err)
		}
	}
	switch v := values["answers"].(type) {
	case bool: // true is what they are without it
		a.no = !v
	default:
		a.answers = r.named("answers")
	}
	for question, answer := range a.answers {
		if _, ok := answer.(bool); !ok {
			r.fail("answers[%q] must be true or false, not %s", question, text(answer))
		}
	}
	switch v := values["fails"].(type) {
	case nil:
	case bool:
		a.failing = v
	default:
		a.fails, a.failing = r.text("fails"), true
	}
	if r.err != nil {
		return a, fmt.Errorf("cannot run the recipe like this: %w", r.err)
	}
	return a, nil
}

// session is a run of a recipe in a test, with all that was told of it.
type session struct {
	*bench
	asked
	source recipe.Source
	state  run.State
	result *result
}

// run is run { … }: it runs the recipe from the beginning and gives what came of it.
func (b *bench) run(ctx context.Context, c recipe.Called) (any, error) {
	a, err := b.read(c)
	if err != nil {
		return nil, err
	}
	name := a.recipe
	if name == "" {
		name = RecipeOf(b.suite.Source.Name)
	}
	source, err := b.suite.Recipe(name)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	b.runs++
	dir := filepath.Join(b.dir, strconv.Itoa(b.runs))
	b.mu.Unlock()
	s := &session{bench: b, asked: a, source: source, state: run.State{Dir: dir}}
	return s.work(ctx, nil, run.Run)
}

// again is result:resume { … } and result:undo { … }: what is not said is as in the run before.
func (s *session) again(ctx context.Context, c recipe.Called, how func(context.Context, run.Options) error) (any, error) {
	next := *s
	a, err := s.read(c)
	if err != nil {
		return nil, err
	}
	if a.params == nil {
		a.params = s.params
	}
	if len(a.groups) == 0 {
		a.groups = s.groups
	}
	next.asked = a
	record, err := s.state.Read("")
	if err != nil {
		return nil, fmt.Errorf("cannot go on with the run: %w", err)
	}
	return next.work(ctx, record, how)
}

func (s *session) work(ctx context.Context, record *run.Record, how func(context.Context, run.Options) error) (any, error) {
	mask := run.NewMasker()
	program, err := recipe.Load(ctx, s.source, recipe.Options{
		Modules: s.suite.Modules, Check: s.check, Version: s.suite.Version,
		Resolve: func(d recipe.Declaration) (recipe.Inputs, error) { return s.inputs(d, record) },
	})
	if err != nil {
		return nil, s.loadFailure(err)
	}
	defer program.Close()
	s.result = newResult(s, program)
	stop, ctx := run.NewStopper(ctx)
	var outside func(module.HostName) bool
	if s.limit != "" {
		if outside, err = run.Limit(s.limit, s.hostNames(program.Declaration()), s.groupNames()); err != nil {
			return nil, err
		}
	}
	err = how(ctx, run.Options{
		State: s.state, Program: program, Recipe: program.Declaration().Name, Start: run.Start{File: s.source.Name}, Record: record,
		Modules: s.suite.Modules, Hosts: s.bench, Mask: mask, Stop: stop, Operator: s, Reporters: []run.Reporter{s.result},
		Choice: s.choice, Outside: outside, Limit: s.limit, Check: s.check, Answers: s.gate, GoOn: "result:resume()",
		Instead: func(e run.Event, arguments map[string]any) func(context.Context) (*module.Plan, error) {
			s.result.began(e, arguments)
			return s.instead(e, arguments)
		},
	})
	if problem := s.settle(err); problem != nil {
		return nil, problem
	}
	return s.result.asObject(), nil
}

// settle compares how the run ended with what the test wants.
func (s *session) settle(err error) error {
	r := s.result
	r.saved = r.program.Saved()
	if err != nil && !errors.Is(err, run.ErrGate) && !errors.Is(err, run.ErrStopped) {
		r.failure = err
	}
	r.stopped = errors.Is(err, run.ErrGate)
	unanswered := ""
	if r.failure != nil {
		unanswered = s.unanswered(r.failureText())
	}
	switch {
	case unanswered != "":
		return fmt.Errorf("the run failed: %s\n%s", r.failureText(), unanswered)
	case r.failure != nil && !s.failing:
		return fmt.Errorf("the run failed: %s", r.failureText())
	case r.failure == nil && s.failing:
		return fmt.Errorf("the run did not fail%s", r.ranText())
	case s.fails != "" && !strings.Contains(r.failure.Error(), s.fails):
		return fmt.Errorf("the run failed in another way than %q: %s", s.fails, r.failureText())
	}
	for question := range s.answers {
		if !r.wasAsked(question) && r.failure == nil {
			var known []string
			for _, q := range r.questions {
				known = append(known, q.phase)
			}
			for _, p := range r.program.Phases() {
				if p.Name == question {
					return nil // a phase that was not come to
				}
			}
			return fmt.Errorf("nothing was asked that the answer %q is for%s", question, ofThese(question, known))
		}
	}
	return nil
}

// inputs give the recipe what it declares: fakes under its names, and the parameters of the test.
func (s *session) inputs(d recipe.Declaration, record *run.Record) (recipe.Inputs, error) {
	site := &recipe.Site{Hosts: map[string]recipe.SiteHost{}, Groups: s.groups, Params: s.params}
	for _, name := range slices.Sorted(maps.Keys(s.params)) {
		if _, err := d.Param(name); err != nil {
			return recipe.Inputs{}, err
		}
	}
	for _, h := range d.Hosts {
		if s.made(h.Name) || !h.Optional {
			site.Hosts[h.Name] = recipe.SiteHost{Name: h.Name}
		}
	}
	for _, members := range s.groups {
		for _, m := range members {
			site.Hosts[m] = recipe.SiteHost{Name: m}
		}
	}
	in, err := d.Inputs(site, nil)
	in.Check = s.check
	if record != nil {
		in.Saved = record.Saved
	}
	return in, err
}

// made says whether the test has made a fake host of that name.
func (s *session) made(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hosts[name] != nil
}

func (s *session) hostNames(d recipe.Declaration) (names []module.HostName) {
	for _, h := range d.Hosts {
		names = append(names, module.HostName(h.Name))
	}
	return names
}

func (s *session) groupNames() map[string][]module.HostName {
	all := map[string][]module.HostName{}
	for name, members := range s.groups {
		for _, m := range members {
			all[name] = append(all[name], module.HostName(m))
		}
	}
	return all
}

// loadFailure is the error of a recipe that could not be read, in the words of a test.
func (s *session) loadFailure(err error) error {
	var missing *recipe.MissingError
	if !errors.As(err, &missing) {
		return &recipe.Error{What: "cannot read the recipe: " + err.Error(), Err: errors.Unwrap(err)}
	}
	var parts []string
	for _, p := range missing.Params {
		parts = append(parts, fmt.Sprintf("params = { %s = … }", p.Name))
	}
	for _, g := range missing.Groups {
		parts = append(parts, fmt.Sprintf("groups = { %s = { … } }", g.Name))
	}
	return fmt.Errorf("cannot run the recipe without what it needs: run { %s }", strings.Join(parts, ", "))
}

// gate answers the question before a phase; see [run.Options].
func (s *session) gate(phase string) (*run.Answer, error) {
	return &run.Answer{Yes: s.answer(phase), From: "the test"}, nil
}

// Present implements [run.Operator]: the test answers.
func (s *session) Present() bool { return true }

// Confirm answers a question inside a task, or the one of undo.
func (s *session) Confirm(context.Context) (bool, error) { return s.answer(""), nil }

// answer is the test's answer to the last question: by the name of its phase, or by a part of its text. Without one it is yes.
func (s *session) answer(phase string) bool {
	if s.no {
		return false
	}
	question := s.result.lastQuestion()
	for _, key := range slices.Sorted(maps.Keys(s.answers)) {
		yes, _ := s.answers[key].(bool)
		if phase != "" && key == phase || question.text != "" && strings.Contains(question.text, key) {
			return yes
		}
	}
	return true
}
