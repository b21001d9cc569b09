package module_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/host"
	"runner/runtime/host/hosttest"
	"runner/runtime/module"
)

// everything is an argument struct with a field of each kind.
type everything struct {
	On      *host.View        `lua:"on,required"`
	From    *host.View        `lua:"from"`
	Name    string            `lua:"name"`
	State   string            `lua:"state" choice:"started,stopped" default:"started"`
	Yes     bool              `lua:"yes" default:"true"`
	Count   int               `lua:"count" default:"3"`
	Big     int64             `lua:"big"`
	Rate    float64           `lua:"rate" default:"0.5"`
	Maybe   *string           `lua:"maybe"`
	Perhaps *bool             `lua:"perhaps"`
	Number  *int              `lua:"number"`
	List    []string          `lua:"list" default:"a,b"`
	Status  []int             `lua:"status" default:"0,3"`
	Env     map[string]string `lua:"env"`
	Any     any               `lua:"any" type:"string or secret"`
	Anys    []any             `lua:"anys"`
	Table   map[string]any    `lua:"table"`
	Wait    time.Duration     `lua:"wait" default:"90s"`
	Limit   module.Size       `lua:"limit" default:"20M"`
	Token   module.Secret     `lua:"token"`
	Inner   inner             `lua:"inner"`
	Rows    []row             `lua:"rows"`
	Named   map[string]inner  `lua:"named"`
	Shared
}

type inner struct {
	Key   string        `lua:"key"`
	Value int           `lua:"value" default:"7"`
	Pass  module.Secret `lua:"pass"`
}

type row struct {
	Key string     `lua:"key,required"`
	At  *host.View `lua:"at"`
}

// Shared are arguments that several modules have.
type Shared struct {
	Common string `lua:"common"`
}

func (e *everything) Validate() error {
	switch {
	case e.Name == "invalid":
		return errors.New("name must not be that")
	case e.Name == "needs from" && e.From == nil:
		return errors.New("name needs from")
	}
	return nil
}

func defined(plan func(context.Context, *everything) (*module.Plan, error)) module.Module {
	return module.Define("everything", "Takes everything", plan)
}

func takesAll() module.Module {
	return defined(func(context.Context, *everything) (*module.Plan, error) { return nil, nil })
}

func decoded(t *testing.T, values map[string]any) *everything {
	t.Helper()
	call, err := takesAll().Decode(values)
	if err != nil {
		t.Fatal(err)
	}
	return call.Args().(*everything)
}

const onNew = module.HostName("new")

func TestDecodeDefaults(t *testing.T) {
	e := decoded(t, map[string]any{"on": onNew})
	if e.State != "started" || !e.Yes || e.Count != 3 || e.Rate != 0.5 || e.Wait != 90*time.Second || e.Limit != 20<<20 || e.Inner.Value != 0 {
		t.Errorf("%+v", e)
	}
	if !slices.Equal(e.List, []string{"a", "b"}) || !slices.Equal(e.Status, []int{0, 3}) {
		t.Errorf("lists: %v %v", e.List, e.Status)
	}
	if e.Maybe != nil || e.Perhaps != nil || e.Number != nil || e.Any != nil || e.Env != nil || e.Token.Reveal() != "" || !e.Token.IsZero() {
		t.Errorf("what was not given is there: %+v", e)
	}
	if e.On == nil || e.From != nil {
		t.Error("Validate cannot tell which hosts were given")
	}
}

