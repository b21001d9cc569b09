package maildir

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// Done is what applying a pass came to.
type Done struct {
	Copied, Bytes, Vanished int64
	Lost                    int64 // links that could not be made because their message had vanished
	Quarantine              string
	Seconds                 float64
}

// applier applies a pass.
type applier struct {
	p        *Pass
	to       *host.Host
	at       place
	progress func(module.Progress)
	started  time.Time
	done     Done

	mu      sync.Mutex
	told    time.Time
	brought []string // lines for the list of late passes
}

// Apply does what a pass found. to is the writable host of the target. After an error, a kill or a loss of power the next
// pass goes on from there: a message is either in its place, whole, or not visible.
func (p *Pass) Apply(ctx context.Context, to *host.Host, progress func(module.Progress)) (*Done, error) {
	a := &applier{p: p, to: to, progress: progress, started: time.Now()}
	a.at = place{root: p.to.root, owner: p.owner, staging: stagingName(p.from, &p.o)}
	err := ifFull(ctx, p.to, a.run(ctx))
	// The context may be what failed; what was brought and what was staged must be settled all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if p.o.Mode.adds() {
		c := recordID(p.from)
		err = errors.Join(err, p.known.saveLate(ctx, to, p.to.root, c, a.brought))
	}
	if cleaned := removeStaging(ctx, to, a.at); err == nil {
		err = cleaned
	}
	if err == nil { // what is done stays done
		err = syncDir(ctx, to.View, p.to.root)
	}
	a.done.Seconds = time.Since(a.started).Seconds()
	return &a.done, err
}

func (a *applier) run(ctx context.Context) error {
	if a.p.newRoot {
		if err := a.makeRoot(ctx); err != nil {
			return err
		}
	}
	if err := removeStaging(ctx, a.to, a.at); err != nil {
		return err
	}
	if a.p.removes.count > 0 || a.p.Counts.Quarantine > 0 {
		var err error
		if a.at.quarantine, err = makeQuarantine(ctx, a.to, a.at.root, a.p.o.Now().Format("2006-01-02T1504")); err != nil {
			return err
		}
		a.done.Quarantine = a.at.quarantine
	}
	if err := a.steps(ctx); err != nil {
		return err
	}
	if a.p.record.due() {
		if err := a.p.record.save(ctx, a.to, a.at.root); err != nil {
			return fmt.Errorf("cannot record the final pass on %s: %w", a.to.Name(), err)
		}
	}
	return nil
}

// steps are those that change mailboxes. What comes after them may need the session of their writer.
func (a *applier) steps(ctx context.Context) error {
	w, err := openWriter(ctx, a.to, a.at, 0, &a.p.o)
	if err != nil {
		return err
	}
	defer w.close()
	for _, step := range []func(context.Context, writer) error{a.prepare, a.copies, a.links, a.files, a.removes, a.settle} {
		if err := step(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) makeRoot(ctx context.Context) error {
	files := a.to.Files()
	if err := files.Mkdir(ctx, a.at.root, 0o770); err != nil {
		return fmt.Errorf("cannot make %s on %s: %w", a.at.root, a.to.Name(), err)
	}
	if err := files.Chmod(ctx, a.at.root, 0o770); err != nil {
		return err
	}
	return files.Chown(ctx, a.at.root, a.at.owner.uid, a.at.owner.gid)
}

// each does the work of a list with one writer.
func (a *applier) each(ctx context.Context, w writer, l *worklist) error {
	err := l.each(func(job work) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return w.do(job)
	})
	if err != nil {
		return err
	}
	return w.flush()
}

// prepare removes index caches before anything they describe is changed, then makes directories and renames.
func (a *applier) prepare(ctx context.Context, w writer) error {
	if err := a.each(ctx, w, &a.p.caches); err != nil {
		return err
	}
	return a.each(ctx, w, &a.p.prepare)
}

func (a *applier) links(ctx context.Context, w writer) error {
	if err := a.each(ctx, w, &a.p.links); err != nil {
		return err
	}
	a.done.Lost = int64(w.lost())
	if a.done.Lost > 0 && a.p.o.Mode == Final {
		return fmt.Errorf("cannot give %s on %s their further names: the target has changed since it was listed", counted(a.done.Lost, "message", "messages"), a.to.Name())
	}
	return nil
}

func (a *applier) removes(ctx context.Context, w writer) error {
	if err := a.each(ctx, w, &a.p.removes); err != nil {
		return err
	}
	if err := w.sync(); err != nil {
		return err
	}
	return w.flush()
}

// settle gives files the times that they have on the source, once everything is in its place.
func (a *applier) settle(ctx context.Context, w writer) error { return a.each(ctx, w, &a.p.settle) }

// split cuts a list into batches.
func (a *applier) split(l *worklist, send func([]work) error) error {
	var batch []work
	var bytes int64
	err := l.each(func(job work) error {
		if len(batch) > 0 && (len(batch) >= a.p.o.batchFiles || bytes+job.size > a.p.o.batchBytes) {
			if err := send(batch); err != nil {
				return err
			}
			batch, bytes = nil, 0
		}
		batch = append(batch, job)
		bytes += job.size
		return nil
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	return send(batch)
}

// remember notes what a late pass brought.
func (a *applier) remember(brought []work) {
	if !a.p.o.Mode.adds() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range brought {
		stem := string(base([]byte(nameOf(brought[i].to))))
		a.brought = append(a.brought, lateLine(a.p.o.TargetLayout.key(a.p.homeOf(brought[i].to)), stem))
	}
}

// files fetches control files and other files, after the messages that they speak of.
func (a *applier) files(ctx context.Context, w writer) error {
	f := a.fetcher(a.p.o.Mode != Final)
	f.told = nil
	var copies worklist
	err := a.p.files.each(func(job work) error {
		if job.kind == makeLink {
			return w.do(job)
		}
		copies.add(job)
		return nil
	})
	if err != nil {
		return err
	}
	copies.seal()
	if err := a.split(&copies, func(b []work) error {
		_, err := f.batch(ctx, w, b)
		return err
	}); err != nil {
		return err
	}
	return w.flush()
}

func (a *applier) fetcher(lenient bool) *fetcher {
	f := &fetcher{o: &a.p.o, from: a.p.from, lenient: lenient, rate: newLimiter(a.p.o.Rate), compress: newCompression(&a.p.o)}
	f.told = func(domain string, size int64) { a.came(f, domain, size) }
	return f
}
