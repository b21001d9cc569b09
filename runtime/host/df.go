package host

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// dfScript asks df(1) in its POSIX form for KiB and, where it knows -i, for inodes.
const dfScript = `df -P -k "$1" || exit;df -P -i "$1" 2>/dev/null||:`

// parseDf reads what dfScript printed: two tables of a heading and one line, whose fourth column from the left of the
// mount point's side is what is available. A device name with spaces makes more columns on the left, a mount point with
// spaces more on the right, so the column is found by the percentage that follows it.
func parseDf(text string) (bytes, inodes uint64, err error) {
	inodes = math.MaxUint64
	table, found := 0, false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "Filesystem") {
			table++
			continue
		}
		n, ok := beforePercent(strings.Fields(line))
		if !ok {
			continue
		}
		switch table {
		case 1:
			if n > math.MaxUint64/1024 {
				return 0, 0, errors.New("df says that more is free than there can be")
			}
			bytes, found = n*1024, true
		case 2:
			inodes = n
		}
	}
	if !found {
		return 0, 0, errors.New("df says nothing that is understood")
	}
	return bytes, inodes, nil
}

// beforePercent is the number in front of the first field that is a percentage (or "-", where there are no inodes).
func beforePercent(f []string) (uint64, bool) {
	for i := 3; i < len(f); i++ {
		if p, ok := strings.CutSuffix(f[i], "%"); ok || f[i] == "-" {
			if _, err := strconv.Atoi(p); ok && err != nil {
				continue
			}
			n, err := strconv.ParseUint(f[i-1], 10, 64)
			if err != nil {
				continue
			}
			if f[i] == "-" { // no inodes to count
				n = math.MaxUint64
			}
			return n, true
		}
	}
	return 0, false
}
