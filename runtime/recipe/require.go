package recipe

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// A name that can be required: parts of letters, digits, - and _ with dots or slashes between them. Nothing else can be
// made to lead out of the folder of the recipe.
var validModule = regexp.MustCompile(`^[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)*$`)

// required is what a file that was required returned; nil while it is being read.
type required struct{ value lua.LValue }

// require is require "name": it runs NAME.lua beside the recipe, once, and gives what it returns.
func (r *Recipe) require(l *lua.LState) int {
	name, ok := l.Get(1).(lua.LString)
	if !ok || l.GetTop() != 1 {
		return r.mistake(l, "cannot require %s: require \"name\" takes the name of a file beside the recipe", shown(l.Get(1)))
	}
	if !validModule.MatchString(strings.TrimSuffix(string(name), ".lua")) {
		return r.mistake(l, "cannot require %q: only files beside the recipe and in folders below it can be required, by name: require \"lib.mail\" for lib/mail.lua", string(name))
	}
	file := strings.ReplaceAll(strings.TrimSuffix(string(name), ".lua"), ".", "/") + ".lua"
	in := r.folderOf(r.where(l).File)
	shownName := filepath.Join(in.shown, file)
	switch known := r.required[shownName]; {
	case known == nil:
	case known.value == nil:
		return r.mistake(l, "cannot require %q: it is being read already; two files require each other", string(name))
	default:
		l.Push(known.value)
		return 1
	}
	value, err := r.readRequired(l, string(name), file, in)
	if err != nil {
		return r.raise(l, err)
	}
	l.Push(value)
	return 1
}

func (r *Recipe) readRequired(l *lua.LState, name, file string, in folder) (lua.LValue, error) {
	shownName := filepath.Join(in.shown, file)
	text, err := readFile(in.files, file)
	if err != nil {
		return nil, &Error{What: notFound(in.files, name, file, err), Err: err}
	}
	fn, err := r.compile(shownName, string(text))
	if err != nil {
		return nil, err
	}
	if threadOf(l).mode != declaring { // else it is checked with all others when the top level has run
		if err := r.check(r.files[shownName]); err != nil {
			return nil, err
		}
	}
	if r.required == nil {
		r.required = map[string]*required{}
	}
	r.required[shownName] = &required{}
	r.folders[shownName] = in
	results, f := r.call(threadOf(l).below(l), fn)
	if f != nil {
		delete(r.required, shownName)
		return nil, f.err
	}
	value := lua.LValue(lua.LTrue)
	if len(results) > 0 && results[0] != lua.LNil {
		value = results[0]
	}
	r.required[shownName].value = value
	return value, nil
}

func readFile(folder fs.FS, file string) ([]byte, error) {
	if folder == nil {
		return nil, fs.ErrNotExist
	}
	return fs.ReadFile(folder, file)
}

func notFound(folder fs.FS, name, file string, err error) string {
	var p *fs.PathError
	switch {
	case errors.As(err, &p) && !errors.Is(err, fs.ErrNotExist):
		return "cannot require \"" + name + "\": " + p.Err.Error()
	case !errors.Is(err, fs.ErrNotExist):
		return "cannot require \"" + name + "\": " + err.Error()
	}
	text := "cannot require \"" + name + "\": there is no file " + file + " beside the recipe"
	if folder == nil {
		return text
	}
	beside, _ := fs.Glob(folder, path.Join(path.Dir(file), "*.lua"))
	if near := module.Nearest(file, beside); near != "" {
		text += "; did you mean \"" + strings.ReplaceAll(strings.TrimSuffix(near, ".lua"), "/", ".") + "\"?"
	}
	return text
}
