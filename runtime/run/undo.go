package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"runner/runtime/recipe"
)

// Undo goes back: it runs the undo bodies of the tasks of a run that began and were not undone yet, the last one first. It shows
// what that would change, asks, and does it. A task whose undo succeeded is marked in the journal, so that an undo that was
// broken off goes on where it was.
func Undo(ctx context.Context, o Options) error {
	tasks, lost := undoable(o.Record, o.Program.Phases())
	if len(tasks) == 0 {
		return usage("cannot undo run %s: no task that it ran has an undo left to do", o.Record.ID)
	}
	look := o
	look.Check = true
	look.Notes = undoNotes(o.Record, tasks, lost)
	if err := undoSession(ctx, look, tasks, nil); err != nil || o.Check {
		return err
	}
	o.Notes = fmt.Sprintf("Undoing run %s.", o.Record.ID)
	question := fmt.Sprintf("Undo %s as shown above?", plural(len(tasks), "task"))
	return undoSession(ctx, o, tasks, func(s *session) error {
		_, err := s.ask(ctx, s.event(GateAsked), question)
		return err
	})
}

func undoSession(ctx context.Context, o Options, tasks []*recipe.Task, before func(*session) error) (err error) {
	s, err := open(o, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.closeAll()) }()
	if before != nil {
		// Asked before anything is written: a no leaves the journal as it was.
		if err := before(s); err != nil {
			return err
		}
	}
	if err := s.start(o, true); err != nil {
		return err
	}
	return s.finish(s.guarded(func() error { return s.undoTasks(ctx, tasks) }))
}

func (s *session) undoTasks(ctx context.Context, tasks []*recipe.Task) error {
	for _, t := range tasks {
		s.enter(scope{phase: t.Phase, task: t.Name, undo: true})
		if err := s.body(func() (string, error) { return "", s.program.RunUndo(ctx, s.engine, t) }, &t.At, false); err != nil {
			return err
		}
	}
	return s.runHandlers(ctx, "")
}

// undoable lists the tasks that there is something to undo of, last first, and those that changed something and have no undo.
func undoable(r *Record, phases []*recipe.Phase) (tasks []*recipe.Task, lost []*TaskRecord) {
	begun := slices.Clone(r.Tasks)
	slices.SortStableFunc(begun, func(a, b *TaskRecord) int { return b.Began.Compare(a.Began) })
	for _, have := range begun {
		if !have.Begun {
			continue
		}
		t := findTask(phases, have.TaskName)
		switch {
		case t != nil && t.HasUndo:
			tasks = append(tasks, t)
		case have.Changes > 0:
			lost = append(lost, have)
		}
	}
	return tasks, lost
}

func findTask(phases []*recipe.Phase, name TaskName) *recipe.Task {
	for _, p := range phases {
		for _, t := range p.Tasks {
			if nameOf(t) == name {
				return t
			}
		}
	}
	return nil
}

func undoNotes(r *Record, tasks []*recipe.Task, lost []*TaskRecord) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Run %s: to be undone, in this order:\n", r.ID)
	for _, t := range tasks {
		fmt.Fprintf(&b, "  %s\n", t.Name)
	}
	if len(lost) > 0 {
		b.WriteString("These made changes and have no undo; they stay as they are:\n")
		for _, t := range lost {
			fmt.Fprintf(&b, "  %s\n", t.Task)
		}
	}
	if len(r.Kept) > 0 {
		b.WriteString("Kept before it was overwritten:\n")
		for _, k := range r.Kept {
			fmt.Fprintf(&b, "  %s\n", keptText(k.Host, k.Object, k.Value, k.Backup))
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func keptText(host, object, value, backup string) string {
	text := object
	if host != "" {
		text = host + ": " + text
	}
	switch {
	case backup != "":
		return text + " in " + backup
	case strings.HasPrefix(value, "(") && strings.HasSuffix(value, ")"):
		return text + " " + value // a word of the module, "(was not there)", and no value
	case value != "":
		return fmt.Sprintf("%s was %q", text, value)
	}
	return text
}

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
