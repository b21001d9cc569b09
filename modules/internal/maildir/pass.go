package maildir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"runner/runtime/host"
)

// Counts are the numbers of a pass.
type Counts struct {
	Messages    int64 // on the source
	Bytes       int64
	Mailboxes   int64
	Held        int64 // messages on the target in the accounts that the source has
	Copy        int64
	CopyBytes   int64
	Rename      int64
	Link        int64
	Quarantine  int64 // messages
	Files       int64 // control files and other files of the accounts that are written
	Directories int64 // made
	Attributes  int64 // owner, mode or time put right
	FilesAway   int64 // files and directories other than messages that go to the quarantine
	Skipped     int64 // mailboxes that did not change since the last pass
	Conflicts   int64 // messages that differ in size and are left as they are (warm)
	TargetOnly  int64 // accounts that only the target has
}

// Left is something on the source that stays behind, and why.
type Left struct{ Path, Why string }

// maxLeft is how many of those are named.
const maxLeft = 20

// Pass is the work that a look at both sides found.
type Pass struct {
	Counts     Counts
	Absent     []string // domains asked for that the source has no directory of
	Left       []Left
	LeftCount  int
	Listing    time.Duration // what looking at both sides took
	StateError error         // why the next pass will have to list everything
	First      bool          // nothing is remembered of these mailboxes
	Inboxes    []Inbox       // some accounts of the source, one of each domain first

	trees    time.Duration // the part of it that directories and files took
	kept     int           // mailboxes that the next pass need not list
	o        Options
	from, to side
	owner    ids
	newRoot  bool

	caches  worklist // index caches of mailboxes that change
	prepare worklist // directories, renames, attributes, and what is in the way
	copies  worklist // messages
	domains shares   // how many of them each domain has
	links   worklist // further names of messages
	files   worklist // control files and other files
	removes worklist // what goes to the quarantine
	settle  worklist // times that files get at the end: see provisional
	record  *manifest
	known   *known          // late and reverse
	homes   map[string]bool // of the source
}

// homeOf is the account that a path of the target belongs to.
func (p *Pass) homeOf(path string) string {
	for ; path != "" && !p.homes[path]; path = dirOf(path) {
	}
	return path
}

// selectionID tells passes apart that take different parts of the same root and may run side by side.
func selectionID(o *Options) string {
	if len(o.Domains) == 0 && len(o.Users) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join(o.Domains, "\x00") + "\x01" + strings.Join(o.Users, "\x00")))
	return "-" + hex.EncodeToString(sum[:4])
}

// ErrEmptySource says that the source has no mailbox at all.
var ErrEmptySource = errors.New("there is not one mailbox on the source; is its file system mounted?")

// Look lists both sides and works out a pass. It writes nothing.
func Look(ctx context.Context, o Options) (*Pass, error) {
	o.complete()
	started := o.Now()
	p := &Pass{o: o, from: side{o.From, o.Path}}
	var err error
	if p.to, err = targetSide(ctx, &o); err != nil {
		return nil, err
	}
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	src, dst, absent, err := lookBoth(ctx, &o, p.from, p.to, o.Mode != Final)
	if err != nil {
		return nil, err
	}
	p.Absent = absent
	p.Left, p.LeftCount = src.left, src.lefts
	p.newRoot = dst == nil
	if dst == nil {
		dst = newTree()
	}
	if err := p.permitted(ctx, src); err != nil {
		return nil, err
	}
	p.trees = o.Now().Sub(started)
	p.homes = src.homes
	c := newComparer(p, src, dst)
	c.choose = o.chosen()
	c.state = loadState(stateFile(o.StateDir, p.from, p.to, &o), p.owner)
	p.First, p.Inboxes = len(c.state.entries) == 0, someInboxes(src, o.TargetLayout, p.to.root)
	if o.Full {
		clear(c.state.entries)
	}
	if o.Mode.adds() {
		if p.known, err = lookKnown(ctx, &o, p.from, p.to); err != nil {
			return nil, err
		}
		c.known = p.known
	}
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	for _, l := range []*worklist{&p.caches, &p.prepare, &p.copies, &p.links, &p.files, &p.removes, &p.settle} {
		l.seal()
	}
	if !o.Mode.adds() {
		// A state that cannot be kept costs time in the next pass and nothing else.
		p.StateError = c.remember(ctx)
		p.kept = c.kept
	}
	p.Listing = o.Now().Sub(started)
	if err := p.checkDeletes(); err != nil {
		return p, err
	}
	return p, p.checkSpace(ctx)
}

// checkSpace refuses a pass that the target has no room for. A target that cannot tell is believed to have it.
func (p *Pass) checkSpace(ctx context.Context) error {
	root := p.to.root
	if p.newRoot {
		root = path.Dir(root)
	}
	bytes, inodes, err := p.to.view.FreeSpace(ctx, root)
	if err != nil {
		return context.Cause(ctx)
	}
	need, files := p.Counts.CopyBytes, p.Counts.Copy+p.Counts.Files+p.Counts.Directories
	if uint64(need) > bytes {
		return fmt.Errorf("cannot copy to %s: the messages need %s and %s are free", p.to, Size(need), Size(int64(min(bytes, 1<<62))))
	}
	if uint64(files) > inodes {
		return fmt.Errorf("cannot copy to %s: %s are needed and the file system has %s inodes free", p.to, counted(files, "file", "files"), Number(int64(min(inodes, 1<<62))))
	}
	return nil
}

