package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"runner/runtime/recipe"
)

// siteText is a site file for a recipe: every host, group and parameter with its explanation. What the recipe has a default
// for stands as a comment.
func siteText(d recipe.Declaration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "-- The hosts and parameters for %q.\n", d.Name)
	b.WriteString(`--
-- A host is "user@address:port", "local" for the machine that runner runs on, or a table:
--   { address = "mail.example.org", user = "admin", port = 22, sudo = true, key = "~/.ssh/id_ed25519", jump = "gate.example.org" }
-- defaults = { … } beside hosts holds such fields for all of them. What is not said
-- comes from ~/.ssh/config.
return {
`)
	if len(d.Hosts) > 0 {
		b.WriteString("  hosts = {\n")
		for _, h := range d.Hosts {
			comment(&b, "    ", h.Help)
			fmt.Fprintf(&b, "    %s = %q,\n", key(h.Name), "root@"+h.Name+".example.org")
		}
		b.WriteString("  },\n")
	}
	if len(d.Groups) > 0 {
		b.WriteString("  groups = {\n")
		for _, g := range d.Groups {
			comment(&b, "    ", g.Help)
			fmt.Fprintf(&b, "    %s = { %q },\n", key(g.Name), "root@"+g.Name+"1.example.org")
		}
		b.WriteString("  },\n")
	}
	if len(d.Params) > 0 {
		b.WriteString("  params = {\n")
		for _, p := range d.Params {
			writeParam(&b, p)
		}
		b.WriteString("  },\n")
	}
	b.WriteString("}\n")
	return b.String()
}

func writeParam(b *strings.Builder, p recipe.ParamDecl) {
	help := p.Help
	if len(p.Choices) > 0 {
		help = strings.TrimSpace(help + " (" + strings.Join(p.Choices, ", ") + ")")
	}
	comment(b, "    ", help)
	if p.Required {
		fmt.Fprintf(b, "    %s = %s,\n", key(p.Name), example(p))
		return
	}
	value := luaText(p.Default)
	if p.Type == "secret" || p.Default == nil {
		value = example(p)
	}
	fmt.Fprintf(b, "    -- %s = %s,\n", key(p.Name), value)
}

// example is a value of the parameter's type to be overwritten.
func example(p recipe.ParamDecl) string {
	if len(p.Choices) > 0 {
		return luaText(p.Choices[0])
	}
	switch p.Type {
	case "number":
		return "0"
	case "boolean":
		return "false"
	case "list", "table":
		return "{}"
	}
	return `""`
}

func comment(b *strings.Builder, margin, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(b, "%s-- %s\n", margin, strings.TrimSpace(line))
	}
}

// keywords of Lua 5.1 (reference manual, 2.1).
const keywords = " and break do else elseif end false for function if in local nil not or repeat return then true until while "

// key is a name as a key of a Lua table.
func key(name string) string {
	if name == "" || strings.Contains(keywords, " "+name+" ") {
		return "[" + luaText(name) + "]"
	}
	for i, r := range name {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return "[" + luaText(name) + "]"
		}
	}
	return name
}

// luaText is a value as Lua would write it.
func luaText(v any) string {
	switch v := v.(type) {
	case string:
		return luaString(v)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = luaText(item)
		}
		return table(items)
	case map[string]any:
		var items []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			items = append(items, key(k)+" = "+luaText(v[k]))
		}
		return table(items)
	}
	return "nil"
}

func table(items []string) string {
	if len(items) == 0 {
		return "{}"
	}
	return "{ " + strings.Join(items, ", ") + " }"
}

// luaString quotes a text for Lua 5.1, which knows decimal escapes only (reference manual, 2.1).
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c < 0x20 || c == 0x7f:
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
