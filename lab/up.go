package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Up starts a lab and returns when every host serves. Where it is up already nothing is done; a host that is off is started
// with what it had written. It says on w what it does, and at the end how to go on.
func Up(ctx context.Context, asked Options, w io.Writer) error {
	o, err := asked.withDefaults()
	if err != nil {
		return err
	}
	if err := o.checkMachine(ctx, w); err != nil {
		return err
	}
	unlock, err := o.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	say := teller(w)
	l, err := Load(o.Dir)
	switch {
	case errors.Is(err, ErrNotUp):
		if err = create(ctx, o, w, say); err != nil && ctx.Err() != nil {
			return fmt.Errorf("stopped before the lab was up; runner lab up goes on with what is complete, runner lab down removes it: %w", ctx.Err())
		}
		return err
	case err != nil:
		return err
	}
	if l.Options.Name != o.Name {
		return fmt.Errorf("cannot start the lab %q in %s: the lab %q lives there", o.Name, o.Dir, l.Options.Name)
	}
	if differences := l.Options.differences(asked); len(differences) > 0 {
		return fmt.Errorf("cannot change the lab %q while it is up: %s; call runner lab down first", o.Name, strings.Join(differences, ", "))
	}
	off := l.off()
	if len(off) == 0 && l.networkStands() {
		fmt.Fprintf(w, "lab %q is up already; runner lab reset puts it back to the seeded state\n", o.Name)
		return l.tell(w)
	}
	if err := l.revive(ctx, off, say); err != nil {
		return err
	}
	return l.tell(w)
}

// teller writes whole lines, also when several goroutines speak.
func teller(w io.Writer) func(format string, args ...any) {
	var mu sync.Mutex
	return func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, format+"\n", args...)
	}
}

// create makes a lab where none is. When it fails before the hosts run, nothing of it stays.
func create(ctx context.Context, o Options, w io.Writer, say func(string, ...any)) (err error) {
	if left := o.leftovers(); len(left) > 0 {
		say("removing what an earlier lab left: %s", strings.Join(left, ", "))
		if err := o.teardown(ctx); err != nil {
			return err
		}
	}
	if err := o.removeState(); err != nil {
		return err
	}
	mirrors, err := o.findMirrors()
	if err != nil {
		return err
	}
	if err := o.checkNetwork(ctx, mirrors); err != nil {
		return err
	}
	l, err := o.plan()
	if err != nil {
		return err
	}
	if err := l.makeKeys(); err != nil {
		return fmt.Errorf("cannot make the keys of the lab: %w", err)
	}
	stacks, err := l.stacks(ctx, mirrors, say)
	if err != nil {
		return err
	}
	booted := false
	defer func() {
		if err != nil && !booted {
			// Not ctx: it may be what ended.
			err = errors.Join(err, o.teardown(context.WithoutCancel(ctx)), o.removeState())
		}
	}()
	if err := l.createNetwork(ctx); err != nil {
		return err
	}
	if err := l.writeFiles(); err != nil {
		return err
	}
	start := time.Now()
	if err := l.bootAll(ctx, func(h *Host) error { return l.boot(ctx, h, stacks[h.Name], true) }); err != nil {
		return err
	}
	booted = true
	if err := l.allReady(ctx); err != nil {
		return err
	}
	say("hosts: ready in %s", time.Since(start).Round(100*time.Millisecond))
	return l.tell(w)
}

// stacks makes or finds the layers of every host, side by side.
func (l *Lab) stacks(ctx context.Context, m mirrors, say func(string, ...any)) (map[string]stack, error) {
	c := &layers{cache: l.Options.Cache, say: say}
	group, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex
	out := map[string]stack{}
	for _, h := range l.Hosts {
		group.Go(func() error {
			s, err := c.stackOf(ctx, l, h, m)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			out[h.Name] = s
			return nil
		})
	}
	return out, group.Wait()
}

// writeFiles writes what programs and people read about the lab. lab.json comes last.
func (l *Lab) writeFiles() error {
	known, err := l.knownHosts()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, data string
	}{{l.KnownHosts, string(known)}, {l.SSHConfig, l.sshConfigText()}, {l.Site, l.siteText()}} {
		if err := writeFile(f.name, []byte(f.data), 0o644); err != nil {
			return fmt.Errorf("cannot write the state of the lab: %w", err)
		}
	}
	if err := l.save(); err != nil {
		return fmt.Errorf("cannot write the state of the lab: %w", err)
	}
	return nil
}

