package recipe

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	lua "github.com/yuin/gopher-lua"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzLoad loads any text as a recipe, and as a site: no panic, and every error has a file.
func FuzzLoad(f *testing.F) {
	paths, _ := filepath.Glob("testdata/errors/*.txtar")
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			if strings.HasSuffix(file.Name, ".lua") {
				f.Add(string(file.Data))
			}
		}
	}
	f.Add(siteText)
	f.Add(head + "for _, v in ipairs({ 1 }) do if false then local x end end return 1")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Load(t.Context(), Source{Name: "move.lua", Text: text, Files: fstest.MapFS{}}, Options{
			Modules: testModules(), Resolve: func(Declaration) (Inputs, error) { return testInputs(), nil }, Limit: time.Second,
		})
		check := func(err error) {
			var e *Error
			var p *PanicError
			var missing *MissingError
			switch {
			case err == nil, errors.As(err, &missing):
			case errors.As(err, &p):
				t.Fatalf("%v\n%s", err, p.Stack)
			case !errors.As(err, &e) || e.At.File == "" || strings.Contains(err.Error(), "goroutine") || strings.Contains(err.Error(), "runtime error"):
				t.Fatalf("error %v", err)
			}
		}
		check(err)
		if r != nil {
			for _, p := range r.Phases() {
				for _, task := range p.Tasks {
					_, err := r.RunTask(t.Context(), &recorder{}, task)
					check(err)
				}
			}
			r.Close()
		}
		_, err = LoadSite(t.Context(), "site.lua", text)
		check(err)
	})
}

// FuzzTables makes a table of any bytes, takes it out of the machine and puts it back: no panic, and what comes back is the same.
func FuzzTables(f *testing.F) {
	f.Add([]byte("\x01\x02\x03\x04\x05\x06\x07"))
	f.Add([]byte{4, 4, 4, 4, 0, 1, 2, 3, 4, 1})
	f.Add([]byte{4, 130, 4, 131, 1, 2, 7, 255})
	f.Fuzz(func(t *testing.T, code []byte) {
		m := newMachine(SecretReader{})
		defer m.state.Close()
		m.openSandbox()
		v := (&tableMaker{m: m, code: code}).value(0)
		x := export{reveal: func(*secret) (any, error) { return "secret", nil }}
		first, err := x.value("v", v)
		if err != nil {
			if strings.Contains(err.Error(), "%!") || !strings.HasPrefix(err.Error(), "v") {
				t.Fatalf("error %v", err)
			}
			return
		}
		back, err := m.value(first)
		if err != nil {
			t.Fatal(err)
		}
		second, err := x.value("v", back)
		if err != nil {
			t.Fatal(err)
		}
		// An empty list and an empty table are the same in Lua.
		if diff := cmp.Diff(first, second, cmpopts.EquateNaNs()); diff != "" && !reflect.DeepEqual(first, second) {
			t.Fatalf("not the same (-first +second):\n%s", diff)
		}
	})
}

// tableMaker makes values of Lua of bytes.
type tableMaker struct {
	m      *machine
	code   []byte
	tables []*lua.LTable
}

func (k *tableMaker) next() byte {
	if len(k.code) == 0 {
		return 0
	}
	b := k.code[0]
	k.code = k.code[1:]
	return b
}

func (k *tableMaker) value(depth int) lua.LValue {
	switch b := k.next(); b % 9 {
	case 0:
		return lua.LNil
	case 1:
		return lua.LBool(b > 100)
	case 2:
		return lua.LNumber(float64(k.next()) / 4)
	case 3:
		return lua.LString(string([]byte{k.next(), b}))
	case 4, 5:
		t := k.m.state.NewTable()
		k.tables = append(k.tables, t)
		for range k.next() % 6 {
			if key := k.value(depth + 1); depth < 100 && key != lua.LNil && key != lua.LNumber(0)/lua.LNumber(1) {
				t.RawSet(key, k.value(depth+1))
			}
		}
		return t
	case 6:
		return k.m.hostValue("h")
	case 7:
		if len(k.tables) > 0 {
			return k.tables[int(k.next())%len(k.tables)]
		}
		return k.m.secretValue(&secret{})
	}
	return k.m.state.NewFunction(func(*lua.LState) int { return 0 })
}

// The compiler follows the nesting of a text; what a file may hold must not end its stack, which cannot be recovered from.
func TestSourceBounds(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("(", maxSource), strings.Repeat("{", maxSource), "x = " + strings.Repeat("-", maxSource-10), "return " + strings.Repeat("not ", maxSource/5),
		"return " + strings.Repeat("a..", maxSource/20) + "a", strings.Repeat("do ", maxSource/4), "return " + strings.Repeat("2^", maxSource/3) + "2",
		strings.Repeat("function f() ", maxSource/14), strings.Repeat("a", maxSource+1), "return " + strings.Repeat("{", maxSource/3) + strings.Repeat("}", maxSource/3),
		"return " + strings.Repeat("f(", maxSource/4) + strings.Repeat(")", maxSource/4), "x" + strings.Repeat(".x", maxSource/3) + "=1",
		strings.Repeat("if x then ", maxSource/20) + strings.Repeat(" end ", maxSource/20), strings.Repeat("local a ", maxSource/9),
	} {
		if _, err := load(t, text); err == nil {
			t.Errorf("%.20q…: no error", text)
		}
	}
}
