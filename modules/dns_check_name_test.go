package modules

import (
	"testing"

	"runner/modules/internal/authority/authoritytest"
)

// Names of a web site must lead to the new server and nowhere else, as every server says.
func TestDNSCheckWebNames(t *testing.T) {
	const both = "www IN CNAME web\nweb 120 IN A 192.0.2.1\nweb IN AAAA 2001:db8::1"
	wanted := []any{"192.0.2.1", "2001:db8::1"}
	for _, c := range []struct {
		name     string
		one, two string
		values   map[string]any
		wrong    []string
	}{
		{"as wanted", both, both, map[string]any{"addresses": wanted}, nil},
		{"without IPv6", "www IN A 192.0.2.1", "www IN A 192.0.2.1", map[string]any{"addresses": wanted}, nil},
		{"looked at", both, "www IN A 192.0.2.1", nil, nil},
		{"one server lags behind", both, "www IN A 192.0.2.2", map[string]any{"addresses": wanted},
			[]string{"cannot confirm the addresses of www.example.org", "www.example.org leads to 192.0.2.2 (TTL 300 s): so says ns2.example.org"}},
		{"an old AAAA", both, both, map[string]any{"addresses": []any{"192.0.2.1"}}, []string{"leads to 2001:db8::1 by way of web.example.org"}},
		{"not there", both, "", map[string]any{"addresses": wanted}, []string{"www.example.org has no address: so says"}},
		{"TTL", both, both, map[string]any{"addresses": wanted, "ttl_max": "60s"}, []string{"has a TTL of 300 s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newDNS(t, c.one, c.two)
			values := dnsCall(w, with(map[string]any{"names": []any{"www.example.org"}}, c.values))
			delete(values, "domains")
			wants(t, step(t, nil, "dns_check", values), "", c.wrong...)
		})
	}
}

// A server that does not answer is never as wanted; and what caches can still hold of a name is remembered.
func TestDNSCheckWebNameClock(t *testing.T) {
	w := newDNS(t, "www 600 IN A 192.0.2.2", "www 600 IN A 192.0.2.2")
	values := dnsCall(w, map[string]any{"names": []any{"www.example.org"}})
	delete(values, "domains")
	o := step(t, nil, "dns_check", values)
	site := func() map[string]any { return o.Output["domains"].(map[string]any)["www.example.org"].(map[string]any) }
	if o.Err != nil || site()["change_seconds"] != int64(600) || site()["ttl"] != int64(600) {
		t.Fatalf("%v %v", o.Err, site())
	}
	w.Serve("127.0.0.11", "example.org.", exampleZone(2, "www IN A 192.0.2.1"))
	w.Serve("127.0.0.12", "example.org.", exampleZone(2, "www IN A 192.0.2.1"))
	values["addresses"] = []any{"192.0.2.1"}
	o = step(t, nil, "dns_check", values)
	wants(t, o, "caches can still hold \"192.0.2.2\"")
	if left := site()["stale_seconds"].(int64); left < 500 || left > 600 {
		t.Errorf("the last cache forgets in %d s", left)
	}
	values["expired"] = true
	wants(t, step(t, nil, "dns_check", values), "", "caches can still hold")
	w.Break("127.0.0.12", authoritytest.Refuses)
	wants(t, step(t, nil, "dns_check", values), "", "www.example.org is unknown: it does not serve the zone (REFUSED): so says ns2.example.org")
}
