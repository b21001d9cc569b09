package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"runner/modules/internal/postfix"
	"runner/runtime/host"
	"runner/runtime/module"
)

// postfixForwardArgs is an old server that passes on the mail that still reaches it.
//
// One setting does it: virtual_transport leads to the new server. The old one still knows which addresses there are, refuses others,
// and follows its aliases, so it never becomes an open relay or a source of bounces. Since Dovecot does not run there any more, which
// Postfix would ask for passwords, logging in for sending is switched off for as long: without that no mail would be taken on port 25
// at all ("no SASL authentication mechanisms"). A frozen Postfix stays frozen; thaw it after this.
//
// With domains only these are forwarded: they get entries in a transport map of its own, which stands before those that are there
// (see transport(5)). The others go on being delivered on the old server, so logging in stays as it is; thaw Dovecot as well.
//
// To go back, call it again with state = "absent".
//
// # Example
//
//	postfix.forward { on = old, to = "mail-new.example.org" }
//	postfix.forward { on = old, to = "mail-new.example.org", domains = { "example.org" } }
//	postfix.forward { on = old, state = "absent" }
//
// # Result
//
//   - before (table of string): the settings that stood in main.cf, as they were
//   - absent (list of string): those that did not stand in main.cf
//   - transport (string): where the mail goes; empty with state = "absent"
type postfixForwardArgs struct {
	// Old server.
	On *host.View `lua:"on,required"`
	// New server as the old one finds it: a name, or an address. Its MX records are not asked. Needed unless state is "absent".
	To string `lua:"to"`
	// Port of the new server.
	Port int `lua:"port" default:"25"`
	// Only these domains; empty: every domain whose mailboxes are on the old server.
	Domains []string `lua:"domains"`
	// Leave logging in for sending as it is, because the old server's Dovecot goes on.
	KeepLogin bool `lua:"keep_login"`
	// present: the mail is forwarded; absent: it is delivered on the old server again.
	State string `lua:"state" default:"present" choice:"present,absent"`
}

