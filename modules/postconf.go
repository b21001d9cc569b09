package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

func postfixModules() []module.Module {
	return []module.Module{
		module.Define("postconf", "Reads, sets and unsets parameters in Postfix's main.cf", planPostconf),
		module.Define("postfix.flush", "Has Postfix try to deliver its queue now", planPostfixFlush),
		module.Define("postfix.forward", "Has an old server pass on all mail to the new one", planPostfixForward),
		module.Define("postfix.freeze", "Stops Postfix without cutting off a delivery", planPostfixFreeze),
		module.Define("postfix.queue", "Counts the mails in Postfix's queue and tells why they wait", planPostfixQueue),
		module.Define("postfix.thaw", "Lets a frozen Postfix take mail again", planPostfixThaw),
		module.Define("postfix.watch", "Looks at Postfix's queue and log until nothing happens any more", planPostfixWatch),
	}
}

// postconfArgs are parameters of one main.cf.
//
// A name that nothing in Postfix would ever read is refused. White space is compared as Postfix sees it. What was there before is
// returned and stands in the journal: r = postconf { … }, and later postconf { set = r.before, unset = r.absent }, goes back.
//
// # Example
//
//	postconf { on = new, set = { soft_bounce = true, mynetworks = { "127.0.0.0/8", "[::1]/128" } }, reload = true }
//
// # Result
//
//   - values (table of string): the parameters of set, unset and get, or all that stand in main.cf, as they are now
//   - before (table of string): those of set and unset that stood in main.cf, as they were
//   - absent (list of string): those of set and unset that did not stand in main.cf
//   - config_dir (string): folder of main.cf
//   - restart_needed (boolean): something was changed that a reload does not bring into effect (inet_interfaces, inet_protocols)
type postconfArgs struct {
	// Host whose Postfix it is.
	On *host.View `lua:"on,required"`
	// Parameters to set in main.cf, such as { soft_bounce = "yes" }. true and false are written as yes and no, a list with commas.
	Set map[string]any `lua:"set"`
	// Parameters to take out of main.cf, so that Postfix's own default holds again.
	Unset []string `lua:"unset"`
	// Parameters to read. Without set, unset and get every parameter that stands in main.cf is read.
	Get []string `lua:"get"`
	// Whether a running Postfix is told to read its configuration again when something was changed.
	Reload bool `lua:"reload"`
	// Folder of main.cf, for a host with more than one Postfix; as postconf -c.
	ConfigDir string `lua:"config_dir"`
}

// postfixName is what a parameter's name is made of (postconf(5)).
var postfixName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// Validate checks what the types of the arguments cannot.
func (a *postconfArgs) Validate() error {
	for _, name := range slices.Sorted(maps.Keys(a.Set)) {
		if !postfixName.MatchString(name) || strings.HasPrefix(name, "-") {
			return fmt.Errorf("set: %q is no name of a parameter", name)
		}
		if slices.Contains(a.Unset, name) {
			return fmt.Errorf("set and unset both name %s", name)
		}
		if _, err := postfixValue(a.Set[name]); err != nil {
			return fmt.Errorf("set.%s %w", name, err)
		}
	}
	for _, name := range slices.Concat(a.Unset, a.Get) {
		if !postfixName.MatchString(name) || strings.HasPrefix(name, "-") {
			return fmt.Errorf("names %q, which is no name of a parameter", name)
		}
	}
	if a.ConfigDir != "" && !path.IsAbs(a.ConfigDir) {
		return errors.New("config_dir must be a whole path, such as /etc/postfix")
	}
	return nil
}

// postfixValue is a recipe's value as it stands in main.cf.
func postfixValue(v any) (string, error) {
	switch v := v.(type) {
	case string:
		if strings.ContainsAny(v, "\n\r\x00") {
			return "", errors.New("must be one line")
		}
		return normalValue(v), nil
	case bool:
		if v {
			return "yes", nil
		}
		return "no", nil
	case float64:
		if v != math.Trunc(v) || math.Abs(v) >= 1<<53 {
			return "", fmt.Errorf("must be a whole number, not %v", v)
		}
		return strconv.FormatInt(int64(v), 10), nil
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			s, err := postfixValue(item)
			if err != nil {
				return "", err
			}
			items[i] = s
		}
		return strings.Join(items, ", "), nil
	}
	return "", errors.New("must be a string, a number, a boolean or a list of these")
}

// normalValue is a value as Postfix compares it: runs of white space, which continuation lines make, are one space.
func normalValue(v string) string { return strings.Join(strings.Fields(v), " ") }

// postfixSettings is what is configured on a host.
type postfixSettings struct {
	dir     string
	main    *mainFile
	master  string
	preset  map[string]string // every parameter that Postfix knows, with its default
	running bool
}

func planPostconf(ctx context.Context, a *postconfArgs) (*module.Plan, error) {
	now, err := readPostfix(ctx, a)
	if err != nil {
		return nil, err
	}
	set := map[string]string{}
	for name, v := range a.Set {
		set[name], _ = postfixValue(v) // Validate has tried them
	}
	if err := now.checkNames(a, set); err != nil {
		return nil, err
	}
	p := &postconfPlan{args: a, now: now, set: set}
	return p.plan(), nil
}

// postfixLook prints the folder of main.cf, whether Postfix runs, and every parameter with its default.
//
// Only the defaults are asked for, what is set is read from main.cf itself: Postfix's programs wait up to two seconds
// when they find a main.cf that was changed a moment ago, and during a move every second counts.
const postfixLook = sbinPath + `
command -v postconf >/dev/null || { echo absent; exit 0; }
dir=$1
[ -n "$dir" ] || dir=$(postconf -d -h config_directory) || exit
printf '%s\n' "$dir"
if [ "$2" = ask ] && postfix -c "$dir" status >/dev/null 2>&1; then echo running; else echo stopped; fi
postconf -c "$dir" -d 2>/dev/null`

