package modules

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// apt is what apt would do for one call of the module.
type apt struct {
	args    *packageArgs
	sources string // lines of sources.list(5) instead of the host's own; empty: those
}

// archivedReleases are those that archive.debian.org holds, by their number.
var archivedReleases = map[int]string{4: "etch", 5: "lenny", 6: "squeeze", 7: "wheezy", 8: "jessie", 9: "stretch", 10: "buster"}

func newApt(ctx context.Context, a *packageArgs) (*apt, error) {
	p := &apt{args: a, sources: strings.Join(a.Sources, "\n")}
	if !a.Archived {
		return p, nil
	}
	facts, err := a.On.Facts(ctx)
	if err != nil {
		return nil, err
	}
	name := archivedReleases[facts.Major]
	if facts.OS != "debian" || name == "" {
		return nil, module.WithHint(fmt.Errorf("cannot use archived packages on %s: the archive holds Debian 4 to 10, and this is %s %s", a.On.Name(), facts.OS, facts.Version),
			"leave archived out, or name sources")
	}
	p.sources = "deb http://archive.debian.org/debian " + name + " main"
	if facts.Major >= 5 {
		p.sources += "\ndeb http://archive.debian.org/debian-security " + name + "/updates main"
	}
	return p, nil
}

// aptEnv gives apt its surroundings. With sources of its own ($1) it gets lists of its own too, so that those of the host are not touched.
// Nothing may wait for an answer; a release that is served no more has no date that is still valid; apt 1.9.11 and later wait for others who
// hold the lock.
const aptEnv = `PATH=$PATH:/usr/sbin:/sbin; LC_ALL=C; DEBIAN_FRONTEND=noninteractive; DEBCONF_NONINTERACTIVE_SEEN=true; APT_LISTCHANGES_FRONTEND=none
export PATH LC_ALL DEBIAN_FRONTEND DEBCONF_NONINTERACTIVE_SEEN APT_LISTCHANGES_FRONTEND
sources=$1; shift
own=/var/lib/runner/apt
run_apt() {
  if [ -n "$sources" ]; then
    set -- -o "Dir::Etc::sourcelist=$own/sources.list" -o "Dir::Etc::sourceparts=$own/none" -o "Dir::State::lists=$own/lists" \
      -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" -o Acquire::Check-Valid-Until=false "$@"
  fi
  apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}
`

// aptAge prints how many seconds ago the lists were fetched; nothing: never.
const aptAge = aptEnv + `lists=/var/lib/apt/lists
if [ -n "$sources" ]; then
  lists=$own/lists
  printf '%s\n' "$sources" | cmp -s - "$own/sources.list" || exit 0
fi
stamp=$lists/.runner-updated
newest=$(ls -td "$stamp" "$lists"/*_Packages* "$lists"/*Release 2>/dev/null | head -n 1)
[ -n "$newest" ] && echo $(($(date +%s) - $(stat -c %Y "$newest")))
:`

// aptUpdate fetches the lists. The stamp is for lists that had not changed since.
const aptUpdate = aptEnv + `lists=/var/lib/apt/lists
if [ -n "$sources" ]; then
  lists=$own/lists
  mkdir -p "$lists/partial" || exit
  printf '%s\n' "$sources" >"$own/sources.list" || exit
fi
said=$(run_apt update 2>&1) || { printf '%s\n' "$said" | grep -E '^(E|W|Err)' >&2; exit 100; }
case $said in *"Some index files failed"*|*"Failed to fetch"*) printf '%s\n' "$said" | grep -E '^(E|W|Err)' >&2; exit 100;; esac
touch "$lists/.runner-updated"`

// aptDo installs or removes. $2 is what keeps services off ("off"), standard input what answers packages' questions.
const aptDo = aptEnv + `start=$1; shift
answers=$(cat)
if [ -n "$answers" ]; then printf '%s\n' "$answers" | debconf-set-selections || exit; fi
policy=/usr/sbin/policy-rc.d
if [ "$start" = off ] && ! [ -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 130' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" || exit
fi
run_apt -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" >&2`

// apt keeps what it has read of its lists in files of its cache; nothing is written when it only tells what it would do.
const aptSimulate = aptEnv + `run_apt -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -s "$@"`

