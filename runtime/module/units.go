package module

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

func (d *decoder) duration(path string, value any, into reflect.Value) error {
	var span time.Duration
	switch v := value.(type) {
	case float64:
		parsed, err := spanOf(v, time.Second)
		if err != nil {
			return d.fail(path, "must be a number of seconds, not %v", v)
		}
		span = parsed
	case string:
		parsed, err := ParseDuration(v)
		if err != nil {
			return d.fail(path, "must be a duration such as \"90s\" or \"2h\", not %q", v)
		}
		span = parsed
	default:
		return d.wrong(path, value, durationType)
	}
	if span < 0 {
		return d.fail(path, "must not be negative")
	}
	into.SetInt(int64(span))
	return nil
}

func (d *decoder) size(path string, value any, into reflect.Value) error {
	switch v := value.(type) {
	case float64:
		if v < 0 || v != math.Trunc(v) || v >= math.MaxInt64 {
			return d.fail(path, "must be a whole number of bytes, not %v", v)
		}
		into.SetInt(int64(v))
		return nil
	case string:
		n, err := ParseSize(v)
		if err != nil {
			return d.fail(path, "must be a size such as \"20M\", not %q", v)
		}
		into.SetInt(int64(n))
		return nil
	}
	return d.wrong(path, value, sizeType)
}

// ParseDuration reads "90s", "2h", "1h30m", "5d" (days of 24 hours).
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil {
			return 0, fmt.Errorf("cannot read %q as a duration", s)
		}
		return spanOf(n, 24*time.Hour)
	}
	return time.ParseDuration(s)
}

// FormatDuration writes a duration as people do and as [ParseDuration] reads it: "2h", "1h30m", "90s" as "1m30s", "5d".
func FormatDuration(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// spanOf multiplies, and refuses what no duration can hold: about 292 years, or what is no number.
func spanOf(n float64, unit time.Duration) (time.Duration, error) {
	span := n * float64(unit)
	if math.IsNaN(span) || math.Abs(span) >= math.MaxInt64 {
		return 0, fmt.Errorf("cannot read %v as a duration", n)
	}
	return time.Duration(span), nil
}

// ParseSize reads a number of bytes with an optional unit K, M, G or T of 1024 each, also written KiB, MiB ….
func ParseSize(s string) (Size, error) {
	number := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(s)), "B"), "I")
	shift := 0
	if n := len(number); n > 0 {
		if i := strings.IndexByte("KMGT", number[n-1]); i >= 0 {
			shift = 10 * (i + 1)
			number = strings.TrimSpace(number[:n-1])
		}
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(value) || value < 0 || value*math.Pow(2, float64(shift)) > math.MaxInt64/2 {
		return 0, fmt.Errorf("cannot read %q as a size", s)
	}
	return Size(value * math.Pow(2, float64(shift))), nil
}
