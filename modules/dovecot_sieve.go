package modules

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"runner/modules/internal/dovecot"
	"runner/runtime/host"
	"runner/runtime/module"
)

// dovecotSieveArgs are the sieve scripts of a host that are to be compiled.
//
// Dovecot runs a script from its compiled form (.svbin), and where that is missing, older than the script or of another version compiles
// it at each delivery. Its delivery agents may not write beside the scripts that hold for everybody, so somebody has to do it for them
// (sievec). A script that this Dovecot does not understand is not run at all: its user's mail comes into the INBOX, unsorted. So all scripts are tried before anything
// is changed, and the errors are told by script and line. Those of everybody are found in the settings (sieve_before, sieve_after and the like, imapsieve,
// sieve_script), and the active script of each account where users or database is given. Needs a Dovecot of 2.0 or later with Pigeonhole; for the scripts
// of accounts it must run.
//
// # Example
//
//	dovecot.sieve { on = new, database = "mailserver" }
//	local s = dovecot.sieve { on = new, users = { "john@example.org" }, tolerate = "accounts" }
//
// # Result
//
//   - scripts (integer): how many scripts there are
//   - compiled (list of string): those whose compiled form was missing, older or of another version
//   - errors (list of string): what is wrong with scripts that are left out, as "/etc/dovecot/spam.sieve:2: unknown test"
//   - accounts (list of string): accounts whose scripts these are
type dovecotSieveArgs struct {
	// Host of Dovecot, and of the database.
	On *host.View `lua:"on,required"`
	// Further scripts for everybody, or directories of them, that the settings do not name.
	Scripts []string `lua:"scripts"`
	// Scripts whose errors are only told, and which are left out: none of them, those of accounts, or all.
	Tolerate string `lua:"tolerate" choice:"none,accounts,all" default:"none"`
	dovecotUsers
}

// Validate checks what the types of the arguments cannot.
func (a *dovecotSieveArgs) Validate() error {
	for _, s := range a.Scripts {
		if !path.IsAbs(s) || strings.ContainsAny(s, "\n\x00") {
			return fmt.Errorf("scripts must hold absolute paths, not %q", s)
		}
	}
	return a.check()
}

// scriptMark begins a script in what lookScripts prints; its state, its user, its path and that of the compiled form follow, with tabs between.
const scriptMark = "=== script "

// lookScripts looks at scripts and tries those that have to be compiled. The arguments are threes of a user, or nothing, a script or a directory
// of them, and the directory for what is compiled, or nothing. A link that leads to another script counts as changed, too.
const lookScripts = sbinPath + `
LC_ALL=C; export LC_ALL
tab=$(printf '\t')
look() {
  [ -e "$2" ] || [ -L "$2" ] || return
  compiled=${2%.sieve}.svbin
  [ -z "$3" ] || compiled=$3/${compiled##*/}
  state=wanted
  if [ ! -e "$compiled" ]; then reason=missing
  elif [ -n "$(find "$2" -newer "$compiled" 2>/dev/null; find -L "$2" -newer "$compiled" 2>/dev/null)" ]; then reason=older
  elif command -v sieve-dump >/dev/null && ! sieve-dump "$compiled" >/dev/null 2>&1; then reason='of another version'
  else state=compiled reason=; fi
  said=
  if [ $state = wanted ]; then
    said=$(cd / && sievec -d ${1:+-u "$1"} "$2" 2>&1 >/dev/null) || state=broken
  fi
  real=$(readlink -f -- "$2" 2>/dev/null)
  printf '%s\n' "` + scriptMark + `$state$tab$1$tab$2$tab$compiled$tab${real:-$2}$tab$reason"
  [ $state != broken ] || printf '%s\n' "$said"
}
while [ $# -gt 2 ]; do
  if [ -d "$2" ]; then
    for script in "$2"/*.sieve; do look "$1" "$script" "$3"; done
  else
    look "$1" "$2" "$3"
  fi
  shift 3
done
:`

// compileScript compiles a script of a user, or of everybody, who must be able to read what it makes. A file that sievec is told to write is for its
// owner alone; one that it writes beside the script is not.
const compileScript = sbinPath + `
cd / && umask 022 && sievec ${1:+-u "$1"} "$2" ${3:+"$3"} || exit
[ -z "$3" ] || [ -n "$1" ] || chmod 0644 "$3"`

// sieveScript is a script that was looked at.
type sieveScript struct {
	state, user, path, compiled, real, reason string
	said                                      string
}

func planDovecotSieve(ctx context.Context, a *dovecotSieveArgs) (*module.Plan, error) {
	const needs = "compile sieve scripts"
	accounts := len(a.Users) > 0 || a.Database != ""
	tools, err := findDovecotTools(ctx, a.On, "sievec", needs, accounts)
	if err != nil {
		return nil, err
	}
	var users []dovecot.User
	if accounts {
		if users, err = a.known(ctx, a.On, needs); err != nil {
			return nil, err
		}
	}
	scripts, err := a.look(ctx, tools.conf, users)
	if err != nil {
		return nil, err
	}
	return a.plan(scripts)
}

