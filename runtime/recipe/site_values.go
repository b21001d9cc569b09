package recipe

import (
	"strings"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// defaults reads what the site says of all hosts that do not say otherwise themselves: defaults = { user = "admin", sudo = true }.
func (s *siteReader) defaults(t *lua.LTable) error {
	d := SiteHost{Name: "defaults", Fields: map[string]any{}}
	if err := s.hostTable([]string{"defaults"}, &d, t); err != nil {
		return err
	}
	if d.Address != "" {
		return s.fail([]string{"defaults", "address"}, "cannot use an address for all hosts: each has its own")
	}
	for name, h := range s.site.Hosts {
		for field, value := range d.Fields {
			if _, said := h.Fields[field]; said || h.says(field) {
				continue
			}
			h.Fields[field] = value
		}
		s.site.Hosts[name] = h
	}
	return nil
}

// says whether a host's address holds what a field would say: "user@name:port".
func (h SiteHost) says(field string) bool {
	switch field {
	case "user":
		return strings.Contains(h.Address, "@")
	case "port":
		name := strings.TrimPrefix(h.Address, "ssh://")
		if i := strings.LastIndexByte(name, ']'); i >= 0 {
			name = name[i:] // the colons of an IPv6 address are none of a port
		}
		return strings.Count(name, ":") == 1
	}
	return false
}

func (s *siteReader) params(t *lua.LTable) error {
	k, err := keysOf("params", t)
	if err != nil || k.numbers > 0 {
		return s.fail([]string{"params"}, "cannot use the parameters of the site: each has a name, params = { database = \"mailserver\" }")
	}
	x := export{reveal: func(s *secret) (any, error) { return s.source, nil }}
	for _, name := range k.names {
		v, err := x.value(name, t.RawGetString(name))
		if err != nil {
			return s.fail([]string{"params", name}, "cannot use the parameter %s: %v", name, err)
		}
		s.site.Params[name] = v
	}
	return nil
}

func (s *siteReader) secrets(t *lua.LTable) error {
	k, err := keysOf("secrets", t)
	if err != nil || k.numbers > 0 {
		return s.fail([]string{"secrets"}, "cannot use the secrets of the site: each has a name, secrets = { mysql = secret { file = \"…\" } }")
	}
	for _, name := range k.names {
		switch v := t.RawGetString(name).(type) {
		case lua.LString:
			s.site.Secrets[name] = SecretSource{Value: module.NewSecret(string(v))}
		default:
			known, ok := secretOf(v)
			if !ok {
				return s.fail([]string{"secrets", name}, "cannot use the secret %s: it must be secret { … } or a text, not %s", name, shown(v))
			}
			s.site.Secrets[name] = known.source
		}
	}
	return nil
}
