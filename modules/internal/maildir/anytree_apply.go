package maildir

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// TreeDone is what applying a pass over a tree came to.
type TreeDone struct {
	Copied, Bytes, Vanished int64
	Quarantine              string
}

// treeApplier applies a pass over a tree.
type treeApplier struct {
	t        *Tree
	to       *host.Host
	at       place
	o        *Options
	f        *fetcher
	progress func(module.Progress)
	told     time.Time
}

// Apply does what a pass found. Files become visible whole or not at all; new directories are closed to others until everything
// in them is there. After an error or a kill the next pass goes on from there.
func (t *Tree) Apply(ctx context.Context, to *host.Host, progress func(module.Progress)) (done TreeDone, err error) {
	o := &Options{From: t.o.From, To: t.o.To, Path: t.o.Path, Target: t.o.Target, Mode: Warm, Rate: t.o.Rate, Stall: t.o.Stall, Now: t.o.Now}
	o.complete()
	a := &treeApplier{t: t, to: to, o: o, progress: progress, at: place{root: t.to.root, staging: stagingName(t.from, o)}}
	a.f = &fetcher{o: o, from: t.from, lenient: true, rate: newLimiter(o.Rate), compress: newCompression(o)}
	a.f.told = func(string, int64) { a.tell() }
	err = ifFull(ctx, t.to, a.run(ctx, &done))
	done.Copied, done.Bytes, done.Vanished = a.f.messages.Load(), a.f.bytes.Load(), a.f.vanished.Load()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if cleaned := removeStaging(ctx, to, a.at); err == nil {
		err = cleaned
	}
	if err == nil {
		err = syncDir(ctx, to.View, t.to.root)
	}
	return done, err
}

func (a *treeApplier) run(ctx context.Context, done *TreeDone) error {
	t := a.t
	if t.newRoot {
		if err := a.makeRoot(ctx); err != nil {
			return err
		}
	}
	if err := removeStaging(ctx, a.to, a.at); err != nil {
		return err
	}
	if len(t.removes) > 0 {
		var err error
		if a.at.quarantine, err = makeQuarantine(ctx, a.to, a.at.root, a.o.Now().Format("2006-01-02T1504")); err != nil {
			return err
		}
		done.Quarantine = a.at.quarantine
	}
	root := ids{}
	// What is in the way goes first.
	if err := a.write(ctx, root, t.removes); err != nil {
		return err
	}
	if err := a.write(ctx, root, t.dirs); err != nil {
		return err
	}
	for _, owner := range sortedOwners(t.copies) {
		if err := a.write(ctx, owner, t.copies[owner]); err != nil {
			return err
		}
	}
	if err := a.write(ctx, root, t.links); err != nil {
		return err
	}
	return a.settle(ctx)
}

// settle gives directories their owners, modes and times, the deepest first whoever owns them: a directory that is closed
// to its owner closes nothing to the superuser.
func (a *treeApplier) settle(ctx context.Context) error {
	for _, owner := range sortedOwners(a.t.settle) {
		if err := a.write(ctx, owner, a.t.settle[owner]); err != nil {
			return err
		}
	}
	return nil
}

func sortedOwners(m map[ids][]work) []ids {
	return slices.SortedFunc(maps.Keys(m), func(a, b ids) int { return cmp.Or(cmp.Compare(a.uid, b.uid), cmp.Compare(a.gid, b.gid)) })
}

func (a *treeApplier) makeRoot(ctx context.Context) error {
	files, n := a.to.Files(), a.t.src[""]
	if err := files.Mkdir(ctx, a.at.root, 0o700); err != nil {
		return fmt.Errorf("cannot make %s on %s: %w", a.at.root, a.to.Name(), err)
	}
	owner := a.t.owner(n)
	if err := files.Chown(ctx, a.at.root, owner.uid, owner.gid); err != nil {
		return err
	}
	return files.Chmod(ctx, a.at.root, fs.FileMode(treeMode(n)&0o777))
}

// write does work for one owner, with a writer that lives as long.
func (a *treeApplier) write(ctx context.Context, owner ids, list []work) error {
	if len(list) == 0 {
		return nil
	}
	at := a.at
	at.owner = owner
	w, err := openWriter(ctx, a.to, at, 0, a.o)
	if err != nil {
		return err
	}
	defer w.close()
	var batch []work
	var bytes int64
	send := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := a.f.batch(ctx, w, batch)
		batch, bytes = nil, 0
		return err
	}
	for _, job := range list {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if job.kind != copyFile {
			if err := w.do(job); err != nil {
				return err
			}
			continue
		}
		batch, bytes = append(batch, job), bytes+job.size
		if len(batch) >= batchFiles || bytes >= batchBytes {
			if err := send(); err != nil {
				return err
			}
		}
	}
	if err := send(); err != nil {
		return err
	}
	return w.flush()
}

func (a *treeApplier) tell() {
	if now := time.Now(); a.progress != nil && now.Sub(a.told) > 100*time.Millisecond {
		a.told = now
		c := &a.t.Counts
		a.progress(module.Progress{Unit: "files", Done: a.f.messages.Load(), Total: c.Copy, Bytes: a.f.bytes.Load(), TotalBytes: c.CopyBytes})
	}
}
