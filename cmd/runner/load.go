package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"runner/modules"
	"runner/recipes"
	"runner/runtime/module"
	"runner/runtime/recipe"
	"runner/runtime/run"
)

// loaded is a recipe with what the site and the command line give it.
type loaded struct {
	program   *recipe.Recipe
	name      string
	hosts     *siteHosts
	addresses map[string]string // name in the recipe: address
	params    map[string]any
	outside   func(module.HostName) bool
}

func (l *loaded) close() {
	l.program.Close()
	l.hosts.close()
}

func stock() fs.FS { return recipes.FS }

// sum is the SHA-256 of the recipe's text.
func (s *source) sum() string {
	sum := sha256.Sum256([]byte(s.text))
	return hex.EncodeToString(sum[:])
}

// files are what the recipe may require: the files beside it.
func (s *source) files() fs.FS {
	if s.stock != "" {
		return stock()
	}
	return os.DirFS(filepath.Dir(s.path))
}

func (s *source) source() recipe.Source {
	return recipe.Source{Name: s.path, Text: s.text, Files: s.files(), Stock: stock()}
}

// load reads the site and the recipe. What the recipe needs and nobody has said is asked for on a terminal.
func (j *job) load(ctx context.Context) (*loaded, error) {
	site, err := j.readSite(ctx)
	if err != nil {
		return nil, err
	}
	l := &loaded{}
	options := recipe.Options{
		Modules: modules.All(), Check: j.check, Version: versionText(), Forks: j.forks, Secrets: j.secrets(),
		Resolve: func(d recipe.Declaration) (recipe.Inputs, error) {
			in, err := j.inputs(ctx, d, site)
			if err != nil {
				return in, err
			}
			l.params = in.Params
			j.maskParams(in.Params)
			for _, p := range d.Params {
				// A secret written plainly into the site is still a string here.
				if text, ok := in.Params[p.Name].(string); ok && p.Type == "secret" && text != "" {
					j.mask.Add(text)
				}
			}
			l.addresses = addresses(site, in)
			return in, j.limitTo(l, in)
		},
	}
	if l.program, err = recipe.Load(ctx, j.src.source(), options); err != nil {
		return nil, loadFailure(err)
	}
	l.name = l.program.Declaration().Name
	if l.name == "" {
		l.name = j.src.path
	}
	j.notes = append(j.notes, l.program.Notes()...)
	l.hosts = newSiteHosts(site, j)
	if l.outside == nil {
		l.outside = func(module.HostName) bool { return false }
	}
	return l, nil
}

func (j *job) readSite(ctx context.Context) (*recipe.Site, error) {
	if j.site == "" {
		return &recipe.Site{}, nil
	}
	text, err := os.ReadFile(j.site)
	if err != nil {
		return nil, usage("cannot read the site file %s: %w", j.site, reason(err))
	}
	site, err := recipe.LoadSite(ctx, j.site, string(text))
	if err != nil {
		return nil, loadFailure(err)
	}
	j.named = site.Secrets
	return site, j.checkHosts(ctx, site, string(text))
}

