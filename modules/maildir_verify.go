package modules

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"runner/modules/internal/maildir"
	"runner/runtime/module"
)

// maildirVerifyArgs are the arguments of maildir_sync.verify.
//
// Both sides are listed in full. Compared are names with flags, sizes, times (a message's time is its INTERNALDATE), owner
// and mode on the new host, and the content of dovecot-uidlist, dovecot-keywords, subscriptions and all other files that
// are no messages. A difference fails the step, and the first twenty are named.
//
// # Example
//
//	maildir_sync.verify { from = old, to = new, content = true }
//
// # Result
//
//   - messages (integer): messages compared
//   - bytes (integer): their size
//   - mailboxes (integer): mailboxes compared
//   - files (integer): other files compared
//   - hashed (integer): files whose content was compared
//   - differences (integer): 0, or the step has failed
//   - domains (table): messages, bytes and mailboxes of each domain
//   - target_only (integer): accounts that only to has; they are not compared
type maildirVerifyArgs struct {
	maildirScope
	// Also compare the content of every message, by a SHA-256 that each host computes. Takes as long as reading all mails.
	Content bool `lua:"content"`
}

// Validate checks what the types do not.
func (a *maildirVerifyArgs) Validate() error { return a.maildirScope.Validate() }

// planMaildirVerify compares; a difference is an error, so that the step fails.
func planMaildirVerify(ctx context.Context, a *maildirVerifyArgs) (*module.Plan, error) {
	report, err := maildir.Verify(ctx, a.options(), a.Content)
	if err != nil {
		return nil, err
	}
	if err := report.Err(); err != nil {
		return nil, module.Absent(err) // an earlier step, such as a pass, may make it equal
	}
	domains := map[string]any{}
	for name, d := range report.Domains {
		domains[name] = map[string]any{"messages": d.Messages, "bytes": d.Bytes, "mailboxes": d.Mailboxes}
	}
	note := fmt.Sprintf("%s messages in %s mailboxes, %s, and %s other files are equal",
		maildir.Number(report.Messages), maildir.Number(report.Mailboxes), maildir.Size(report.Bytes), maildir.Number(report.Files))
	if a.Content {
		note += ", content too"
	}
	return &module.Plan{
		Note: note, Table: domainTable(report),
		Output: map[string]any{
			"messages": report.Messages, "bytes": report.Bytes, "mailboxes": report.Mailboxes, "files": report.Files,
			"hashed": report.Hashed, "differences": int64(0), "domains": domains, "target_only": report.TargetOnly,
		},
	}, nil
}

// domainTable is what was compared, for each domain.
func domainTable(r *maildir.Report) *module.Table {
	t := &module.Table{Columns: []string{"domain", "mailboxes", "messages", "size"}}
	for _, name := range slices.Sorted(maps.Keys(r.Domains)) {
		d := r.Domains[name]
		t.Rows = append(t.Rows, []string{name, maildir.Number(d.Mailboxes), maildir.Number(d.Messages), maildir.Size(d.Bytes)})
	}
	return t
}
