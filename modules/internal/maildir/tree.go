package maildir

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"runner/runtime/host"
)

// mailbox is a directory that holds cur and new.
type mailbox struct {
	path string // as the target names it
	at   string // as its own host names it
	home string // the account it belongs to
	top  string // the outermost mailbox around it: the root of its Maildir++
}

// tree is one side without its messages.
type tree struct {
	nodes map[string]*node // by path as the target names it
	root  *node            // not among them
	order []*node          // every directory before what it holds, which is sorted by name
	boxes []*mailbox       // in the same order
	homes map[string]bool
	ways  map[string]bool // directories that lead to homes
	plain map[string]bool // directories that hold cur and new and are no mailboxes all the same
	now   int64           // the host's clock when the listing began, in Unix seconds
	to    Layout          // of the target
	left  []Left          // what has no place on the target; the first of them
	lefts int             // how much that is
}

func newTree() *tree {
	return &tree{nodes: map[string]*node{}, root: &node{kind: 'd'}, homes: map[string]bool{}, plain: map[string]bool{}, ways: map[string]bool{}}
}

// side is where a tree is: a host and a directory of it.
type side struct {
	view *host.View
	root string
}

func (s side) String() string { return s.view.Name() + ":" + s.root }

// errNoRoot says that the root directory is not there.
var errNoRoot = errors.New("no such directory")

// lookTree lists a side. Only what choose takes is kept; way maps a path of the host to the target's.
func lookTree(ctx context.Context, s side, stall time.Duration, choose *selection, way *mapping) (*tree, error) {
	if info, err := s.view.Stat(ctx, s.root); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list the mailboxes of %s: %w", s, errNoRoot)
	} else if err != nil {
		return nil, fmt.Errorf("cannot list the mailboxes of %s: %w", s, err)
	} else if !info.Mode.IsDir() {
		return nil, fmt.Errorf("cannot list the mailboxes of %s: it is no directory", s)
	}
	t := newTree()
	t.to = way.to
	b := newTreeBuilder(t, s, choose, way)
	if err := b.read(ctx, stall, choose.starts(), false); err != nil {
		return nil, err
	}
	if err := b.suspects(ctx, stall); err != nil {
		return nil, err
	}
	for {
		again := b.hidden()
		if len(again) == 0 {
			break
		}
		if err := b.read(ctx, stall, again, true); err != nil {
			return nil, err
		}
	}
	t.finish()
	return t, b.astray()
}

// treeBuilder takes the records of a listing into a tree.
type treeBuilder struct {
	tree    *tree
	side    side
	choose  *selection
	way     *mapping
	last    *node           // directory of what was listed last: it mostly is that of what comes next
	slab    []node          // room for further nodes
	entered map[string]bool // directories called cur, new or tmp that turned out to be no part of a mailbox

	ways    map[string]uint8 // directories of the host that lead to accounts: which of cur and new they hold
	outside map[string]uint8 // the same of directories that fit no account
	dropped []string         // directories called cur, new or tmp that are not in the tree
}

func newTreeBuilder(t *tree, s side, choose *selection, way *mapping) *treeBuilder {
	return &treeBuilder{tree: t, side: s, choose: choose, way: way, last: t.root, entered: map[string]bool{}, ways: map[string]uint8{}, outside: map[string]uint8{}}
}

func (b *treeBuilder) read(ctx context.Context, stall time.Duration, starts []string, enter bool) error {
	if direct(b.side.view) {
		return b.walk(ctx, starts, enter)
	}
	what := "list the mailboxes of " + b.side.String()
	args := append([]string{b.side.root}, starts...)
	s, err := ask(ctx, b.side.view, what, stall, nil, treeScript(enter), args...)
	if err != nil {
		return err
	}
	defer s.close()
	now, err := readTree(bufio.NewReaderSize(s, 64<<10), b.add)
	if err != nil {
		// How the program ended says more than that its output is too short.
		if ended := s.wait(); ended != nil {
			return listingError(what, ended)
		}
		return fmt.Errorf("cannot %s: %w", what, err)
	}
	if b.tree.now == 0 {
		b.tree.now = now
	}
	return listingError(what, s.tolerate(b.choose.inUse))
}

// tolerate is wait for a listing of a side in use, where directories and files may go while they are listed.
func (s *stream) tolerate(inUse bool) error {
	err := s.wait()
	var exit *host.ExitError
	if inUse && errors.As(err, &exit) && (exit.Status == 1 || exit.Status == 123) && exit.Signal == "" {
		if _, other := s.stderr.serious(); other == 0 {
			return nil
		}
	}
	return err
}

// listingError says why a listing is incomplete; nothing may be concluded from one.
func listingError(what string, err error) error {
	var exit *host.ExitError
	if errors.As(err, &exit) {
		why := fmt.Sprintf("find ended with status %d", exit.Status)
		if exit.Status == 97 {
			why = "the directory cannot be entered"
		}
		if exit.Signal != "" {
			why = "find was ended by signal " + exit.Signal
		}
		if line, _, _ := strings.Cut(exit.Stderr, "\n"); line != "" {
			why = line
		}
		return fmt.Errorf("cannot %s: %s", what, why)
	}
	return err
}