// checkHosts refuses hosts that cannot be what they say, before anything is run on the others.
func (j *job) checkHosts(ctx context.Context, site *recipe.Site, text string) error {
	hosts := &siteHosts{site: site, j: j}
	for _, name := range slices.Sorted(maps.Keys(site.Hosts)) {
		_, err := hosts.spec(ctx, site.Hosts[name])
		var f *run.Failure
		if errors.As(err, &f) && f.At != nil && f.At.Line > 0 {
			if lines := strings.Split(text, "\n"); f.At.Line <= len(lines) {
				f.Source = lines[f.At.Line-1]
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *job) secrets() recipe.SecretReader {
	r := recipe.SecretReader{Dir: filepath.Dir(j.src.path), Named: j.named}
	if j.site != "" {
		r.Dir = filepath.Dir(j.site)
	}
	if j.console != nil && j.console.Present() {
		r.Prompt = func(ctx context.Context, question string) (string, error) { return j.console.Secret(ctx, question+" ") }
	}
	return r
}

func (j *job) inputs(ctx context.Context, d recipe.Declaration, site *recipe.Site) (recipe.Inputs, error) {
	in, err := d.Inputs(site, j.given)
	if err != nil {
		return in, err
	}
	in.Check = j.check
	if j.record != nil {
		in.Saved = j.record.Saved
	}
	missing := d.Missing(in)
	if missing == nil {
		return in, nil
	}
	missing.Site = j.site
	if j.flags.list {
		return d.StandIns(in), nil // nothing of it is run
	}
	if j.console == nil || !j.console.Present() {
		return in, missing
	}
	return in, j.askMissing(ctx, missing, site, &in)
}

// askMissing asks for what the site does not say. A group is too much to type; it stays an error.
func (j *job) askMissing(ctx context.Context, missing *recipe.MissingError, site *recipe.Site, in *recipe.Inputs) error {
	if len(missing.Groups) > 0 {
		return missing
	}
	for _, h := range missing.Hosts {
		address, err := j.console.Line(ctx, fmt.Sprintf("Host %s (%s): user@address, or local: ", h.Name, h.Help))
		if err != nil {
			return err
		}
		if address == "" {
			return missing
		}
		if site.Hosts == nil {
			site.Hosts = map[string]recipe.SiteHost{}
		}
		if in.Hosts == nil {
			in.Hosts = map[string]module.HostName{}
		}
		site.Hosts[h.Name] = recipe.SiteHost{Name: h.Name, Address: address}
		in.Hosts[h.Name] = module.HostName(h.Name)
	}
	for _, p := range missing.Params {
		value, err := j.askParam(ctx, p)
		if err != nil {
			return err
		}
		if in.Params == nil {
			in.Params = map[string]any{}
		}
		in.Params[p.Name] = value
	}
	return nil
}

func (j *job) askParam(ctx context.Context, p recipe.ParamDecl) (any, error) {
	question := fmt.Sprintf("Parameter %s (%s): ", p.Name, p.Help)
	if p.Type == "secret" {
		text, err := j.console.Secret(ctx, question)
		return module.NewSecret(text), err
	}
	for {
		text, err := j.console.Line(ctx, question)
		if err != nil {
			return nil, err
		}
		value, err := p.Parse(text)
		if err == nil {
			j.given[p.Name] = text // the journal records it, so that resume need not ask again
			return value, nil
		}
		question = fmt.Sprintf("%v\nParameter %s: ", err, p.Name)
	}
}

func (j *job) maskParams(params map[string]any) {
	for _, v := range params {
		if s, ok := v.(module.Secret); ok && !s.IsZero() {
			j.mask.Add(s.Reveal())
		}
	}
}

func addresses(site *recipe.Site, in recipe.Inputs) map[string]string {
	list := map[string]string{}
	for name, host := range in.Hosts {
		list[name] = site.Hosts[string(host)].Address
	}
	for _, members := range in.Groups {
		for _, host := range members {
			list[string(host)] = site.Hosts[string(host)].Address
		}
	}
	return list
}

func (j *job) limitTo(l *loaded, in recipe.Inputs) (err error) {
	if j.limit == "" {
		return nil
	}
	var hosts []module.HostName
	for _, h := range in.Hosts {
		hosts = append(hosts, h)
	}
	l.outside, err = run.Limit(j.limit, hosts, in.Groups)
	return err
}

// loadFailure gives an error of a recipe or a site file the shape of all others.
func loadFailure(err error) error {
	var wrong *recipe.Error
	if !errors.As(err, &wrong) {
		return err
	}
	f := &run.Failure{Err: errors.New(wrong.What), Code: run.ExitRecipe, Source: wrong.Line, Stack: wrong.Trace}
	if wrong.At.File != "" {
		f.At = &wrong.At
	}
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		f.Hint = hinted.Hint()
	}
	var missing *recipe.MissingError
	if errors.As(err, &missing) {
		f.At, f.Source = nil, "" // it is the site that lacks something, not that line
		f.Err = missing
	}
	var f2 *run.Failure
	if errors.As(err, &f2) {
		return f2
	}
	return f
}

var errDeclared = errors.New("the recipe has declared itself")

// declarationOf reads what a recipe says of itself, and nothing more of it.
func declarationOf(ctx context.Context, src *source) (recipe.Declaration, error) {
	var decl recipe.Declaration
	r, err := recipe.Load(ctx, src.source(), recipe.Options{
		Modules: modules.All(), Version: versionText(),
		Resolve: func(d recipe.Declaration) (recipe.Inputs, error) {
			decl = d
			return recipe.Inputs{}, errDeclared
		},
	})
	if err == nil {
		r.Close()
		return r.Declaration(), nil
	}
	if errors.Is(err, errDeclared) {
		return decl, nil
	}
	return decl, loadFailure(err)
}
