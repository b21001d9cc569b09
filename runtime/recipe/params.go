package recipe

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// ParamTypes are the types that a parameter can have.
func ParamTypes() []string {
	return []string{"string", "number", "boolean", "list", "table", "secret"}
}

// readParams reads params = { name = { type = …, default = …, choices = …, required = …, help = … } } or name = "help".
func readParams(t *lua.LTable, where place) (list []ParamDecl, err error) {
	err = eachDeclared("parameter", t, where, func(name string, at Position, v lua.LValue) error {
		p := ParamDecl{Name: name, Type: "string", Required: true, At: at}
		switch v := v.(type) {
		case lua.LString:
			p.Help = string(v)
		case *lua.LTable:
			if err := p.read(v); err != nil {
				return err
			}
		default:
			return fmt.Errorf("cannot declare the parameter %s: it must be a table, %s = { default = …, help = … }, not %s", name, name, shown(v))
		}
		list = append(list, p)
		return nil
	})
	return list, err
}

func (p *ParamDecl) read(t *lua.LTable) error {
	f := fieldsReader{what: "the parameter " + p.Name, table: t}
	f.known("type", "default", "choices", "required", "help")
	p.Help, p.Choices = f.text("help"), f.texts("choices")
	given, kind := t.RawGetString("default"), f.text("type")
	if kind == "" {
		kind = typeOf(given)
	}
	if p.Type = kind; !slices.Contains(ParamTypes(), kind) {
		f.fail("type must be one of %s, not %q", strings.Join(ParamTypes(), ", "), kind)
	}
	if kind == "" && f.err == nil || len(p.Choices) > 0 && !slices.Contains([]string{"string", "list"}, kind) {
		f.fail("choices are for a string or a list")
	}
	required := f.flag("required")
	p.Required = given == lua.LNil && (required == nil || *required)
	if required != nil && *required && given != lua.LNil {
		f.fail("it is required and has a default; one of the two is too much")
	}
	if f.err != nil || given == lua.LNil {
		return f.err
	}
	x := export{reveal: func(s *secret) (any, error) { return s.source, nil }}
	value, err := x.value("default", given)
	if err == nil {
		p.Default, err = p.Value(value)
	}
	if err != nil {
		f.fail("its default does not fit: %v", err)
	}
	return f.err
}

// typeOf is the type of a parameter by its default.
func typeOf(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LNumber:
		return "number"
	case lua.LBool:
		return "boolean"
	case *lua.LTable:
		if k, err := keysOf("default", v); err == nil && k.names != nil {
			return "table"
		}
		return "list"
	case *lua.LUserData:
		return "secret"
	}
	return "string"
}

// Value checks a value of the site against the parameter and gives it its type: string, float64, bool, []any, map[string]any,
// [module.Secret] or [SecretSource].
func (p ParamDecl) Value(v any) (any, error) {
	switch p.Type {
	case "secret":
		switch v := v.(type) {
		case string:
			return module.NewSecret(v), nil
		case module.Secret, SecretSource:
			return v, nil
		}
	case "string":
		if s, ok := v.(string); ok {
			return s, p.chosen(s)
		}
	case "number":
		if n, ok := v.(float64); ok {
			return n, nil
		}
	case "boolean":
		if b, ok := v.(bool); ok {
			return b, nil
		}
	case "list":
		return p.list(v)
	case "table":
		switch v := v.(type) {
		case map[string]any:
			return v, nil
		case []any:
			if len(v) == 0 {
				return map[string]any{}, nil
			}
		}
	}
	return nil, p.wrong(v)
}

func (p ParamDecl) list(v any) (any, error) {
	items, ok := v.([]any)
	if m, isTable := v.(map[string]any); isTable && len(m) == 0 {
		return []any{}, nil
	}
	if !ok {
		return nil, p.wrong(v)
	}
	for i, item := range items {
		s, isText := item.(string)
		if len(p.Choices) > 0 && !isText {
			return nil, fmt.Errorf("item %d must be one of %s, not %s", i+1, strings.Join(p.Choices, ", "), described(item))
		}
		if err := p.chosen(s); err != nil {
			return nil, fmt.Errorf("item %d %w", i+1, err)
		}
	}
	return items, nil
}

func (p ParamDecl) chosen(s string) error {
	if len(p.Choices) == 0 || slices.Contains(p.Choices, s) {
		return nil
	}
	text := fmt.Sprintf("must be one of %s, not %q", strings.Join(p.Choices, ", "), s)
	if near := module.Nearest(s, slices.Clone(p.Choices)); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return errors.New(text)
}

func (p ParamDecl) wrong(v any) error {
	return fmt.Errorf("must be a %s, not %s", p.Type, described(v))
}

// described is a value of the site in a message.
func described(v any) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("the string %q", v)
	case float64:
		return "the number " + strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case module.HostName:
		return "a host"
	}
	return "a secret"
}

// Parse makes a value of what stands behind --param NAME=. A list is "a,b"; a boolean yes, no, true or false. A secret is not
// given there, where every user of the machine can read it, but as env:NAME or file:PATH.
func (p ParamDecl) Parse(s string) (any, error) {
	switch p.Type {
	case "number":
		n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || n != n {
			return nil, fmt.Errorf("must be a number, not %q", s)
		}
		return n, nil
	case "boolean":
		switch strings.ToLower(strings.TrimSpace(s)) {
		case "yes", "true", "on", "1":
			return true, nil
		case "no", "false", "off", "0":
			return false, nil
		}
		return nil, fmt.Errorf("must be yes or no, not %q", s)
	case "list":
		list := []any{}
		for item := range strings.SplitSeq(s, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		return p.list(list)
	case "table":
		return nil, errors.New("is a table, which cannot be written on the command line; write it into site.lua")
	case "secret":
		if name, ok := strings.CutPrefix(s, "env:"); ok && name != "" {
			return SecretSource{Env: name}, nil
		}
		if path, ok := strings.CutPrefix(s, "file:"); ok && path != "" {
			return SecretSource{File: path}, nil
		}
		return nil, errors.New("is a secret, and the command line is no place for it: every user can read it there; give env:NAME or file:PATH, or write it into site.lua")
	}
	return s, p.chosen(s)
}
