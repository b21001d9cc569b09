package modules

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// packageArgs are the arguments of package.
//
// What apt would do is found out first, and shown: which packages come along and in which version. When others would be removed the step fails,
// unless allow_removal says otherwise. Files of configuration that were changed on the host stay as they are.
//
// Releases that Debian does not serve any more (7 to 10, and older ones) are taken from archive.debian.org with archived = true: for this step alone, the
// host's own sources stay untouched. Their signatures are checked; where a key has expired since, apt refuses until unsigned = true.
//
// # Example
//
//	package { on = new, names = { "postfix", "postfix-mysql", "dovecot-imapd" }, update = "1d", start = false }
//	package { on = old, names = { "rsync" }, archived = true }
//	package { on = new, names = { "dovecot-core=1:2.3.19*" }, preseed = { "postfix postfix/main_mailer_type select No configuration" } }
//	package { on = old, names = { "exim4" }, state = "purged", allow_removal = true }
//
// # Result
//
//   - versions (table): the version of each package of names that is installed
//   - installed (list of string): packages that the step installed or upgraded, with versions
//   - removed (list of string): packages that it removed
type packageArgs struct {
	// Host that has the packages.
	On *host.View `lua:"on,required"`
	// Names of packages. "name=version" demands a version, which may end with "*".
	Names []string `lua:"names,required"`
	// What they are to be: installed in whatever version, in the latest, not installed, or gone with their configuration.
	State string `lua:"state" choice:"present,latest,absent,purged" default:"present"`
	// How old apt's lists of packages may be: older ones are fetched anew first. Without it they are used as they are.
	Update time.Duration `lua:"update"`
	// Whether the services of new packages are started. Without it, as Debian does; false keeps them off until a step starts them.
	Start bool `lua:"start" default:"true"`
	// Whether packages that they only recommend come along.
	Recommends bool `lua:"recommends"`
	// Whether other packages may be removed.
	AllowRemoval bool `lua:"allow_removal"`
	// Answers to what packages ask, as debconf-set-selections(1) reads them.
	Preseed []string `lua:"preseed"`
	// Whether packages come from archive.debian.org instead of the host's own sources.
	Archived bool `lua:"archived"`
	// Lines of sources.list(5) that are used instead of the host's own, for this step.
	Sources []string `lua:"sources"`
	// Whether packages are installed whose signature cannot be checked.
	Unsigned bool `lua:"unsigned"`
}

