package recipe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/host"
	"runner/runtime/module"
)

// recorder is an engine that records what it is asked for.
type recorder struct {
	mu    sync.Mutex
	steps []Step
	said  []string
	asked []string
	no    bool // what it answers
	step  func(ctx context.Context, s Step) (map[string]any, error)
	each  func(EachCall) Fleet
}

func (e *recorder) Each(_ context.Context, c EachCall) Fleet {
	if e.each == nil {
		return nil
	}
	return e.each(c)
}

func (e *recorder) Step(ctx context.Context, s Step) (map[string]any, error) {
	e.mu.Lock()
	e.steps = append(e.steps, s)
	e.mu.Unlock()
	if e.step == nil {
		return map[string]any{}, nil
	}
	return e.step(ctx, s)
}

func (e *recorder) Say(_ context.Context, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said = append(e.said, text)
}

func (e *recorder) Ask(_ context.Context, question string) (bool, error) {
	e.asked = append(e.asked, question)
	return !e.no, nil
}

// testModules have arguments; what they would do does not count here.
func testModules() []module.Module {
	type pair struct {
		From *host.View `lua:"from,required"`
		To   *host.View `lua:"to,required"`
	}
	return []module.Module{
		stub[struct {
			On    *host.View     `lua:"on,required"`
			Name  string         `lua:"name,required"`
			State string         `lua:"state" choice:"started,stopped"`
			List  []any          `lua:"list"`
			Inner map[string]any `lua:"inner"`
		}]("service"),
		stub[struct {
			On  *host.View        `lua:"on,required"`
			Set map[string]string `lua:"set"`
		}]("postconf"),
		stub[struct {
			On       *host.View     `lua:"on,required"`
			Database string         `lua:"database"`
			Password *module.Secret `lua:"password"`
		}]("mysql.query"),
		stub[pair]("mysql.copy"), stub[pair]("maildir_sync"), stub[pair]("maildir_sync.verify"),
		stub[struct {
			On   *host.View `lua:"on,required"`
			Argv []string   `lua:"argv"`
		}]("command"),
	}
}

func stub[A any](name string) module.Module {
	return module.Define(name, "", func(context.Context, *A) (*module.Plan, error) { return &module.Plan{}, nil })
}

const head = `recipe { name = "Move", hosts = { old = "serves mail today", new = "installed by the guide" },
  groups = { web = "web servers" }, params = { database = { default = "mailserver" } } }
`

func testInputs() Inputs {
	return Inputs{
		Hosts:  map[string]module.HostName{"old": "old", "new": "new"},
		Groups: map[string][]module.HostName{"web": {"web1", "web2", "web3"}},
	}
}

func load(t *testing.T, text string, change ...func(*Options)) (*Recipe, error) {
	t.Helper()
	o := Options{Modules: testModules(), Version: "1.2", Resolve: func(Declaration) (Inputs, error) { return testInputs(), nil }}
	for _, c := range change {
		c(&o)
	}
	files := fstest.MapFS{
		"lib/mail.lua": {Data: []byte("local m = {}\nfunction m.stop(host)\n  return service { on = host, name = 'dovecot', state = 'stopped' }\nend\nreturn m\n")},
		"broken.lua":   {Data: []byte("local x = = 1\n")},
		"circle.lua":   {Data: []byte("return require 'circle'\n")},
		"boom.lua":     {Data: []byte("local t = nil\nreturn t.x\n")},
	}
	r, err := Load(t.Context(), Source{Name: "move.lua", Text: text, Files: files}, o)
	if r != nil {
		t.Cleanup(r.Close)
	}
	return r, err
}

