package modules

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/host"
	"runner/runtime/module"
)

// forwardMachine is this machine with its Postfix configured in a folder of the test.
func forwardMachine(t *testing.T, main string) (*host.Host, string) {
	t.Helper()
	dir := postfixDir(t, main)
	h, m := newMachine(t)
	m.rewrite = strings.NewReplacer("dir=$1\n", "dir="+dir+"\n")
	return h, dir
}

func mainValues(t *testing.T, dir string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "main.cf"))
	if err != nil {
		t.Fatal(err)
	}
	return parseMain(string(text)).values()
}

const forwardMain = "virtual_transport = dovecot\nsmtpd_sasl_auth_enable = yes\ntransport_maps = static:\nmyhostname = old.example.org\n"

// A real postconf and postmap: some domains are forwarded, others, all of them, and none again.
func TestForwardDomains(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: what the settings were is kept in /var/lib/runner, for which root is needed")
	}
	if _, err := os.Stat(forwardMemory); err == nil {
		t.Skip("SKIPPED: this machine's own Postfix forwards")
	}
	t.Cleanup(func() { os.Remove(forwardMemory) })
	h, dir := forwardMachine(t, forwardMain)
	began := mainValues(t, dir)
	table := filepath.Join(dir, "runner-forward")
	call := func(values map[string]any) outcome {
		t.Helper()
		values["on"] = here
		r := step(t, h, "postfix.forward", values)
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		again := step(t, h, "postfix.forward", values)
		if again.Err != nil || again.Status != module.OK {
			t.Errorf("a second time: %s %v %v", again.Status, again.summaries(), again.Err)
		}
		return r
	}
	// goes is where Postfix sends mail for a domain that is in its transport map, as postmap -q finds it.
	goes := func(domain string) string {
		t.Helper()
		maps := mainValues(t, dir)["transport_maps"]
		first, _, _ := strings.Cut(maps, ",")
		out, err := exec.Command("postmap", "-c", dir, "-q", domain, first).Output()
		if err != nil && len(out) > 0 {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	r := call(map[string]any{"to": "mail-new.example.org", "domains": []any{"Example.org", "example.com"}})
	if diff := cmp.Diff(map[string]any{"transport_maps": "static:"}, r.Output["before"]); diff != "" {
		t.Error(diff)
	}
	now := mainValues(t, dir)
	if now["virtual_transport"] != "dovecot" || now["smtpd_sasl_auth_enable"] != "yes" || !strings.HasSuffix(now["transport_maps"], ":"+table+", static:") {
		t.Errorf("main.cf says %v", now)
	}
	for domain, want := range map[string]string{"example.org": "smtp:[mail-new.example.org]:25", "example.com": "smtp:[mail-new.example.org]:25", "sub.example.org": "", "other.example": ""} {
		if got := goes(domain); got != want {
			t.Errorf("mail for %s goes to %q, want %q", domain, got, want)
		}
	}
	call(map[string]any{"to": "192.0.2.9", "domains": []any{"other.example"}})
	if goes("example.org") != "" || goes("other.example") != "smtp:[192.0.2.9]:25" {
		t.Errorf("mail for the domains before goes to %q, for the new one to %q", goes("example.org"), goes("other.example"))
	}
	call(map[string]any{"to": "192.0.2.9"})
	if now = mainValues(t, dir); now["virtual_transport"] != "smtp:[192.0.2.9]:25" || now["smtpd_sasl_auth_enable"] != "no" || now["transport_maps"] != "static:" {
		t.Errorf("main.cf says %v", now)
	}
	call(map[string]any{"to": "192.0.2.10", "keep_login": true})
	if now = mainValues(t, dir); now["virtual_transport"] != "smtp:[192.0.2.10]:25" || now["smtpd_sasl_auth_enable"] != "yes" {
		t.Errorf("main.cf says %v", now)
	}
	call(map[string]any{"state": "absent"})
	if diff := cmp.Diff(began, mainValues(t, dir)); diff != "" {
		t.Error(diff)
	}
	for _, left := range []string{table, table + ".db", forwardMemory} {
		if _, err := os.Stat(left); err == nil {
			t.Errorf("%s is left", left)
		}
	}
}

func TestForwardArguments(t *testing.T) {
	for _, c := range []struct {
		values map[string]any
		wrong  string
	}{
		{map[string]any{}, "to is missing"},
		{map[string]any{"to": "x", "domains": []any{"a b"}}, "is no domain"},
		{map[string]any{"to": "x", "state": "absent"}, "do not go with"},
		{map[string]any{"to": "x y"}, "no name or address"},
		{map[string]any{"to": "x", "port": float64(0)}, "between 1 and 65535"},
	} {
		c.values["on"] = here
		if _, err := decode("postfix.forward", c.values); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%v: the error is %v, want %q in it", c.values, err, c.wrong)
		}
	}
}
