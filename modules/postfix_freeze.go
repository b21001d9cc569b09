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

// postfixFreezeArgs is a Postfix that is to stop without cutting off a delivery.
//
// First it takes no more mail: in master.cf the services that listen on the network, and the one that picks up the mail of programs
// on the host, become comments, and Postfix reads that again. This works with every version and needs no memory elsewhere. What listens
// on the loopback address alone stays: a content filter brings mail back there. Then what is under way is delivered, and only then
// Postfix is stopped. (A stop or restart at once cuts deliveries off, and the mail is delivered again later, a second time.) Mail that
// waits for a later try stays in the queue. While Postfix is frozen, senders elsewhere keep their mail and try again.
//
// # Example
//
//	postfix.freeze { on = old }
//
// # Result
//
//   - frozen (boolean): it takes no mail and does not run
//   - services (list of string): what takes mail from outside, as "smtp/inet"; empty when frozen
//   - queued (integer): mails that stay in its queue
//   - under_way (integer): mails that are being delivered
type postfixFreezeArgs struct {
	// Host whose Postfix it is.
	On *host.View `lua:"on,required"`
	// How long the deliveries under way may take. When it is over the step fails; Postfix goes on delivering and takes no mail.
	Wait time.Duration `lua:"wait" default:"5m"`
}

// postfixThawArgs is a Postfix that was frozen.
//
// Exactly what postfix.freeze did is taken back; other changes of master.cf since then stay. Postfix is started if it ran before.
//
// # Example
//
//	postfix.thaw { on = old }
//
// # Result
//
//   - frozen (boolean): whether it is frozen
//   - services (list of string): what takes mail from outside, as "smtp/inet"
type postfixThawArgs struct {
	// Host whose Postfix it is.
	On *host.View `lua:"on,required"`
	// How long the start may take.
	Wait time.Duration `lua:"wait" default:"90s"`
}

// postfixPlace prints the folder of main.cf and the one of the queue, both as they were built in.
const postfixPlace = sbinPath + `
command -v postconf >/dev/null || { echo absent; exit 0; }
postconf -d -h config_directory queue_directory`

// postfixSpool counts the mails that are under way and those that wait. What moves from one folder to the next is counted at least once.
const postfixSpool = `cd "$1" || exit
find incoming active -type f 2>/dev/null | wc -l
find deferred hold maildrop -type f 2>/dev/null | wc -l`

// postfixServer is a Postfix with its service and its master.cf.
type postfixServer struct {
	view    *host.View
	dir     string // of main.cf
	spool   string
	master  string // text of master.cf
	service *service
	state   *serviceState
}

func findPostfix(ctx context.Context, v *host.View, wait time.Duration) (*postfixServer, error) {
	p, err := lookPostfix(ctx, v)
	if err != nil {
		return nil, err
	}
	if p.service, err = newService(ctx, &serviceArgs{On: v, Name: "postfix", Wait: wait}); err != nil {
		return nil, err
	}
	if p.state, err = p.service.manager.look(ctx, v); err != nil {
		return nil, err
	}
	return p, nil
}

