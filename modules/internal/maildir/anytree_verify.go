package maildir

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"runner/runtime/module"
)

// VerifyTree compares both sides of a tree: what is there, owners, modes and times as a pass would make them, links, and the
// content of every file by a SHA-256 that each host computes. It writes nothing. Files and Bytes of the report are what was
// compared, Hashed those whose content was. Differences are in the report; an error means that the comparison could not be made.
func VerifyTree(ctx context.Context, o TreeOptions) (*Report, error) {
	o.Delete, o.Limit = true, Limit{Percent: 100, Share: true}
	t, err := LookAtTree(ctx, o)
	if err != nil {
		return nil, err
	}
	if t.newRoot {
		return nil, module.Absent(fmt.Errorf("cannot compare %s and %s: the second is not there", t.from, t.to))
	}
	v := &verifier{o: &Options{Stall: t.o.Stall}, content: true}
	v.report = &Report{Domains: map[string]*DomainReport{}, Kinds: map[string]int64{}, from: t.from, to: t.to}
	v.report.Files, v.report.Bytes = t.Counts.Files, t.Counts.Bytes
	unequal := t.unequal(v.report)
	for _, n := range t.order {
		if have := t.dst[n.path]; n.kind == 'f' && have != nil && have.kind == 'f' && !unequal[n.path] {
			v.hash.add(work{from: n.path, to: n.path, size: n.size})
		}
	}
	v.hash.seal()
	return v.report, v.contents(ctx)
}

// unequal reports what a pass would change, and returns the paths of files that it would send.
func (t *Tree) unequal(r *Report) map[string]bool {
	sent := map[string]bool{}
	missing := func(list []work) {
		for _, w := range list {
			sent[w.to] = true
			if t.dst[w.to] == nil {
				r.differ(w.to, "missing", "is missing on %s", t.o.To.Name())
			} else {
				r.differ(w.to, "other", "has another size, time or kind, or is another link")
			}
		}
	}
	missing(t.dirs)
	for _, owner := range slices.SortedFunc(maps.Keys(t.copies), byNumbers) {
		missing(t.copies[owner])
	}
	missing(t.links)
	for _, w := range t.removes {
		if !sent[w.to] {
			r.differ(w.to, "too many", "is on %s only", t.o.To.Name())
		}
	}
	for _, owner := range slices.SortedFunc(maps.Keys(t.settle), byNumbers) {
		for _, w := range t.settle[owner] {
			if !sent[w.to] && !t.touched[w.to] {
				r.differ(w.to, "owner, mode or time", "has another owner, mode or time")
			}
		}
	}
	return sent
}

func byNumbers(a, b ids) int {
	if a.uid != b.uid {
		return a.uid - b.uid
	}
	return a.gid - b.gid
}
