package mysql

import (
	"context"
	"fmt"
	"math"
	"strconv"
)

// MaxRows is how many rows [Session.Query] returns at most: a recipe's values are held in memory.
const MaxRows = 100000

// Query runs a statement that only looks and returns its rows: one map of column name to value for each, with int64,
// float64, string, []byte as string, or nil for NULL. Numbers beyond int64 and decimals come as strings.
func (s *Session) Query(ctx context.Context, query string, args ...any) ([]map[string]any, error) {
	rows, err := s.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, s.absent(err, "")
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range columns {
		if seen[c] {
			return nil, fmt.Errorf("two columns are called %q: name one of them with AS", c)
		}
		seen[c] = true
	}
	found := []map[string]any{}
	for rows.Next() {
		if len(found) == MaxRows {
			return nil, fmt.Errorf("more than %d rows: narrow it down with WHERE or LIMIT", MaxRows)
		}
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make(map[string]any, len(columns))
		for i, c := range columns {
			row[c] = recipeValue(values[i])
		}
		found = append(found, row)
	}
	return found, s.absent(rows.Err(), "")
}

// recipeValue turns what the driver returns into what a recipe can hold.
func recipeValue(v any) any {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case float32:
		// By way of its shortest text: 1.1 and not 1.100000023841858.
		f, err := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
		if err != nil {
			return float64(v)
		}
		return f
	case uint64:
		if v > math.MaxInt64 {
			return strconv.FormatUint(v, 10)
		}
		return int64(v)
	}
	return v
}

// Arguments turns a recipe's numbers into what a statement expects: Lua knows only floating point, a LIMIT only integers.
func Arguments(values []any) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
		if f, ok := v.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			out[i] = int64(f)
		}
	}
	return out
}