func (b *treeBuilder) add(n node) error {
	if n.path == "" {
		return nil // the root itself
	}
	if !b.choose.takes(n.at) || (n.kind != 'd' && isCache(nameOf(n.at))) {
		return nil
	}
	var ok bool
	if n.path, ok = b.way.place(n.at, n.kind == 'd'); !ok {
		b.leave(&n)
		return nil
	}
	b.half(&n)
	if other, ok := b.tree.nodes[n.path]; ok && other.at == n.at {
		return fmt.Errorf("the listing holds %q twice", clip(n.at))
	} else if ok && n.kind == 'd' && other.kind == 'd' && b.way.merges(n.at) {
		other.at, other.mode, other.uid, other.gid = n.at, n.mode, n.uid, n.gid
		return nil
	} else if ok {
		return fmt.Errorf("the directories %q and %q would be one on the target: merge or rename one of them", clip(other.at), clip(n.at))
	}
	if dir := dirOf(n.path); dir != b.last.path {
		if b.last = b.directory(dir, &n); b.last == nil || b.last.kind != 'd' {
			b.last = b.tree.root
			return fmt.Errorf("the listing holds %q, whose directory it does not hold", clip(n.at))
		}
	}
	b.keep(n, b.last)
	return nil
}

// keep puts a node into the tree.
func (b *treeBuilder) keep(n node, parent *node) *node {
	if len(b.slab) == 0 {
		b.slab = make([]node, 256)
	}
	kept := &b.slab[0]
	*kept, b.slab = n, b.slab[1:]
	kept.parent = parent
	b.tree.nodes[n.path] = kept
	parent.holds(kept)
	return kept
}

// directory is that of a path; one that only the target has is made like the one that it lies in, or, in the root, like what is to lie in it.
func (b *treeBuilder) directory(path string, within *node) *node {
	n := b.tree.node(path)
	if n != nil || !b.way.between(path) {
		return n
	}
	parent := b.directory(dirOf(path), within)
	if parent == nil || parent.kind != 'd' {
		return nil
	}
	like := *parent
	if parent == b.tree.root {
		like = node{kind: 'd', mode: within.mode, uid: within.uid, gid: within.gid, time: within.time}
	}
	like.path, like.parent, like.child, like.next, like.halves = path, nil, nil, nil, 0
	return b.keep(like, parent)
}

// node is what lies under a path, the root under ""; nil if nothing does.
func (t *tree) node(path string) *node {
	if path == "" {
		return t.root
	}
	return t.nodes[path]
}

func (t *tree) isMailbox(path string) bool {
	n := t.node(path)
	return n != nil && n.halves == bothHalves && !t.plain[path]
}

// finish sorts the nodes and finds the mailboxes and their homes.
func (t *tree) finish() {
	t.order = make([]*node, 0, len(t.nodes))
	t.sorted(t.root)
	for _, m := range t.boxes {
		m.top = t.outermost(m.path)
		m.home = homeOf(m.top, t.to.depth())
		t.homes[m.home] = true
		for p := dirOf(m.home); p != ""; p = dirOf(p) {
			t.ways[p] = true
		}
	}
}

// sorted appends what lies below a directory. It keeps a list of its own of what is to be done: a hostile host can make directories
// as deep as paths are long.
func (t *tree) sorted(root *node) {
	todo := []*node{root}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if n != root {
			t.order = append(t.order, n)
		}
		if n.halves == bothHalves && !t.plain[n.path] {
			t.boxes = append(t.boxes, &mailbox{path: n.path, at: n.at})
		}
		start := len(todo)
		for child := n.child; child != nil; child = child.next {
			todo = append(todo, child)
		}
		slices.SortFunc(todo[start:], func(a, b *node) int { return strings.Compare(b.path, a.path) })
	}
}

// outermost is the mailbox nearest to the root that path is or lies in.
func (t *tree) outermost(path string) string {
	top := path
	for n := t.node(path).parent; n != nil; n = n.parent {
		if n.halves == bothHalves && !t.plain[n.path] {
			top = n.path
		}
	}
	return top
}

// homeOf is the account's directory: its first parts, as domain and user, or the mailbox itself where it lies higher.
func homeOf(top string, depth int) string {
	parts := strings.SplitN(top, "/", depth+1)
	if len(parts) > depth {
		parts = parts[:depth]
	}
	return strings.Join(parts, "/")
}

// homeFor is the home that a path lies in, if any.
func (t *tree) homeFor(path string) (string, bool) {
	if t.homes[""] {
		return "", true
	}
	for p := path; p != ""; p = dirOf(p) {
		if t.homes[p] {
			return p, true
		}
	}
	return "", false
}

// ofAccount says whether a directory is part of an account or leads to one.
func (t *tree) ofAccount(dir string) bool {
	if _, ok := t.homeFor(dir); ok {
		return true
	}
	return t.ways[dir]
}

// inMailbox says whether a directory is the cur, new or tmp of a mailbox.
func (t *tree) inMailbox(path string) bool {
	switch nameOf(path) {
	case "cur", "new", "tmp":
		return t.isMailbox(dirOf(path))
	}
	return false
}
