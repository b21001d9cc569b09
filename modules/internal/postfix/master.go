package postfix

import (
	"slices"
	"strings"
)

// Lines that a frozen master.cf has. Since they stand in the file itself, going back needs nothing else and keeps every other change.
const (
	frozenHead = "# Frozen by runner, takes no mail; postfix.thaw brings back the lines marked so. Postfix was "
	frozenMark = "#runner-frozen# "
)

// entry is one service of a master.cf (master(5)): its lines begin at one that has no white space before it, and go on with those that have.
type entry struct {
	name, kind string
	lines      []int // without comments
}

func entries(lines []string) []entry {
	var list []entry
	for i, line := range lines {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if len(list) > 0 {
				list[len(list)-1].lines = append(list[len(list)-1].lines, i)
			}
		default:
			e := entry{lines: []int{i}}
			if fields := strings.Fields(line); len(fields) > 1 {
				e.name, e.kind = fields[0], fields[1]
			}
			list = append(list, e)
		}
	}
	return list
}

// takes says whether the service takes mail from outside: it listens on the network, or picks up what programs of the host left.
// What listens on the loopback address alone is a content filter's way back, which mail that is under way still needs.
func (e entry) takes() bool {
	if e.name == "pickup" {
		return e.kind == "unix" || e.kind == "fifo"
	}
	if e.kind != "inet" {
		return false
	}
	for _, own := range []string{"127.", "localhost:", "[::1]:", "::1:"} {
		if strings.HasPrefix(e.name, own) {
			return false
		}
	}
	return true
}

// Taking lists the services of a master.cf that take mail, as "smtp/inet".
func Taking(text string) []string {
	var names []string
	for _, e := range entries(strings.SplitAfter(text, "\n")) {
		if e.takes() {
			names = append(names, e.name+"/"+e.kind)
		}
	}
	return names
}

// Frozen says whether a master.cf was frozen, and whether Postfix ran then.
func Frozen(text string) (frozen, running bool) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, frozenHead); ok {
			return true, strings.TrimSpace(rest) == "running."
		}
	}
	return false, false
}

// Freeze takes the services that take mail out of a master.cf. running is kept for Thaw; a file that is frozen already keeps what it has.
func Freeze(text string, running bool) string {
	lines := strings.SplitAfter(text, "\n")
	for _, e := range entries(lines) {
		if e.takes() {
			for _, i := range e.lines {
				lines[i] = frozenMark + lines[i]
			}
		}
	}
	frozen := strings.Join(lines, "")
	if already, _ := Frozen(text); already {
		return frozen
	}
	was := "stopped.\n"
	if running {
		was = "running.\n"
	}
	return frozenHead + was + frozen
}

// Thaw takes back what Freeze did.
func Thaw(text string) string {
	lines := strings.SplitAfter(text, "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, frozenHead) })
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, frozenMark)
	}
	return strings.Join(lines, "")
}
