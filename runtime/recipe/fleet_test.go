package recipe

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"runner/runtime/module"
)

// account is a [Fleet] that remembers what it was told.
type account struct {
	mu   sync.Mutex
	call EachCall
	told []string
	kept map[module.HostName]Outcome
	done map[module.HostName]any
}

func (a *account) Take(h module.HostName) (any, bool) {
	result, done := a.done[h]
	return result, !done
}

func (a *account) Batch(n, of int, hosts []module.HostName) {
	a.told = append(a.told, fmt.Sprint(n, "/", of, len(hosts), " from ", hosts[0]))
}

func (a *account) Begin(h module.HostName) func(Outcome) {
	return func(o Outcome) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.kept[h] = o
	}
}

func (a *account) End(left []module.HostName, why string) {
	a.told = append(a.told, fmt.Sprint("left ", len(left), why))
}

// accounts are those of the calls of each in a recipe, in their order.
func accounts(e *recorder, prepare ...func(*account)) func() []*account {
	var list []*account
	e.each = func(c EachCall) Fleet {
		a := &account{call: c, kept: map[module.HostName]Outcome{}, done: map[module.HostName]any{}}
		for _, p := range prepare {
			p(a)
		}
		list = append(list, a)
		return a
	}
	return func() []*account { return list }
}

func TestEachInBatches(t *testing.T) {
	const fails = `fail("no")`
	for _, c := range []struct {
		options, body string
		hosts         int
		want          string
	}{
		{`serial = 4`, ``, 10, "1/3 4 from web000|2/3 4 from web004|3/3 2 from web008|left 0"},
		{`serial = { 1, 5, "50%" }`, ``, 30, "1/4 1 from web000|2/4 5 from web001|3/4 15 from web006|4/4 9 from web021|left 0"},
		{`serial = "1%"`, ``, 3, "1/3 1 from web000|2/3 1 from web001|3/3 1 from web002|left 0"},
		{`serial = "33.4%"`, ``, 3, "1/3 1 from web000|2/3 1 from web001|3/3 1 from web002|left 0"},
		{`serial = 50`, ``, 10, "left 0"},
		{`serial = { 1, 5 }`, fails, 10, "1/3 1 from web000|left 9, since all of a batch failed"},
		{`serial = 2, max_failures = 10`, `if host.name ~= "web001" then fail("no") end`, 10, "1/5 2 from web000|2/5 2 from web002|left 6, since all of a batch failed"},
		{`serial = 5, max_failures = "20%", forks = 1`, `if host.name ~= "web000" then fail("no") end`, 10, `1/2 5 from web000|left 6, since more failed than max_failures = "20%"`},
		{`max_failures = "9%", forks = 1`, fails, 10, `left 9, since more failed than max_failures = "9%"`},
		{`max_failures = "100%"`, fails, 10, `left 0`},
	} {
		r := fleetOf(t, c.hosts, 4, "each(groups.web, { "+c.options+" }, function(host) "+c.body+" end)")
		e := &recorder{}
		told := accounts(e)
		_ = runAll(t, r, e)
		if got := strings.Join(told()[0].told, "|"); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.options, got, c.want)
		}
	}
}

