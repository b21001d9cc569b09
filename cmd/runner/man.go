package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// writeManual writes the manual page of all commands, runner(1), in the macros of man(7).
func writeManual(w io.Writer, root *cobra.Command) error {
	m := &manual{}
	m.line(`.TH RUNNER 1 "" "runner %s" "User Commands"`, roff(versionText()))
	m.section("NAME")
	m.line(`runner \- %s`, roff(lowerFirst(root.Short)))
	m.section("SYNOPSIS")
	m.line(`.B runner`)
	m.line(`[\fIflags\fR] \fIRECIPE\fR`)
	for _, c := range listed(root) {
		m.line(".br")
		m.line(`.B runner %s`, roff(c.Name()))
		if _, rest, ok := strings.Cut(c.Use, " "); ok {
			m.line("%s", roff(rest))
		}
	}
	m.section("DESCRIPTION")
	m.prose(root.Long)
	m.section("OPTIONS")
	m.flags(root.LocalFlags())
	m.section("COMMANDS")
	for _, c := range listed(root) {
		m.command(c)
	}
	m.section("FILES")
	for _, f := range [][2]string{
		{"site.lua", "hosts, groups, parameters and secrets, beside the recipe or in the current folder"},
		{".runner/", "beside the site: journals, logs and the lock of its runs"},
		{"~/.ssh/config, ~/.ssh/known_hosts", "as ssh(1) reads them"},
	} {
		m.entry(`\fI`+roff(f[0])+`\fR`, f[1])
	}
	m.section("ENVIRONMENT")
	for _, v := range [][2]string{
		{"NO_COLOR", "when set and not empty: no colours"},
		{"RUNNER_SECRET_NAME", "the secret that a recipe knows as NAME"},
		{"SSH_AUTH_SOCK", "the agent that holds keys"},
	} {
		m.entry(`\fB`+roff(v[0])+`\fR`, v[1])
	}
	m.section("SEE ALSO")
	m.line(`.BR ssh (1),`)
	m.line(`.BR ssh_config (5)`)
	_, err := io.WriteString(w, m.String())
	return err
}

type manual struct{ strings.Builder }

func (m *manual) line(format string, args ...any) { fmt.Fprintf(m, format+"\n", args...) }

func (m *manual) section(name string) { m.line(".SH %s", name) }

func (m *manual) entry(head, text string) {
	m.line(".TP")
	m.line("%s", head)
	m.line("%s", roff(text))
}

// prose writes paragraphs; what is indented is shown as it stands.
func (m *manual) prose(text string) {
	verbatim := false
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		line = strings.TrimRight(line, "\n")
		if indented := strings.HasPrefix(line, " "); indented != verbatim && line != "" {
			verbatim = indented
			m.line("%s", map[bool]string{true: ".PP\n.nf", false: ".fi\n.PP"}[indented])
		}
		if line == "" {
			if !verbatim {
				m.line(".PP")
			}
			continue
		}
		m.line("%s", roff(line))
	}
	if verbatim {
		m.line(".fi")
	}
}

func (m *manual) command(c *cobra.Command) {
	m.line(".SS %s", roff(strings.TrimPrefix(c.CommandPath()+strings.TrimPrefix(c.Use, c.Name()), "runner ")))
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	m.prose(text)
	m.flags(c.LocalNonPersistentFlags())
	for _, sub := range listed(c) {
		m.command(sub)
	}
}

func (m *manual) flags(set *pflag.FlagSet) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		head := `\fB\-\-` + roff(f.Name) + `\fR`
		if f.Shorthand != "" {
			head = `\fB\-` + f.Shorthand + `\fR, ` + head
		}
		if value != "" {
			head += ` \fI` + roff(value) + `\fR`
		}
		m.entry(head, usage)
	})
}

// listed are the commands that help shows, without those of cobra itself.
func listed(c *cobra.Command) (list []*cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" && sub.Name() != "completion" {
			list = append(list, sub)
		}
	}
	return list
}

// roff escapes a line of text; see groff_char(7) on hyphens and quotes.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, `-`, `\-`, "…", "...").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

func lowerFirst(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToLower(text[:1]) + text[1:]
}
