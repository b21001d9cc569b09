package recipe

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"

	"runner/runtime/module"
)

// Site is what the site file of an operator says.
type Site struct {
	Name   string              // path of the file, for messages; empty: there is none
	Hosts  map[string]SiteHost // by name; those of groups that have no name of their own too
	Groups map[string][]string // names of hosts
	Params map[string]any      // as [ParamDecl.Value] takes them
	// Secrets says where secrets are that recipes know by name.
	Secrets map[string]SecretSource

	places map[string]*Error // of hosts.NAME, groups.NAME and params.NAME; without a message
}

// mistake is an error about a name in the site.
func (s *Site) mistake(table, name, format string, args ...any) *Error {
	e := &Error{At: Position{File: s.Name}}
	if known := s.places[table+"."+name]; known != nil {
		e.At, e.Line = known.At, known.Line
	}
	e.What = fmt.Sprintf(format, args...)
	return e
}

// SiteHost is a host as the site writes it.
type SiteHost struct {
	Name string
	// Address is "user@name:port", "local", or the address alone when the site has a table for the host. A table without an
	// address has the host's name, which ssh_config may know.
	Address string
	// Fields of the table beside the address: port and timeout float64 or string; user, fingerprint, alias and become (sudo, doas or su) string; key, jump, known_hosts and
	// config []string; sudo bool; password, passphrase, sudo_password and su_password [module.Secret] or [SecretSource].
	Fields map[string]any
	At     Position
}

// fieldType is what a field of a host can be.
type fieldType int

const (
	aText    fieldType = iota
	aProgram           // that makes somebody root
	aNumber
	aSpan // a number of seconds or a text such as "90s"
	aFlag
	aList // of texts; one text is a list of one
	aSecret
)

// hostFields are the fields of a host in a site.
func hostFields() map[string]fieldType {
	return map[string]fieldType{
		"address": aText, "user": aText, "fingerprint": aText, "alias": aText, "port": aNumber, "timeout": aSpan, "sudo": aFlag, "become": aProgram,
		"key": aList, "jump": aList, "known_hosts": aList, "config": aList, "algorithms": aList, "password": aSecret, "passphrase": aSecret, "sudo_password": aSecret, "su_password": aSecret,
	}
}

// LoadSite reads a site file: Lua in the same sandbox as a recipe's, that returns { hosts = …, groups = …, params = …, secrets = …, defaults = … }. The error
// is an [*Error]. Secrets are not read yet: they come out as [SecretSource].
func LoadSite(ctx context.Context, name, text string) (*Site, error) {
	m := newMachine(SecretReader{})
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.state.Close()
	m.openSandbox()
	m.defineSecretFunction()
	m.strict(func(_ *thread, name string) string {
		return "a site file sets nothing and returns what it says, return { " + name + " = … }"
	})
	main, err := m.compile(name, text)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, DefaultLimit, ErrLimit)
	defer cancel()
	results, f := m.call(newThread(ctx, nil, siting), main)
	if f != nil {
		return nil, f.err
	}
	s := siteReader{machine: m, site: &Site{Name: name, Hosts: map[string]SiteHost{}, Groups: map[string][]string{}, Params: map[string]any{}, Secrets: map[string]SecretSource{}, places: map[string]*Error{}}}
	if err := s.read(results); err != nil {
		return nil, err
	}
	return s.site, nil
}

type siteReader struct {
	*machine
	site *Site
}

// fail is an error at the line where the field at a path of the returned table stands.
func (s *siteReader) fail(path []string, format string, args ...any) error {
	at := s.placeOf(path)
	return &Error{At: at, What: fmt.Sprintf(format, args...), Line: s.line(at)}
}

// placeOf is where the field at a path of the returned table stands.
func (s *siteReader) placeOf(path []string) Position {
	at := Position{File: s.site.Name, Line: s.lineOf(path)}
	if len(path) == 0 {
		return s.place(at)
	}
	return s.place(at, path[len(path)-1])
}

// lineOf finds the line of a field in the table that the file returns, or of what is around it.
func (s *siteReader) lineOf(path []string) int {
	f := s.files[s.site.Name]
	var e ast.Expr
	for _, stmt := range f.stmts {
		if r, ok := stmt.(*ast.ReturnStmt); ok && len(r.Exprs) > 0 {
			e = r.Exprs[0]
		}
	}
	line := 0
	for _, name := range path {
		var next ast.Expr
		eachField(e, func(key string, value ast.Expr, at int) {
			if key == name {
				next, line = value, at
			}
		})
		if e = next; e == nil {
			break
		}
	}
	return line
}