// words are what apt is asked to do.
func (p *apt) words() []string {
	a := p.args
	words := []string{}
	if a.Unsigned {
		words = append(words, "--allow-unauthenticated")
	}
	if !a.Recommends {
		words = append(words, "--no-install-recommends")
	}
	switch a.State {
	case "absent":
		words = append(words, "remove")
	case "purged":
		words = append(words, "--purge", "remove")
	default:
		words = append(words, "install")
	}
	return append(append(words, "--"), a.Names...)
}

func (p *apt) doing() string {
	verb := map[string]string{"absent": "remove", "purged": "purge", "latest": "install the latest"}[p.args.State]
	if verb == "" {
		verb = "install"
	}
	return verb + " " + strings.Join(p.args.Names, ", ")
}

// stale says whether the lists are older than they may be, or, where they are of sources of this step, are not there.
func (p *apt) stale(ctx context.Context) (bool, error) {
	if p.args.Update == 0 && p.sources == "" {
		return false, nil
	}
	out, err := p.args.On.QueryScript(ctx, aptAge, p.sources)
	if err != nil {
		return false, fmt.Errorf("cannot look at the lists of packages on %s: %w", p.args.On.Name(), why(err))
	}
	text := strings.TrimSpace(out.Stdout)
	if text == "" {
		return true, nil
	}
	var age float64
	if _, err := fmt.Sscanf(text, "%f", &age); err != nil {
		return false, fmt.Errorf("cannot look at the lists of packages on %s: their age is %q", p.args.On.Name(), text)
	}
	return p.args.Update > 0 && age > p.args.Update.Seconds(), nil
}

func (p *apt) update(ctx context.Context, do *module.Apply) error {
	do.Progress(module.Progress{Label: "fetching the lists of packages"})
	_, err := do.Host(p.args.On).RunCommand(ctx, host.Script(aptUpdate, p.sources))
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("cannot fetch the lists of packages on %s: %w", p.args.On.Name(), aptReason(err))
	text := strings.ToLower(wrapped.Error())
	if !p.args.Archived && (strings.Contains(text, "404 ") || strings.Contains(text, "valid-until") || strings.Contains(text, "is not valid anymore")) {
		return module.WithHint(wrapped, "the release may not be served any more: archived = true takes it from archive.debian.org")
	}
	return wrapped
}

// aptTodo is what apt would do.
type aptTodo struct {
	install []string // "postfix 3.7.11-0+deb12u1"
	upgrade []string // "postfix 3.5.25 -> 3.7.11"
	remove  []string
}

func (t *aptTodo) empty() bool { return len(t.install)+len(t.upgrade)+len(t.remove) == 0 }

var (
	aptInst = regexp.MustCompile(`^Inst (\S+)(?: \[([^\]]*)\])? \((\S+)`)
	aptRemv = regexp.MustCompile(`^(?:Remv|Purg) (\S+)(?: \[([^\]]*)\])?`)
)

// parseSimulation reads what `apt-get -s` prints.
func parseSimulation(text string) *aptTodo {
	t := &aptTodo{}
	for line := range strings.Lines(text) {
		if m := aptInst.FindStringSubmatch(line); m != nil {
			if m[2] == "" {
				t.install = append(t.install, m[1]+" "+m[3])
			} else {
				t.upgrade = append(t.upgrade, fmt.Sprintf("%s %s -> %s", m[1], m[2], m[3]))
			}
		} else if m := aptRemv.FindStringSubmatch(line); m != nil {
			t.remove = append(t.remove, strings.TrimSpace(m[1]+" "+m[2]))
		}
	}
	return t
}

// unknownPackageError says that apt knows no such package.
type unknownPackageError struct{ err error }

func (e *unknownPackageError) Error() string { return e.err.Error() }
func (e *unknownPackageError) Unwrap() error { return e.err }

func (p *apt) simulate(ctx context.Context) (*aptTodo, error) {
	out, err := p.args.On.QueryScript(ctx, aptSimulate, append([]string{p.sources}, p.words()...)...)
	if err == nil {
		return parseSimulation(out.Stdout), nil
	}
	wrapped := fmt.Errorf("cannot %s on %s: %w", p.doing(), p.args.On.Name(), aptReason(err))
	var exit *host.ExitError
	if errors.As(err, &exit) {
		for _, words := range []string{"Unable to locate package", "Couldn't find package", "has no installation candidate", "was not found", "Couldn't find any package"} {
			if strings.Contains(exit.Stderr+out.Stdout, words) {
				return nil, &unknownPackageError{module.WithHint(module.Absent(wrapped), "update = \"1d\" fetches the lists of packages when they are older")}
			}
		}
	}
	return nil, wrapped
}

