package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// shell is a /bin/sh on the host that is fed one command after the other.
type shell struct {
	*channel
	level    *level
	out, err tape
	group    int // process group of the last command that had one of its own
}

func newShell(ctx context.Context, l *level) (*shell, error) {
	c, err := l.launch(ctx, "exec "+Quote(l.sh), 0)
	if err != nil {
		return nil, err
	}
	return &shell{channel: c, level: l, out: tape{r: c.out}, err: tape{r: c.err}}, nil
}

func (s *shell) dead() bool { return lost(s.conn) }

// quit lets the shell end by itself, so that its place on the server is free when quit returns.
func (s *shell) quit() {
	s.proc.Stdin().Close()
	ended := make(chan struct{})
	go func() {
		go io.Copy(io.Discard, s.channel.err)
		_, _ = io.Copy(io.Discard, s.channel.out)
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Second):
	}
	s.close()
}

// What a run can come to beside the command's own errors.
var (
	errNotBegun   = errors.New("the shell ended before it ran anything")
	errLeftBehind = errors.New("something of an earlier command still runs")
)

// reading is what came of one output of a frame.
type reading struct {
	data    []byte
	trailer string
	begun   bool
	err     error
}

// run runs a command. After an error that is no [*ExitError] the shell is of no more use.
func (s *shell) run(ctx context.Context, c Command) (Output, error) {
	f := newFrame(c, s.level.sh, s.setsid, s.group)
	var group atomic.Int64
	var line func(string)
	if f.leader {
		line = func(text string) {
			if n, err := strconv.Atoi(text); err == nil {
				group.Store(int64(n))
			}
		}
	}
	out, errs := make(chan reading, 1), make(chan reading, 1)
	go func() { out <- s.out.read(f.marker, line) }()
	go func() { errs <- s.err.read(f.marker, nil) }()
	go func() { // what goes wrong here shows in the outputs
		_, _ = io.WriteString(s.proc.Stdin(), f.text)
	}()
	var stdout, stderr reading
	for range 2 {
		select {
		case stdout = <-out:
			out = nil
		case stderr = <-errs:
			errs = nil
		case <-ctx.Done():
			s.abandon(f, &group)
			return Output{}, fmt.Errorf("cannot run %s: %w", brief(c), context.Cause(ctx))
		}
		if stdout.err != nil || stderr.err != nil {
			break
		}
	}
	if err := errors.Join(stdout.err, stderr.err); err != nil {
		if errors.Is(err, errTooMuch) {
			s.abandon(f, &group)
			return Output{}, fmt.Errorf("cannot run %s: %w", brief(c), errTooMuch)
		}
		// The other output ends too, unless something that was left behind holds it.
		over := time.After(200 * time.Millisecond)
		for out != nil || errs != nil {
			select {
			case stdout = <-out:
				out = nil
			case stderr = <-errs:
				errs = nil
			case <-over:
				return s.broken(c, stdout, stderr, false)
			}
		}
		return s.broken(c, stdout, stderr, true)
	}
	o, err := outputOf(stdout.data, stderr.data, stdout.trailer)
	if err != nil {
		return Output{}, fmt.Errorf("cannot run %s: %w", brief(c), err)
	}
	if o.Status == leftBehind {
		return Output{}, errLeftBehind
	}
	if g := int(group.Load()); g > 0 {
		s.group = g
	}
	return o, exitError(c, o.Status, "", o.Stderr)
}

func (t *tape) read(marker string, line func(string)) reading {
	var r reading
	r.data, r.trailer, r.begun, r.err = t.readFrame(marker, line)
	return r
}

// groupPatience is how long a host that has much to do may take to tell the process group of a command that was just begun.
const groupPatience = 3 * time.Second

// abandon ends what a frame runs, together with its shell.
func (s *shell) abandon(f *frame, group *atomic.Int64) {
	// The id of the group comes before anything else the command prints. Wait for it: else the shell would be ended and the
	// command not, which then would hold its session of the server for as long as it liked.
	for until := time.Now().Add(groupPatience); f.leader && group.Load() == 0 && !s.dead() && time.Now().Before(until); {
		time.Sleep(10 * time.Millisecond)
	}
	s.level.end(s.conn, int(group.Load()), s.channel.group)
}

// broken says what became of a command whose shell ended. Read says that both outputs have come to their end.
func (s *shell) broken(c Command, stdout, stderr reading, read bool) (Output, error) {
	what := brief(c)
	if lostSoon(s.conn) {
		return Output{}, fmt.Errorf("cannot tell what became of %s: %w", what, s.level.lostError(s.conn))
	}
	if !stdout.begun && !stderr.begun {
		return Output{}, errNotBegun
	}
	how := ""
	if read {
		if exit, err := s.proc.Wait(); err == nil {
			how = " (" + exitText(exit.Status, exit.Signal) + ")"
		}
	}
	if last := lastLine(string(stderr.data)); last != "" {
		how += ": " + last
	}
	return Output{}, fmt.Errorf("cannot tell what became of %s: the shell that it ran in ended under it%s; the next command gets a new one", what, how)
}

// exitError is the error of a command that ended with a status.
func exitError(c Command, status int, signal, stderr string) error {
	if status == 0 && signal == "" {
		return nil
	}
	if signal == "" {
		signal = signalOf(status)
	}
	return &ExitError{Command: brief(c), Status: status, Signal: signal, Stderr: stderr}
}

// signalOf is the signal that a shell's status of 128 + n stands for, when it is one that ends programs.
func signalOf(status int) string {
	return map[int]string{129: "HUP", 130: "INT", 131: "QUIT", 132: "ILL", 134: "ABRT", 135: "BUS", 136: "FPE", 137: "KILL", 139: "SEGV", 141: "PIPE", 142: "ALRM", 143: "TERM"}[status]
}

func exitText(status int, signal string) string {
	if signal == "" {
		signal = signalOf(status)
	}
	if signal != "" {
		return "signal " + signal
	}
	return fmt.Sprintf("exit status %d", status)
}

// brief shows a command in a message: a script by its first line, and nothing longer than a line of a terminal.
func brief(c Command) string {
	text := c.String()
	if script, args, ok := scriptOf(c); ok {
		first, rest, _ := strings.Cut(strings.TrimSpace(script), "\n")
		if rest != "" {
			first += " …"
		}
		text = strings.TrimSpace("sh -c " + Quote(first) + " " + Quote(args...))
	}
	const most = 160
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
