package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

func dovecotModules() []module.Module {
	return []module.Module{
		module.Define("dovecot.accounts", "Asks Dovecot for every account of a control database", planDovecotAccounts),
		module.Define("dovecot.passwords", "Sees to it that every stored password names its scheme", planDovecotPasswords),
		module.Define("dovecot.compare", "Compares folders, UIDVALIDITY and UIDNEXT of accounts on two servers", planDovecotCompare),
		module.Define("dovecot.index", "Lets Dovecot make the indexes of mailboxes before their users need them", planDovecotIndex),
		module.Define("dovecot.quota_recalc", "Lets Dovecot count what accounts have used of their quota", planDovecotQuotaRecalc),
		module.Define("dovecot.sieve", "Compiles sieve scripts whose compiled form is missing or stale", planDovecotSieve),
		module.Define("dovecot.freeze", "Stops Dovecot and waits until no process can change a mailbox", planDovecotFreeze),
		module.Define("dovecot.thaw", "Starts a frozen Dovecot again", planDovecotThaw),
	}
}

// dovecotFreezeArgs is a Dovecot that is to stop so that mailboxes hold still.
//
// Stopping the service is not enough: with SysV init the imap processes of Dovecot 2.3 go on for half a minute and still take changes,
// and a copy that is made then loses mails. So this waits until there is no IMAP, POP3, managesieve, LMTP or delivery process and no
// open file below path; processes that serve users are asked to end (SIGTERM), deliveries never. Freeze Postfix before, since its
// deliveries would fail or be cut off.
//
// # Example
//
//	postfix.freeze { on = old }
//	dovecot.freeze { on = old, path = "/var/vmail" }
//
// # Result
//
//   - frozen (boolean): it does not run, nothing of it is left and no mailbox is open
//   - processes (integer): processes that are left of it
//   - open_files (integer): open files below path
type dovecotFreezeArgs struct {
	// Host whose Dovecot it is.
	On *host.View `lua:"on,required"`
	// Directory of all mailboxes.
	Path string `lua:"path" default:"/var/vmail"`
	// How long everything may take.
	Wait time.Duration `lua:"wait" default:"90s"`
	// How long processes that serve users may take to end by themselves before they are asked to.
	KillAfter time.Duration `lua:"kill_after" default:"200ms"`
	// Freeze although Postfix runs and could deliver.
	Delivering bool `lua:"delivering"`
}

// Validate checks what the types of the arguments cannot.
func (a *dovecotFreezeArgs) Validate() error {
	if !path.IsAbs(a.Path) || path.Clean(a.Path) == "/" {
		return fmt.Errorf("path must be the whole path of the directory of all mailboxes, not %q", a.Path)
	}
	return nil
}

// dovecotThawArgs is a Dovecot that was frozen.
//
// # Example
//
//	dovecot.thaw { on = old }
//
// # Result
//
//   - running (boolean): whether Dovecot runs
type dovecotThawArgs struct {
	// Host whose Dovecot it is.
	On *host.View `lua:"on,required"`
	// How long the start may take.
	Wait time.Duration `lua:"wait" default:"90s"`
}

// dovecotMark says on the host that Dovecot was frozen, and whether it ran before.
const dovecotMark = "/var/lib/runner/dovecot-frozen"

// Programs that have a hand on mailboxes: Dovecot's own, by their folders and by names for versions that lie elsewhere.
var (
	dovecotPrograms   = []string{"/usr/lib/dovecot/", "/usr/libexec/dovecot/", "/usr/local/libexec/dovecot/", "/usr/sbin/dovecot", "dovecot-lda", "deliver"}
	dovecotDeliveries = []string{"dovecot-lda", "deliver"}
	postfixMaster     = []string{"/usr/lib/postfix/master", "/usr/lib/postfix/sbin/master", "/usr/libexec/postfix/master"}
)

// openFiles lists who has files open below a directory: process number and file. Only root sees those of others.
const openFiles = `find /proc/[0-9]*/fd -lname "$1/*" -printf '%p %l\n' 2>/dev/null | sed 's,^/proc/,,; s,/fd/[0-9]* , ,' | head -n 100`

// keepMark writes what runner has to remember on a host: a file and its text.
const keepMark = `mkdir -p "$(dirname "$1")" && printf '%s\n' "$2" >"$1.new" && mv -f "$1.new" "$1"`

// dovecotServer is a Dovecot with what there is of it.
type dovecotServer struct {
	view    *host.View
	service *service
	state   *serviceState
	mark    string // "running", "stopped"; empty: not frozen
	left    []process
	open    []string
}

func findDovecot(ctx context.Context, v *host.View, wait time.Duration, mailboxes string) (*dovecotServer, error) {
	d := &dovecotServer{view: v}
	var err error
	if d.service, err = newService(ctx, &serviceArgs{On: v, Name: "dovecot", Wait: wait}); err != nil {
		return nil, err
	}
	if d.state, err = d.service.manager.look(ctx, v); err != nil {
		return nil, err
	}
	text, err := v.ReadFile(ctx, dovecotMark)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read %s on %s: %w", dovecotMark, v.Name(), why(err))
	}
	d.mark = strings.TrimSpace(string(text))
	if mailboxes == "" {
		return d, nil
	}
	return d, d.look(ctx, mailboxes)
}

// look finds what is left of Dovecot and which mailboxes are open.
func (d *dovecotServer) look(ctx context.Context, mailboxes string) error {
	var err error
	if d.left, err = findProcesses(ctx, d.view, dovecotPrograms); err != nil {
		return err
	}
	out, err := d.view.QueryScript(ctx, openFiles, strings.TrimRight(mailboxes, "/"))
	if err != nil {
		return fmt.Errorf("cannot look for open files on %s: %w", d.view.Name(), why(err))
	}
	d.open = out.Lines()
	return nil
}

