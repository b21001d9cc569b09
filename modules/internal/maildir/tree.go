package maildir

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
	order []*node          // sorted by path
	boxes []*mailbox       // sorted by path
	homes map[string]bool
	ways  map[string]bool // directories that lead to homes
	plain map[string]bool // directories that hold cur and new and are no mailboxes all the same
	now   int64           // the host's clock when the listing began, in Unix seconds
}

func newTree() *tree {
	return &tree{nodes: map[string]*node{}, homes: map[string]bool{}, plain: map[string]bool{}, ways: map[string]bool{}}
}

// side is where a tree is: a host and a directory of it.
type side struct {
	view *host.View
	root string
}

func (s side) String() string { return s.view.Name() + ":" + s.root }

// errNoRoot says that the root directory is not there.
var errNoRoot = errors.New("no such directory")

// lookTree lists a side. Only what choose takes is kept; rename maps a path of the host to the target's.
func lookTree(ctx context.Context, s side, stall time.Duration, choose *selection, mapping func(string) string) (*tree, error) {
	if info, err := s.view.Stat(ctx, s.root); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list the mailboxes of %s: %w", s, errNoRoot)
	} else if err != nil {
		return nil, fmt.Errorf("cannot list the mailboxes of %s: %w", s, err)
	} else if !info.Mode.IsDir() {
		return nil, fmt.Errorf("cannot list the mailboxes of %s: it is no directory", s)
	}
	t := newTree()
	b := treeBuilder{tree: t, side: s, choose: choose, mapping: mapping, seen: map[string]byte{}}
	if err := b.read(ctx, stall, choose.starts(), false); err != nil {
		return nil, err
	}
	if err := b.domains(ctx, stall); err != nil {
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
	return t, nil
}

// treeBuilder takes the records of a listing into a tree.
type treeBuilder struct {
	tree    *tree
	side    side
	choose  *selection
	mapping func(string) string
	seen    map[string]byte // kind of every path on the host that was listed
	entered map[string]bool // directories called cur, new or tmp that turned out to be no part of a mailbox
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
	if _, twice := b.seen[n.at]; twice {
		return fmt.Errorf("the listing holds %q twice", clip(n.at))
	}
	parent := dirOf(n.at)
	if kind, ok := b.seen[parent]; parent != "" && !b.choose.isStart(n.at) && (!ok || kind != 'd') {
		return fmt.Errorf("the listing holds %q, whose directory it does not hold", clip(n.at))
	}
	b.seen[n.at] = n.kind
	if !b.choose.takes(n.at) || (n.kind != 'd' && isCache(nameOf(n.at))) {
		return nil
	}
	n.path = b.mapping(n.at)
	if other, ok := b.tree.nodes[n.path]; ok {
		return fmt.Errorf("the directories %q and %q would be one on the target: merge or rename one of them", clip(other.at), clip(n.at))
	}
	kept := n
	b.tree.nodes[n.path] = &kept
	return nil
}

// hidden are directories called cur, new or tmp that were not entered and do not belong to a mailbox: the home of a user
// called "new" is one.
func (b *treeBuilder) hidden() []string {
	if b.entered == nil {
		b.entered = map[string]bool{}
	}
	var found []string
	for path, n := range b.tree.nodes {
		switch nameOf(n.at) {
		case "cur", "new", "tmp":
			if n.kind == 'd' && !b.entered[path] && !b.tree.isMailbox(dirOf(path)) {
				b.entered[path] = true
				found = append(found, "./"+n.at)
			}
		}
	}
	slices.Sort(found)
	return found
}

// domains looks at directories of the root that seem to be mailboxes: a domain whose users are called "cur" and "new"
// seems to be one, and is none when directories lie in these.
func (b *treeBuilder) domains(ctx context.Context, stall time.Duration) error {
	for path, n := range b.tree.nodes {
		if strings.Contains(path, "/") || !b.tree.isMailbox(path) {
			continue
		}
		what := "list the mailboxes of " + b.side.String()
		s, err := ask(ctx, b.side.view, what, stall, nil, `LC_ALL=C; export LC_ALL
cd "$1/$2" && exec find ./cur ./new -mindepth 1 -maxdepth 1 -type d -print0`, b.side.root, n.at)
		if err != nil {
			return err
		}
		defer s.close()
		found, err := io.ReadAll(io.LimitReader(s, 4096))
		if err != nil {
			return err
		}
		if err := listingError(what, s.tolerate(b.choose.inUse)); err != nil {
			return err
		}
		b.tree.plain[path] = len(found) > 0
	}
	return nil
}

func (t *tree) isMailbox(path string) bool {
	if t.plain[path] {
		return false
	}
	cur, new := t.nodes[join(path, "cur")], t.nodes[join(path, "new")]
	return cur != nil && new != nil && cur.kind == 'd' && new.kind == 'd'
}

// finish sorts the nodes and finds the mailboxes and their homes.
func (t *tree) finish() {
	for _, n := range t.nodes {
		t.order = append(t.order, n)
	}
	slices.SortFunc(t.order, func(a, b *node) int { return strings.Compare(a.path, b.path) })
	if t.isMailbox("") {
		t.boxes = append(t.boxes, &mailbox{})
	}
	for _, n := range t.order {
		if n.kind == 'd' && t.isMailbox(n.path) {
			t.boxes = append(t.boxes, &mailbox{path: n.path, at: n.at})
		}
	}
	for _, m := range t.boxes {
		m.top = t.outermost(m.path)
		m.home = homeOf(m.top)
		t.homes[m.home] = true
		for p := dirOf(m.home); p != ""; p = dirOf(p) {
			t.ways[p] = true
		}
	}
}

// outermost is the mailbox nearest to the root that path is or lies in.
func (t *tree) outermost(path string) string {
	top := path
	for p := path; p != ""; {
		p = dirOf(p)
		if t.isMailbox(p) {
			top = p
		}
	}
	return top
}

// homeOf is the account's directory: its first two parts, domain and user, or the mailbox itself where it lies higher.
func homeOf(top string) string {
	parts := strings.SplitN(top, "/", 3)
	if len(parts) > 2 {
		parts = parts[:2]
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
