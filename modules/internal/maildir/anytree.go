package maildir

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// TreeOptions say what a pass over any directory tree is about: web roots, home directories.
type TreeOptions struct {
	From, To     *host.View
	Path, Target string   // absolute paths of the two roots
	Exclude      []string // shell patterns (path.Match): of names, or of paths below the root where they hold a slash
	Delete       bool     // what only the target has goes to the quarantine
	Limit        Limit    // of files that may go
	Owner        string   // everything gets this owner; empty: the owner of the same name on the target
	Rate         int64    // bytes per second read from the source; 0: no limit
	Stall        time.Duration
	Now          func() time.Time
}

// TreeCounts are the numbers of a pass over a tree.
type TreeCounts struct {
	Files, Bytes     int64 // on the source
	Copy, CopyBytes  int64
	Link, Symlink    int64
	Dirs, Attributes int64 // directories that are made; files and directories of which only owner, mode or time differ
	Away             int64 // files that go to the quarantine
	Extra            int64 // files that only the target has and that stay
}

// Tree is a pass over a tree: what [LookAtTree] found and [Tree.Apply] does.
type Tree struct {
	Counts TreeCounts
	Left   []Left // what stays behind, the first of it
	Leaves int    // how much that is

	o        TreeOptions
	from, to side
	newRoot  bool
	owners   map[ids]ids // numbers of the source -> numbers of the target
	src, dst map[string]*node
	order    []*node

	dirs    []work         // made before all else, closed to everybody
	copies  map[ids][]work // by owner
	links   []work
	removes []work
	settle  map[ids][]work // owner, mode and time, given last
	touched map[string]bool
}

// Empty says that both sides are equal.
func (t *Tree) Empty() bool {
	return len(t.dirs)+len(t.copies)+len(t.links)+len(t.removes)+len(t.settle) == 0 && !t.newRoot
}

// anyTreeScript lists everything below $1 on its file system.
const anyTreeScript = `LC_ALL=C; export LC_ALL
cd "$1" || exit 97
date +%s || exit 98
exec find . -xdev \( -type d \( -name '` + ownPrefix + `*' -o -path './lost+found' \) -prune \) -o -printf '` + treeFormat + `'
`

// LookAtTree lists both sides and works out a pass. It writes nothing.
func LookAtTree(ctx context.Context, o TreeOptions) (*Tree, error) {
	if o.Stall == 0 {
		o.Stall = DefaultStall
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Path, o.Target = path.Clean(o.Path), path.Clean(o.Target)
	t := &Tree{o: o, from: side{o.From, o.Path}, to: side{o.To, o.Target}, copies: map[ids][]work{}, settle: map[ids][]work{}, touched: map[string]bool{}}
	var err error
	if t.order, t.src, err = t.list(ctx, t.from); err != nil {
		return nil, err
	}
	var there []*node
	if _, err = o.To.Stat(ctx, o.Target); errors.Is(err, fs.ErrNotExist) {
		t.newRoot, t.dst = true, map[string]*node{}
		if parent, err := o.To.Stat(ctx, path.Dir(o.Target)); err != nil || !parent.Mode.IsDir() {
			return nil, module.Absent(fmt.Errorf("cannot copy %s to %s: the folder %s is not there", t.from, t.to, path.Dir(o.Target)))
		}
	} else if there, t.dst, err = t.list(ctx, t.to); err != nil {
		return nil, err
	}
	if t.owners, err = t.lookOwners(ctx); err != nil {
		return nil, err
	}
	t.compare(there)
	return t, t.guard(there)
}

// list lists one side. The root itself is the node with the path "".
func (t *Tree) list(ctx context.Context, s side) (order []*node, nodes map[string]*node, err error) {
	what := "list " + s.String()
	in, err := ask(ctx, s.view, what, t.o.Stall, nil, anyTreeScript, s.root)
	if err != nil {
		return nil, nil, err
	}
	defer in.close()
	nodes = map[string]*node{}
	excluded := map[string]bool{}
	_, err = readTree(bufio.NewReaderSize(in, 64<<10), func(n node) error {
		if n.path != "" && (excluded[dirOf(n.path)] || t.excludes(n.path)) {
			if n.kind == 'd' {
				excluded[n.path] = true
			}
			return nil
		}
		order, nodes[n.path] = append(order, &n), &n
		return nil
	})
	if err != nil {
		if ended := in.wait(); ended != nil {
			return nil, nil, listingError(what, ended)
		}
		return nil, nil, fmt.Errorf("cannot %s: %w", what, err)
	}
	// A file that goes while a source in use is listed is no error, unless something is to be removed for want of it.
	if err := listingError(what, in.tolerate(!t.o.Delete)); err != nil {
		return nil, nil, err
	}
	if root := nodes[""]; root == nil || root.kind != 'd' {
		return nil, nil, fmt.Errorf("cannot %s: it is no directory", what)
	}
	return order, nodes, nil
}

func (t *Tree) excludes(p string) bool {
	return slices.ContainsFunc(t.o.Exclude, func(pattern string) bool {
		name := nameOf(p)
		if strings.Contains(pattern, "/") {
			pattern, name = strings.Trim(pattern, "/"), p
		}
		ok, _ := path.Match(pattern, name)
		return ok
	})
}

// CheckPatterns refuses patterns that path.Match cannot read.
func CheckPatterns(patterns []string) error {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || strings.Trim(p, "/") == "" {
			return fmt.Errorf("exclude holds %q, which is no pattern", p)
		}
	}
	return nil
}

