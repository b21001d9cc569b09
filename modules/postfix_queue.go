package modules

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"runner/modules/internal/postfix"
	"runner/runtime/host"
	"runner/runtime/module"
)

// postfixQueueArgs is the queue of a host's Postfix. Nothing is changed. It works with every version, also while Postfix is stopped.
//
// # Example
//
//	local queue = postfix.queue { on = old }
//	if queue.messages > 0 then say(queue.messages .. " mails wait, such as for: " .. (queue.reasons[1] or {}).text) end
//
// # Result
//
//   - messages (integer): mails in the queue
//   - bytes (integer): their size
//   - active (integer): those of them that are being delivered
//   - waiting (integer): those that wait for a later try
//   - hold (integer): those that somebody has put on hold
//   - maildrop (integer): mails of programs of the host that were not looked at yet; not among messages
//   - reasons (list of table): why mails wait, the most frequent first: text, recipients (how many), example (one of them)
type postfixQueueArgs struct {
	// Host whose Postfix it is.
	On *host.View `lua:"on,required"`
	// How many reasons are told at most.
	Reasons int `lua:"reasons" default:"20"`
}

// Validate checks what the types of the arguments cannot.
func (a *postfixQueueArgs) Validate() error {
	if a.Reasons < 0 {
		return fmt.Errorf("reasons must not be negative, not %d", a.Reasons)
	}
	return nil
}

// postfixList lists the queue. It needs no root for that, and tells on stderr that Postfix does not run.
const postfixList = sbinPath + `
command -v postqueue >/dev/null || { echo absent; exit 0; }
spool=$(postconf -h queue_directory 2>/dev/null)
echo "maildrop $(find "$spool/maildrop" -type f 2>/dev/null | wc -l)"
postqueue -p`

func readQueue(ctx context.Context, v *host.View) (q postfix.Queue, maildrop int, err error) {
	out, err := v.QueryScript(ctx, postfixList)
	if err != nil {
		var exit *host.ExitError
		if errors.As(err, &exit) {
			err = postfixError(err)
		}
		return q, 0, fmt.Errorf("cannot list the queue of Postfix on %s: %w", v.Name(), err)
	}
	first, rest, _ := strings.Cut(out.Stdout, "\n")
	if first == "absent" {
		return q, 0, module.Absent(fmt.Errorf("cannot find postqueue on %s: Postfix is not installed there", v.Name()))
	}
	if _, err := fmt.Sscanf(first, "maildrop %d", &maildrop); err != nil {
		return q, 0, fmt.Errorf("cannot list the queue of Postfix on %s: it says %q", v.Name(), first)
	}
	return postfix.ParseQueue(rest), maildrop, nil
}

func planPostfixQueue(ctx context.Context, a *postfixQueueArgs) (*module.Plan, error) {
	q, maildrop, err := readQueue(ctx, a.On)
	if err != nil {
		return nil, err
	}
	reasons := []any{}
	for i, r := range q.Reasons {
		if i < a.Reasons {
			reasons = append(reasons, map[string]any{"text": r.Text, "recipients": r.Recipients, "example": r.Example})
		}
	}
	note := "the queue is empty"
	if q.Messages > 0 {
		note = fmt.Sprintf("%s: %d under way, %d waiting, %d on hold", countOf(q.Messages, "mail"), q.Active, q.Waiting, q.Hold)
	}
	return &module.Plan{Note: note, Output: map[string]any{
		"messages": q.Messages, "bytes": q.Bytes, "active": q.Active, "waiting": q.Waiting, "hold": q.Hold, "maildrop": maildrop, "reasons": reasons,
	}}, nil
}

// postfixFlushArgs is a queue that is to be tried now and not later.
//
// # Example
//
//	postfix.flush { on = old, wait = "2m" }
//
// # Result
//
//   - messages (integer): mails that are in the queue
//   - left (integer): mails that are still in it after wait
type postfixFlushArgs struct {
	// Host whose Postfix it is.
	On *host.View `lua:"on,required"`
	// How long to wait until every mail was tried. 0: do not wait.
	Wait time.Duration `lua:"wait" default:"0s"`
}

func planPostfixFlush(ctx context.Context, a *postfixFlushArgs) (*module.Plan, error) {
	q, _, err := readQueue(ctx, a.On)
	if err != nil {
		return nil, err
	}
	tried := q.Waiting + q.Active
	plan := &module.Plan{Output: map[string]any{"messages": q.Messages}}
	if tried == 0 {
		plan.Note = "there is nothing to deliver"
		return plan, nil
	}
	plan.Changes = []module.Change{{
		Summary: "try to deliver " + countOf(tried, "mail"), Action: true,
		Apply: func(ctx context.Context, do *module.Apply) error {
			if _, err := do.Host(a.On).RunCommand(ctx, host.Script(postfixRun, "postqueue", "-f")); err != nil {
				return fmt.Errorf("cannot flush the queue of Postfix on %s: %w", a.On.Name(), postfixError(err))
			}
			return a.waitTried(ctx, do)
		},
	}}
	return plan, nil
}

// waitTried waits until no mail is being delivered any more. The queue manager takes up to a second to begin.
func (a *postfixFlushArgs) waitTried(ctx context.Context, do *module.Apply) error {
	if a.Wait == 0 {
		return nil
	}
	deadline := time.Now().Add(a.Wait)
	for quiet := 0; ; {
		if err := sleep(ctx, min(time.Second, max(time.Until(deadline), 0))); err != nil {
			return err
		}
		q, _, err := readQueue(ctx, a.On)
		if err != nil {
			return err
		}
		do.Output("left", q.Messages)
		if q.Active > 0 {
			quiet = 0
		} else {
			quiet++
		}
		if q.Messages == q.Hold || quiet == 2 || !time.Now().Before(deadline) {
			return nil
		}
		do.Progress(module.Progress{Label: "deliveries under way", Total: int64(q.Active), Unit: "mails"})
	}
}