func TestDecodeValues(t *testing.T) {
	e := decoded(t, map[string]any{
		"on": onNew, "state": "stopped", "yes": false, "count": 0.0, "big": 9007199254740991.0, "rate": 2.0, "maybe": "", "perhaps": false, "number": 0.0,
		"list": []any{}, "status": map[string]any{}, "env": map[string]any{"A": "b"}, "any": 5.0, "anys": []any{1.0, "x", nil},
		"table": map[string]any{"k": []any{true}}, "wait": 1.5, "limit": "1.5GiB", "token": "t", "common": "c",
		"inner": map[string]any{"key": "k"}, "rows": []any{map[string]any{"key": "r", "at": onNew}}, "named": map[string]any{"n": map[string]any{"value": 1.0}},
	})
	if e.State != "stopped" || e.Yes || e.Count != 0 || e.Big != 1<<53-1 || e.Rate != 2 || *e.Maybe != "" || *e.Perhaps || *e.Number != 0 {
		t.Errorf("%+v", e)
	}
	if len(e.List) != 0 || len(e.Status) != 0 || e.Env["A"] != "b" || e.Any != 5.0 || len(e.Anys) != 3 || e.Wait != 1500*time.Millisecond || e.Limit != 3<<29 {
		t.Errorf("%+v", e)
	}
	if e.Token.Reveal() != "t" || e.Common != "c" || e.Inner != (inner{Key: "k", Value: 7}) || e.Rows[0].Key != "r" || e.Named["n"].Value != 1 {
		t.Errorf("%+v", e)
	}
	if diff := cmp.Diff(map[string]any{"k": []any{true}}, e.Table); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		value any
		want  string
	}{
		{"on", nil, "cannot call everything: on is missing (host)"},
		{"on", "new", `on must be a host, such as hosts.old, not the string "new"`},
		{"on", 5.0, "on must be a host, not the number 5"},
		{"nmae", "x", `nmae is no argument; did you mean "name"?`},
		{"notfy", "x", `did you mean "notify"?`},
		{"zzz", "x", "zzz is no argument; it takes on, from, name"},
		{"state", "start", `state must be one of "started", "stopped", not "start"`},
		{"yes", "yes", `yes must be a boolean, not the string "yes"`},
		{"count", 1.5, "count must be a whole number, not 1.5"},
		{"count", 1e300, "count must be a whole number"},
		{"count", "3", `count must be an integer, not the string "3"`},
		{"name", true, "name must be a string, not true"},
		{"name", module.NewSecret("hush"), "name must be a string, not a secret"},
		{"list", "a", `list must be a list of string, not the string "a"`},
		{"list", map[string]any{"a": "b"}, "not a table"},
		{"list", []any{"a", 5.0}, "list[2] must be a string, not the number 5"},
		{"env", []any{"a"}, "env must be a table of string, not a list"},
		{"env", map[string]any{"A": 5.0}, "env.A must be a string"},
		{"wait", "soon", `wait must be a duration such as "90s" or "2h", not "soon"`},
		{"wait", "-1s", "wait must not be negative"},
		{"wait", 1e300, "wait must be a number of seconds"},
		{"limit", 1e300, "limit must be a whole number of bytes"},
		{"wait", true, "wait must be a duration, not true"},
		{"limit", "much", `limit must be a size such as "20M", not "much"`},
		{"limit", -1.0, "limit must be a whole number of bytes"},
		{"token", 5.0, "token must be a secret, not the number 5"},
		{"inner", map[string]any{"kye": 1.0}, `inner.kye is no argument; did you mean "key"?`},
		{"inner", "x", `inner must be a table, not the string "x"`},
		{"rows", []any{map[string]any{}}, "rows[1].key is missing (string)"},
		{"rows", []any{map[string]any{"key": "k"}, map[string]any{"key": "k", "at": "x"}}, "rows[2].at must be a host"},
		{"named", map[string]any{"n": map[string]any{"value": "x"}}, "named.n.value must be an integer"},
		{"name", "invalid", "cannot call everything: name must not be that"},
		{"name", "needs from", "name needs from"},
		{"retries", -1.0, "retries must not be negative"},
		{"timeout", "x", "timeout must be a duration"},
		{"sudo", "yes", "sudo must be a boolean"},
		{"notify", 5.0, "notify must be a list of string"},
		{"notify", []any{"a", 5.0}, "notify[2] must be a string"},
	} {
		values := map[string]any{"on": onNew}
		values[c.name] = c.value
		_, err := takesAll().Decode(values)
		var argument *module.ArgumentError
		if !errors.As(err, &argument) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %v: the error is %v, want %q in it", c.name, c.value, err, c.want)
		}
	}
}

