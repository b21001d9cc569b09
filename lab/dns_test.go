package lab

import (
	"slices"
	"testing"
)

func TestRecords(t *testing.T) {
	for _, c := range []struct {
		kind         string
		values, want []string
	}{
		{"MX", []string{"mail.example.net"}, []string{"10 mail.example.net."}},
		{"MX", []string{"20 mail.example.net."}, []string{"20 mail.example.net."}},
		{"MX", []string{"5", "a.example", "b.example"}, []string{"5 a.example.", "10 b.example."}},
		{"CNAME", []string{"mail.example.net"}, []string{"mail.example.net."}},
		{"TXT", []string{"v=spf1 -all"}, []string{`"v=spf1 -all"`}},
		{"TXT", []string{`say "hello"`}, []string{`"say \"hello\""`}},
		{"SRV", []string{"0", "1", "993", "imap.example"}, []string{"0 1 993 imap.example."}},
		{"A", []string{"198.18.0.1", "198.18.0.2"}, []string{"198.18.0.1", "198.18.0.2"}},
	} {
		if got := records(c.kind, c.values); !slices.Equal(got, c.want) {
			t.Errorf("%s %q: %q, not %q", c.kind, c.values, got, c.want)
		}
	}
}

func TestZoneOf(t *testing.T) {
	l := &Lab{Zones: []string{"", "example.net", "example.org"}}
	for name, want := range map[string]string{
		"example.org": "example.org", "Mail.Example.ORG.": "example.org", "badexample.org": "", "com": "",
	} {
		if got := l.zoneOf(name); got != want {
			t.Errorf("%s lies in %q, not %q", name, got, want)
		}
	}
}
