package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// block is a fenced block of a document, or a command that stands in its text.
type block struct {
	file     string // as it is shown, "docs/guide.md"
	line     int    // of its first line of text
	language string
	lines    []string
	notes    map[string]string // of the comment above it, <!-- test: save=x.lua run=local -->
}

func (b block) at() string        { return fmt.Sprintf("%s:%d", b.file, b.line) }
func (b block) text() string      { return strings.Join(b.lines, "\n") + "\n" }
func (b block) has(n string) bool { _, ok := b.notes[n]; return ok }

// document is a file of documentation, with its blocks in their order.
type document struct {
	path   string // to open it
	file   string // to show it
	blocks []block
	inline []block // commands in `…`; one line each
}

var (
	note   = regexp.MustCompile(`^<!-- test:(.*)-->$`)
	inline = regexp.MustCompile("`((?:runner|make)(?: [^`]+)?)`")
	pair   = regexp.MustCompile(`([a-z]+)(?:=("[^"]*"|\S+))?`)
)

// documents are those that this package looks after. The generated reference is tested where it is made.
func documents(t *testing.T) []*document {
	t.Helper()
	paths, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []*document
	for _, path := range append([]string{"../README.md"}, paths...) {
		if path == "modules.md" {
			continue
		}
		d, err := readDocument(path)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, d)
	}
	return list
}

func readDocument(path string) (*document, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := &document{path: path, file: filepath.ToSlash(filepath.Join("docs", path))}
	var open *block
	notes := map[string]string{}
	for i, line := range strings.Split(string(text), "\n") {
		fence := strings.HasPrefix(line, "```")
		switch {
		case fence && open != nil:
			d.blocks = append(d.blocks, *open)
			open = nil
		case fence:
			open = &block{file: d.file, line: i + 2, language: strings.TrimPrefix(line, "```"), notes: notes}
			notes = map[string]string{}
		case open != nil:
			open.lines = append(open.lines, line)
		case note.MatchString(line):
			notes = readNotes(note.FindStringSubmatch(line)[1])
		default:
			for _, m := range inline.FindAllStringSubmatch(line, -1) {
				d.inline = append(d.inline, block{file: d.file, line: i + 1, language: "sh", lines: []string{m[1]}})
			}
		}
	}
	if open != nil {
		return nil, fmt.Errorf("%s: the block is never closed", open.at())
	}
	return d, nil
}

func readNotes(text string) map[string]string {
	notes := map[string]string{}
	for _, m := range pair.FindAllStringSubmatch(text, -1) {
		notes[m[1]] = strings.Trim(m[2], `"`)
	}
	return notes
}

// command is one line that a reader types, with what it shows.
type command struct {
	block  block
	line   int // in the document
	text   string
	output []string // lines; what stands between them as a line of "…" is left out
}

func (c command) at() string { return fmt.Sprintf("%s:%d", c.block.file, c.line) }

// commands are the lines of a block that a reader types: those after "$ " where there is output between them, else all.
func (b block) commands() []command {
	var list []command
	for i, line := range b.lines {
		text, typed := strings.CutPrefix(line, "$ ")
		switch {
		case b.language == "sh":
			text, _, _ = strings.Cut(line, " # ")
			if text = strings.TrimSpace(text); text != "" && !strings.HasPrefix(text, "#") {
				list = append(list, command{block: b, line: b.line + i, text: text})
			}
		case typed:
			list = append(list, command{block: b, line: b.line + i, text: text})
		case len(list) > 0:
			last := &list[len(list)-1]
			last.output = append(last.output, line)
		}
	}
	return list
}

func TestReadDocument(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.md")
	text := "Call `runner doc file`.\n\n<!-- test: save=a.lua args=\"-p x=1\" -->\n```lua\nrecipe {}\n```\n\n```console\n$ runner a.lua\none\n…\n$ make test\n```\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := readDocument(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.blocks) != 2 || len(d.inline) != 1 || d.inline[0].line != 1 || d.inline[0].lines[0] != "runner doc file" {
		t.Fatalf("read %+v and in the text %+v", d.blocks, d.inline)
	}
	if b := d.blocks[0]; b.line != 5 || b.language != "lua" || b.notes["save"] != "a.lua" || b.notes["args"] != "-p x=1" {
		t.Errorf("the first block is %+v", b)
	}
	c := d.blocks[1].commands()
	if len(c) != 2 || c[0].line != 9 || len(c[0].output) != 2 || c[1].text != "make test" || len(c[1].output) != 0 {
		t.Errorf("the commands are %+v", c)
	}
}

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	noAnchor = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors are the names of the headings of a page, as the sites that show Markdown make them.
func anchors(page string) map[string]bool {
	names := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		name := noAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
		names[strings.ReplaceAll(name, " ", "-")] = true
	}
	return names
}
