package recipe

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// extension is what a recipe that extends another has of its own in what is declared.
type extension struct {
	at    Position
	table *lua.LTable // nil: nothing
}

// extend is extend "name" and extend("name", { name = …, defaults = { … }, params = { … }, hosts = { … } }): it runs another recipe
// as the first part of this one, and gives what that returns. Its phases and tasks can then be changed by name, and what is not
// changed stays that recipe's: its later versions count.
func (r *Recipe) extend(l *lua.LState) int {
	r.atTop(l, "extend")
	name, ok := l.Get(1).(lua.LString)
	if !ok || name == "" || l.GetTop() > 2 {
		return r.mistake(l, "cannot extend %s: the form is extend \"recipe\" or extend(\"recipe\", { defaults = { … }, params = { … } })", shown(l.Get(1)))
	}
	if r.declaration != nil {
		return r.mistake(l, "cannot extend %q: a recipe was declared already, in %s; extend comes first and once, in place of recipe { … }",
			string(name), r.lineOf(l, r.declaredAt))
	}
	x := extension{at: r.where(l)}
	switch o := l.Get(2).(type) {
	case *lua.LNilType:
	case *lua.LTable:
		x.table = o
	default:
		return r.mistake(l, "cannot extend %q with %s: what it gets is a table, { defaults = { … }, params = { … } }", string(name), shown(o))
	}
	value, err := r.runExtended(l, string(name), x)
	if err != nil {
		return r.raise(l, err)
	}
	l.Push(value)
	return 1
}

func (r *Recipe) runExtended(l *lua.LState, name string, x extension) (lua.LValue, error) {
	shownName, text, in, err := r.findExtended(x.at.File, name)
	if err != nil {
		return nil, err
	}
	if r.files[shownName] != nil {
		return nil, fmt.Errorf("cannot extend %q: %s is being read already; it would extend itself", name, shownName)
	}
	fn, err := r.compile(shownName, text)
	if err != nil {
		return nil, err
	}
	r.folders[shownName] = in
	r.extensions = append(r.extensions, x)
	results, f := r.call(threadOf(l).below(l), fn)
	r.extensions = r.extensions[:len(r.extensions)-1]
	if f != nil {
		return nil, f.err
	}
	if r.declaration == nil {
		return nil, fmt.Errorf("cannot extend %q: %s declares no recipe { … }; what is no recipe is brought in with require", name, shownName)
	}
	r.extended, r.phase = true, nil
	if len(results) > 0 {
		return results[0], nil
	}
	return lua.LNil, nil
}

// findExtended finds a recipe by its name: the file beside the one that extends it, else the stock recipe.
func (r *Recipe) findExtended(by, name string) (shownName, text string, in folder, err error) {
	base := strings.TrimSuffix(name, ".lua")
	if !validModule.MatchString(base) {
		return "", "", in, fmt.Errorf("cannot extend %q: a recipe is named as its file beside this one, or as a stock recipe: extend \"wheezy-jessie\"", name)
	}
	file := base + ".lua"
	beside := filepath.Join(filepath.Dir(by), file)
	if own := r.folderOf(by); own.files != nil && beside != by { // a fork may have the name of what it extends
		if content, err := fs.ReadFile(own.files, file); err == nil {
			return beside, string(content), own, nil
		}
	}
	stock := r.source.Stock
	if stock != nil {
		if content, err := fs.ReadFile(stock, file); err == nil {
			return path.Join("recipes", file), string(content), folder{files: stock, shown: "recipes"}, nil
		}
	}
	what := fmt.Sprintf("cannot extend %q: there is no file %s beside the recipe", name, file)
	var known []string
	for _, files := range []fs.FS{r.folderOf(by).files, stock} {
		if files == nil {
			continue
		}
		list, _ := fs.Glob(files, "*.lua")
		for _, f := range list {
			if filepath.Join(filepath.Dir(by), f) != by && f != "site.lua" {
				known = append(known, strings.TrimSuffix(f, ".lua"))
			}
		}
	}
	if stock != nil {
		what += " and no stock recipe of that name"
	}
	if near := module.Nearest(base, known); near != "" {
		what += fmt.Sprintf("; did you mean %q?", near)
	}
	return "", "", in, &Error{What: what}
}

