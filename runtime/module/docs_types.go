package module

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteTypes writes the modules as declarations of the Lua language server (LuaLS, "Annotations"), so that an editor completes and
// checks a recipe. The types Host, Secret, Duration and Size are declared elsewhere.
func WriteTypes(w io.Writer, docs []Doc) error {
	var b strings.Builder
	b.WriteString("---What every step takes beside the arguments of its module.\n---@class StepOptions\n")
	writeFields(&b, "StepOptions", OptionDocs(), true)
	b.WriteString("\n---What every step returns.\n---@class StepResult\n---@field changed boolean Whether the step changed something.\n" +
		"---@field failed? boolean With ignore_errors: the step failed.\n---@field error? string With ignore_errors: why.\n" +
		"\n---The result of a module that does not say what it returns.\n---@class AnyResult : StepResult\n---@field [string] any\n")
	names := map[string]bool{}
	for _, d := range docs {
		names[d.Name] = true
	}
	tables := map[string]bool{}
	for _, d := range docs {
		writeModule(&b, d, names, tables)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeModule writes the classes of a module's arguments and result, and its function. The name of a module may hold others
// ("maildir_sync" and "maildir_sync.verify"): then it is a table that can be called.
func writeModule(b *strings.Builder, d Doc, names, tables map[string]bool) {
	class := d.Name + ".args"
	writeClasses(b, class, d.Args)
	fmt.Fprintf(b, "\n---@class %s : StepOptions\n", class)
	writeFields(b, class, d.Args, true)
	result := "AnyResult"
	if len(d.Result) > 0 {
		result = d.Name + ".result"
		fmt.Fprintf(b, "\n---@class %s : StepResult\n", result)
		writeFields(b, result, d.Result, false)
	}
	comment := upperFirst(d.Summary) + "."
	if d.Text != "" {
		comment += "\n\n" + d.Text
	}
	parent, _, inside := strings.Cut(d.Name, ".")
	if inside && !tables[parent] {
		tables[parent] = true
		fmt.Fprintf(b, "\n%s = {}\n", parent)
	}
	b.WriteString("\n")
	writeComment(b, comment)
	if !inside && holdsOthers(d.Name, names) {
		tables[d.Name] = true
		fmt.Fprintf(b, "---@class %s\n---@overload fun(args: %s): %s\n%s = {}\n", d.Name, class, result, d.Name)
		return
	}
	fmt.Fprintf(b, "---@param args %s\n---@return %s\nfunction %s(args) end\n", class, result, d.Name)
}

func holdsOthers(name string, names map[string]bool) bool {
	for other := range names {
		if strings.HasPrefix(other, name+".") {
			return true
		}
	}
	return false
}

// writeClasses writes a class for each argument that is a table with named fields.
func writeClasses(b *strings.Builder, class string, args []ArgDoc) {
	for _, a := range args {
		if len(a.Fields) > 0 {
			inner := class + "." + a.Name
			writeClasses(b, inner, a.Fields)
			fmt.Fprintf(b, "\n---@class %s\n", inner)
			writeFields(b, inner, a.Fields, true)
		}
	}
}

func writeFields(b *strings.Builder, class string, args []ArgDoc, optional bool) {
	for _, a := range args {
		mark := ""
		if optional && !a.Required {
			mark = "?"
		}
		kind := luaType(a.Type, class+"."+a.Name)
		if len(a.Choices) > 0 {
			quoted := make([]string, len(a.Choices))
			for i, c := range a.Choices {
				quoted[i] = fmt.Sprintf("%q", c)
			}
			kind = strings.Join(quoted, "|")
		}
		text := a.Text
		if a.Default != "" {
			text += " Default: " + a.Default + "."
		}
		fmt.Fprintf(b, "---@field %s%s %s %s\n", a.Name, mark, kind, text)
	}
}

func writeComment(b *strings.Builder, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(b, "---%s\n", line)
	}
}

// luaType is a type's name in the words of LuaLS. class is that of a table with named fields.
func luaType(name, class string) string {
	if strings.Contains(name, " or ") {
		var kinds []string
		for part := range strings.SplitSeq(name, " or ") {
			for kind := range strings.SplitSeq(luaType(part, class), "|") {
				if !slices.Contains(kinds, kind) {
					kinds = append(kinds, kind)
				}
			}
		}
		return strings.Join(kinds, "|")
	}
	if inner, ok := strings.CutPrefix(name, "list of "); ok {
		return luaType(inner, class) + "[]"
	}
	if inner, ok := strings.CutPrefix(name, "table of "); ok {
		return "table<string, " + luaType(inner, class) + ">"
	}
	switch name {
	case "host":
		return "Host"
	case "secret":
		return "string|Secret"
	case "duration":
		return "Duration"
	case "size":
		return "Size"
	case "list":
		return "any[]"
	case "table":
		if strings.Contains(class, ".result.") {
			return "table<string, any>"
		}
		return class
	}
	return name
}
