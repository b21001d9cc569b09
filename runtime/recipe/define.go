package recipe

import (
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// define adds what a recipe sees beside Lua's own library.
func (r *Recipe) define() error {
	r.global("recipe", r.declare)
	r.global("extend", r.extend)
	r.global("phase", r.addPhase)
	r.global("task", r.addTask)
	r.global("handler", r.addHandler)
	r.global("each", r.each)
	r.global("say", r.say)
	r.global("print", r.say)
	r.global("fail", r.failNow)
	r.global("ask", r.ask)
	r.global("require", r.require)
	r.defineSecretFunction()
	for _, name := range []string{"hosts", "groups", "params"} {
		r.undeclared(name)
	}
	r.saved = r.state.NewTable()
	r.state.G.Global.RawSetString("saved", r.saved)
	r.defineRunner(r.options.Check)
	if err := r.defineModules(); err != nil {
		return err
	}
	r.strict(func(t *thread, name string) string {
		if t.mode == declaring {
			return ""
		}
		return "write local " + name + " = …; what later tasks need goes into saved." + name
	})
	return nil
}

func (r *Recipe) defineRunner(check bool) {
	t := r.state.NewTable()
	t.RawSetString("check", lua.LBool(check))
	t.RawSetString("version", lua.LString(r.options.Version))
	r.closed("runner", t)
	r.state.G.Global.RawSetString("runner", t)
}

// undeclared is what stands for hosts, groups and params before recipe{…}.
func (r *Recipe) undeclared(name string) {
	t, meta := r.state.NewTable(), r.state.NewTable()
	complain := r.state.NewFunction(func(l *lua.LState) int {
		return r.mistake(l, "cannot use %s: recipe { … } comes first and says which there are", name)
	})
	for _, event := range []string{"__index", "__newindex", "__pairs"} {
		meta.RawSetString(event, complain)
	}
	meta.RawSetString("__metatable", lua.LFalse)
	t.Metatable = meta
	r.state.G.Global.RawSetString(name, t)
}

// catalogue makes hosts, groups or params: a table that can be read and gone through but not changed.
func (r *Recipe) catalogue(name, what string, values map[string]lua.LValue, declared []string) {
	inner := r.state.NewTable()
	r.given = append(r.given, inner)
	for _, n := range declared {
		if v, ok := values[n]; ok {
			inner.RawSetString(n, v)
		}
	}
	t, meta := r.state.NewTable(), r.state.NewTable()
	set := func(event string, fn lua.LGFunction) { meta.RawSetString(event, r.state.NewFunction(fn)) }
	set("__index", func(l *lua.LState) int {
		key := l.Get(2)
		if s, ok := key.(lua.LString); ok && slices.Contains(declared, string(s)) {
			l.Push(inner.RawGetString(string(s)))
			return 1
		}
		return r.mistake(l, "%s", undeclaredName(name, what, key.String(), declared))
	})
	set("__newindex", func(l *lua.LState) int {
		return r.mistake(l, "cannot set %s.%s: %s are given by the site and the command line; use a local", name, l.Get(2), name)
	})
	set("__pairs", func(l *lua.LState) int {
		l.Push(inner)
		return 1
	})
	meta.RawSetString("__metatable", lua.LFalse)
	t.Metatable = meta
	r.state.G.Global.RawSetString(name, t)
}

// undeclaredName says that the recipe does not declare what it uses.
func undeclaredName(table, what, name string, declared []string) string {
	text := unknownName(table+"."+name, "", name, declared, table+".")
	if strings.HasSuffix(text, "?") {
		return text
	}
	return "cannot find " + table + "." + name + ": recipe { … } declares no " + what + " of that name"
}

func (r *Recipe) say(l *lua.LState) int {
	parts := make([]string, l.GetTop())
	for i := range parts {
		parts[i] = l.ToStringMeta(l.Get(i + 1)).String()
	}
	text, t := strings.Join(parts, "\t"), threadOf(l)
	if t.engine == nil {
		r.notes = append(r.notes, text)
		return 0
	}
	if err := r.guarded(func() error { t.engine.Say(t, text); return nil }); err != nil {
		return r.raise(l, err)
	}
	return 0
}

func (r *Recipe) failNow(l *lua.LState) int {
	if l.GetTop() != 1 {
		return r.mistake(l, "cannot fail without a reason: fail(\"why\") takes one text")
	}
	if err, ok := errorOf(l.Get(1)); ok {
		l.Error(r.errorValue(err), 1)
	}
	return r.mistake(l, "%s", l.ToStringMeta(l.Get(1)).String())
}

func (r *Recipe) ask(l *lua.LState) int {
	question, ok := l.Get(1).(lua.LString)
	if !ok || question == "" || l.GetTop() != 1 {
		return r.mistake(l, "cannot ask %s: ask(\"question\") takes one text", shown(l.Get(1)))
	}
	t := r.inTask(l, "ask")
	var yes bool
	err := r.guarded(func() (err error) {
		yes, err = t.engine.Ask(t, string(question))
		return err
	})
	if err != nil {
		return r.raise(l, err)
	}
	if !yes {
		return r.mistake(l, "cannot go on: the answer to %q was no", string(question))
	}
	l.Push(lua.LTrue)
	return 1
}

// inTask refuses what only a task can do at the top level.
func (r *Recipe) inTask(l *lua.LState, what string) *thread {
	t := threadOf(l)
	switch t.mode {
	case asking:
		r.mistake(l, "cannot call %s here: a gate only puts its question into words; find out in a task before it, and keep it in saved", what)
	case declaring:
		r.mistake(l, "cannot call %s here: the top level of a recipe only declares; call it in a task(\"name\", function() … end)", what)
	}
	if t.engine == nil {
		r.mistake(l, "cannot call %s: the recipe is only being read", what)
	}
	return t
}

// atTop refuses what only the top level can do in a task.
func (r *Recipe) atTop(l *lua.LState, what string) *thread {
	t := threadOf(l)
	if t.mode != declaring {
		r.mistake(l, "cannot call %s in a task: the top level of the recipe declares all phases, tasks and handlers", what)
	}
	return t
}
