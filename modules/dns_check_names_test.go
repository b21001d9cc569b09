package modules

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runner/modules/internal/authority"
	"runner/modules/internal/authority/authoritytest"
	"runner/runtime/module"
)

// Everything by which mail and users reach the server must lead to the new one alone.
func TestDNSCheckNames(t *testing.T) {
	const mx, imap = "@ IN MX 10 mail\n", "imap IN A 192.0.2.1\n"
	reverse := func(w *authoritytest.World, records string) {
		w.Serve("127.0.0.11", "2.0.192.in-addr.arpa.", "@ IN SOA ns1.example.org. a.example.org. 1 1 1 1 1\n@ IN NS ns1.example.org.\n"+records)
	}
	for _, c := range []struct {
		name    string
		records string
		reverse string
		values  map[string]any
		wrong   []string
	}{
		{name: "all is well", records: imap + "@ IN TXT \"v=spf1 mx -all\"", reverse: "1 IN PTR mail.example.org.",
			values: map[string]any{"clients": true, "spf": true, "ptr": "mail.example.org"}},
		{name: "an old AAAA", records: "mail IN AAAA 2001:db8::2", wrong: []string{"the MX mail.example.org leads to 2001:db8::2 (TTL 300 s): so says ns1.example.org, ns2.example.org"}},
		{name: "a second address", records: "mail IN A 192.0.2.9", wrong: []string{"the MX mail.example.org leads to 192.0.2.9"}},
		{name: "a client's name", records: "imap IN A 192.0.2.2", values: map[string]any{"clients": true}, wrong: []string{"imap.example.org leads to 192.0.2.2"}},
		{name: "over an alias", records: "webmail IN CNAME old", values: map[string]any{"clients": true}, wrong: []string{"webmail.example.org leads to 192.0.2.2 by way of old.example.org"}},
		{name: "a service", records: "_imaps._tcp IN SRV 0 1 993 box\nbox IN A 192.0.2.2", values: map[string]any{"clients": true}, wrong: []string{"box.example.org leads to 192.0.2.2"}},
		{name: "listed and not there", values: map[string]any{"clients": []any{"imap.example.org"}}, wrong: []string{"imap.example.org has no address: so says"}},
		{name: "an alias without end", records: "imap IN CNAME smtp\nsmtp IN CNAME imap", values: map[string]any{"clients": []any{"imap.example.org"}}, wrong: []string{"is an alias without end"}},
		{name: "no PTR", reverse: "2 IN PTR x.", values: map[string]any{"ptr": "mail.example.org"}, wrong: []string{"192.0.2.1 has no name (PTR)"}},
		{name: "another PTR", reverse: "1 IN PTR host1.example.net.", values: map[string]any{"ptr": "mail.example.org"}, wrong: []string{"192.0.2.1 is named host1.example.net (PTR), not mail.example.org"}},
		{name: "PTR over an alias", reverse: "1 IN CNAME 1.0-7\n1.0-7 IN PTR mail.example.org.", values: map[string]any{"ptr": "mail.example.org"}},
		{name: "PTR that is not confirmed", reverse: "1 IN PTR old.example.org.", values: map[string]any{"ptr": "old.example.org"}, wrong: []string{"the name old.example.org does not lead to 192.0.2.1"}},
		{name: "SPF forgets", records: "@ IN TXT \"v=spf1 ip4:192.0.2.2 -all\"", values: map[string]any{"spf": true}, wrong: []string{"SPF does not let 192.0.2.1 send: fail (-all of example.org)"}},
		{name: "no SPF", values: map[string]any{"spf": true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newDNS(t, mx+c.records, mx+c.records)
			reverse(w, c.reverse)
			values := with(map[string]any{"mx": "mail.example.org", "addresses": []any{"192.0.2.1"}}, c.values)
			o := step(t, nil, "dns_check", dnsCall(w, values))
			wants(t, o, "every server of example.org says so", c.wrong...)
		})
	}
}

