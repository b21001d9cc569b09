package modules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// templateArgs are the arguments of template.
//
// A template is a file on this machine, or a text of the recipe. It is written as [file] writes: whole or not at all, what was
// there is kept, and a value that is secret makes the whole file secret. A name without a value is an error.
//
// # Example
//
//	template { on = new, source = "templates/local.conf", path = "/etc/dovecot/local.conf", vars = { postmaster = "postmaster@example.org" } }
//	template { on = new, syntax = "plain", text = "myhostname = ${name}\n", path = "/etc/mailname.conf", vars = { name = "mail.example.org" } }
//
// # Result
//
//   - path (string): the path, or where the link at the path leads
//   - exists (boolean): whether there is something
//   - mode (string): permissions in octal
//   - uid (integer): number of the owner
//   - gid (integer): number of the group
//   - size (integer): bytes
type templateArgs struct {
	// Host that gets the file.
	On *host.View `lua:"on,required"`
	// Whole path of the file on the host.
	Path string `lua:"path,required"`
	// Path of the template on this machine. One that is not whole begins at the current folder.
	Source string `lua:"source"`
	// The template itself, instead of a file.
	Text *string `lua:"text"`
	// How values stand in it: "go" is Go's text/template ("{{ .name }}", "{{ range .domains }}"); in "plain" text only ${name} is replaced, and $${ stands
	// for ${.
	Syntax string `lua:"syntax" choice:"go,plain" default:"go"`
	// The values.
	Vars map[string]any `lua:"vars"`
	// Permissions in octal. Without it those of the file stay; a new one gets 0644 (0600 when it holds a secret).
	Mode string `lua:"mode"`
	// User who is to own it, by name or number.
	Owner string `lua:"owner"`
	// Group that is to own it, by name or number.
	Group string `lua:"group"`
	// Whether what is overwritten is kept, as [file] does.
	Backup bool `lua:"backup" default:"true"`
}

// Validate checks what the types of the arguments cannot.
func (a *templateArgs) Validate() error {
	if (a.Source == "") == (a.Text == nil) {
		return errors.New("needs one of source and text")
	}
	if a.Text != nil && a.Syntax == "go" {
		if _, err := (&fileArgs{Template: a.Text}).template(); err != nil {
			return fmt.Errorf("text: %w", err)
		}
	}
	return (&fileArgs{Path: a.Path, Mode: a.Mode, State: "file"}).Validate()
}

func planTemplate(ctx context.Context, a *templateArgs) (*module.Plan, error) {
	text := a.Text
	if text == nil {
		data, err := os.ReadFile(a.Source)
		if err != nil {
			return nil, fmt.Errorf("cannot read the template %s on this machine: %w", a.Source, localReason(err))
		}
		read := string(data)
		text = &read
	}
	args := &fileArgs{On: a.On, Path: a.Path, State: "file", Mode: a.Mode, Owner: a.Owner, Group: a.Group, Backup: a.Backup}
	if a.Syntax == "go" {
		args.Template, args.Vars = text, a.Vars
		if _, err := args.template(); err != nil {
			return nil, fmt.Errorf("cannot use the template %s: %w", a.Source, err)
		}
	} else {
		filled, secret, err := fillPlain(*text, a.Vars)
		if err != nil {
			return nil, fmt.Errorf("cannot fill the template of %s: %w", a.Path, err)
		}
		args.Content = filled
		if secret {
			args.Content = module.NewSecret(filled)
		}
	}
	if err := args.Validate(); err != nil {
		return nil, err
	}
	return planFile(ctx, args)
}

var plainName = regexp.MustCompile(`\$?\$\{([^}\n]*)\}?`)

// fillPlain replaces ${name}, and says whether what is put in is secret.
func fillPlain(text string, vars map[string]any) (filled string, secret bool, err error) {
	filled = plainName.ReplaceAllStringFunc(text, func(found string) string {
		if strings.HasPrefix(found, "$$") {
			return found[1:]
		}
		name := plainName.FindStringSubmatch(found)[1]
		value, ok := vars[name]
		switch {
		case err != nil:
		case !strings.HasSuffix(found, "}"):
			err = fmt.Errorf("%q has no end", found)
		case !ok:
			err = fmt.Errorf("%s has no value in vars", found)
		}
		if err != nil {
			return ""
		}
		w := &fileWork{}
		shown := fmt.Sprint(w.templateValue(value))
		secret = secret || w.hidden != ""
		return shown
	})
	return filled, secret, err
}
