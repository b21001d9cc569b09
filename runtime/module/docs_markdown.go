package module

import (
	"fmt"
	"io"
	"strings"
)

// WriteMarkdown writes the reference of modules for people: a list of them, what every step takes, then each module.
func WriteMarkdown(w io.Writer, docs []Doc) error {
	var b strings.Builder
	b.WriteString("# Modules\n\nEverything that a task of a recipe can call. Written by `runner doc --markdown`; do not edit it by hand.\n\n")
	for _, d := range docs {
		fmt.Fprintf(&b, "- [`%s`](#%s): %s\n", d.Name, anchor(d.Name), lowerFirst(d.Summary))
	}
	b.WriteString("\n## What every step takes\n\nA module is called with one table. Beside its own arguments it takes these:\n\n")
	writeArgs(&b, OptionDocs(), "")
	b.WriteString("\nA step returns a table: `changed`, whether it changed something, and what the module found.\n\n" +
		"A duration is a text such as `\"90s\"`, `\"1h30m\"` or `\"5d\"`, or a number of seconds; a size a text such as `\"20M\"` (units of 1024), or a number of bytes;\n" +
		"a host one of `hosts`; a secret a text or what `secret { … }` gives.\n")
	for _, d := range docs {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n", d.Name, upperFirst(d.Summary))
		if d.Text != "" {
			fmt.Fprintf(&b, "\n%s\n", d.Text)
		}
		if d.Example != "" {
			fmt.Fprintf(&b, "\n```lua\n%s```\n", d.Example)
		}
		b.WriteString("\n")
		writeArgs(&b, d.Args, "")
		if len(d.Result) > 0 {
			b.WriteString("\nReturns:\n\n")
			writeArgs(&b, d.Result, "")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeArgs(b *strings.Builder, args []ArgDoc, indent string) {
	for _, a := range args {
		fmt.Fprintf(b, "%s- `%s` (%s)", indent, a.Name, a.facts())
		if a.Text != "" {
			fmt.Fprintf(b, ": %s", a.Text)
		}
		b.WriteString("\n")
		writeArgs(b, a.Fields, indent+"  ")
	}
}

// facts are type, need, choices and default in a few words.
func (a ArgDoc) facts() string {
	words := []string{a.Type}
	if len(a.Choices) > 0 {
		words[0] = quoteList(a.Choices)
	}
	if a.Required {
		words = append(words, "required")
	}
	if a.Default != "" {
		words = append(words, "default "+a.Default)
	}
	return strings.Join(words, ", ")
}

// anchor is the name of a heading as sites that show Markdown make it.
func anchor(name string) string { return strings.ReplaceAll(name, ".", "") }

func upperFirst(s string) string { return strings.ToUpper(s[:min(1, len(s))]) + s[min(1, len(s)):] }
func lowerFirst(s string) string { return strings.ToLower(s[:min(1, len(s))]) + s[min(1, len(s)):] }
