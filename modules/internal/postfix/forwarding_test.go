package postfix

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestForwardingOriginal(t *testing.T) {
	const table, to = "/etc/postfix/runner-forward", "smtp:[new]:25"
	whole := Forwarding{Transports: []string{to}, LoginOff: true, Had: map[string]string{"virtual_transport": "dovecot"}}
	for name, c := range map[string]struct {
		known     Forwarding
		now, want map[string]string
	}{
		"nothing was forwarded":            {Forwarding{}, map[string]string{"virtual_transport": "dovecot"}, map[string]string{"virtual_transport": "dovecot"}},
		"everything was forwarded":         {whole, map[string]string{"virtual_transport": to, "smtpd_sasl_auth_enable": "no"}, map[string]string{"virtual_transport": "dovecot"}},
		"somebody changed it since":        {whole, map[string]string{"virtual_transport": "lmtp:x", "smtpd_sasl_auth_enable": "yes"}, map[string]string{"virtual_transport": "lmtp:x", "smtpd_sasl_auth_enable": "yes"}},
		"a map of its own":                 {Forwarding{}, map[string]string{"transport_maps": "hash:" + table}, map[string]string{}},
		"before another map":               {Forwarding{}, map[string]string{"transport_maps": "hash:" + table + ", mysql:/etc/t.cf"}, map[string]string{"transport_maps": "mysql:/etc/t.cf"}},
		"behind another map":               {Forwarding{}, map[string]string{"transport_maps": "mysql:/etc/t.cf hash:" + table}, map[string]string{"transport_maps": "mysql:/etc/t.cf"}},
		"another map with a like name":     {Forwarding{}, map[string]string{"transport_maps": "hash:" + table + "ed"}, map[string]string{"transport_maps": "hash:" + table + "ed"}},
		"forwarding that was done by hand": {Forwarding{}, map[string]string{"virtual_transport": to}, map[string]string{"virtual_transport": to}},
	} {
		if diff := cmp.Diff(c.want, c.known.Original(c.now, table).Had); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if diff := cmp.Diff(whole, ParseForwarding(whole.String())); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseForwarding(f *testing.F) {
	f.Add(Forwarding{Transports: []string{"smtp:[a]:25", "smtp:[b]:25"}, LoginOff: true, Had: map[string]string{"transport_maps": "a = b, c"}}.String())
	f.Add("had\ntransport\nlogin off\nhad =")
	f.Fuzz(func(t *testing.T, text string) {
		once := ParseForwarding(text).String()
		if twice := ParseForwarding(once).String(); once != twice {
			t.Errorf("%q is read as %q", once, twice)
		}
	})
}
