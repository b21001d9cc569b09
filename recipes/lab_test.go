package recipes_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"runner/lab"
	"runner/lab/labtest"
	"runner/lab/proof"
)

// TestMain boots hosts.
func TestMain(m *testing.M) { labtest.Main(m) }

// program is the runner command, built once for all tests.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "runner-recipes")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "runner")
	out, err := exec.Command("go", "build", "-o", path, "runner/cmd/runner").CombinedOutput()
	if err != nil {
		return string(out), err
	}
	return path, nil
})

// move is a lab and what an operator has: the command, a site and a state directory.
type move struct {
	t      *testing.T
	lab    *lab.Lab
	binary string
	recipe string
	site   string
	state  string
	cache  string
}

// begin remembers what stands on the new server, which must be as it was in the end.
func begin(t *testing.T, l *lab.Lab, recipe string) *move {
	t.Helper()
	if err := proof.Remember(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	return operate(t, l, recipe)
}

// operate gives an operator of the lab what he needs.
func operate(t *testing.T, l *lab.Lab, recipe string) *move {
	t.Helper()
	binary, err := program()
	if err != nil {
		t.Fatalf("cannot build the command: %v\n%s", err, binary)
	}
	dir := t.TempDir()
	m := &move{
		t: t, lab: l, binary: binary, recipe: recipe, site: filepath.Join(l.Options.Dir, "site.lua"), state: filepath.Join(dir, "state"),
		// What other labs at the same addresses said of their names is none of this one's business.
		cache: filepath.Join(dir, "cache"),
	}
	if _, err := os.Stat(m.site); err != nil {
		t.Fatal(err)
	}
	return m
}

// run runs the recipe and returns what the operator sees and the exit status.
func (m *move) run(args ...string) (string, int) {
	m.t.Helper()
	return m.command(append(append([]string{"--site", m.site, "--state", m.state}, args...), m.recipe)...)
}

// command runs the command.
func (m *move) command(args ...string) (string, int) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.binary, args...)
	cmd.Env = m.environ()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		m.t.Fatalf("runner %s has not ended:\n%s", strings.Join(args, " "), &out)
	}
	if cmd.ProcessState == nil {
		m.t.Fatalf("cannot run runner %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func (m *move) environ() []string {
	return append(os.Environ(), "NO_COLOR=1", "COLUMNS=120", "XDG_CACHE_HOME="+m.cache)
}

// killed runs the recipe and kills it as soon as a line of the journal matches.
func (m *move) killed(line string, args ...string) {
	m.t.Helper()
	cmd := exec.CommandContext(m.t.Context(), m.binary, append(append([]string{"--site", m.site, "--state", m.state}, args...), m.recipe)...)
	cmd.Env = m.environ()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	pattern := regexp.MustCompile(line)
	for !m.journalHas(pattern) {
		select {
		case err := <-ended:
			m.t.Fatalf("runner %s ended before it was killed: %v\n%s", strings.Join(args, " "), err, &out)
		case <-time.After(50 * time.Millisecond):
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		m.t.Fatal(err)
	}
	<-ended
}

// must runs the recipe, which must succeed.
func (m *move) must(args ...string) string {
	m.t.Helper()
	out, status := m.run(args...)
	if status != 0 {
		m.t.Fatalf("runner %s: exit status %d\n%s", strings.Join(args, " "), status, out)
	}
	return out
}

var nothingChanged = regexp.MustCompile(`(?m)^ok \d+  changed 0  skipped 0  failed 0  unreachable 0$`)

// again runs the whole recipe once more, which must change nothing.
func (m *move) again() {
	m.t.Helper()
	if out := m.must("--yes", "--restart"); !nothingChanged.MatchString(out) {
		m.t.Errorf("the second run changed something:\n%s", out)
	}
}

// operator changes the MX records as soon as the recipe waits for it. It is called once, before the recipe is run.
func (m *move) operator(domains ...string) {
	m.when(`"event":"step_start".*"task":"Switch the MX records".*"module":"dns_check"`, func() {
		for _, domain := range domains {
			if err := m.lab.SetRecords(m.t.Context(), "mx", domain, 60, "mail-new.example.net"); err != nil {
				m.t.Error(err)
			}
		}
	})
}

// when does something as soon as a line of the journal matches.
func (m *move) when(line string, do func()) {
	pattern := regexp.MustCompile(line)
	ctx := m.t.Context()
	done := make(chan struct{})
	m.t.Cleanup(func() { <-done })
	go func() {
		defer close(done)
		for !m.journalHas(pattern) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
		do()
	}()
}

func (m *move) journalHas(pattern *regexp.Regexp) bool {
	files, _ := filepath.Glob(filepath.Join(m.state, "runs", "*.jsonl"))
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && pattern.Match(text) {
			return true
		}
	}
	return false
}

// proved holds the new server against the old one, by a program that trusts nothing that the runner reported.
func (m *move) proved() {
	m.t.Helper()
	report, err := proof.Run(m.t.Context(), m.lab, proof.Options{})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, difference := range report.Differences() {
		m.t.Errorf("not as on the old server: %v", difference)
	}
}