var (
	mailHost   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$`)
	mailDomain = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
)

// Validate checks what the types of the arguments cannot.
func (a *postfixForwardArgs) Validate() error {
	for _, domain := range a.Domains {
		if !mailDomain.MatchString(strings.ToLower(domain)) {
			return fmt.Errorf("domains: %q is no domain", domain)
		}
	}
	switch {
	case a.State == "absent" && (a.To != "" || len(a.Domains) > 0):
		return errors.New(`to and domains do not go with state = "absent", which takes all forwarding back`)
	case a.State != "absent" && a.To == "":
		return errors.New("to is missing: the name or address of the new server")
	case a.To != "" && !mailHost.MatchString(a.To):
		return fmt.Errorf("to %q is no name or address of a host", a.To)
	case a.Port < 1 || a.Port > 65535:
		return fmt.Errorf("port must be between 1 and 65535, not %d", a.Port)
	}
	return nil
}

// transport is the new server in the words of transport(5): in brackets, so that no MX record leads elsewhere.
func (a *postfixForwardArgs) transport() string {
	if a.State == "absent" {
		return ""
	}
	to := a.To
	if strings.Contains(to, ":") {
		to = "ipv6:" + to
	}
	return fmt.Sprintf("smtp:[%s]:%d", to, a.Port)
}

// forwardMemory keeps on the host what the settings were, so that state = "absent" needs no result of an earlier run.
const forwardMemory = "/var/lib/runner/postfix-forward"

// forwarder is a Postfix with what forwards its mail.
type forwarder struct {
	args   *postfixForwardArgs
	now    *postfixSettings
	memory string // text of forwardMemory
	known  postfix.Forwarding
	table  string // path of the map
	kind   string // of the map, such as hash
	text   string // what the map says
	built  bool   // the indexed file of the map is there, and made from it
}

func findForwarder(ctx context.Context, a *postfixForwardArgs) (*forwarder, error) {
	now, err := readPostfix(ctx, &postconfArgs{On: a.On, Reload: true})
	if err != nil {
		return nil, err
	}
	f := &forwarder{args: a, now: now, table: path.Join(now.dir, "runner-forward"), kind: "hash"}
	if kind, set := now.main.value("default_database_type"); set {
		f.kind = kind
	} else if kind, known := now.preset["default_database_type"]; known {
		f.kind = kind
	}
	if f.memory, err = f.read(ctx, forwardMemory); err != nil {
		return nil, err
	}
	f.known = postfix.ParseForwarding(f.memory)
	if f.text, err = f.read(ctx, f.table); err != nil || f.text == "" {
		return f, err
	}
	source, err := a.On.Stat(ctx, f.table)
	if err != nil {
		return nil, fmt.Errorf("cannot look at %s on %s: %w", f.table, a.On.Name(), why(err))
	}
	index, err := a.On.Stat(ctx, f.index())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot look at %s on %s: %w", f.index(), a.On.Name(), why(err))
	}
	f.built = err == nil && !index.Mtime.Before(source.Mtime)
	return f, nil
}

func (f *forwarder) read(ctx context.Context, name string) (string, error) {
	text, err := f.args.On.ReadFile(ctx, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("cannot read %s on %s: %w", name, f.args.On.Name(), why(err))
	}
	return string(text), nil
}

// index is the file that postmap(1) makes of the map.
func (f *forwarder) index() string {
	switch f.kind {
	case "lmdb", "cdb":
		return f.table + "." + f.kind
	}
	return f.table + ".db"
}

// settings are the parameters that are to be set and unset, and what was forwarded by virtual_transport before.
func (f *forwarder) settings() (set map[string]string, unset []string, was postfix.Forwarding) {
	now := f.now.main.values()
	was = f.known.Original(now, f.table)
	want := map[string]string{}
	for name, value := range was.Had {
		want[name] = value
	}
	switch a := f.args; {
	case a.State == "absent":
	case len(a.Domains) > 0:
		want["transport_maps"] = strings.TrimSuffix(f.kind+":"+f.table+", "+want["transport_maps"], ", ")
	default:
		want["virtual_transport"] = a.transport()
		if !a.KeepLogin {
			want["smtpd_sasl_auth_enable"] = "no"
		}
	}
	set = map[string]string{}
	for _, name := range postfix.ForwardingParameters {
		value, wanted := want[name]
		is, there := now[name]
		switch {
		case wanted && (!there || normalValue(value) != is || f.whole() && name != "transport_maps"):
			set[name] = normalValue(value)
		case !wanted && there:
			unset = append(unset, name)
		}
	}
	return set, unset, was
}

// whole says that every domain is forwarded.
func (f *forwarder) whole() bool { return f.args.State != "absent" && len(f.args.Domains) == 0 }

func planPostfixForward(ctx context.Context, a *postfixForwardArgs) (*module.Plan, error) {
	f, err := findForwarder(ctx, a)
	if err != nil {
		return nil, err
	}
	set, unset, was := f.settings()
	settings := &postconfPlan{args: &postconfArgs{On: a.On, Unset: unset, Reload: true}, now: f.now, set: set}
	plan := settings.plan()
	plan.Output = map[string]any{"before": plan.Output["before"], "absent": plan.Output["absent"], "transport": a.transport()}
	// What is needed comes before Postfix is told of it, what is not needed any more goes after.
	var before, after []module.Change
	if f.whole() {
		was.Transports = append(was.Transports, a.transport())
		was.LoginOff = was.LoginOff || !a.KeepLogin
		if text := was.String(); len(plan.Changes) > 0 && text != f.memory {
			before = append(before, f.remember(text))
		}
	} else if f.memory != "" {
		after = append(after, f.forget("forget what forwarded before", forwardMemory))
	}
	if entries := f.entries(); entries != "" {
		if entries != f.text || !f.built {
			before = append(before, f.fill(entries))
		}
	} else if f.text != "" {
		after = append(after, f.forget("remove "+f.table, f.index(), f.table))
	}
	plan.Changes = slices.Concat(before, plan.Changes, after)
	switch {
	case len(plan.Changes) > 0:
	case a.State == "absent":
		plan.Note = "forwards nothing"
	default:
		plan.Note = "already forwards to " + a.To
	}
	return plan, nil
}

// entries is what the map has to say; see transport(5). Without a dot before it a domain's subdomains are others.
func (f *forwarder) entries() string {
	if len(f.args.Domains) == 0 {
		return ""
	}
	var lines []string
	for _, domain := range f.args.Domains {
		lines = append(lines, strings.ToLower(domain)+" "+f.args.transport()+"\n")
	}
	slices.Sort(lines)
	return "# Domains that are forwarded; made by runner's postfix.forward.\n" + strings.Join(slices.Compact(lines), "")
}

// remember keeps what the settings were.
func (f *forwarder) remember(text string) module.Change {
	return module.Change{
		Summary: "remember how mail was delivered", Before: f.memory, After: text,
		Apply: func(ctx context.Context, do *module.Apply) error {
			h := do.Host(f.args.On)
			if _, err := h.RunCommand(ctx, host.Script(keepMark, forwardMemory, strings.TrimSuffix(text, "\n"))); err != nil {
				return fmt.Errorf("cannot write %s on %s: %w", forwardMemory, h.Name(), why(err))
			}
			return nil
		},
	}
}

// fill writes the map and its indexed file.
func (f *forwarder) fill(text string) module.Change {
	return module.Change{
		Summary: "forward " + strings.Join(f.args.Domains, ", "), Before: f.text, After: text,
		Apply: func(ctx context.Context, do *module.Apply) error {
			h := do.Host(f.args.On)
			do.Keep(module.Original{Host: h.Name(), Object: f.table, Value: f.text})
			if err := h.WriteFile(ctx, f.table, []byte(text), host.Attr{Mode: 0o644, UID: -1, GID: -1}); err != nil {
				return fmt.Errorf("cannot write %s on %s: %w", f.table, h.Name(), why(err))
			}
			if _, err := h.RunCommand(ctx, host.Script(postfixRun, "postmap", "-c", f.now.dir, f.kind+":"+f.table)); err != nil {
				return fmt.Errorf("cannot index %s on %s: %w", f.table, h.Name(), postfixError(err))
			}
			return nil
		},
	}
}

// forget removes files that nothing needs any more.
func (f *forwarder) forget(summary string, names ...string) module.Change {
	return module.Change{Summary: summary, Apply: func(ctx context.Context, do *module.Apply) error {
		h := do.Host(f.args.On)
		for _, name := range names {
			if err := h.Files().Remove(ctx, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("cannot remove %s on %s: %w", name, h.Name(), why(err))
			}
		}
		return nil
	}}
}
