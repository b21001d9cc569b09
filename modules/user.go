package modules

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// userArgs are the arguments of user.
//
// What is not given stays as it is. A user is taken out of no group: groups are added. When a user gets another number, usermod gives
// the files of the home folder to it, and no others.
//
// # Example
//
//	group { on = new, name = "vmail", gid = 5000 }
//	user { on = new, name = "vmail", uid = 5000, group = "vmail", home = "/var/vmail", shell = "/usr/sbin/nologin", create_home = false }
//	user { on = new, name = "dovecot", groups = { "ssl-cert" } }
//
// # Result
//
//   - exists (boolean): whether there is such a user
//   - uid (integer): number
//   - gid (integer): number of the user's own group
//   - groups (list of string): all groups of the user
//   - home (string): home folder
//   - shell (string): program that is run at a login
type userArgs struct {
	// Host that has the user.
	On *host.View `lua:"on,required"`
	// Name of the user.
	Name string `lua:"name,required"`
	// What is to be there.
	State string `lua:"state" choice:"present,absent" default:"present"`
	// Number of the user.
	UID *int `lua:"uid"`
	// The user's own group, by name or number. It must be there. Without it a new user gets a group of the same name.
	Group string `lua:"group"`
	// More groups that the user is to be in.
	Groups []string `lua:"groups"`
	// Home folder. Its content is not moved when it changes.
	Home string `lua:"home"`
	// Program that is run at a login.
	Shell string `lua:"shell"`
	// Name of the person, or what the user is for.
	Comment *string `lua:"comment"`
	// Whether a new user gets a number of those for services, and no home folder.
	System bool `lua:"system"`
	// Whether the home folder of a new user is made. Without it, it is for users that are not system users.
	CreateHome *bool `lua:"create_home"`
	// The password as crypt(3) stores it ("$6$…"), or "!" for none.
	PasswordHash module.Secret `lua:"password_hash"`
	// Whether the home folder and the mail spool of a user that is removed go too.
	RemoveHome bool `lua:"remove_home"`
}

var cryptHash = regexp.MustCompile(`^(!|\*|!?[A-Za-z0-9./$=,_-]{13,400})$`)

// Validate checks what the types of the arguments cannot.
func (a *userArgs) Validate() error {
	if err := checkAccount("name", a.Name); err != nil {
		return err
	}
	for _, g := range a.Groups {
		if err := checkAccount("groups", g); err != nil {
			return err
		}
	}
	for name, p := range map[string]string{"home": a.Home, "shell": a.Shell} {
		if p != "" && (!path.IsAbs(p) || strings.ContainsAny(p, ":\n\x00")) {
			return fmt.Errorf("%s must be a whole path, not %q", name, p)
		}
	}
	given := a.UID != nil || a.Group != "" || len(a.Groups) > 0 || a.Home != "" || a.Shell != "" || a.Comment != nil || !a.PasswordHash.IsZero()
	switch {
	case a.UID != nil && (*a.UID < 0 || int64(*a.UID) > largestID):
		return fmt.Errorf("uid must be between 0 and %d", largestID)
	case a.Comment != nil && strings.ContainsAny(*a.Comment, ":\n\x00"):
		return errors.New("comment must hold no colon and no line end")
	case !a.PasswordHash.IsZero() && !cryptHash.MatchString(a.PasswordHash.Reveal()):
		return errors.New("password_hash must be a password as crypt(3) stores it, such as \"$6$…\", never the password itself")
	case a.State == "absent" && given:
		return errors.New(`state = "absent" goes with name and remove_home only`)
	case a.State == "present" && a.RemoveHome:
		return errors.New(`remove_home belongs to state = "absent"`)
	case a.State == "absent" && a.Name == "root":
		return errors.New("the user root is not removed")
	}
	return nil
}

// userWork is one call of the module, with what was found.
type userWork struct {
	args   *userArgs
	entry  account // of passwd; nil: there is no such user
	gid    int     // of the wanted group; -1: none is wanted
	groups []string
	hash   string // of the password, where it was asked for
}

func planUser(ctx context.Context, a *userArgs) (*module.Plan, error) {
	w := &userWork{args: a}
	if err := w.look(ctx); err != nil {
		return nil, err
	}
	plan := &module.Plan{Output: w.output()}
	switch {
	case a.State == "absent" && w.entry == nil:
	case a.State == "absent":
		argv, summary := []string{"userdel"}, "remove user "+a.Name
		if a.RemoveHome {
			argv, summary = append(argv, "-r"), summary+" with the home folder "+w.entry.field(5)
		}
		plan.Changes = []module.Change{accountChange(a.On, summary, strings.Join(w.entry, ":"), "", true, append(argv, "--", a.Name)...)}
	case w.entry == nil:
		plan.Changes = []module.Change{w.create()}
		plan.Changes = append(plan.Changes, w.password()...)
	default:
		plan.Changes = append(w.modify(), w.password()...)
	}
	plan.Note = alreadySo(plan.Changes)
	return plan, nil
}

