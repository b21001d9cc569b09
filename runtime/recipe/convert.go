package recipe

import (
	"fmt"
	"math"
	"reflect"
	"sort"
	"strconv"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// maxDepth bounds how deeply tables that leave the machine, or values that enter it, may be nested.
const maxDepth = 64

// export makes values of Go of values of Lua: nil, bool, float64, string, []any, map[string]any, [module.Secret],
// [module.HostName]. Errors name the place in the value.
type export struct {
	reveal func(*secret) (any, error)   // what becomes of a secret
	other  func(lua.LValue) (any, bool) // what becomes of what only tests can hand over; nil: it is an error
	path   map[*lua.LTable]bool         // the tables around the value at hand
}

func (x *export) value(place string, v lua.LValue) (any, error) {
	if x.other != nil {
		if value, ok := x.other(v); ok {
			return value, nil
		}
	}
	switch v := v.(type) {
	case *lua.LNilType:
		return nil, nil
	case lua.LBool:
		return bool(v), nil
	case lua.LNumber:
		return float64(v), nil
	case lua.LString:
		return string(v), nil
	case *lua.LUserData:
		return x.userData(place, v)
	case *lua.LTable:
		return x.table(place, v)
	}
	return nil, fmt.Errorf("%s cannot be a %s", place, v.Type())
}

func (x *export) userData(place string, v *lua.LUserData) (any, error) {
	switch held := v.Value.(type) {
	case module.HostName:
		return held, nil
	case *secret:
		value, err := x.reveal(held)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", place, err)
		}
		return value, nil
	case error:
		return nil, fmt.Errorf("%s is an error; tostring(…) makes text of it", place)
	}
	return nil, fmt.Errorf("%s cannot be a %s", place, v.Type())
}

func (x *export) table(place string, t *lua.LTable) (any, error) {
	if x.path == nil {
		x.path = map[*lua.LTable]bool{}
	}
	switch {
	case x.path[t]:
		return nil, fmt.Errorf("%s is a table that contains itself", place)
	case len(x.path) >= maxDepth:
		return nil, fmt.Errorf("%s is nested too deeply", place)
	}
	x.path[t] = true
	defer delete(x.path, t)
	k, err := keysOf(place, t)
	if err != nil {
		return nil, err
	}
	if k.names == nil {
		return x.list(place, t, k.numbers)
	}
	m := make(map[string]any, len(k.names))
	for _, name := range k.names {
		if m[name], err = x.value(place+"."+name, t.RawGetString(name)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (x *export) list(place string, t *lua.LTable, n int) (any, error) {
	list := make([]any, n)
	for i := range list {
		var err error
		if list[i], err = x.value(fmt.Sprintf("%s[%d]", place, i+1), t.RawGetInt(i+1)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// tableKeys are the keys of a table that is either a list of numbers items or has names.
type tableKeys struct {
	names   []string
	numbers int
}

func keysOf(place string, t *lua.LTable) (k tableKeys, err error) {
	highest := 0.0
	t.ForEach(func(key, _ lua.LValue) {
		switch key := key.(type) {
		case lua.LString:
			k.names = append(k.names, string(key))
		case lua.LNumber:
			k.numbers++
			highest = math.Max(highest, float64(key))
			if key < 1 || float64(key) != math.Trunc(float64(key)) {
				err = fmt.Errorf("%s has the key %v: a list has the keys 1, 2, 3 …, and other keys must be text", place, key)
			}
		default:
			err = fmt.Errorf("%s has a %s as a key: only text and the numbers of a list can be keys", place, key.Type())
		}
	})
	switch {
	case err != nil:
	case k.names != nil && k.numbers > 0:
		sort.Strings(k.names)
		err = fmt.Errorf("%s is a list and has the name %q as well: a table must be one or the other", place, k.names[0])
	case int(highest) != k.numbers:
		for i := 1; ; i++ {
			if t.RawGetInt(i) == lua.LNil {
				return k, fmt.Errorf("%s is a list with a hole: item %d is nil", place, i)
			}
		}
	}
	sort.Strings(k.names)
	return k, err
}

// value makes a value of Lua of what a module found or a site says.
func (m *machine) value(v any) (lua.LValue, error) { return m.valueAt(v, 0) }

func (m *machine) valueAt(v any, depth int) (lua.LValue, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("cannot hand a value to Lua: it is nested too deeply")
	}
	switch v := v.(type) {
	case nil:
		return lua.LNil, nil
	case lua.LValue:
		return v, nil
	case bool:
		return lua.LBool(v), nil
	case string:
		return lua.LString(v), nil
	case []byte:
		return lua.LString(v), nil
	case float64:
		return lua.LNumber(v), nil
	case module.HostName:
		return m.hostValue(v), nil
	case module.Secret:
		return m.secretValue(knownSecret(v)), nil
	case SecretSource:
		return m.secretValue(&secret{source: v}), nil
	case *Object:
		return m.userData(v, m.objectMeta), nil
	}
	return m.reflected(reflect.ValueOf(v), depth)
}

func (m *machine) reflected(v reflect.Value, depth int) (lua.LValue, error) {
	switch v.Kind() {
	case reflect.Bool:
		return lua.LBool(v.Bool()), nil
	case reflect.String:
		return lua.LString(v.String()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return lua.LNumber(v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return lua.LNumber(v.Uint()), nil
	case reflect.Float32, reflect.Float64:
		return lua.LNumber(v.Float()), nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return lua.LNil, nil
		}
		return m.valueAt(v.Elem().Interface(), depth+1)
	case reflect.Slice, reflect.Array:
		return m.listValue(v, depth)
	case reflect.Map:
		return m.tableValue(v, depth)
	}
	return nil, fmt.Errorf("cannot hand a value of type %s to Lua", v.Type())
}

func (m *machine) listValue(v reflect.Value, depth int) (lua.LValue, error) {
	t := m.state.CreateTable(v.Len(), 0)
	for i := range v.Len() {
		item, err := m.valueAt(v.Index(i).Interface(), depth+1)
		if err != nil {
			return nil, err
		}
		t.RawSetInt(i+1, item)
	}
	return t, nil
}

func (m *machine) tableValue(v reflect.Value, depth int) (lua.LValue, error) {
	t := m.state.CreateTable(0, v.Len())
	keys := v.MapKeys()
	// Sorted, so that pairs() goes through a result in the same order each time.
	sort.Slice(keys, func(i, j int) bool { return keyText(keys[i]) < keyText(keys[j]) })
	for _, key := range keys {
		item, err := m.valueAt(v.MapIndex(key).Interface(), depth+1)
		if err != nil {
			return nil, err
		}
		t.RawSetString(keyText(key), item)
	}
	return t, nil
}

func keyText(v reflect.Value) string {
	if v.Kind() == reflect.String {
		return v.String()
	}
	return fmt.Sprint(v.Interface())
}

// shown is a value of Lua in a message: never a secret, never long.
func shown(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		const most = 60
		if len(v) > most {
			return "the string " + strconv.Quote(string(v[:most])) + "…"
		}
		return "the string " + strconv.Quote(string(v))
	case lua.LNumber:
		return "the number " + v.String()
	case lua.LBool:
		return v.String()
	case *lua.LNilType:
		return "nil"
	case *lua.LUserData:
		switch held := v.Value.(type) {
		case module.HostName:
			return "the host " + string(held)
		case *secret:
			return "a secret"
		case *Object:
			return "a " + held.Kind
		case error:
			return "an error"
		}
		return "a value of its own kind"
	}
	return "a " + v.Type().String()
}
