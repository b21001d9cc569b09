package maildir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLive(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.stock()
		w.final()
		live, err := ReadLive(ctx, w.o.To, w.dst)
		must(t, err)
		if live.Covered(nil) || live.Covered([]string{"example.org"}) {
			t.Fatal("live before it was declared")
		}
		live.Declare([]string{"example.net"}, time.Now())
		must(t, WriteLive(ctx, w.host(), w.dst, live))
		w.refused(w.with(Final), "example.net has been live since", "late")
		w.refused(w.with(Warm), "example.net has been live since", "late")
		o := w.with(Final)
		o.Domains = []string{"example.org"}
		if _, _, err := w.try(o); err != nil {
			t.Errorf("a final pass of another domain: %v", err)
		}
		live.Declare(nil, time.Now())
		must(t, WriteLive(ctx, w.host(), w.dst, live))
		o.Domains = []string{"example.org"}
		w.refused(o, "live since", "late")
	})
}

// TestLate: after the final pass users of the new server read, move and delete, while mails still reach the old one.
func TestLate(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		w.refused(w.with(Late), "no final pass is on record")
		w.stock()
		w.final()
		must(t, WriteLive(context.Background(), w.host(), w.dst, func() *Live { l := &Live{Version: 1}; l.Declare(nil, time.Now()); return l }()))
		src, dst := filepath.Join(w.src, "example.org/john/Maildir"), filepath.Join(w.dst, "example.org/john/Maildir")
		before := messages(t, dst)
		// On the new server: one deleted, one moved to another folder, flags changed, a new one.
		must(t, os.Remove(filepath.Join(dst, before[0])))
		must(t, os.Rename(filepath.Join(dst, before[1]), filepath.Join(dst, ".Sent", before[1])))
		must(t, os.Rename(filepath.Join(dst, before[2]), filepath.Join(dst, before[2]+"T")))
		write(t, filepath.Join(dst, "new", "1500000000.M1P1.new"), "on new", epoch)
		write(t, filepath.Join(dst, "dovecot.index"), "cache", epoch)
		write(t, filepath.Join(dst, "dovecot-uidlist"), "3 V1367629321 N99 G0123\n", epoch)
		// On the old one: flags changed, deletions, late mail in the inbox and in a folder that is new.
		must(t, os.Rename(filepath.Join(src, before[3]), filepath.Join(src, before[3]+"T")))
		must(t, os.Remove(filepath.Join(src, before[4])))
		write(t, filepath.Join(src, "new", "1500000001.M1P1.old"), "late", epoch)
		write(t, filepath.Join(src, "cur", "1500000002.M1P1.old:2,Sab"), "late, read", epoch)
		fresh := makeBox(t, src, ".Fresh")
		write(t, filepath.Join(fresh, "cur", "1500000003.M1P1.old:2,"), "late, sorted", epoch)
		write(t, filepath.Join(src, "dovecot-uidlist"), "3 V1367629321 N20 G0123\n", epoch)

		want := inventory(t, w.dst)
		for path, content := range map[string]string{"new/1500000001.M1P1.old": "late", "new/1500000002.M1P1.old:2,S": "late, read", ".Fresh/new/1500000003.M1P1.old": "late, sorted"} {
			want["example.org/john/Maildir/"+path] = fmt.Sprintf("-rw------- %d %d %q", len(content), epoch.Unix(), content)
		}
		for _, d := range []string{"", "/cur", "/new", "/tmp"} {
			want["example.org/john/Maildir/.Fresh"+d] = "directory -rwx------"
		}
		_, done := w.pass(Late)
		if done.Copied != 3 {
			t.Errorf("copied %d", done.Copied)
		}
		if diff := cmp.Diff(want, inventory(t, w.dst)); diff != "" {
			t.Errorf("late pass (-want +got):\n%s", diff)
		}
		if _, err := os.Stat(filepath.Join(dst, "dovecot.index")); err != nil {
			t.Error("a late pass removed an index of a server in use")
		}
		// The user deletes one of them and moves another: neither comes again.
		must(t, os.Remove(filepath.Join(dst, "new/1500000001.M1P1.old")))
		must(t, os.Rename(filepath.Join(dst, "new/1500000002.M1P1.old:2,S"), filepath.Join(dst, ".Sent/cur/1500000002.M1P1.old:2,S")))
		again, err := Look(context.Background(), w.with(Late))
		must(t, err)
		if !again.Empty() {
			t.Errorf("a second late pass brings %+v", again.Counts)
		}
	})
}

// TestReverse goes back: what reached the new server since the final pass is added to the old one.
func TestReverse(t *testing.T) {
	w := newWorld(t, true)
	w.stock()
	w.final()
	write(t, filepath.Join(w.dst, "example.org/john/Maildir/new/1500000000.M1P1.new"), "on new", epoch)
	must(t, os.Remove(filepath.Join(w.dst, "example.org/john/Maildir", messages(t, filepath.Join(w.dst, "example.org/john/Maildir"))[0])))
	want := inventory(t, w.src)
	want["example.org/john/Maildir/new/1500000000.M1P1.new"] = fmt.Sprintf("-rw------- 6 %d %q", epoch.Unix(), "on new")
	o := w.with(Reverse)
	o.From, o.To, o.Path, o.Target = w.o.To, w.o.From, w.dst, w.src
	p, err := Look(context.Background(), o)
	must(t, err)
	_, err = p.Apply(context.Background(), w.from.host(), nil)
	must(t, err)
	if diff := cmp.Diff(want, inventory(t, w.src)); diff != "" {
		t.Errorf("reverse pass (-want +got):\n%s", diff)
	}
}
