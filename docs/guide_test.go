package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSiteFields sees to it that the guide explains each field of a host that a site can have, and no other. runner lists them to those who
// write one that it does not know.
func TestSiteFields(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"x.lua": "recipe { name = \"x\" }\n", "site.lua": "return { hosts = { x = { qqqqqq = 1 } } }\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(program(t), "--list", "x.lua")
	c.Dir = dir
	out, _ := c.CombinedOutput()
	m := regexp.MustCompile(`there are ([a-z_, \s]+)`).FindStringSubmatch(string(out))
	if m == nil {
		t.Fatalf("runner does not list the fields:\n%s", out)
	}
	known := strings.FieldsFunc(strings.SplitN(m[1], "\n", 2)[0], func(r rune) bool { return r == ',' || r == ' ' })
	page, err := os.ReadFile("guide.md")
	if err != nil {
		t.Fatal(err)
	}
	var explained []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z_`, ]+`) \\|").FindAllStringSubmatch(string(page), -1) {
		explained = append(explained, regexp.MustCompile("[a-z_]+").FindAllString(row[1], -1)...)
	}
	slices.Sort(known)
	slices.Sort(explained)
	if len(known) < 10 || !slices.Equal(known, explained) {
		t.Errorf("a host has the fields %v; the guide explains %v", known, explained)
	}
}