// readPostfix reads the parameters and main.cf.
func readPostfix(ctx context.Context, a *postconfArgs) (*postfixSettings, error) {
	status := "" // asked for only where it matters: one that does not run takes a second to say so
	if a.Reload || a.needsRestart() {
		status = "ask"
	}
	out, err := a.On.QueryScript(ctx, postfixLook, a.ConfigDir, status)
	if err != nil {
		return nil, fmt.Errorf("cannot read the parameters of Postfix on %s: %w", a.On.Name(), why(why(err)))
	}
	lines := out.Lines()
	if len(lines) == 1 && lines[0] == "absent" {
		return nil, module.Absent(fmt.Errorf("cannot find postconf on %s: Postfix is not installed there", a.On.Name()))
	}
	if len(lines) < 3 {
		return nil, fmt.Errorf("cannot read the parameters of Postfix on %s: postconf printed nothing", a.On.Name())
	}
	s := &postfixSettings{dir: lines[0], running: lines[1] == "running", preset: map[string]string{}}
	for _, line := range lines[2:] {
		if name, value, ok := strings.Cut(line, " ="); ok {
			s.preset[name] = normalValue(value)
		}
	}
	text, err := a.On.ReadFile(ctx, path.Join(s.dir, "main.cf"))
	if err != nil {
		err = fmt.Errorf("cannot read main.cf on %s: %w", a.On.Name(), why(err))
		if errors.Is(err, fs.ErrNotExist) {
			err = module.Absent(err)
		}
		return nil, err
	}
	s.main = parseMain(string(text))
	master, err := a.On.ReadFile(ctx, path.Join(s.dir, "master.cf"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot read master.cf on %s: %w", a.On.Name(), why(err))
	}
	s.master = string(master)
	return s, nil
}

type postconfPlan struct {
	args *postconfArgs
	now  *postfixSettings
	set  map[string]string
}

func (p *postconfPlan) plan() *module.Plan {
	plan := &module.Plan{Output: p.output()}
	for _, name := range slices.Sorted(maps.Keys(p.set)) {
		before, there := p.now.main.value(name)
		if there && before == p.set[name] {
			continue
		}
		plan.Changes = append(plan.Changes, p.change(name, "set "+name+" = "+p.set[name], name+" = "+p.set[name], p.write))
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(p.args.Unset))) {
		if _, there := p.now.main.value(name); there {
			plan.Changes = append(plan.Changes, p.change(name, "unset "+name, name+" = "+p.now.preset[name]+" (taken out)", p.remove))
		}
	}
	if len(plan.Changes) == 0 {
		if len(p.set)+len(p.args.Unset) > 0 {
			plan.Note = "already so"
		}
		return plan
	}
	if p.args.Reload && p.now.running {
		plan.Changes = append(plan.Changes, module.Change{
			Summary: "reload Postfix", Action: true,
			Apply: func(ctx context.Context, do *module.Apply) error { return p.reload(ctx, do.Host(p.args.On)) },
		})
	}
	return plan
}

// restartNeeded are the parameters that a reload does not bring into effect (postconf(5): "stop and start Postfix").
var restartNeeded = map[string]bool{"inet_interfaces": true, "inet_protocols": true}

func (a *postconfArgs) needsRestart() bool {
	for name := range restartNeeded {
		if _, set := a.Set[name]; set || slices.Contains(a.Unset, name) {
			return true
		}
	}
	return false
}

// change is one parameter's change. What it was before goes into the step's result as well: what the second look finds
// after the changes is no longer what was there.
func (p *postconfPlan) change(name, summary, after string, apply func(context.Context, *host.Host, string) error) module.Change {
	before, there := p.now.main.value(name)
	c := module.Change{Summary: summary, Before: name + " = " + before, After: after}
	kept := module.Original{Host: p.args.On.Name(), Object: "main.cf " + name, Value: before}
	if !there {
		c.Before = fmt.Sprintf("%s = %s (Postfix's default)", name, p.now.preset[name])
		kept.Value = "(did not stand in main.cf)"
	}
	c.Apply = func(ctx context.Context, do *module.Apply) error {
		do.Keep(kept)
		earlier := p.earlier()
		do.Output("before", earlier["before"])
		do.Output("absent", earlier["absent"])
		if restartNeeded[name] && p.now.running {
			do.Output("restart_needed", true)
		}
		return apply(ctx, do.Host(p.args.On), name)
	}
	return c
}

// earlier is what the parameters of set and unset were: those that stood in main.cf, and the names of those that did not.
// postconf { set = r.before, unset = r.absent } goes back to that.
func (p *postconfPlan) earlier() map[string]any {
	before, absent := map[string]any{}, []string{}
	for _, name := range slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Keys(p.set)), p.args.Unset))) {
		if value, there := p.now.main.value(name); there {
			before[name] = value
		} else if !slices.Contains(absent, name) {
			absent = append(absent, name)
		}
	}
	return map[string]any{"before": before, "absent": absent}
}

func (p *postconfPlan) output() map[string]any {
	values := map[string]any{}
	names := slices.Concat(slices.Collect(maps.Keys(p.set)), p.args.Unset, p.args.Get)
	if len(names) == 0 {
		for name, value := range p.now.main.values() {
			values[name] = value
		}
	}
	for _, name := range names {
		if value, there := p.now.main.value(name); there {
			values[name] = value
		} else {
			values[name] = p.now.preset[name]
		}
	}
	out := p.earlier()
	out["values"] = values
	out["config_dir"] = p.now.dir
	return out
}
