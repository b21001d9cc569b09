package recipe

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// HostFailure is what failed for one host of each(hosts, fn).
type HostFailure struct {
	Host module.HostName
	Err  error
}

// EachError says for which hosts each(hosts, fn) failed. What failed is found in it with errors.As.
type EachError struct {
	Failures []HostFailure
	Hosts    int // how many there were
	Left     int // how many were not begun
}

func (e *EachError) Error() string {
	// The same failure of many hosts is told once.
	var texts []string
	hosts := map[string][]string{}
	for _, f := range e.Failures {
		text := messageOf(f.Err)
		if len(hosts[text]) == 0 {
			texts = append(texts, text)
		}
		hosts[text] = append(hosts[text], string(f.Host))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "cannot finish %d of %d hosts", len(e.Failures), e.Hosts)
	if e.Left > 0 {
		fmt.Fprintf(&b, " (%d not begun)", e.Left)
	}
	for i, text := range texts {
		names := hosts[text]
		const most = 5
		more := ""
		if len(names) > most {
			names, more = names[:most], fmt.Sprintf(" and %d more", len(names)-most)
		}
		fmt.Fprintf(&b, "%s%s%s: %s", map[bool]string{true: ": ", false: "; "}[i == 0], strings.Join(names, ", "), more, text)
	}
	return b.String()
}

func (e *EachError) Unwrap() []error {
	errs := make([]error, len(e.Failures))
	for i, f := range e.Failures {
		errs[i] = f.Err
	}
	return errs
}

// fleet is one call of each(hosts, fn).
type fleet struct {
	names       []module.HostName
	hosts       []lua.LValue
	fn          *lua.LFunction
	forks       int
	maxFailures int // begin no more hosts when more than these failed; -1: no bound
}

// each is each(hosts, fn) and each(hosts, { forks = …, max_failures = … }, fn): fn runs for all hosts at once, each on a thread of
// Lua of its own. It returns the list of what fn returned, true for nothing. A failure of one host does not stop the others.
func (r *Recipe) each(l *lua.LState) int {
	t := r.inTask(l, "each")
	f := r.readFleet(l)
	results := make([]lua.LValue, len(f.names))
	failures := make([]error, len(f.names))
	r.unlocked(func() { r.runFleet(t.below(l), f, results, failures) })
	failed := &EachError{Hosts: len(f.names)}
	var final error
	list := l.NewTable()
	for i, name := range f.names {
		switch {
		case failures[i] != nil:
			failed.Failures = append(failed.Failures, HostFailure{name, failures[i]})
			if isFinal(failures[i]) && final == nil {
				final = failures[i]
			}
		case results[i] == nil:
			failed.Left++
		default:
			list.RawSetInt(i+1, results[i])
		}
	}
	switch {
	case t.Err() != nil:
		return r.stop(l)
	case final != nil:
		return r.raise(l, final)
	case len(failed.Failures) > 0:
		return r.raise(l, r.eachError(failed))
	}
	l.Push(list)
	return 1
}

// eachError stands at the line that failed when all hosts failed there, else at the call of each.
func (r *Recipe) eachError(failed *EachError) error {
	var at *Error
	for i, f := range failed.Failures {
		var e *Error
		if !errors.As(f.Err, &e) || i > 0 && e.At != at.At {
			return failed
		}
		at = e
	}
	return &Error{At: at.At, Line: at.Line, Trace: at.Trace, What: failed.Error(), Err: failed}
}

// runFleet starts a goroutine per host, as many at a time as there are forks, and waits for all.
func (r *Recipe) runFleet(t *thread, f fleet, results []lua.LValue, failures []error) {
	slots := make(chan struct{}, f.forks)
	var wait sync.WaitGroup
	var mu sync.Mutex
	failed := 0
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return f.maxFailures >= 0 && failed > f.maxFailures
	}
	for i := range f.names {
		select {
		case slots <- struct{}{}:
		case <-t.Done():
		}
		if t.Err() != nil || enough() {
			break
		}
		wait.Go(func() {
			defer func() { <-slots }()
			results[i], failures[i] = r.runHost(t, f, i)
			if failures[i] != nil {
				mu.Lock()
				defer mu.Unlock()
				failed++
			}
		})
	}
	wait.Wait()
}

func (r *Recipe) runHost(t *thread, f fleet, i int) (lua.LValue, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	results, failure := r.call(t, f.fn, f.hosts[i])
	switch {
	case failure != nil:
		return nil, failure.err
	case len(results) == 0 || results[0] == lua.LNil:
		return lua.LTrue, nil
	}
	return results[0], nil
}

func (r *Recipe) readFleet(l *lua.LState) fleet {
	const form = "each(hosts, function(host) … end)"
	list, ok := l.Get(1).(*lua.LTable)
	if !ok {
		if _, one := hostOf(l.Get(1)); one {
			r.mistake(l, "cannot run each: its hosts are one host; put it into a list, each({ host }, …)")
		}
		r.mistake(l, "cannot run each: its hosts are %s; the form is %s", shown(l.Get(1)), form)
	}
	fn, ok := l.Get(l.GetTop()).(*lua.LFunction)
	if !ok || l.GetTop() < 2 || l.GetTop() > 3 {
		r.mistake(l, "cannot run each: the form is %s", form)
	}
	f := fleet{fn: fn, forks: r.options.Forks, maxFailures: -1}
	if f.forks <= 0 {
		f.forks = DefaultForks
	}
	if l.GetTop() == 3 {
		r.fleetOptions(l, &f)
	}
	k, err := keysOf("the list of hosts", list)
	if err != nil || k.names != nil {
		r.mistake(l, "cannot run each: its hosts must be a list of hosts, such as groups.web or { hosts.a, hosts.b }")
	}
	for i := 1; i <= k.numbers; i++ {
		name, ok := hostOf(list.RawGetInt(i))
		if !ok {
			r.mistake(l, "cannot run each: item %d of its hosts is %s, not a host", i, shown(list.RawGetInt(i)))
		}
		f.names, f.hosts = append(f.names, name), append(f.hosts, list.RawGetInt(i))
	}
	return f
}

func (r *Recipe) fleetOptions(l *lua.LState, f *fleet) {
	o, ok := l.Get(2).(*lua.LTable)
	if !ok {
		r.mistake(l, "cannot run each: its options are a table, { forks = 5, max_failures = 1 }, not %s", shown(l.Get(2)))
	}
	read := fieldsReader{what: "each", table: o}
	read.known("forks", "max_failures")
	f.forks = read.count("forks", f.forks, 1)
	f.maxFailures = read.count("max_failures", f.maxFailures, 0)
	if read.err != nil {
		r.raise(l, errors.New(strings.Replace(read.err.Error(), "cannot declare", "cannot run", 1)))
	}
}

// count is a whole number that is at least the given one.
func (f *fieldsReader) count(name string, otherwise, least int) int {
	switch v := f.table.RawGetString(name).(type) {
	case *lua.LNilType:
	case lua.LNumber:
		if n := int(v); lua.LNumber(n) == v && n >= least {
			return n
		}
		f.fail("%s must be a whole number from %d up, not %s", name, least, v)
	default:
		f.fail("%s must be a number, not %s", name, shown(v))
	}
	return otherwise
}
