package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"runner/runtime/host"
	"runner/runtime/module"
	"runner/runtime/recipe"
	"runner/runtime/run"
	"runner/runtime/transport"
)

func newDoctorCommand() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "doctor [HOST...]",
		Short: "Look at hosts: what works, what would not, and why",
		Long: `Connects to hosts of the site, or to addresses as ssh takes them, and tells what
recipes will find there: ssh and its host key, sudo, the init system, the clock,
disks, and tools. What would not work is told with the reason and what to do.
Nothing is changed. Without HOST: all hosts of the site.

Exit codes: 0 all is well, or there are warnings only; 2 something would not
work; 4 a host could not be reached.`,
		ValidArgsFunction: offer(f.hostNames),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := f.doctor(c, args)
			if err != nil {
				return err
			}
			return d.visit(c.Context(), args)
		},
	}
	f.place(c)
	f.completeFlags(c)
	return c
}

// doctor looks at hosts, one after the other.
type doctor struct {
	hosts *siteHosts
	job   *job
	out   io.Writer
	width int
}

func (f *flags) doctor(c *cobra.Command, args []string) (*doctor, error) {
	path, err := findSite(f.site, nil)
	if err != nil {
		return nil, err
	}
	j := &job{flags: f, command: c, src: &source{path: "."}, site: path, mask: run.NewMasker(), console: run.OpenConsole()}
	site, err := j.readSite(c.Context())
	if err != nil {
		return nil, err
	}
	if site.Hosts == nil {
		site.Hosts = map[string]recipe.SiteHost{}
	}
	for _, name := range args {
		if _, known := site.Hosts[name]; known {
			continue
		}
		if _, err := transport.Parse(name); err != nil {
			return nil, usage("%w", err)
		}
		if near := module.Nearest(name, slices.Collect(maps.Keys(site.Hosts))); near != "" && !strings.ContainsAny(name, "@.:") && name != "local" {
			return nil, &run.Failure{Code: run.ExitRecipe, Err: fmt.Errorf("cannot find the host %s in %s; did you mean %s?", name, path, near),
				Hint: "an address that is in no site is written user@name"}
		}
		site.Hosts[name] = recipe.SiteHost{Name: name, Address: name}
	}
	if len(args) == 0 && len(site.Hosts) == 0 {
		return nil, &run.Failure{Code: run.ExitRecipe, Err: errors.New("cannot look at a host: none was given, and there is no site with hosts"), Hint: "runner doctor user@name"}
	}
	return &doctor{hosts: newSiteHosts(site, j), job: j, out: c.OutOrStdout(), width: docWidth}, nil
}

func (d *doctor) visit(ctx context.Context, names []string) error {
	defer d.job.console.Close()
	defer d.hosts.close()
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(d.hosts.site.Hosts))
	}
	worst := run.ExitOK
	for i, name := range names {
		if i > 0 {
			fmt.Fprintln(d.out)
		}
		findings, code := d.examine(ctx, name)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		worst = max(worst, code)
		heading := name
		if address := d.hosts.site.Hosts[name].Address; address != name {
			heading += " (" + address + ")"
		}
		d.print(heading, findings)
	}
	if worst != run.ExitOK {
		return run.Silent(worst)
	}
	return nil
}

// finding is one thing that was looked at.
type finding struct {
	state string // "ok", "warning", "wrong" or "" for what is neither good nor bad
	about string // "ssh", "sudo" …
	what  string
	do    string // what to do about it
}

func (d *doctor) examine(ctx context.Context, name string) (list []finding, code int) {
	h, err := d.hosts.Open(ctx, module.HostName(name), new(false))
	if err != nil {
		return []finding{wrong("site", err)}, run.ExitRecipe
	}
	e := &examination{hosts: d.hosts, login: h}
	e.wantSudo, _ = d.hosts.site.Hosts[name].Fields["sudo"].(bool)
	e.become, _ = d.hosts.site.Hosts[name].Fields["become"].(string)
	e.run(ctx)
	var unreachable *host.UnreachableError
	switch {
	case errors.As(e.broken, &unreachable):
		return e.found, run.ExitUnreachable
	case slices.ContainsFunc(e.found, func(f finding) bool { return f.state == "wrong" }):
		return e.found, run.ExitFailed
	}
	return e.found, run.ExitOK
}

// wrong is the finding of an error, with what the error says is to be done.
func wrong(about string, err error) finding {
	f := finding{state: "wrong", about: about, what: err.Error()}
	var unreachable *host.UnreachableError
	if errors.As(err, &unreachable) && unreachable.Err != nil {
		f.what = unreachable.Err.Error()
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		f.do = hinted.Hint()
	}
	return f
}

// print shows the findings of a host in columns of 80.
func (d *doctor) print(name string, list []finding) {
	t := run.TerminalOptions{Out: d.out, Width: d.width}
	if f, ok := d.out.(*os.File); ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb" {
		t.Colour = os.Getenv("NO_COLOR") == ""
	}
	lines := make([]run.Line, len(list))
	for i, f := range list {
		lines[i] = run.Line{State: f.state, About: f.about, Text: d.job.mask.Text(f.what), Do: d.job.mask.Text(f.do)}
	}
	_ = run.WriteLines(t, name, lines) // a terminal that is gone is no reason to look no further
}
