package recipe

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
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
