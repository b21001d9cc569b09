package run

import "runner/runtime/module"

// each takes in what happened in a call of each(hosts, fn).
func (r *Record) each(e Event) {
	key := workKey{TaskName{e.Phase, e.Task}, e.Each, e.Body}
	if e.Each == 0 || e.Handler || e.Undo {
		return
	}
	switch e.Kind {
	case EachStart:
		for _, h := range e.Hosts { // taken again, whatever is known of them
			delete(r.hosts[key], h)
		}
	case HostEnd:
		if !e.Done || len(e.Hosts) != 1 {
			return
		}
		into := r.hosts
		if e.NeedsSaved {
			into = r.unsaved
		}
		if into[key] == nil {
			into[key] = map[string]hostDone{}
		}
		into[key][e.Hosts[0]] = hostDone{e.Result}
	case EachEnd:
		if t := r.task(e); t != nil && e.Status == module.Failed {
			t.Error = e.Text
		}
	}
}

// settleHosts takes in that a task has ended. What is in the table saved is kept now. Hosts of a task that ended well are not looked at
// any more: when it is run again, it is run for all.
func (r *Record) settleHosts(task TaskName, good bool) {
	if good {
		r.forgetHosts(r.hosts, task)
		r.forgetHosts(r.unsaved, task)
		return
	}
	for key, hosts := range r.unsaved {
		if key.TaskName != task {
			continue
		}
		if r.hosts[key] == nil {
			r.hosts[key] = map[string]hostDone{}
		}
		for name, done := range hosts {
			r.hosts[key][name] = done
		}
		delete(r.unsaved, key)
	}
}

func (r *Record) forgetHosts(from map[workKey]map[string]hostDone, task TaskName) {
	for key := range from {
		if key.TaskName == task {
			delete(from, key)
		}
	}
}
