package recipetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"

	"runner/runtime/host/hosttest"
	"runner/runtime/recipe"
)

// host is host("name") and host("name", [[ sections ]]): a fake host under the name that the recipe gives it.
func (b *bench) host(_ context.Context, c recipe.Called) (any, error) {
	name, sections, err := nameAndText(c.Args)
	if err != nil {
		return nil, fmt.Errorf(`cannot make a fake host: the form is host("name") or host("name", [[ sections ]])`)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hosts[name] != nil {
		if sections != "" {
			return nil, fmt.Errorf("cannot make the fake host %s: the test has made it already", name)
		}
		return b.hosts[name].object, nil
	}
	f := hosttest.New(name)
	if sections != "" {
		fakes, rest, err := hosttest.Load(txtar.Parse([]byte(outdent(sections))), name)
		if err != nil {
			return nil, fmt.Errorf("cannot make the fake host %s: %s", name, strings.TrimPrefix(err.Error(), "hosttest: "))
		}
		if len(rest) > 0 {
			return nil, fmt.Errorf("cannot make the fake host %s: there is no kind of section %q", name, rest[0].Name)
		}
		f = fakes[name]
	}
	return b.add(name, f).object, nil
}

func nameAndText(args []any) (name, text string, err error) {
	if len(args) == 0 || len(args) > 2 {
		return "", "", errForm
	}
	name, ok := args[0].(string)
	if !ok || name == "" {
		return "", "", errForm
	}
	if len(args) == 2 {
		if text, ok = args[1].(string); !ok {
			return "", "", errForm
		}
	}
	return name, text, nil
}

// outdent takes the indentation of the first line off all lines, so that sections can stand indented in a test.
func outdent(text string) string {
	text = strings.TrimLeft(text, "\n")
	indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	if indent == "" {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, indent)
	}
	return strings.Join(lines, "\n")
}

func (f *fake) asObject() *recipe.Object {
	return &recipe.Object{
		Kind: "fake host", Name: f.name, Value: f,
		Methods: map[string]recipe.Function{
			"answer": f.answer, "file": f.file, "dir": f.dir, "link": f.link, "facts": f.facts, "service": f.service, "postfix": f.postfix, "programs": f.programs,
			"unreachable": f.unreachable, "content": f.content, "commands": f.commands, "writes": f.writes, "changed": f.changedFiles,
			"ran": f.ran, "forget": func(context.Context, recipe.Called) (any, error) { f.Forget(); return nil, nil },
		},
		Fields: []string{"name"},
		Field:  func(name string) (any, bool) { return f.name, name == "name" },
	}
}

// answer is host:answer("command", "stdout") and host:answer("command", { stdout = …, … }).
func (f *fake) answer(_ context.Context, c recipe.Called) (any, error) {
	const want = `host:answer("command", "what it prints") or host:answer("command", { stdout = …, stderr = …, status = …, after = …, changes = true })`
	if len(c.Args) == 0 || len(c.Args) > 2 {
		return nil, form(want)
	}
	command, ok := c.Args[0].(string)
	if !ok || command == "" {
		return nil, form(want)
	}
	var a hosttest.Answer
	var after string
	var changes bool
	if len(c.Args) == 2 {
		switch v := c.Args[1].(type) {
		case string:
			a.Stdout = v
		case map[string]any:
			r := reader{table: v}
			r.known("stdout", "stderr", "status", "after", "changes")
			a.Stdout, a.Stderr, a.Status, after, changes = r.text("stdout"), r.text("stderr"), r.number("status"), r.text("after"), r.flag("changes")
			if r.err != nil {
				return nil, fmt.Errorf("cannot answer %q: %w", command, r.err)
			}
		case []any: // {}
		default:
			return nil, form(want)
		}
	}
	return f.object, f.declare(command, after, changes, a)
}

// declare gives the fake an answer; a command that cannot be read is an error.
func (f *fake) declare(command, after string, changes bool, a hosttest.Answer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("cannot answer %q: %v", command, strings.TrimPrefix(fmt.Sprint(p), "hosttest: "))
		}
	}()
	switch {
	case changes && after != "":
		return errors.New("cannot answer like this: a command that changes the host holds from the beginning, without after")
	case changes:
		f.Changes(command, a)
	case after != "":
		f.LooksAfter(after, command, a)
	default:
		f.Looks(command, a)
	}
	return nil
}

// file is host:file("/path", "content") and host:file("/path", { content = …, mode = "0644", owner = "0:0" }).
func (f *fake) file(_ context.Context, c recipe.Called) (any, error) {
	path, content, attr, err := pathOf(c.Args, `host:file("/path", "content") or host:file("/path", { content = …, mode = "0644", owner = "0:0" })`, 0o644)
	if err != nil {
		return nil, err
	}
	return f.object, f.put(path, func() { f.File(path, content, attr) })
}

