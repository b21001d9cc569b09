package modules

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"strconv"
	"strings"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

func waitModules() []module.Module {
	return []module.Module{module.Define("wait_for", "Waits until a port answers, a file is there or a command succeeds", planWaitFor)}
}

// waitForArgs is what is waited for. Give one of port, path and command.
//
// The step looks once, and when it is not so again and again; it never changes anything. In check mode it only looks.
//
// # Example
//
//	wait_for { on = new, port = 25, contains = "220 ", wait = "1m" }
//	wait_for { address = "mail.example.org", port = 993 }
//	wait_for { on = old, command = { "sh", "-c", "test -z \"$(find /var/spool/postfix/incoming -type f)\"" }, wait = "5m" }
type waitForArgs struct {
	// Host that is looked at: its files, its commands, and the ports as it sees them. Without it the runner itself connects to the port.
	On *host.View `lua:"on"`
	// TCP port to connect to.
	Port int `lua:"port"`
	// Name or address to connect to. With on, the host itself unless another one is named.
	Address string `lua:"address"`
	// Path of a file or folder.
	Path string `lua:"path"`
	// Program with its arguments that looks, changes nothing, and ends with status 0 when it is so. It is run again and again.
	Command []string `lua:"command"`
	// What to wait for: a port that is "open" or "closed", a path or a success of the command that is "present" or "absent".
	// Without it "open" or "present".
	State string `lua:"state" choice:"present,absent,open,closed"`
	// Text that the port must say first, that must be in the file or in what the command prints.
	Contains string `lua:"contains"`
	// How long to wait.
	Wait time.Duration `lua:"wait" default:"30s"`
	// Time between two looks.
	Interval time.Duration `lua:"interval" default:"1s"`
}

// Validate checks what the types of the arguments cannot.
func (a *waitForArgs) Validate() error {
	given := 0
	for _, g := range []bool{a.Port != 0, a.Path != "", len(a.Command) > 0} {
		if g {
			given++
		}
	}
	if given != 1 {
		return errors.New("needs one of port, path and command")
	}
	ports := a.Port != 0
	switch {
	case ports && (a.Port < 1 || a.Port > 65535):
		return fmt.Errorf("port must be between 1 and 65535, not %d", a.Port)
	case ports && (a.State == "present" || a.State == "absent"):
		return fmt.Errorf("a port is \"open\" or \"closed\", not %q", a.State)
	case !ports && (a.State == "open" || a.State == "closed"):
		return fmt.Errorf("state = %q needs port", a.State)
	case ports && a.On == nil && a.Address == "":
		return errors.New("port needs on or address")
	case !ports && a.On == nil:
		return errors.New("path and command need on")
	case !ports && a.Address != "":
		return errors.New("address needs port")
	case a.Path != "" && !path.IsAbs(a.Path):
		return fmt.Errorf("path must be a whole path, not %q", a.Path)
	case a.Contains != "" && a.wantsNothing():
		return fmt.Errorf("contains does not go with state = %q", a.State)
	case a.Interval <= 0:
		return errors.New("interval must be more than nothing")
	}
	return nil
}

func (a *waitForArgs) wantsNothing() bool { return a.State == "absent" || a.State == "closed" }

func (a *waitForArgs) what() string {
	text := ""
	switch {
	case a.Port != 0:
		text = "port " + net.JoinHostPort(a.address(), strconv.Itoa(a.Port))
	case a.Path != "":
		text = a.Path
	default:
		text = (&commandArgs{Argv: a.Command}).title()
	}
	if a.On != nil {
		text += " on " + a.On.Name()
	}
	return text
}

func (a *waitForArgs) until() string {
	verb := "is there"
	switch {
	case a.State == "closed":
		verb = "is closed"
	case a.Port != 0:
		verb = "is open"
	case len(a.Command) > 0 && a.State == "absent":
		verb = "fails"
	case len(a.Command) > 0:
		verb = "succeeds"
	case a.State == "absent":
		verb = "is gone"
	}
	if a.Contains != "" {
		verb += fmt.Sprintf(" with %q", a.Contains)
	}
	return a.what() + " " + verb
}

func (a *waitForArgs) address() string {
	if a.Address == "" {
		return "127.0.0.1"
	}
	return a.Address
}

func planWaitFor(ctx context.Context, a *waitForArgs) (*module.Plan, error) {
	why, err := a.look(ctx)
	if err != nil {
		return nil, err
	}
	if why == "" {
		return &module.Plan{Note: a.until()}, nil
	}
	return &module.Plan{Changes: []module.Change{{
		Summary: fmt.Sprintf("wait until %s, at most %s", a.until(), module.FormatDuration(a.Wait)),
		Before:  why, Wait: true, Apply: a.poll,
	}}}, nil
}

