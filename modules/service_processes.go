package modules

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"runner/runtime/host"
)

// process is a running program of a host.
type process struct {
	pid    int
	parent int
	name   string // as the kernel keeps it: at most 15 bytes (proc(5), /proc/PID/status)
	exe    string // path of the program; empty for kernel threads and where only root may look
}

func (p process) title() string {
	if p.exe != "" {
		return path.Base(p.exe)
	}
	return p.name
}

// processTable prints what listProcesses reads: the shell's own number, then lines of grep and of find. Linux 2.6.26 has no
// /proc/PID/comm, so the name is taken from status; where namespaces are unknown (before 3.8) nothing is said of them.
const processTable = `echo "self $$"
grep -sE '^(Name|State|PPid):' /proc/[0-9]*/status
find /proc/[0-9]*/exe /proc/[0-9]*/ns/pid -maxdepth 0 -printf '%p %l\n' 2>/dev/null
:`

// findProcesses lists the processes whose program is named by one of the patterns: a name, a whole path, or a folder with a
// slash at the end. The process that asks, and those it hangs from, are never among them, nor are those of containers.
func findProcesses(ctx context.Context, v *host.View, patterns []string) ([]process, error) {
	out, err := v.QueryScript(ctx, processTable)
	if err != nil {
		return nil, fmt.Errorf("cannot list the processes of %s: %w", v.Name(), why(err))
	}
	var found []process
	for _, p := range listProcesses(out.Stdout) {
		if slices.ContainsFunc(patterns, p.matches) {
			found = append(found, p)
		}
	}
	return found, nil
}

func (p process) matches(pattern string) bool {
	switch {
	case strings.HasSuffix(pattern, "/"):
		return strings.HasPrefix(p.exe, pattern)
	case strings.HasPrefix(pattern, "/"):
		return p.exe == pattern
	}
	return p.exe != "" && path.Base(p.exe) == pattern || p.name == pattern[:min(15, len(pattern))]
}

// listProcesses reads the output of processTable.
func listProcesses(text string) []process {
	self, table := 0, map[int]*process{}
	spaces, zombie := map[int]string{}, map[int]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "self "); ok {
			self, _ = strconv.Atoi(rest)
			continue
		}
		rest, ok := strings.CutPrefix(line, "/proc/")
		if !ok {
			continue
		}
		number, rest, _ := strings.Cut(rest, "/")
		pid, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		p := table[pid]
		if p == nil {
			p = &process{pid: pid}
			table[pid] = p
		}
		switch field, value := cutField(rest); field {
		case "Name":
			p.name = value
		case "State":
			zombie[pid] = strings.HasPrefix(value, "Z") || strings.HasPrefix(value, "X")
		case "PPid":
			p.parent, _ = strconv.Atoi(value)
		case "exe":
			p.exe = strings.TrimSuffix(value, " (deleted)")
		case "ns":
			spaces[pid] = value
		}
	}
	own := family(table, self)
	var list []process
	for pid, p := range table {
		elsewhere := spaces[self] != "" && spaces[pid] != "" && spaces[pid] != spaces[self]
		if p.name != "" && !zombie[pid] && !own[pid] && !elsewhere {
			list = append(list, *p)
		}
	}
	slices.SortFunc(list, func(a, b process) int { return a.pid - b.pid })
	return list
}

// cutField splits "status:Name:\timap", "exe /usr/lib/dovecot/imap" and "ns/pid pid:[4026531836]".
func cutField(rest string) (field, value string) {
	if kv, ok := strings.CutPrefix(rest, "status:"); ok {
		field, value, _ = strings.Cut(kv, ":")
		return field, strings.TrimSpace(value)
	}
	if value, ok := strings.CutPrefix(rest, "exe "); ok {
		return "exe", value
	}
	if value, ok := strings.CutPrefix(rest, "ns/pid "); ok {
		return "ns", value
	}
	return "", ""
}

// family is the process that asks with its ancestors and its descendants.
func family(table map[int]*process, self int) map[int]bool {
	own := map[int]bool{}
	for pid := self; pid > 0 && !own[pid]; {
		own[pid] = true
		p := table[pid]
		if p == nil {
			break
		}
		pid = p.parent
	}
	for pid := range table {
		seen := map[int]bool{}
		for at := pid; at > 0 && !seen[at]; {
			if at == self {
				own[pid] = true
			}
			seen[at] = true
			p := table[at]
			if p == nil {
				break
			}
			at = p.parent
		}
	}
	return own
}

const endScript = `for pid; do kill -TERM "$pid" 2>/dev/null; done; :`

// endProcesses sends SIGTERM to those that have not had it yet. One that has ended in the meantime is no error.
func endProcesses(ctx context.Context, h *host.Host, list []process, asked map[int]bool) error {
	var pids []string
	for _, p := range list {
		if !asked[p.pid] {
			asked[p.pid] = true
			pids = append(pids, strconv.Itoa(p.pid))
		}
	}
	if len(pids) == 0 {
		return nil
	}
	_, err := h.RunCommand(ctx, host.Script(endScript, pids...))
	return err
}

func describeProcesses(list []process) string {
	const most = 5
	var words []string
	for i, p := range list {
		if i == most {
			words = append(words, fmt.Sprintf("%d more", len(list)-most))
			break
		}
		words = append(words, fmt.Sprintf("%s %d", p.title(), p.pid))
	}
	return strings.Join(words, ", ")
}
