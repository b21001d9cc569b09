package modules

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

func serviceModules() []module.Module {
	return []module.Module{module.Define("service", "Starts, stops, restarts, reloads and enables a service", planService)}
}

// serviceArgs is one service of a host with systemd or SysV init.
//
// A step ends when the service is what it should be, not when the init system was told: one that ends right after its start is a
// failure, and the error has the last lines that it logged. With systemd, a service that only stands for others (Debian's
// postfix.service) runs when those run; a socket that would start a stopped service again is stopped with it; a unit file that was
// changed is read again first; a start that was refused because of too many starts in a short time is tried once more. With SysV
// init, a script that knows no "status" is judged by its file with the process number or by the processes of its program.
//
// # Example
//
//	service { on = new, name = "postfix", state = "started", enabled = true }
//	service { on = old, name = "dovecot", state = "stopped", processes = { "/usr/lib/dovecot/" } }
//
// # Result
//
//   - name (string): the service as the init system knows it, aliases resolved
//   - running (boolean): whether it runs
//   - state (string): the state in the init system's own words
//   - pid (integer): its main process, where that is known
//   - enabled (boolean): whether it is started at boot
type serviceArgs struct {
	// Host whose service it is.
	On *host.View `lua:"on,required"`
	// Name of the service as systemctl or /etc/init.d knows it: "postfix". On hosts with systemd also another unit, such as "backup.timer".
	Name string `lua:"name,required"`
	// What the service is to be. "started" and "stopped" do nothing when it is so already. "restarted" and "reloaded" are done each
	// time; restarting starts a stopped service, reloading leaves a stopped one alone.
	State string `lua:"state" choice:"started,stopped,restarted,reloaded"`
	// Whether the service is started when the host boots.
	Enabled *bool `lua:"enabled"`
	// How long to wait until the service is as it should be.
	Wait time.Duration `lua:"wait" default:"90s"`
	// Programs of which no process may be left before the service counts as stopped: the name of a program ("imap"), its whole path,
	// or a folder with a slash at its end ("/usr/lib/dovecot/": whatever program lies there). Dovecot under SysV init needs it: its
	// imap processes go on accepting changes for half a minute after the service was stopped.
	Processes []string `lua:"processes"`
	// How long such processes may take to end by themselves before they are sent SIGTERM.
	KillAfter time.Duration `lua:"kill_after" default:"10s"`
	// File with the process number of the service, for an old init script that knows no "status" and keeps its file in an unusual place.
	PidFile string `lua:"pid_file"`
}

// serviceName is what may stand in a unit's name (systemd.unit(5)); anything else could be taken for an option or a path.
var serviceName = regexp.MustCompile(`^[A-Za-z0-9_@:][A-Za-z0-9_@:.\\+-]*$`)

// Validate checks what the types of the arguments cannot.
func (a *serviceArgs) Validate() error {
	if !serviceName.MatchString(a.Name) {
		return fmt.Errorf("name %q is no name of a service", a.Name)
	}
	if a.State == "" && a.Enabled == nil {
		return errors.New("needs state or enabled")
	}
	for _, p := range a.Processes {
		if strings.Trim(p, "/") == "" || strings.ContainsAny(p, "\n\x00") {
			return fmt.Errorf("processes: %q is neither a program nor a folder of programs", p)
		}
	}
	return nil
}

// serviceState is what is known of a service at one moment.
type serviceState struct {
	running bool
	busy    bool   // on its way from one state to another
	detail  string // "active (running)", "status 3"
	problem string // why it is not running, where that is known
	pid     int
	boot    *bool    // started at boot; nil when the host cannot say
	bootIs  string   // the same in the host's own word: "enabled", "static"
	fixed   string   // why boot cannot be changed
	also    []string // what would start it again and is stopped with it: sockets that listen for it
}

func (s *serviceState) word() string {
	if s.running {
		return "running"
	}
	return "stopped"
}

// serviceManager asks and tells one init system about one service.
type serviceManager interface {
	// name is the service as the init system knows it.
	name() string
	look(ctx context.Context, v *host.View) (*serviceState, error)
	// do starts, stops, restarts or reloads; it may return before that is done.
	do(ctx context.Context, h *host.Host, verb string) error
	enable(ctx context.Context, h *host.Host, on bool) error
	// settle is how long a service must have been running to count as started.
	settle() time.Duration
	// recent are the last lines that the service logged.
	recent(ctx context.Context, v *host.View) []string
	hint() string
}

