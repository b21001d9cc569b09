package recipe

import (
	"fmt"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// spot says where a phase or a task stands among those that are there: { before = "name" }, { after = "name" }; of a task also
// { replace = true } and { remove = true }.
type spot struct{ before, after string }

func (s spot) name() string { return s.before + s.after }

func (f *fieldsReader) spot() spot {
	s := spot{before: f.text("before"), after: f.text("after")}
	if s.before != "" && s.after != "" {
		f.fail("before and after are both given; one of the two is too much")
	}
	return s
}

// index is where something stands that goes before or after the one at i.
func (s spot) index(i int) int {
	if s.after != "" {
		return i + 1
	}
	return i
}

// placePhase adds a phase, or goes on in the one of that name when the recipe extends another, which may then get another title and gate.
func (r *Recipe) placePhase(l *lua.LState, p *Phase, s spot) error {
	i := slices.IndexFunc(r.phases, func(other *Phase) bool { return other.Name == p.Name })
	switch {
	case i >= 0 && !r.extended:
		return fmt.Errorf("cannot begin the phase %q: there is one in %s already", p.Name, r.lineOf(l, r.phases[i].At))
	case i >= 0 && s.name() != "":
		return fmt.Errorf("cannot move the phase %q: it stays where %s has it", p.Name, r.phases[i].At)
	case i >= 0:
		old := r.phases[i]
		if p.Title != "" {
			old.Title = p.Title
		}
		if p.Asks() {
			old.Gate, old.gate, old.At = p.Gate, p.gate, p.At
		}
		r.phase = old
		return nil
	case s.name() == "" && r.extended:
		what := fmt.Sprintf("cannot find the phase %q in the recipe that is extended", p.Name)
		if near := module.Nearest(p.Name, r.phaseNames()); near != "" {
			what += fmt.Sprintf("; did you mean %q?", near)
		}
		return fmt.Errorf("%s (a new one says where it stands: phase(%q, { after = … }))", what, p.Name)
	}
	i = len(r.phases)
	if s.name() != "" {
		at := slices.IndexFunc(r.phases, func(other *Phase) bool { return other.Name == s.name() })
		if at < 0 {
			return noneOfThat("phase", s.name(), r.phaseNames())
		}
		i = s.index(at)
	}
	r.phases, r.phase = slices.Insert(r.phases, i, p), p
	return nil
}

func (r *Recipe) phaseNames() []string {
	var names []string
	for _, p := range r.phases {
		names = append(names, p.Name)
	}
	return names
}

func noneOfThat(what, name string, known []string) error {
	if near := module.Nearest(name, slices.Clone(known)); near != "" {
		return fmt.Errorf("cannot find the %s %q: the recipe has none of that name; did you mean %q?", what, name, near)
	}
	return fmt.Errorf("cannot find the %s %q: the recipe has none of that name; there are %s", what, name, strings.Join(known, ", "))
}

// findTask finds a task by its name, in the phase that was begun last or else in the only phase that has one.
func (r *Recipe) findTask(name string) (*Phase, int, error) {
	var (
		found *Phase
		at    int
		all   []string
		in    []string
	)
	for _, p := range r.phases {
		for i, t := range p.Tasks {
			all = append(all, t.Name)
			if t.Name != name {
				continue
			}
			if p == r.phase {
				return p, i, nil
			}
			found, at, in = p, i, append(in, p.Name)
		}
	}
	switch len(in) {
	case 0:
		return nil, 0, noneOfThat("task", name, all)
	case 1:
		return found, at, nil
	}
	return nil, 0, fmt.Errorf("cannot tell which task %q is meant: the phases %s have one; write phase %q before it", name, strings.Join(in, ", "), in[0])
}

// placeTask puts a task where it says, or at the end of the phase that was begun last.
func (r *Recipe) placeTask(l *lua.LState, t *Task, s spot) error {
	p := r.phase
	i := 0
	switch {
	case s.name() != "":
		found, at, err := r.findTask(s.name())
		if err != nil {
			return err
		}
		p, i = found, s.index(at)
	case p == nil && r.extended:
		return fmt.Errorf("cannot declare the task %q: it does not say where it stands; write phase \"name\" before it, or { before = \"task\" }, { after = \"task\" } or { replace = true }", t.Name)
	case p == nil:
		p = &Phase{Name: DefaultPhase, At: t.At}
		r.phases, r.phase = append(r.phases, p), p
	}
	if s.name() == "" {
		i = len(p.Tasks)
	}
	for _, other := range p.Tasks {
		if other.Name != t.Name {
			continue
		}
		hint := ""
		if r.extended {
			hint = "; { replace = true } puts this one in its place"
		}
		return fmt.Errorf("cannot declare the task %q: the phase %s has one of that name in %s already%s", t.Name, p.Name, r.lineOf(l, other.At), hint)
	}
	t.Phase = p.Name
	p.Tasks = slices.Insert(p.Tasks, i, t)
	return nil
}

// replaceTask puts a task in the place of the one of its name. What it does not say of undo and unless stays as it was.
func (r *Recipe) replaceTask(t *Task, o *lua.LTable) error {
	p, i, err := r.findTask(t.Name)
	if err != nil {
		return err
	}
	old := p.Tasks[i]
	if o.RawGetString("undo") == lua.LNil {
		t.undo, t.HasUndo = old.undo, old.HasUndo
	}
	if o.RawGetString("unless") == lua.LNil {
		t.unless = old.unless
	}
	t.Phase = p.Name
	p.Tasks[i] = t
	return nil
}

// removeTask takes a task away.
func (r *Recipe) removeTask(name string) error {
	p, i, err := r.findTask(name)
	if err != nil {
		return err
	}
	p.Tasks = slices.Delete(p.Tasks, i, i+1)
	return nil
}