// users are the processes left that are no deliveries.
func (d *dovecotServer) users() []process {
	return slices.DeleteFunc(slices.Clone(d.left), func(p process) bool { return slices.ContainsFunc(dovecotDeliveries, p.matches) })
}

func (d *dovecotServer) describe() string {
	if len(d.left) > 0 {
		return describeProcesses(d.left)
	}
	pid, file, _ := strings.Cut(d.open[0], " ")
	text := fmt.Sprintf("process %s has %s open", pid, file)
	if len(d.open) > 1 {
		text += fmt.Sprintf(", and %d more", len(d.open)-1)
	}
	return text
}

func planDovecotFreeze(ctx context.Context, a *dovecotFreezeArgs) (*module.Plan, error) {
	d, err := findDovecot(ctx, a.On, a.Wait, a.Path)
	if err != nil {
		return nil, err
	}
	running := d.state.running || d.state.busy || len(d.state.also) > 0
	plan := &module.Plan{Output: map[string]any{
		"frozen": d.mark != "" && !running && len(d.left)+len(d.open) == 0, "processes": len(d.left), "open_files": len(d.open),
	}}
	if plan.Output["frozen"] == true {
		plan.Note = "already frozen"
		return plan, nil
	}
	if !a.Delivering {
		if err := a.postfixRuns(ctx); err != nil {
			return nil, err
		}
	}
	was := d.mark
	if was == "" {
		was = d.state.word()
	}
	c := module.Change{
		Summary: "freeze Dovecot: no process, no open mailbox below " + a.Path,
		Before:  fmt.Sprintf("%s, %s, %s\n", d.state.word(), countProcesses(len(d.left)), countOf(len(d.open), "open file")), After: "stopped, no process, no open file\n",
		Apply: func(ctx context.Context, do *module.Apply) error {
			do.Keep(module.Original{Host: a.On.Name(), Object: "service dovecot", Value: was})
			if _, err := do.Host(a.On).RunCommand(ctx, host.Script(keepMark, dovecotMark, was)); err != nil {
				return fmt.Errorf("cannot note on %s that Dovecot is frozen: %w", a.On.Name(), why(err))
			}
			deadline := time.Now().Add(a.Wait)
			if running {
				if err := d.service.carryOut(ctx, do, "stop"); err != nil {
					return err
				}
			}
			return a.settle(ctx, do, d, deadline)
		},
	}
	plan.Changes, plan.Stops = []module.Change{c}, []string{"IMAP"}
	return plan, nil
}

func countProcesses(n int) string {
	if n == 1 {
		return "1 process"
	}
	return fmt.Sprintf("%d processes", n)
}

// postfixRuns refuses to take the mailboxes away from under a Postfix that delivers into them. In check mode an earlier step would have stopped it.
func (a *dovecotFreezeArgs) postfixRuns(ctx context.Context) error {
	found, err := findProcesses(ctx, a.On, postfixMaster)
	if err != nil || len(found) == 0 {
		return err
	}
	err = fmt.Errorf("cannot freeze Dovecot on %s: Postfix runs there, and its deliveries would be cut off", a.On.Name())
	return module.Absent(module.WithHint(err, "call postfix.freeze before, or say delivering = true"))
}

// settle waits until nothing is left.
func (a *dovecotFreezeArgs) settle(ctx context.Context, do *module.Apply, d *dovecotServer, deadline time.Time) error {
	kill, asked := time.Now().Add(a.KillAfter), map[int]bool{}
	for pause := serviceGlance; ; pause = min(pause*3/2, serviceGlances) {
		if err := d.look(ctx, a.Path); err != nil {
			return err
		}
		if len(d.left)+len(d.open) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot freeze Dovecot on %s: after %s there is still left: %s", a.On.Name(), module.FormatDuration(a.Wait), d.describe())
		}
		if !time.Now().Before(kill) {
			if err := endProcesses(ctx, do.Host(a.On), d.users(), asked); err != nil {
				return fmt.Errorf("cannot end the processes of Dovecot on %s: %w", a.On.Name(), why(err))
			}
		}
		do.Progress(module.Progress{Label: "waiting for the end of " + d.describe(), Total: int64(len(d.left)), Unit: "processes"})
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func planDovecotThaw(ctx context.Context, a *dovecotThawArgs) (*module.Plan, error) {
	d, err := findDovecot(ctx, a.On, a.Wait, "")
	if err != nil {
		return nil, err
	}
	plan := &module.Plan{Output: map[string]any{"running": d.state.running}}
	if d.mark == "" {
		plan.Note = "not frozen"
		return plan, nil
	}
	start := d.mark == "running" && !d.state.running
	if start {
		plan.Starts = []string{"IMAP"}
	}
	summary := "thaw Dovecot"
	if start {
		summary = "start the frozen Dovecot"
	}
	plan.Changes = []module.Change{{
		Summary: summary, Before: "frozen\n", After: d.mark + "\n",
		Apply: func(ctx context.Context, do *module.Apply) error {
			if start {
				if err := d.service.carryOut(ctx, do, "start"); err != nil {
					return err
				}
			}
			// The mark goes last: a thaw that was broken off can be done again.
			if err := do.Host(a.On).Files().Remove(ctx, dovecotMark); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("cannot remove %s on %s: %w", dovecotMark, a.On.Name(), why(err))
			}
			return nil
		},
	}}
	return plan, nil
}
