package recipe

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"unicode/utf8"

	"runner/runtime/module"
)

// checkKept refuses what the journal, which is JSON, would not give back as it was.
func checkKept(place string, v any) error {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			return fmt.Errorf("cannot keep %s: its bytes are no UTF-8 text", place)
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("cannot keep %s: %v is no number that can be written down", place, v)
		}
	case module.HostName:
		return fmt.Errorf("cannot keep %s: a host is the recipe's own; keep its name, host.name", place)
	case []any:
		for i, item := range v {
			if err := checkKept(fmt.Sprintf("%s[%d]", place, i+1), item); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if !utf8.ValidString(name) {
				return fmt.Errorf("cannot keep %s: one of its names is no UTF-8 text", place)
			}
			if err := checkKept(place+"."+name, v[name]); err != nil {
				return err
			}
		}
	}
	return nil
}
