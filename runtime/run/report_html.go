package run

import (
	_ "embed"
	"html/template"
	"io"
	"time"
)

//go:embed report.html.tmpl
var htmlReport string

type htmlPage struct {
	*Record
	Name        string
	DoneN, AllN int
	Changes     int
	Tasks       []htmlTask
	Steps       []htmlStep
	ByHost      []HostResult // when there are several
	Outages     []htmlOutage
	Findings    []Event // steps with a table of what they found
	Verdicts    []Event // what the recipe and the runner said, and questions with their answers
}

type htmlOutage struct {
	Outage
	Left, Width float64 // place in the timeline, in percent
	Spent       []Spent
}

// Right is where it ends in the timeline.
func (o htmlOutage) Right() float64 { return o.Left + o.Width }

type htmlTask struct {
	TaskName
	Result      string
	Began, Took string
	Left, Width float64 // place in the timeline, in percent
	Changes     int
	Error       string
}

type htmlStep struct {
	Event
	Did []htmlChange
}

type htmlChange struct {
	ChangeInfo
	Failed string
}

// WriteHTML tells a run in one page that needs no other file and no network: timeline, tasks, every change that was made with what
// was before and after, and what was said. The journal holds no secrets, so neither does the page.
func WriteHTML(w io.Writer, r *Record) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"param": paramText, "seconds": Seconds,
		"failures": func(h HostResult) int { return h.Counts.Failed + h.Counts.Unreachable },
		"clock":    func(t time.Time) string { return t.Local().Format(timeLayout) },
	}).Parse(htmlReport)
	if err != nil {
		return err
	}
	p := htmlPage{Record: r, Name: orElse(r.Recipe, r.Start.File), Changes: r.changes(), Tasks: r.timeline(), Steps: r.changedSteps()}
	p.DoneN, p.AllN = r.Counts()
	p.Outages = r.placedOutages()
	if hosts := r.Hosts(); len(hosts) >= fewHosts {
		p.ByHost = hosts
	}
	for _, e := range r.Events {
		switch e.Kind {
		case StepPlan:
			if e.Table != nil && !e.Check {
				p.Findings = append(p.Findings, e)
			}
		case Said, Warned, GateAsked, GateAnswer:
			p.Verdicts = append(p.Verdicts, e)
		}
	}
	return t.Execute(w, p)
}

// span is the time of the timeline: from the first event of the run to its last.
func (r *Record) span() (first time.Time, seconds float64) {
	if n := len(r.Events); n > 0 {
		return r.Events[0].Time, max(r.Events[n-1].Time.Sub(r.Events[0].Time).Seconds(), 0.001)
	}
	return first, 0.001
}

func (r *Record) placedOutages() []htmlOutage {
	first, span := r.span()
	var list []htmlOutage
	o := r.outages()
	for i := range o.list {
		x := &o.list[i]
		list = append(list, htmlOutage{Outage: *x, Left: x.Began.Sub(first).Seconds() / span * 100, Width: x.Seconds() / span * 100, Spent: r.spent(x)})
	}
	return list
}

// timeline places the tasks in the time of the run.
func (r *Record) timeline() []htmlTask {
	first, span := r.span()
	var list []htmlTask
	for _, name := range r.names() {
		row := htmlTask{TaskName: name, Result: "-"}
		if t := r.find(name); t != nil {
			row.Result, row.Changes, row.Error = t.result(), t.Changes, t.Error
			row.Began, row.Took = t.Began.Local().Format(timeLayout), Seconds(t.Took)
			row.Left = min(max(t.Began.Sub(first).Seconds()/span*100, 0), 99.7)
			row.Width = min(max(t.Took/span*100, 0.3), 100-row.Left)
		}
		list = append(list, row)
	}
	return list
}

// changedSteps joins what was made with what the plan said of before and after: the journal holds that only once.
func (r *Record) changedSteps() []htmlStep {
	var list []htmlStep
	plans := map[int][]ChangeInfo{}
	at := map[int]int{}
	for _, e := range r.Events {
		switch e.Kind {
		case StepPlan:
			plans[e.Step] = append([]ChangeInfo{}, e.Changes...)
		case ChangeDone:
			i, ok := at[e.Step]
			if !ok {
				i, at[e.Step] = len(list), len(list)
				list = append(list, htmlStep{Event: e})
			}
			for _, c := range e.Changes {
				// Changes are made in the order of the plan, so the first of the same words is the one.
				for j, planned := range plans[e.Step] {
					if planned.Summary == c.Summary {
						c = planned
						plans[e.Step] = append(plans[e.Step][:j], plans[e.Step][j+1:]...)
						break
					}
				}
				list[i].Did = append(list[i].Did, htmlChange{ChangeInfo: c, Failed: e.Error})
			}
		}
	}
	return list
}