// lookOwners finds for each owner on the source who that is on the target: the user and the group of the same names.
func (t *Tree) lookOwners(ctx context.Context) (map[ids]ids, error) {
	all := map[ids]ids{}
	for _, n := range t.order {
		all[ids{n.uid, n.gid}] = ids{}
	}
	if t.o.Owner != "" {
		user, group, _ := strings.Cut(t.o.Owner, ":")
		owner, err := lookIDs(ctx, t.o.To, user, group)
		for have := range all {
			all[have] = owner
		}
		return all, err
	}
	from, err := lookNames(ctx, t.o.From)
	if err != nil {
		return nil, err
	}
	to, err := lookNames(ctx, t.o.To)
	if err != nil {
		return nil, err
	}
	for have := range all {
		uid, known := to.uid(from.users[have.uid], have.uid)
		gid, also := to.gid(from.groups[have.gid], have.gid)
		if !known || !also {
			what := "user " + from.users[have.uid]
			if known {
				what = "group " + from.groups[have.gid]
			}
			return nil, module.Absent(module.WithHint(fmt.Errorf("cannot copy %s: some of it belongs to the %s, whom %s does not know", t.from, what, t.o.To.Name()),
				`make that account first (user { … }), or let everything belong to one: owner = "www-data"`))
		}
		all[have] = ids{uid, gid}
	}
	return all, nil
}

// guard refuses a pass that would take away more than was meant.
func (t *Tree) guard(there []*node) error {
	if t.Counts.Away == 0 {
		return nil
	}
	if t.Counts.Files == 0 {
		return fmt.Errorf("cannot copy %s to %s: there is not one file on the source; is its file system mounted?", t.from, t.to)
	}
	var total int64
	for _, n := range there {
		if n.kind != 'd' {
			total++
		}
	}
	if most := t.o.Limit.allows(total); t.Counts.Away > most {
		return module.WithHint(fmt.Errorf("cannot make %s equal to %s: %s of %d would go, and max_delete allows %d (%s)", t.to, t.from, counted(t.Counts.Away, "file", "files"), total, most, t.o.Limit),
			fmt.Sprintf("look whether that is meant; if so: max_delete = %d", t.Counts.Away))
	}
	return nil
}
