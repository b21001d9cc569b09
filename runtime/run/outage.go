package run

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Outage is a time in which people had to go without something.
type Outage struct {
	Service      string // "SMTP"
	Host         string // where it was stopped
	Began, Ended time.Time
	Over         bool // else Ended is the last that is known

	by int // step that ended it
}

// Seconds is how long it was.
func (o *Outage) Seconds() float64 { return o.Ended.Sub(o.Began).Seconds() }

// outages gathers them from the events of a run. The zero value is ready.
type outages struct {
	plans map[int]Event // of steps that stop or start something
	list  []Outage
}

func (o *outages) add(e Event) {
	for i := range o.list {
		if !o.list[i].Over {
			o.list[i].Ended = e.Time
		}
	}
	switch {
	case e.Kind == StepPlan && len(e.Stops)+len(e.Starts) > 0 && !e.Check:
		if o.plans == nil {
			o.plans = map[int]Event{}
		}
		o.plans[e.Step] = e
	case e.Kind == ChangeDone:
		plan := o.plans[e.Step]
		for _, service := range plan.Stops {
			o.stop(service, e)
		}
		if e.Error == "" {
			o.start(plan.Starts, e)
		}
	}
}

// stop begins an outage with the begin of the change, failed or not.
func (o *outages) stop(service string, e Event) {
	host := hostColumn(e)
	if !slices.ContainsFunc(o.list, func(x Outage) bool { return x.Service == service && x.Host == host && (!x.Over || x.by == e.Step) }) {
		o.list = append(o.list, Outage{Service: service, Host: host, Began: e.Time.Add(-time.Duration(e.Took * float64(time.Second))), Ended: e.Time})
	}
}

// start ends outages with the last change of the step: of its host, or, where nothing was stopped on it, of all whose service it takes over.
func (o *outages) start(services []string, e Event) {
	host := hostColumn(e)
	for _, service := range services {
		ends := func(x Outage) bool { return x.Service == service && (!x.Over || x.by == e.Step) }
		here := slices.ContainsFunc(o.list, func(x Outage) bool { return ends(x) && x.Host == host })
		for i := range o.list {
			if x := &o.list[i]; ends(*x) && (!here || x.Host == host) {
				x.Ended, x.Over, x.by = e.Time, true, e.Step
			}
		}
	}
}

// text tells them in a line: "without SMTP on old for 5.1 s, without IMAP on old for 3.3 s".
func (o *outages) text() string {
	var parts []string
	for i := range o.list {
		x := &o.list[i]
		text := fmt.Sprintf("without %s on %s for %s", x.Service, x.Host, Seconds(x.Seconds()))
		if !x.Over {
			text += " so far"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// outages are those of a run, in the order in which they began.
func (r *Record) outages() *outages {
	o := &outages{}
	for _, e := range r.Events {
		o.add(e)
	}
	return o
}

// Spent is a part of an outage.
type Spent struct {
	On      string // "dovecot.freeze on old"
	Seconds float64
}

// little is the part of an outage, in seconds, that is not worth a word.
const little = 0.05

// spent says what the time of an outage went to, step by step.
func (r *Record) spent(o *Outage) (list []Spent) {
	for _, e := range r.Events {
		if e.Kind != StepEnd || e.Check {
			continue
		}
		began, ended := e.Time.Add(-time.Duration(e.Took*float64(time.Second))), e.Time
		if began.Before(o.Began) {
			began = o.Began
		}
		if ended.After(o.Ended) {
			ended = o.Ended
		}
		if took := ended.Sub(began).Seconds(); took >= little {
			list = append(list, Spent{strings.TrimSpace(orElse(e.Title, e.Module) + " on " + strings.Join(e.Hosts, ", ")), took})
		}
	}
	return list
}

// writeOutages tells of each what it was spent on.
func (r *Record) writeOutages(w io.Writer) {
	o := r.outages()
	for i := range o.list {
		x := &o.list[i]
		so := ""
		if !x.Over {
			so = " so far"
		}
		fmt.Fprintf(w, "\nWithout %s on %s for %s%s, from %s to %s:\n", x.Service, x.Host, Seconds(x.Seconds()), so, x.Began.Local().Format(time.TimeOnly), x.Ended.Local().Format(time.TimeOnly))
		for _, s := range r.spent(x) {
			fmt.Fprintf(w, "  %6.2f s  %s\n", s.Seconds, s.On)
		}
	}
}