// plan tells the scripts to compile, and fails on those that cannot be and are not tolerated.
func (a *dovecotSieveArgs) plan(scripts []sieveScript) (*module.Plan, error) {
	plan := &module.Plan{}
	wanted, errors, owners, fatal := []string{}, []string{}, []string{}, []string{}
	for _, s := range scripts {
		switch s.state {
		case "wanted":
			wanted = append(wanted, s.path)
			plan.Changes = append(plan.Changes, a.compile(s))
		case "broken":
			told := dovecot.ScriptErrors(s.shown(), s.name(), s.said)
			if a.Tolerate == "all" || a.Tolerate == "accounts" && s.user != "" {
				errors = append(errors, told...)
			} else {
				fatal = append(fatal, told...)
			}
			if s.user != "" {
				owners = append(owners, s.user)
			}
		}
	}
	if len(fatal) > 0 {
		err := fmt.Errorf("cannot compile sieve scripts on %s, because of %s:\n  %s", a.On.Name(), countOf(len(fatal), "error"), firstOf(fatal, 20, "\n  "))
		return nil, module.WithHint(err, "mend the scripts, or leave them out with tolerate = \"accounts\" or \"all\"")
	}
	plan.Output = map[string]any{"scripts": len(scripts), "compiled": wanted, "errors": errors, "accounts": owners}
	if len(wanted) == 0 {
		plan.Note = countOf(len(scripts)-len(owners), "script") + " compiled"
	}
	if len(errors) > 0 {
		plan.Note = joinNotes(plan.Note, countOf(len(errors), "error")+": "+firstOf(errors, 3, "; "))
	}
	return plan, nil
}

// name is what sievec calls a script.
func (s sieveScript) name() string { return strings.TrimSuffix(path.Base(s.path), ".sieve") }

// shown is the path by which a user knows a script: what the link to the active one leads to.
func (s sieveScript) shown() string {
	if s.real != "" {
		return s.real
	}
	return s.path
}

// output is the file that sievec is told to write; "" where it is the one that sievec finds by itself.
func (s sieveScript) output() string {
	if s.compiled == strings.TrimSuffix(s.path, ".sieve")+".svbin" {
		return ""
	}
	return s.compiled
}

func (a *dovecotSieveArgs) compile(s sieveScript) module.Change {
	return module.Change{
		Summary: "compile " + s.shown(), Before: s.compiled + " is " + s.reason + "\n", After: s.compiled + "\n",
		Apply: func(ctx context.Context, do *module.Apply) error {
			if _, err := do.Host(a.On).RunCommand(ctx, host.Script(compileScript, s.user, s.path, s.output())); err != nil {
				return fmt.Errorf("cannot compile %s on %s: %w", s.path, a.On.Name(), why(err))
			}
			return nil
		},
	}
}

// look looks at the scripts that the settings and the arguments name.
func (a *dovecotSieveArgs) look(ctx context.Context, conf dovecot.Conf, users []dovecot.User) ([]sieveScript, error) {
	global, personal := conf.Scripts()
	for _, s := range a.Scripts {
		if !slices.ContainsFunc(global, func(g dovecot.Script) bool { return g.Path == s }) {
			global = append(global, dovecot.Script{Path: s})
		}
	}
	var threes []string
	for _, s := range global {
		if path.IsAbs(s.Path) && !strings.Contains(s.Path, "%") {
			threes = append(threes, "", s.Path, s.Binaries)
		}
	}
	for _, u := range users {
		for _, s := range personal {
			if own, ok := s.Of(u); ok {
				threes = append(threes, u.Name, own.Path, own.Binaries)
			}
		}
	}
	var list []sieveScript
	for chunk := range slices.Chunk(threes, 3*usersAtOnce) {
		out, err := a.On.QueryScript(ctx, lookScripts, chunk...)
		if err != nil {
			return nil, fmt.Errorf("cannot look at the sieve scripts on %s: %w", a.On.Name(), why(err))
		}
		list = append(list, parseScripts(out.Stdout)...)
	}
	return list, nil
}

func parseScripts(text string) []sieveScript {
	var list []sieveScript
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, scriptMark)
		cells := strings.Split(strings.TrimRight(rest, "\n"), "\t")
		switch {
		case ok && len(cells) == 6:
			list = append(list, sieveScript{state: cells[0], user: cells[1], path: cells[2], compiled: cells[3], real: cells[4], reason: cells[5]})
		case len(list) > 0:
			list[len(list)-1].said += line
		}
	}
	return list
}