func (a *waitForArgs) poll(ctx context.Context, do *module.Apply) error {
	deadline := time.Now().Add(a.Wait)
	for {
		why, err := a.look(ctx)
		if err != nil || why == "" {
			return err
		}
		if !time.Now().Before(deadline) {
			return fmt.Errorf("cannot wait longer than %s until %s: %s", module.FormatDuration(a.Wait), a.until(), why)
		}
		do.Progress(module.Progress{Label: fmt.Sprintf("waiting until %s: %s", a.until(), why)})
		if err := sleep(ctx, min(a.Interval, max(time.Until(deadline), 0))); err != nil {
			return err
		}
	}
}

// look says why it is not so yet; empty: it is so.
func (a *waitForArgs) look(ctx context.Context) (string, error) {
	switch {
	case a.Port != 0:
		return a.lookPort(ctx)
	case a.Path != "":
		return a.lookPath(ctx)
	}
	return a.lookCommand(ctx)
}

// connectTime is the longest time that a try to connect, and the first words of a server, may take.
const connectTime = 5 * time.Second

func (a *waitForArgs) lookPort(ctx context.Context) (string, error) {
	dial := new(net.Dialer).DialContext
	if a.On != nil {
		dial = a.On.Dial
	}
	try, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := dial(try, "tcp", net.JoinHostPort(a.address(), strconv.Itoa(a.Port)))
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	var lost *host.UnreachableError
	if errors.As(err, &lost) || err != nil && strings.Contains(err.Error(), "prohibited") {
		return "", err // the host is lost, or its sshd forwards no connections: that says nothing of the port
	}
	if a.State == "closed" {
		if err != nil {
			return "", nil
		}
		return "it is open", conn.Close()
	}
	if err != nil {
		return refusal(try, err), nil
	}
	defer conn.Close()
	if a.Contains == "" {
		return "", nil
	}
	stop := context.AfterFunc(try, func() { conn.Close() })
	defer stop()
	return a.greeting(conn), nil
}

func refusal(ctx context.Context, err error) string {
	text := strings.ToLower(err.Error())
	switch {
	case strings.Contains(text, "connection refused"):
		return "connection refused"
	case ctx.Err() != nil:
		return "no answer"
	}
	return err.Error()
}

// greeting reads what the server says first.
func (a *waitForArgs) greeting(conn io.Reader) string {
	said := make([]byte, 0, 4096)
	for len(said) < cap(said) {
		n, err := conn.Read(said[len(said):cap(said)])
		said = said[:len(said)+n]
		if strings.Contains(string(said), a.Contains) {
			return ""
		}
		if err != nil {
			break
		}
	}
	if first, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n"); first != "" {
		return fmt.Sprintf("it says %q", first)
	}
	return "it says nothing"
}

func (a *waitForArgs) lookPath(ctx context.Context) (string, error) {
	info, err := a.On.Stat(ctx, a.Path)
	there := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot look for %s on %s: %w", a.Path, a.On.Name(), why(err))
	}
	switch {
	case a.State == "absent" && there:
		return "it is still there", nil
	case a.State == "absent":
		return "", nil
	case !there:
		return "it is not there", nil
	case a.Contains == "":
		return "", nil
	case !info.Mode.IsRegular():
		return "it is " + kindOf(info.Mode), nil
	}
	data, err := a.On.ReadFile(ctx, a.Path)
	if err != nil {
		return "", fmt.Errorf("cannot read %s on %s: %w", a.Path, a.On.Name(), why(err))
	}
	if !strings.Contains(string(data), a.Contains) {
		return "the text is not in it", nil
	}
	return "", nil
}

func (a *waitForArgs) lookCommand(ctx context.Context) (string, error) {
	out, err := a.On.Query(ctx, a.Command...)
	var exit *host.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", err
	}
	if exit != nil && out.Status == 127 {
		return "", module.Absent(fmt.Errorf("cannot run %s on %s: no such program", a.Command[0], a.On.Name()))
	}
	switch {
	case a.State == "absent" && exit == nil:
		return "it succeeds", nil
	case a.State == "absent":
		return "", nil
	case exit != nil:
		return fmt.Sprintf("it ended with status %d", out.Status), nil
	case a.Contains != "" && !strings.Contains(out.Stdout, a.Contains):
		return "the text is not in what it prints", nil
	}
	return "", nil
}
