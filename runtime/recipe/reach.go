package recipe

import (
	"hash/maphash"

	lua "github.com/yuin/gopher-lua"
)

// reached is the sum of all that a function can reach outside of itself: the variables around it, the globals, and what hangs on
// them. Two sums tell whether anything of that was changed in between. The table `saved` has a sum of its own.
type reached struct {
	outside, saved uint64
	known          bool // there was not too much to look at
}

// mostReached bounds what is looked at for one sum.
const mostReached = 20000

// reach sums up what a function can reach. It is called under the lock.
func (r *Recipe) reach(fn *lua.LFunction) reached {
	if fn.IsG {
		return reached{}
	}
	w := walker{seed: r.seed, seen: map[any]bool{r.saved: true}}
	w.visit(fn)
	w.visit(r.globals)
	for _, t := range r.given {
		w.visit(t)
	}
	outside := w.sum
	w.sum = 0
	delete(w.seen, r.saved)
	w.visit(r.saved)
	return reached{outside: outside, saved: w.sum, known: len(w.seen) < mostReached}
}

// walker sums up tables, functions and the variables that functions hold. The order in which it comes to them does not matter.
type walker struct {
	seed maphash.Seed
	seen map[any]bool
	sum  uint64
}

func (w *walker) visit(v lua.LValue) {
	switch v.(type) {
	case *lua.LTable, *lua.LFunction:
	default:
		return
	}
	if w.seen[v] || len(w.seen) >= mostReached {
		return
	}
	w.seen[v] = true
	switch v := v.(type) {
	case *lua.LTable:
		v.ForEach(func(key, value lua.LValue) {
			w.add(v, key, value)
			w.visit(key)
			w.visit(value)
		})
		if v.Metatable != lua.LNil {
			w.add(v, lua.LNil, v.Metatable)
			w.visit(v.Metatable)
		}
	case *lua.LFunction:
		for i, u := range v.Upvalues {
			w.add(v, lua.LNumber(i), u.Value())
			w.visit(u.Value())
		}
	}
}

func (w *walker) add(holder, key, value lua.LValue) {
	w.sum += maphash.Comparable(w.seed, [3]any{holder, key, value})
}
