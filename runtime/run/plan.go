package run

import (
	"fmt"
	"slices"
	"strings"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

// Choice says which tasks of a recipe are to be run. All empty: those that are not done.
type Choice struct {
	Phase string // only this phase
	From  string // this task and all after it, done or not
	Only  string // this task and no other, done or not
}

// part is a phase with those of its tasks that are to be run.
type part struct {
	phase *recipe.Phase
	tasks []*recipe.Task
	gate  bool // the question before the phase is to be asked
}

// choose makes the list of what is to be run. The record is nil for a new run.
func choose(phases []*recipe.Phase, r *Record, c Choice) ([]part, error) {
	if r == nil {
		r = newRecord("", nil)
	}
	if err := c.check(phases); err != nil {
		return nil, err
	}
	var parts []part
	reached := c.From == ""
	for _, p := range phases {
		if c.Phase != "" && p.Name != c.Phase {
			continue
		}
		open := slices.ContainsFunc(p.Tasks, func(t *recipe.Task) bool { return !r.Done(nameOf(t)) })
		next := part{phase: p, gate: p.Asks() && (!open || !r.passed(p.Name))}
		for _, t := range p.Tasks {
			reached = reached || t.Name == c.From
			switch {
			case !reached, c.Only != "" && t.Name != c.Only:
			case c.From != "", c.Only != "", !r.Done(nameOf(t)):
				next.tasks = append(next.tasks, t)
			case c.Phase != "" && !open:
				// The phase is done and was asked for by name: it is run again.
				next.tasks = append(next.tasks, t)
			}
		}
		if len(next.tasks) > 0 || c.Only == "" && c.From == "" && len(r.Pending(p.Name)) > 0 {
			parts = append(parts, next)
		}
	}
	return parts, nil
}

func (c Choice) check(phases []*recipe.Phase) error {
	if c.From != "" && c.Only != "" {
		return usage("cannot use --from and --only together: --only runs one task, --from a task and all after it")
	}
	var names, tasks []string
	for _, p := range phases {
		names = append(names, p.Name)
		if c.Phase == "" || c.Phase == p.Name {
			for _, t := range p.Tasks {
				tasks = append(tasks, t.Name)
			}
		}
	}
	if c.Phase != "" && !slices.Contains(names, c.Phase) {
		return unknownName("phase", c.Phase, names, "")
	}
	for _, task := range []string{c.From, c.Only} {
		if task != "" && !slices.Contains(tasks, task) {
			where := ""
			if c.Phase != "" {
				where = fmt.Sprintf(" in the phase %q", c.Phase)
			}
			return unknownName("task", task, tasks, where)
		}
		if twice(tasks, task) {
			return usage("cannot choose the task %q: several phases have one of that name; add --phase NAME", task)
		}
	}
	return nil
}

func twice(names []string, name string) bool {
	n := 0
	for _, have := range names {
		if name != "" && have == name {
			n++
		}
	}
	return n > 1
}

func unknownName(kind, name string, known []string, where string) error {
	if near := module.Nearest(name, slices.Clone(known)); near != "" {
		return usage("cannot find the %s %q%s; did you mean %q?", kind, name, where, near)
	}
	if len(known) > 12 {
		return usage("cannot find the %s %q%s; --list shows all", kind, name, where)
	}
	quoted := make([]string, len(known))
	for i, k := range known {
		quoted[i] = fmt.Sprintf("%q", k)
	}
	return usage("cannot find the %s %q%s; there are %s", kind, name, where, strings.Join(quoted, ", "))
}

// usage is an error in how the command was called.
func usage(format string, args ...any) error {
	return &Failure{Err: fmt.Errorf(format, args...), Code: ExitRecipe}
}

func nameOf(t *recipe.Task) TaskName { return TaskName{t.Phase, t.Name} }

func planOf(phases []*recipe.Phase) []TaskName {
	var plan []TaskName
	for _, p := range phases {
		for _, t := range p.Tasks {
			plan = append(plan, nameOf(t))
		}
	}
	return plan
}
