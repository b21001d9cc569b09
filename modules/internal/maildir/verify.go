package maildir

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Report is what a verification found.
type Report struct {
	Messages, Bytes, Mailboxes int64
	Files                      int64 // control files and other files compared
	Hashed                     int64 // files whose content was compared
	TargetOnly                 int64 // accounts that only the target has
	Domains                    map[string]*DomainReport
	Differences                int64
	Kinds                      map[string]int64
	First                      []Difference

	from, to side
	layout   Layout // of the target
}

// DomainReport is a domain's part of it.
type DomainReport struct{ Messages, Bytes, Mailboxes, Differences int64 }

// Difference is one, with the path on the target relative to the root.
type Difference struct{ Path, Kind, What string }

// maxDifferences is how many are named.
const maxDifferences = 20

func (r *Report) domain(path string) *DomainReport {
	name := r.layout.domain(path)
	if r.Domains[name] == nil {
		r.Domains[name] = &DomainReport{}
	}
	return r.Domains[name]
}

// differ notes a difference. kind is a class of differences ("missing"), the rest says it in words.
func (r *Report) differ(path, kind, format string, args ...any) {
	r.Differences++
	r.Kinds[kind]++
	r.domain(path).Differences++
	if len(r.First) < maxDifferences {
		r.First = append(r.First, Difference{path, kind, fmt.Sprintf(format, args...)})
	}
}

// Err is nil when both sides are equal. Its text names the first differences and counts all.
func (r *Report) Err() error {
	if r.Differences == 0 {
		return nil
	}
	var kinds []string
	for k := range r.Kinds {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	for i, k := range kinds {
		kinds[i] = fmt.Sprintf("%s %s", Number(r.Kinds[k]), k)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s is not equal to %s: %s (%s)", r.to, r.from, counted(r.Differences, "difference", "differences"), strings.Join(kinds, ", "))
	for _, d := range r.First {
		fmt.Fprintf(&b, "\n  %q: %s", d.Path, d.What)
	}
	if more := r.Differences - int64(len(r.First)); more > 0 {
		fmt.Fprintf(&b, "\n  and %s more", Number(more))
	}
	return fmt.Errorf("%s", b.String())
}

// verifier compares both sides by a full listing of each. It shares the listings' parsers with a pass, and none of the
// reasoning that works out what to do.
type verifier struct {
	o        *Options
	report   *Report
	src, dst *tree
	owner    ids
	hash     worklist // pairs of files that are both there with the same size: from on the source, to on the target
	content  bool
}

// Verify compares the mailboxes of both sides: names with flags, sizes, times, owner and mode on the target, and the
// content of everything that is not a message; with content also that of the messages. It writes nothing. Differences are
// in the report; an error means that the comparison could not be made.
func Verify(ctx context.Context, o Options, content bool) (*Report, error) {
	o.Mode = Final
	o.complete()
	to, err := targetSide(ctx, &o)
	if err != nil {
		return nil, err
	}
	v := &verifier{o: &o, content: content}
	v.report = &Report{Domains: map[string]*DomainReport{}, Kinds: map[string]int64{}, from: side{o.From, o.Path}, to: to, layout: o.TargetLayout}
	if v.owner, err = lookOwner(ctx, &o); err != nil {
		return nil, err
	}
	if v.src, v.dst, _, err = lookBoth(ctx, &o, v.report.from, to, false); err != nil {
		return nil, err
	}
	if v.dst == nil {
		return nil, fmt.Errorf("cannot compare the mailboxes of %s and %s: %s is not there", v.report.from, to, to)
	}
	if len(v.src.boxes) == 0 {
		return nil, fmt.Errorf("cannot compare the mailboxes of %s and %s: %w", v.report.from, to, ErrEmptySource)
	}
	v.entries()
	if err := v.messages(ctx); err != nil {
		return nil, err
	}
	v.hash.seal()
	return v.report, v.contents(ctx)
}

// entries compares directories and files other than messages.
func (v *verifier) entries() {
	way := v.o.mapping()
	for _, n := range v.src.order {
		home, inHome := v.src.homeFor(n.path)
		have := v.dst.nodes[n.path]
		text, ok := way.linkText(n, v.o.Path, v.report.to.root)
		switch {
		case !inHome && (n.kind != 'd' || !v.src.ofAccount(n.path)):
		case n.kind == 'l' && (!ok || v.src.inMailbox(n.path)):
		case n.kind != 'd' && n.kind != 'f' && n.kind != 'l':
		case have == nil:
			v.report.differ(n.path, "missing", "is missing on %s", v.o.To.Name())
		case have.kind != n.kind:
			v.report.differ(n.path, "other kind", "is %s, not %s", kindName(have.kind), kindName(n.kind))
		default:
			v.attributes(n.path, have, n, inHome && (n.path != home || strings.Contains(home, "/")))
			v.entry(n, have, text)
		}
	}
	strangers := map[string]bool{}
	for _, n := range v.dst.order {
		if _, ok := v.src.homeFor(n.path); ok && v.src.nodes[n.path] == nil && !v.src.inMailbox(n.path) {
			v.report.differ(n.path, "too many", "is on %s only", v.o.To.Name())
		}
	}
	for _, m := range v.dst.boxes {
		if _, ok := v.src.homeFor(m.path); !ok {
			strangers[m.home] = true
		}
	}
	v.report.TargetOnly = int64(len(strangers))
}

func (v *verifier) attributes(path string, have, want *node, mode bool) {
	if have.uid != v.owner.uid || have.gid != v.owner.gid {
		v.report.differ(path, "owner", "belongs to %d:%d, not to %d:%d", have.uid, have.gid, v.owner.uid, v.owner.gid)
	}
	bits := uint32(0o777)
	if want.kind == 'd' {
		bits = 0o2777
	}
	if mode && want.kind != 'l' && have.mode&0o7777 != want.mode&bits {
		v.report.differ(path, "mode", "has mode %04o, not %04o", have.mode, want.mode&bits)
	}
}

func (v *verifier) entry(n, have *node, text string) {
	switch n.kind {
	case 'd':
		return
	case 'l':
		if have.text != text {
			v.report.differ(n.path, "link", "leads to %q, not to %q", have.text, text)
		}
	case 'f':
		if have.time.sec != n.time.sec {
			v.report.differ(n.path, "time", "has another time of modification")
		}
		// Two uidlists are compared whatever their sizes: what differs in them is worth saying.
		if have.size != n.size && fileKind(n.path) != "uidlist" {
			v.report.differ(n.path, fileKind(n.path), "has %d bytes, not %d", have.size, n.size)
			return
		}
		v.hash.add(work{from: n.at, to: n.path, size: n.size})
	}
	v.report.Files++
}

// fileKind names what a control file carries.
func fileKind(path string) string {
	switch nameOf(path) {
	case "dovecot-uidlist":
		return "uidlist"
	case "dovecot-keywords":
		return "keywords"
	case "subscriptions":
		return "subscriptions"
	}
	return "file"
}
