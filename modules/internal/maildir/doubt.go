package maildir

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// half notes directories called cur or new where accounts, or directories of accounts, are looked for.
func (b *treeBuilder) half(n *node) {
	half := halfOf(n)
	if half == 0 {
		return
	}
	if dir := dirOf(n.at); b.doubtful(dir) {
		b.ways[dir] |= half
	}
}

// doubtful says whether a directory that holds cur and new may be one of accounts that are called so, and no mailbox.
func (b *treeBuilder) doubtful(dir string) bool {
	if b.way.from.Pattern() {
		return b.way.strict && (dir == "" || b.way.leads(dir))
	}
	return dir != "" && !strings.Contains(dir, "/") // a domain
}

// leave notes what the target has no place for. Directories that lead to accounts are made again when accounts lie in them.
func (b *treeBuilder) leave(n *node) {
	name := nameOf(n.at)
	if n.kind != 'd' {
		if b.tree.lefts++; len(b.tree.left) < maxLeft {
			b.tree.left = append(b.tree.left, Left{n.at, "belongs to no account: path has no place for it"})
		}
		return
	}
	if name == "cur" || name == "new" || name == "tmp" {
		b.dropped = append(b.dropped, n.at)
	}
	half, dir := halfOf(n), dirOf(n.at)
	switch {
	case half == 0:
	case b.doubtful(dir):
		b.ways[dir] |= half
	default:
		b.outside[dir] |= half
	}
}

// hidden are directories called cur, new or tmp that were not entered and do not belong to a mailbox: the home of a user called "new" is one.
func (b *treeBuilder) hidden() []string {
	var found []string
	enter := func(at string) {
		if !b.entered[at] {
			b.entered[at] = true
			found = append(found, "./"+at)
		}
	}
	for path, n := range b.tree.nodes {
		switch nameOf(n.at) {
		case "cur", "new", "tmp":
			if n.kind == 'd' && n.at != n.parent.at && !b.tree.isMailbox(dirOf(path)) {
				enter(n.at)
			}
		}
	}
	for _, at := range b.dropped {
		if b.outside[dirOf(at)] != bothHalves { // an error already
			enter(at)
		}
	}
	slices.Sort(found)
	return found
}

// suspects looks at directories of accounts that seem to be mailboxes: a domain whose users are called "cur" and "new" seems to be one,
// and is none when directories lie in these.
func (b *treeBuilder) suspects(ctx context.Context, stall time.Duration) error {
	what := "list the mailboxes of " + b.side.String()
	for _, dir := range slices.Sorted(maps.Keys(b.ways)) {
		if b.ways[dir] != bothHalves {
			continue
		}
		s, err := ask(ctx, b.side.view, what, stall, nil, `LC_ALL=C; export LC_ALL
cd "$1/$2" && exec find ./cur ./new -mindepth 1 -maxdepth 1 -type d -print0`, b.side.root, dir)
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
		if len(found) == 0 && b.way.strict {
			return fmt.Errorf("cannot use %s: it is a mailbox itself, and path looks for mailboxes in the directories of accounts", under(b.side.String(), dir))
		}
		if to, ok := b.way.place(dir, true); ok && dir != "" {
			b.tree.plain[to] = len(found) > 0
		} else if dir == "" {
			b.tree.plain[""] = len(found) > 0
		}
	}
	return nil
}

// astray refuses mailboxes that lie where no account is by the pattern: nobody would find them on the target.
func (b *treeBuilder) astray() error {
	for _, dir := range slices.Sorted(maps.Keys(b.outside)) {
		if b.way.strict && b.outside[dir] == bothHalves {
			return fmt.Errorf("cannot find a place for the mailbox %s of %s: by path, %s, no account is there", dir, b.side, b.way.from.String())
		}
	}
	return nil
}
