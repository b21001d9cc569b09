package module

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"runner/runtime/host"
)

// Duration is a [time.Duration] in the options of a step.
type Duration = time.Duration

// reserved are the names of [Options]: the same for every module, so no module can use them for itself.
var reserved = map[string]bool{
	"title": true, "notify": true, "sudo": true, "timeout": true, "retries": true, "delay": true, "ignore_errors": true,
}

// decoder carries a call's values into its argument struct.
type decoder struct {
	module string
	call   *Call
}

func (d *decoder) fail(argument, format string, args ...any) error {
	return &ArgumentError{Module: d.module, Argument: argument, Problem: fmt.Sprintf(format, args...)}
}

func (d *decoder) options(values map[string]any) error {
	var o struct {
		Title        string   `opt:"title"`
		Notify       any      `opt:"notify"`
		Sudo         *bool    `opt:"sudo"`
		Timeout      Duration `opt:"timeout"`
		Retries      int      `opt:"retries"`
		Delay        Duration `opt:"delay"`
		IgnoreErrors bool     `opt:"ignore_errors"`
	}
	v := reflect.ValueOf(&o).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("opt")
		if value, ok := values[name]; ok {
			if err := d.value(name, value, v.Field(i)); err != nil {
				return err
			}
		}
	}
	notify, err := d.notify(o.Notify)
	if err != nil {
		return err
	}
	if o.Retries < 0 {
		return d.fail("retries", "must not be negative")
	}
	d.call.Options = Options{
		Title: o.Title, Notify: notify, Sudo: o.Sudo, Timeout: o.Timeout, Retries: o.Retries, Delay: o.Delay, IgnoreErrors: o.IgnoreErrors,
	}
	return nil
}

func (d *decoder) notify(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	}
	var names []string
	err := d.value("notify", v, reflect.ValueOf(&names).Elem())
	return names, err
}

// structure fills a struct. prefix is the path of the table inside the call ("rows[2]."), empty at the top.
func (d *decoder) structure(prefix string, values map[string]any, into reflect.Value) error {
	fields, err := fieldsOf(into.Type())
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, f := range fields {
		known[f.Name] = true
	}
	for _, name := range sortedKeys(values) {
		if !known[name] {
			return d.unknown(prefix+name, name, fields)
		}
	}
	for _, f := range fields {
		if err := d.field(prefix, f, values, into.FieldByIndex(f.Index)); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) unknown(path, name string, fields []Field) error {
	candidates := []string{}
	for _, f := range fields {
		candidates = append(candidates, f.Name)
	}
	for r := range reserved {
		candidates = append(candidates, r)
	}
	if near := Nearest(name, candidates); near != "" {
		return d.fail(path, "is no argument; did you mean %q?", near)
	}
	names := []string{}
	for _, f := range fields {
		names = append(names, f.Name)
	}
	return d.fail(path, "is no argument; it takes %s", strings.Join(names, ", "))
}

func (d *decoder) field(prefix string, f Field, values map[string]any, into reflect.Value) error {
	path := prefix + f.Name
	value, ok := values[f.Name]
	if !ok || value == nil {
		if f.Required {
			return d.fail(path, "is missing (%s)", f.TypeName())
		}
		if f.Default == "" {
			return nil
		}
		value = parseDefault(f.Type, f.Default)
	}
	if err := d.value(path, value, into); err != nil {
		return err
	}
	if len(f.Choices) > 0 {
		if s := reflect.Indirect(into).String(); !slices.Contains(f.Choices, s) {
			return d.fail(path, "must be one of %s, not %q", quoteList(f.Choices), s)
		}
	}
	return nil
}

// parseDefault turns the tag's text into what a recipe would have written.
func parseDefault(t reflect.Type, text string) any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == durationType || t == sizeType:
		return text
	case t.Kind() == reflect.Bool:
		if yes, err := strconv.ParseBool(text); err == nil {
			return yes
		}
	case t.Kind() == reflect.Int, t.Kind() == reflect.Int64, t.Kind() == reflect.Float64:
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			return n
		}
	case t.Kind() == reflect.Slice:
		list := []any{}
		for s := range strings.SplitSeq(text, ",") {
			list = append(list, parseDefault(t.Elem(), s))
		}
		return list
	}
	return text
}