// A zone whose servers differ in a name of clients: one of them still leads to the old server.
func TestDNSCheckClientsOnEveryServer(t *testing.T) {
	w := newDNS(t, "@ IN MX 10 mail\nimap IN A 192.0.2.1", "@ IN MX 10 mail\nimap IN A 192.0.2.2")
	values := dnsCall(w, map[string]any{"mx": "mail.example.org", "addresses": []any{"192.0.2.1"}, "clients": true})
	wants(t, step(t, nil, "dns_check", values), "", "imap.example.org leads to 192.0.2.2 (TTL 300 s): so says ns2.example.org")
	w.Break("127.0.0.12", authoritytest.Refuses)
	wants(t, step(t, nil, "dns_check", values), "", "imap.example.org is unknown: it does not serve the zone (REFUSED): so says ns2.example.org")
}

// Looking alone tells where the names lead.
func TestDNSCheckTellsClients(t *testing.T) {
	w := newDNS(t, "@ IN MX 10 mail\nimap IN CNAME mail\n*.example.org. IN TXT x", "@ IN MX 10 mail\nimap IN CNAME mail")
	o := step(t, nil, "dns_check", dnsCall(w, map[string]any{"clients": true}))
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	got := o.Output["domains"].(map[string]any)["example.org"].(map[string]any)["clients"]
	if diff := cmp.Diff(map[string]any{"imap.example.org": []string{"192.0.2.1"}, "mail.example.org": []string{"192.0.2.1"}}, got); diff != "" {
		t.Error(diff)
	}
}

// Caches are looked at once the servers of the zone agree, and not before.
func TestDNSCheckResolvers(t *testing.T) {
	w := newDNS(t, "@ IN MX 10 mail", "@ IN MX 10 old")
	w.Serve("127.0.0.31", "example.org.", exampleZone(1, "@ 77 IN MX 10 old")) // as good as a cache
	resolver := strings.Replace(w.Resolver.String(), "127.0.0.1:", "127.0.0.31:", 1)
	values := dnsCall(w, map[string]any{"mx": "mail.example.org", "resolvers": []any{resolver}})
	asked := w.Asked("127.0.0.31")
	wants(t, step(t, nil, "dns_check", values), "", "ns2.example.org (127.0.0.12) says 10 old.example.org")
	if w.Asked("127.0.0.31") != asked {
		t.Error("the resolver was asked before the servers agreed")
	}
	w.Serve("127.0.0.12", "example.org.", exampleZone(1, "@ IN MX 10 mail"))
	wants(t, step(t, nil, "dns_check", values), "", "the resolver 127.0.0.31 says 10 old.example.org, and will for 77 s")
	w.Serve("127.0.0.31", "example.org.", exampleZone(1, "@ 77 IN MX 10 mail"))
	wants(t, step(t, nil, "dns_check", values), "every server of example.org says so")
}

// The clock: the old answer is in caches for its TTL after it was last served.
func TestDNSCheckClock(t *testing.T) {
	w := newDNS(t, "@ 3600 IN MX 10 old", "@ 3600 IN MX 10 old")
	look := func(more map[string]any) outcome { return step(t, nil, "dns_check", dnsCall(w, more)) }
	domain := func(o outcome) map[string]any {
		return o.Output["domains"].(map[string]any)["example.org"].(map[string]any)
	}
	if o := look(nil); o.Err != nil || domain(o)["change_seconds"] != int64(3600) || domain(o)["stale_until"] != "" {
		t.Fatal(o.Err, domain(o))
	}
	for _, ns := range []string{"127.0.0.11", "127.0.0.12"} {
		w.Serve(ns, "example.org.", exampleZone(2, "@ 1 IN MX 10 old"))
	}
	o := look(nil)
	if left := domain(o)["change_seconds"].(int64); left < 3500 || !strings.Contains(strings.Join(domain(o)["notes"].([]string), "\n"), "the TTL was lowered from 3600 s to 1 s") {
		t.Errorf("%v", domain(o))
	}
	w.Serve("127.0.0.11", "example.org.", exampleZone(3, "@ 1 IN MX 10 mail"))
	if o := look(nil); domain(o)["agreed"] != false {
		t.Errorf("%v", domain(o))
	}
	w.Serve("127.0.0.12", "example.org.", exampleZone(3, "@ 1 IN MX 10 mail"))
	o = look(map[string]any{"mx": "mail.example.org"})
	if o.Err != nil || domain(o)["stale_seconds"].(int64) < 3500 || !strings.Contains(o.Note, `caches can still hold "10 old.example.org"`) {
		t.Errorf("%v %v %q", o.Err, domain(o), o.Note)
	}
	wants(t, look(map[string]any{"mx": "mail.example.org", "expired": true}), "", "with a TTL of 3600 s")
	if o := look(map[string]any{"mx": "mail.example.org", "expired": true, "wait": "100ms"}); o.Status != module.Failed {
		t.Errorf("%s %v", o.Status, o.Err)
	}
}