// packageName is a package, perhaps with its architecture and version (Debian Policy, 5.6.1 and 5.6.12).
var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+(:[a-z0-9-]+)?(=[A-Za-z0-9.+:~*-]+)?$`)

// Validate checks what the types of the arguments cannot.
func (a *packageArgs) Validate() error {
	if len(a.Names) == 0 {
		return errors.New("names is empty")
	}
	gone := a.State == "absent" || a.State == "purged"
	for _, n := range a.Names {
		if !packageName.MatchString(n) {
			return fmt.Errorf("names: %q is no package", n)
		}
		if strings.Contains(n, "=") && a.State != "present" {
			return fmt.Errorf("names: a version does not go with state = %q", a.State)
		}
	}
	for name, lines := range map[string][]string{"preseed": a.Preseed, "sources": a.Sources} {
		for _, l := range lines {
			if strings.ContainsAny(l, "\n\r\x00") || strings.TrimSpace(l) == "" {
				return fmt.Errorf("%s: each must be one line", name)
			}
		}
	}
	switch {
	case a.Archived && len(a.Sources) > 0:
		return errors.New("archived and sources cannot go together")
	case gone && (a.Archived || len(a.Sources) > 0 || a.Update > 0 || len(a.Preseed) > 0 || !a.Start):
		return fmt.Errorf("state = %q goes with names and allow_removal only", a.State)
	}
	return nil
}

func (a *packageArgs) bare() []string {
	var names []string
	for _, n := range a.Names {
		n, _, _ = strings.Cut(n, "=")
		names = append(names, n)
	}
	return names
}

// installedPackage is one line of dpkg-query(1).
type installedPackage struct{ name, status, version string }

func (p installedPackage) installed() bool { return strings.HasSuffix(p.status, " installed") }

// there says that something of the package is left, be it its configuration.
func (p installedPackage) there() bool {
	return p.status != "" && !strings.HasSuffix(p.status, " not-installed")
}

// packageStates asks dpkg for the packages. What it does not know is not in the answer.
func packageStates(ctx context.Context, v *host.View, names []string) (map[string]installedPackage, error) {
	out, err := v.QueryCommand(ctx, host.Command{
		Argv: append([]string{"dpkg-query", "-W", "-f", "${Package}\\t${Status}\\t${Version}\\n", "--"}, names...),
		Env:  map[string]string{"LC_ALL": "C"},
	})
	var exit *host.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.Status != 1) {
		if exit != nil && exit.Status == 127 {
			return nil, fmt.Errorf("cannot look for packages on %s: it has no dpkg, so it is no Debian", v.Name())
		}
		return nil, fmt.Errorf("cannot look for packages on %s: %w", v.Name(), why(err))
	}
	return parsePackages(out.Stdout), nil
}

func parsePackages(text string) map[string]installedPackage {
	found := map[string]installedPackage{}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) != 3 {
			continue
		}
		// One package may be there for several architectures.
		if p := found[f[0]]; !p.installed() {
			found[f[0]] = installedPackage{f[0], f[1], f[2]}
		}
	}
	return found
}

// settled says that dpkg alone shows that nothing is to be done, so that apt need not be asked.
func (a *packageArgs) settled(states map[string]installedPackage) bool {
	for _, n := range a.Names {
		full, version, versioned := strings.Cut(n, "=")
		name, _, _ := strings.Cut(full, ":")
		p := states[name]
		switch a.State {
		case "present":
			if !p.installed() || versioned && !versionMatches(version, p.version) {
				return false
			}
		case "absent":
			if p.installed() {
				return false
			}
		case "purged":
			if p.there() {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func versionMatches(pattern, version string) bool {
	if start, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(version, start)
	}
	return pattern == version
}

func planPackage(ctx context.Context, a *packageArgs) (*module.Plan, error) {
	states, err := packageStates(ctx, a.On, a.bare())
	if err != nil {
		return nil, err
	}
	versions := map[string]any{}
	for name, p := range states {
		if p.installed() {
			versions[name] = p.version
		}
	}
	plan := &module.Plan{Output: map[string]any{"versions": versions, "installed": []string{}, "removed": []string{}}}
	if a.settled(states) {
		plan.Note = a.note(states)
		return plan, nil
	}
	apt, err := newApt(ctx, a)
	if err != nil {
		return nil, err
	}
	stale, err := apt.stale(ctx)
	if err != nil {
		return nil, err
	}
	if stale {
		plan.Changes = append(plan.Changes, module.Change{Summary: "fetch the lists of packages", Action: true, Apply: apt.update})
	}
	todo, err := apt.simulate(ctx)
	var unknown *unknownPackageError
	switch {
	case stale && (errors.As(err, &unknown) || err == nil && todo.empty()): // the new lists may know it, or a newer one
		plan.Changes = append(plan.Changes, apt.change(nil))
	case err != nil:
		return nil, err
	case !todo.empty():
		if err := apt.allowed(todo); err != nil {
			return nil, err
		}
		plan.Changes = append(plan.Changes, apt.change(todo))
	default:
		plan.Note = a.note(states)
	}
	return plan, nil
}

func (a *packageArgs) note(states map[string]installedPackage) string {
	var words []string
	for _, name := range a.bare() {
		name, _, _ = strings.Cut(name, ":")
		if p := states[name]; p.installed() {
			words = append(words, name+" "+p.version)
		}
	}
	if len(words) == 0 {
		return "not installed"
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}