func (d *decoder) value(path string, value any, into reflect.Value) error {
	switch into.Type() {
	case viewType:
		return d.host(path, value, into)
	case secretType:
		return d.secret(path, value, into)
	case durationType:
		return d.duration(path, value, into)
	case sizeType:
		return d.size(path, value, into)
	}
	switch into.Kind() {
	case reflect.Pointer:
		p := reflect.New(into.Type().Elem())
		into.Set(p)
		return d.value(path, value, p.Elem())
	case reflect.Interface:
		if value != nil {
			into.Set(reflect.ValueOf(value))
		}
		return nil
	case reflect.Struct:
		m, ok := value.(map[string]any)
		if !ok {
			return d.wrong(path, value, into.Type())
		}
		return d.structure(path+".", m, into)
	case reflect.Slice:
		return d.list(path, value, into)
	case reflect.Map:
		return d.table(path, value, into)
	}
	return d.scalar(path, value, into)
}

func (d *decoder) scalar(path string, value any, into reflect.Value) error {
	switch v := value.(type) {
	case string:
		if into.Kind() == reflect.String {
			into.SetString(v)
			return nil
		}
	case bool:
		if into.Kind() == reflect.Bool {
			into.SetBool(v)
			return nil
		}
	case float64:
		switch into.Kind() {
		case reflect.Float64:
			into.SetFloat(v)
			return nil
		case reflect.Int, reflect.Int64:
			if v != math.Trunc(v) || math.Abs(v) >= 1<<53 {
				return d.fail(path, "must be a whole number, not %v", v)
			}
			into.SetInt(int64(v))
			return nil
		}
	}
	return d.wrong(path, value, into.Type())
}

func (d *decoder) host(path string, value any, into reflect.Value) error {
	name, ok := value.(HostName)
	if !ok {
		if s, isText := value.(string); isText {
			return d.fail(path, "must be a host, such as hosts.old, not the string %q", s)
		}
		return d.wrong(path, value, viewType)
	}
	// Until the call is bound to its hosts an empty view stands there, so that Validate can see that a host is given.
	into.Set(reflect.ValueOf(new(host.View)))
	d.call.slots = append(d.call.slots, slot{name: name, field: into})
	if !slices.Contains(d.call.names, name) {
		d.call.names = append(d.call.names, name)
	}
	return nil
}

func (d *decoder) secret(path string, value any, into reflect.Value) error {
	switch v := value.(type) {
	case Secret:
		into.Set(reflect.ValueOf(v))
		return nil
	case string:
		into.Set(reflect.ValueOf(NewSecret(v)))
		return nil
	}
	return d.wrong(path, value, secretType)
}

func (d *decoder) list(path string, value any, into reflect.Value) error {
	items, ok := value.([]any)
	if !ok {
		if m, isTable := value.(map[string]any); !isTable || len(m) > 0 {
			return d.wrong(path, value, into.Type())
		}
	}
	list := reflect.MakeSlice(into.Type(), len(items), len(items))
	into.Set(list)
	for i, item := range items {
		if err := d.value(fmt.Sprintf("%s[%d]", path, i+1), item, list.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) table(path string, value any, into reflect.Value) error {
	m, ok := value.(map[string]any)
	if !ok {
		if items, isList := value.([]any); !isList || len(items) > 0 {
			return d.wrong(path, value, into.Type())
		}
	}
	table := reflect.MakeMapWithSize(into.Type(), len(m))
	for _, k := range sortedKeys(m) {
		item := reflect.New(into.Type().Elem()).Elem()
		if err := d.value(path+"."+k, m[k], item); err != nil {
			return err
		}
		table.SetMapIndex(reflect.ValueOf(k), item)
	}
	into.Set(table)
	return nil
}

func (d *decoder) wrong(path string, value any, want reflect.Type) error {
	name := typeName(want)
	article := "a"
	if strings.ContainsAny(name[:1], "aeiou") {
		article = "an"
	}
	return d.fail(path, "must be %s %s, not %s", article, name, describe(value))
}

// describe names a recipe's value for a message, never showing a secret.
func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("the string %q", v)
	case bool:
		return fmt.Sprintf("%v", v)
	case float64:
		return fmt.Sprintf("the number %v", v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case HostName:
		return fmt.Sprintf("the host %s", string(v))
	case Secret:
		return "a secret"
	}
	return fmt.Sprintf("a %T", value)
}

func quoteList(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = strconv.Quote(s)
	}
	return strings.Join(quoted, ", ")
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
