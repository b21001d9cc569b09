package recipetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"runner/runtime/recipe"
)

// equal is equal(is, want): two values are the same, tables by their content.
func (b *bench) equal(_ context.Context, c recipe.Called) (any, error) {
	if len(c.Args) < 2 || len(c.Args) > 3 {
		return nil, form("equal(is, want)")
	}
	if difference := compare("", c.Args[0], c.Args[1]); difference != "" {
		if len(c.Args) == 3 {
			difference = text(c.Args[2]) + ": " + difference
		}
		return nil, fmt.Errorf("%s", difference)
	}
	return true, nil
}

// compare is the first difference of two values; empty: there is none.
func compare(place string, is, want any) string {
	switch w := want.(type) {
	case []any:
		if i, ok := asList(is); ok {
			return compareLists(place, i, w)
		}
	case map[string]any:
		if len(w) == 0 {
			return compare(place, is, []any{})
		}
		if i, ok := is.(map[string]any); ok {
			return compareTables(place, i, w)
		}
	case *recipe.Object:
		if i, ok := nameOf(is); ok && i == w.Name {
			return ""
		}
	default:
		if is == want {
			return ""
		}
	}
	if place == "" {
		place = "it"
	}
	return fmt.Sprintf("%s is %s, not %s", strings.TrimPrefix(place, "."), literal(is), literal(want))
}

// asList is a list; an empty table is one.
func asList(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case map[string]any:
		return nil, len(v) == 0
	}
	return nil, false
}

func compareLists(place string, is, want []any) string {
	for i := range min(len(is), len(want)) {
		if d := compare(fmt.Sprintf("%s[%d]", place, i+1), is[i], want[i]); d != "" {
			return d
		}
	}
	if place == "" {
		place = "it"
	}
	switch {
	case len(is) > len(want):
		return fmt.Sprintf("%s has %d items, not %d; too much is %s", strings.TrimPrefix(place, "."), len(is), len(want), literal(is[len(want)]))
	case len(is) < len(want):
		return fmt.Sprintf("%s has %d items, not %d; missing is %s", strings.TrimPrefix(place, "."), len(is), len(want), literal(want[len(is)]))
	}
	return ""
}

func compareTables(place string, is, want map[string]any) string {
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if d := compare(place+"."+k, is[k], want[k]); d != "" {
			return d
		}
	}
	for _, k := range slices.Sorted(maps.Keys(is)) {
		if _, ok := want[k]; !ok {
			return fmt.Sprintf("%s is %s, not nil", strings.TrimPrefix(place+"."+k, "."), literal(is[k]))
		}
	}
	return ""
}

// contains is contains(text, part) and contains(list, item).
func (b *bench) contains(_ context.Context, c recipe.Called) (any, error) {
	if len(c.Args) != 2 {
		return nil, form("contains(text, part) or contains(list, item)")
	}
	switch v := c.Args[0].(type) {
	case string:
		if strings.Contains(v, text(c.Args[1])) {
			return true, nil
		}
		return nil, fmt.Errorf("there is no %q in: %s", text(c.Args[1]), v)
	case []any:
		for _, item := range v {
			if compare("", item, c.Args[1]) == "" {
				return true, nil
			}
		}
		return nil, fmt.Errorf("%s is not in %s", literal(c.Args[1]), literal(v))
	}
	return nil, fmt.Errorf("cannot look for %s in %s: it must be a text or a list", literal(c.Args[1]), literal(c.Args[0]))
}
