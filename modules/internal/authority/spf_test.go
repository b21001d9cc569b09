package authority_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
)

func TestSPF(t *testing.T) {
	for _, c := range []struct{ name, policy, sender, want, why string }{
		{"address", "v=spf1 ip4:192.0.2.1 -all", "192.0.2.1", "pass", "ip4:192.0.2.1"},
		{"network", "v=spf1 ip4:192.0.2.0/24 -all", "192.0.2.77", "pass", ""},
		{"v6", "v=spf1 ip6:2001:db8::/32 -all", "2001:db8::1", "pass", ""},
		{"mx", "v=spf1 mx -all", "192.0.2.1", "pass", "mx of example.org"},
		{"mx with a length", "v=spf1 mx/24 -all", "192.0.2.200", "pass", ""},
		{"a of another", "v=spf1 a:old.example.org -all", "192.0.2.2", "pass", ""},
		{"a with both lengths", "v=spf1 a:mail.example.org/32//64 -all", "2001:db8::ffff", "pass", ""},
		{"include", "v=spf1 include:sub.example.org -all", "192.0.2.50", "pass", ""},
		{"include that does not pass", "v=spf1 include:sub.example.org ?all", "192.0.2.51", "neutral", ""},
		{"redirect", "v=spf1 redirect=sub.example.org", "192.0.2.51", "fail", "-all of sub.example.org"},
		{"soft", "v=spf1 mx ~all", "192.0.2.9", "softfail", ""},
		{"nothing matches", "v=spf1 ip4:192.0.2.1", "192.0.2.9", "neutral", "nothing in the policy"},
		{"in capitals", "V=SPF1 IP4:192.0.2.1 -ALL", "192.0.2.1", "pass", ""},
		{"no policy", "something else", "192.0.2.1", "none", "has no SPF policy"},
		{"macro", "v=spf1 exists:%{i}.example.org -all", "192.0.2.1", "permerror", "single mail"},
		{"mistyped", "v=spf1 ipv4:192.0.2.1 -all", "192.0.2.1", "permerror", "nobody knows"},
		{"no network", "v=spf1 ip4:192.0.2 -all", "192.0.2.1", "permerror", "is no network"},
		{"two policies", "v=spf1 -all\"\n@ IN TXT \"v=spf1 +all", "192.0.2.1", "permerror", "more than one"},
		{"includes itself", "v=spf1 include:example.org -all", "192.0.2.1", "permerror", "more than 10 times"},
		{"includes nothing", "v=spf1 include:none.example.org -all", "192.0.2.1", "permerror", "has no SPF policy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, client := newWorld(t, "@ IN MX 10 mail\nsub IN TXT \"v=spf1 ip4:192.0.2.50 -all\"\n@ IN TXT \""+c.policy+"\"")
			result, why := client.SPF(context.Background(), "example.org", netip.MustParseAddr(c.sender))
			if result != c.want || !strings.Contains(why, c.why) {
				t.Errorf("%s (%s), want %s (%s)", result, why, c.want, c.why)
			}
		})
	}
}
