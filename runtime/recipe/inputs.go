package recipe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"runner/runtime/module"
)

// MissingError says what a recipe needs and the site does not give. Its text ends with the lines to add.
type MissingError struct {
	Site   string // path of the site file; empty: there is none
	Hosts  []HostDecl
	Groups []HostDecl
	Params []ParamDecl
}

func (e *MissingError) Error() string {
	var what []string
	for _, h := range e.Hosts {
		what = append(what, "the host "+h.Name)
	}
	for _, g := range e.Groups {
		what = append(what, "the group "+g.Name)
	}
	for _, p := range e.Params {
		what = append(what, "the parameter "+p.Name)
	}
	site := e.Site
	if site == "" {
		site = "a file site.lua beside the recipe"
	}
	return fmt.Sprintf("cannot run the recipe without %s; write into %s:\n%s", and(what), site, strings.TrimSuffix(e.Lines(), "\n"))
}

// Lines are the lines to add to the site file.
func (e *MissingError) Lines() string {
	var b strings.Builder
	b.WriteString("return {\n")
	section(&b, "hosts", e.Hosts, func(h HostDecl) (string, string, string) {
		return h.Name, fmt.Sprintf("%q", "root@"+h.Name+".example.org"), h.Help
	})
	section(&b, "groups", e.Groups, func(g HostDecl) (string, string, string) {
		return g.Name, fmt.Sprintf("{ %q }", "root@"+g.Name+"1.example.org"), g.Help
	})
	section(&b, "params", e.Params, func(p ParamDecl) (string, string, string) { return p.Name, p.example(), p.Help })
	b.WriteString("}\n")
	return b.String()
}

func section[D any](b *strings.Builder, name string, list []D, line func(D) (key, value, help string)) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "  %s = {\n", name)
	for _, d := range list {
		key, value, help := line(d)
		fmt.Fprintf(b, "    %s = %s,", key, value)
		if help != "" {
			fmt.Fprintf(b, " -- %s", strings.Join(strings.Fields(help), " "))
		}
		b.WriteString("\n")
	}
	b.WriteString("  },\n")
}

// example is a value of the parameter's type, in Lua.
func (p ParamDecl) example() string {
	switch {
	case len(p.Choices) > 0 && p.Type == "list":
		return fmt.Sprintf("{ %q }", p.Choices[0])
	case len(p.Choices) > 0:
		return fmt.Sprintf("%q", p.Choices[0])
	}
	switch p.Type {
	case "number":
		return "0"
	case "boolean":
		return "false"
	case "list":
		return `{ "…" }`
	case "table":
		return `{ name = "…" }`
	case "secret":
		return fmt.Sprintf("secret { env = %q }", strings.ToUpper(p.Name))
	}
	return `"…"`
}

