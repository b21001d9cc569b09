package docs_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"runner/runtime/host"
)

var (
	update = flag.Bool("update", false, "write what commands show into the documents; blocks that leave lines out stay as they are")
)

// session is what a reader of a document does: the files that he saves and the commands that he types, one after the other.
type session struct {
	t    *testing.T
	work string            // where he is
	root string            // what stands for / in paths below etc, srv and var; empty: / itself
	over string            // what covers /etc, /srv and /var while a command runs, where root is empty; see [cover]
	site string            // his hosts, where the document writes down none
	swap *strings.Replacer // what is another thing here than in the document
	back *strings.Replacer // the inverse
	now  map[int][]string  // what the commands show now, by the line in the document; nil: as it says
}

// wholePath is one that a recipe of a document may write to. The session has such folders of its own.
var wholePath = regexp.MustCompile(`(^|["' =(])/(etc|srv|var|usr/local)/`)

// notSeen is a line that stands for any number of others.
const notSeen = "…"

// newSession makes a session. The pairs are as [strings.NewReplacer] takes them: what the document says and what it is here. What
// is hidden is left out of what commands show.
//
// In a sandbox recipes write below a temporary folder, under other paths than the document has. Where documents are written anew by root they
// write to the paths that they name, below a cover that is taken away with them, so that lines break where they do for a reader.
func newSession(t *testing.T, runner string, site string, sandbox bool, hidden string, pairs ...string) *session {
	t.Helper()
	top := t.TempDir()
	s := &session{t: t, work: filepath.Join(top, "move"), site: site, swap: strings.NewReplacer(pairs...), now: map[int][]string{}}
	var inverse []string
	for i := 0; i < len(pairs); i += 2 {
		inverse = append(inverse, pairs[i+1], pairs[i])
	}
	if hidden != "" {
		inverse = append(inverse, hidden, "")
	}
	switch {
	case sandbox && *update && os.Geteuid() == 0:
		s.over = filepath.Join(top, "over")
	case sandbox:
		s.root = filepath.Join(top, "root")
		inverse = append(inverse, s.root, "")
	}
	s.back = strings.NewReplacer(append(inverse, s.work, "/root/move")...)
	for _, dir := range []string{"move", "bin", "home", "root/etc", "root/srv", "root/var/backups", "root/usr/local/bin"} {
		if err := os.MkdirAll(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(top, "bin", "runner"), []byte(runner), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(top, "bin")+":"+os.Getenv("PATH"))
	t.Setenv("HOME", filepath.Join(top, "home"))
	t.Setenv("SSH_AUTH_SOCK", "")
	t.Setenv("TERM", "dumb")
	return s
}

// here is a text of the document as it must be to be used here.
func (s *session) here(text string) string {
	text = s.swap.Replace(text)
	if s.root != "" {
		text = wholePath.ReplaceAllString(text, "${1}"+s.root+"/$2/")
	}
	return text
}

func (s *session) play(b block) {
	s.t.Helper()
	switch b.language {
	case "lua":
		s.lua(b)
	case "console":
		for _, c := range b.commands() {
			s.command(c)
		}
	case "sh":
		if b.has("run") {
			for _, c := range b.commands() {
				s.command(c)
			}
		}
	default:
		if name, ok := b.notes["save"]; ok {
			s.save(name, b.text())
		}
	}
}

func (s *session) save(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.work, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(s.here(text)), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// lua saves a file, looks for mistakes in it, and runs it where the document says so.
func (s *session) lua(b block) {
	s.t.Helper()
	name, saved := b.notes["save"]
	text := b.text()
	if b.has("fragment") {
		text = "recipe { name = \"x\", hosts = { old = \"x\", new = \"x\" }, groups = { web = \"x\" } }\nlocal old, new = hosts.old, hosts.new\n" +
			"task(\"x\", function()\n" + text + "end)\n"
		if strings.Contains(b.text(), "task(") || strings.Contains(b.text(), "phase") {
			text = strings.TrimSuffix(strings.Replace(text, "task(\"x\", function()\n", "", 1), "end)\n")
		}
	}
	if !saved {
		name = "block.lua"
	}
	s.save(name, text)
	switch {
	case b.has("site"):
		s.save("nothing.lua", "recipe { name = \"x\" }\n")
		s.must(b, "runner --list --site "+name+" nothing.lua")
	case strings.HasSuffix(name, "_test.lua"):
	case strings.Contains(text, "recipe {") || strings.Contains(text, "recipe{") || strings.Contains(text, "extend("):
		s.must(b, "runner --list "+s.siteOf()+" "+name)
	}
	if !b.has("run") {
		return
	}
	line := strings.TrimSpace("runner --yes " + s.siteOf() + " --state .state-" + strings.ReplaceAll(name, "/", "-") + " " + b.notes["args"] + " " + name)
	s.must(b, line)
	if again := s.must(b, line+" --restart"); b.notes["run"] != "each" && !strings.Contains(again, "changed 0 ") {
		s.t.Errorf("%s: a second run still has something to do:\n%s", b.at(), again)
	}
}

// siteOf is the flag for the hosts: those of the document when it writes a site.lua, else those of the session.
func (s *session) siteOf() string {
	if _, err := os.Stat(filepath.Join(s.work, "site.lua")); !errors.Is(err, fs.ErrNotExist) || s.site == "" {
		return ""
	}
	path := filepath.Join(s.work, ".hosts.lua")
	if err := os.WriteFile(path, []byte(s.site), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return "--site .hosts.lua"
}

func (s *session) must(b block, line string) string {
	s.t.Helper()
	out, status := s.run(line, "")
	if status != 0 {
		s.t.Errorf("%s: %s: status %d\n%s", b.at(), line, status, out)
	}
	return out
}

// command types a command of the document and compares what it shows.
func (s *session) command(c command) {
	s.t.Helper()
	out, status := s.run(s.here(c.text), c.block.notes["answer"])
	got := strings.Split(strings.TrimRight(s.back.Replace(out), "\n"), "\n")
	for i, line := range got {
		got[i] = strings.TrimRight(line, " ")
	}
	want := "0"
	commands := c.block.commands()
	if given, ok := c.block.notes["status"]; ok && commands[len(commands)-1].line == c.line {
		want = given
	}
	if fmt.Sprint(status) != want {
		s.t.Errorf("%s: %s: status %d, not %s\n%s", c.at(), c.text, status, want, strings.Join(got, "\n"))
	}
	if *update && s.root == "" && laidOut(c.output) != laidOut(got) && !c.block.has("unordered") && c.block.language != "sh" && !slices.Contains(c.output, notSeen) {
		s.now[c.line] = got
		return
	}
	if c.block.language == "sh" || same(c.output, got) || c.block.has("unordered") && sameWords(c.output, got) {
		return
	}
	if *update && !slices.Contains(c.output, notSeen) {
		s.now[c.line] = got
		return
	}
	s.t.Errorf("%s: %s shows something else now (write it anew with: go test ./docs -update):\n%s\nThe document has:\n%s", c.at(), c.text, strings.Join(got, "\n"), strings.Join(c.output, "\n"))
}

// cover lays an overlay over each folder that recipes write to, and runs a line below it.
const cover = `for d in etc srv var; do
  mkdir -p "$1/$d/upper" "$1/$d/work" && mount -t overlay over -o "lowerdir=/$d,upperdir=$1/$d/upper,workdir=$1/$d/work" "/$d" || exit 99
done
exec sh -c "$2"`

// run gives a line to the shell. An answer is typed on a terminal.
func (s *session) run(line, answer string) (out string, status int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 3*time.Minute)
	defer cancel()
	if s.over != "" {
		line = host.Quote("unshare", "-m", "sh", "-c", cover, "sh", s.over, line)
	}
	c := exec.CommandContext(ctx, "setsid", "-w", "sh", "-c", line)
	if answer != "" {
		c = exec.CommandContext(ctx, "script", "-qec", line, "/dev/null")
		c.Stdin = strings.NewReader(answer + "\n")
	}
	var both bytes.Buffer
	c.Dir, c.Stdout, c.Stderr = s.work, &both, &both
	c.WaitDelay = 5 * time.Second
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatalf("cannot run %s: %v\n%s", line, err, both.String())
	}
	out = strings.ReplaceAll(both.String(), "\r\n", "\n")
	if answer != "" { // a terminal shows at once what is typed, also before it is asked for
		out = strings.ReplaceAll("\n"+out, "\n"+answer+"\n", "\n")[1:]
		out = strings.ReplaceAll(out, "[yes/no] ", "[yes/no] "+answer+"\n")
	}
	return out, c.ProcessState.ExitCode()
}

// write puts what commands show now into the document.
func (s *session) write(d *document) {
	s.t.Helper()
	if len(s.now) == 0 {
		return
	}
	text, err := os.ReadFile(d.path)
	if err != nil {
		s.t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, b := range slices.Backward(d.blocks) {
		for _, c := range slices.Backward(b.commands()) {
			if now, ok := s.now[c.line]; ok {
				lines = slices.Replace(lines, c.line, c.line+len(c.output), now...)
			}
		}
	}
	if err := os.WriteFile(d.path, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// masks hide what is another thing each time.
var masks = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\b\d{8}-\d{6}(-\d{3})?\b`), "RUN"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d(T| )\d\d:\d\d(:\d\d)?( UTC|Z)?`), "WHEN"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\b`), "WHEN"},
	{regexp.MustCompile(`\b(\d+ (d|h|m) )*\d+(\.\d+)? ?(ms|seconds|second|min|s|m|h)\b`), "TIME"},
	{regexp.MustCompile(`\b(\d+(\.\d+)?(ms|s|m|h))+\b`), "TIME"},
	{regexp.MustCompile(`(?m) {2,}TIME$`), ""},           // of a step it is there only when it took long
	{regexp.MustCompile(`(?m)^ +TIME  .* on .*\n?`), ""}, // as is what an outage was spent on
	{regexp.MustCompile(`\d+(\.\d+)? [kKMG]i?B/s`), "RATE"},
	{regexp.MustCompile(`\d+(\.\d+)? [KMG]iB`), "SIZE"},
	{regexp.MustCompile(`\bSHA256:[A-Za-z0-9+/]{20,}`), "FINGERPRINT"},
	{regexp.MustCompile(`runner (devel|v?\d\S*)( .*)?`), "runner VERSION"},
	{regexp.MustCompile(`process \d+`), "process N"},
	{regexp.MustCompile(`recipes/([a-z-]+)\.lua:\d+(:\d+)?`), "recipes/$1.lua:LINE"},
	{regexp.MustCompile(`\d{8}T\d{6}\.\d+Z`), "WHEN"},
	{regexp.MustCompile(`debian \d+\.\d+`), "debian"},
	{regexp.MustCompile(`\d+ processors?, \d+ MiB of\s+memory`), "MACHINE"},
	{regexp.MustCompile(`valid for \d+ days`), "valid for DAYS"},
	{regexp.MustCompile(`(?s)\S+:\s+until\s+WHEN\s+caches\s+can\s+still\s+hold.*?TTL\s+of\s+TIME`), "CACHES"},
	{regexp.MustCompile(`(?m)^((?:\s+\d+){3}\s+)\d+\.\d`), "${1}MIB"},
	{regexp.MustCompile(`-{5,}|={5,}`), "LINE"},
}

// laidOut is a text without what is another thing each time, with its lines and columns.
func laidOut(lines []string) string {
	text := strings.Join(lines, "\n")
	for _, m := range masks {
		text = m.what.ReplaceAllString(text, m.by)
	}
	return strings.TrimSpace(text)
}

// masked is a text of which only the words count: where lines are broken and columns set depends on what they hold.
func masked(lines []string) string { return strings.Join(strings.Fields(laidOut(lines)), " ") }

// same says whether what a document shows is what came out, but for times, sizes and the like, and for lines that it leaves out.
func same(want, got []string) bool {
	rest := masked(got)
	var parts [][]string
	part := []string{}
	for _, line := range want {
		if strings.TrimSpace(line) == notSeen {
			parts, part = append(parts, part), nil
			continue
		}
		part = append(part, line)
	}
	parts = append(parts, part)
	for i, p := range parts {
		text := masked(p)
		switch {
		case len(parts) == 1:
			return rest == text
		case i == 0:
			if !strings.HasPrefix(rest, text) {
				return false
			}
			rest = rest[len(text):]
		case i == len(parts)-1:
			return strings.HasSuffix(rest, text)
		default:
			at := strings.Index(rest, text)
			if at < 0 {
				return false
			}
			rest = rest[at+len(text):]
		}
	}
	return true
}

// sameWords is [same] of output whose lines come in another order each time.
func sameWords(want, got []string) bool {
	a, b := strings.Fields(masked(want)), strings.Fields(masked(got))
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		want, got string
		same      bool
	}{
		{"ok 2  changed 0\nin 0.1 s", "ok 2 changed 0\nin 12.3 s", true},
		{"ok 2  changed 0\nin 0.1 s", "ok 3  changed 0\nin 0.1 s", false},
		{"a\n…\nd", "a\nb\nc\nd", true},
		{"a\n…\nc\n…\nd", "a\nb\nc\nd", true},
		{"a\n…\nx\n…\nd", "a\nb\nc\nd", false},
		{"a\n…", "b\na", false},
		{"…\nd", "a\nd\ne", false},
		{"run 20261123-204921", "run 20260101-000000-002", true},
		{"in 3 m 20 s", "in 0.5 s", true},
		{"  ok  new  service: reload ssh   1.2 s\n  done", "  ok  new  service: reload\n    ssh\n  done", true},
		{"copy 275 messages", "copy 276 messages", false},
	} {
		if got := same(strings.Split(c.want, "\n"), strings.Split(c.got, "\n")); got != c.same {
			t.Errorf("same(%q, %q) = %v", c.want, c.got, got)
		}
	}
}
