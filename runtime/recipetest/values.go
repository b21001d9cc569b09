package recipetest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

// reader reads the fields of a table that a test gives. It keeps the first error.
type reader struct {
	table map[string]any
	err   error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) known(names ...string) {
	for _, name := range slices.Sorted(maps.Keys(r.table)) {
		if slices.Contains(names, name) {
			continue
		}
		if near := module.Nearest(name, slices.Clone(names)); near != "" {
			r.fail("there is no %s; did you mean %s?", name, near)
		} else {
			r.fail("there is no %s; there are %s", name, strings.Join(names, ", "))
		}
	}
}

func (r *reader) text(name string) string {
	v, ok := r.table[name]
	if !ok {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		r.fail("%s must be a text, not %s", name, text(v))
	}
	return s
}

func (r *reader) number(name string) int {
	v, ok := r.table[name]
	if !ok {
		return 0
	}
	n, ok := v.(float64)
	if !ok || n != math.Trunc(n) {
		r.fail("%s must be a whole number, not %s", name, text(v))
	}
	return int(n)
}

func (r *reader) flag(name string) bool {
	v, ok := r.table[name]
	if !ok {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		r.fail("%s must be true or false, not %s", name, text(v))
	}
	return b
}

// named gives a field that is a table with names.
func (r *reader) named(name string) map[string]any {
	switch v := r.table[name].(type) {
	case nil:
	case map[string]any:
		return v
	case []any:
		if len(v) > 0 {
			r.fail("%s must be a table with names, not a list", name)
		}
	default:
		r.fail("%s must be a table, not %s", name, text(v))
	}
	return nil
}

// table is the one table among the arguments; none, and {}, are an empty one.
func table(args []any) (map[string]any, bool) {
	if len(args) == 0 {
		return map[string]any{}, true
	}
	switch v := args[0].(type) {
	case map[string]any:
		return v, len(args) == 1
	case []any:
		return map[string]any{}, len(args) == 1 && len(v) == 0
	}
	return nil, false
}

func list(texts []string) []any {
	values := make([]any, len(texts))
	for i, t := range texts {
		values[i] = t
	}
	return values
}

// texts is a list of texts, or one text.
func texts(v any) ([]string, error) {
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case []any:
		out := make([]string, len(v))
		for i, item := range v {
			s, ok := nameOf(item)
			if !ok {
				return nil, fmt.Errorf("item %d must be a text, not %s", i+1, text(item))
			}
			out[i] = s
		}
		return out, nil
	}
	return nil, fmt.Errorf("it must be a list of texts, not %s", text(v))
}

// nameOf is a text, or the name of a fake host.
func nameOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case *recipe.Object:
		if f, ok := v.Value.(*fake); ok {
			return f.name, true
		}
	}
	return "", false
}

// text is a value in a message, or as a test prints it.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case *recipe.Object:
		return v.Name
	case *recipe.Callback:
		return "a function"
	case []any, map[string]any:
		return literal(v)
	}
	return fmt.Sprint(v)
}

// literal is a value as one would write it in Lua.
func literal(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = literal(item)
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+" = "+literal(v[k]))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	}
	return text(v)
}

// plain makes of the arguments of a step what a test can compare: hosts are their names, a secret stays hidden.
func plain(v any) any {
	switch v := v.(type) {
	case module.HostName:
		return string(v)
	case module.Secret:
		return module.Mask
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = plain(item)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, item := range v {
			out[k] = plain(item)
		}
		return out
	}
	return v
}

// ofThese suggests one of several names, or lists them.
func ofThese(wrong string, names []string) string {
	names = slices.Compact(slices.Clone(names))
	if near := module.Nearest(wrong, slices.Clone(names)); near != "" && near != wrong {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	switch {
	case len(names) == 0:
		return "; nothing was"
	case len(names) > 12:
		return fmt.Sprintf("; %d others were", len(names))
	}
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	return "; these were: " + strings.Join(quoted, ", ")
}
