//go:build linux

package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"runner/runtime/host"
)

// oddTree makes whatever a listing can meet.
func oddTree(t *testing.T) string {
	t.Helper()
	root := filepath.Join(scratch(t), "root")
	for _, dir := range []string{"example.org/john/Maildir", "example.org/john/Maildir/.Sent", "example.org/new/Maildir", "example.org/cur", "cur/new", "new/cur", "lost+found/x", ".runner-staging-x/y", "a b\nc/-rf *"} {
		makeBox(t, root, dir)
	}
	top := filepath.Join(root, "example.org/john/Maildir")
	for i, name := range []string{"dovecot-uidlist", "dovecot.index", "dovecot.index.log", "maildirsize", "x.svbin", "subscriptions", ".runner-x", "\xff\xfe", "it's", strings.Repeat("n", 255)} {
		must(t, os.WriteFile(filepath.Join(top, name), make([]byte, i), os.FileMode(0o600+i)))
		must(t, os.Chtimes(filepath.Join(top, name), time.Time{}, time.Unix(1_300_000_000, int64(i)*1001)))
	}
	for _, name := range []string{"1.a.b", "2.a.b:2,S", ".hidden", "-n\n"} {
		must(t, os.WriteFile(filepath.Join(top, "cur", name), []byte(name), 0o640))
	}
	must(t, os.Link(filepath.Join(top, "cur/1.a.b"), filepath.Join(top, "new/3.a.b")))
	must(t, os.Symlink("../..", filepath.Join(top, "loop")))
	must(t, os.Symlink("/etc/passwd", filepath.Join(top, "cur/4.a.b")))
	must(t, os.Mkdir(filepath.Join(top, "cur/dir"), 0o700))
	must(t, unix.Mkfifo(filepath.Join(top, "fifo"), 0o600))
	must(t, unix.Mkfifo(filepath.Join(top, "cur/5.a.b"), 0o600))
	must(t, os.Symlink("example.org", filepath.Join(root, "example.net")))
	must(t, os.Chmod(filepath.Join(top, ".Sent"), 0o2750))
	return root
}

// TestWalkListsWhatFindLists: the runner's own host is listed by system calls, every other by find; the two must agree.
func TestWalkListsWhatFindLists(t *testing.T) {
	root := oddTree(t)
	for _, domains := range [][]string{nil, {"example.org"}, {"cur", "new", "a b\nc"}, {"lost+found"}} {
		t.Run(strings.Join(domains, ","), func(t *testing.T) {
			list := func(local bool) (*tree, map[string][]string) {
				v := (&machine{name: "here", local: local}).host().View
				found, err := lookTree(t.Context(), side{v, root}, time.Minute, &selection{domains: domains}, staying(Layout{}))
				must(t, err)
				if d := time.Since(time.Unix(found.now, 0)); d < -time.Second || d > 10*time.Second {
					t.Errorf("the clock is off by %s", d)
				}
				return found, listed(t, v, root, found)
			}
			wantTree, wantMessages := list(false)
			gotTree, gotMessages := list(true)
			if diff := cmp.Diff(wantTree.order, gotTree.order, cmp.AllowUnexported(node{}, stamp{}), cmpopts.IgnoreFields(node{}, "parent", "child", "next")); diff != "" {
				t.Errorf("find and the walk differ:\n%s", diff)
			}
			if diff := cmp.Diff(wantMessages, gotMessages); diff != "" {
				t.Errorf("the messages of find and of the walk differ:\n%s", diff)
			}
			if domains == nil && (len(gotTree.boxes) < 5 || len(gotMessages) < 10) {
				t.Errorf("only %d mailboxes and %d directories", len(gotTree.boxes), len(gotMessages))
			}
		})
	}
}

// listed are the messages of every mailbox, and what is strange among them.
func listed(t *testing.T, v *host.View, root string, tr *tree) map[string][]string {
	t.Helper()
	var dirs []string
	for _, m := range tr.boxes {
		dirs = append(dirs, join(m.at, "new"), join(m.at, "cur"))
	}
	r, err := listMessages(t.Context(), v, "list", root, time.Minute, dirs)
	must(t, err)
	defer r.close()
	all := map[string][]string{}
	r.strange = func(path string, kind byte) {
		all["strange"] = append(all["strange"], fmt.Sprintf("%c %q", kind, path))
	}
	for _, dir := range dirs {
		all[dir] = nil
		must(t, r.directory(dir, func(m *message) error {
			all[dir] = append(all[dir], fmt.Sprintf("%q %o %d:%d %d %v %d %d", m.name, m.mode, m.uid, m.gid, m.size, m.time, m.inode, m.links))
			return nil
		}))
	}
	must(t, r.end(false))
	return all
}

// TestWalkOfWhatGoes: on a side in use directories may go while they are listed, on another that is an error.
func TestWalkOfWhatGoes(t *testing.T) {
	root := oddTree(t)
	w, err := openWalker(root)
	must(t, err)
	defer w.close()
	gone, err := w.directory("example.org/nobody", func(string, *node, uint64) error { return errors.New("called") })
	if err != nil || !errors.Is(gone, fs.ErrNotExist) {
		t.Errorf("%v, %v", gone, err)
	}
	if _, err = w.directory("example.net/john", func(string, *node, uint64) error { return nil }); err == nil {
		t.Error("a symbolic link on the way was followed")
	}
	v := (&machine{name: "here", local: true}).host().View
	for _, inUse := range []bool{false, true} {
		choose := &selection{domains: []string{"example.org", "gone.example"}, inUse: inUse}
		_, err := lookTree(t.Context(), side{v, root}, time.Minute, choose, staying(Layout{}))
		if (err == nil) != inUse {
			t.Errorf("in use %v: %v", inUse, err)
		}
		r, err := listMessages(t.Context(), v, "list", root, time.Minute, []string{"gone.example/new", "example.org/cur/new"})
		must(t, err)
		r.strange = func(string, byte) {}
		if err := r.directory("gone.example/new", nil); !errors.Is(err, errVanished) {
			t.Errorf("a directory that is not there: %v", err)
		}
		must(t, r.directory("example.org/cur/new", func(*message) error { return nil }))
		if err := r.end(inUse); (err == nil) != inUse {
			t.Errorf("in use %v: %v", inUse, err)
		}
		r.close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lookTree(ctx, side{v, root}, time.Minute, &selection{}, staying(Layout{})); err == nil {
		t.Error("a listing went on when it was given up")
	}
}
