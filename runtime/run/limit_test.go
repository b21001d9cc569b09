package run

import (
	"strings"
	"testing"

	"runner/runtime/module"
)

func TestLimit(t *testing.T) {
	hosts := []module.HostName{"old", "new"}
	groups := map[string][]module.HostName{"web": {"web1", "web2", "web10"}}
	for expr, want := range map[string]string{
		"old":           "old",
		"web":           "web1 web2 web10",
		"web?":          "web1 web2",
		"web,!web2":     "web1 web10",
		"!web":          "old new",
		"old, web1":     "old web1",
		"*,!old,!web10": "new web1 web2",
	} {
		outside, err := Limit(expr, hosts, groups)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		var got []string
		for _, h := range knownHosts(hosts, groups) {
			if !outside(h) {
				got = append(got, string(h))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s gives %v, want %s", expr, got, want)
		}
	}
	for expr, want := range map[string]string{
		"web3": `cannot find the host or group "web3" of --limit; did you mean "web"?`,
		"db":   `cannot find the host or group "db" of --limit; there are "web", "old", "new", "web1", "web2", "web10"`,
		"[":    `cannot read --limit: "[" is no pattern`,
		"":     `cannot find the host or group "" of --limit; there are "web", "old", "new", "web1", "web2", "web10"`,
	} {
		if _, err := Limit(expr, hosts, groups); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", expr, err, want)
		}
	}
}