func TestClock(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 23, 10, minute, 0, 0, time.UTC) }
	old, short, new := authority.Heard{Says: "old", TTL: 3600}, authority.Heard{Says: "old", TTL: 60}, authority.Heard{Says: "new", TTL: 60}
	c := &authority.Clock{}
	c.Observe(at(0), []authority.Heard{old}, true)
	c.Observe(at(10), []authority.Heard{short}, false) // one server is silent: it may still say the old one
	if _, ok := c.Longer(at(10), "old", 60); ok {
		t.Error("an answer ended that may still be served")
	}
	c.Observe(at(11), []authority.Heard{short}, true)
	if h, ok := c.Longer(at(11), "old", 60); !ok || !h.Gone().Equal(at(71)) {
		t.Errorf("%v %v", h, ok)
	}
	c.Observe(at(20), []authority.Heard{new}, true)
	if h, ok := c.Stale(at(20), "new"); !ok || !h.Gone().Equal(at(71)) {
		t.Errorf("the old answer with the long TTL is the last: %v %v", h, ok)
	}
	c.Observe(at(21), []authority.Heard{new, short}, true) // it comes back
	c.Observe(at(22), []authority.Heard{new}, true)
	file := t.TempDir() + "/a/clock.json"
	if err := c.Save(file); err != nil {
		t.Fatal(err)
	}
	again, err := authority.LoadClock(file)
	if diff := cmp.Diff(c, again); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, ok := again.Stale(at(71), "new"); ok {
		t.Error("the caches have forgotten it")
	}
	c.Observe(at(71).Add(31*24*time.Hour), []authority.Heard{new}, true)
	if len(c.Answers) != 1 {
		t.Errorf("what is long over is still remembered: %v", c.Answers)
	}
}

// What else binds a domain to a server: keys, policies, pinned certificates.
func TestDNSCheckPolicies(t *testing.T) {
	const mx = "@ IN MX 10 mail\n"
	const key = "\"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3\""
	for _, c := range []struct {
		name, records string
		values        map[string]any
		note          string
		wrong         []string
	}{
		{name: "key", records: "s1._domainkey IN TXT " + key, values: map[string]any{"dkim": []any{"s1"}}},
		{name: "key over an alias", records: "s1._domainkey IN CNAME k\nk IN TXT " + key, values: map[string]any{"dkim": []any{"s1"}}},
		{name: "no key", values: map[string]any{"dkim": []any{"s1"}}, wrong: []string{"ns1.example.org: s1._domainkey.example.org holds no key for DKIM", "ns2.example.org: s1"}},
		{name: "withdrawn key", records: "s1._domainkey IN TXT \"v=DKIM1; p=\"", values: map[string]any{"dkim": []any{"s1"}}, wrong: []string{"holds no key for DKIM"}},
		{name: "alias of nothing", records: "s1._domainkey IN CNAME k", values: map[string]any{"dkim": []any{"s1"}}, wrong: []string{"is an alias of k.example.org, which holds no key"}},
		{name: "MTA-STS", records: "_mta-sts IN TXT \"v=STSv1; id=20261123\"", note: "the domain has an MTA-STS policy"},
		{name: "TLSA", records: "_25._tcp.mail IN TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", note: "1 TLSA records pin the certificate of the MX mail.example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newDNS(t, mx+c.records, mx+c.records)
			o := step(t, nil, "dns_check", dnsCall(w, with(map[string]any{"mx": "mail.example.org"}, c.values)))
			wants(t, o, "every server of example.org says so", c.wrong...)
			if o.Err == nil {
				notes := o.Output["domains"].(map[string]any)["example.org"].(map[string]any)["notes"].([]string)
				if !strings.Contains(strings.Join(notes, "\n"), c.note) {
					t.Errorf("notes %q, want %q", notes, c.note)
				}
			}
		})
	}
}
