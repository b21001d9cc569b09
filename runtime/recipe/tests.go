package recipe

import (
	"context"
	"errors"
	"fmt"
	"slices"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// Tests is a file of tests for recipes that was read. It runs in a machine and a sandbox of its own: a recipe that it tries never
// sees what the test does. Close it.
type Tests struct {
	recipe *Recipe // its machine, files and require; it declares nothing
	list   []*Test
}

// Test is test("name", function() … end).
type Test struct {
	Name string
	At   Position
	body *lua.LFunction
}

// Function is what a file of tests can call beside Lua's own library. Its error is raised at the line that called it. It is called
// without the lock of the virtual machine, so that it may call a [Callback] from any goroutine.
type Function func(ctx context.Context, c Called) (any, error)

// Called is how a [Function] was called. Args are as package module decodes them, with an [*Object] or a [*Callback] in its place.
type Called struct {
	At   Position
	Args []any
}

// Object is a value that only Go can make: it has methods, called with a colon, and fields that can be read.
type Object struct {
	Kind    string // "fake host", for messages
	Name    string // what tostring gives
	Methods map[string]Function
	Field   func(name string) (value any, ok bool) // nil: there are none
	Fields  []string                               // names that Field knows, to suggest one
	Value   any                                    // what it stands for, for whoever gets it as an argument
}

// Callback is a function of a file of tests.
type Callback struct {
	tests *Tests
	fn    *lua.LFunction
}

// LoadTests runs the top level of a file of tests, which declares them. The error is an [*Error].
func LoadTests(ctx context.Context, src Source, functions map[string]Function) (*Tests, error) {
	r := &Recipe{machine: newMachine(SecretReader{}), source: src, declaration: &Declaration{}, folders: map[string]folder{}}
	t := &Tests{recipe: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.openSandbox()
	t.define(functions)
	ctx, end := r.limited(ctx, DefaultLimit)
	defer end()
	if err := t.runTop(ctx); err != nil {
		r.state.Close()
		return nil, err
	}
	return t, nil
}

func (t *Tests) runTop(ctx context.Context) error {
	r := t.recipe
	main, err := r.compile(r.source.Name, r.source.Text)
	if err != nil {
		return err
	}
	if _, f := r.call(newThread(ctx, nil, declaring), main); f != nil {
		return f.err
	}
	if len(t.list) == 0 {
		return &Error{At: Position{File: r.source.Name}, What: `cannot test anything: there is no test("name", function() … end) in it`}
	}
	all := make([]*file, len(r.names))
	for i, name := range r.names {
		all[i] = r.files[name]
	}
	return r.check(all...)
}

// Close frees the machine. No test may be running.
func (t *Tests) Close() { t.recipe.Close() }

// List is the tests in the order of the file.
func (t *Tests) List() []*Test { return t.list }

// Run runs a test. The error is an [*Error] at the line that failed.
func (t *Tests) Run(ctx context.Context, test *Test) error {
	_, err := t.recipe.enter(ctx, nil, working, test.At, test.body)
	return err
}

func (t *Tests) define(functions map[string]Function) {
	r := t.recipe
	r.global("test", t.declare)
	r.global("fail", r.failNow)
	r.global("require", r.require)
	for name, fn := range functions {
		r.state.G.Global.RawSetString(name, t.function(name, fn))
	}
	r.objectMeta = t.objects()
	r.strict(func(th *thread, name string) string {
		if th.mode == declaring {
			return ""
		}
		return "write local " + name + " = …; tests share nothing"
	})
}

func (t *Tests) declare(l *lua.LState) int {
	r := t.recipe
	name, ok := l.Get(1).(lua.LString)
	body, isFunction := l.Get(2).(*lua.LFunction)
	if !ok || name == "" || !isFunction || l.GetTop() != 2 {
		return r.mistake(l, `cannot declare a test: the form is test("name", function() … end)`)
	}
	if threadOf(l).mode != declaring {
		return r.mistake(l, "cannot declare the test %q in a test: they stand side by side in the file", string(name))
	}
	if i := slices.IndexFunc(t.list, func(have *Test) bool { return have.Name == string(name) }); i >= 0 {
		return r.mistake(l, "cannot declare the test %q: there is one in %s already", string(name), r.lineOf(l, t.list[i].At))
	}
	t.list = append(t.list, &Test{Name: string(name), At: r.where(l), body: body})
	return 0
}

// function makes a function of Lua of one of Go.
func (t *Tests) function(name string, fn Function) *lua.LFunction {
	r := t.recipe
	return r.state.NewFunction(func(l *lua.LState) int {
		if threadOf(l).mode == declaring {
			return r.mistake(l, `cannot call %s here: call it in a test("name", function() … end), or in a function that tests call`, name)
		}
		return t.call(l, name, fn, 0)
	})
}

// call calls a function of Go with the arguments after the first skip ones.
func (t *Tests) call(l *lua.LState, name string, fn Function, skip int) int {
	r := t.recipe
	at := r.place(r.where(l), name)
	c := Called{At: at}
	x := t.export()
	for i := skip + 1; i <= l.GetTop(); i++ {
		v, err := x.value(fmt.Sprintf("argument %d of %s", i-skip, name), l.Get(i))
		if err != nil {
			return r.raiseAt(l, at, err)
		}
		c.Args = append(c.Args, v)
	}
	var got any
	err := r.guarded(func() (err error) {
		got, err = fn(threadOf(l), c)
		return err
	})
	if err != nil {
		return r.raiseAt(l, at, err)
	}
	v, err := r.value(got)
	if err != nil {
		return r.raiseAt(l, at, err)
	}
	l.Push(v)
	return 1
}

func (t *Tests) export() *export {
	return &export{
		reveal: func(*secret) (any, error) { return nil, errors.New("a secret cannot be used in a test") },
		other: func(v lua.LValue) (any, bool) {
			switch v := v.(type) {
			case *lua.LFunction:
				return &Callback{t, v}, true
			case *lua.LUserData:
				o, ok := v.Value.(*Object)
				return o, ok
			}
			return nil, false
		},
	}
}

// objects makes the metatable of all objects.
func (t *Tests) objects() *lua.LTable {
	r := t.recipe
	meta := r.state.NewTable()
	set := func(name string, fn lua.LGFunction) { meta.RawSetString(name, r.state.NewFunction(fn)) }
	set("__tostring", func(l *lua.LState) int {
		l.Push(lua.LString(l.CheckUserData(1).Value.(*Object).Name))
		return 1
	})
	set("__newindex", func(l *lua.LState) int {
		return r.mistake(l, "cannot change a %s like this: call its methods", l.CheckUserData(1).Value.(*Object).Kind)
	})
	set("__index", func(l *lua.LState) int {
		self := l.CheckUserData(1)
		o, name := self.Value.(*Object), l.Get(2).String()
		if fn, ok := o.Methods[name]; ok {
			l.Push(t.method(self, name, fn))
			return 1
		}
		if o.Field != nil {
			if v, ok := o.Field(name); ok {
				value, err := r.value(v)
				if err != nil {
					return r.raise(l, err)
				}
				l.Push(value)
				return 1
			}
		}
		return r.mistake(l, "%s", o.unknown(name))
	})
	meta.RawSetString("__metatable", lua.LFalse)
	return meta
}

func (t *Tests) method(self *lua.LUserData, name string, fn Function) *lua.LFunction {
	r := t.recipe
	return r.state.NewFunction(func(l *lua.LState) int {
		if l.Get(1) != self {
			return r.mistake(l, "cannot call %s like this: methods are called with a colon, %s:%s(…)", name, self.Value.(*Object).Name, name)
		}
		return t.call(l, name, fn, 1)
	})
}

func (o *Object) unknown(name string) string {
	known := slices.Clone(o.Fields)
	for m := range o.Methods {
		known = append(known, m)
	}
	slices.Sort(known)
	text := fmt.Sprintf("cannot find %s: a %s has nothing of that name", name, o.Kind)
	if near := module.Nearest(name, slices.Clone(known)); near != "" {
		return text + "; did you mean " + near + "?"
	}
	return text
}

// Call calls the function and gives the first value that it returns.
func (c *Callback) Call(ctx context.Context, args ...any) (any, error) {
	r := c.tests.recipe
	r.mu.Lock()
	defer r.mu.Unlock()
	values := make([]lua.LValue, len(args))
	for i, a := range args {
		v, err := r.value(a)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	results, f := r.call(newThread(ctx, nil, working), c.fn, values...)
	if f != nil {
		return nil, f.err
	}
	if len(results) == 0 {
		return nil, nil
	}
	return c.tests.export().value("what the function returned", results[0])
}