func (s *siteReader) read(results []lua.LValue) error {
	var table *lua.LTable
	if len(results) > 0 {
		table, _ = results[0].(*lua.LTable)
	}
	if table == nil {
		return s.fail(nil, "cannot use this as a site: it must return a table, return { hosts = { … } }")
	}
	for _, part := range []struct {
		name string
		read func(*lua.LTable) error
	}{{"hosts", s.hosts}, {"groups", s.groups}, {"params", s.params}, {"secrets", s.secrets}, {"defaults", s.defaults}} {
		v := table.RawGetString(part.name)
		inner, ok := v.(*lua.LTable)
		if v == lua.LNil {
			continue
		}
		if !ok {
			return s.fail([]string{part.name}, "cannot use %s of the site: it must be a table, not %s", part.name, shown(v))
		}
		if err := part.read(inner); err != nil {
			return err
		}
		for _, name := range namesOf(inner) {
			at := s.placeOf([]string{part.name, name})
			s.site.places[part.name+"."+name] = &Error{At: at, Line: s.line(at)}
		}
	}
	k, err := keysOf("it", table)
	if err != nil {
		return s.fail(nil, "cannot use this as a site: %v", err)
	}
	return s.unknown(nil, "cannot use this as a site", k.names, []string{"hosts", "groups", "params", "secrets", "defaults"})
}

func (s *siteReader) unknown(path []string, what string, names, known []string) error {
	for _, name := range names {
		if slices.Contains(known, name) {
			continue
		}
		here := append(slices.Clone(path), name)
		if near := module.Nearest(name, slices.Clone(known)); near != "" {
			return s.fail(here, "%s: %s is no field of it; did you mean %q?", what, name, near)
		}
		return s.fail(here, "%s: %s is no field of it; there are %s", what, name, strings.Join(known, ", "))
	}
	return nil
}

func (s *siteReader) hosts(t *lua.LTable) error {
	k, err := keysOf("hosts", t)
	if err != nil || k.numbers > 0 {
		return s.fail([]string{"hosts"}, "cannot use the hosts of the site: each has a name, hosts = { old = \"root@mail.example.org\" }")
	}
	for _, name := range k.names {
		if !validName.MatchString(name) {
			return s.fail([]string{"hosts", name}, "cannot use the host %q: its name must be made of letters, digits and _", name)
		}
		h, err := s.host([]string{"hosts", name}, name, t.RawGetString(name))
		if err != nil {
			return err
		}
		s.site.Hosts[name] = h
	}
	return nil
}

// host reads one host. An empty name is made from the address.
func (s *siteReader) host(path []string, name string, v lua.LValue) (SiteHost, error) {
	h := SiteHost{Name: name, Fields: map[string]any{}, At: s.placeOf(path)}
	switch v := v.(type) {
	case lua.LString:
		h.Address = strings.TrimSpace(string(v))
	case *lua.LTable:
		if err := s.hostTable(path, &h, v); err != nil {
			return h, err
		}
	default:
		return h, s.fail(path, "cannot use the host %s: it must be a text such as \"root@mail.example.org\" or a table, not %s", name, shown(v))
	}
	if h.Address == "" {
		h.Address = name
	}
	if h.Address == "" {
		return h, s.fail(path, "cannot use a host without an address")
	}
	return h, nil
}

func (s *siteReader) hostTable(path []string, h *SiteHost, t *lua.LTable) error {
	name := h.Name
	if name == "" {
		name = "of the group " + path[len(path)-1]
	}
	what := "the host " + name
	if path[0] == "defaults" {
		what = "the defaults of hosts"
	}
	k, err := keysOf("its table", t)
	if err != nil {
		return s.fail(path, "cannot use %s: %v", what, err)
	}
	if k.numbers > 0 {
		return s.fail(path, "cannot use %s: %s has no name; write address = …", what, shown(t.RawGetInt(1)))
	}
	known := hostFields()
	if err := s.unknown(path, "cannot use "+what, k.names, slices.Sorted(maps.Keys(known))); err != nil {
		return err
	}
	for _, field := range k.names {
		value, want := hostField(known[field], t.RawGetString(field))
		if want != "" {
			return s.fail(append(slices.Clone(path), field), "cannot use %s: %s must be %s, not %s", what, field, want, shown(t.RawGetString(field)))
		}
		if field == "address" {
			h.Address = strings.TrimSpace(value.(string))
			continue
		}
		h.Fields[field] = value
	}
	return nil
}

