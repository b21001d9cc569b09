package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"runner/runtime/host"
	"runner/runtime/module"
)

func fileModules() []module.Module {
	return []module.Module{module.Define("file", "Writes, edits, makes and removes files, folders and links", planFile)}
}

// fileArgs is one file, folder or link.
//
// A file is written beside its path and renamed over it, so that there is the old one or the new one at every moment. Its mode and owner stay
// unless others are asked for. A symbolic link is followed, unless it belongs to another user and lies in a folder in which everybody may
// write. What is overwritten or removed is copied first. The content of files that not everybody on the host may read is not shown.
//
// # Example
//
//	file { on = new, path = "/etc/dovecot/local.conf", template = "postmaster_address = {{ .postmaster }}\n",
//	       vars = { postmaster = "postmaster@example.org" }, notify = "reload dovecot" }
//	file { on = new, path = "/etc/ssh/sshd_config", line = "PermitRootLogin prohibit-password", match = "^#?PermitRootLogin" }
//	file { on = new, path = "/srv/mail", state = "directory", owner = "vmail", group = "vmail", mode = "2770" }
//
// # Result
//
//   - path (string): the path, or where the link at the path leads
//   - exists (boolean): whether there is something
//   - mode (string): permissions in octal
//   - uid (integer): number of the owner
//   - gid (integer): number of the group
//   - size (integer): bytes
type fileArgs struct {
	// Host that has the file.
	On *host.View `lua:"on,required"`
	// Whole path of the file, folder or link.
	Path string `lua:"path,required"`
	// What is to be there. With "absent" whatever is there is removed.
	State string `lua:"state" choice:"file,directory,link,absent" default:"file"`
	// The whole content of the file. A string, or a secret: then neither it nor what was there before is shown.
	Content any `lua:"content" type:"string or secret"`
	// The whole content as a template of Go's text/template: "listen = {{ .address }}". Functions: join, lower, upper, replace, quote (for a shell).
	Template *string `lua:"template"`
	// The values of the template.
	Vars map[string]any `lua:"vars"`
	// A line that is to stand in the file; the rest of it is left alone.
	Line *string `lua:"line"`
	// Regular expression (Go's RE2). Of the lines that match, the last one becomes line; when none matches, line is added at the end.
	Match string `lua:"match"`
	// Regular expression. Where line is to be added it is put below the last line that matches, not at the end.
	After string `lua:"after"`
	// Regular expression. Lines that match are taken out; line itself is never taken out.
	Without string `lua:"without"`
	// Permissions in octal, such as "0640". Without it those of the file stay; a new file gets 0644 (0600 when it holds a secret), a folder 0755.
	Mode string `lua:"mode"`
	// User who is to own it, by name or number. Without it the owner stays.
	Owner string `lua:"owner"`
	// Group that is to own it, by name or number. Without it the group stays.
	Group string `lua:"group"`
	// Where a link points.
	Target string `lua:"target"`
	// Whether a file that is not there is made, with line in it or empty. With content or template it always is.
	Create bool `lua:"create"`
	// Whether a folder is removed with all that is in it.
	Recurse bool `lua:"recurse"`
	// Whether what is overwritten or removed is kept: below /var/backups/runner, or ~/.runner/backups of a user who is not root.
	Backup bool `lua:"backup" default:"true"`
}

// Validate checks what the types of the arguments cannot.
func (a *fileArgs) Validate() error {
	if !path.IsAbs(a.Path) || strings.ContainsAny(a.Path, "\n\x00") {
		return fmt.Errorf("path must be a whole path, not %q", a.Path)
	}
	a.Path = path.Clean(a.Path)
	if a.Path == "/" {
		return errors.New("path must not be /")
	}
	if err := a.validateContent(); err != nil {
		return err
	}
	if (a.Target != "") != (a.State == "link") {
		return errors.New(`target belongs to state = "link", and that needs it`)
	}
	if a.Recurse && a.State != "absent" {
		return errors.New(`recurse belongs to state = "absent"`)
	}
	if (a.State == "absent" || a.State == "link") && (a.Mode != "" || a.Owner != "" || a.Group != "") {
		return fmt.Errorf("mode, owner and group do not go with state = %q", a.State)
	}
	if _, err := parseMode(a.Mode); a.Mode != "" && err != nil {
		return err
	}
	return nil
}

func (a *fileArgs) validateContent() error {
	var given []string
	switch a.Content.(type) {
	case nil:
	case string, module.Secret:
		given = append(given, "content")
	default:
		return errors.New("content must be a string or a secret")
	}
	if a.Template != nil {
		given = append(given, "template")
		if _, err := a.template(); err != nil {
			return err
		}
	}
	if a.Line != nil || a.Without != "" {
		given = append(given, "line")
	}
	switch {
	case len(given) > 1:
		return fmt.Errorf("takes only one of %s", strings.Join(given, " and "))
	case len(given) == 1 && a.State != "file":
		return fmt.Errorf("%s does not go with state = %q", given[0], a.State)
	case a.Vars != nil && a.Template == nil:
		return errors.New("vars needs template")
	case a.Line == nil && (a.Match != "" || a.After != ""):
		return errors.New("match and after need line")
	case a.Line != nil && strings.ContainsAny(*a.Line, "\n\r"):
		return errors.New("line must be one line")
	}
	for name, pattern := range map[string]string{"match": a.Match, "after": a.After, "without": a.Without} {
		if _, err := regexp.Compile(pattern); err != nil {
			return fmt.Errorf("%s is no regular expression: %w", name, err)
		}
	}
	return nil
}

