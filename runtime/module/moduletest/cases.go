// Package moduletest tests modules: by cases in data files, where the hosts are made of answers, and by laws that hold for
// every module, whatever it does.
package moduletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"runner/runtime/host"
	"runner/runtime/host/hosttest"
	"runner/runtime/module"
)

// Cases are data files that tell what a module does on hosts made of answers.
//
// Each file is a txtar archive below DIR/MODULE/, its comment what it shows. Beside the sections of [hosttest.Load], which make
// the hosts, it has
//
//	call     the arguments in JSON: "@new" is the host new, {"secret": "x"} a secret
//	want     what is told: the status, a line for each change, the note, what is kept, and with a ! each change of the host
//	diff     before and after of the changes; optional
//	output   the step's result as JSON; optional
//	error    the error; then want may be missing
//
// Every case is also put to the laws of [Laws] that need hosts.
type Cases struct {
	Modules []module.Module
	// Dir holds a folder for each module.
	Dir string
	// Scripts are the names by which the data files call the scripts of the modules.
	Scripts map[string]string
	// Update writes what came out into the files instead of comparing.
	Update func(file string, data []byte) error
}

// Run runs every case.
func (c Cases) Run(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(c.Dir, "*", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases below %s: %v", c.Dir, err)
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		t.Run(name+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			i := slices.IndexFunc(c.Modules, func(m module.Module) bool { return m.Name == name })
			if i < 0 {
				t.Fatalf("there is no module %s", name)
			}
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			one := &oneCase{Cases: c, module: c.Modules[i], file: file, archive: archive}
			one.run(t)
		})
	}
}

type oneCase struct {
	Cases
	module  module.Module
	file    string
	archive *txtar.Archive
}

// told is one run of a case.
type told struct {
	result module.Result
	kept   []module.Original
	hosts  map[string]*hosttest.Fake
	call   *module.Call
}

func (c *oneCase) run(t *testing.T) {
	t.Helper()
	if strings.TrimSpace(string(c.archive.Comment)) == "" {
		t.Error("the case has no comment that says what it shows")
	}
	checked := c.once(t, context.Background(), true)
	c.law(t, "planning writes nothing", func() string { return strings.Join(checked.writes(), "\n") })
	applied := c.once(t, context.Background(), false)
	got := c.sections(applied)
	if c.Update != nil {
		c.update(t, got)
	} else {
		c.compare(t, got)
	}
	c.laws(t, checked, applied)
}

// once makes fresh hosts and runs the call on them.
func (c *oneCase) once(t *testing.T, ctx context.Context, check bool) *told {
	t.Helper()
	values, names := c.values(t)
	call, err := c.module.Decode(values)
	if err != nil {
		return &told{result: module.Result{Status: module.Failed, Err: err}}
	}
	r := &told{call: call}
	if r.hosts, _, err = hosttest.Load(c.archive, names...); err != nil {
		t.Fatal(err)
	}
	bound := map[module.HostName]*host.Host{}
	for name, f := range r.hosts {
		for short, text := range c.Scripts {
			f.Script(short, text)
		}
		bound[module.HostName(name)] = f.Host()
	}
	if err := call.Bind(bound); err != nil {
		t.Fatal(err)
	}
	r.run(ctx, check)
	return r
}

func (r *told) run(ctx context.Context, check bool) {
	r.kept = nil
	r.result = r.call.Run(ctx, check, module.Observer{Keep: func(o module.Original) { r.kept = append(r.kept, o) }})
}

