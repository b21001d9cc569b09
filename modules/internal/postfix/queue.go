package postfix

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Queue is what postqueue -p lists.
type Queue struct {
	Messages int
	Bytes    int64
	Active   int // being delivered
	Hold     int
	Waiting  int // deferred, or about to be looked at
	Reasons  []Reason
}

// Reason is why mail waits.
type Reason struct {
	Text       string
	Recipients int
	Example    string // one of the recipients
}

// head is the first line of a message: "3F2A1C0D5E*    1234 Mon Nov 23 18:00:00  sender@example.org".
var head = regexp.MustCompile(`^([0-9A-Za-z]{5,})([*!#]?)\s+(\d+) [A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d `)

// ParseQueue reads the output of postqueue -p of any version (mailq(1)): a line for each message, then reasons in parentheses, each
// before the recipients that it holds for.
func ParseQueue(text string) Queue {
	var q Queue
	byText := map[string]*Reason{}
	var current *Reason
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if m := head.FindStringSubmatch(line); m != nil {
			size, _ := strconv.ParseInt(m[3], 10, 64)
			q.Messages++
			q.Bytes += size
			switch m[2] {
			case "*":
				q.Active++
			case "!":
				q.Hold++
			default:
				q.Waiting++
			}
			current, inside = nil, true
			continue
		}
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "":
			current, inside = nil, false
		case !inside:
		case trimmed[0] == '(':
			text := strings.TrimSuffix(trimmed[1:], ")")
			if byText[text] == nil {
				byText[text] = &Reason{Text: text}
			}
			current = byText[text]
		case current != nil:
			current.Recipients++
			if current.Example == "" {
				current.Example = trimmed
			}
		}
	}
	for _, r := range byText {
		q.Reasons = append(q.Reasons, *r)
	}
	slices.SortFunc(q.Reasons, func(a, b Reason) int {
		if a.Recipients != b.Recipients {
			return b.Recipients - a.Recipients
		}
		return strings.Compare(a.Text, b.Text)
	})
	return q
}