// lookPostfix finds the folders of Postfix and reads master.cf.
func lookPostfix(ctx context.Context, v *host.View) (*postfixServer, error) {
	out, err := v.QueryScript(ctx, postfixPlace)
	if err != nil {
		return nil, fmt.Errorf("cannot look for Postfix on %s: %w", v.Name(), why(why(err)))
	}
	lines := out.Lines()
	if len(lines) != 2 || lines[0] == "absent" {
		return nil, module.Absent(fmt.Errorf("cannot find postconf on %s: Postfix is not installed there", v.Name()))
	}
	p := &postfixServer{view: v, dir: lines[0], spool: lines[1]}
	text, err := v.ReadFile(ctx, path.Join(p.dir, "main.cf"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read main.cf on %s: %w", v.Name(), why(err))
	}
	if spool, set := parseMain(string(text)).value("queue_directory"); set && path.IsAbs(spool) {
		p.spool = spool
	}
	if text, err = v.ReadFile(ctx, path.Join(p.dir, "master.cf")); err != nil {
		return nil, fmt.Errorf("cannot read master.cf on %s: %w", v.Name(), why(err))
	}
	p.master = string(text)
	return p, nil
}

// counts asks how many mails are under way and how many wait.
func (p *postfixServer) counts(ctx context.Context) (moving, waiting int, err error) {
	out, err := p.view.QueryScript(ctx, postfixSpool, p.spool)
	if err == nil {
		if words := strings.Fields(out.Stdout); len(words) == 2 {
			moving, _ = strconv.Atoi(words[0])
			waiting, err = strconv.Atoi(words[1])
		} else {
			err = fmt.Errorf("it says %q", out.Stdout)
		}
	}
	if err != nil {
		err = fmt.Errorf("cannot look into the queue of Postfix on %s: %w", p.view.Name(), why(err))
	}
	return moving, waiting, err
}

// rewrite gives master.cf another text, whole or not at all, with its mode and owner.
func (p *postfixServer) rewrite(ctx context.Context, h *host.Host, edit func(string) string) error {
	file, info, err := followFile(ctx, h.View, path.Join(p.dir, "master.cf"))
	if err != nil {
		return fmt.Errorf("cannot change master.cf on %s: %w", h.Name(), why(err))
	}
	text, err := h.ReadFile(ctx, file)
	if err != nil {
		return fmt.Errorf("cannot change master.cf on %s: %w", h.Name(), why(err))
	}
	if err := h.WriteFile(ctx, file, []byte(edit(string(text))), host.Attr{Mode: info.Mode.Perm(), UID: info.UID, GID: info.GID}); err != nil {
		return fmt.Errorf("cannot change master.cf on %s: %w", h.Name(), why(err))
	}
	return nil
}

func (p *postfixServer) reload(ctx context.Context, h *host.Host) error {
	if _, err := h.RunCommand(ctx, host.Script(postfixRun, "postfix", "-c", p.dir, "reload")); err != nil {
		return fmt.Errorf("cannot reload Postfix on %s: %w", h.Name(), postfixError(err))
	}
	return nil
}

func (p *postfixServer) output() map[string]any {
	services := postfix.Taking(p.master)
	if services == nil {
		services = []string{}
	}
	marked, _ := postfix.Frozen(p.master)
	return map[string]any{"frozen": marked && len(services) == 0 && !p.state.running && !p.state.busy, "services": services}
}

func planPostfixFreeze(ctx context.Context, a *postfixFreezeArgs) (*module.Plan, error) {
	p, err := findPostfix(ctx, a.On, a.Wait)
	if err != nil {
		return nil, err
	}
	moving, waiting, err := p.counts(ctx)
	if err != nil {
		return nil, err
	}
	plan := &module.Plan{Output: p.output()}
	plan.Output["under_way"], plan.Output["queued"] = moving, waiting
	taking := postfix.Taking(p.master)
	marked, _ := postfix.Frozen(p.master)
	if len(taking) > 0 || !marked {
		plan.Changes = append(plan.Changes, module.Change{
			Summary: "take no more mail: " + strings.Join(taking, ", "), Before: joined(taking), After: "(nothing takes mail)\n",
			Apply: func(ctx context.Context, do *module.Apply) error { return p.close(ctx, do) },
		})
	}
	if p.state.running || p.state.busy {
		plan.Changes = append(plan.Changes, module.Change{
			Summary: "deliver what is under way, at most " + module.FormatDuration(a.Wait), Wait: true,
			Apply: func(ctx context.Context, do *module.Apply) error { return p.drain(ctx, do, a.Wait) },
		}, p.service.change("stop", p.state, "stopped"))
	}
	plan.Stops = []string{"SMTP"}
	if len(plan.Changes) == 0 {
		plan.Note = "already frozen"
	}
	return plan, nil
}

func joined(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return strings.Join(list, "\n") + "\n"
}

// close makes the services that take mail comments and has Postfix read that.
func (p *postfixServer) close(ctx context.Context, do *module.Apply) error {
	h := do.Host(p.view)
	do.Keep(module.Original{Host: h.Name(), Object: "master.cf: services that take mail", Value: strings.Join(postfix.Taking(p.master), ", ")})
	if err := p.rewrite(ctx, h, func(text string) string { return postfix.Freeze(text, p.state.running) }); err != nil {
		return err
	}
	if !p.state.running {
		return nil
	}
	return p.reload(ctx, h)
}

const (
	drainGlance = 100 * time.Millisecond // between two looks at the queue
	drainKick   = time.Second            // between two requests to the queue manager
)

// kick has the queue manager look into the folder of new mails; see postkick(1).
func (p *postfixServer) kick(ctx context.Context, h *host.Host) error {
	if _, err := h.RunCommand(ctx, host.Script(postfixRun, "postkick", "-c", p.dir, "public", "qmgr", "I")); err != nil {
		return fmt.Errorf("cannot reach the queue manager of Postfix on %s: %w", h.Name(), postfixError(err))
	}
	return nil
}

// drain waits until nothing is under way. It looks twice: a bounce is a new mail that comes up while the old one goes.
//
// A reload begins a new queue manager, which puts every mail back among the new ones, and skips those that a delivery of the old
// one still has in hand ("skipped, still being delivered"). Nothing would make it look again before its next round, up to five
// minutes later, since no new mail comes; so it is asked to.
func (p *postfixServer) drain(ctx context.Context, do *module.Apply, wait time.Duration) error {
	deadline, kick := time.Now().Add(wait), time.Now()
	for quiet := 0; ; {
		moving, waiting, err := p.counts(ctx)
		if err != nil {
			return err
		}
		if moving == 0 {
			quiet++
		} else {
			quiet = 0
		}
		if quiet == 2 {
			do.Output("queued", waiting)
			return nil
		}
		if time.Now().After(deadline) {
			err := fmt.Errorf("cannot freeze Postfix on %s: after %s %s still under way", p.view.Name(), module.FormatDuration(wait), isAre(moving, "mail"))
			return module.WithHint(err, "it takes no mail and goes on delivering; see postqueue -p there, then go on with the same step, or go back with postfix.thaw")
		}
		if moving > 0 && !time.Now().Before(kick) {
			// A queue manager that is just being replaced cannot be asked, and postkick even dies of SIGPIPE: the next time will do.
			var exit *host.ExitError
			if err := p.kick(ctx, do.Host(p.view)); err != nil && !errors.As(err, &exit) {
				return err
			}
			kick = time.Now().Add(drainKick)
		}
		do.Progress(module.Progress{Label: "deliveries under way", Total: int64(moving), Unit: "mails"})
		if err := sleep(ctx, drainGlance); err != nil {
			return err
		}
	}
}

// isAre is "1 mail is", "2 mails are".
func isAre(n int, what string) string {
	if n == 1 {
		return countOf(n, what) + " is"
	}
	return countOf(n, what) + " are"
}

func planPostfixThaw(ctx context.Context, a *postfixThawArgs) (*module.Plan, error) {
	p, err := findPostfix(ctx, a.On, a.Wait)
	if err != nil {
		return nil, err
	}
	plan := &module.Plan{Output: p.output()}
	marked, ran := postfix.Frozen(p.master)
	if !marked {
		plan.Note = "not frozen"
		return plan, nil
	}
	thawed := postfix.Thaw(p.master)
	start := ran && !p.state.running
	// The mark goes last: a thaw that was broken off can be done again.
	plan.Starts = []string{"SMTP"}
	summary := "take mail again: " + strings.Join(postfix.Taking(thawed), ", ")
	if start {
		summary += "; start Postfix"
	}
	plan.Changes = []module.Change{{
		Summary: summary, Before: joined(postfix.Taking(p.master)), After: joined(postfix.Taking(thawed)),
		Apply: func(ctx context.Context, do *module.Apply) error {
			h := do.Host(p.view)
			if err := p.rewrite(ctx, h, postfix.Thaw); err != nil {
				return err
			}
			var err error
			switch {
			case start:
				err = p.service.carryOut(ctx, do, "start")
			case p.state.running:
				err = p.reload(ctx, h)
			}
			if err != nil {
				again := func(text string) string { return postfix.Freeze(text, ran) }
				if undo := p.rewrite(context.WithoutCancel(ctx), h, again); undo != nil {
					return fmt.Errorf("%w; and master.cf could not be frozen again: %w", err, undo)
				}
			}
			return err
		},
	}}
	return plan, nil
}
