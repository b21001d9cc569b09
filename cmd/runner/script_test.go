package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"runner/runtime/run"
	"runner/runtime/transport/sshtest"
)

var update = flag.Bool("update", false, "write what came out into the scripts of testdata")

// TestMain makes this test the program runner as well, for the scripts. It is away from the terminal of whoever tests, because
// runner asks there; a script that wants a terminal gives it one of its own (ttyin), and then is the first of its session already.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"runner": func() {
		_, _ = syscall.Setsid()
		main()
	}})
}

// TestScripts plays what operators do. Beside the commands of testscript a script has
//
//	run CODE ARGS…   runs runner, wants the exit code, and writes what it said into the files out and err, with what
//	                 differs from run to run (times, run ids, ports) replaced
//	tidy             writes such files of what the last exec or wait said
//	fill FILES…      replaces ${NAME} in files by the environment: $WORK, $PORT, $KEY and $KNOWN of a real ssh server in the test
//	until FILE       waits until the file is there
//	logged TEXT      waits until a journal in .runner has the text
//	asked TEXT       waits until the run that is going on waits for the answer to a question with the text
//	watch WORD       looks for a word in what all processes have as command line and environment, until nowhere wants that it was not found;
//	                 seen N waits until that was N times
//	forget FILES…    removes files that must be there
func TestScripts(t *testing.T) { runScripts(t, "testdata/script", nil) }

// runScripts plays the scripts of a folder. more is what their environment has besides; a value that is empty is missing here, and
// conditions say so.
func runScripts(t *testing.T, dir string, more map[string]string) {
	server := sshtest.Start(t, sshtest.Options{})
	other := sshtest.Start(t, sshtest.Options{})
	host, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	root := scriptRoot(t)
	changed := changedKey(t, root, server.Known, other.Known)
	testscript.Run(t, testscript.Params{
		Dir: dir, WorkdirRoot: root, UpdateScripts: *update, Deadline: time.Now().Add(5 * time.Minute), // of commands that hang
		RequireExplicitExec: true, RequireUniqueNames: true,
		Condition: func(name string) (bool, error) {
			value, ok := more[map[string]string{"tmpfs": "FULL", "mariadb": "SOCKET"}[name]]
			if !ok {
				return false, fmt.Errorf("there is no condition %s", name)
			}
			return value != "", nil
		},
		Setup: func(e *testscript.Env) error {
			e.Values[leakKey{}] = &leakHolder{}
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // each program under the race detector would end a second later
			e.Setenv("ADDRESS", host)
			e.Setenv("PORT", port)
			e.Setenv("CLOSED", closedPort(t))
			e.Setenv("KEY", server.KeyFile)
			e.Setenv("KNOWN", server.Known)
			e.Setenv("CHANGED", changed)
			for name, value := range more {
				e.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"logged": loggedCommand, "asked": askedCommand, "watch": watchCommand, "seen": seenCommand, "nowhere": nowhereCommand,
			"run": runCommand, "tidy": tidyCommand, "fill": fillCommand, "until": untilCommand,
			"forget": func(ts *testscript.TestScript, _ bool, files []string) {
				for _, f := range files {
					ts.Check(os.Remove(ts.MkAbs(f)))
				}
			},
		},
	})
}

// scriptRoot is a folder whose path has the same length each time, because text is folded where a line is full.
func scriptRoot(t *testing.T) string {
	t.Helper()
	for n := os.Getpid(); ; n++ {
		dir := filepath.Join("/tmp", fmt.Sprintf("rt%08d", n))
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
}

// changedKey is a known_hosts file that holds another key for a server than the one it shows.
func changedKey(t *testing.T, dir, known, other string) string {
	t.Helper()
	name, _, _ := strings.Cut(readFile(t, known), " ")
	_, key, _ := strings.Cut(readFile(t, other), " ")
	path := filepath.Join(dir, "changed")
	if err := os.WriteFile(path, []byte(name+" "+key), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// closedPort is one on which nothing listens.
func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func runCommand(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: run CODE ARGS…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec("runner", args[1:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("runner could not be run: %v", err)
		}
		code = exit.ExitCode()
	}
	tidyCommand(ts, false, nil)
	if code != want {
		ts.Fatalf("runner ended with %d, not with %d", code, want)
	}
}

// changing is what differs from run to run.
var changing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b\d{8}-\d{6}(-\d{3})?\b`), "RUN"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?\b`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d\b`), "TIME"},
	{regexp.MustCompile(` *\b\d+(\.\d)? s\b`), " T s"},
	{regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`), "SHA256:KEY"},
	{regexp.MustCompile(`/tmp/rt\d+`), "ROOT"},
	{regexp.MustCompile(`(process) \d+`), "$1 PID"},
}

func tidyCommand(ts *testscript.TestScript, _ bool, _ []string) {
	for from, to := range map[string]string{"stdout": "out", "stderr": "err"} {
		text := ts.ReadFile(from)
		for _, name := range []string{"WORK", "PORT", "CLOSED", "SILENT", "SMTP", "STRICT", "BARE", "FULL", "SOCKET"} {
			if value := ts.Getenv(name); value != "" {
				text = strings.ReplaceAll(text, value, "$"+name)
			}
		}
		list := strings.Join(stockNames(stock()), ", ")
		text = strings.NewReplacer("(there are: "+list+")", "(there are: STOCK)", "("+list+")", "(STOCK)").Replace(text)
		for _, c := range changing {
			text = c.pattern.ReplaceAllString(text, c.with)
		}
		ts.Check(os.WriteFile(ts.MkAbs(to), []byte(text), 0o600))
	}
}

func fillCommand(ts *testscript.TestScript, _ bool, files []string) {
	for _, f := range files {
		text := os.Expand(ts.ReadFile(f), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(f), []byte(text), 0o600))
	}
}

func untilCommand(ts *testscript.TestScript, _ bool, files []string) {
	for _, f := range files {
		await(ts, f, func() bool {
			_, err := os.Stat(ts.MkAbs(f))
			return err == nil
		})
	}
}

func loggedCommand(ts *testscript.TestScript, _ bool, args []string) {
	await(ts, args[0], func() bool {
		journals, err := filepath.Glob(ts.MkAbs(".runner/runs/*.jsonl"))
		ts.Check(err)
		for _, j := range journals {
			if text, err := os.ReadFile(j); err == nil && strings.Contains(string(text), args[0]) {
				return true
			}
		}
		return false
	})
}

func askedCommand(ts *testscript.TestScript, _ bool, args []string) {
	state := run.State{Dir: ts.MkAbs(".runner")}
	await(ts, args[0], func() bool {
		r, err := state.Send(context.Background(), run.Request{Do: "status"})
		return err == nil && strings.Contains(r.Standing.Question, args[0])
	})
}

func await(ts *testscript.TestScript, what string, so func() bool) {
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("%s has not come", what)
		}
	}
}
