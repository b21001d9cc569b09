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
	Hosts    int    // how many there were
	Left     int    // how many were not begun
	Why      string // why not; empty: the run was stopped
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
		fmt.Fprintf(&b, " (%d not begun%s)", e.Left, e.Why)
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

// each is each(hosts, fn) and each(hosts, { forks = …, serial = …, max_failures = … }, fn): fn runs for all hosts at once, each on a
// thread of Lua of its own. It returns the list of what fn returned, true for nothing. A failure of one host does not stop the others.
func (r *Recipe) each(l *lua.LState) int {
	t := r.inTask(l, "each")
	f := r.readFleet(l)
	c := EachCall{At: r.where(l), Hosts: f.names, Body: r.textOf(f.fn), Keep: t.keep}
	if err := r.guarded(func() error { f.take(t.engine, t, c); return nil }); err != nil {
		return r.raise(l, err)
	}
	if err := r.restore(f); err != nil {
		return r.raise(l, err)
	}
	if t.keep {
		f.before = r.reach(f.fn)
	}
	below := t.below(l)
	below.keep = false // what is inside of it begins anew with its host
	r.unlocked(func() { r.runFleet(below, f) })
	failed := f.ended()
	switch {
	case t.Err() != nil:
		return r.stop(l)
	case f.final != nil:
		return r.raise(l, f.final)
	case len(failed.Failures) > 0:
		return r.raise(l, r.eachError(failed))
	}
	list := l.NewTable()
	for i, v := range f.results {
		list.RawSetInt(i+1, v)
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

// restore makes values of Lua of what fn returned when the run was at work before.
func (r *Recipe) restore(f *fleet) error {
	for i, v := range f.kept {
		value, err := r.value(v)
		if err != nil {
			return fmt.Errorf("cannot bring back what each returned for %s: %w", f.names[i], err)
		}
		f.results[i] = value
	}
	return nil
}

// runFleet runs one batch after the other, and tells which hosts were not begun.
func (r *Recipe) runFleet(t *thread, f *fleet) {
	sizes := batches(f.serial, f.all, len(f.undone))
	next := 0
	for n, size := range sizes {
		batch := f.undone[next : next+size]
		if len(sizes) > 1 {
			f.account.Batch(n+1, len(sizes), f.namesOf(batch))
		}
		begun := r.runBatch(t, f, batch)
		next += begun
		if begun < size || t.Err() != nil || f.enough() || f.batchFailed(batch) {
			break
		}
	}
	f.left = f.undone[next:]
	f.account.End(f.namesOf(f.left), f.why)
}

// runBatch starts a goroutine per host, as many at a time as there are forks, and waits for all. It says how many were begun.
func (r *Recipe) runBatch(t *thread, f *fleet, batch []int) (begun int) {
	slots := make(chan struct{}, f.forks)
	var wait sync.WaitGroup
	defer wait.Wait()
	for _, i := range batch {
		select {
		case slots <- struct{}{}:
		case <-t.Done():
		}
		if t.Err() != nil || f.enough() {
			break
		}
		begun++
		wait.Go(func() {
			defer func() { <-slots }()
			end := f.account.Begin(f.names[i])
			o := r.runHost(t, f, i)
			f.note(o.Err)
			end(o)
		})
	}
	return begun
}

func (r *Recipe) runHost(t *thread, f *fleet, i int) (o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	results, failure := r.call(t, f.fn, f.hosts[i])
	if failure != nil {
		f.failures[i] = failure.err
		return Outcome{Err: failure.err}
	}
	f.results[i] = lua.LTrue
	if len(results) > 0 && results[0] != lua.LNil {
		f.results[i] = results[0]
	}
	if f.before.known {
		o.Result, o.Keep = r.keepable(f.results[i])
		after := r.reach(f.fn)
		o.Keep = o.Keep && after.known && after.outside == f.before.outside
		o.Saved = after.saved != f.before.saved
	}
	return o
}

// keepable is the result of a host as the journal keeps it, when that gives back the same.
func (r *Recipe) keepable(v lua.LValue) (any, bool) {
	x := export{reveal: func(*secret) (any, error) { return nil, errors.New("a secret cannot be kept") }}
	value, err := x.value("it", v)
	return value, err == nil && checkKept("it", value) == nil
}