// folder is where a file may require others.
type folder struct {
	files fs.FS
	shown string // its name in messages
}

// folderOf is that of the recipe, and for what was extended the one that is in.
func (r *Recipe) folderOf(file string) folder {
	if f, ok := r.folders[file]; ok {
		return f
	}
	return folder{files: r.source.Files, shown: filepath.Dir(r.source.Name)}
}

// lineOf is how a message names another place: by its line, and by its file when that is another.
func (r *Recipe) lineOf(l *lua.LState, at Position) string {
	if at.File == r.where(l).File {
		return fmt.Sprintf("line %d", at.Line)
	}
	return at.String()
}

// extendDeclaration changes what a recipe declares as those that extend it say, the nearest first.
func (r *Recipe) extendDeclaration(d *Declaration) error {
	for _, x := range slices.Backward(r.extensions) {
		if x.table == nil {
			continue
		}
		if err := r.addTo(d, x); err != nil {
			var placed *Error
			if errors.As(err, &placed) && placed.At.File != "" {
				return err
			}
			return r.at(x.at, err)
		}
	}
	return nil
}

func (r *Recipe) addTo(d *Declaration, x extension) error {
	f := fieldsReader{what: "the extension of " + d.Name, table: x.table}
	f.known("name", "help", "defaults", "params", "hosts", "groups")
	name, help := f.text("name"), f.text("help")
	defaults, params, hosts, groups := f.inner("defaults"), f.inner("params"), f.inner("hosts"), f.inner("groups")
	if f.err != nil {
		return f.err
	}
	if name != "" {
		d.Name = name
	}
	if help != "" {
		d.Help = help
	}
	places := declaredPlaces(r.files[x.at.File], x.at, "extend")
	if err := giveDefaults(d, defaults, places("defaults")); err != nil {
		return err
	}
	moreParams, err := readParams(params, places("params"))
	if err != nil {
		return err
	}
	moreHosts, err := readHosts("host", hosts, places("hosts"))
	if err != nil {
		return err
	}
	moreGroups, err := readHosts("group", groups, places("groups"))
	if err != nil {
		return err
	}
	for _, p := range moreParams {
		if slices.ContainsFunc(d.Params, func(old ParamDecl) bool { return old.Name == p.Name }) {
			return &Error{At: p.At, What: fmt.Sprintf("cannot declare the parameter %s: the recipe has it already; defaults = { %s = … } gives it another default", p.Name, p.Name)}
		}
	}
	for _, list := range []struct {
		what      string
		old, more []HostDecl
	}{{"host", d.Hosts, moreHosts}, {"group", d.Groups, moreGroups}} {
		for _, h := range list.more {
			if slices.ContainsFunc(list.old, func(old HostDecl) bool { return old.Name == h.Name }) {
				return &Error{At: h.At, What: fmt.Sprintf("cannot declare the %s %s: the recipe has it already", list.what, h.Name)}
			}
		}
	}
	d.Params, d.Hosts, d.Groups = append(d.Params, moreParams...), append(d.Hosts, moreHosts...), append(d.Groups, moreGroups...)
	return nil
}

// giveDefaults gives parameters that the recipe has another default.
func giveDefaults(d *Declaration, t *lua.LTable, where place) error {
	return eachDeclared("default", t, where, func(name string, _ Position, v lua.LValue) error {
		i := slices.IndexFunc(d.Params, func(p ParamDecl) bool { return p.Name == name })
		if i < 0 {
			what := fmt.Sprintf("cannot give the parameter %s a default: the recipe has no such parameter", name)
			if near := module.Nearest(name, namesOfParams(d.Params)); near != "" {
				what += fmt.Sprintf("; did you mean %q?", near)
			}
			return &Error{What: what}
		}
		x := export{reveal: func(s *secret) (any, error) { return s.source, nil }}
		value, err := x.value("default", v)
		if err == nil {
			value, err = d.Params[i].Value(value)
		}
		if err != nil {
			return fmt.Errorf("cannot give the parameter %s this default: %w", name, err)
		}
		d.Params[i].Default, d.Params[i].Required = value, false
		return nil
	})
}