func TestDecodeOptions(t *testing.T) {
	call, err := takesAll().Decode(map[string]any{"on": onNew, "title": "T", "notify": "h", "sudo": false, "timeout": "5s", "retries": 2.0, "delay": 3.0, "ignore_errors": true})
	if err != nil {
		t.Fatal(err)
	}
	no := false
	want := module.Options{Title: "T", Notify: []string{"h"}, Sudo: &no, Timeout: 5 * time.Second, Retries: 2, Delay: 3 * time.Second, IgnoreErrors: true}
	if diff := cmp.Diff(want, call.Options); diff != "" {
		t.Error(diff)
	}
	if call, err = takesAll().Decode(map[string]any{"on": onNew, "notify": []any{"a", "b"}}); err != nil || len(call.Options.Notify) != 2 || call.Options.Sudo != nil {
		t.Errorf("%+v %v", call.Options, err)
	}
}

func TestDecodeDoesNotChangeValues(t *testing.T) {
	values := map[string]any{"on": onNew, "title": "x", "list": []any{"a"}, "table": map[string]any{"a": 1.0}}
	copied := map[string]any{"on": onNew, "title": "x", "list": []any{"a"}, "table": map[string]any{"a": 1.0}}
	decoded(t, values)
	if diff := cmp.Diff(copied, values); diff != "" {
		t.Error(diff)
	}
}

func TestHostsAndBind(t *testing.T) {
	call, err := takesAll().Decode(map[string]any{"on": onNew, "from": module.HostName("old"), "rows": []any{map[string]any{"key": "k", "at": onNew}}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]module.HostName{"new", "old"}, call.Hosts()); diff != "" {
		t.Error(diff)
	}
	hosts := map[module.HostName]*host.Host{"new": hosttest.New("new").Host()}
	if err := call.Bind(hosts); err == nil || !strings.Contains(err.Error(), `no host "old"`) {
		t.Error(err)
	}
	hosts["old"] = hosttest.New("old").Host()
	if err := call.Bind(hosts); err != nil {
		t.Fatal(err)
	}
	e := call.Args().(*everything)
	if e.On.Name() != "new" || e.From.Name() != "old" || e.Rows[0].At != e.On {
		t.Errorf("hosts: %s %s", e.On.Name(), e.From.Name())
	}
}

