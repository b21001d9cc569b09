package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"runner/modules"
	"runner/runtime/module"
	"runner/runtime/recipe"
	"runner/runtime/run"
)

// job is one call of the command that works on a recipe.
type job struct {
	*flags
	command *cobra.Command
	src     *source
	site    string
	state   run.State
	given   map[string]string // --param, with those of the run that is gone on with
	record  *run.Record       // the run to go on with; nil: a new one
	notes   []string
	console *run.Console
	named   map[string]recipe.SecretSource // of the site
	mask    *run.Masker
	adjust  func(*loaded, *run.Options) error // has the last word about how it is run; nil: nobody
}

func (f *flags) job(c *cobra.Command, src *source) (*job, error) {
	given, err := f.given()
	if err != nil {
		return nil, err
	}
	if f.json && f.quiet {
		return nil, usage("cannot use --json and --quiet together: --json is for programs and always says all")
	}
	if f.forks < 1 {
		return nil, usage("cannot work on %d hosts at a time: --forks must be 1 or more", f.forks)
	}
	j := &job{flags: f, command: c, src: src, given: given, mask: run.NewMasker()}
	if j.site, err = findSite(f.site, src); err != nil {
		return nil, err
	}
	j.state, err = stateOf(f.state, j.site)
	return j, err
}

// run runs the recipe, or goes on with its last run when that is not finished.
func (j *job) run(ctx context.Context) error {
	unlock, err := j.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := j.findUnfinished(); err != nil {
		return err
	}
	return j.work(ctx, run.Run)
}

// findUnfinished looks for a run of the recipe to go on with.
func (j *job) findUnfinished() error {
	if j.restart {
		return nil
	}
	last, err := j.state.Last(j.src.recorded(j.state))
	if err != nil || last == nil || last.Finished {
		return err
	}
	j.goOnWith(last)
	done, all := last.Counts()
	j.notes = append([]string{fmt.Sprintf("Going on with run %s, %s: %d of %d tasks are done (--restart begins a new run).", last.ID, last.State(), done, all)}, j.notes...)
	return nil
}

// goOnWith takes over what the run was begun with and notes what is different now.
func (j *job) goOnWith(r *run.Record) {
	j.record = r
	for name, value := range r.Start.Given {
		// The journal holds no secrets: those are asked for again.
		if _, ok := j.given[name]; !ok && !strings.Contains(value, module.Mask) {
			j.given[name] = value
		}
	}
}

// changed says what is not as when the run was begun that is gone on with. What only looks, or shows its plan and asks, notes it.
func (j *job) changed(l *loaded) []string {
	if j.record == nil {
		return nil
	}
	now := run.Start{SHA256: j.src.sum(), Files: l.program.Files(), Params: j.mask.MaskParams(l.params), Hosts: l.addresses, Plan: run.TasksOf(l.program)}
	list := j.record.Start.Since(j.src.path, now)
	if len(list) == 0 || !j.check && j.command.Name() != "undo" {
		return list
	}
	j.notes = append(j.notes, "Since the run was begun:\n  "+strings.Join(list, "\n  "))
	return nil
}

func (j *job) lock() (unlock func(), err error) {
	if j.check || j.flags.list {
		return func() {}, nil
	}
	l, err := j.state.Lock("runner "+strings.Join(lockedArgs(j.command, j.src), " "), time.Now())
	if err != nil {
		return nil, err
	}
	if text := l.Told(time.Now()); text != "" {
		j.notes = append(j.notes, text)
	}
	return func() { _ = l.Release() }, nil
}

// lockedArgs is the command for the lock file: without the values of parameters, which may be secret.
func lockedArgs(c *cobra.Command, src *source) []string {
	if c.HasParent() {
		return []string{c.Name()}
	}
	return []string{src.path}
}