// aptReason is what apt says is wrong: its lines of errors.
func aptReason(err error) error {
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	var lines []string
	for line := range strings.Lines(exit.Stderr) {
		text, wrong := strings.CutPrefix(strings.TrimSpace(line), "E: ")
		if !wrong && len(lines) == 0 { // of what could not be fetched the first is enough
			if text, wrong = strings.CutPrefix(text, "W: "); wrong {
				wrong = strings.HasPrefix(text, "Failed to fetch")
			}
		}
		if wrong && !slices.Contains(lines, text) {
			lines = append(lines, text)
		}
	}
	if len(lines) == 0 {
		return why(err)
	}
	return &reason{strings.Join(lines, "; "), err}
}

// allowed refuses what nobody asked for.
func (p *apt) allowed(t *aptTodo) error {
	if p.args.AllowRemoval {
		return nil
	}
	var others []string
	for _, r := range t.remove {
		name, _, _ := strings.Cut(r, " ")
		bare, _, _ := strings.Cut(name, ":")
		gone := p.args.State == "absent" || p.args.State == "purged"
		if !gone || !slices.Contains(p.args.bare(), name) && !slices.Contains(p.args.bare(), bare) {
			others = append(others, r)
		}
	}
	if len(others) == 0 {
		return nil
	}
	return module.WithHint(fmt.Errorf("cannot %s on %s: that would remove %s", p.doing(), p.args.On.Name(), strings.Join(others, ", ")),
		"allow_removal = true lets it")
}

// change does it; todo nil: what it is shows only after the lists are new.
func (p *apt) change(todo *aptTodo) module.Change {
	c := module.Change{Summary: p.doing(), Apply: func(ctx context.Context, do *module.Apply) error { return p.apply(ctx, do) }}
	if todo == nil {
		return c
	}
	if n := len(todo.install) + len(todo.upgrade) - len(p.args.Names); n > 0 && len(todo.remove) == 0 {
		c.Summary += fmt.Sprintf(" and %d more that they need", n)
	}
	c.Destroys = len(todo.remove) > 0
	c.Before = strings.Join(todo.remove, "\n")
	c.After = strings.Join(slices.Concat(todo.install, todo.upgrade), "\n")
	return c
}

func (p *apt) apply(ctx context.Context, do *module.Apply) error {
	a := p.args
	todo, err := p.simulate(ctx) // the lists may be new by now
	if err != nil {
		return err
	}
	if err := p.allowed(todo); err != nil || todo.empty() {
		return err
	}
	before, err := packageStates(ctx, a.On, a.bare())
	if err != nil {
		return err
	}
	do.Keep(module.Original{Host: a.On.Name(), Object: "packages " + strings.Join(a.bare(), ", "), Value: a.note(before)})
	do.Progress(module.Progress{Label: p.doing(), Total: int64(len(todo.install) + len(todo.upgrade) + len(todo.remove)), Unit: "packages"})
	start := "on"
	if !a.Start {
		start = "off"
	}
	c := host.Script(aptDo, append([]string{p.sources, start}, p.words()...)...)
	c.Stdin = strings.NewReader(strings.Join(a.Preseed, "\n"))
	if _, err := do.Host(a.On).RunCommand(ctx, c); err != nil {
		wrapped := fmt.Errorf("cannot %s on %s: %w", p.doing(), a.On.Name(), aptReason(err))
		if strings.Contains(wrapped.Error(), "authenticated") || strings.Contains(wrapped.Error(), "force-yes") {
			return module.WithHint(wrapped, "the keys that signed the packages are unknown or have expired; unsigned = true installs them all the same")
		}
		return module.WithHint(wrapped, "/var/log/apt/term.log and /var/log/dpkg.log of "+a.On.Name()+" tell more")
	}
	do.Output("installed", nonNil(slices.Concat(todo.install, todo.upgrade)))
	do.Output("removed", nonNil(todo.remove))
	return nil
}
