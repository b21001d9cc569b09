package maildir

import (
	"fmt"
	"strconv"
)

// Number writes a number with a blank between thousands: 12 041.
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

// Size writes a number of bytes with a binary unit: 1.2 GiB.
func Size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), -1
	for value >= 1024 && unit < 4 {
		value /= 1024
		unit++
	}
	if value >= 100 {
		return fmt.Sprintf("%.0f %ciB", value, "KMGTP"[unit])
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[unit])
}

// counted writes a number with its noun.
func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Number(n) + " " + many
}