// parseMode reads permissions in octal, with set-uid, set-gid and sticky bit (chmod(1)).
func parseMode(text string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n > 0o7777 || len(text) < 3 {
		return 0, fmt.Errorf("mode must be octal, such as \"0640\", not %q", text)
	}
	mode := fs.FileMode(n & 0o777)
	for bit, flag := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n&bit != 0 {
			mode |= flag
		}
	}
	return mode, nil
}

const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// octal writes permissions as chmod(1) reads them.
func octal(mode fs.FileMode) string {
	n := uint32(mode.Perm())
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&flag != 0 {
			n |= bit
		}
	}
	return fmt.Sprintf("%04o", n)
}

func (a *fileArgs) template() (*template.Template, error) {
	t, err := template.New("template").Option("missingkey=error").Funcs(templateFunctions).Parse(*a.Template)
	if err != nil {
		return nil, fmt.Errorf("template cannot be read: %w", err)
	}
	return t, nil
}

var templateFunctions = template.FuncMap{
	"join": func(sep string, list []any) string {
		words := make([]string, len(list))
		for i, v := range list {
			words[i] = fmt.Sprint(v)
		}
		return strings.Join(words, sep)
	},
	"lower":   strings.ToLower,
	"upper":   strings.ToUpper,
	"replace": func(old, new, text string) string { return strings.ReplaceAll(text, old, new) },
	"quote":   func(text string) string { return host.Quote(text) },
}

// fileWork is one call of the module, with what was found.
type fileWork struct {
	args   *fileArgs
	view   *host.View
	path   string         // what is worked on: where a link at the path leads, or the path
	info   *host.FileInfo // nil: there is nothing
	seen   []byte         // what is in it, where it came along; see host.View.Peek
	mode   *fs.FileMode   // wanted; nil: as it is
	uid    int            // wanted; -1: as it is
	gid    int
	hidden string // why the content is not shown; empty: it is
}

func planFile(ctx context.Context, a *fileArgs) (*module.Plan, error) {
	w := &fileWork{args: a, view: a.On, path: a.Path, uid: -1, gid: -1}
	if err := w.look(ctx); err != nil {
		return nil, err
	}
	var changes []module.Change
	var err error
	switch a.State {
	case "absent":
		changes, err = w.planAbsent(ctx)
	case "directory":
		changes, err = w.planDirectory(ctx)
	case "link":
		changes, err = w.planLink(ctx)
	default:
		changes, err = w.planContent(ctx)
	}
	if err != nil {
		return nil, err
	}
	plan := &module.Plan{Changes: changes, Output: w.output()}
	if len(changes) == 0 {
		plan.Note = "already so"
	}
	return plan, nil
}

// look finds out what is at the path and who is to own it.
func (w *fileWork) look(ctx context.Context) error {
	if err := w.peek(ctx); err != nil {
		return err
	}
	if w.info != nil && w.info.Mode&fs.ModeSymlink != 0 && (w.args.State == "file" || w.args.State == "directory") {
		if err := w.follow(ctx); err != nil {
			return err
		}
	}
	if w.args.Mode != "" {
		mode, err := parseMode(w.args.Mode)
		if err != nil {
			return err
		}
		w.mode = &mode
	}
	var err error
	if w.uid, err = findID(ctx, w.view, "passwd", "user", w.args.Owner); err != nil {
		return err
	}
	w.gid, err = findID(ctx, w.view, "group", "group", w.args.Group)
	return err
}

// peek finds out what is at the path, and, where that costs nothing, what is in it.
func (w *fileWork) peek(ctx context.Context) error {
	if w.args.State != "file" {
		info, err := lstat(ctx, w.view, w.path)
		w.info = info
		return err
	}
	p, err := w.view.Peek(ctx, w.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("cannot look at %s on %s: %w", w.path, w.view.Name(), why(err))
	}
	w.info = &p.Info
	if p.Read {
		w.seen = p.Content
	}
	return nil
}

// lstat is nil for a path that is not there.
func lstat(ctx context.Context, v *host.View, p string) (*host.FileInfo, error) {
	info, err := v.Lstat(ctx, p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("cannot look at %s on %s: %w", p, v.Name(), why(err))
	}
	return &info, nil
}

func (w *fileWork) output() map[string]any {
	out := map[string]any{"path": w.path, "exists": w.info != nil}
	if w.info != nil {
		out["mode"], out["uid"], out["gid"], out["size"] = octal(w.info.Mode), w.info.UID, w.info.GID, w.info.Size
	}
	return out
}
