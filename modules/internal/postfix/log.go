package postfix

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Traffic counts what a mail log tells.
type Traffic struct {
	Received int            // messages taken from clients and from programs of the host
	Rejected int            // refused before they were taken
	Status   map[string]int // deliveries by "sent", "deferred", "bounced", "expired" …
	Relays   map[string]int // deliveries that were sent, by where they went: "dovecot", "mail.example.org", "virtual"
	Last     string         // the last line about a message
}

var (
	logDelivery = regexp.MustCompile(`postfix[^ /\[]*/(?:[a-z]+/)?([a-z_-]+)\[\d+\]: [0-9A-Za-z]{5,}: to=<[^>]*>,.* relay=([^,]*),.* status=([a-z-]+)`)
	logReceived = regexp.MustCompile(`postfix[^ /\[]*/(?:[a-z]+/)?(?:smtpd|pickup|submission|smtps)\[\d+\]: [0-9A-Za-z]{5,}: (?:client|uid)=`)
	logRejected = regexp.MustCompile(`postfix[^ /\[]*/(?:[a-z]+/)?[a-z]+\[\d+\]: NOQUEUE: (?:reject|milter-reject): `)
)

// Add reads more lines of a log.
func (t *Traffic) Add(text string) {
	if t.Status == nil {
		t.Status, t.Relays = map[string]int{}, map[string]int{}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch m := logDelivery.FindStringSubmatch(line); {
		case m != nil:
			t.Status[m[3]]++
			if m[3] == "sent" {
				t.Relays[relayName(m[2])]++
			}
		case logReceived.MatchString(line):
			t.Received++
		case logRejected.MatchString(line):
			t.Rejected++
		default:
			continue
		}
		t.Last = line
	}
}

// Events is how many lines were counted.
func (t *Traffic) Events() int {
	n := t.Received + t.Rejected
	for v := range maps.Values(t.Status) {
		n += v
	}
	return n
}

// RelayNames are those of Relays, sorted.
func (t *Traffic) RelayNames() []string { return slices.Sorted(maps.Keys(t.Relays)) }

// relayName takes address and port off: "mail.example.org[192.0.2.1]:25" is "mail.example.org".
func relayName(relay string) string {
	if at := strings.IndexByte(relay, '['); at > 0 {
		return relay[:at]
	}
	return relay
}
