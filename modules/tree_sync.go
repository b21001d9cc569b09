package modules

import (
	"context"
	"fmt"
	"strings"

	"runner/modules/internal/maildir"
	"runner/runtime/host"
	"runner/runtime/module"
)

// treeSyncArgs are the arguments of tree_sync.
//
// Files are compared by size and time and sent whole, by the same machinery as [maildir_sync]: a file becomes visible whole or
// not at all, a pass that was broken off is gone on with by the next, and nothing that the old host sends is trusted. Owners are
// those of the same names on the new host; modes, times, symbolic links and further names of a file (hard links) are kept. Nothing
// is removed unless delete says so, and then it is put aside beside the target (/var/www.quarantine-DATE), up to
// max_delete. Other file systems mounted below path, sockets and devices stay behind.
//
// A file of the same size and time is taken for equal. The old host needs find and tar of GNU, no older than Debian 5's; the new
// one perl-base, unless runner runs there itself.
//
// # Example
//
//	tree_sync { from = old, to = new, path = "/var/www", exclude = { "*.swp", "shop/cache" } }
//	tree_sync { from = old, to = new, path = "/var/www", delete = true, max_delete = 20 }
//
// # Result
//
//   - files (integer): files on from
//   - bytes (integer): their size
//   - copied (integer): files that were sent
//   - copied_bytes (integer): their size
//   - linked (integer): further names that were given, and symbolic links
//   - removed (integer): files that were put aside
//   - quarantine (string): the directory where they are now
//   - extra (integer): files that only to has and that stay
//   - vanished (integer): files that had gone when they were to be read
//   - left (list of string): what stays behind, and why; the first 20
type treeSyncArgs struct {
	// Host that the files come from.
	From *host.View `lua:"from,required"`
	// Host that they go to. It may be the host that runner itself runs on, which is the fastest way.
	To *host.View `lua:"to,required"`
	// Whole path of the directory on from.
	Path string `lua:"path,required"`
	// The same on to; path when it is not given. The folder that it lies in must be there.
	Target string `lua:"target"`
	// What to leave out on both sides, as shell patterns: "*.log" anywhere, "shop/cache" below path.
	Exclude []string `lua:"exclude"`
	// Put aside what from does not have.
	Delete bool `lua:"delete"`
	// How many files delete may put aside: a number, or a share of those on the target ("5%", the default).
	MaxDelete any `lua:"max_delete" type:"integer or string"`
	// Owner of everything on to, "user" or "user:group". When it is not given: whoever has the same name there.
	Owner string `lua:"owner"`
	// The most bytes a second that are read from from, such as "20M". 0: no limit.
	Rate module.Size `lua:"rate"`

	limit maildir.Limit
}

// Validate checks what the types do not.
func (a *treeSyncArgs) Validate() error {
	if err := maildir.CheckRoot("path", a.Path); err != nil {
		return err
	}
	if a.Target == "" {
		a.Target = a.Path
	}
	if err := maildir.CheckRoot("target", a.Target); err != nil {
		return err
	}
	var err error
	if a.limit, err = maildir.ParseLimit(a.MaxDelete); err != nil {
		return fmt.Errorf("max_delete %s", strings.ReplaceAll(err.Error(), "messages", "files"))
	}
	return maildir.CheckPatterns(a.Exclude)
}

func planTreeSync(ctx context.Context, a *treeSyncArgs) (*module.Plan, error) {
	t, err := maildir.LookAtTree(ctx, maildir.TreeOptions{
		From: a.From, To: a.To, Path: a.Path, Target: a.Target, Exclude: a.Exclude, Delete: a.Delete, Limit: a.limit, Owner: a.Owner, Rate: int64(a.Rate),
	})
	if err != nil {
		return nil, err
	}
	c := &t.Counts
	left := make([]string, len(t.Left))
	for i, l := range t.Left {
		left[i] = l.Path + ": " + l.Why
	}
	plan := &module.Plan{
		Moving: !a.Delete, // the source may be in use
		Output: map[string]any{
			"files": c.Files, "bytes": c.Bytes, "copied": int64(0), "copied_bytes": int64(0), "linked": int64(0), "removed": int64(0),
			"quarantine": "", "extra": c.Extra, "vanished": int64(0), "left": left,
		},
	}
	if t.Leaves > 0 {
		plan.Note = fmt.Sprintf("%s stay behind (%s)", maildir.Number(int64(t.Leaves)), left[0])
	}
	if t.Empty() {
		plan.Note = strings.TrimSuffix(fmt.Sprintf("%s files, equal; %s", maildir.Number(c.Files), plan.Note), "; ")
		return plan, nil
	}
	plan.Changes = []module.Change{{
		Summary:  treeSummary(t, a),
		Destroys: c.Away > 0,
		Apply: func(ctx context.Context, do *module.Apply) error {
			done, err := t.Apply(ctx, do.Host(a.To), do.Progress)
			if done.Quarantine != "" {
				do.Keep(module.Original{Host: a.To.Name(), Object: "files that " + a.From.Name() + " does not have", Backup: done.Quarantine})
				do.Output("quarantine", done.Quarantine)
			}
			do.Output("copied", done.Copied)
			do.Output("copied_bytes", done.Bytes)
			do.Output("vanished", done.Vanished)
			if err == nil {
				do.Output("linked", c.Link+c.Symlink)
				do.Output("removed", c.Away)
			}
			return err
		},
	}}
	return plan, nil
}

// treeSummary is what a pass would do, in one line.
func treeSummary(t *maildir.Tree, a *treeSyncArgs) string {
	c := &t.Counts
	var parts []string
	add := func(n int64, before, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, before+" 1"+one)
		case n > 1:
			parts = append(parts, before+" "+maildir.Number(n)+many)
		}
	}
	add(c.Copy, "copy", " file, "+maildir.Size(c.CopyBytes), " files, "+maildir.Size(c.CopyBytes))
	add(c.Dirs, "make", " directory", " directories")
	add(c.Link, "link", "", "")
	add(c.Symlink, "make", " symbolic link", " symbolic links")
	add(c.Attributes, "set owner, mode or time of", "", "")
	add(c.Away, "put", " file aside", " files aside")
	if len(parts) == 0 {
		parts = []string{"set times of directories"}
	}
	return fmt.Sprintf("%s (%s:%s to %s:%s)", strings.Join(parts, "; "), a.From.Name(), a.Path, a.To.Name(), a.Target)
}
