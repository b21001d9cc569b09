package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"runner/runtime/module"
	"runner/runtime/recipe"
	"runner/runtime/run"
)

func newPlanCommand() *cobra.Command {
	var f flags
	var out string
	c := &cobra.Command{
		Use:   "plan RECIPE -o FILE",
		Short: "Keep in a file what would be done, changing nothing",
		Long: `Does what runner --check does and keeps each step in a file: its hosts, what it
would change, what is there before. runner apply FILE does exactly that later,
and stops when the hosts are no longer as the plan saw them. Secrets are masked
in the file, which only its owner can read.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return &run.Failure{Err: errors.New("cannot plan: no recipe was given"), Code: run.ExitRecipe, Hint: "runner plan RECIPE -o FILE"}
			case len(args) > 1:
				return tooMany(c, args, 1, "one recipe")
			case out == "":
				return &run.Failure{Err: errors.New("cannot plan: no file was given to keep the plan in"), Code: run.ExitRecipe, Hint: "runner plan " + args[0] + " -o FILE"}
			}
			src, err := findRecipe(args[0], stock(), commandNames(c.Root()))
			if err != nil {
				return err
			}
			f.check = true
			j, err := f.job(c, src)
			if err != nil {
				return err
			}
			return j.plan(c.Context(), out)
		},
	}
	f.place(c)
	f.output(c)
	f.inputs(c)
	f.narrow(c)
	f.choose(c)
	c.Flags().StringVarP(&out, "output", "o", "", "`FILE` to keep the plan in")
	c.ValidArgsFunction = offerRecipes
	f.completeFlags(c)
	return c
}

func (j *job) plan(ctx context.Context, out string) error {
	if err := j.findUnfinished(); err != nil {
		return err
	}
	p := &run.SavedPlan{Created: time.Now()}
	j.adjust = func(l *loaded, o *run.Options) (err error) {
		o.Plan = p
		p.Basis, err = j.basis(ctx, l, "")
		return err
	}
	if err := j.work(ctx, run.Run); err != nil {
		return err
	}
	if err := p.Write(out); err != nil {
		return &run.Failure{Err: err, Code: run.ExitRecipe}
	}
	if j.json {
		return nil
	}
	text := fmt.Sprintf("The plan of %d steps is in %s. Do it with: runner apply %s\n", len(p.Steps), out, out)
	if !p.Complete {
		text += "What could not be told before other steps are done is planned again when they are: the apply goes on as far as nothing\nis destroyed that the plan does not name.\n"
	}
	_, err := fmt.Fprint(j.command.OutOrStdout(), text)
	return err
}

// basis is what a plan is made from, or what it would be made from now.
func (j *job) basis(ctx context.Context, l *loaded, salt string) (b run.PlanBasis, err error) {
	b = run.PlanBasis{
		RecipeHash: j.src.sum(), Files: l.program.Files(), State: absolute(j.state.Dir), Version: versionText(), Given: maps.Clone(j.given), Params: maps.Clone(l.params),
		Hosts: l.addresses, Choice: j.choice, Limit: j.limit, Restart: j.restart,
	}
	b.Recipe = absolute(j.src.path)
	if j.src.stock != "" {
		b.Recipe = stockPrefix + j.src.stock
	}
	if j.site != "" {
		text, err := os.ReadFile(j.site)
		if err != nil {
			return b, usage("cannot read the site file %s: %w", j.site, reason(err))
		}
		sum := sha256.Sum256(text)
		b.Site, b.SiteHash = absolute(j.site), hex.EncodeToString(sum[:])
	}
	if j.record != nil {
		b.Run = j.record.ID
		b.Done, _ = j.record.Counts()
	}
	if err := b.Salted(salt, j.secretParams(ctx, l.program.Declaration(), l.params)); err != nil {
		return b, err
	}
	j.mask.MaskBasis(&b)
	return b, nil
}

// secretParams are the values of secret parameters that can be had without asking anybody or running a program.
func (j *job) secretParams(ctx context.Context, d recipe.Declaration, params map[string]any) map[string]string {
	secrets := map[string]string{}
	for _, p := range d.Params {
		switch v := params[p.Name].(type) {
		case module.Secret:
			secrets[p.Name] = v.Reveal()
		case recipe.SecretSource:
			if v.Prompt != "" || v.Name != "" || len(v.Command) > 0 {
				continue
			}
			if value, err := j.secrets().Read(ctx, v); err == nil { // one that cannot be read is told by the step that needs it
				j.mask.Add(value.Reveal())
				secrets[p.Name] = value.Reveal()
			}
		case string:
			if p.Type == "secret" {
				secrets[p.Name] = v
			}
		}
	}
	return secrets
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func newApplyCommand() *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "apply FILE",
		Short: "Do exactly what a plan says that runner plan kept",
		Long: `Looks at all hosts again first: when one is not as the plan saw it, nothing is
changed and each step that differs is shown, as planned and as it would be now.
So it is when the recipe, the site, a parameter or runner itself is another.
Then the plan is done. Each step is held against it once more before its first
change. A step that others come before on the same host may come out otherwise
than could be seen beforehand, which is told; it may never destroy what the plan
does not name, and a step that the plan does not have is not done.
Secrets are not in the plan: they are read again from where they come from.`,
		Args: atMostOne("the file of a plan"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &run.Failure{Err: errors.New("cannot apply: no plan was given"), Code: run.ExitRecipe, Hint: "runner plan RECIPE -o FILE makes one"}
			}
			p, err := run.ReadPlan(args[0])
			if err != nil {
				return err
			}
			j, err := f.applyJob(c, p)
			if err != nil {
				return err
			}
			return j.apply(c.Context(), args[0], p)
		},
	}
	f.output(c)
	f.inputs(c)
	f.answer(c)
	c.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	}
	f.completeFlags(c)
	return c
}

// applyJob is the job that a plan was made for.
func (f *flags) applyJob(c *cobra.Command, p *run.SavedPlan) (*job, error) {
	b := p.Basis
	f.site, f.state, f.limit, f.choice, f.restart = b.Site, b.State, b.Limit, b.Choice, b.Restart
	var src *source
	var err error
	if name, ok := strings.CutPrefix(b.Recipe, stockPrefix); ok {
		src, err = stockRecipe(stock(), name)
	} else {
		src, err = readRecipe(b.Recipe)
	}
	if err != nil {
		return nil, err
	}
	j, err := f.job(c, src)
	if err != nil {
		return nil, err
	}
	for name, value := range b.Given {
		if _, ok := j.given[name]; !ok && !strings.Contains(value, module.Mask) {
			j.given[name] = value
		}
	}
	return j, nil
}

func readRecipe(path string) (*source, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("cannot read the recipe of the plan, %s: %w", path, reason(err))
	}
	return &source{path: recall(path, run.State{}), text: string(text)}, nil
}

// apply looks whether everything is as planned, and does it.
func (j *job) apply(ctx context.Context, file string, p *run.SavedPlan) error {
	unlock, err := j.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := j.findUnfinished(); err != nil {
		return err
	}
	notes := slices.Clone(j.notes)
	j.adjust = func(l *loaded, o *run.Options) error {
		o.Expect = p
		return j.unchanged(ctx, l, file, p)
	}
	j.check = true
	if err := j.work(ctx, run.Rehearse); err != nil {
		return err
	}
	j.check = false
	j.notes = append(notes, fmt.Sprintf("Applying the plan %s of %s: all %d steps were looked at again and are as planned.", file, p.Created.Format("2006-01-02 15:04:05"), len(p.Steps)))
	return j.work(ctx, run.Run)
}

// unchanged says that the plan was made from what is there now.
func (j *job) unchanged(ctx context.Context, l *loaded, file string, p *run.SavedPlan) error {
	now, err := j.basis(ctx, l, p.Basis.Salt)
	if err != nil {
		return err
	}
	differ := p.Basis.Differences(now)
	if len(differ) == 0 {
		return nil
	}
	return &run.Failure{
		Err:  fmt.Errorf("cannot apply the plan %s: it was made from something else\n%s", file, strings.Join(differ, "\n")),
		Code: run.ExitRecipe, Hint: "make and read a new one with: runner plan RECIPE -o " + file,
	}
}
