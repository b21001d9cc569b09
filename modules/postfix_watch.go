package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"runner/modules/internal/postfix"
	"runner/runtime/host"
	"runner/runtime/module"
)

// postfixWatchArgs is a Postfix that is looked at for a while. Nothing is changed.
//
// The log is read from its end on; when it is rotated, the new file is read from its beginning. It ends as soon as nothing happened for the time of quiet, or when the
// time is over; an old server is done when no more mail comes to it.
//
// # Example
//
//	local seen = postfix.watch { on = old, time = "30m", quiet = "5m" }
//	if not seen.quiet then say("mail still reaches the old server: " .. seen.received) end
//
// # Result
//
//   - quiet (boolean): whether it ended because nothing happened any more
//   - seconds (integer): how long it was looked at
//   - received (integer): mails taken
//   - rejected (integer): mails refused
//   - sent (integer): deliveries made
//   - deferred (integer): deliveries that failed and will be tried again
//   - bounced (integer): deliveries given up
//   - relays (table of integer): deliveries made, by where they went ("dovecot", "mail-new.example.org")
//   - queue (integer): mails in the queue at the end
//   - last (string): the last line of the log about a mail
type postfixWatchArgs struct {
	// Host whose Postfix it is.
	On *host.View `lua:"on,required"`
	// How long to look at most.
	Time time.Duration `lua:"time" default:"10m"`
	// How long nothing may have happened to end before.
	Quiet time.Duration `lua:"quiet" default:"2m"`
	// File of the log.
	Log string `lua:"log" default:"/var/log/mail.log"`
	// Time between two looks.
	Interval time.Duration `lua:"interval" default:"5s"`
}

// Validate checks what the types of the arguments cannot.
func (a *postfixWatchArgs) Validate() error {
	if !path.IsAbs(a.Log) {
		return errors.New("log must be a whole path, such as /var/log/mail.log")
	}
	if a.Interval < 50*time.Millisecond {
		return fmt.Errorf("interval must be at least 50ms, not %s", a.Interval)
	}
	return nil
}

// logTail prints the number of a file and its size, then what it holds behind a place. A file of another number is read from its beginning,
// and so is one that has become shorter. At most 4 MiB at once; a line that is not whole yet is left to the reader.
const logTail = `set -- "$1" "$2" "$3" $(stat -L -c '%i %s' "$1") || exit
[ $# = 5 ] || exit 1
from=$3
[ "$2" = "$4" ] || [ "$2" = 0 ] || from=1
[ "$5" -ge $((from - 1)) ] || from=1
echo "$4 $5 $from"
[ "$3" = 0 ] || tail -c "+$from" "$1" | head -c 4194304`

// logReader goes on in a log where it stopped.
type logReader struct {
	view  *host.View
	path  string
	inode string
	next  int64 // of the byte to read next, from 1; 0: begin at the end
}

func (l *logReader) read(ctx context.Context) (string, error) {
	inode := l.inode
	if inode == "" {
		inode = "0"
	}
	out, err := l.view.QueryScript(ctx, logTail, l.path, inode, strconv.FormatInt(l.next, 10))
	if err != nil {
		return "", err
	}
	first, text, _ := strings.Cut(out.Stdout, "\n")
	var size, from int64
	if _, err := fmt.Sscanf(first, "%s %d %d", &l.inode, &size, &from); err != nil {
		return "", fmt.Errorf("it says %q", first)
	}
	if l.next == 0 {
		l.next = size + 1
		return "", nil
	}
	text = text[:strings.LastIndexByte(text, '\n')+1]
	l.next = from + int64(len(text))
	return text, nil
}

func planPostfixWatch(ctx context.Context, a *postfixWatchArgs) (*module.Plan, error) {
	q, _, err := readQueue(ctx, a.On)
	if err != nil {
		return nil, err
	}
	if _, err := a.On.Stat(ctx, a.Log); err != nil {
		err = fmt.Errorf("cannot read the log %s on %s: %w", a.Log, a.On.Name(), why(err))
		if errors.Is(err, fs.ErrNotExist) {
			err = module.WithHint(err, "on a host that logs to the journal alone, install rsyslog or name another file with log")
		}
		return nil, err
	}
	return &module.Plan{Moving: true, Output: map[string]any{"queue": q.Messages}, Changes: []module.Change{{
		Summary: fmt.Sprintf("look at Postfix for at most %s, until nothing happened for %s", module.FormatDuration(a.Time), module.FormatDuration(a.Quiet)), Wait: true, Action: true,
		Apply: func(ctx context.Context, do *module.Apply) error { return a.watch(ctx, do) },
	}}}, nil
}

func (a *postfixWatchArgs) watch(ctx context.Context, do *module.Apply) error {
	log, seen := &logReader{view: a.On, path: a.Log}, &postfix.Traffic{}
	start := time.Now()
	last := start
	for {
		text, err := log.read(ctx)
		if err != nil {
			return fmt.Errorf("cannot read the log %s on %s: %w", a.Log, a.On.Name(), why(err))
		}
		before := seen.Events()
		seen.Add(text)
		q, _, err := readQueue(ctx, a.On)
		if err != nil {
			return err
		}
		now := time.Now()
		if seen.Events() > before || q.Active > 0 {
			last = now
		}
		quiet := now.Sub(last) >= a.Quiet
		watchOutput(do, seen, q, quiet, now.Sub(start))
		if quiet || now.Sub(start) >= a.Time {
			return nil
		}
		do.Progress(module.Progress{Label: watchLine(seen, q, now.Sub(last))})
		if err := sleep(ctx, min(a.Interval, a.Time-now.Sub(start))); err != nil {
			return err
		}
	}
}

func watchLine(t *postfix.Traffic, q postfix.Queue, idle time.Duration) string {
	var to []string
	for _, name := range t.RelayNames() {
		to = append(to, fmt.Sprintf("%d to %s", t.Relays[name], name))
	}
	line := fmt.Sprintf("%d taken, %d sent", t.Received, t.Status["sent"])
	if len(to) > 0 {
		line += " (" + strings.Join(to, ", ") + ")"
	}
	return fmt.Sprintf("%s, %d deferred, %d bounced, %d in the queue, quiet for %s", line, t.Status["deferred"], t.Status["bounced"], q.Messages, idle.Round(time.Second))
}

func watchOutput(do *module.Apply, t *postfix.Traffic, q postfix.Queue, quiet bool, length time.Duration) {
	relays := map[string]any{}
	for name, n := range t.Relays {
		relays[name] = n
	}
	for name, value := range map[string]any{
		"quiet": quiet, "seconds": int64(length.Seconds()), "received": t.Received, "rejected": t.Rejected, "sent": t.Status["sent"],
		"deferred": t.Status["deferred"], "bounced": t.Status["bounced"], "relays": relays, "queue": q.Messages, "last": t.Last,
	} {
		do.Output(name, value)
	}
}
