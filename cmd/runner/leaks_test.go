package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// leakWatch looks again and again at the command lines and environments of all processes of this machine, which is also where the
// hosts of the scripts run.
type leakWatch struct {
	mu    sync.Mutex
	looks int
	found []string
	stop  chan struct{}
	done  chan struct{}
}

type leakKey struct{}

// watchCommand begins to look for a word; "seen N" waits until it has looked N times more, "nowhere" ends it and wants no find.
func watchCommand(ts *testscript.TestScript, _ bool, args []string) {
	w := &leakWatch{stop: make(chan struct{}), done: make(chan struct{})}
	ts.Value(leakKey{}).(*leakHolder).watch = w
	go w.run([]byte(args[0]))
	ts.Defer(w.end)
}

type leakHolder struct{ watch *leakWatch }

func (w *leakWatch) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	<-w.done
}

func (w *leakWatch) run(word []byte) {
	defer close(w.done)
	for {
		found := lookAtProcesses(word)
		w.mu.Lock()
		w.looks++
		w.found = append(w.found, found...)
		w.mu.Unlock()
		select {
		case <-w.stop:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func lookAtProcesses(word []byte) (found []string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		line, err := os.ReadFile(dir + "/cmdline")
		if err != nil {
			continue // it has ended
		}
		if bytes.Contains(line, word) {
			found = append(found, fmt.Sprintf("command line of %s: %q", dir, line))
		}
		program, _, _ := bytes.Cut(line, []byte{0})
		environ, err := os.ReadFile(dir + "/environ")
		if err != nil || !bytes.Contains(environ, word) || ofTheOperator(dir, program) {
			continue
		}
		found = append(found, fmt.Sprintf("environment of %s: %q", dir, line))
	}
	return found
}

// ofTheOperator says that a process got its environment from the operator and not from the run: the runner, or what the script itself
// starts. All others have a runner above them or are the hosts' own.
func ofTheOperator(dir string, program []byte) bool {
	if filepath.Base(string(program)) == "runner" {
		return true
	}
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return true // it has ended
	}
	// In proc_pid_stat(5) the parent is the second field after the name in parentheses.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	return len(fields) > 1 && string(fields[1]) == strconv.Itoa(os.Getpid())
}

func seenCommand(ts *testscript.TestScript, _ bool, args []string) {
	w := ts.Value(leakKey{}).(*leakHolder).watch
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	w.mu.Lock()
	from := w.looks
	w.mu.Unlock()
	await(ts, "the look at the processes", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.looks >= from+n
	})
}

func nowhereCommand(ts *testscript.TestScript, _ bool, _ []string) {
	w := ts.Value(leakKey{}).(*leakHolder).watch
	w.end()
	for _, f := range w.found {
		ts.Logf("%s", f)
	}
	if len(w.found) > 0 {
		ts.Fatalf("a secret was seen %d times", len(w.found))
	}
}