// work loads the recipe and hands it to what runs it.
func (j *job) work(ctx context.Context, how func(context.Context, run.Options) error) error {
	stop, ctx := run.NewStopper(ctx)
	defer watchSignals(stop)()
	j.console = run.OpenConsole()
	defer j.console.Close()
	loaded, err := j.load(ctx)
	if err != nil {
		return err
	}
	defer loaded.close()
	wheel := run.NewWheel(stop)
	if !j.check {
		end, err := wheel.Listen(j.state)
		if err != nil {
			return err
		}
		defer end()
	}
	answers, err := j.answers(loaded)
	if err != nil {
		return err
	}
	reporter := j.reporter()
	changed := j.changed(loaded)
	o := run.Options{
		State: j.state, Program: loaded.program, Recipe: loaded.name, Record: j.record, Start: j.start(loaded), Modules: modules.All(), Hosts: loaded.hosts,
		Mask: j.mask, Stop: stop, Wheel: wheel, Operator: j.console, Reporters: []run.Reporter{reporter},
		Choice: j.choice, Outside: loaded.outside, Limit: j.limit, Forks: j.forks, Check: j.check, Yes: j.yes,
		Wait: j.wait, Answers: answers, Changed: changed,
		GoOn: "runner " + j.goOn(), Notes: strings.Join(j.notes, "\n"),
	}
	if j.adjust != nil {
		if err := j.adjust(loaded, &o); err != nil {
			return err
		}
	}
	err = how(ctx, o)
	if closed := reporter.Close(); err == nil && closed != nil {
		err = fmt.Errorf("cannot write the output: %w", closed)
	}
	return err
}

func (j *job) start(l *loaded) run.Start {
	s := run.Start{
		File: j.src.recorded(j.state), SHA256: j.src.sum(), Files: l.program.Files(), Params: l.params, Given: maps.Clone(j.given), Hosts: l.addresses, Limit: j.limit, Version: versionText(),
	}
	if j.site != "" {
		s.Site = recorded(j.site, j.state)
	}
	return s
}

// goOn is the command that goes on with the run, with what it needs to find it again.
func (j *job) goOn() string {
	name := "resume"
	if j.command.Name() == "undo" {
		name = "undo"
	}
	if usual, err := (&flags{}).recordedState(); err == nil && usual.Dir == j.state.Dir {
		return name
	}
	if j.flags.state == "" && j.site != "" {
		return name + " --site " + j.site
	}
	return name + " --state " + recall(j.state.Dir, run.State{})
}

func (j *job) reporter() run.Reporter {
	out := j.command.OutOrStdout()
	if j.json {
		return run.NewJSON(out)
	}
	verbose, _ := j.command.Flags().GetBool("verbose")
	o := run.TerminalOptions{Out: out, Diff: j.diff, Verbose: verbose, Quiet: j.quiet}
	if f, ok := out.(*os.File); ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb" {
		o.Colour, o.Live = os.Getenv("NO_COLOR") == "", !j.quiet
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			o.Width = width
		}
	}
	return run.NewTerminal(o)
}

// list shows phases and tasks, and of an unfinished run what is done.
func (j *job) list(ctx context.Context) error {
	if err := j.findUnfinished(); err != nil {
		return err
	}
	loaded, err := j.load(ctx)
	if err != nil {
		return err
	}
	defer loaded.close()
	var b strings.Builder
	fmt.Fprintln(&b, loaded.name)
	for _, p := range loaded.program.Phases() {
		fmt.Fprintf(&b, "\n%s", p.Name)
		if p.Title != "" && p.Title != p.Name {
			fmt.Fprintf(&b, "  %s", p.Title)
		}
		fmt.Fprintln(&b)
		if p.Asks() {
			question, err := loaded.program.Question(ctx, p)
			if err != nil { // it needs what earlier tasks find out
				question = "what depends on the tasks before it"
			}
			fmt.Fprintf(&b, "  (asks: %s)\n", question)
		}
		for _, t := range p.Tasks {
			mark := " "
			if j.record != nil && j.record.Done(run.TaskName{Phase: t.Phase, Task: t.Name}) {
				mark = "*"
			}
			undo := ""
			if t.HasUndo {
				undo = "  (undo)"
			}
			fmt.Fprintf(&b, " %s %s%s\n", mark, t.Name, undo)
		}
	}
	if j.record != nil {
		fmt.Fprintf(&b, "\n* done in run %s, which is not finished\n", j.record.ID)
	}
	_, err = io.WriteString(j.command.OutOrStdout(), b.String())
	return err
}