// dir is host:dir("/path") and host:dir("/path", { mode = "0755", owner = "0:0" }).
func (f *fake) dir(_ context.Context, c recipe.Called) (any, error) {
	path, _, attr, err := pathOf(c.Args, `host:dir("/path") or host:dir("/path", { mode = "0755", owner = "0:0" })`, 0o755)
	if err != nil {
		return nil, err
	}
	return f.object, f.put(path, func() { f.Dir(path, attr) })
}

// link is host:link("/path", "target").
func (f *fake) link(_ context.Context, c recipe.Called) (any, error) {
	path, target, err := nameAndText(c.Args)
	if err != nil || target == "" {
		return nil, form(`host:link("/path", "target")`)
	}
	return f.object, f.put(path, func() { f.Symlink(path, target) })
}

func (f *fake) put(path string, put func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("cannot put %s on the fake host %s: %v", path, f.name, strings.TrimPrefix(fmt.Sprint(p), "hosttest: "))
		}
	}()
	put()
	return nil
}

func pathOf(args []any, want string, mode uint32) (path, content string, a hosttest.Attr, err error) {
	a.Mode = mode
	if len(args) == 0 || len(args) > 2 {
		return "", "", a, form(want)
	}
	path, ok := args[0].(string)
	if !ok || !strings.HasPrefix(path, "/") {
		return "", "", a, fmt.Errorf("cannot use %s as a path: it must be a text that begins with /", text(args[0]))
	}
	if len(args) == 1 {
		return path, "", a, nil
	}
	switch v := args[1].(type) {
	case string:
		return path, v, a, nil
	case map[string]any:
		r := reader{table: v}
		r.known("content", "mode", "owner")
		content = r.text("content")
		if mode := r.text("mode"); mode != "" {
			n, err := strconv.ParseUint(mode, 8, 12)
			if err != nil {
				return "", "", a, fmt.Errorf("cannot use %q as a mode: it must be a text such as \"0644\"", mode)
			}
			a.Mode = uint32(n)
		}
		if owner := r.text("owner"); owner != "" {
			if n, _ := fmt.Sscanf(owner, "%d:%d", &a.UID, &a.GID); n != 2 {
				return "", "", a, fmt.Errorf("cannot use %q as an owner: it must be UID:GID", owner)
			}
		}
		return path, content, a, r.err
	}
	return "", "", a, form(want)
}

// facts is host:facts { version = "7.11", init = "sysv" }, with the facts that [hosttest.Load] knows.
func (f *fake) facts(_ context.Context, c recipe.Called) (any, error) {
	values, ok := table(c.Args)
	if !ok {
		return nil, form(`host:facts { version = "7.11", init = "sysv" }`)
	}
	var b strings.Builder
	for k, v := range values {
		fmt.Fprintf(&b, "%s: %s\n", k, text(v))
	}
	if err := f.SetFactLines(b.String()); err != nil {
		return nil, fmt.Errorf("cannot use these facts: %w", err)
	}
	return f.object, nil
}

// programs is host:programs { "postconf", "mysql" }: there are no others.
func (f *fake) programs(_ context.Context, c recipe.Called) (any, error) {
	if len(c.Args) != 1 {
		return nil, form(`host:programs { "postconf", "mysql" }`)
	}
	names, err := texts(c.Args[0])
	if err != nil {
		return nil, fmt.Errorf("cannot use these programs: %w", err)
	}
	f.SetPrograms(names...)
	return f.object, nil
}

// unreachable is host:unreachable() and host:unreachable("why"): steps on the host find it unreachable.
func (f *fake) unreachable(_ context.Context, c recipe.Called) (any, error) {
	f.down = "connection refused"
	if len(c.Args) > 0 {
		f.down = text(c.Args[0])
	}
	return f.object, nil
}

// content is host:content("/path"): what the file holds now; nil where there is none.
func (f *fake) content(_ context.Context, c recipe.Called) (any, error) {
	if len(c.Args) != 1 {
		return nil, form(`host:content("/path")`)
	}
	content, ok := f.Content(text(c.Args[0]))
	if !ok {
		return nil, nil
	}
	return content, nil
}

func (f *fake) commands(context.Context, recipe.Called) (any, error) { return list(f.Commands()), nil }
func (f *fake) writes(context.Context, recipe.Called) (any, error)   { return list(f.Writes()), nil }

// changedFiles is host:changed(): what became of files, "file /etc/motd 0644 0:0", "absent /etc/nologin".
func (f *fake) changedFiles(context.Context, recipe.Called) (any, error) {
	var names []string
	for _, file := range f.Changed() {
		names = append(names, file.Name)
	}
	return list(names), nil
}

// ran is host:ran("command"): the command was run on the host.
func (f *fake) ran(_ context.Context, c recipe.Called) (any, error) {
	if len(c.Args) != 1 {
		return nil, form(`host:ran("command")`)
	}
	want := text(c.Args[0])
	for _, have := range f.Commands() {
		if hosttest.Match(want, have) {
			return true, nil
		}
	}
	return nil, fmt.Errorf("the command %q was not run on %s%s", want, f.name, ofThese(want, f.Commands()))
}
