package postfix

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// ForwardingParameters are those of main.cf that decide whether mail for mailboxes is forwarded.
var ForwardingParameters = []string{"smtpd_sasl_auth_enable", "transport_maps", "virtual_transport"}

// Forwarding is what forwarding changed in main.cf.
type Forwarding struct {
	Transports []string          // every value that virtual_transport was given
	LoginOff   bool              // smtpd_sasl_auth_enable was set to no
	Had        map[string]string // of ForwardingParameters: those that stood in main.cf before
}

const forwardingHead = "# How Postfix delivered before runner's postfix.forward; its state = \"absent\" brings that back.\n"

// String is the text that ParseForwarding reads.
func (f Forwarding) String() string {
	var b strings.Builder
	b.WriteString(forwardingHead)
	for _, t := range slices.Compact(slices.Sorted(slices.Values(f.Transports))) {
		b.WriteString("transport " + t + "\n")
	}
	if f.LoginOff {
		b.WriteString("login off\n")
	}
	for _, name := range slices.Sorted(maps.Keys(f.Had)) {
		b.WriteString("had " + name + " = " + f.Had[name] + "\n")
	}
	return b.String()
}

// ParseForwarding reads what String wrote. An empty text is a Forwarding that changed nothing.
func ParseForwarding(text string) Forwarding {
	f := Forwarding{Had: map[string]string{}}
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "transport":
			f.Transports = append(f.Transports, rest)
		case "login":
			f.LoginOff = rest == "off"
		case "had":
			name, value, _ := strings.Cut(rest, "=")
			f.Had[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return f
}

// Original is what main.cf would say without forwarding, when it says now. A parameter that somebody gave another value meanwhile
// keeps that. table is the path of the map that forwards single domains.
func (f Forwarding) Original(now map[string]string, table string) Forwarding {
	o := Forwarding{Had: map[string]string{}}
	keep := func(name string, from map[string]string) {
		if value, there := from[name]; there {
			o.Had[name] = value
		}
	}
	if slices.Contains(f.Transports, now["virtual_transport"]) {
		o.Transports = slices.Clone(f.Transports)
		keep("virtual_transport", f.Had)
	} else {
		keep("virtual_transport", now)
	}
	if f.LoginOff && now["smtpd_sasl_auth_enable"] == "no" {
		o.LoginOff = true
		keep("smtpd_sasl_auth_enable", f.Had)
	} else {
		keep("smtpd_sasl_auth_enable", now)
	}
	keep("transport_maps", now)
	own := regexp.MustCompile(`[a-z]+:` + regexp.QuoteMeta(table) + `(?:[,\s]+|$)`)
	if maps := now["transport_maps"]; own.MatchString(maps) {
		if maps = strings.TrimRight(own.ReplaceAllString(maps, ""), ", \t"); maps == "" {
			delete(o.Had, "transport_maps")
		} else {
			o.Had["transport_maps"] = maps
		}
	}
	return o
}
