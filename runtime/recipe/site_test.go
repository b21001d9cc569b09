package recipe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"runner/runtime/module"
)

const siteText = `
local domain = "example.org"
return {
  hosts = {
    old = "root@mail-old." .. domain .. ":2222",
    new = "local",
    gate = { address = "gate." .. domain, port = 22, user = "admin", key = "~/.ssh/id", jump = { "a", "b" }, sudo = true,
             password = secret { env = "PW" }, sudo_password = "open", timeout = "10s" },
    alias = { user = "x" },
  },
  groups = { web = { "root@web1.example.org", "gate", { address = "web2.example.org", user = "u" }, "root@web1.example.org" } },
  params = { domains = { "example.org" }, pw = secret { file = "pw" }, n = 5, t = { a = { b = true } } },
  secrets = { mysql = secret { command = { "pass", "show", "mysql" } }, sasl = "written here" },
}
`

func TestSite(t *testing.T) {
	s, err := LoadSite(t.Context(), "site.lua", siteText)
	if err != nil {
		t.Fatal(err)
	}
	none := map[string]any{}
	want := &Site{
		Name: "site.lua",
		Hosts: map[string]SiteHost{
			"old": {Name: "old", Address: "root@mail-old.example.org:2222", Fields: none, At: Position{File: "site.lua", Line: 5}},
			"new": {Name: "new", Address: "local", Fields: none, At: Position{File: "site.lua", Line: 6}},
			"gate": {Name: "gate", Address: "gate.example.org", At: Position{File: "site.lua", Line: 7}, Fields: map[string]any{
				"port": 22.0, "user": "admin", "key": []string{"~/.ssh/id"}, "jump": []string{"a", "b"}, "sudo": true,
				"password": SecretSource{Env: "PW"}, "sudo_password": module.NewSecret("open"), "timeout": "10s",
			}},
			"alias":            {Name: "alias", Address: "alias", Fields: map[string]any{"user": "x"}, At: Position{File: "site.lua", Line: 9}},
			"web1.example.org": {Name: "web1.example.org", Address: "root@web1.example.org", Fields: none, At: Position{File: "site.lua", Line: 11}},
			"web2.example.org": {Name: "web2.example.org", Address: "web2.example.org", Fields: map[string]any{"user": "u"}, At: Position{File: "site.lua", Line: 11}},
		},
		Groups:  map[string][]string{"web": {"web1.example.org", "gate", "web2.example.org", "web1.example.org"}},
		Params:  map[string]any{"domains": []any{"example.org"}, "pw": SecretSource{File: "pw"}, "n": 5.0, "t": map[string]any{"a": map[string]any{"b": true}}},
		Secrets: map[string]SecretSource{"mysql": {Command: []string{"pass", "show", "mysql"}}, "sasl": {Value: module.NewSecret("written here")}},
	}
	if diff := cmp.Diff(want, s, noColumns, cmpopts.IgnoreUnexported(Site{}), cmp.AllowUnexported(module.Secret{})); diff != "" {
		t.Errorf("site (-want +got):\n%s", diff)
	}
}

func TestInputsOfASite(t *testing.T) {
	s, err := LoadSite(t.Context(), "site.lua", siteText)
	if err != nil {
		t.Fatal(err)
	}
	d := Declaration{
		Hosts:  []HostDecl{{Name: "old"}, {Name: "gate"}, {Name: "spare", Optional: true}},
		Groups: []HostDecl{{Name: "web"}},
		Params: []ParamDecl{
			{Name: "domains", Type: "list", Required: true}, {Name: "pw", Type: "secret", Required: true}, {Name: "n", Type: "number", Default: 1.0},
			{Name: "full", Type: "boolean", Default: false}, {Name: "only", Type: "list", Choices: []string{"a", "b"}}, {Name: "note", Type: "string"},
		},
	}
	in, err := d.Inputs(s, map[string]string{"n": "7.5", "full": "yes", "only": "b, a,", "pw": "env:OTHER"})
	if err != nil {
		t.Fatal(err)
	}
	in, err = d.Complete(in)
	if err != nil {
		t.Fatal(err)
	}
	want := Inputs{
		Hosts:  map[string]module.HostName{"old": "old", "gate": "gate"},
		Groups: map[string][]module.HostName{"web": {"web1.example.org", "gate", "web2.example.org", "web1.example.org"}},
		Params: map[string]any{"domains": []any{"example.org"}, "pw": SecretSource{Env: "OTHER"}, "n": 7.5, "full": true, "only": []any{"b", "a"}},
	}
	if diff := cmp.Diff(want, in, cmp.AllowUnexported(module.Secret{})); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	tests := []struct {
		kind, text string
		want       any
		err        string
	}{
		{"string", "", "", ""},
		{"string", "a,b", "a,b", ""},
		{"number", " 1e3 ", 1000.0, ""},
		{"number", "NaN", nil, `must be a number, not "NaN"`},
		{"number", "", nil, `must be a number, not ""`},
		{"boolean", "Yes", true, ""},
		{"boolean", "false", false, ""},
		{"boolean", "2", nil, `must be yes or no, not "2"`},
		{"list", "", []any{}, ""},
		{"list", "a, b,,c", []any{"a", "b", "c"}, ""},
		{"secret", "file:/etc/pw", SecretSource{File: "/etc/pw"}, ""},
		{"secret", "env:", nil, "is a secret, and the command line is no place for it: every user can read it there; give env:NAME or file:PATH, or write it into site.lua"},
	}
	for _, tt := range tests {
		got, err := ParamDecl{Name: "p", Type: tt.kind}.Parse(tt.text)
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(module.Secret{})); diff != "" || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%s %q: got %#v, error %v", tt.kind, tt.text, got, err)
		}
	}
}

