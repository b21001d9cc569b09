package run

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"runner/runtime/module"
)

const timeLayout = "2006-01-02 15:04:05"

// WriteHistory lists runs, one a line.
func WriteHistory(w io.Writer, runs []*Record) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RUN\tBEGAN\tSTATE\tTASKS\tCHANGES\tRECIPE")
	for _, r := range runs {
		done, all := r.Counts()
		fmt.Fprintf(t, "%s\t%s\t%s\t%d/%d\t%d\t%s\n", r.ID, r.began(), r.State(), done, all, r.changes(), orElse(r.Recipe, r.Start.File))
	}
	return t.Flush()
}

func (r *Record) began() string {
	if len(r.Sessions) == 0 {
		return "-"
	}
	return r.Sessions[0].Began.Local().Format(timeLayout)
}

func (r *Record) changes() int {
	n := 0
	for _, t := range r.Tasks {
		n += t.Changes
	}
	return n
}

// WriteReport tells a run in a table: its sessions, phases and tasks with times and numbers of changes, and what was kept.
func WriteReport(w io.Writer, r *Record) error {
	done, all := r.Counts()
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", orElse(r.Recipe, r.Start.File))
	fmt.Fprintf(&b, "run      %s\n", r.ID)
	fmt.Fprintf(&b, "recipe   %s\n", r.Start.File)
	if r.Start.Site != "" {
		fmt.Fprintf(&b, "site     %s\n", r.Start.Site)
	}
	for _, name := range sortedNames(r.Start.Hosts) {
		fmt.Fprintf(&b, "host     %s is %s\n", name, r.Start.Hosts[name])
	}
	for _, name := range sortedNames(r.Start.Params) {
		fmt.Fprintf(&b, "param    %s = %s\n", name, paramText(r.Start.Params[name]))
	}
	fmt.Fprintf(&b, "state    %s, %d of %d tasks done\n\n", r.State(), done, all)
	r.writeSessions(&b)
	b.WriteString("\n")
	r.writeTasks(&b)
	r.writeHosts(&b)
	r.writeOutages(&b)
	if len(r.Kept) > 0 {
		b.WriteString("\nKept before it was overwritten:\n")
		for _, k := range r.Kept {
			fmt.Fprintf(&b, "  %s\n", keptText(k.Host, k.Object, k.Value, k.Backup))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Record) writeSessions(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tBEGAN\tTOOK\tRESULT\tOK\tCHANGED\tSKIPPED\tFAILED")
	for i, s := range r.Sessions {
		kind := fmt.Sprint(i + 1)
		if s.Undo {
			kind += " (undo)"
		}
		took, result := Seconds(s.Took), string(s.Status)
		if s.Ended.IsZero() {
			took, result = "-", "broken off"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", kind, s.Began.Local().Format(timeLayout), took, result,
			s.Counts.OK, s.Counts.Changed, s.Counts.Skipped, s.Counts.Failed+s.Counts.Unreachable)
	}
	t.Flush()
}

func (r *Record) writeTasks(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PHASE\tTASK\tRESULT\tCHANGES\tBEGAN\tTOOK")
	var errors []string
	for _, name := range r.names() {
		task := r.find(name)
		if task == nil {
			fmt.Fprintf(t, "%s\t%s\t-\t\t\t\n", name.Phase, name.Task)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\n", name.Phase, name.Task, task.result(), task.Changes, task.Began.Local().Format(time.TimeOnly), Seconds(task.Took))
		if task.Error != "" && !task.Done {
			errors = append(errors, fmt.Sprintf("%s: %s", name.Task, task.Error))
		}
	}
	t.Flush()
	if len(errors) > 0 {
		fmt.Fprintf(w, "\n%s\n", strings.Join(errors, "\n"))
	}
}

// writeHosts is a table of the hosts of the run, over all its sessions.
func (r *Record) writeHosts(w io.Writer) {
	hosts := r.Hosts()
	if len(hosts) < fewHosts {
		return
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "HOST\tOK\tCHANGED\tSKIPPED\tFAILED\tTOOK\t")
	for _, h := range hosts {
		first, _, _ := strings.Cut(h.Error, "\n")
		if h.Left {
			first = "not begun"
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", h.Host, h.Counts.OK, h.Counts.Changed, h.Counts.Skipped, h.Counts.Failed+h.Counts.Unreachable, Seconds(h.Took), first)
	}
	t.Flush()
}

// names are the tasks of the newest recipe, and those that only an older one had.
func (r *Record) names() []TaskName {
	names := append([]TaskName{}, r.Start.Plan...)
	for _, t := range r.Tasks {
		known := false
		for _, name := range names {
			known = known || name == t.TaskName
		}
		if !known {
			names = append(names, t.TaskName)
		}
	}
	return names
}

func (t *TaskRecord) result() string {
	switch {
	case t.Undone:
		return "undone"
	case t.Status == "":
		return "broken off"
	case !t.Done && (t.Status == module.OK || t.Status == module.Changed || t.Status == module.Skipped):
		return string(t.Status) + ", to be run again"
	}
	return string(t.Status)
}

// WriteEvents tells what happened in a run, in the order of time: sessions, gates, tasks, steps, changes.
func WriteEvents(w io.Writer, r *Record) error {
	var b strings.Builder
	for _, e := range r.Events {
		if line := eventLine(e); line != "" {
			fmt.Fprintf(&b, "%s  %s\n", e.Time.Local().Format(timeLayout), line)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func eventLine(e Event) string {
	switch e.Kind {
	case RunStart:
		switch {
		case e.Undo:
			return "run: undo begins"
		case startOf(e).Resumed:
			return "run: goes on"
		}
		return "run: " + e.Recipe
	case RunEnd:
		return strings.TrimSpace(fmt.Sprintf("run: %s in %s. %s", e.Status, Seconds(e.Took), e.Text))
	case PhaseStart:
		return "phase " + e.Phase
	case GateAsked:
		return "gate: " + e.Text
	case GateAnswer:
		return "answer: " + e.Text + " " + parens(e.Note)
	case TaskStart:
		kind := "task"
		if e.Handler {
			kind = "handler"
		} else if e.Undo {
			kind = "undo of"
		}
		return "  " + kind + " " + e.Task
	case TaskEnd:
		return "  " + joinText(string(e.Status)+": "+e.Task, e.Note, e.Error)
	case StepEnd:
		return "    " + joinText(string(e.Status)+": "+hostColumn(e)+" "+orElse(e.Title, e.Module), e.Note, e.Error)
	case Batch:
		return "    " + e.Text
	case EachStart, EachEnd:
		if text := orElse(e.Text, e.Note); text != "" {
			return "    " + text
		}
	case ChangeDone:
		return "      " + joinText(summaries(e.Changes), e.Error)
	case Kept:
		if e.Kept != nil {
			return "      kept " + keptText(e.Kept.Host, e.Kept.Object, e.Kept.Value, e.Kept.Backup)
		}
	case Said:
		return "    " + strings.ReplaceAll(e.Text, "\n", " ")
	case Warned:
		return "    warning: " + e.Text
	}
	return ""
}

// paramText shows a parameter in a line.
func paramText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		list := make([]string, len(v))
		for i, item := range v {
			list[i] = paramText(item)
		}
		return strings.Join(list, ", ")
	case map[string]any:
		var list []string
		for _, k := range sortedNames(v) {
			list = append(list, k+" = "+paramText(v[k]))
		}
		return strings.Join(list, ", ")
	}
	return fmt.Sprint(v)
}

func sortedNames[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

func summaries(changes []ChangeInfo) string {
	var list []string
	for _, c := range changes {
		list = append(list, c.Summary)
	}
	return strings.Join(list, "; ")
}

func joinText(parts ...string) string {
	var list []string
	for _, p := range parts {
		if p != "" {
			list = append(list, p)
		}
	}
	return strings.Join(list, ": ")
}