// targetSide is the target with its root resolved.
func targetSide(ctx context.Context, o *Options) (side, error) {
	root, err := ResolveRoot(ctx, o.To, o.Target)
	return side{o.To, root}, err
}

// ResolveRoot follows the symbolic links on the way to a root: what is staged, put aside and recorded must lie beside the
// directory itself. A root that is not there is returned as it is.
func ResolveRoot(ctx context.Context, v *host.View, root string) (string, error) {
	out, err := v.QueryScript(ctx, `if cd "$1" 2>/dev/null; then pwd -P; else printf '%s\n' "$1"; fi`, path.Clean(root))
	if err != nil {
		return "", fmt.Errorf("cannot look at %s on %s: %w", root, v.Name(), err)
	}
	real := strings.TrimSuffix(out.Stdout, "\n")
	return real, CheckRoot("target", real)
}

// ready looks up what the target needs to have.
func (p *Pass) ready(ctx context.Context) error {
	var err error
	if p.owner, err = lookOwner(ctx, &p.o); err != nil {
		return err
	}
	if !direct(p.o.To) {
		ok, err := p.o.To.Has(ctx, "perl")
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("cannot write mailboxes on %s: it has no perl (install perl-base)", p.o.To.Name())
		}
	}
	return nil
}

// lookBoth lists directories and files of both sides at the same time. A target without a root gives nil. Domains that
// the source does not have are returned; to have none of them is an error.
func lookBoth(ctx context.Context, o *Options, from, to side, inUse bool) (src, dst *tree, absent []string, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		way, fold := o.mapping(), o.lowers()
		choose := &selection{layout: o.Layout, users: o.Users, exclude: o.Exclude, inUse: inUse, fold: fold}
		var err error
		if choose.domains, absent, err = presentDomains(ctx, from, &o.Layout, o.Domains, fold); err != nil {
			return err
		}
		if len(choose.domains) == 0 && len(o.Domains) > 0 {
			return fmt.Errorf("cannot find the domain %s in %s", strings.Join(o.Domains, ", "), from)
		}
		if src, err = lookTree(ctx, from, o.Stall, choose, way); err != nil {
			return err
		}
		if absent, err = absentDomains(src, o, from, absent); err != nil {
			return err
		}
		return way.check(src, from)
	})
	g.Go(func() error {
		choose := o.chosen()
		choose.inUse = o.Mode.adds()
		var err error
		choose.domains, _, err = presentDomains(ctx, to, &o.TargetLayout, choose.domains, false)
		switch {
		case errors.Is(err, errNoRoot):
			return nil
		case err != nil:
			return err
		case len(choose.domains) == 0 && len(o.Domains) > 0:
			dst = newTree()
			return nil
		}
		dst, err = lookTree(ctx, to, o.Stall, choose, staying(o.TargetLayout))
		if errors.Is(err, errNoRoot) {
			dst, err = nil, nil
		}
		return err
	})
	err = g.Wait()
	return src, dst, absent, err
}

// lowerAccount writes domain and user of a path in small letters, as Dovecot from 2.1 on looks for them, and leaves the
// folders as they are.
func lowerAccount(path string) string {
	parts := strings.SplitN(path, "/", 3)
	for i := range min(2, len(parts)) {
		parts[i] = strings.ToLower(parts[i])
	}
	return strings.Join(parts, "/")
}

// permitted refuses what must not be done to this target, or with this source.
func (p *Pass) permitted(ctx context.Context, src *tree) error {
	if p.o.Mode.adds() {
		return nil
	}
	live, err := ReadLive(ctx, p.to.view, p.to.root)
	if err != nil {
		return err
	}
	if domain, since, ok := live.covers(src); ok {
		return fmt.Errorf("cannot make a %s pass into %s: %s has been live since %s, and its users' own changes would be undone; "+
			"mode = \"late\" adds what has reached %s since the final pass", p.o.Mode, p.to, domain, since.Format("2006-01-02 15:04"), p.o.From.Name())
	}
	if p.o.Mode == Final && len(src.boxes) == 0 {
		return fmt.Errorf("cannot make a final pass from %s: %w", p.from, ErrEmptySource)
	}
	return nil
}

// checkDeletes refuses a pass that would remove more than allowed.
func (p *Pass) checkDeletes() error {
	allowed := p.o.Limit.allows(p.Counts.Held)
	if p.Counts.Quarantine <= allowed {
		return nil
	}
	return fmt.Errorf("cannot make %s equal to %s: %s of its %s messages are not on %s any more, and max_delete = %s allows %s; "+
		"look whether the source is complete, and if it is, raise max_delete", p.to, p.from,
		Number(p.Counts.Quarantine), Number(p.Counts.Held), p.o.From.Name(), p.o.Limit, Number(allowed))
}

// leave notes something that stays behind.
func (p *Pass) leave(path, why string) {
	if len(p.Left) < maxLeft {
		p.Left = append(p.Left, Left{path, why})
	}
	p.LeftCount++
}

// Empty says that there is nothing to do.
func (p *Pass) Empty() bool {
	for _, l := range []*worklist{&p.caches, &p.prepare, &p.copies, &p.links, &p.files, &p.removes, &p.settle} {
		if l.count > 0 {
			return false
		}
	}
	return !p.record.due()
}

// Fills says that the pass is one that fills a target which is not in use.
func (p *Pass) Fills() bool { return !p.o.Mode.adds() }

// direct says that the runner can write the target by system calls.
func direct(v *host.View) bool { return directSupported && v.Local() }
