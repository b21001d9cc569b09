package moduletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"runner/runtime/module"
)

func (c *oneCase) law(t *testing.T, name string, broken func() string) {
	t.Helper()
	if how := broken(); how != "" {
		t.Errorf("the law is broken that %s:\n%s", name, how)
	}
}

// laws puts a case to what holds for every module.
func (c *oneCase) laws(t *testing.T, checked, applied *told) {
	t.Helper()
	c.law(t, "only declared commands are run, and a view changes nothing", func() string {
		return strings.Join(append(checked.problems(), applied.problems()...), "\n")
	})
	c.law(t, "check mode tells what is done", func() string {
		if applied.result.Err == nil && summaries(checked.result) != summaries(applied.result) {
			return fmt.Sprintf("check mode: %s\nthen: %s", summaries(checked.result), summaries(applied.result))
		}
		return ""
	})
	c.law(t, "what was done is done", func() string {
		if applied.result.Err != nil {
			return ""
		}
		for _, f := range applied.hosts {
			f.Forget()
		}
		applied.run(context.Background(), false)
		for _, change := range applied.result.Changes {
			if !change.Action {
				return "a second time there is still to do: " + change.Summary
			}
		}
		if len(applied.result.Changes) == 0 && len(applied.writes()) > 0 {
			return "a second time it changed something without telling:\n" + strings.Join(applied.writes(), "\n")
		}
		if applied.result.Err != nil {
			return "a second time it fails: " + applied.result.Err.Error()
		}
		return ""
	})
	for _, r := range []*told{checked, applied} {
		c.law(t, "secrets are never shown", func() string { return r.shown() })
	}
	c.law(t, "a step that is to stop stops, and writes nothing more", func() string { return c.stopped(t) })
}

func summaries(r module.Result) string {
	var list []string
	for _, c := range r.Changes {
		list = append(list, c.Summary)
	}
	return strings.Join(list, "; ")
}

func (r *told) problems() []string {
	var list []string
	for _, name := range r.names() {
		list = append(list, r.hosts[name].Problems()...)
	}
	return list
}

// shown is where a secret of the call can be seen. What a command reads from its input cannot be seen by others.
func (r *told) shown() string {
	if r.call == nil {
		return ""
	}
	texts := map[string]string{"note": r.result.Note}
	for i, c := range r.result.Changes {
		texts[fmt.Sprintf("change %d", i+1)] = c.Summary + "\n" + c.Before + "\n" + c.After
	}
	if r.result.Err != nil {
		texts["error"] = r.result.Err.Error()
	}
	for i, k := range r.kept {
		texts[fmt.Sprintf("kept %d", i+1)] = k.Object + "\n" + k.Value + "\n" + k.Backup
	}
	if data, err := json.Marshal(r.result.Output); err == nil {
		texts["output"] = string(data)
	}
	for _, name := range r.names() {
		for _, e := range r.hosts[name].Log() {
			texts["command "+e.Text] = e.Text
		}
	}
	for _, secret := range r.call.Secrets() {
		for where, text := range texts {
			if strings.Contains(text, secret) {
				return fmt.Sprintf("the secret %q stands in %s: %s", secret, where, text)
			}
		}
	}
	return ""
}

var errStopped = errors.New("stopped by the test")

func (c *oneCase) stopped(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errStopped)
	done := make(chan *told, 1)
	go func() { done <- c.once(t, ctx, false) }()
	select {
	case r := <-done:
		if len(r.writes()) > 0 {
			return strings.Join(r.writes(), "\n")
		}
		return ""
	case <-time.After(prompt):
		return "it goes on"
	}
}

var (
	moduleName   = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$`)
	argumentName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// Laws puts declarations to what holds for every module and needs no host: names, documentation, arguments that are refused.
// docs are the references of the modules, from [module.Reference].
func Laws(t *testing.T, modules []module.Module, docs []module.Doc) {
	t.Helper()
	if len(docs) != len(modules) {
		t.Fatalf("%d references for %d modules", len(docs), len(modules))
	}
	for i, m := range modules {
		t.Run(m.Name, func(t *testing.T) {
			if !moduleName.MatchString(m.Name) {
				t.Errorf("the name is not made of small letters and underscores")
			}
			if i > 0 && modules[i-1].Name >= m.Name {
				t.Errorf("the modules are not sorted: %s stands before %s", modules[i-1].Name, m.Name)
			}
			if m.Summary == "" || strings.HasSuffix(m.Summary, ".") || strings.Contains(m.Summary, "\n") || len(m.Summary) > 120 {
				t.Errorf("the summary is not one line without a full stop: %q", m.Summary)
			}
			documented(t, docs[i].Name, docs[i].Args)
			refuses(t, m)
		})
	}
}

// documented demands a comment, and a good one, for every argument.
func documented(t *testing.T, path string, args []module.ArgDoc) {
	t.Helper()
	for _, a := range args {
		name := path + "." + a.Name
		if !argumentName.MatchString(a.Name) {
			t.Errorf("the name of %s is not made of small letters and underscores", name)
		}
		if a.Text == "" {
			t.Errorf("the argument %s has no comment", name)
		} else if !strings.HasSuffix(a.Text, ".") {
			t.Errorf("the comment of the argument %s is no sentence: %q", name, a.Text)
		}
		documented(t, name, a.Fields)
	}
}

// refuses gives a module wrong arguments. Nothing is run, so no host is needed.
func refuses(t *testing.T, m module.Module) {
	t.Helper()
	good := map[string]any{}
	for _, f := range m.Fields() {
		if f.Required {
			good[f.Name] = anyValue(f)
		}
	}
	for _, f := range m.Fields() {
		mistyped := f.Name + "x"
		if len(f.Name) < 3 {
			continue // nothing is near to so short a name
		}
		values := with(good, mistyped, "x")
		refused(t, m, values, mistyped+" is no argument; did you mean \"")
		if f.Required {
			refused(t, m, with(good, f.Name, nil), f.Name+" is missing (")
		}
		if f.Type.Kind() != reflect.Interface {
			refused(t, m, with(good, f.Name, func() {}), f.Name+" must be a")
		}
		if len(f.Choices) > 0 {
			refused(t, m, with(good, f.Name, "no such choice"), f.Name+" must be one of ")
		}
	}
}

func with(values map[string]any, name string, value any) map[string]any {
	out := map[string]any{}
	for k, v := range values {
		out[k] = v
	}
	out[name] = value
	return out
}

func refused(t *testing.T, m module.Module, values map[string]any, want string) {
	t.Helper()
	_, err := m.Decode(values)
	var argument *module.ArgumentError
	if !errors.As(err, &argument) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v: the error is %v, want %q in it", values, err, want)
	}
}

// anyValue is a value of an argument's type.
func anyValue(f module.Field) any {
	switch f.TypeName() {
	case "host":
		return module.HostName("new")
	case "secret":
		return module.NewSecret("x")
	case "duration":
		return "1s"
	case "boolean":
		return true
	case "integer", "number", "size":
		return 1.0
	}
	switch f.Type.Kind() {
	case reflect.Slice:
		return []any{}
	case reflect.Map, reflect.Struct:
		return map[string]any{}
	}
	if len(f.Choices) > 0 {
		return f.Choices[0]
	}
	return "x"
}
