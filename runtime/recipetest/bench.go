package recipetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"runner/runtime/host"
	"runner/runtime/host/hosttest"
	"runner/runtime/module"
	"runner/runtime/recipe"
)

// bench is what one test works with: its hosts, what stands in for modules, and what came of it.
type bench struct {
	suite *suite
	dir   string // of journals

	mu    sync.Mutex
	hosts map[string]*fake
	stubs []*stub
	known map[string]bool // titles of steps that were run
	notes []string
	runs  int
}

func newBench(s *suite, dir string) *bench {
	return &bench{suite: s, dir: dir, hosts: map[string]*fake{}, known: map[string]bool{}}
}

func (b *bench) note(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notes = append(b.notes, text)
}

// fake is a host of a test.
type fake struct {
	*hosttest.Fake
	name   string
	down   string // why it cannot be reached; empty: it can
	object *recipe.Object

	mu       sync.Mutex
	services map[string]*service // by the name of their unit
}

// get is the fake of a name; one that the test has not made is made when a run needs it.
func (b *bench) get(name string) *fake {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.hosts[name]; h != nil {
		return h
	}
	return b.add(name, hosttest.New(name))
}

// add makes the fake known; the bench is locked.
func (b *bench) add(name string, f *hosttest.Fake) *fake {
	h := &fake{Fake: f, name: name, services: map[string]*service{}}
	for short, text := range b.suite.Scripts {
		f.Script(short, text)
	}
	h.behave()
	h.object = h.asObject()
	b.hosts[name] = h
	return h
}

// Open implements [run.HostSource].
func (b *bench) Open(_ context.Context, name module.HostName, _ *bool) (*host.Host, error) {
	h := b.get(string(name))
	if h.down != "" {
		return nil, &host.UnreachableError{Host: h.name, Err: fmt.Errorf("%s", h.down)}
	}
	return h.Host(), nil
}

// loose is what was left undone in a test that passed: commands that no fake answered, and stubs that nothing used and whose names
// are like that of something.
func (b *bench) loose() string {
	if text := b.unanswered(""); text != "" {
		return text
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.stubs {
		if s.used || s.general() || b.known[s.name] { // one that a later stub goes before is of no use, and no mistake
			continue
		}
		candidates := slices.Collect(maps.Keys(b.known))
		for _, m := range b.suite.Modules {
			if m.Name == s.name {
				candidates = nil
				break
			}
			candidates = append(candidates, m.Name)
		}
		if near := module.Nearest(s.name, candidates); near != "" {
			return fmt.Sprintf("the stub %q (line %d) stood in for no step; did you mean %q?", s.name, s.at.Line, near)
		}
	}
	return ""
}

// unanswered tells the commands that nothing was declared for, and what to do; those that a text has told are not told again.
func (b *bench) unanswered(told string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	some := false
	for _, name := range slices.Sorted(maps.Keys(b.hosts)) {
		for _, command := range b.hosts[name].Undeclared() {
			if !strings.Contains(told, command) {
				lines = append(lines, fmt.Sprintf("the fake host %s has no answer to: %s", name, command))
			}
			some = true
		}
	}
	if !some {
		return ""
	}
	return strings.Join(append(lines, ""), "\n") + `give it one, HOST:answer("command", "what it prints"), or let a stub stand in for the step`
}
