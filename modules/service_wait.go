package modules

import (
	"context"
	"fmt"
	"strings"
	"time"

	"runner/runtime/module"
)

const (
	serviceGlance  = 100 * time.Millisecond // between the first looks at a service that is to change
	serviceGlances = time.Second            // the longest time between two looks
	reloadGrace    = 2 * time.Second        // how long a service that was told to reload may seem not to run
)

// carryOut starts, stops or restarts and waits until it is so.
func (s *service) carryOut(ctx context.Context, do *module.Apply, verb string) error {
	deadline := time.Now().Add(s.args.Wait)
	if err := s.manager.do(ctx, do.Host(s.args.On), verb); err != nil {
		return s.failure(ctx, verb, err.Error())
	}
	if verb == "stop" {
		if err := s.waitStopped(ctx, do, deadline); err != nil {
			return err
		}
		return s.waitGone(ctx, do, deadline)
	}
	return s.waitRunning(ctx, do, verb, deadline)
}

func (s *service) reload(ctx context.Context, do *module.Apply) error {
	if err := s.manager.do(ctx, do.Host(s.args.On), "reload"); err != nil {
		return s.failure(ctx, "reload", err.Error())
	}
	// A program that starts itself anew on the signal, as sshd does, has no PID file for a moment.
	for deadline := time.Now().Add(reloadGrace); ; {
		now, err := s.manager.look(ctx, s.args.On)
		if err != nil || now.running {
			return err
		}
		if time.Now().After(deadline) {
			return s.failure(ctx, "reload", "it does not run any more: "+now.why())
		}
		if err := sleep(ctx, serviceGlance); err != nil {
			return err
		}
	}
}

// waitRunning waits until the service runs, and goes on running for as long as its kind needs to be trusted.
func (s *service) waitRunning(ctx context.Context, do *module.Apply, verb string, deadline time.Time) error {
	var since time.Time
	for pause := serviceGlance; ; pause = min(pause*3/2, serviceGlances) {
		now, err := s.manager.look(ctx, s.args.On)
		if err != nil {
			return err
		}
		switch {
		case now.running && !now.busy:
			if since.IsZero() {
				since = time.Now()
			}
			settle := s.manager.settle()
			if time.Since(since) >= settle {
				return nil
			}
			pause = settle - time.Since(since)
		case !now.busy:
			return s.failure(ctx, verb, now.why())
		case time.Now().After(deadline):
			return s.failure(ctx, verb, fmt.Sprintf("after %s it is still %s", module.FormatDuration(s.args.Wait), now.detail))
		default:
			since = time.Time{}
			do.Progress(module.Progress{Label: fmt.Sprintf("waiting for %s: %s", s.manager.name(), now.detail)})
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (s *service) waitStopped(ctx context.Context, do *module.Apply, deadline time.Time) error {
	for pause := serviceGlance; ; pause = min(pause*3/2, serviceGlances) {
		now, err := s.manager.look(ctx, s.args.On)
		if err != nil {
			return err
		}
		if !now.running && !now.busy && len(now.also) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return s.failure(ctx, "stop", fmt.Sprintf("after %s it is still %s", module.FormatDuration(s.args.Wait), now.detail))
		}
		do.Progress(module.Progress{Label: fmt.Sprintf("waiting for the end of %s: %s", s.manager.name(), now.detail)})
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// waitGone waits until none of the service's programs is left, and after a while asks those that are to end.
func (s *service) waitGone(ctx context.Context, do *module.Apply, deadline time.Time) error {
	if len(s.args.Processes) == 0 {
		return nil
	}
	kill, asked := time.Now().Add(s.args.KillAfter), map[int]bool{}
	for pause := serviceGlance; ; pause = min(pause*3/2, serviceGlances) {
		left, err := s.left(ctx)
		if err != nil || len(left) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot stop %s on %s: after %s there is still left: %s",
				s.manager.name(), s.args.On.Name(), s.args.Wait, describeProcesses(left))
		}
		if !time.Now().Before(kill) {
			if err := endProcesses(ctx, do.Host(s.args.On), left, asked); err != nil {
				return err
			}
		}
		do.Progress(module.Progress{Label: "waiting for the end of " + describeProcesses(left), Total: int64(len(left)), Unit: "processes"})
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (s *service) left(ctx context.Context) ([]process, error) {
	if len(s.args.Processes) == 0 {
		return nil, nil
	}
	return findProcesses(ctx, s.args.On, s.args.Processes)
}

func (s *serviceState) why() string {
	if s.problem != "" {
		return s.problem
	}
	return "it is " + s.detail
}

// failure is the error of a service that is not what it should be, with what it logged last.
func (s *service) failure(ctx context.Context, verb, why string) error {
	text := fmt.Sprintf("cannot %s %s on %s: %s", verb, s.manager.name(), s.args.On.Name(), why)
	if lines := s.manager.recent(ctx, s.args.On); len(lines) > 0 {
		text += "\nlast lines of its log:\n  " + strings.Join(lines, "\n  ")
	}
	return module.WithHint(fmt.Errorf("%s", text), s.manager.hint())
}

// sleep waits, or ends early with the reason for which ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
