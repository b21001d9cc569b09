package recipe

import (
	"context"
	"fmt"
	"hash/maphash"
	"runtime/debug"
	"sync"

	lua "github.com/yuin/gopher-lua"
)

// Bounds of the virtual machine. A recipe does not come near them; a mistake in one does.
const (
	maxCalls     = 400     // Lua calls inside each other on one thread
	maxThreads   = 60      // threads inside each other: pcall, require and each make one
	maxRegisters = 1 << 18 // values on the stack of one thread
)

// machine is a Lua virtual machine in its sandbox. Only one goroutine runs Lua at a time: the one that holds the lock.
type machine struct {
	mu    sync.Mutex // held while Lua runs, released while Go waits for something
	state *lua.LState

	files   map[string]*file // by chunk name
	names   []string         // of the files, in the order in which they were read
	secrets SecretReader
	// namedSecrets are those that the recipe knows by name.
	namedSecrets map[string]*secret
	rules        []explanation // made when the first is needed
	globals      *lua.LTable   // what the files of the recipe set
	seed         maphash.Seed  // of sums that are compared with each other

	hostMeta, secretMeta, errorMeta *lua.LTable
	objectMeta                      *lua.LTable // of a file of tests
}

func newMachine(secrets SecretReader) *machine {
	m := &machine{files: map[string]*file{}, secrets: secrets, seed: maphash.MakeSeed()}
	m.state = lua.NewState(lua.Options{
		SkipOpenLibs: true, MinimizeStackMemory: true, CallStackSize: maxCalls,
		RegistrySize: 256, RegistryGrowStep: 4096, RegistryMaxSize: maxRegisters,
	})
	return m
}

// mode is what a thread of Lua is there for.
type mode int

const (
	declaring mode = iota // the top level of a recipe
	siting                // a site file
	working               // a task, handler or unless
	undoing               // the undo body of a task
	asking                // the question of a gate
)

// thread is the context of a thread of Lua: what the functions that Lua calls need to know of who calls them.
type thread struct {
	context.Context
	done   <-chan struct{}
	engine Engine
	mode   mode
	keep   bool        // the body of a task, and in no each: hosts that it is done with need not be taken again
	parent *lua.LState // the thread that waits for this one; nil: none
	depth  int
}

// Done is asked before every instruction, so the channel is kept at hand.
func (t *thread) Done() <-chan struct{} { return t.done }

func newThread(ctx context.Context, e Engine, how mode) *thread {
	return &thread{Context: ctx, done: ctx.Done(), engine: e, mode: how}
}

// below is the context of a thread that L waits for.
func (t *thread) below(l *lua.LState) *thread {
	child := *t
	child.parent, child.depth = l, t.depth+1
	return &child
}

func threadOf(l *lua.LState) *thread { return l.Context().(*thread) }

// unlocked runs work that waits for the world outside while other threads may run Lua.
func (m *machine) unlocked(work func()) {
	m.mu.Unlock()
	defer m.mu.Lock()
	work()
}

// guarded is unlocked for calls into the engine: a panic there becomes an error that Lua cannot catch.
func (m *machine) guarded(work func() error) (err error) {
	m.unlocked(func() {
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{Value: v, Stack: string(debug.Stack())}
			}
		}()
		err = work()
	})
	return err
}

// call runs a Lua function on a thread of its own; the lock is held. A thread of its own, also for pcall: an error in
// gopher-lua closes the upvalues of every frame of its thread, also of those that go on after a pcall on the same thread, whose local
// variables then come apart from the closures that share them.
func (m *machine) call(t *thread, fn *lua.LFunction, args ...lua.LValue) (results []lua.LValue, f *failure) {
	l, _ := m.state.NewThread()
	l.SetContext(t)
	defer func() {
		if v := recover(); v != nil {
			f = m.fail(l, &PanicError{Value: v, Stack: string(debug.Stack())})
		}
	}()
	if t.depth > maxThreads {
		return nil, m.fail(l, &Error{At: m.where(t.parent), What: tooDeep})
	}
	l.Push(fn)
	for _, a := range args {
		l.Push(a)
	}
	if err := l.PCall(len(args), lua.MultRet, nil); err != nil {
		return nil, m.failed(l, err)
	}
	for i := 1; i <= l.GetTop(); i++ {
		results = append(results, l.Get(i))
	}
	return results, nil
}

// where is the line of Lua that is being run.
func (m *machine) where(l *lua.LState) Position {
	for l != nil {
		for level := 0; ; level++ {
			frame, ok := l.GetStack(level)
			if !ok {
				break
			}
			if _, err := l.GetInfo("Sl", frame, nil); err == nil && frame.Source != "" && frame.CurrentLine > 0 {
				return Position{File: frame.Source, Line: frame.CurrentLine}
			}
		}
		l = threadOf(l).parent
	}
	return Position{}
}

// trace lists the calls that led to where Lua is, innermost first.
func (m *machine) trace(l *lua.LState) (calls []string) {
	const most = 30
	for l != nil {
		for level := 0; ; level++ {
			frame, ok := l.GetStack(level)
			if !ok {
				break
			}
			if _, err := l.GetInfo("Sl", frame, nil); err != nil || frame.Source == "" || frame.CurrentLine <= 0 {
				continue
			}
			if calls = append(calls, fmt.Sprintf("%s:%d", frame.Source, frame.CurrentLine)); len(calls) == most {
				return calls
			}
		}
		l = threadOf(l).parent
	}
	return calls
}
