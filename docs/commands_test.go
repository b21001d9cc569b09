package docs_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// built is the command of this tree.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "runner-docs-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "runner-built")
	out, err := exec.Command("go", "build", "-o", path, "runner/cmd/runner").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("cannot build runner: %w\n%s", err, out)
	}
	return path, nil
})

func program(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCommands sees to it that each command line that a document shows is one that there is.
func TestCommands(t *testing.T) {
	targets := makeTargets(t)
	c := commandLines{program: program(t), known: map[string]string{}}
	seen := 0
	for _, d := range documents(t) {
		lines := d.inline
		for _, b := range d.blocks {
			if b.language == "sh" || b.language == "console" {
				lines = append(lines, b)
			}
		}
		for _, b := range lines {
			for _, cmd := range b.commands() {
				for _, words := range simple(cmd.text) {
					seen++
					switch words[0] {
					case "runner", "bin/runner":
						if why := c.wrong(words[1:]); why != "" {
							t.Errorf("%s: %s: %s", cmd.at(), strings.Join(words, " "), why)
						}
					case "make":
						for _, target := range words[1:] {
							if !strings.Contains(target, "=") && !slices.Contains(targets, target) {
								t.Errorf("%s: make %s: the Makefile has no such target", cmd.at(), target)
							}
						}
					}
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d command lines were looked at", seen)
	}
}

// simple splits a line of shell into simple commands and words. Variables and "sudo" at the beginning are left out.
func simple(line string) [][]string {
	var list [][]string
	for _, part := range regexp.MustCompile(`&&|\|\||[;|&]`).Split(line, -1) {
		words := wordsOf(part)
		for len(words) > 0 && (words[0] == "sudo" || strings.Contains(words[0], "=") && !strings.HasPrefix(words[0], "-")) {
			words = words[1:]
		}
		if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, ">") || strings.HasPrefix(w, "2>") }); i >= 0 {
			words = words[:i]
		}
		if len(words) > 0 {
			list = append(list, words)
		}
	}
	return list
}

func wordsOf(text string) []string {
	var words []string
	for _, m := range regexp.MustCompile(`"([^"]*)"|'([^']*)'|(\S+)`).FindAllStringSubmatch(text, -1) {
		words = append(words, m[1]+m[2]+m[3])
	}
	return words
}

type commandLines struct {
	program string
	known   map[string]string // command line: what is wrong with it
}

// wrong says what is wrong with the words after runner. It calls the command with --help, which reads all flags before it shows
// anything, and then looks whether the command that answered is the one that was meant.
func (c commandLines) wrong(args []string) string {
	key := strings.Join(args, "\x00")
	why, ok := c.known[key]
	if !ok {
		why = c.ask(args)
		c.known[key] = why
	}
	return why
}

func (c commandLines) ask(args []string) string {
	if len(args) > 3 && args[0] == "lab" && args[1] == "shell" {
		args = args[:2] // what follows the host is run there
	}
	out, err := exec.Command(c.program, append(slices.Clone(args), "--help")...).CombinedOutput()
	if err != nil {
		return strings.TrimSpace(string(out))
	}
	names, usage := commandsIn(string(out))
	path := strings.Fields(strings.TrimPrefix(usage, "runner"))
	rest := args
	for _, name := range path {
		if len(rest) == 0 || strings.ContainsAny(name, "[|") || strings.ToUpper(name) == name || strings.HasPrefix(name, "-") {
			break
		}
		for len(rest) > 0 && rest[0] != name {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			return "the command that answers is \"" + usage + "\""
		}
		rest = rest[1:]
	}
	if len(rest) == 0 || strings.HasPrefix(rest[0], "-") || len(names) == 0 {
		return ""
	}
	// What has commands below it takes no other words, but for runner itself, which takes a recipe.
	first := rest[0]
	if len(path) > 0 && !strings.HasPrefix(path[0], "[") || !isRecipe(first) {
		return fmt.Sprintf("there is no command %q", first)
	}
	return ""
}

func isRecipe(word string) bool {
	if word == strings.ToUpper(word) || strings.HasSuffix(word, ".lua") {
		return true
	}
	_, err := os.Stat("../recipes/" + word + ".lua")
	return err == nil
}

// commandsIn reads the help of a command: the names of those below it, and its own line of usage.
func commandsIn(help string) (names []string, usage string) {
	section := ""
	for line := range strings.Lines(help) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasSuffix(line, ":") && !strings.HasPrefix(line, " "):
			section = line
		case section == "Usage:" && usage == "" && strings.HasPrefix(line, "  "):
			usage = strings.TrimSpace(line)
		case section == "Available Commands:" && strings.HasPrefix(line, "  "):
			names = append(names, strings.Fields(line)[0])
		}
	}
	return names, strings.TrimSpace(strings.TrimPrefix(usage, "runner"))
}

func makeTargets(t *testing.T) []string {
	t.Helper()
	f, err := os.Open("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var targets []string
	target := regexp.MustCompile(`^([a-z][a-z-]*):`)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if m := target.FindStringSubmatch(lines.Text()); m != nil {
			targets = append(targets, m[1])
		}
	}
	return targets
}

// TestCommandLines shows that a wrong command line is found.
func TestCommandLines(t *testing.T) {
	c := commandLines{program: program(t), known: map[string]string{}}
	for line, right := range map[string]bool{
		"runner --check mail.lua": true, "runner lab dns set mx example.org mail-new.example.net --ttl 60": true, "runner wheezy-jessie": true,
		"runner resume --yes": true, "runner doc mysql.copy": true, "runner lab": true, "runner history RUN": true, "runner lab shell old mailq -q": true,
		"runner histroy": false, "runner lab begin": false, "runner lab dns change": false, "runner --chekc mail.lua": false,
		"runner lab up --messages many": false, "runner undo --phase x": false, "runner mail.yml": false,
	} {
		why := c.wrong(simple(line)[0][1:])
		if (why == "") != right {
			t.Errorf("%s: right: %v, but found: %q", line, right, why)
		}
	}
}
