package recipe

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/module"
)

// says runs a recipe whose one task has the body and gives what it said.
func says(t *testing.T, body string) []string {
	t.Helper()
	r := mustLoad(t, head+"task('x', function()\n"+body+"\nend)\n")
	e := &recorder{}
	if err := runAll(t, r, e); err != nil {
		t.Fatal(err)
	}
	return e.said
}

func TestGateThatIsWorded(t *testing.T) {
	r := mustLoad(t, head+`
phase "prepare"
task("Measure", function() saved.seconds = 9 end)
phase("cutover", { gate = function() return "Mail stops for " .. (saved.seconds or "some") .. " seconds. Now?" end })
task("Freeze", function() end)
phase("bad", { gate = function() return nil end })
task("Never", function() end)
phase("worse", { gate = function() service { on = hosts.old, name = "x" } end })
task("Neither", function() end)`)
	phases := r.Phases()
	ask := func(i int) string {
		t.Helper()
		question, err := r.Question(t.Context(), phases[i])
		if err != nil {
			return err.Error()
		}
		return question
	}
	if phases[0].Asks() || !phases[1].Asks() {
		t.Errorf("asks before prepare: %v, before cutover: %v", phases[0].Asks(), phases[1].Asks())
	}
	if got := ask(1); got != "Mail stops for some seconds. Now?" {
		t.Errorf("before the measurement: %q", got)
	}
	if _, err := r.RunTask(t.Context(), &recorder{}, phases[0].Tasks[0]); err != nil {
		t.Fatal(err)
	}
	if got := ask(1); got != "Mail stops for 9 seconds. Now?" {
		t.Errorf("after it: %q", got)
	}
	if got := ask(2); !strings.Contains(got, `cannot ask before the phase "bad": its gate must return a question`) {
		t.Errorf("a gate without a question: %q", got)
	}
	if got := ask(3); !strings.Contains(got, "a gate only puts its question into words") {
		t.Errorf("a gate that calls a module: %q", got)
	}
}

func TestUnless(t *testing.T) {
	tests := []struct {
		returns, reason string
		skip            bool
	}{
		{`true`, "nothing to do", true},
		{`"the new server has taken over"`, "the new server has taken over", true},
		{`false`, "", false},
		{`nil`, "", false},
		{``, "", false},
		{`mysql.query { on = hosts.old }.changed`, "", false},
	}
	for _, tt := range tests {
		r := mustLoad(t, head+`task("x", { unless = function() return `+tt.returns+` end }, function() say("ran") end)`)
		e := &recorder{}
		skipped, err := r.RunTask(t.Context(), e, r.Phases()[0].Tasks[0])
		if err != nil || skipped != tt.reason || (len(e.said) == 0) != tt.skip {
			t.Errorf("return %s: skipped %q, said %q, error %v", tt.returns, skipped, e.said, err)
		}
	}
}

func TestUndoIsMarked(t *testing.T) {
	r := mustLoad(t, head+`
task("Freeze", { undo = function() service { on = hosts.old, name = "dovecot", state = "started" } end }, function()
  service { on = hosts.old, name = "dovecot", state = "stopped" }
end)
handler("reload", function() command { on = hosts.new } end)`)
	e := &recorder{}
	task := r.Phases()[0].Tasks[0]
	if _, err := r.RunTask(t.Context(), e, task); err != nil {
		t.Fatal(err)
	}
	if err := r.RunUndo(t.Context(), e, task); err != nil {
		t.Fatal(err)
	}
	if err := r.RunHandler(t.Context(), e, "reload"); err != nil {
		t.Fatal(err)
	}
	var got []bool
	for _, s := range e.steps {
		got = append(got, s.Undo)
	}
	if !slices.Equal(got, []bool{false, true, false}) {
		t.Errorf("undo %v", got)
	}
	if err := r.RunHandler(t.Context(), e, "relaod"); err == nil {
		t.Error("a handler that there is not was run")
	}
}

