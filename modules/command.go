package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

func commandModules() []module.Module {
	return []module.Module{module.Define("command", "Runs a program on a host", planCommand)}
}

// commandArgs is one run of a program.
//
// It is run each time, and counts as a change, unless creates or removes says that its work is done, or reads that it has none to do.
//
// # Example
//
//	command { on = new, argv = { "postqueue", "-f" } }
//	local found = command { on = old, argv = { "postconf", "-h", "mydestination" }, reads = true }
//	command { on = new, script = "zcat \"$1\" | mysql mail", argv = { "/root/mail.sql.gz" } }
//
// # Result
//
//   - stdout (string): what it printed
//   - stderr (string): what it printed as errors
//   - lines (list of string): stdout by lines
//   - status (integer): its exit status
type commandArgs struct {
	// Host that runs it.
	On *host.View `lua:"on,required"`
	// The program and its arguments. They reach it as they are: no shell reads them, so nothing needs quoting. Never put a password here.
	Argv []string `lua:"argv"`
	// Text for /bin/sh, where a program alone is not enough; argv are then its "$1", "$2" and so on.
	Script string `lua:"script"`
	// Path that the program makes: when it is there already nothing is run.
	Creates string `lua:"creates"`
	// Path that the program takes away: when it is not there nothing is run.
	Removes string `lua:"removes"`
	// Whether the program only looks. It is then run in check mode too, and is never a change.
	Reads bool `lua:"reads"`
	// What the program reads from its standard input; the place for a password. A string or a secret.
	Stdin any `lua:"stdin" type:"string or secret"`
	// Folder in which it is run; without it the home folder of the user.
	Dir string `lua:"dir"`
	// Added to its environment. Never a password: other users of the host can see it.
	Env map[string]string `lua:"env"`
	// Exit statuses that are no failure.
	OK []int `lua:"ok" default:"0"`
}

// Validate checks what the types of the arguments cannot.
func (a *commandArgs) Validate() error {
	if len(a.Argv) == 0 && a.Script == "" {
		return errors.New("needs argv or script")
	}
	if a.Script == "" && a.Argv[0] == "" {
		return errors.New("argv[1] is empty: it names the program")
	}
	if a.Reads && (a.Creates != "" || a.Removes != "") {
		return errors.New("reads says that nothing is changed, so creates and removes cannot go with it")
	}
	for name, p := range map[string]string{"creates": a.Creates, "removes": a.Removes, "dir": a.Dir} {
		if p != "" && !path.IsAbs(p) {
			return fmt.Errorf("%s must be a whole path, not %q", name, p)
		}
	}
	for name := range a.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("env: %q is no name of a variable", name)
		}
	}
	switch a.Stdin.(type) {
	case nil, string, module.Secret:
		return nil
	}
	return errors.New("stdin must be a string or a secret")
}

func (a *commandArgs) command() host.Command {
	c := host.Command{Argv: a.Argv}
	if a.Script != "" {
		c = host.Script(a.Script, a.Argv...)
	}
	c.Dir, c.Env = a.Dir, a.Env
	switch in := a.Stdin.(type) {
	case string:
		c.Stdin = strings.NewReader(in)
	case module.Secret:
		c.Stdin = strings.NewReader(in.Reveal())
	}
	return c
}

// title is the command as it is told.
func (a *commandArgs) title() string {
	text := host.Quote(a.Argv...)
	if a.Script != "" {
		first, more, _ := strings.Cut(strings.TrimSpace(a.Script), "\n")
		text = first
		if more != "" {
			text += " …"
		}
	}
	if short := []rune(text); len(short) > 120 {
		text = string(short[:119]) + "…"
	}
	return text
}

func planCommand(ctx context.Context, a *commandArgs) (*module.Plan, error) {
	if a.Reads {
		out, err := a.On.QueryCommand(ctx, a.command())
		if err := a.judge(out, err); err != nil {
			return nil, err
		}
		return &module.Plan{Output: commandOutput(out)}, nil
	}
	note, err := a.unneeded(ctx)
	if err != nil || note != "" {
		return &module.Plan{Note: note}, err
	}
	return &module.Plan{Changes: []module.Change{{
		Summary: "run " + a.title(),
		Action:  a.Creates == "" && a.Removes == "",
		Apply:   a.run,
	}}}, nil
}

// unneeded says why nothing is to be run; empty: it is to be run.
func (a *commandArgs) unneeded(ctx context.Context) (string, error) {
	if a.Creates != "" {
		there, err := pathThere(ctx, a.On, a.Creates)
		if err != nil || there {
			return a.Creates + " is there", err
		}
	}
	if a.Removes != "" {
		there, err := pathThere(ctx, a.On, a.Removes)
		if err != nil || !there {
			return a.Removes + " is not there", err
		}
	}
	return "", nil
}

func (a *commandArgs) run(ctx context.Context, do *module.Apply) error {
	out, err := do.Host(a.On).RunCommand(ctx, a.command())
	for name, value := range commandOutput(out) {
		do.Output(name, value)
	}
	if err := a.judge(out, err); err != nil {
		return err
	}
	if a.Creates == "" && a.Removes == "" {
		return nil
	}
	done, err := a.unneeded(ctx)
	if err == nil && done == "" {
		wrong := a.Creates + " is still not there"
		if a.Removes != "" {
			wrong = a.Removes + " is still there"
		}
		err = fmt.Errorf("cannot run %s on %s: it ended well, but %s", a.title(), a.On.Name(), wrong)
	}
	return err
}

// judge says whether the command failed. A status among those that are right is no failure.
func (a *commandArgs) judge(out host.Output, err error) error {
	var exit *host.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	if err != nil && exit.Signal != "" || !slices.Contains(a.OK, out.Status) {
		return commandFailed(a, out, exit)
	}
	return nil
}

func commandFailed(a *commandArgs, out host.Output, exit *host.ExitError) error {
	how := fmt.Sprintf("exit status %d", out.Status)
	if exit != nil && exit.Signal != "" {
		how = "ended by signal " + exit.Signal
	}
	text := fmt.Sprintf("cannot run %s on %s: %s", a.title(), a.On.Name(), how)
	said := strings.TrimSpace(out.Stderr)
	if said == "" {
		said = strings.TrimSpace(out.Stdout)
	}
	switch lines := strings.Split(said, "\n"); {
	case said == "":
	case len(lines) == 1:
		text += ": " + lines[0]
	default:
		text += "\n  " + strings.Join(lines[max(0, len(lines)-10):], "\n  ")
	}
	err := fmt.Errorf("%s", text)
	if out.Status == 127 {
		return module.Absent(err) // no such program: an earlier step may install it
	}
	return err
}

func commandOutput(out host.Output) map[string]any {
	lines := out.Lines()
	if lines == nil {
		lines = []string{}
	}
	return map[string]any{"stdout": out.Stdout, "stderr": out.Stderr, "status": out.Status, "lines": lines}
}

func pathThere(ctx context.Context, v *host.View, p string) (bool, error) {
	_, err := v.Lstat(ctx, p)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot look for %s on %s: %w", p, v.Name(), why(err))
	}
	return true, nil
}
