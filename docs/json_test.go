package docs_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"runner/runtime/module"
	"runner/runtime/recipe"
	"runner/runtime/run"
)

var fieldTable = regexp.MustCompile(`(?m)^<!-- fields: ([a-z]+) -->\n(?:\|.*\n)+`)

// documentedFields are the fields of each object that the page about JSON has a table of.
func documentedFields(t *testing.T, page string) map[string][]string {
	t.Helper()
	tables := map[string][]string{}
	for _, m := range fieldTable.FindAllStringSubmatch(page, -1) {
		for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z_0-9]+)` \\|").FindAllStringSubmatch(m[0], -1) {
			tables[m[1]] = append(tables[m[1]], row[1])
		}
		slices.Sort(tables[m[1]])
	}
	return tables
}

func tagsOf(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" {
			name = t.Field(i).Name
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestJSONFields holds the page against what the program can write, and against what it writes in a real run with a change, a
// failure, a gate, a handler and a check.
func TestJSONFields(t *testing.T) {
	text, err := os.ReadFile("json.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := documentedFields(t, string(text))
	for name, typ := range map[string]reflect.Type{
		"event": reflect.TypeFor[run.Event](), "at": reflect.TypeFor[recipe.Position](), "changes": reflect.TypeFor[run.ChangeInfo](),
		"kept": reflect.TypeFor[module.Original](), "counts": reflect.TypeFor[run.Counts](), "progress": reflect.TypeFor[module.Progress](),
		"detail": reflect.TypeFor[run.Start](), "table": reflect.TypeFor[module.Table](), "standing": reflect.TypeFor[run.Standing](),
		"host": reflect.TypeFor[run.HostResult](),
	} {
		if want := tagsOf(typ); !slices.Equal(documented[name], want) {
			t.Errorf("%s: the page has %v, the program %v", name, documented[name], want)
		}
	}
	seen := map[string]map[string]bool{}
	for _, e := range realEvents(t) {
		collect(seen, "event", e)
	}
	for object, fields := range seen {
		if object == "kinds" {
			continue
		}
		for f := range fields {
			if !slices.Contains(documented[object], f) {
				t.Errorf("a real run writes the field %s of %s, which the page does not have", f, object)
			}
		}
	}
	for _, must := range []string{"format", "status", "changes", "kept", "counts", "detail", "error", "notify", "handler", "saved", "finished", "at", "each", "done", "result", "left", "per_host"} {
		if !seen["event"][must] {
			t.Errorf("the real runs wrote no %s: they show %v", must, slices.Sorted(maps.Keys(seen["event"])))
		}
	}
	for kind := range seen["kinds"] {
		if !strings.Contains(string(text), "| `"+kind+"` |") {
			t.Errorf("a real run writes the event %s, which the page does not have", kind)
		}
	}
	if len(seen["kinds"]) < 18 {
		t.Errorf("the real runs wrote only the kinds %v", slices.Sorted(maps.Keys(seen["kinds"])))
	}
}

func collect(seen map[string]map[string]bool, object string, fields map[string]any) {
	if seen[object] == nil {
		seen[object] = map[string]bool{}
	}
	for name, value := range fields {
		seen[object][name] = true
		if object != "event" {
			continue
		}
		switch name {
		case "event":
			if seen["kinds"] == nil {
				seen["kinds"] = map[string]bool{}
			}
			seen["kinds"][value.(string)] = true
		case "per_host":
			for _, h := range value.([]any) {
				collect(seen, "host", h.(map[string]any))
			}
		case "at", "kept", "counts", "progress", "detail", "table":
			collect(seen, name, value.(map[string]any))
		case "changes":
			for _, c := range value.([]any) {
				collect(seen, name, c.(map[string]any))
			}
		}
	}
}

func realEvents(t *testing.T) (events []map[string]any) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"site.lua": `return { hosts = { web = "local" }, params = { file = "` + dir + `/x" } }` + "\n",
		"x.lua": `recipe { name = "X", hosts = { web = "x" }, params = { file = {} } }
phase("one", { gate = "Go?" })
handler("Tell", function() say "changed" end)
task("Write", function()
  file { on = hosts.web, path = params.file, content = "x\n", notify = "Tell" }
  file { on = hosts.web, path = params.file, content = "y\n" }
  saved.n = 1
end)
`,
		"fail.lua": `recipe { name = "F", hosts = { web = "x" } }
phase "one"
task("Each", function()
  each({ hosts.web }, function() return "seen" end)
  pcall(each, { hosts.web, hosts.web }, { serial = 1 }, function() fail "no" end)
end)
task("Fail", function() command { on = hosts.web, argv = { "false" }, retries = 1, delay = "10ms" } end)
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"--check", "x.lua"}, {"--yes", "x.lua"}, {"fail.lua"}} {
		c := exec.Command(program(t), append([]string{"--json"}, args...)...)
		c.Dir = dir
		out, err := c.Output()
		if args[0] != "fail.lua" && err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		for line := range bytes.Lines(out) {
			var e map[string]any
			if err := json.Unmarshal(line, &e); err != nil {
				t.Fatalf("%v: %q: %v", args, line, err)
			}
			events = append(events, e)
		}
	}
	return events
}
