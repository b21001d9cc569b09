package modules

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"runner/runtime/module"
)

// transportSuffixes make a parameter of the name of a service in master.cf (postconf(5), "transport-specific"). Postfix
// before 2.9 does not list these, later ones list them only for services of their own.
var transportSuffixes = []string{
	"_delivery_slot_cost", "_delivery_slot_discount", "_delivery_slot_loan",
	"_destination_concurrency_failed_cohort_limit", "_destination_concurrency_limit",
	"_destination_concurrency_negative_feedback", "_destination_concurrency_positive_feedback",
	"_destination_rate_delay", "_destination_recipient_limit", "_extra_recipient_limit", "_initial_destination_concurrency",
	"_minimum_delivery_slots", "_recipient_limit", "_recipient_refill_delay", "_recipient_refill_limit", "_time_limit",
	"_transport_rate_delay",
}

var postfixReference = regexp.MustCompile(`\$[({]?([A-Za-z0-9_]+)`)

// checkNames refuses parameters that nothing in Postfix would ever read. A name that the operator made up is known when a
// value or master.cf refers to it as $name.
func (s *postfixSettings) checkNames(a *postconfArgs, set map[string]string) error {
	known := map[string]bool{}
	for name := range s.preset {
		known[name] = true
	}
	there := s.main.values()
	texts := append(slices.Collect(maps.Values(there)), s.master)
	for name := range there {
		known[name] = true
	}
	for _, v := range set {
		texts = append(texts, v)
	}
	for _, text := range texts {
		for _, m := range postfixReference.FindAllStringSubmatch(text, -1) {
			known[m[1]] = true
		}
	}
	for _, service := range masterServices(s.master) {
		for _, suffix := range transportSuffixes {
			known[service+suffix] = true
		}
	}
	for _, name := range slices.Concat(slices.Sorted(maps.Keys(set)), a.Unset, a.Get) {
		if known[name] {
			continue
		}
		text := fmt.Sprintf("cannot use the parameter %s: the Postfix of %s does not know it", name, a.On.Name())
		if near := module.Nearest(name, slices.Collect(maps.Keys(known))); near != "" {
			text += "; did you mean " + near + "?"
		}
		return fmt.Errorf("%s", text)
	}
	return nil
}

// masterServices are the first fields of the entries of a master.cf (master(5)).
func masterServices(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		if line[0] == '#' || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		if fields := strings.Fields(line); len(fields) >= 8 {
			names = append(names, fields[0])
		}
	}
	return names
}
