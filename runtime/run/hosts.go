package run

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"runner/runtime/module"
)

// HostResult is what became of the steps of one host.
type HostResult struct {
	Host   string  `json:"host"`
	Counts Counts  `json:"counts"`
	Took   float64 `json:"took,omitempty"` // seconds, of its steps
	Error  string  `json:"error,omitempty"`
	Left   bool    `json:"left,omitempty"` // each(hosts, fn) did not begin it
}

// Failed says that something failed on the host, or that it could not be reached.
func (h HostResult) Failed() bool { return h.Counts.Failed+h.Counts.Unreachable > 0 }

// hostTable are the results by host.
type hostTable map[string]*HostResult

func (t hostTable) row(name string) *HostResult {
	if t[name] == nil {
		t[name] = &HostResult{Host: name}
	}
	return t[name]
}

// add enters the end of a step at each of its hosts.
func (t hostTable) add(e Event) {
	for _, name := range e.Hosts {
		row := t.row(name)
		row.Counts.add(e.Status)
		row.Took += e.Took
		row.Left = false
		if row.Error == "" {
			row.Error = e.Error
		}
	}
}

// list is the table in the order of names, 2 before 10.
func (t hostTable) list() []HostResult {
	list := make([]HostResult, 0, len(t))
	for _, row := range t {
		list = append(list, *row)
	}
	slices.SortFunc(list, func(a, b HostResult) int { return naturally(a.Host, b.Host) })
	return list
}

// hostCounts are the steps of a host so far.
func (e *engine) hostCounts(name string) Counts {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.byHost.row(name).Counts
}

// hostFailed enters what failed for a host in each(hosts, fn), unless one of its steps has told it.
func (e *engine) hostFailed(name string, err error) {
	var f *Failure
	if errors.As(err, &f) && slices.Contains(f.Hosts, name) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	row := e.byHost.row(name)
	row.Counts.add(module.Failed)
	if row.Error == "" {
		row.Error = err.Error()
	}
}

// notBegun enters hosts that no step was begun on.
func (e *engine) notBegun(names []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range names {
		if row := e.byHost.row(name); row.Counts == (Counts{}) {
			row.Left = true
		}
	}
}

// hostResults are the results of the session.
func (e *engine) hostResults() []HostResult {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.byHost.list()
	return slices.DeleteFunc(list, func(h HostResult) bool { return !h.Left && h.Counts == (Counts{}) })
}

// Hosts are the results of a run by host, over all its sessions. What failed and was done later is no failure.
func (r *Record) Hosts() []HostResult {
	t := hostTable{}
	for _, e := range r.Events {
		switch {
		case e.Check || e.Undo:
		case e.Kind == StepEnd:
			t.forgive(e)
			t.add(e)
		case e.Kind == HostEnd:
			t.forgive(e)
		case e.Kind == RunEnd:
			for _, h := range e.PerHost {
				// What failed without a step, and what was not begun, stands nowhere else.
				row := t.row(h.Host)
				row.Left = h.Left && row.Counts == (Counts{})
				if h.Failed() && !row.Failed() {
					row.Counts.Failed, row.Error = h.Counts.Failed, h.Error
				}
			}
		}
	}
	return t.list()
}

// forgive forgets the failures of hosts on which something went well afterwards.
func (t hostTable) forgive(e Event) {
	if e.Status != module.OK && e.Status != module.Changed {
		return
	}
	for _, name := range e.Hosts {
		row := t.row(name)
		row.Counts.Failed, row.Counts.Unreachable, row.Error, row.Left = 0, 0, "", false
	}
}

// naturally compares names such that web2 comes before web10.
func naturally(a, b string) int {
	for x, y := a, b; x != "" && y != ""; {
		p, q := chunk(x), chunk(y)
		if order := compareChunks(p, q); order != 0 {
			return order
		}
		x, y = x[len(p):], y[len(q):]
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// chunk is what a name begins with: digits, or no digits.
func chunk(s string) string {
	digits := isDigit(s[0])
	for i := range len(s) {
		if isDigit(s[i]) != digits {
			return s[:i]
		}
	}
	return s
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func compareChunks(a, b string) int {
	if isDigit(a[0]) && isDigit(b[0]) {
		x, y := strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y), cmp.Compare(len(a), len(b)))
	}
	return strings.Compare(a, b)
}
