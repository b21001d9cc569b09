package lab_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"runner/lab"
)

// ask asks one address of the lab's name server.
func ask(t *testing.T, address, name string, kind uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), kind)
	r, _, err := new(dns.Client).ExchangeContext(t.Context(), m, address+":53")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// mx is the MX records of a domain at one address, with the serial of the zone.
func mx(t *testing.T, address, domain string) (targets string, ttl, serial uint32) {
	t.Helper()
	r := ask(t, address, domain, dns.TypeMX)
	var out []string
	for _, rr := range r.Answer {
		if rr, ok := rr.(*dns.MX); ok {
			out = append(out, rr.Mx)
			ttl = rr.Hdr.Ttl
		}
	}
	if soa := ask(t, address, domain, dns.TypeSOA); len(soa.Answer) == 1 {
		serial = soa.Answer[0].(*dns.SOA).Serial
	}
	return strings.Join(out, " "), ttl, serial
}

func authoritative(t *testing.T, l *lab.Lab) {
	for _, address := range l.DNS {
		for _, d := range l.Domains {
			if r := ask(t, address, d.Name, dns.TypeMX); !r.Authoritative {
				t.Errorf("%s is not authoritative for %s", address, d.Name)
			}
			h, err := l.Host(d.Host)
			if err != nil {
				t.Fatal(err)
			}
			if got, ttl, _ := mx(t, address, d.Name); got != h.Hostname+"." || ttl != lab.DefaultTTL {
				t.Errorf("%s: the MX of %s is %s for %d s", address, d.Name, got, ttl)
			}
			if r := ask(t, address, d.Name, dns.TypeNS); len(r.Answer) != len(l.DNS) {
				t.Errorf("%s has %d name servers, not %d", d.Name, len(r.Answer), len(l.DNS))
			}
		}
		for _, h := range l.MailHosts() {
			reverse, err := dns.ReverseAddr(h.Address)
			if err != nil {
				t.Fatal(err)
			}
			if r := ask(t, address, reverse, dns.TypePTR); len(r.Answer) != 1 || r.Answer[0].(*dns.PTR).Ptr != h.Hostname+"." {
				t.Errorf("the name of %s is %v", h.Address, r.Answer)
			}
		}
		if r := ask(t, address, "not.there.example.org", dns.TypeA); r.Rcode != dns.RcodeNameError {
			t.Errorf("a name that is not there: %s", dns.RcodeToString[r.Rcode])
		}
	}
}

func recordsChange(t *testing.T, l *lab.Lab) {
	_, _, before := mx(t, l.DNS[0], "example.com")
	if err := l.SetRecords(t.Context(), "mx", "example.com", 60, "mail-new.example.net"); err != nil {
		t.Fatal(err)
	}
	for _, address := range l.DNS {
		if got, ttl, serial := mx(t, address, "example.com"); got != "mail-new.example.net." || ttl != 60 || serial <= before {
			t.Errorf("%s: the MX is %s for %d s in serial %d, which was %d", address, got, ttl, serial, before)
		}
		if got, ttl, _ := mx(t, address, "example.org"); got != "mail-old.example.net." || ttl != lab.DefaultTTL {
			t.Errorf("%s: another domain was changed: %s for %d s", address, got, ttl)
		}
	}
	if err := l.SetTTL(t.Context(), 30); err != nil {
		t.Fatal(err)
	}
	for _, domain := range []string{"example.com", "example.org"} {
		if _, ttl, _ := mx(t, l.DNS[0], domain); ttl != 30 {
			t.Errorf("the TTL of %s is %d", domain, ttl)
		}
	}
	if err := l.SetRecords(t.Context(), "mx", "example.com", 0); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := mx(t, l.DNS[0], "example.com"); got != "" {
		t.Errorf("the MX is still %s", got)
	}
	for _, c := range []struct{ kind, name, value, says string }{
		{"blah", "example.com", "x", "record of type"},
		{"a", "example.com", "300.1.1.1", "no value of that type"},
		{"soa", "example.com", "x", "record of type"},
	} {
		if err := l.SetRecords(t.Context(), c.kind, c.name, 60, c.value); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s %s: %v", c.kind, c.value, err)
		}
	}
	if _, err := l.Records(t.Context(), "elsewhere.example"); err == nil || !strings.Contains(err.Error(), "the lab serves example.net") {
		t.Errorf("a zone that is not there: %v", err)
	}
	if err := l.SetRecords(t.Context(), "MX", "example.com", lab.DefaultTTL, "mail-old.example.net"); err != nil {
		t.Error(err)
	}
}