func TestOptionalHostsAreNil(t *testing.T) {
	r := mustLoad(t, `recipe { name = "x", hosts = { old = "o", second = { help = "s", optional = true } }, groups = { db = { optional = true } },
  params = { note = { required = false }, pw = { type = "secret", required = false } } }
task("x", function() say(hosts.second, #groups.db, params.note, params.pw) end)`)
	e := &recorder{}
	if err := runAll(t, r, e); err != nil || e.said[0] != "nil\t0\tnil\tnil" {
		t.Errorf("said %q, error %v", e.said, err)
	}
}

func TestStandIns(t *testing.T) {
	_, err := load(t, `recipe { name = "x", hosts = { old = "o" }, groups = { web = "w" }, params = { a = "text", n = { type = "number" }, b = { type = "boolean" },
  l = { type = "list" }, t = { type = "table" }, s = { type = "secret" }, c = { choices = { "x", "y" } } } }
local name = params.a .. hosts.old.name .. params.n .. #params.l .. #groups.web .. params.c
task("x", function() say(name, params.t.x, params.s) end)`, func(o *Options) {
		o.Resolve = func(d Declaration) (Inputs, error) { return d.StandIns(Inputs{}), nil }
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDefaultsOfASite(t *testing.T) {
	s, err := LoadSite(t.Context(), "site.lua", `return {
  defaults = { user = "admin", port = 2222, sudo = true, key = "~/.ssh/id", sudo_password = secret "sudo" },
  hosts = { a = "a.example.org", b = "root@b.example.org:22", c = { address = "[2001:db8::1]", sudo = false, user = "c" }, d = { address = "[2001:db8::1]:2", become = "su", su_password = "root's" } },
  groups = { web = { "w.example.org" } },
}`)
	if err != nil {
		t.Fatal(err)
	}
	key, password := []string{"~/.ssh/id"}, SecretSource{Name: "sudo"}
	for name, want := range map[string]map[string]any{
		"a":             {"user": "admin", "port": 2222.0, "sudo": true, "key": key, "sudo_password": password},
		"b":             {"sudo": true, "key": key, "sudo_password": password},
		"c":             {"user": "c", "port": 2222.0, "sudo": false, "key": key, "sudo_password": password},
		"d":             {"user": "admin", "sudo": true, "become": "su", "su_password": module.NewSecret("root's"), "key": key, "sudo_password": password},
		"w.example.org": {"user": "admin", "port": 2222.0, "sudo": true, "key": key, "sudo_password": password},
	} {
		if diff := cmp.Diff(want, s.Hosts[name].Fields, cmp.AllowUnexported(module.Secret{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for text, want := range map[string]string{
		`return { defaults = { become = "pfexec" } }`: `site.lua:1:23: cannot use the defaults of hosts: become must be "sudo", "doas" or "su", not the string "pfexec"`,
		`return { defaults = { usr = "x" } }`:         `site.lua:1:23: cannot use the defaults of hosts: usr is no field of it; did you mean "user"?`,
		`return { defaults = { address = "x" } }`:     `site.lua:1:23: cannot use an address for all hosts: each has its own`,
	} {
		if _, err := LoadSite(t.Context(), "site.lua", text); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