// values reads the call. The hosts are listed in the order in which they are named.
func (c *oneCase) values(t *testing.T) (map[string]any, []string) {
	t.Helper()
	text, ok := c.section("call")
	if !ok {
		t.Fatal("the case has no section call")
	}
	var raw map[string]any
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatalf("cannot read the call: %v", err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`"@([A-Za-z0-9_-]+)"`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	if len(names) == 0 {
		names = []string{"none"}
	}
	return recipeValue(raw).(map[string]any), names
}

// recipeValue makes of what JSON holds what a recipe would give.
func recipeValue(v any) any {
	switch v := v.(type) {
	case string:
		if name, ok := strings.CutPrefix(v, "@"); ok {
			return module.HostName(name)
		}
	case []any:
		for i := range v {
			v[i] = recipeValue(v[i])
		}
	case map[string]any:
		if s, ok := v["secret"].(string); ok && len(v) == 1 {
			return module.NewSecret(s)
		}
		for k := range v {
			v[k] = recipeValue(v[k])
		}
	}
	return v
}

func (c *oneCase) section(name string) (string, bool) {
	for _, f := range c.archive.Files {
		if f.Name == name {
			return string(f.Data), true
		}
	}
	return "", false
}

// sections are what came out, in the form of the data file.
func (c *oneCase) sections(r *told) map[string]string {
	out := map[string]string{"error": ""}
	if r.result.Err != nil {
		out["error"] = changing.ReplaceAllString(r.result.Err.Error(), "TIME") + "\n"
		var hinted interface{ Hint() string }
		if errors.As(r.result.Err, &hinted) {
			out["error"] += "next: " + hinted.Hint() + "\n"
		}
		var absent *module.AbsentError
		if errors.As(r.result.Err, &absent) {
			out["error"] += "(absent)\n"
		}
	}
	var want, diff strings.Builder
	fmt.Fprintln(&want, r.result.Status)
	for _, change := range r.result.Changes {
		mark := "change"
		switch {
		case change.Wait:
			mark = "wait"
		case change.Action:
			mark = "action"
		}
		if change.Destroys {
			mark += ", destroys"
		}
		fmt.Fprintf(&want, "%s: %s\n", mark, change.Summary)
		fmt.Fprintf(&diff, "%s\n", change.Summary)
		for _, side := range []struct{ mark, text string }{{"-", change.Before}, {"+", change.After}} {
			for line := range strings.Lines(side.text) {
				fmt.Fprintf(&diff, "%s %s\n", side.mark, strings.TrimSuffix(line, "\n"))
			}
		}
	}
	if r.result.Note != "" {
		fmt.Fprintf(&want, "note: %s\n", r.result.Note)
	}
	for _, k := range r.kept {
		fmt.Fprintf(&want, "kept: %s", k.Object)
		if k.Value != "" {
			fmt.Fprintf(&want, " = %s", k.Value)
		}
		if k.Backup != "" {
			fmt.Fprintf(&want, " in %s", k.Backup)
		}
		fmt.Fprintln(&want)
	}
	for _, line := range r.writes() {
		fmt.Fprintf(&want, "! %s\n", line)
	}
	out["want"], out["diff"] = want.String(), diff.String()
	if data, err := json.MarshalIndent(r.result.Output, "", "  "); err == nil {
		out["output"] = string(data) + "\n"
	}
	return out
}

// writes is what was asked of the hosts that changes them.
func (r *told) writes() []string {
	var list []string
	for _, name := range r.names() {
		for _, line := range r.hosts[name].Writes() {
			if len(r.hosts) > 1 {
				line = name + ": " + line
			}
			list = append(list, line)
		}
	}
	return list
}

func (r *told) names() []string {
	var names []string
	for name := range r.hosts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// changing are parts of what is told that are different each time: the moment in the name of a copy.
var changing = regexp.MustCompile(`\d{8}T\d{6}Z`)

func (c *oneCase) compare(t *testing.T, got map[string]string) {
	t.Helper()
	wrong, failing := c.section("error")
	if diff := cmp.Diff(wrong, got["error"]); diff != "" {
		t.Errorf("error (- wanted, + is):\n%s", diff)
	}
	compared := failing
	for _, name := range []string{"want", "diff", "output"} {
		text, ok := c.section(name)
		if !ok {
			continue
		}
		compared = true
		if diff := cmp.Diff(text, changing.ReplaceAllString(got[name], "TIME")); diff != "" {
			t.Errorf("%s (- wanted, + is):\n%s", name, diff)
		}
	}
	if !compared {
		t.Error("the case has neither want nor error: nothing was compared")
	}
}

func (c *oneCase) update(t *testing.T, got map[string]string) {
	t.Helper()
	if _, ok := c.section("want"); !ok && got["error"] == "" {
		c.archive.Files = append(c.archive.Files, txtar.File{Name: "want"})
	}
	if _, ok := c.section("error"); !ok && got["error"] != "" {
		c.archive.Files = append(c.archive.Files, txtar.File{Name: "error"})
	}
	for i, f := range c.archive.Files {
		if text, ok := got[f.Name]; ok {
			c.archive.Files[i].Data = []byte(changing.ReplaceAllString(text, "TIME"))
		}
	}
	c.archive.Files = slices.DeleteFunc(c.archive.Files, func(f txtar.File) bool { return f.Name == "error" && len(f.Data) == 0 })
	if err := c.Update(c.file, txtar.Format(c.archive)); err != nil {
		t.Fatal(err)
	}
}

// prompt is how long a module may take to notice that it is to stop, before it counts as one that does not.
const prompt = 20 * time.Second
