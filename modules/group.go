package modules

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// groupArgs are the arguments of group.
//
// # Example
//
//	group { on = new, name = "vmail", gid = 5000 }
//
// # Result
//
//   - exists (boolean): whether there is such a group
//   - gid (integer): its number
//   - members (list of string): users who are in it beside their own group
type groupArgs struct {
	// Host that has the group.
	On *host.View `lua:"on,required"`
	// Name of the group.
	Name string `lua:"name,required"`
	// What is to be there.
	State string `lua:"state" choice:"present,absent" default:"present"`
	// Its number. Files keep the number that they have: change that of a group only before it owns any.
	GID *int `lua:"gid"`
	// Whether a new group gets a number of those for services.
	System bool `lua:"system"`
}

// accountName is what Debian's adduser takes, and a little more (useradd(8)).
var accountName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$`)

// largestID is the largest that Linux gives to an account: the one above it stands for "none" (chown(2)).
const largestID int64 = 1<<32 - 2

func checkAccount(argument, name string) error {
	if !accountName.MatchString(name) {
		return fmt.Errorf("%s: %q is no name of a user or group", argument, name)
	}
	return nil
}

// Validate checks what the types of the arguments cannot.
func (a *groupArgs) Validate() error {
	switch {
	case a.GID != nil && (*a.GID < 0 || int64(*a.GID) > largestID):
		return fmt.Errorf("gid must be between 0 and %d", largestID)
	case a.State == "absent" && (a.GID != nil || a.System):
		return errors.New(`gid and system do not go with state = "absent"`)
	case a.State == "absent" && a.Name == "root":
		return errors.New("the group root is not removed")
	}
	return checkAccount("name", a.Name)
}

// account is a line of passwd(5) or group(5).
type account []string

func (l account) field(i int) string {
	if i < len(l) {
		return l[i]
	}
	return ""
}

// lookUp asks a host for an entry of its databases (getent(1)); nil: there is none.
func lookUp(ctx context.Context, v *host.View, database, key string) (account, error) {
	out, err := v.Query(ctx, "getent", database, key)
	var exit *host.ExitError
	if errors.As(err, &exit) && exit.Status == 2 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look for %s in %s on %s: %w", key, database, v.Name(), why(err))
	}
	line, _, _ := strings.Cut(out.Stdout, "\n")
	return strings.Split(line, ":"), nil
}

// namesIn are the names in a field that is a list with commas.
func namesIn(field string) []string {
	names := []string{}
	for name := range strings.SplitSeq(field, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func planGroup(ctx context.Context, a *groupArgs) (*module.Plan, error) {
	entry, err := lookUp(ctx, a.On, "group", a.Name)
	if err != nil {
		return nil, err
	}
	plan := &module.Plan{Output: map[string]any{"exists": entry != nil, "gid": nil, "members": []string{}}}
	if entry != nil {
		gid, _ := strconv.Atoi(entry.field(2))
		plan.Output["gid"], plan.Output["members"] = int64(gid), namesIn(entry.field(3))
	}
	switch {
	case a.State == "absent" && entry != nil:
		plan.Changes = []module.Change{accountChange(a.On, "remove group "+a.Name, strings.Join(entry, ":"), "", true, "groupdel", "--", a.Name)}
	case a.State == "absent":
	case entry == nil:
		argv := []string{"groupadd"}
		summary := "make group " + a.Name
		if a.GID != nil {
			argv = append(argv, "-g", strconv.Itoa(*a.GID))
			summary += fmt.Sprintf(" (gid %d)", *a.GID)
		}
		if a.System {
			argv = append(argv, "-r")
		}
		plan.Changes = []module.Change{accountChange(a.On, summary, "", "", false, append(argv, "--", a.Name)...)}
	case a.GID != nil && entry.field(2) != strconv.Itoa(*a.GID):
		want := strconv.Itoa(*a.GID)
		plan.Changes = []module.Change{accountChange(a.On, "give group "+a.Name+" the gid "+want, entry.field(2), want, false, "groupmod", "-g", want, "--", a.Name)}
	}
	plan.Note = alreadySo(plan.Changes)
	return plan, nil
}

// alreadySo is the note of a step that has nothing to do.
func alreadySo(changes []module.Change) string {
	if len(changes) > 0 {
		return ""
	}
	return "already so"
}

// accountChange is one command that changes the users or groups of a host.
func accountChange(v *host.View, summary, before, after string, destroys bool, argv ...string) module.Change {
	return module.Change{
		Summary: summary, Before: before, After: after, Destroys: destroys,
		Apply: func(ctx context.Context, do *module.Apply) error {
			kept := before
			if kept == "" {
				kept = "(was not so)"
			}
			do.Keep(module.Original{Host: v.Name(), Object: summary, Value: kept})
			return runAccount(ctx, do.Host(v), summary, host.Command{Argv: argv})
		},
	}
}

// runAccount runs a program of the package passwd, which lies where not every PATH leads.
func runAccount(ctx context.Context, h *host.Host, summary string, c host.Command) error {
	c.Argv = host.Script(accountRun, c.Argv...).Argv
	if _, err := h.RunCommand(ctx, c); err != nil {
		return fmt.Errorf("cannot %s on %s: %w", summary, h.Name(), why(err))
	}
	return nil
}

const accountRun = `PATH=$PATH:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL; exec "$@"`
