package module

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// WriteList writes the names and summaries of modules, a line each, cut to width columns.
func WriteList(w io.Writer, docs []Doc, width int) error {
	var b strings.Builder
	longest := 0
	for _, d := range docs {
		longest = max(longest, len(d.Name))
	}
	for _, d := range docs {
		line := fmt.Sprintf("%-*s  %s", longest, d.Name, lowerFirst(d.Summary))
		if utf8.RuneCountInString(line) > width {
			line = string([]rune(line)[:width-1]) + "…"
		}
		fmt.Fprintln(&b, line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteText writes the reference of one module for a terminal of width columns.
func WriteText(w io.Writer, d Doc, width int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", d.Name)
	wrap(&b, upperFirst(d.Summary)+".", "  ", width)
	if d.Text != "" {
		for p := range strings.SplitSeq(d.Text, "\n\n") {
			b.WriteString("\n")
			wrap(&b, p, "  ", width)
		}
	}
	if d.Example != "" {
		b.WriteString("\nEXAMPLE\n")
		for line := range strings.Lines(d.Example) {
			b.WriteString("  " + line)
		}
	}
	b.WriteString("\nARGUMENTS\n")
	writeTextArgs(&b, d.Args, "  ", width)
	if len(d.Result) > 0 {
		b.WriteString("\nRETURNS\n")
		writeTextArgs(&b, d.Result, "  ", width)
	}
	b.WriteString("\nEVERY STEP ALSO TAKES\n")
	var names []string
	for _, o := range OptionDocs() {
		names = append(names, o.Name)
	}
	wrap(&b, strings.Join(names, ", ")+" (runner doc --markdown tells more)", "  ", width)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeTextArgs(b *strings.Builder, args []ArgDoc, indent string, width int) {
	for _, a := range args {
		wrap(b, fmt.Sprintf("%s (%s)", a.Name, a.facts()), indent, width)
		if a.Text != "" {
			wrap(b, a.Text, indent+"    ", width)
		}
		writeTextArgs(b, a.Fields, indent+"    ", width)
	}
}

// wrap writes words in lines of at most width columns. A word that is longer stands alone.
func wrap(b *strings.Builder, text, indent string, width int) {
	column := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
			b.WriteString(indent)
			column = len(indent)
		case column+1+n > width:
			b.WriteString("\n" + indent)
			column = len(indent)
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	b.WriteString("\n")
}