func TestSavedSurvives(t *testing.T) {
	text := head + `
task("a", function() saved.count = (saved.count or 0) + 1; saved.list = { "x", { y = true } }; saved.text = "ü" end)
task("b", function() saved.count = saved.count + 1; error("late") end)
task("c", function() say(saved.count, saved.list[2].y, saved.text) end)`
	r := mustLoad(t, text)
	if err := runAll(t, r, &recorder{}); err == nil {
		t.Fatal("the error is lost")
	}
	want := map[string]any{"count": 2.0, "list": []any{"x", map[string]any{"y": true}}, "text": "ü"}
	if diff := cmp.Diff(want, r.Saved()); diff != "" {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
	again := mustLoad(t, text, func(o *Options) {
		o.Resolve = func(Declaration) (Inputs, error) {
			in := testInputs()
			in.Saved = r.Saved()
			return in, nil
		}
	})
	if diff := cmp.Diff(want, again.Saved()); diff != "" {
		t.Errorf("brought back (-want +got):\n%s", diff)
	}
	e := &recorder{}
	if _, err := again.RunTask(t.Context(), e, again.Phases()[0].Tasks[2]); err != nil || !slices.Equal(e.said, []string{"2\ttrue\tü"}) {
		t.Errorf("said %q, error %v", e.said, err)
	}
}

func TestWhatARecipeSees(t *testing.T) {
	tests := []struct{ body, want string }{
		{`say(hosts.old, tostring(hosts.new), hosts.old.name, type(hosts.old))`, "old\tnew\told\tuserdata"},
		{`say(hosts.old == hosts.old, hosts.old == hosts.new, groups.web[1] == groups.web[1])`, "true\tfalse\ttrue"},
		{`say("on " .. hosts.old .. "!")`, "on old!"},
		{`say(#groups.web, groups.web[3].name)`, "3\tweb3"},
		{`local n = {} for name, h in pairs(hosts) do n[#n + 1] = name .. "=" .. h.name end say(table.concat(n, " "))`, "old=old new=new"},
		{`local n = {} for name, v in pairs(params) do n[#n + 1] = name .. "=" .. v end say(table.concat(n, " "))`, "database=mailserver"},
		{`say(runner.check, runner.version)`, "false\t1.2"},
		{`say(params.database)`, "mailserver"},
		{`print(1, nil, true, 1.5, 1e15, 2^53)`, "1\tnil\ttrue\t1.5\t1000000000000000\t9007199254740992"},
		{`say(type(service), type(mysql), type(maildir_sync))`, "function\ttable\ttable"},
		{`say(ask("Go on?"))`, "true"},
		{`local r = service { on = hosts.old, name = "x" } say(r.changed)`, "false"},
		{`say(select("#", each(groups.web, function() end)), each(groups.web, function(h) return h.name end)[2])`, "1\tweb2"},
		{`say(os.time{ year = 2020, month = 1, day = 1, hour = 12 } > 0, type(os.date("%Y")))`, "true\tstring"},
		{`say(load("return 1 + 1")(), (select(2, load("return ="))))`, "2\ttext at move.lua:4:1:8: cannot read this as Lua: \"=\" does not belong here"},
	}
	for _, tt := range tests {
		if got := says(t, tt.body); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%s\nsaid %q\nwant %q", tt.body, got, tt.want)
		}
	}
}

// Locals that a closure shares with the function around it stay shared after an error was caught.
func TestPcallKeepsLocalsShared(t *testing.T) {
	got := says(t, `
  local n = 0
  local function inc() n = n + 1 end
  inc()
  pcall(error, "x")
  inc()
  pcall(function() local m = 0; local function f() m = m + 1; n = n + 10 end; f(); saved.f = m; inc(); error({}) end)
  inc()
  xpcall(function() inc(); local x = nil; return x.y end, function(e) inc(); return e end)
  say(n)
  local get
  pcall(function() local v = "kept"; get = function() return v end; error("x") end)
  local a, b, c, d = 1, 2, 3, 4
  say(get(), a + b + c + d)`)
	if want := []string{"16", "kept\t10"}; !slices.Equal(got, want) {
		t.Errorf("said %q, want %q", got, want)
	}
}

func TestCaughtErrors(t *testing.T) {
	r := mustLoad(t, head+`
task("x", function()
  local ok, err = pcall(service, { on = hosts.old, name = "x" })
  say(ok, tostring(err), err.message, err.at, err.unreachable, err.host, err:find("refused") ~= nil, err.hint)
  say(pcall(error, "plain"))
  say(select(2, pcall(error, { code = 7 })).code)
  say(select(2, pcall(function() local t = nil; return t.x end)))
  say(pcall(function(...) return ... end, 1, nil, 3))
  say(xpcall(function() error("a", 0) end, function(e) return e .. "!" end))
  say(select(2, pcall(maildir_sync)))
  say(pcall(5))
end)`)
	cause := module.WithHint(errors.New("connection refused"), "is it running?")
	e := &recorder{step: func(context.Context, Step) (map[string]any, error) { return nil, cause }}
	err := runAll(t, r, e)
	want := []string{
		"false\tconnection refused\tconnection refused\tmove.lua:5:25\tfalse\tnil\ttrue\tis it running?",
		"false\tplain", "7",
		"move.lua:9:58: cannot use the field x of t: t is nil",
		"true\t1\tnil\t3", "false\ta!",
		"cannot call maildir_sync: it takes one table of named arguments, maildir_sync { on = hosts.name, … }; nothing was given",
	}
	if diff := cmp.Diff(want, e.said); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	if err == nil || err.Error() != "move.lua:13:3: cannot call the number 5 with pcall: it is no function" {
		t.Errorf("error %v", err)
	}
}

