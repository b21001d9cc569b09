package run

import (
	"context"
	"errors"
	"fmt"
)

// ErrGate is the error of a run that ended at a question: it was answered with no, or nobody was there to answer.
var ErrGate = errors.New("stopped at a gate")

// Operator is the person at the terminal.
type Operator interface {
	// Present says that there is somebody who can be asked.
	Present() bool
	// Confirm asks for a yes; anything else is a no. The question itself has been shown.
	Confirm(ctx context.Context) (bool, error)
}

// ask asks a question of the recipe; the event tells where it stands.
func (e *engine) ask(ctx context.Context, asked Event, question string) (bool, error) {
	e.asking.Lock()
	defer e.asking.Unlock()
	asked.Text = question
	e.tell.tell(asked)
	answer := asked
	answer.Kind, answer.Text = GateAnswer, "yes"
	if e.yes {
		answer.Note = "--yes"
		e.tell.tell(answer)
		return true, nil
	}
	if !e.operator.Present() {
		return false, &Failure{
			Err: fmt.Errorf("%w: %q was not answered, because there is no terminal", ErrGate, question), Code: ExitGate,
			Hint: "answer with: " + e.goOn + " --yes, or run it on a terminal",
		}
	}
	ctx, _, done := e.stop.begin(ctx)
	defer done()
	yes, err := e.operator.Confirm(ctx)
	if err != nil {
		if e.stop.asked() != nil {
			return false, ErrStopped
		}
		return false, &Failure{Err: fmt.Errorf("cannot read the answer to %q: %w", question, err), Code: ExitGate}
	}
	answer.Note = "terminal"
	if !yes {
		answer.Text = "no"
		e.tell.tell(answer)
		return false, &Failure{Err: fmt.Errorf("%w: the answer was no", ErrGate), Code: ExitGate, Hint: "when you are ready: " + e.goOn}
	}
	e.tell.tell(answer)
	return true, nil
}
