package recipe

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// What of Lua's own library is there. What is left out reaches outside the machine or around its rules.
var (
	baseNames = []string{"getmetatable", "ipairs", "next", "pairs", "rawequal", "rawget", "rawset", "select", "setmetatable", "tostring", "type", "unpack"}
	osNames   = []string{"clock", "date", "difftime", "time"}
)

// absent says of names that a Lua programmer may look for what to use instead.
var absent = map[string]string{
	"io":             `recipes reach files of a host with the module "file"`,
	"dofile":         `use require "name" for a file beside the recipe`,
	"loadfile":       `use require "name" for a file beside the recipe`,
	"package":        `require "name" finds files beside the recipe`,
	"module":         `a file that is required returns a table`,
	"debug":          `use print(…) and runner -v`,
	"coroutine":      `use each(hosts, fn) to work on many hosts at once`,
	"os.execute":     `use the module "command"`,
	"io.popen":       `use the module "command"`,
	"os.getenv":      `use a parameter, or secret { env = "NAME" }`,
	"os.exit":        `use fail("why")`,
	"os.remove":      `use the module "file" with state = "absent"`,
	"collectgarbage": `memory looks after itself`,
	"_G":             `globals are not to be looked through`,
	"getfenv":        `functions share one environment`,
	"setfenv":        `functions share one environment`,
	"string.dump":    `only the source of Lua can be run`,
}

// openSandbox opens Lua's library, less what a recipe must not have.
func (m *machine) openSandbox() {
	l := m.state
	for name, open := range map[string]lua.LGFunction{"": lua.OpenBase, "table": lua.OpenTable, "math": lua.OpenMath, "os": lua.OpenOs} {
		l.Push(l.NewFunction(open))
		l.Push(lua.LString(name))
		l.Call(1, 0)
	}
	g := l.G.Global
	opened := map[string]lua.LValue{}
	for _, name := range append(slices.Clone(baseNames), "table", "math") {
		opened[name] = g.RawGetString(name)
	}
	clock := l.NewTable()
	for _, name := range osNames {
		clock.RawSetString(name, g.RawGetString("os").(*lua.LTable).RawGetString(name))
	}
	opened["os"] = clock
	g.ForEach(func(k, _ lua.LValue) { g.RawSet(k, lua.LNil) })
	for _, name := range slices.Sorted(maps.Keys(opened)) {
		g.RawSetString(name, opened[name])
	}
	g.RawSetString("_VERSION", lua.LString(lua.LuaVersion))
	m.defineKinds()
	m.defineStrings()
	m.defineTables()
	m.defineCalls()
	m.defineLoad()
	for _, name := range []string{"os", "table", "math", "string"} {
		m.closed(name, g.RawGetString(name).(*lua.LTable))
	}
}

// global adds a function to what a recipe sees.
func (m *machine) global(name string, fn lua.LGFunction) {
	m.state.G.Global.RawSetString(name, m.state.NewFunction(fn))
}

// closed makes reading an unknown name of a table an error, and writing any.
func (m *machine) closed(name string, t *lua.LTable) {
	meta, _ := t.Metatable.(*lua.LTable)
	if meta == nil {
		meta = m.state.NewTable()
	}
	meta.RawSetString("__index", m.state.NewFunction(func(l *lua.LState) int {
		return m.mistake(l, "%s", m.unknown(name, t, l.Get(2)))
	}))
	meta.RawSetString("__newindex", m.state.NewFunction(func(l *lua.LState) int {
		return m.mistake(l, "cannot set %s.%s: %s belongs to runner", name, l.Get(2), name)
	}))
	meta.RawSetString("__metatable", lua.LFalse)
	t.Metatable = meta
}

// unknown says that a table has no such name, and which one was most likely meant.
func (m *machine) unknown(table string, t *lua.LTable, key lua.LValue) string {
	name := table + "." + key.String()
	return unknownName(name, absent[name], key.String(), namesOf(t), table+".")
}

func unknownName(name, instead, wrong string, known []string, prefix string) string {
	text := "cannot find " + name + ": there is nothing of that name"
	if instead != "" {
		return "cannot use " + name + ": it is not there for recipes; " + instead
	}
	if near := module.Nearest(wrong, known); near != "" {
		return text + "; did you mean " + prefix + near + "?"
	}
	return text
}

// namesOf lists the keys of a table that are names.
func namesOf(t *lua.LTable) (names []string) {
	t.ForEach(func(k, _ lua.LValue) {
		if s, ok := k.(lua.LString); ok && !strings.HasPrefix(string(s), "_") {
			names = append(names, string(s))
		}
	})
	return names
}