func TestEachRefusesWrongOptions(t *testing.T) {
	const share = " must be a number of hosts or a part of all, such as 5 or \"10%\", not "
	for options, want := range map[string]string{
		`serial = 0`:              "serial must be a whole number from 1 up, not 0",
		`serial = 1.5`:            "serial must be a whole number from 1 up, not 1.5",
		`serial = "0%"`:           "serial" + share + `the string "0%"`,
		`serial = "101%"`:         "serial" + share + `the string "101%"`,
		`serial = true`:           "serial" + share + `true`,
		`serial = {}`:             `serial must be a number of hosts, a part of them or a list of such, serial = { 1, 5, "50%" }`,
		`serial = { first = 1 }`:  `serial must be a number of hosts, a part of them or a list of such, serial = { 1, 5, "50%" }`,
		`serial = { 1, "many" }`:  "each of serial" + share + `the string "many"`,
		`max_failures = -1`:       "max_failures must be a whole number from 0 up, not -1",
		`max_failures = "NaN%"`:   "max_failures" + share + `the string "NaN%"`,
		`max_fail_percentage = 1`: `max_fail_percentage is no field of it`,
	} {
		r := fleetOf(t, 2, 1, "each(groups.web, { "+options+" }, function(host) end)")
		err := runAll(t, r, &recorder{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\ngot  %v\nwant %s", options, err, want)
		}
	}
}

// A host need not be taken again when what its function did is all in the world, in its result and in saved.
func TestEachKeepsWhatIsDone(t *testing.T) {
	for body, want := range map[string]string{
		`return 7`:                               "keep 7",
		``:                                       "keep true",
		`return { a = { 1, 2 }, host.name }`:     "again", // a list with names: the journal could not give it back
		`return { 1, "two", { three = false } }`: "keep [1 two map[three:false]]",
		`saved[host.name] = 1`:                   "keep true with saved",
		`saved.list.n = 1`:                       "keep true with saved",
		`outer = 1`:                              "again",
		`list[#list + 1] = 1`:                    "again",
		`table.insert(list, 1)`:                  "again",
		`deep.a.b.c = true`:                      "again",
		`note()`:                                 "again",
		`loud.x = 1`:                             "again",
		`setmetatable(list, {})`:                 "again",
		`helper.count = 1`:                       "again",
		`params.list[2] = "b"`:                   "again",
		`return function() end`:                  "again",
		`return host`:                            "again",
		`return secret { env = "HOME" }`:         "again",
		`return 0 / 0`:                           "again",
		`local list = {}; list[1] = 1; local o; o = 2; local function f() list[2] = o end; f()`: "keep true",
		`each(groups.web, function(h) list[1] = nil end)`:                                       "keep true",
		`command { on = host, argv = { "x", list[1], deep.a.b.d } }`:                            "keep true",
	} {
		r := mustLoad(t, `recipe { name = "X", hosts = { old = "x", new = "x" }, groups = { web = "x" }, params = { list = { default = { "a" } } } }
helper = { count = 0 }
local n = 0
local function count() n = n + 1 end
local function note() count() end
local loud = setmetatable({}, { __newindex = function() n = n + 1 end })
task("X", function()
  local outer, list, deep = nil, {}, { a = { b = {} } }
  saved.list = {}
  each(groups.web, { forks = 1 }, function(host)
    local _ = outer
    `+body+`
  end)
end)
`, func(o *Options) {
			o.Resolve = func(Declaration) (Inputs, error) {
				in := testInputs()
				in.Groups["web"] = []module.HostName{"web1"}
				in.Params = map[string]any{"list": []any{"a"}}
				return in, nil
			}
		})
		e := &recorder{}
		told := accounts(e)
		if err := runAll(t, r, e); err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		a := told()[0]
		o := a.kept["web1"]
		got := "again"
		if o.Keep {
			got = fmt.Sprint("keep ", o.Result)
			if o.Saved {
				got += " with saved"
			}
		}
		if got != want || !a.call.Keep || a.call.Body == "" {
			t.Errorf("%s: %s, want %s; %+v", body, got, want, a.call)
		}
		if inner := told()[1:]; len(inner) > 0 && inner[0].call.Keep {
			t.Errorf("%s: the inner each is kept account of as well", body)
		}
	}
}

func TestEachTakesOnlyWhatIsNotDone(t *testing.T) {
	r := fleetOf(t, 6, 2, `
  local list = each(groups.web, { serial = "50%" }, function(host) command { on = host, argv = { "x" } } return host.name end)
  for i, v in ipairs(list) do list[i] = type(v) == "table" and v.name or tostring(v) end
  say(table.concat(list, " "))`)
	e := &recorder{}
	told := accounts(e, func(a *account) {
		a.done["web001"], a.done["web004"], a.done["web005"] = map[string]any{"name": "one"}, "four", Outside
	})
	if err := runAll(t, r, e); err != nil {
		t.Fatal(err)
	}
	if want := []string{"web000 one web002 web003 four false"}; !slices.Equal(e.said, want) {
		t.Errorf("said %q, want %q", e.said, want)
	}
	// Half of the five that are not left out by --limit.
	if got := strings.Join(told()[0].told, "|"); got != "1/2 2 from web000|2/2 1 from web003|left 0" {
		t.Error(got)
	}
	if len(e.steps) != 3 {
		t.Errorf("%d steps", len(e.steps))
	}
}
