package recipe

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/module"
)

const extendedStock = `recipe { name = "Stock", hosts = { old = "from", new = "to" }, params = {
  limit = { default = "5%" }, size = { default = 1 }, mx = { type = "string", required = true } } }
local lib = require "lib"
phase("check", { title = "look" })
task("Look", function() say("stock looks, limit " .. params.limit .. lib) end)
phase("cutover", { title = "move", gate = "Now?" })
task("Freeze", { undo = function() say("thaw") end, unless = function() return saved.frozen end }, function() say("freeze") end)
task("Open", function() say("open") end)
return { greet = function() say("greeting") end }
`

func loadFork(t *testing.T, text string) (*Recipe, error) {
	t.Helper()
	r, err := Load(t.Context(), Source{Name: "fork/fork.lua", Text: text, Files: fstest.MapFS{
		"lib.lua": {Data: []byte(`return " of the fork"`)}, "plain.lua": {Data: []byte("return {}")},
		"loop.lua": {Data: []byte(`extend "loop"`)},
	}, Stock: fstest.MapFS{"stock.lua": {Data: []byte(extendedStock)}, "lib.lua": {Data: []byte(`return " of the stock"`)}}},
		Options{Modules: testModules(), Resolve: func(d Declaration) (Inputs, error) {
			in := Inputs{Hosts: map[string]module.HostName{"old": "a", "new": "b"}, Params: map[string]any{"mx": "mx.example.org"}}
			for _, h := range d.Hosts {
				in.Hosts[h.Name] = module.HostName(h.Name)
			}
			return in, nil
		}})
	if err == nil {
		t.Cleanup(r.Close)
	}
	return r, err
}

func planOf(r *Recipe) (list []string) {
	for _, p := range r.Phases() {
		names := make([]string, len(p.Tasks))
		for i, task := range p.Tasks {
			names[i] = task.Name
		}
		list = append(list, p.Name+": "+strings.Join(names, ", "))
	}
	return list
}

