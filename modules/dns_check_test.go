package modules

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runner/modules/internal/authority/authoritytest"
	"runner/runtime/module"
)

// exampleZone is a zone whose MX can be changed, as two servers serve it.
func exampleZone(serial int, mx string) string {
	return fmt.Sprintf("@ IN SOA ns1 hostmaster %d 3600 600 86400 60\n@ IN NS ns1\n@ IN NS ns2\nns1 IN A 127.0.0.11\nns2 IN A 127.0.0.12\n"+
		"mail IN A 192.0.2.1\nold IN A 192.0.2.2\nalias IN CNAME mail\n%s\n", serial, mx)
}

func newDNS(t *testing.T, mx1, mx2 string) *authoritytest.World {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir()) // what was seen is remembered there
	w := authoritytest.New(t)
	w.Serve("127.0.0.11", "example.org.", exampleZone(1, mx1))
	w.Serve("127.0.0.12", "example.org.", exampleZone(1, mx2))
	return w
}

func dnsCall(w *authoritytest.World, more map[string]any) map[string]any {
	values := map[string]any{"domains": []any{"example.org"}, "resolver": w.Resolver.String(), "port": float64(w.Port)}
	for k, v := range more {
		values[k] = v
	}
	return values
}

func TestDNSCheck(t *testing.T) {
	const mail, old = "@ IN MX 10 mail", "@ IN MX 10 old"
	for _, c := range []struct {
		name     string
		mx1, mx2 string
		values   map[string]any
		wrong    []string // in the error; none: it is as wanted
	}{
		{"as wanted", mail, mail, map[string]any{"mx": "mail.example.org"}, nil},
		{"with a dot and in capitals", mail, mail, map[string]any{"mx": "MAIL.example.org."}, nil},
		{"with preference", mail, mail, map[string]any{"mx": "10 mail.example.org"}, nil},
		{"other preference", mail, mail, map[string]any{"mx": "20 mail.example.org"}, []string{"wanted: 20 mail.example.org", "ns1.example.org (127.0.0.11) says 10 mail.example.org (TTL 300 s)"}},
		{"one server lags behind", mail, old, map[string]any{"mx": "mail.example.org"}, []string{"example.org: ns2.example.org (127.0.0.12) says 10 old.example.org (TTL 300 s)"}},
		{"a forgotten backup", mail + "\n@ IN MX 20 old", mail, map[string]any{"mx": "mail.example.org"}, []string{"ns1.example.org (127.0.0.11) says 10 mail.example.org, 20 old.example.org"}},
		{"two, in any order", mail + "\n@ IN MX 20 old", "@ IN MX 20 old\n" + mail, map[string]any{"mx": []any{"old.example.org", "10 mail.example.org"}}, nil},
		{"none", "@ IN A 192.0.2.3", mail, map[string]any{"mx": "mail.example.org"}, []string{"mail goes to the address of the domain itself: 192.0.2.3"}},
		{"null", "@ IN MX 0 .", "@ IN MX 0 .", map[string]any{"mx": "."}, nil},
		{"null and more", "@ IN MX 0 .\n" + mail, mail, map[string]any{"mx": "mail.example.org"}, []string{"the null MX must stand alone"}},
		{"an alias", "@ IN MX 10 alias", "@ IN MX 10 alias", map[string]any{"mx": "alias.example.org"}, []string{"the MX alias.example.org: it is an alias (CNAME) of mail.example.org"}},
		{"no address", "@ IN MX 10 none", "@ IN MX 10 none", map[string]any{"mx": "none.example.org"}, []string{"the MX none.example.org: it has no address"}},
		{"an address", "@ IN MX 10 192.0.2.1", mail, map[string]any{"mx": "mail.example.org"}, []string{"an MX names a host, never an address"}},
		{"a forgotten dot", "@ IN MX 10 mail.example.org", mail, map[string]any{"mx": "mail.example.org"}, []string{"a dot is missing"}},
		{"TTL too large", mail, mail, map[string]any{"mx": "mail.example.org", "ttl_max": "1m"}, []string{"has a TTL of 300 s", "with a TTL of at most 60 s"}},
		{"TTL alone", mail, mail, map[string]any{"ttl_max": "5m"}, nil},
		{"no such domain", mail, mail, map[string]any{"domains": []any{"x.example.org"}, "mx": "mail.example.org"}, []string{"says the domain does not exist"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newDNS(t, c.mx1, c.mx2)
			r := step(t, nil, "dns_check", dnsCall(w, c.values))
			if len(c.wrong) == 0 {
				if r.Err != nil || r.Status != module.OK || r.Output["agreed"] != true {
					t.Errorf("%s %v %v", r.Status, r.Err, r.Output)
				}
				return
			}
			for _, want := range c.wrong {
				if r.Err == nil || !strings.Contains(r.Err.Error(), want) {
					t.Errorf("the error is %v, want %q in it", r.Err, want)
				}
			}
		})
	}
}

// A server of which it is not known what it says is never agreement.
func TestDNSCheckUnknown(t *testing.T) {
	w := newDNS(t, "@ IN MX 10 mail", "@ IN MX 10 mail")
	w.Break("127.0.0.12", authoritytest.Refuses)
	r := step(t, nil, "dns_check", dnsCall(w, map[string]any{"mx": "mail.example.org"}))
	if r.Err == nil || !strings.Contains(r.Err.Error(), "ns2.example.org (127.0.0.12): unknown: it does not serve the zone (REFUSED)") {
		t.Errorf("%s: %v", r.Status, r.Err)
	}
}

