package modules

import (
	"context"
	"fmt"

	"runner/modules/internal/maildir"
	"runner/runtime/host"
	"runner/runtime/module"
)

// treeVerifyArgs are the arguments of tree_sync.verify.
//
// Compared are all files, folders and links with owner, mode and time, and the content of every file, by a SHA-256 that each host
// computes at the same time; that takes as long as reading all files. [tree_sync] itself takes a file of the same size and time for
// equal. A difference fails the step, and the first twenty are named.
//
// # Example
//
//	tree_sync.verify { from = old, to = new, path = "/var/www", exclude = { "*.swp", "shop/cache" } }
//
// # Result
//
//   - files (integer): files compared
//   - bytes (integer): their size
type treeVerifyArgs struct {
	// Host that the files come from.
	From *host.View `lua:"from,required"`
	// Host that they went to.
	To *host.View `lua:"to,required"`
	// Whole path of the directory on from.
	Path string `lua:"path,required"`
	// The same on to; path when it is not given.
	Target string `lua:"target"`
	// What is left out on both sides, as for tree_sync.
	Exclude []string `lua:"exclude"`
	// Owner of everything on to, as for tree_sync.
	Owner string `lua:"owner"`
}

// Validate checks what the types do not.
func (a *treeVerifyArgs) Validate() error {
	if err := maildir.CheckRoot("path", a.Path); err != nil {
		return err
	}
	if a.Target == "" {
		a.Target = a.Path
	}
	if err := maildir.CheckRoot("target", a.Target); err != nil {
		return err
	}
	return maildir.CheckPatterns(a.Exclude)
}

// planTreeVerify compares; a difference is an error, so that the step fails.
func planTreeVerify(ctx context.Context, a *treeVerifyArgs) (*module.Plan, error) {
	report, err := maildir.VerifyTree(ctx, maildir.TreeOptions{From: a.From, To: a.To, Path: a.Path, Target: a.Target, Exclude: a.Exclude, Owner: a.Owner})
	if err != nil {
		return nil, err
	}
	if err := report.Err(); err != nil {
		return nil, module.Absent(err) // an earlier step, such as a pass, may make it equal
	}
	return &module.Plan{
		Note:   fmt.Sprintf("%s files, %s, are equal, content too", maildir.Number(report.Files), maildir.Size(report.Bytes)),
		Output: map[string]any{"files": report.Files, "bytes": report.Bytes},
	}, nil
}