func (w *userWork) look(ctx context.Context) (err error) {
	a := w.args
	if w.entry, err = lookUp(ctx, a.On, "passwd", a.Name); err != nil {
		return err
	}
	if w.gid, err = findID(ctx, a.On, "group", "group", a.Group); err != nil {
		return err
	}
	for _, g := range a.Groups {
		if _, err := findID(ctx, a.On, "group", "group", g); err != nil {
			return err
		}
	}
	if w.entry == nil {
		return nil
	}
	out, err := a.On.Query(ctx, "id", "-nG", "--", a.Name)
	if err != nil {
		return fmt.Errorf("cannot look for the groups of %s on %s: %w", a.Name, a.On.Name(), why(err))
	}
	w.groups = strings.Fields(out.Stdout)
	if a.PasswordHash.IsZero() {
		return nil
	}
	shadow, err := lookUp(ctx, a.On, "shadow", a.Name)
	if err == nil && shadow == nil {
		err = fmt.Errorf("cannot read the password of %s on %s: only root can (sudo = true)", a.Name, a.On.Name())
	}
	w.hash = shadow.field(1)
	return err
}

func (w *userWork) output() map[string]any {
	out := map[string]any{"exists": w.entry != nil}
	if w.entry == nil {
		return out
	}
	uid, _ := strconv.Atoi(w.entry.field(2))
	gid, _ := strconv.Atoi(w.entry.field(3))
	out["uid"], out["gid"], out["groups"] = int64(uid), int64(gid), nonNil(w.groups)
	out["home"], out["shell"] = w.entry.field(5), w.entry.field(6)
	return out
}

func (w *userWork) create() module.Change {
	a := w.args
	argv, told := []string{"useradd"}, []string{}
	add := func(word string, more ...string) { argv, told = append(argv, more...), append(told, word) }
	if a.UID != nil {
		add(fmt.Sprintf("uid %d", *a.UID), "-u", strconv.Itoa(*a.UID))
	}
	if a.Group != "" {
		add("group "+a.Group, "-g", strconv.Itoa(w.gid))
	} else {
		argv = append(argv, "-U")
	}
	if len(a.Groups) > 0 {
		add("groups "+strings.Join(a.Groups, ", "), "-G", strings.Join(a.Groups, ","))
	}
	if a.Home != "" {
		add("home "+a.Home, "-d", a.Home)
	}
	if a.Shell != "" {
		add("shell "+a.Shell, "-s", a.Shell)
	}
	if a.Comment != nil {
		argv = append(argv, "-c", *a.Comment)
	}
	if a.System {
		argv = append(argv, "-r")
	}
	if home := a.CreateHome; home != nil && *home || home == nil && !a.System {
		argv = append(argv, "-m")
	} else {
		argv = append(argv, "-M")
	}
	summary := "make user " + a.Name
	if len(told) > 0 {
		summary += " (" + strings.Join(told, ", ") + ")"
	}
	return accountChange(a.On, summary, "", "", false, append(argv, "--", a.Name)...)
}

// modify are the changes of a user who is there, one for each field.
func (w *userWork) modify() []module.Change {
	a := w.args
	var changes []module.Change
	set := func(what, flag, before, after string) {
		if before != after {
			changes = append(changes, accountChange(a.On, fmt.Sprintf("set %s of %s to %s", what, a.Name, after), before, after, false,
				"usermod", flag, after, "--", a.Name))
		}
	}
	if a.UID != nil {
		set("uid", "-u", w.entry.field(2), strconv.Itoa(*a.UID))
	}
	if w.gid >= 0 {
		set("gid", "-g", w.entry.field(3), strconv.Itoa(w.gid))
	}
	if a.Home != "" {
		set("home", "-d", w.entry.field(5), a.Home)
	}
	if a.Shell != "" {
		set("shell", "-s", w.entry.field(6), a.Shell)
	}
	if a.Comment != nil {
		set("comment", "-c", w.entry.field(4), *a.Comment)
	}
	var missing []string
	for _, g := range a.Groups {
		if !slices.Contains(w.groups, g) {
			missing = append(missing, g)
		}
	}
	if len(missing) > 0 {
		list := strings.Join(missing, ",")
		changes = append(changes, accountChange(a.On, "add "+a.Name+" to "+strings.Join(missing, ", "), strings.Join(w.groups, ","), strings.Join(w.groups, ",")+","+list,
			false, "usermod", "-a", "-G", list, "--", a.Name))
	}
	return changes
}

// password sets the stored password. It goes by standard input: chpasswd(8).
func (w *userWork) password() []module.Change {
	a := w.args
	if a.PasswordHash.IsZero() || w.hash == a.PasswordHash.Reveal() {
		return nil
	}
	summary := "set the password of " + a.Name
	return []module.Change{{
		Summary: summary, Before: "(not shown)", After: "(not shown: it is secret)",
		Apply: func(ctx context.Context, do *module.Apply) error {
			return runAccount(ctx, do.Host(a.On), summary, host.Command{
				Argv: []string{"chpasswd", "-e"}, Stdin: strings.NewReader(a.Name + ":" + a.PasswordHash.Reveal() + "\n"),
			})
		},
	}}
}
