package recipe

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// EachCall is one call of each(hosts, fn).
type EachCall struct {
	At    Position
	Hosts []module.HostName
	Body  string // sum of the text of fn: another text is another work
	Keep  bool   // it stands in the body of a task and in no other each, so that a host which is done need not be taken again
}

// Fleet keeps account of one call of each(hosts, fn). Its methods are called from the goroutines of the hosts.
type Fleet interface {
	// Take says whether a host is to be taken; if not, result is what each returns for it.
	Take(h module.HostName) (result any, take bool)
	// Batch tells which hosts are next, when there are several batches.
	Batch(n, of int, hosts []module.HostName)
	// Begin tells that fn is run for a host, end what came of it.
	Begin(h module.HostName) (end func(Outcome))
	// End tells which hosts were not begun, and why not.
	End(left []module.HostName, why string)
}

// Outcome is what became of one host.
type Outcome struct {
	Err    error
	Result any  // what fn returned, when Keep
	Keep   bool // the host need not be taken again: all that fn did is in the world, in Result and in the table `saved`
	Saved  bool // `saved` was changed meanwhile, so that it holds only together with what is kept of that
}

// noFleet keeps no account and takes all hosts.
type noFleet struct{}

func (noFleet) Take(module.HostName) (any, bool)          { return nil, true }
func (noFleet) Batch(int, int, []module.HostName)         {}
func (noFleet) Begin(module.HostName) (end func(Outcome)) { return func(Outcome) {} }
func (noFleet) End([]module.HostName, string)             {}

// fleet is one call of each(hosts, fn) while it runs.
type fleet struct {
	names  []module.HostName
	hosts  []lua.LValue
	fn     *lua.LFunction
	forks  int
	serial []share // sizes of the batches; the last one goes on; empty: all hosts are one batch
	most   *share  // begin no more hosts when more than these failed; nil: no bound

	account  Fleet
	kept     map[int]any // results of hosts that are not taken
	undone   []int       // those that are taken
	all      int         // how many hosts there are for shares of them
	before   reached     // what fn could reach when it began
	results  []lua.LValue
	failures []error
	left     []int
	why      string

	mu     sync.Mutex
	failed int
	final  error
}

// take asks which hosts are to be taken.
func (f *fleet) take(e Engine, ctx context.Context, c EachCall) {
	f.account = noFleet{}
	if a := e.Each(ctx, c); a != nil {
		f.account = a
	}
	f.kept = map[int]any{}
	f.results, f.failures = make([]lua.LValue, len(f.names)), make([]error, len(f.names))
	for i, name := range f.names {
		result, take := f.account.Take(name)
		switch {
		case take:
			f.undone = append(f.undone, i)
			f.all++
		default:
			f.kept[i] = result
			if result != Outside {
				f.all++
			}
		}
	}
}

// Outside is the result of a host that is left out by --limit.
const Outside = false

func (f *fleet) namesOf(hosts []int) []module.HostName {
	names := make([]module.HostName, len(hosts))
	for i, h := range hosts {
		names[i] = f.names[h]
	}
	return names
}

// note counts a failure. One that no pcall may catch ends the whole.
func (f *fleet) note(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed++
	if isFinal(err) && f.final == nil {
		f.final = err
	}
}

// enough says that no more hosts are to be begun.
func (f *fleet) enough() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.final != nil:
		return true
	case f.most != nil && f.failed > f.most.of(f.all):
		f.why = ", since more failed than max_failures = " + f.most.String()
		return true
	}
	return false
}

// batchFailed says that all hosts of a batch failed: then there is no sense in the next, whatever max_failures allows.
func (f *fleet) batchFailed(batch []int) bool {
	if len(f.serial) == 0 {
		return false
	}
	for _, i := range batch {
		if f.failures[i] == nil {
			return false
		}
	}
	f.why = ", since all of a batch failed"
	return true
}

