package module

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"runner/runtime/host"
)

// Field is one argument of a module, read from the struct field that holds it:
//
//	// Name of the service, without ".service".
//	Name string `lua:"name,required"`
//	// What the service is to be.
//	State string `lua:"state" choice:"started,stopped" default:"started"`
//
// The types that can stand there are string, bool, int, int64, float64, *string, *bool, *int (nil: absent), []string,
// map[string]string, map[string]any, []any, any, [Secret], [time.Duration] (given as "90s", "2h" or a number of seconds), [Size] (given
// as "20M" or a number of bytes), *host.View (a host of the recipe), structs of these, and lists and maps of them. For an argument
// of type any a tag `type:"string or secret"` says what its module takes.
type Field struct {
	Name     string
	Type     reflect.Type
	Index    []int
	Required bool
	Choices  []string
	Default  string // as written in the tag; empty: none
	said     string // the tag `type`: what an argument of type any takes, in words
}

// Size is a number of bytes.
type Size int64

var (
	viewType     = reflect.TypeFor[*host.View]()
	secretType   = reflect.TypeFor[Secret]()
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
)

// Fields lists the arguments of a module in the order of their declaration.
func (m Module) Fields() []Field {
	fields, err := fieldsOf(m.args)
	if err != nil {
		panic(err) // Define refused such a type
	}
	return fields
}

// HasHost says whether the module takes the named host argument ("on", "from", "to").
func (m Module) HasHost(name string) bool {
	for _, f := range m.Fields() {
		if f.Name == name && f.Type == viewType {
			return true
		}
	}
	return false
}

func fieldsOf(t reflect.Type) ([]Field, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("arguments must be a struct, not %s", t)
	}
	var fields []Field
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
			inner, err := fieldsOf(sf.Type)
			if err != nil {
				return nil, err
			}
			for _, f := range inner {
				f.Index = append([]int{i}, f.Index...)
				fields = append(fields, f)
			}
			continue
		}
		tag, ok := sf.Tag.Lookup("lua")
		if !ok {
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		if name == "" || !sf.IsExported() {
			return nil, fmt.Errorf("field %s needs a name in its lua tag and must be exported", sf.Name)
		}
		if !decodable(sf.Type) {
			return nil, fmt.Errorf("field %s: nothing in a recipe becomes a %s", sf.Name, sf.Type)
		}
		f := Field{Name: name, Type: sf.Type, Index: []int{i}, Required: option == "required",
			Default: sf.Tag.Get("default"), said: sf.Tag.Get("type")}
		if c := sf.Tag.Get("choice"); c != "" {
			f.Choices = strings.Split(c, ",")
		}
		if option != "" && !f.Required {
			return nil, fmt.Errorf("field %s: its lua tag says %q, which is not \"required\"", sf.Name, option)
		}
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("field %s: %w", sf.Name, err)
		}
		fields = append(fields, f)
	}
	for i, f := range fields {
		if slices.ContainsFunc(fields[:i], func(g Field) bool { return g.Name == f.Name }) {
			return nil, fmt.Errorf("two fields are named %q", f.Name)
		}
	}
	return fields, nil
}

// check refuses tags that contradict each other or the type.
func (f Field) check() error {
	kind := f.Type.Kind()
	if kind == reflect.Pointer {
		kind = f.Type.Elem().Kind()
	}
	switch {
	case reserved[f.Name]:
		return fmt.Errorf("%q is an option of every step", f.Name)
	case len(f.Choices) > 0 && kind != reflect.String:
		return errors.New("only strings can have choices")
	case f.Default == "":
		return nil
	case f.Required:
		return errors.New("what is required has no default")
	case len(f.Choices) > 0 && !slices.Contains(f.Choices, f.Default):
		return fmt.Errorf("its default %q is none of its choices", f.Default)
	}
	d := decoder{call: &Call{}}
	if err := d.value("default", parseDefault(f.Type, f.Default), reflect.New(f.Type).Elem()); err != nil {
		return fmt.Errorf("its default %q is no %s", f.Default, typeName(f.Type))
	}
	return nil
}

func decodable(t reflect.Type) bool {
	switch t {
	case viewType, secretType, durationType, sizeType:
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64, reflect.Interface:
		return true
	case reflect.Pointer:
		return decodable(t.Elem())
	case reflect.Slice:
		return decodable(t.Elem())
	case reflect.Map:
		return t.Key().Kind() == reflect.String && decodable(t.Elem()) && !holdsHost(t.Elem())
	case reflect.Struct:
		_, err := fieldsOf(t)
		return err == nil
	}
	return false
}

// holdsHost says whether a host can be somewhere in a value of the type. The values of a map cannot be given their hosts
// later, so none may stand there.
func holdsHost(t reflect.Type) bool {
	switch {
	case t == viewType:
		return true
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer:
		return holdsHost(t.Elem())
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			if holdsHost(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

// TypeName is the argument's type as the reference and the messages name it.
func (f Field) TypeName() string {
	if f.said != "" {
		return f.said
	}
	return typeName(f.Type)
}

func typeName(t reflect.Type) string {
	switch t {
	case viewType:
		return "host"
	case secretType:
		return "secret"
	case durationType:
		return "duration"
	case sizeType:
		return "size"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	case reflect.Map:
		return "table of " + typeName(t.Elem())
	case reflect.Struct:
		return "table"
	}
	return "any"
}
