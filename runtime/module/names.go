package module

import (
	"slices"
	"strings"
)

// CheckNames says what [Module.Decode] would say of the names of a call's arguments, whatever their values: one that the module
// does not take, or one that it needs and that is not there. Nil: the names are right.
func (m Module) CheckNames(given []string) *ArgumentError {
	fields := m.Fields()
	known := make([]string, 0, len(fields))
	for _, f := range fields {
		known = append(known, f.Name)
	}
	for _, name := range given {
		if slices.Contains(known, name) || reserved[name] {
			continue
		}
		candidates := slices.Clone(known)
		for r := range reserved {
			candidates = append(candidates, r)
		}
		if near := Nearest(name, candidates); near != "" {
			return &ArgumentError{Module: m.Name, Argument: name, Problem: `is no argument; did you mean "` + near + `"?`}
		}
		return &ArgumentError{Module: m.Name, Argument: name, Problem: "is no argument; it takes " + strings.Join(known, ", ")}
	}
	for _, f := range fields {
		if f.Required && !slices.Contains(given, f.Name) {
			return &ArgumentError{Module: m.Name, Argument: f.Name, Problem: "is missing (" + f.TypeName() + ")"}
		}
	}
	return nil
}