// ended sums up what failed.
func (f *fleet) ended() *EachError {
	e := &EachError{Hosts: len(f.names), Left: len(f.left), Why: f.why}
	for i, name := range f.names {
		if f.failures[i] != nil {
			e.Failures = append(e.Failures, HostFailure{name, f.failures[i]})
		}
	}
	return e
}

// share is a number of hosts, or a part of all.
type share struct {
	number  float64
	percent bool
}

func (s share) String() string {
	text := strconv.FormatFloat(s.number, 'f', -1, 64)
	if s.percent {
		text = `"` + text + `%"`
	}
	return text
}

// of is the share of a number of hosts, in whole hosts.
func (s share) of(all int) int {
	if s.percent {
		return int(math.Floor(s.number*float64(all)/100 + 1e-9))
	}
	return int(s.number)
}

// batches are the sizes of the batches that are made of the hosts that are left. A batch has at least one host.
func batches(serial []share, all, left int) (sizes []int) {
	for n := 0; left > 0; n++ {
		size := left
		if len(serial) > 0 {
			size = min(max(serial[min(n, len(serial)-1)].of(all), 1), left)
		}
		sizes = append(sizes, size)
		left -= size
	}
	return sizes
}

func (r *Recipe) readFleet(l *lua.LState) *fleet {
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
	f := &fleet{fn: fn, forks: r.options.Forks}
	if f.forks <= 0 {
		f.forks = DefaultForks
	}
	if l.GetTop() == 3 {
		r.fleetOptions(l, f)
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
		r.mistake(l, "cannot run each: its options are a table, { forks = 5, serial = 5, max_failures = 1 }, not %s", shown(l.Get(2)))
	}
	read := fieldsReader{what: "each", table: o}
	read.known("forks", "serial", "max_failures")
	f.forks = read.count("forks", f.forks, 1)
	f.most = read.share("max_failures", o.RawGetString("max_failures"), 0)
	switch v := o.RawGetString("serial").(type) {
	case *lua.LTable:
		for i := 1; i <= v.Len(); i++ {
			if s := read.share("each of serial", v.RawGetInt(i), 1); s != nil {
				f.serial = append(f.serial, *s)
			}
		}
		if k, err := keysOf("serial", v); err != nil || k.names != nil || k.numbers == 0 {
			read.fail("serial must be a number of hosts, a part of them or a list of such, serial = { 1, 5, \"50%%\" }")
		}
	default:
		if s := read.share("serial", v, 1); s != nil {
			f.serial = []share{*s}
		}
	}
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

// share is a number of hosts, or a text such as "10%".
func (f *fieldsReader) share(name string, v lua.LValue, least int) *share {
	switch v := v.(type) {
	case *lua.LNilType:
		return nil
	case lua.LNumber:
		if n := int(v); lua.LNumber(n) == v && n >= least {
			return &share{number: float64(n)}
		}
		f.fail("%s must be a whole number from %d up, not %s", name, least, v)
	case lua.LString:
		text, ok := strings.CutSuffix(string(v), "%")
		n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if ok && err == nil && n >= 0 && n <= 100 && (n > 0 || least == 0) {
			return &share{number: n, percent: true}
		}
		f.fail("%s must be a number of hosts or a part of all, such as 5 or \"10%%\", not %s", name, shown(v))
	default:
		f.fail("%s must be a number of hosts or a part of all, such as 5 or \"10%%\", not %s", name, shown(v))
	}
	return nil
}

// textOf is a sum of the text of a function of the recipe.
func (r *Recipe) textOf(fn *lua.LFunction) string {
	if fn.IsG || fn.Proto == nil {
		return ""
	}
	var b strings.Builder
	for n := fn.Proto.LineDefined; n <= fn.Proto.LastLineDefined; n++ {
		b.WriteString(r.line(Position{File: fn.Proto.SourceName, Line: n}) + "\n")
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}
