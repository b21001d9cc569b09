package run

import (
	"context"

	"runner/runtime/recipe"
)

// Program is a recipe that was read: what of it a run needs.
type Program interface {
	// Phases in the order of the recipe, each with its tasks.
	Phases() []*recipe.Phase
	// Handlers are the names of the handlers in the order of the recipe.
	Handlers() []string
	// Question is what is asked before a phase, for one that asks.
	Question(ctx context.Context, p *recipe.Phase) (string, error)
	// RunTask runs the body of a task. A task whose `unless` says that there is nothing to do is not run; skipped then says why.
	RunTask(ctx context.Context, e recipe.Engine, t *recipe.Task) (skipped string, err error)
	// RunUndo runs the undo body of a task.
	RunUndo(ctx context.Context, e recipe.Engine, t *recipe.Task) error
	// RunHandler runs the body of a handler.
	RunHandler(ctx context.Context, e recipe.Engine, name string) error
	// Saved is the content of the table `saved`.
	Saved() map[string]any
	// Line is a line of the recipe's text, for messages; empty when there is none.
	Line(at recipe.Position) string
}