// strict closes the world of globals. What is there by now belongs to runner and cannot be set; what the files of Lua set goes into
// a table of its own, if allow has nothing against it (it returns why not). Reading an unknown global is an error.
//
// The environment of the files is a table that stays empty, so that each assignment comes here; reading goes on to runner's own
// globals, then to those of the files.
func (m *machine) strict(allow func(t *thread, name string) (problem string)) {
	l := m.state
	runners, files, env := l.G.Global, l.NewTable(), l.NewTable()
	m.globals = files
	meta := func(t *lua.LTable, index lua.LValue) *lua.LTable {
		mt := l.NewTable()
		mt.RawSetString("__index", index)
		t.Metatable = mt
		return mt
	}
	meta(files, l.NewFunction(func(l *lua.LState) int {
		name := l.Get(2).String()
		return m.mistake(l, "%s", unknownName(name, absent[name], name, append(namesOf(runners), namesOf(files)...), ""))
	}))
	meta(runners, files)
	meta(env, runners).RawSetString("__newindex", l.NewFunction(func(l *lua.LState) int {
		name := l.Get(2).String()
		if runners.RawGetString(name) != lua.LNil {
			return m.mistake(l, "%s", belongs(name))
		}
		if problem := allow(threadOf(l), name); problem != "" {
			return m.mistake(l, "cannot set the global %s: %s", name, problem)
		}
		files.RawSetString(name, l.Get(3))
		return 0
	}))
	l.Env = env
}

func belongs(name string) string {
	return fmt.Sprintf("cannot set %s: it belongs to runner; write local %s = …, or choose another name", name, name)
}

// defineCalls adds error, assert, pcall, xpcall and pairs.
func (m *machine) defineCalls() {
	m.global("error", func(l *lua.LState) int {
		if l.GetTop() == 0 {
			return m.mistake(l, "cannot go on: error was called without a message")
		}
		m.throw(l, l.Get(1), l.OptInt(2, 1))
		return 0
	})
	m.global("assert", func(l *lua.LState) int {
		if l.GetTop() > 0 && lua.LVAsBool(l.Get(1)) {
			return l.GetTop()
		}
		if l.GetTop() < 2 {
			return m.mistake(l, "assertion failed")
		}
		m.throw(l, l.Get(2), 1)
		return 0
	})
	m.global("pcall", func(l *lua.LState) int {
		results, f := m.try(l, 2)
		if f != nil {
			l.Push(lua.LFalse)
			l.Push(f.object)
			return 2
		}
		return pushAll(l, results)
	})
	m.global("xpcall", func(l *lua.LState) int {
		handler := l.Get(2)
		results, f := m.try(l, 3)
		if f != nil {
			l.Push(handler)
			l.Push(f.object)
			l.Call(1, 1)
			handled := l.Get(-1)
			l.Push(lua.LFalse)
			l.Push(handled)
			return 2
		}
		return pushAll(l, results)
	})
	pairs := m.state.G.Global.RawGetString("pairs")
	m.global("pairs", func(l *lua.LState) int {
		if fn, ok := l.GetMetaField(l.Get(1), "__pairs").(*lua.LFunction); ok {
			l.Push(fn)
			l.Push(l.Get(1))
			l.Call(1, 1)
			l.Replace(1, l.Get(-1))
		}
		v := l.Get(1)
		if v.Type() != lua.LTTable {
			return m.mistake(l, "cannot go through %s with pairs: it is no table", shown(v))
		}
		l.SetTop(0)
		l.Push(pairs)
		l.Push(v)
		l.Call(1, 3)
		return 3
	})
}

func pushAll(l *lua.LState, results []lua.LValue) int {
	l.Push(lua.LTrue)
	for _, v := range results {
		l.Push(v)
	}
	return len(results) + 1
}

// try calls the first argument with those from the given one on. An error that cannot be caught goes on.
func (m *machine) try(l *lua.LState, from int) ([]lua.LValue, *failure) {
	fn, ok := l.Get(1).(*lua.LFunction)
	var args []lua.LValue
	if !ok {
		called, isFunction := l.GetMetaField(l.Get(1), "__call").(*lua.LFunction)
		if !isFunction {
			m.mistake(l, "cannot call %s with pcall: it is no function", shown(l.Get(1)))
		}
		fn, args = called, append(args, l.Get(1))
	}
	for i := from; i <= l.GetTop(); i++ {
		args = append(args, l.Get(i))
	}
	t := threadOf(l)
	results, f := m.call(t.below(l), fn, args...)
	if f != nil && !t.catchable(f) {
		l.Error(f.object, 0)
	}
	return results, f
}

// defineLoad adds load and loadstring for text.
func (m *machine) defineLoad() {
	load := func(l *lua.LState) int {
		text, ok := l.Get(1).(lua.LString)
		if !ok {
			return m.mistake(l, "cannot load %s as Lua: it must be text", shown(l.Get(1)))
		}
		fn, err := m.compile("text at "+m.where(l).String(), string(text))
		if err != nil {
			var e *Error
			errors.As(err, &e)
			l.Push(lua.LNil)
			l.Push(lua.LString(e.Error()))
			return 2
		}
		l.Push(fn)
		return 1
	}
	m.global("load", load)
	m.global("loadstring", load)
}