func TestExtend(t *testing.T) {
	for _, c := range []struct {
		name, text string
		plan, said []string
	}{
		{"as it is", `extend "stock"`, []string{"check: Look", "cutover: Freeze, Open"},
			[]string{"stock looks, limit 5% of the stock", "freeze", "open"}},
		{"defaults and the fork's own parameters and hosts",
			`extend("stock", { defaults = { limit = "1%" }, params = { page = { default = "x" } }, hosts = { spare = "third" } })
			phase "check" task("Page", function() say(params.page .. " " .. params.mx .. " " .. tostring(hosts.spare)) end)`,
			[]string{"check: Look, Page", "cutover: Freeze, Open"},
			[]string{"stock looks, limit 1% of the stock", "x mx.example.org spare", "freeze", "open"}},
		{"before, after, remove", `local stock = extend "stock"
			task("Page", { before = "Freeze" }, function() stock.greet() end)
			task("Tell", { after = "Open" }, function() say("told") end)
			task("Look", { remove = true })`,
			[]string{"check: ", "cutover: Page, Freeze, Open, Tell"}, []string{"greeting", "freeze", "open", "told"}},
		{"replace", `extend "stock"
			task("Open", { replace = true }, function() say("open otherwise" .. require "lib") end)`,
			[]string{"check: Look", "cutover: Freeze, Open"},
			[]string{"stock looks, limit 5% of the stock", "freeze", "open otherwise of the fork"}},
		{"a phase of its own", `extend "stock"
			phase("lunch", { before = "cutover" }) task("Eat", function() say("eaten") end)
			phase("after", { after = "cutover" }) task("Open", function() say("again") end)`,
			[]string{"check: Look", "lunch: Eat", "cutover: Freeze, Open", "after: Open"},
			[]string{"stock looks, limit 5% of the stock", "eaten", "freeze", "open", "again"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := loadFork(t, c.text)
			if err != nil {
				t.Fatal(err)
			}
			e := &recorder{}
			if err := runAll(t, r, e); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.plan, planOf(r)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.said, e.said); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExtendKeepsUndoUnlessAndGates(t *testing.T) {
	r, err := loadFork(t, `extend("stock", { name = "Fork" })
phase("cutover", { gate = "Is the fork ready?" })
task("Freeze", { replace = true }, function() say("freeze otherwise") saved.frozen = "frozen" end)
task("Open", { replace = true, undo = function() say("close") end }, function() end)`)
	if err != nil {
		t.Fatal(err)
	}
	cutover := r.Phases()[1]
	if got := r.Declaration().Name; got != "Fork" {
		t.Errorf("name %q", got)
	}
	if question, err := r.Question(t.Context(), cutover); question != "Is the fork ready?" || err != nil || cutover.Title != "move" {
		t.Errorf("asks %q, %v, title %q", question, err, cutover.Title)
	}
	e := &recorder{}
	freeze := cutover.Tasks[0]
	if freeze.At.File != "fork/fork.lua" || freeze.At.Line != 3 || !freeze.HasUndo {
		t.Errorf("the task in place of the other: %+v", freeze)
	}
	for range 2 {
		if _, err := r.RunTask(t.Context(), e, freeze); err != nil {
			t.Fatal(err)
		}
	}
	for _, task := range cutover.Tasks {
		if err := r.RunUndo(t.Context(), e, task); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"freeze otherwise", "thaw", "close"}, e.said); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	if at := r.Phases()[0].Tasks[0].At; at != (Position{File: "recipes/stock.lua", Line: 5}) {
		t.Errorf("a task that was kept is at %v", at)
	}
}

func TestExtendRefuses(t *testing.T) {
	for _, c := range []struct{ text, at, want string }{
		{`extend "stok"`, "fork/fork.lua:1", `did you mean "stock"?`},
		{`extend "../stock"`, "fork/fork.lua:1", "named as its file beside"},
		{`extend "plain"`, "fork/fork.lua:1", "declares no recipe"},
		{`extend "loop"`, "fork/loop.lua:1", "cannot extend"},
		{`extend("stock", 1)`, "fork/fork.lua:1", "is a table"},
		{"extend('stock', {\n defaults = { limt = '1%' } })", "fork/fork.lua:2", `did you mean "limit"?`},
		{"extend('stock', { defaults = { size = 'x' } })", "fork/fork.lua:1", "this default"},
		{"extend('stock', { params = { limit = { default = '' } } })", "fork/fork.lua:1", "defaults = { limit = … }"},
		{"extend('stock', { hosts = { old = '' } })", "fork/fork.lua:1", "has it already"},
		{"extend('stock', { parms = {} })", "fork/fork.lua:1", `did you mean "params"?`},
		{"extend 'stock'\nextend 'stock'", "fork/fork.lua:2", "recipes/stock.lua:1"},
		{"extend 'stock'\nrecipe { name = 'x' }", "fork/fork.lua:2", "recipes/stock.lua:1"},
		{"extend 'stock'\nphase 'cutver'", "fork/fork.lua:2", `did you mean "cutover"?`},
		{"extend 'stock'\nphase('x', { after = 'chek' })", "fork/fork.lua:2", `did you mean "check"?`},
		{"extend 'stock'\nphase('check', { after = 'cutover' })", "fork/fork.lua:2", "it stays where"},
		{"extend 'stock'\ntask('x', function() end)", "fork/fork.lua:2", "does not say where it stands"},
		{"extend 'stock'\ntask('x', { before = 'Freez' }, function() end)", "fork/fork.lua:2", `did you mean "Freeze"?`},
		{"extend 'stock'\ntask('x', { before = 'Freeze', after = 'Open' }, function() end)", "fork/fork.lua:2", "one of the two"},
		{"extend 'stock'\ntask('Opn', { replace = true }, function() end)", "fork/fork.lua:2", `did you mean "Open"?`},
		{"extend 'stock'\ntask('Opn', { remove = true })", "fork/fork.lua:2", `did you mean "Open"?`},
		{"extend 'stock'\ntask('Open', { remove = true }, function() end)", "fork/fork.lua:2", "the form is"},
		{"extend 'stock'\nphase 'cutover'\ntask('Open', function() end)", "fork/fork.lua:3", "recipes/stock.lua:8 already; { replace = true }"},
		{"extend 'stock'\nphase('x', { after = 'check' })\ntask('Open', function() end)\nphase 'check'\ntask('y', { after = 'Open' }, function() end)",
			"fork/fork.lua:5", "cannot tell which"},
	} {
		_, err := loadFork(t, c.text)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.What, c.want) || e.At.File+":"+line(e.At) != c.at {
			t.Errorf("%s\n got: %v\nwant: %s: %s", c.text, err, c.at, c.want)
		}
	}
}

func line(at Position) string { return strings.TrimPrefix(Position{Line: at.Line}.String(), ":") }