// bootAll boots the DNS host first: a mail server greets a client only when it has looked up its name.
func (l *Lab) bootAll(ctx context.Context, boot func(*Host) error) error {
	group, _ := errgroup.WithContext(ctx)
	for _, h := range l.Hosts {
		if h.isDNS() {
			if err := boot(h); err != nil {
				return err
			}
		}
	}
	for _, h := range l.Servers() {
		group.Go(func() error { return boot(h) })
	}
	return group.Wait()
}

// off are the hosts that do not run.
func (l *Lab) off() []*Host {
	var out []*Host
	for _, h := range l.Hosts {
		if h.PID() == 0 {
			out = append(out, h)
		}
	}
	return out
}

// networkStands says whether the links and namespaces of the lab are there; a restart of the machine takes them away.
func (l *Lab) networkStands() bool {
	if !exists("/sys/class/net/" + l.Options.link()) {
		return false
	}
	for _, h := range l.Hosts {
		if !exists(l.Options.netnsPath(h.Name)) {
			return false
		}
	}
	return true
}

// revive brings back what is missing of a lab that was up.
func (l *Lab) revive(ctx context.Context, off []*Host, say func(string, ...any)) error {
	mirrors, err := l.Options.findMirrors()
	if err != nil {
		return err
	}
	if !l.networkStands() {
		say("setting up the network again")
		if err := l.Options.teardown(ctx); err != nil {
			return err
		}
		if err := l.Options.checkNetwork(ctx, mirrors); err != nil {
			return err
		}
		if err := l.createNetwork(ctx); err != nil {
			return err
		}
		off = l.Hosts
	}
	for _, h := range off {
		say("starting %s", h.Name)
	}
	c := &layers{cache: l.Options.Cache, say: say}
	for _, h := range off {
		// A host that was never booted, because Up was killed, knows no layers yet.
		if !exists(h.bootFile()) {
			s, err := c.stackOf(ctx, l, h, mirrors)
			if err != nil {
				return err
			}
			if err := writeJSON(h.bootFile(), s); err != nil {
				return err
			}
		}
		if err := l.start(ctx, h, false); err != nil {
			return err
		}
	}
	return l.allReady(ctx)
}

// Reset puts the hosts of a lab back to the seeded state; without names, all of them.
func Reset(ctx context.Context, o Options, w io.Writer, names ...string) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	if err := mustBeRoot("reset the lab"); err != nil {
		return err
	}
	if _, err := Load(o.Dir); err != nil {
		return err
	}
	unlock, err := o.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	l, err := Load(o.Dir)
	if err != nil {
		return err
	}
	hosts := l.Hosts
	if len(names) > 0 {
		hosts = nil
		for _, name := range names {
			h, err := l.Host(name)
			if err != nil {
				return err
			}
			hosts = append(hosts, h)
		}
	}
	if !l.networkStands() {
		return fmt.Errorf("cannot reset the lab %q: its network is gone; runner lab up brings it back", o.Name)
	}
	start := time.Now()
	group := errgroup.Group{}
	for _, h := range hosts {
		group.Go(func() error {
			if err := h.Kill(); err != nil {
				return err
			}
			return l.start(ctx, h, true)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := l.ready(ctx, hosts...); err != nil {
		return err
	}
	fmt.Fprintf(w, "lab %q is reset: ready in %s\n", o.Name, time.Since(start).Round(100*time.Millisecond))
	return nil
}

// tell says how to go on.
func (l *Lab) tell(w io.Writer) error {
	site, err := os.ReadFile(l.Site)
	if err != nil {
		return fmt.Errorf("cannot read the site of the lab: %w", err)
	}
	fmt.Fprintf(w, "\n%s:\n\n", l.Site)
	for line := range strings.Lines(string(site)) {
		fmt.Fprintf(w, "    %s", line)
	}
	shell := "runner lab shell old"
	if l.Options.Name != DefaultName {
		shell = "runner lab shell --name " + l.Options.Name + " old"
	}
	fmt.Fprintf(w, "\nlook around:  %s\n", shell)
	recipe := map[string]string{"wheezy": "wheezy-jessie", "lenny": "lenny-jessie", shapeWeb: "web-server"}[l.Options.OldShape]
	fmt.Fprintf(w, "go on with:   runner --site %s %s\n", l.Site, recipe)
	return nil
}
