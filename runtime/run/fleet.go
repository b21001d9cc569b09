package run

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

// workKey tells the calls of each in a task apart: by their order, and by the text of their function, so that a host which is done with
// one text is not taken for done with another.
type workKey struct {
	TaskName
	Each int
	Body string
}

// hostDone is a host that need not be taken again when the run goes on.
type hostDone struct {
	result any
}

// account keeps account of one call of each(hosts, fn). It implements [recipe.Fleet].
type account struct {
	*engine
	call recipe.EachCall
	base Event
	done map[string]hostDone
	keep bool // what is done is written down, so that going on does not take it again

	mu      sync.Mutex
	failed  []string
	stopped []string
	again   int // hosts that are done and will be taken again all the same
}

// Each begins the account of a call of each(hosts, fn).
func (e *engine) Each(_ context.Context, c recipe.EachCall) recipe.Fleet {
	a := &account{engine: e, call: c, base: e.event("")}
	a.base.At = &c.At
	s := e.scoped()
	a.keep = c.Keep && !s.handler && !s.undo
	if c.Keep {
		a.base.Each = e.nextEach()
		a.base.Body = c.Body
	}
	if a.keep && !e.afresh {
		a.done = e.hostsDone(workKey{TaskName{s.phase, s.task}, a.base.Each, c.Body})
	}
	a.started()
	return a
}

func (e *engine) scoped() scope {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.scope
}

func (e *engine) nextEach() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scope.eaches++
	return e.scope.eaches
}

func (a *account) event(kind Kind) Event {
	e := a.base
	e.Kind = kind
	return e
}

func (a *account) started() {
	e := a.event(EachStart)
	n := 0
	var out []string
	for _, h := range a.call.Hosts {
		switch _, done := a.done[string(h)]; {
		case a.outside(h):
			out = append(out, string(h))
		case done:
			n++
		default:
			e.Hosts = append(e.Hosts, string(h))
		}
	}
	var notes []string
	if len(out) > 0 {
		notes = append(notes, fmt.Sprintf("not in --limit %s: %s", a.limit, someOf(out)))
	}
	if n > 0 {
		notes = append(notes, fmt.Sprintf("done before, and not taken again: %d of %s", n, plural(n+len(e.Hosts), "host")))
	}
	e.Note = strings.Join(notes, "; ")
	a.tell.tell(e)
}

// Take says whether a host is to be taken.
func (a *account) Take(h module.HostName) (result any, take bool) {
	if a.outside(h) {
		return recipe.Outside, false
	}
	done, ok := a.done[string(h)]
	return done.result, !ok
}

// Batch tells which hosts are next.
func (a *account) Batch(n, of int, hosts []module.HostName) {
	e := a.event(Batch)
	e.Hosts = textsOf(hosts)
	e.Text = fmt.Sprintf("batch %d of %d: %s", n, of, someOf(e.Hosts))
	a.tell.tell(e)
}

// Begin tells that a host is begun.
func (a *account) Begin(h module.HostName) func(recipe.Outcome) {
	began, before := a.tell.now(), a.hostCounts(string(h))
	return func(o recipe.Outcome) { a.ended(string(h), o, began, before) }
}

func (a *account) ended(name string, o recipe.Outcome, began time.Time, before Counts) {
	e := a.event(HostEnd)
	e.Hosts = []string{name}
	e.Took = a.tell.now().Sub(began).Seconds()
	e.Status = statusOf(o.Err, a.hostCounts(name).minus(before))
	if o.Err != nil && a.stop.asked() != nil {
		e.Status = Stopped
	}
	switch {
	case o.Err == nil:
		a.finished(&e, o)
	case e.Status == Stopped:
		a.mu.Lock()
		a.stopped = append(a.stopped, name)
		a.mu.Unlock()
	default:
		e.Error = o.Err.Error()
		a.failedHost(name, o.Err)
	}
	a.tell.tell(e)
}

// finished says that a host need not be taken again, if that would be the same as taking it.
func (a *account) finished(e *Event, o recipe.Outcome) {
	if !a.keep || a.check {
		return
	}
	if !o.Keep || !reflect.DeepEqual(a.tell.mask.value(o.Result), o.Result) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.again++
		return
	}
	e.Done, e.NeedsSaved, e.Result = true, o.Saved, o.Result
}

func (a *account) failedHost(name string, err error) {
	a.mu.Lock()
	a.failed = append(a.failed, name)
	a.mu.Unlock()
	a.hostFailed(name, err)
}

// End tells how it ended: which hosts failed, and which were not begun.
func (a *account) End(left []module.HostName, why string) {
	e := a.event(EachEnd)
	e.Left = textsOf(left)
	a.mu.Lock()
	defer a.mu.Unlock()
	slices.SortFunc(a.failed, naturally)
	e.Hosts = a.failed
	e.Status = module.OK
	var parts []string
	if len(a.failed) > 0 {
		e.Status = module.Failed
		parts = append(parts, fmt.Sprintf("%d of %d hosts failed: %s", len(a.failed), len(a.call.Hosts), someOf(a.failed)))
	}
	if len(a.stopped) > 0 {
		e.Status = Stopped
		slices.SortFunc(a.stopped, naturally)
		parts = append(parts, fmt.Sprintf("%d stopped: %s", len(a.stopped), someOf(a.stopped)))
	}
	if len(left) > 0 {
		if e.Status == module.OK {
			e.Status = Stopped
		}
		a.notBegun(e.Left)
		parts = append(parts, fmt.Sprintf("%d not begun%s: %s", len(left), why, someOf(e.Left)))
	}
	if len(parts) > 0 && a.keep && !a.check {
		parts = append(parts, a.standing())
	}
	e.Text = strings.Join(parts, "; ")
	a.tell.tell(e)
}

// standing says which hosts are taken when the run goes on.
func (a *account) standing() string {
	switch {
	case a.again == 1:
		return fmt.Sprintf("%s takes these and %d that is done, since its function changes a variable outside of it", a.goOn, a.again)
	case a.again > 1:
		return fmt.Sprintf("%s takes these and %d that are done, since their function changes a variable outside of it", a.goOn, a.again)
	}
	return a.goOn + " takes these and no others"
}

func textsOf(hosts []module.HostName) []string {
	var list []string
	for _, h := range hosts {
		list = append(list, string(h))
	}
	return list
}

// someOf names some of many.
func someOf(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
