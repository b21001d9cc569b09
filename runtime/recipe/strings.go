package recipe

import lua "github.com/yuin/gopher-lua"

func (m *machine) defineStrings() {
	l := m.state
	l.Push(l.NewFunction(lua.OpenString))
	l.Push(lua.LString("string"))
	l.Call(1, 0)
	lib := l.G.Global.RawGetString("string").(*lua.LTable)
	lib.RawSetString("dump", lua.LNil)
	lib.RawSetString("__index", lua.LNil)
	meta := l.NewTable()
	meta.RawSetString("__index", lib)
	meta.RawSetString("__metatable", lua.LFalse)
	l.SetMetatable(lua.LString(""), meta)
}