func TestDNSCheckLooks(t *testing.T) {
	w := newDNS(t, "@ 60 IN MX 10 mail", "@ IN MX 10 old")
	r := step(t, nil, "dns_check", dnsCall(w, map[string]any{"domains": []any{"Example.org", "sub.example.org"}}))
	if r.Err != nil || r.Output["agreed"] != false || !strings.Contains(r.Note, "ns2.example.org (127.0.0.12) says 10 old.example.org") {
		t.Fatal(r.Status, r.Note, r.Err)
	}
	got := r.Output["domains"].(map[string]any)["example.org"].(map[string]any)
	delete(got, "problems")
	want := map[string]any{
		"agreed": false, "exists": true, "zone": "example.org", "mx": []string{"mail.example.org", "old.example.org"}, "ttl": int64(300), "serial": int64(1),
		"clients": map[string]any{}, "spf": map[string]any{}, "resolvers": map[string]any{}, "stale_until": "", "stale_seconds": int64(0), "change_seconds": int64(300),
		"addresses": map[string]any{"mail.example.org": []string{"192.0.2.1"}, "old.example.org": []string{"192.0.2.2"}},
		"notes":     []string{"the servers of the zone above example.org could not be asked whom they delegate it to"},
		"servers": []any{
			map[string]any{"name": "ns1.example.org", "address": "127.0.0.11", "known": true, "says": "10 mail.example.org (TTL 60 s)",
				"mx": []string{"10 mail.example.org"}, "ttl": int64(60), "serial": int64(1)},
			map[string]any{"name": "ns2.example.org", "address": "127.0.0.12", "known": true, "says": "10 old.example.org (TTL 300 s)",
				"mx": []string{"10 old.example.org"}, "ttl": int64(300), "serial": int64(1)},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDNSCheckWaits(t *testing.T) {
	w := newDNS(t, "@ IN MX 10 old", "@ IN MX 10 old")
	values := dnsCall(w, map[string]any{"mx": "mail.example.org", "wait": "1m", "interval": "50ms"})
	planned := stepIn(t, context.Background(), nil, "dns_check", values, true)
	if planned.Err != nil || planned.Status != module.OK || len(planned.Changes) != 1 || !planned.Changes[0].Wait {
		t.Fatalf("check mode: %s %v %v", planned.Status, planned.Err, planned.summaries())
	}
	time.AfterFunc(100*time.Millisecond, func() { w.Serve("127.0.0.11", "example.org.", exampleZone(2, "@ IN MX 10 mail")) })
	time.AfterFunc(300*time.Millisecond, func() { w.Serve("127.0.0.12", "example.org.", exampleZone(2, "@ IN MX 10 mail")) })
	r := step(t, nil, "dns_check", values)
	if r.Err != nil || r.Status != module.OK || r.Output["agreed"] != true {
		t.Errorf("%s: %v %v", r.Status, r.Err, r.Output)
	}
	values["mx"], values["wait"] = "old.example.org", "200ms"
	r = step(t, nil, "dns_check", values)
	if r.Err == nil || !strings.Contains(r.Err.Error(), "cannot wait longer than 200ms for the MX of example.org; wanted: old.example.org\n  example.org: ns1") {
		t.Error(r.Err)
	}
}

// Through the connection of a host there is only TCP.
func TestDNSCheckThroughHost(t *testing.T) {
	w := newDNS(t, "@ IN MX 10 mail", "@ IN MX 10 mail")
	h, _ := newMachine(t)
	r := step(t, h, "dns_check", dnsCall(w, map[string]any{"on": here, "mx": "mail.example.org"}))
	if r.Err != nil || r.Output["agreed"] != true {
		t.Error(r.Err)
	}
}

func TestDNSCheckArguments(t *testing.T) {
	for _, c := range []struct {
		values map[string]any
		wrong  string
	}{
		{map[string]any{"domains": []any{}}, "neither domains nor names are given"},
		{map[string]any{"domains": []any{"a b"}}, "is no domain"},
		{map[string]any{"domains": []any{}, "names": []any{"www.example.org"}, "mx": "mail.example.org"}, "they need domains"},
		{map[string]any{"domains": []any{"müller.de"}}, "xn--"},
		{map[string]any{"mx": "192.0.2.1"}, "never an address"},
		{map[string]any{"mx": "mail"}, "not the whole name"},
		{map[string]any{"mx": []any{}}, "mx is empty"},
		{map[string]any{"mx": []any{".", "mail.example.org"}}, "must stand alone"},
		{map[string]any{"mx": "99999 mail.example.org"}, "at most 65535"},
		{map[string]any{"mx": 5.0}, "mx must be a string"},
		{map[string]any{"resolver": "ns.example.org"}, "resolver must be an address"},
		{map[string]any{"wait": "1h"}, "wait needs mx"},
		{map[string]any{"port": 0.0}, "port must be"},
		{map[string]any{"addresses": []any{"mail"}}, "addresses: \"mail\" is no address"},
		{map[string]any{"clients": "yes"}, "clients must be a boolean or a list"},
		{map[string]any{"clients": []any{"imap.example.org"}}, "need addresses"},
		{map[string]any{"resolvers": []any{"dns.example.org"}}, "is no address"},
		{map[string]any{"ptr": "mail", "addresses": []any{"192.0.2.1"}}, "not the whole name"},
		{map[string]any{"spf": true}, "need addresses"},
	} {
		if c.values["domains"] == nil {
			c.values["domains"] = []any{"example.org"}
		}
		if _, err := decode("dns_check", c.values); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%v: the error is %v, want %q in it", c.values, err, c.wrong)
		}
	}
}