func TestFinalErrorsAreNotCaught(t *testing.T) {
	r := mustLoad(t, head+`task("x", function() repeat local ok = pcall(pcall, command, { on = hosts.old }) until ok == nil end)`)
	stop := errors.New("stopped")
	err := runAll(t, r, &recorder{step: func(context.Context, Step) (map[string]any, error) { return nil, Final(stop) }})
	if !errors.Is(err, stop) || err.Error() != "move.lua:3:53: stopped" {
		t.Errorf("error %v", err)
	}
}

func TestEndlessLoopsAreStopped(t *testing.T) {
	leaks(t)
	bodies := []string{
		`while true do end`, `repeat until false`, `for i = 1, 1e18 do end`, `while true do pcall(function() while true do end end) end`,
		`local t = setmetatable({}, { __index = function(t, k) return t[k .. "x"] end }) pcall(function() return t.a end) while true do end`,
		`("x"):rep(1e6):gsub("x", function() while true do end end)`,
		`table.sort({ 3, 1, 2 }, function() while true do end end)`,
		`while true do local s = ("a"):rep(3000) .. "b"; s:find(("a?"):rep(12) .. "c") end`,
		`xpcall(function() error("x") end, function() while true do end end)`,
	}
	for _, body := range bodies {
		r := mustLoad(t, head+`task("x", function() `+body+` end)`)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		began := time.Now()
		_, err := r.RunTask(ctx, &recorder{}, r.Phases()[0].Tasks[0])
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 10*time.Second {
			t.Errorf("%s: error %v after %v", body, err, time.Since(began))
		}
	}
}

func TestTopLevelHasALimit(t *testing.T) {
	_, err := load(t, head+`while true do end`, func(o *Options) { o.Limit = 50 * time.Millisecond })
	if !errors.Is(err, ErrLimit) || err.Error() != "move.lua:3:1: cannot go on: the top level runs for too long (does a loop not end?)" {
		t.Errorf("error %v", err)
	}
	_, err = load(t, head, func(o *Options) {
		o.Limit = 50 * time.Millisecond
		o.Resolve = func(Declaration) (Inputs, error) { time.Sleep(150 * time.Millisecond); return testInputs(), nil }
	})
	if err != nil {
		t.Errorf("time in Resolve was counted: %v", err)
	}
}

func TestResolveErrorComesOut(t *testing.T) {
	cause := errors.New("no terminal")
	_, err := load(t, head, func(o *Options) { o.Resolve = func(Declaration) (Inputs, error) { return Inputs{}, cause } })
	if !errors.Is(err, cause) {
		t.Errorf("error %v", err)
	}
}

func TestSandboxHasNothingElse(t *testing.T) {
	r := mustLoad(t, head)
	known := []string{
		"_VERSION", "ask", "assert", "command", "each", "error", "extend", "fail", "getmetatable", "groups", "handler", "hosts", "ipairs", "load", "loadstring",
		"maildir_sync", "math", "mysql", "next", "os", "pairs", "params", "pcall", "phase", "postconf", "print", "rawequal", "rawget", "rawset", "recipe",
		"require", "runner", "saved", "say", "secret", "select", "service", "setmetatable", "string", "table", "task", "tonumber", "tostring", "type",
		"unpack", "xpcall",
	}
	got := append(namesOf(r.state.G.Global), "_VERSION")
	slices.Sort(got)
	if diff := cmp.Diff(known, got); diff != "" {
		t.Errorf("globals (-want +got):\n%s", diff)
	}
	for _, body := range []string{
		`getmetatable("").__index = {}`, `getmetatable(hosts.old).__tostring = print`, `setmetatable(hosts, {})`, `setmetatable(string, {})`,
		`string.rep = nil; string.extra = 1`, `mysql.query2 = 1`, `runner.check2 = true`, `hosts.third = hosts.old`,
	} {
		r := mustLoad(t, head+`task("x", function() local mysql, string, hosts, runner = mysql, string, hosts, runner; `+body+` end)`)
		if err := runAll(t, r, &recorder{}); err == nil {
			t.Errorf("%s: no error", body)
		}
	}
}

// Constant conditions in a generic for: gopher-lua issue 540.
func TestDeadBranches(t *testing.T) {
	got := says(t, `
  local n = 0
  for _, v in ipairs({ 1, 2 }) do
    if false then local a = 1; say(a) end
    if nil then local a, b = 1, 2; say(a, b) else local c = v; n = n + c end
    if not true then local d = 4; say(d) elseif 1 then n = n + 10 end
    if false and v then local e = 1; say(e) end
    while false do local f = 1; say(f) end
    repeat local g = v; n = n + g until true
  end
  say(n)`)
	if !slices.Equal(got, []string{"26"}) {
		t.Errorf("said %q", got)
	}
}
