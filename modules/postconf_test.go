package modules

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/module"
)

const mainExample = `# a comment
myhostname = mail.example.org
mynetworks = 127.0.0.0/8
  [::1]/128
# a comment inside
    10.0.0.0/8

soft_bounce=no
mua_client_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = $mua_client_restrictions
`

func TestParseMain(t *testing.T) {
	f := parseMain(mainExample)
	want := map[string]string{
		"myhostname": "mail.example.org", "mynetworks": "127.0.0.0/8 [::1]/128 10.0.0.0/8", "soft_bounce": "no",
		"mua_client_restrictions": "permit_sasl_authenticated, reject", "smtpd_recipient_restrictions": "$mua_client_restrictions",
	}
	if diff := cmp.Diff(want, f.values()); diff != "" {
		t.Error(diff)
	}
	f.remove("mynetworks")
	left := strings.NewReplacer("mynetworks = 127.0.0.0/8\n  [::1]/128\n", "", "    10.0.0.0/8\n", "").Replace(mainExample)
	if diff := cmp.Diff(left, f.String()); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseMain(f *testing.F) {
	f.Add(mainExample)
	f.Add("a=1\na = 2\n\t\n b\n# c")
	f.Add(" starts = with space\n=x\n")
	f.Fuzz(func(t *testing.T, text string) {
		main := parseMain(text)
		if main.String() != text {
			t.Fatalf("what was read is not what is written: %q", main.String())
		}
		for name := range main.values() {
			main.remove(name)
			if _, there := main.value(name); there {
				t.Fatalf("%q is still there after it was taken out", name)
			}
		}
	})
}

// postfixDir is a folder of configuration for a real postconf.
func postfixDir(t *testing.T, main string) string {
	t.Helper()
	needProgram(t, "postfix", "postconf")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.cf"), []byte(main), 0o644); err != nil {
		t.Fatal(err)
	}
	master := "smtp      inet  n       -       y       -       -       smtpd\n" +
		"dovecot   unix  -       n       n       -       -       pipe\n  flags=DRhu user=vmail:vmail argv=/usr/lib/dovecot/deliver\n"
	if err := os.WriteFile(filepath.Join(dir, "master.cf"), []byte(master), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// needProgram skips a test, or fails it where RUNNER_TEST_REQUIRE names what it needs, when a program is missing.
func needProgram(t *testing.T, word, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if strings.Contains(os.Getenv("RUNNER_TEST_REQUIRE"), word) {
		t.Fatalf("%s is not installed, and RUNNER_TEST_REQUIRE asks for it", program)
	}
	t.Skipf("SKIPPED: %s is not installed (apt install %s)", program, word)
}

func TestPostconfSetsAndGoesBack(t *testing.T) {
	dir := postfixDir(t, mainExample)
	h, _ := newMachine(t)
	r := step(t, h, "postconf", map[string]any{"on": here, "config_dir": dir,
		"set":   map[string]any{"soft_bounce": true, "message_size_limit": float64(20480000), "relay_domains": []any{"a.example", "b.example"}},
		"unset": []any{"mynetworks"}})
	if r.Err != nil || r.Status != module.Changed {
		t.Fatalf("%s: %v", r.Status, r.Err)
	}
	want := []string{"set message_size_limit = 20480000", "set relay_domains = a.example, b.example", "set soft_bounce = yes", "unset mynetworks"}
	if diff := cmp.Diff(want, r.summaries()); diff != "" {
		t.Error(diff)
	}
	wantBefore := map[string]any{"soft_bounce": "no", "mynetworks": "127.0.0.0/8 [::1]/128 10.0.0.0/8"}
	if diff := cmp.Diff(wantBefore, r.Output["before"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"message_size_limit", "relay_domains"}, r.Output["absent"]); diff != "" {
		t.Error(diff)
	}
	if len(r.kept) != 4 {
		t.Errorf("kept %v, want what the four parameters were", r.kept)
	}
	if values := r.Output["values"].(map[string]any); values["soft_bounce"] != "yes" {
		t.Errorf("values are %v", values)
	}
	before, absent := r.Output["before"], []any{}
	for _, s := range r.Output["absent"].([]string) {
		absent = append(absent, s)
	}
	back := step(t, h, "postconf", map[string]any{"on": here, "config_dir": dir, "set": before, "unset": absent})
	if back.Err != nil {
		t.Fatal(back.Err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "main.cf"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(parseMain(mainExample).values(), parseMain(string(text)).values()); diff != "" {
		t.Error(diff)
	}
}

func TestPostconfNames(t *testing.T) {
	dir := postfixDir(t, mainExample+"soft_bounce = yes\n")
	h, _ := newMachine(t)
	for _, c := range []struct {
		values map[string]any
		wrong  string
	}{
		{map[string]any{"set": map[string]any{"soft_bounced": "yes"}}, "did you mean soft_bounce?"},
		{map[string]any{"unset": []any{"mynetwork"}}, "did you mean mynetworks?"},
		{map[string]any{"get": []any{"zzzzzzzzzzzz"}}, "does not know it"},
		{map[string]any{"set": map[string]any{"dovecot_destination_recipient_limit": float64(1)}}, ""},
		{map[string]any{"set": map[string]any{"mua_client_restrictions": "reject"}}, ""},
		{map[string]any{"set": map[string]any{"my_own": "reject", "smtpd_helo_restrictions": "${my_own}"}}, ""},
		{map[string]any{"set": map[string]any{"soft_bounce": "  yes "}}, ""},
	} {
		c.values["on"], c.values["config_dir"] = here, dir
		r := step(t, h, "postconf", c.values)
		switch {
		case c.wrong == "" && r.Err != nil:
			t.Errorf("%v: %v", c.values, r.Err)
		case c.wrong != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), c.wrong)):
			t.Errorf("%v: the error is %v, want %q in it", c.values, r.Err, c.wrong)
		}
	}
	// Of two lines for one parameter the last one counts, so nothing was to be done for soft_bounce.
	text, err := os.ReadFile(filepath.Join(dir, "main.cf"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "soft_bounce"); n != 2 {
		t.Errorf("soft_bounce stands in main.cf %d times, want the 2 lines left alone", n)
	}
}

func TestPostconfArguments(t *testing.T) {
	for _, c := range []struct {
		values map[string]any
		wrong  string
	}{
		{map[string]any{"set": map[string]any{"a": "x\nsoft_bounce = yes"}}, "set.a must be one line"},
		{map[string]any{"set": map[string]any{"-e": "x"}}, "is no name of a parameter"},
		{map[string]any{"set": map[string]any{"a": 1.5}}, "whole number"},
		{map[string]any{"set": map[string]any{"a": "x"}, "unset": []any{"a"}}, "both name a"},
		{map[string]any{"get": []any{"-X"}}, "no name of a parameter"},
		{map[string]any{"config_dir": "etc"}, "whole path"},
	} {
		c.values["on"] = here
		if _, err := decode("postconf", c.values); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%v: the error is %v, want %q in it", c.values, err, c.wrong)
		}
	}
}
