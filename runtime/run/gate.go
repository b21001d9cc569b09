package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
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
	other, end := e.wheel.waiting() // before the question is told: who reads of it may answer at once
	defer end()
	e.tell.tell(asked)
	answer := asked
	answer.Kind, answer.Text = GateAnswer, "yes"
	if e.yes {
		answer.Note = "--yes"
		e.tell.tell(answer)
		return true, nil
	}
	ctx, _, done := e.stop.begin(ctx)
	defer done()
	given, err := e.await(ctx, asked, other)
	if err != nil {
		if e.stop.asked() != nil {
			return false, ErrStopped
		}
		var f *Failure
		if errors.As(err, &f) {
			return false, err
		}
		return false, &Failure{Err: fmt.Errorf("cannot read the answer to %q: %w", question, err), Code: ExitGate}
	}
	answer.Note = given.From
	if !given.Yes {
		answer.Text = "no"
		e.tell.tell(answer)
		return false, &Failure{Err: fmt.Errorf("%w: the answer was no", ErrGate), Code: ExitGate, Hint: "when you are ready: " + e.goOn}
	}
	e.tell.tell(answer)
	return true, nil
}

// Answer is what somebody says to a question.
type Answer struct {
	Yes  bool
	From string // who or what: "terminal", "runner answer, by root", "gates.txt:3"
}

// await waits for the first answer: from the file of answers, from a second terminal, or from the operator at this one.
func (e *engine) await(ctx context.Context, asked Event, other <-chan Answer) (Answer, error) {
	if a, err := e.answered(asked); err != nil || a != nil {
		return deref(a), err
	}
	present := e.operator.Present()
	if !present && !e.patient {
		return Answer{}, &Failure{
			Err: fmt.Errorf("%w: %q was not answered, because there is no terminal", ErrGate, lastLine(asked.Text)), Code: ExitGate,
			Hint: "answer with: " + e.goOn + " --yes, or run it on a terminal; with --wait a run waits for runner answer",
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait() // the terminal is free again when the answer came from elsewhere
	defer cancel()
	type reply struct {
		Answer
		err error
	}
	replies := make(chan reply, 2)
	if present {
		all.Go(func() {
			yes, err := e.operator.Confirm(ctx)
			replies <- reply{Answer{yes, "terminal"}, err}
		})
	}
	look := time.NewTicker(answersEvery)
	defer look.Stop()
	for {
		select {
		case r := <-replies:
			return r.Answer, r.err
		case a := <-other:
			return a, nil
		case <-look.C:
			if a, err := e.answered(asked); err != nil || a != nil {
				return deref(a), err
			}
		case <-ctx.Done():
			return Answer{}, context.Cause(ctx)
		}
	}
}

// lastLine is the question itself where a text goes before it.
func lastLine(text string) string { return text[strings.LastIndexByte(text, '\n')+1:] }

// answersEvery is how often the file of answers is looked at while a question waits.
const answersEvery = time.Second

func deref(a *Answer) Answer {
	if a == nil {
		return Answer{}
	}
	return *a
}

// answered is what the file of answers says to the gate of a phase; nil: nothing. Questions inside tasks are not in it.
func (e *engine) answered(asked Event) (*Answer, error) {
	if e.answers == nil || asked.Task != "" {
		return nil, nil
	}
	return e.answers(asked.Phase)
}