// hostField gives the value of a field, or says what it should have been.
func hostField(kind fieldType, v lua.LValue) (value any, want string) {
	switch kind {
	case aText:
		if s, ok := v.(lua.LString); ok && s != "" {
			return string(s), ""
		}
		return nil, "a text"
	case aProgram:
		if s, ok := v.(lua.LString); ok && (s == "sudo" || s == "doas" || s == "su") {
			return string(s), ""
		}
		return nil, `"sudo", "doas" or "su"`
	case aNumber:
		if n, ok := v.(lua.LNumber); ok && n >= 1 && n <= 65535 && n == lua.LNumber(int(n)) {
			return float64(n), ""
		}
		return nil, "a number from 1 to 65535"
	case aSpan:
		switch v := v.(type) {
		case lua.LNumber:
			if v > 0 {
				return float64(v), ""
			}
		case lua.LString:
			if span, err := module.ParseDuration(string(v)); err == nil && span > 0 {
				return string(v), ""
			}
		}
		return nil, "a number of seconds or a text such as \"90s\""
	case aFlag:
		if b, ok := v.(lua.LBool); ok {
			return bool(b), ""
		}
		return nil, "true or false"
	case aList:
		return textList(v)
	}
	if s, ok := secretOf(v); ok {
		return s.source, ""
	}
	if s, ok := v.(lua.LString); ok {
		return module.NewSecret(string(s)), ""
	}
	return nil, "a text or secret { … }"
}

func textList(v lua.LValue) (any, string) {
	const want = "a text or a list of texts"
	if s, ok := v.(lua.LString); ok {
		return []string{string(s)}, ""
	}
	t, ok := v.(*lua.LTable)
	if !ok {
		return nil, want
	}
	k, err := keysOf("it", t)
	if err != nil || k.names != nil {
		return nil, want
	}
	list := make([]string, k.numbers)
	for i := range list {
		s, ok := t.RawGetInt(i + 1).(lua.LString)
		if !ok {
			return nil, want
		}
		list[i] = string(s)
	}
	return list, ""
}

func (s *siteReader) groups(t *lua.LTable) error {
	k, err := keysOf("groups", t)
	if err != nil || k.numbers > 0 {
		return s.fail([]string{"groups"}, "cannot use the groups of the site: each has a name, groups = { web = { \"root@web1.example.org\" } }")
	}
	for _, name := range k.names {
		path := []string{"groups", name}
		list, ok := t.RawGetString(name).(*lua.LTable)
		var items tableKeys
		if ok {
			items, err = keysOf("it", list)
		}
		if !ok || err != nil || items.names != nil {
			return s.fail(path, "cannot use the group %s: it must be a list of hosts, { \"root@web1.example.org\", … }", name)
		}
		members := make([]string, 0, items.numbers)
		for i := 1; i <= items.numbers; i++ {
			member, err := s.member(path, list.RawGetInt(i))
			if err != nil {
				return err
			}
			members = append(members, member)
		}
		s.site.Groups[name] = members
	}
	return nil
}

// member is a host of a group: the name of one of hosts, or a host of its own, whose name is made from its address.
func (s *siteReader) member(path []string, v lua.LValue) (string, error) {
	if text, ok := v.(lua.LString); ok {
		if _, known := s.site.Hosts[string(text)]; known {
			return string(text), nil
		}
	}
	h, err := s.host(path, "", v)
	if err != nil {
		return "", err
	}
	name := h.Address
	if i := strings.LastIndexByte(name, '@'); i >= 0 && i+1 < len(name) {
		name = name[i+1:]
	}
	for _, candidate := range []string{name, h.Address} {
		h.Name = candidate
		other, taken := s.site.Hosts[candidate]
		if !taken {
			s.site.Hosts[candidate] = h
			return candidate, nil
		}
		if other.Address == h.Address && len(other.Fields) == 0 && len(h.Fields) == 0 {
			return candidate, nil
		}
	}
	return "", s.fail(path, "cannot use the host %s twice with different settings: give it a name in hosts and use that name in the groups", h.Address)
}