func planService(ctx context.Context, a *serviceArgs) (*module.Plan, error) {
	s, err := newService(ctx, a)
	if err != nil {
		return nil, err
	}
	now, err := s.manager.look(ctx, a.On)
	if err != nil {
		return nil, err
	}
	plan := &module.Plan{Output: s.output(now)}
	if err := s.planState(ctx, now, plan); err != nil {
		return nil, err
	}
	if err := s.planBoot(now, plan); err != nil {
		return nil, err
	}
	if len(plan.Changes) == 0 && plan.Note == "" {
		plan.Note = "already " + now.word()
		if a.State == "" {
			plan.Note = "already " + now.bootIs
		}
	}
	return plan, nil
}

// service is one call of the module.
type service struct {
	args    *serviceArgs
	manager serviceManager
}

func newService(ctx context.Context, a *serviceArgs) (*service, error) {
	facts, err := a.On.Facts(ctx)
	if err != nil {
		return nil, err
	}
	s := &service{args: a}
	if facts.Init == host.Systemd {
		s.manager, err = findUnit(ctx, a)
	} else {
		s.manager, err = findInitScript(ctx, a)
	}
	return s, err
}

func (s *service) output(now *serviceState) map[string]any {
	out := map[string]any{"name": s.manager.name(), "running": now.running, "state": now.detail}
	if now.pid > 0 {
		out["pid"] = now.pid
	}
	if now.boot != nil {
		out["enabled"] = *now.boot
	}
	return out
}

func (s *service) planState(ctx context.Context, now *serviceState, plan *module.Plan) error {
	name := s.manager.name()
	switch s.args.State {
	case "started":
		if !now.running {
			plan.Changes = append(plan.Changes, s.change("start", now, "running"))
		}
	case "restarted":
		c := s.change("restart", now, "running")
		c.Action = true
		plan.Changes = append(plan.Changes, c)
	case "reloaded":
		if !now.running {
			plan.Note = "not running, so there is nothing to reload"
			return nil
		}
		plan.Changes = append(plan.Changes, module.Change{
			Summary: "reload " + name, Action: true,
			Apply: func(ctx context.Context, do *module.Apply) error { return s.reload(ctx, do) },
		})
	case "stopped":
		left, err := s.left(ctx)
		if err != nil {
			return err
		}
		if now.running || now.busy || len(now.also) > 0 {
			plan.Changes = append(plan.Changes, s.change("stop", now, "stopped"))
		} else if len(left) > 0 {
			plan.Changes = append(plan.Changes, module.Change{
				Summary: fmt.Sprintf("end what is left of %s: %s", name, describeProcesses(left)),
				Before:  fmt.Sprintf("%d processes", len(left)), After: "no process",
				Apply: func(ctx context.Context, do *module.Apply) error {
					return s.waitGone(ctx, do, time.Now().Add(s.args.Wait))
				},
			})
		}
	}
	return nil
}

func (s *service) change(verb string, now *serviceState, after string) module.Change {
	what, was := s.manager.name(), now.word()
	if verb == "stop" && len(now.also) > 0 {
		what += " and " + strings.Join(now.also, ", ")
		was += ", " + strings.Join(now.also, ", ") + " active"
	}
	return module.Change{
		Summary: verb + " " + what, Before: was, After: after,
		Apply: func(ctx context.Context, do *module.Apply) error {
			do.Keep(module.Original{Host: s.args.On.Name(), Object: "service " + s.manager.name(), Value: was})
			return s.carryOut(ctx, do, verb)
		},
	}
}

func (s *service) planBoot(now *serviceState, plan *module.Plan) error {
	want := s.args.Enabled
	if want == nil || now.boot != nil && *now.boot == *want {
		return nil
	}
	verb, after := "enable", "enabled"
	if !*want {
		verb, after = "disable", "disabled"
	}
	if now.fixed != "" {
		if !*want {
			return nil // it is not started at boot for its own sake, and that is what was asked for
		}
		return fmt.Errorf("cannot %s %s on %s: %s", verb, s.manager.name(), s.args.On.Name(), now.fixed)
	}
	plan.Changes = append(plan.Changes, module.Change{
		Summary: verb + " " + s.manager.name(), Before: now.bootIs, After: after,
		Apply: func(ctx context.Context, do *module.Apply) error {
			do.Keep(module.Original{Host: s.args.On.Name(), Object: "service " + s.manager.name() + " at boot", Value: now.bootIs})
			return s.manager.enable(ctx, do.Host(s.args.On), *want)
		},
	})
	return nil
}