func TestSecrets(t *testing.T) {
	call, err := takesAll().Decode(map[string]any{
		"on": onNew, "token": "one", "any": module.NewSecret("two"), "anys": []any{"x", module.NewSecret("three")}, "inner": map[string]any{"pass": "four"},
		"table": map[string]any{"deep": []any{map[string]any{"p": module.NewSecret("five")}}}, "named": map[string]any{"n": map[string]any{"pass": "six"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := call.Secrets()
	slices.Sort(got)
	if diff := cmp.Diff([]string{"five", "four", "one", "six", "three", "two"}, got); diff != "" {
		t.Error(diff)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(verb, call.Args().(*everything).Token); strings.Contains(text, "one") {
			t.Errorf("%s shows the secret: %s", verb, text)
		}
	}
}

func TestDefineRefuses(t *testing.T) {
	for name, define := range map[string]func(){
		"a channel": func() {
			refused[struct {
				A chan int `lua:"a"`
			}]()
		},
		"an unexported field": func() {
			refused[struct {
				a int `lua:"a"`
			}]()
		},
		"a field without a name": func() {
			refused[struct {
				A int `lua:",required"`
			}]()
		},
		"an option of every step": func() {
			refused[struct {
				A string `lua:"notify"`
			}]()
		},
		"hosts in a map": func() {
			refused[struct {
				A map[string]row `lua:"a"`
			}]()
		},
		"two of one name": func() {
			refused[struct {
				A int `lua:"a"`
				B int `lua:"a"`
			}]()
		},
		"no struct": func() { refused[int]() },
		"a default that is none of the choices": func() {
			refused[struct {
				A string `lua:"a" choice:"x,y" default:"z"`
			}]()
		},
		"a default of another type": func() {
			refused[struct {
				A time.Duration `lua:"a" default:"soon"`
			}]()
		},
		"a number that is none": func() {
			refused[struct {
				A int `lua:"a" default:"x"`
			}]()
		},
		"choices of no string": func() {
			refused[struct {
				A int `lua:"a" choice:"1,2"`
			}]()
		},
		"required with a default": func() {
			refused[struct {
				A int `lua:"a,required" default:"1"`
			}]()
		},
		"an unknown word": func() {
			refused[struct {
				A int `lua:"a,requird"`
			}]()
		},
		"a wrong field in a table": func() {
			refused[struct {
				A []struct {
					B chan int `lua:"b"`
				} `lua:"a"`
			}]()
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); p == nil {
					t.Error("it is accepted")
				} else if !strings.HasPrefix(fmt.Sprint(p), "module m: ") {
					t.Errorf("the panic is %v", p)
				}
			}()
			define()
		})
	}
}

func refused[A any]() {
	module.Define("m", "s", func(context.Context, *A) (*module.Plan, error) { return nil, nil })
}

func TestFields(t *testing.T) {
	m := takesAll()
	names := []string{}
	types := map[string]string{}
	for _, f := range m.Fields() {
		names = append(names, f.Name)
		types[f.Name] = f.TypeName()
	}
	if names[0] != "on" || names[len(names)-1] != "common" {
		t.Errorf("order: %v", names)
	}
	for name, want := range map[string]string{"on": "host", "yes": "boolean", "count": "integer", "rate": "number", "maybe": "string", "list": "list of string",
		"env": "table of string", "any": "string or secret", "wait": "duration", "limit": "size", "token": "secret", "inner": "table", "rows": "list of table"} {
		if types[name] != want {
			t.Errorf("%s is a %s, want %s", name, types[name], want)
		}
	}
	if !m.HasHost("on") || m.HasHost("to") || m.HasHost("name") {
		t.Error("HasHost")
	}
	if m.Args() != reflect.TypeFor[everything]() {
		t.Error("Args")
	}
}

func FuzzUnits(f *testing.F) {
	for _, s := range []string{"90s", "2h", "1h30m", "5d", "20M", "1.5GiB", "0", "1e9", "-5", "K", "NaN", "InfT", "9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := module.ParseSize(s); err == nil && n < 0 {
			t.Fatalf("%q is %d bytes", s, n)
		}
		if d, err := module.ParseDuration(s); err == nil {
			call, err := takesAll().Decode(map[string]any{"on": onNew, "wait": s})
			if (err == nil) != (d >= 0) {
				t.Fatalf("%q is %v: %v %v", s, d, call, err)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add("name", "x", 1.0, true)
	f.Add("rows", "key", 2.0, false)
	f.Fuzz(func(t *testing.T, name, text string, number float64, yes bool) {
		for _, v := range []any{text, number, yes, nil, onNew, module.NewSecret(text), []any{text, number}, map[string]any{name: text}, []any{map[string]any{text: number}}} {
			call, err := takesAll().Decode(map[string]any{"on": onNew, name: v})
			var argument *module.ArgumentError
			if err != nil && !errors.As(err, &argument) {
				t.Fatalf("%s = %v: %v", name, v, err)
			}
			if err == nil && call == nil {
				t.Fatal("neither a call nor an error")
			}
		}
	})
}

func TestNearest(t *testing.T) {
	for name, want := range map[string]string{"nmae": "name", "stat": "state", "x": "", "sta": "", "enable": "enabled", "": ""} {
		if got := module.Nearest(name, []string{"name", "state", "enabled"}); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1500 * time.Millisecond: "1.5s", 90 * time.Second: "1m30s", 5 * time.Minute: "5m", 2 * time.Hour: "2h",
		time.Hour + 30*time.Minute: "1h30m", time.Hour + 5*time.Second: "1h0m5s", 24 * time.Hour: "1d", 120 * time.Hour: "5d", 25 * time.Hour: "25h",
	} {
		text := module.FormatDuration(d)
		if back, err := module.ParseDuration(text); text != want || err != nil || back != d {
			t.Errorf("%v is written %q and read %v (%v), not %q", d, text, back, err, want)
		}
	}
}
