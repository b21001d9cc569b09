package run

import (
	"path"
	"slices"
	"strings"

	"runner/runtime/module"
)

// Limit reads the value of --limit: names of hosts and groups and patterns ("web*", see path.Match), with commas between them; one that begins
// with "!" takes hosts out. It returns the function that says whether a host is left out.
func Limit(expr string, hosts []module.HostName, groups map[string][]module.HostName) (func(module.HostName) bool, error) {
	in := map[module.HostName]bool{}
	known := knownHosts(hosts, groups)
	for i, item := range strings.Split(expr, ",") {
		item = strings.TrimSpace(item)
		pattern, out := strings.CutPrefix(item, "!")
		if i == 0 && out {
			for _, h := range known {
				in[h] = true
			}
		}
		found, err := matching(pattern, known, groups)
		if err != nil {
			return nil, err
		}
		for _, h := range found {
			in[h] = !out
		}
	}
	return func(h module.HostName) bool { return !in[h] }, nil
}

func knownHosts(hosts []module.HostName, groups map[string][]module.HostName) []module.HostName {
	known := slices.Clone(hosts)
	for _, members := range groups {
		for _, h := range members {
			if !slices.Contains(known, h) {
				known = append(known, h)
			}
		}
	}
	return known
}

func matching(pattern string, known []module.HostName, groups map[string][]module.HostName) ([]module.HostName, error) {
	if members, ok := groups[pattern]; ok {
		return members, nil
	}
	var found []module.HostName
	for _, h := range known {
		ok, err := path.Match(pattern, string(h))
		if err != nil {
			return nil, usage("cannot read --limit: %q is no pattern", pattern)
		}
		if ok {
			found = append(found, h)
		}
	}
	if len(found) == 0 {
		names := sortedNames(groups)
		for _, h := range known {
			names = append(names, string(h))
		}
		return nil, unknownName("host or group", pattern, names, " of --limit")
	}
	return found, nil
}