func mustLoad(t *testing.T, text string, change ...func(*Options)) *Recipe {
	t.Helper()
	r, err := load(t, text, change...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// runAll runs every task in order and stops at the first error.
func runAll(t *testing.T, r *Recipe, e Engine) error {
	t.Helper()
	for _, p := range r.Phases() {
		for _, task := range p.Tasks {
			if _, err := r.RunTask(t.Context(), e, task); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestRecipeDeclaresItself(t *testing.T) {
	r := mustLoad(t, `
recipe {
  name = "Wheezy to Jessie", help = "moves mail",
  hosts = { old = "serves mail today", new = "fresh", spare = { help = "another", optional = true } },
  params = {
    vmail    = { default = "/var/vmail", help = "root of all mailboxes" },
    domains  = { type = "list", default = {}, help = "only these" },
    database = "control database",
    pause    = { default = 1.5 },
    mode     = { default = "warm", choices = { "warm", "final" } },
    note     = { required = false },
  },
}
phase "check"
task("Look", function() end)
phase("cutover", { title = "The cut", gate = "Mail stops now?" })
task("Freeze", { undo = function() end }, function() end)
handler("reload", function() end)
`, func(o *Options) {
		o.Resolve = func(Declaration) (Inputs, error) {
			in := testInputs()
			in.Params = map[string]any{"database": "mail"}
			return in, nil
		}
	})
	d := r.Declaration()
	want := Declaration{
		Name: "Wheezy to Jessie", Help: "moves mail",
		Hosts: []HostDecl{
			{Name: "old", Help: "serves mail today", At: Position{File: "move.lua", Line: 4}}, {Name: "new", Help: "fresh", At: Position{File: "move.lua", Line: 4}},
			{Name: "spare", Help: "another", Optional: true, At: Position{File: "move.lua", Line: 4}},
		},
		Params: []ParamDecl{
			{Name: "vmail", Type: "string", Default: "/var/vmail", Help: "root of all mailboxes", At: Position{File: "move.lua", Line: 6}},
			{Name: "domains", Type: "list", Default: []any{}, Help: "only these", At: Position{File: "move.lua", Line: 7}},
			{Name: "database", Type: "string", Required: true, Help: "control database", At: Position{File: "move.lua", Line: 8}},
			{Name: "pause", Type: "number", Default: 1.5, At: Position{File: "move.lua", Line: 9}},
			{Name: "mode", Type: "string", Default: "warm", Choices: []string{"warm", "final"}, At: Position{File: "move.lua", Line: 10}},
			{Name: "note", Type: "string", At: Position{File: "move.lua", Line: 11}},
		},
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("declaration (-want +got):\n%s", diff)
	}
	var got []string
	for _, p := range r.Phases() {
		got = append(got, fmt.Sprintf("%s|%s|%s", p.Name, p.Title, p.Gate))
		for _, task := range p.Tasks {
			got = append(got, fmt.Sprintf("  %s %s %v", task.Name, task.At, task.HasUndo))
		}
	}
	wantPhases := []string{"check||", "  Look move.lua:15 false", "cutover|The cut|Mail stops now?", "  Freeze move.lua:17 true"}
	if diff := cmp.Diff(wantPhases, got); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
	if !slices.Equal(r.Handlers(), []string{"reload"}) {
		t.Errorf("handlers %v", r.Handlers())
	}
}

func TestModuleCalls(t *testing.T) {
	r := mustLoad(t, head+`
task("All", function()
  service { on = hosts.old, name = "dovecot", list = { 1, "a", true }, inner = { a = { b = 2.5 } }, none = nil, state = {} }
  local r = mysql.query {
    on = hosts.new,
    database = params.database,
  }
  say(r.changed, #r.rows, r.rows[1].email, r.rows[2].n)
  maildir_sync { from = hosts.old, to = hosts.new }
  maildir_sync.verify { from = hosts.old, to = hosts.new }
  return command { on = hosts.new }
end)`)
	e := &recorder{step: func(_ context.Context, s Step) (map[string]any, error) {
		if s.Module == "mysql.query" {
			return map[string]any{"changed": true, "rows": []map[string]any{{"email": "a@b", "n": int64(7)}, {"n": 8}}}, nil
		}
		return nil, nil
	}}
	if err := runAll(t, r, e); err != nil {
		t.Fatal(err)
	}
	want := []Step{
		{Module: "service", At: Position{File: "move.lua", Line: 5}, Values: map[string]any{
			"on": module.HostName("old"), "name": "dovecot", "list": []any{1.0, "a", true}, "inner": map[string]any{"a": map[string]any{"b": 2.5}}, "state": []any{},
		}},
		{Module: "mysql.query", At: Position{File: "move.lua", Line: 6}, Values: map[string]any{"on": module.HostName("new"), "database": "mailserver"}},
		{Module: "maildir_sync", At: Position{File: "move.lua", Line: 11}, Values: map[string]any{"from": module.HostName("old"), "to": module.HostName("new")}},
		{Module: "maildir_sync.verify", At: Position{File: "move.lua", Line: 12}, Values: map[string]any{"from": module.HostName("old"), "to": module.HostName("new")}},
		{Module: "command", At: Position{File: "move.lua", Line: 13}, Values: map[string]any{"on": module.HostName("new")}},
	}
	if diff := cmp.Diff(want, e.steps, noColumns); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if want := []string{"true\t2\ta@b\t8"}; !slices.Equal(e.said, want) {
		t.Errorf("said %q, want %q", e.said, want)
	}
}

// noColumns leaves out where on a line something stands; the messages of testdata/errors show that.
var noColumns = cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Column" }, cmp.Ignore())

func TestErrorsOfStepsComeOutAsTheyWere(t *testing.T) {
	cause := errors.New("connection refused")
	failed := fmt.Errorf("cannot start dovecot: %w", cause)
	tests := []struct {
		name, body, message string
	}{
		{"plain", `service { on = hosts.old, name = 'dovecot' }`, "move.lua:4:22: cannot start dovecot: connection refused"},
		{"again", `local ok, err = pcall(service, { on = hosts.old, name = 'dovecot' }); error(err)`, "move.lua:4:44: cannot start dovecot: connection refused"},
		{"with words", `local ok, err = pcall(service, { on = hosts.old, name = 'dovecot' })
  error("no mail: " .. err)`, "move.lua:4:44: no mail: cannot start dovecot: connection refused"},
		{"through fail", `local ok, err = pcall(service, { on = hosts.old, name = 'dovecot' }); fail(err)`, "move.lua:4:44: cannot start dovecot: connection refused"},
		{"assert", `assert(pcall(service, { on = hosts.old, name = 'dovecot' }))`, "move.lua:4:35: cannot start dovecot: connection refused"},
		{"function", `local lib = require "lib.mail"
  lib.stop(hosts.old)`, "lib/mail.lua:3:10: cannot start dovecot: connection refused"},
		{"xpcall", `local ok, err = xpcall(function() service { on = hosts.old, name = 'dovecot' } end, function(e) return "h: " .. e end)
   error(err)`, "move.lua:4:56: h: cannot start dovecot: connection refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := mustLoad(t, head+"\ntask('x', function() "+tt.body+" end)\n")
			err := runAll(t, r, &recorder{step: func(context.Context, Step) (map[string]any, error) { return nil, failed }})
			if err == nil || err.Error() != tt.message {
				t.Errorf("got %v\nwant %s", err, tt.message)
			}
			if !errors.Is(err, cause) {
				t.Errorf("%v has lost its cause", err)
			}
			var e *Error
			if !errors.As(err, &e) || e.Line == "" {
				t.Errorf("%#v has no line", err)
			}
		})
	}
}