func and(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// Missing lists what the recipe needs and the inputs do not have; nil: nothing.
func (d Declaration) Missing(in Inputs) *MissingError {
	e := &MissingError{}
	for _, h := range d.Hosts {
		if _, ok := in.Hosts[h.Name]; !ok && !h.Optional {
			e.Hosts = append(e.Hosts, h)
		}
	}
	for _, g := range d.Groups {
		if _, ok := in.Groups[g.Name]; !ok && !g.Optional {
			e.Groups = append(e.Groups, g)
		}
	}
	for _, p := range d.Params {
		if in.Params[p.Name] == nil && p.Required {
			e.Params = append(e.Params, p)
		}
	}
	if e.Hosts == nil && e.Groups == nil && e.Params == nil {
		return nil
	}
	return e
}

// StandIns fills in what is missing, so that the recipe can be read where nothing of it will be run (to list its tasks): a host
// stands for itself, a group is empty, a parameter is an empty value of its type or the first of its choices.
func (d Declaration) StandIns(in Inputs) Inputs {
	missing := d.Missing(in)
	if missing == nil {
		return in
	}
	out := in
	out.Hosts, out.Groups, out.Params = maps.Clone(in.Hosts), maps.Clone(in.Groups), maps.Clone(in.Params)
	if out.Hosts == nil {
		out.Hosts = map[string]module.HostName{}
	}
	if out.Groups == nil {
		out.Groups = map[string][]module.HostName{}
	}
	if out.Params == nil {
		out.Params = map[string]any{}
	}
	for _, h := range missing.Hosts {
		out.Hosts[h.Name] = module.HostName(h.Name)
	}
	for _, g := range missing.Groups {
		out.Groups[g.Name] = []module.HostName{}
	}
	for _, p := range missing.Params {
		out.Params[p.Name] = p.standIn()
	}
	return out
}

func (p ParamDecl) standIn() any {
	switch p.Type {
	case "number":
		return 0.0
	case "boolean":
		return false
	case "list":
		return []any{}
	case "table":
		return map[string]any{}
	case "secret":
		return module.Secret{}
	}
	if len(p.Choices) > 0 {
		return p.Choices[0]
	}
	return ""
}

// Complete checks the inputs, gives the parameters their types and fills in defaults. What is missing is a [*MissingError].
func (d Declaration) Complete(in Inputs) (Inputs, error) {
	if missing := d.Missing(in); missing != nil {
		return in, missing
	}
	params := map[string]any{}
	for _, p := range d.Params {
		given, ok := in.Params[p.Name]
		if !ok || given == nil {
			if p.Default != nil {
				params[p.Name] = p.Default
			}
			continue
		}
		value, err := p.Value(given)
		if err != nil {
			return in, p.refuse(err)
		}
		params[p.Name] = value
	}
	in.Params = params
	return in, nil
}

// refuse is the error for a value that the parameter cannot have. It names the line that declares it.
func (p ParamDecl) refuse(err error) error {
	what := fmt.Sprintf("cannot use the parameter %s: it %v", p.Name, err)
	if p.Help != "" {
		what += fmt.Sprintf(" (%s: %s)", p.Name, p.Help)
	}
	return &Error{At: p.At, What: what}
}

// Param finds a parameter by its name; a wrong name is an error with a suggestion.
func (d Declaration) Param(name string) (ParamDecl, error) {
	for _, p := range d.Params {
		if p.Name == name {
			return p, nil
		}
	}
	names := namesOfParams(d.Params)
	if near := module.Nearest(name, slices.Clone(names)); near != "" {
		return ParamDecl{}, fmt.Errorf("cannot set the parameter %s: the recipe has none of that name; did you mean %q?", name, near)
	}
	if len(names) == 0 {
		return ParamDecl{}, fmt.Errorf("cannot set the parameter %s: the recipe has no parameters", name)
	}
	return ParamDecl{}, fmt.Errorf("cannot set the parameter %s: the recipe has none of that name; it has %s", name, strings.Join(names, ", "))
}

// Inputs chooses from a site what the recipe declares; given are the texts of --param, which go before the site. What is missing
// is left out: [Load] reports it after Resolve, and [Declaration.Missing] before.
func (d Declaration) Inputs(site *Site, given map[string]string) (Inputs, error) {
	in := Inputs{Hosts: map[string]module.HostName{}, Groups: map[string][]module.HostName{}, Params: map[string]any{}}
	for _, h := range d.Hosts {
		if host, ok := site.Hosts[h.Name]; ok {
			in.Hosts[h.Name] = module.HostName(host.Name)
		}
	}
	for _, g := range d.Groups {
		if names, ok := site.Groups[g.Name]; ok {
			in.Groups[g.Name] = hostNames(names)
		}
	}
	for _, p := range d.Params {
		if v, ok := site.Params[p.Name]; ok {
			if _, err := p.Value(v); err != nil {
				return in, site.mistake("params", p.Name, "cannot use the parameter %s: it %v", p.Name, err)
			}
			in.Params[p.Name] = v
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		p, err := d.Param(name)
		if err != nil {
			return in, err
		}
		if in.Params[name], err = p.Parse(given[name]); err != nil {
			return in, p.refuse(err)
		}
	}
	return in, d.mistyped(site, in)
}

func hostNames(names []string) []module.HostName {
	list := make([]module.HostName, len(names))
	for i, n := range names {
		list[i] = module.HostName(n)
	}
	return list
}

// mistyped finds names in the site that are most likely meant for something that the recipe declares and did not get. Other names
// that the recipe does not know are left alone: a site may serve several recipes.
func (d Declaration) mistyped(site *Site, in Inputs) error {
	check := func(table, what string, declared []string, has func(string) bool, known []string) error {
		var open []string
		for _, name := range declared {
			if !has(name) {
				open = append(open, name)
			}
		}
		for _, name := range known {
			if slices.Contains(declared, name) {
				continue
			}
			if near := module.Nearest(name, slices.Clone(open)); near != "" {
				return site.mistake(table, name, "cannot use the %s %s: the recipe has none of that name; did you mean %q?", what, name, near)
			}
		}
		return nil
	}
	err := check("hosts", "host", namesOfHosts(d.Hosts), func(n string) bool { return in.Hosts[n] != "" }, slices.Sorted(maps.Keys(site.Hosts)))
	if err == nil {
		err = check("groups", "group", namesOfHosts(d.Groups), func(n string) bool { return in.Groups[n] != nil }, slices.Sorted(maps.Keys(site.Groups)))
	}
	if err == nil {
		err = check("params", "parameter", namesOfParams(d.Params), func(n string) bool { return in.Params[n] != nil }, slices.Sorted(maps.Keys(site.Params)))
	}
	return err
}
