package modules

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"runner/modules/internal/maildir"
	"runner/runtime/host"
	"runner/runtime/module"
)

// maildirModules are the modules that move mailboxes.
func maildirModules() []module.Module {
	return []module.Module{
		module.Define("maildir_sync", "Copies the mailboxes below a directory to another host", planMaildirSync),
		module.Define("maildir_sync.converge", "Repeats warm passes until the next one would be short", planMaildirConverge),
		module.Define("maildir_sync.live", "Declares that mailboxes are in use on their new host, so that no pass removes or renames there any more", planMaildirLive),
		module.Define("maildir_sync.status", "Tells whether mailboxes are declared live and when the last final pass was", planMaildirStatus),
		module.Define("maildir_sync.verify", "Compares the mailboxes of two hosts, message by message", planMaildirVerify),
	}
}

// maildirScope is which mailboxes a step is about; the same for a pass and for its verification.
type maildirScope struct {
	// Host that the mailboxes come from.
	From *host.View `lua:"from,required"`
	// Host that they go to. It may be the host that runner itself runs on, which is the fastest way.
	To *host.View `lua:"to,required"`
	// Directory of all mailboxes on from: it holds a directory for each domain, these one for each user. Or a pattern of where a
	// mailbox lies, as Dovecot's mail_location or mail_path has it: "/home/vmail/%d/%n", "/srv/mail/%u/Maildir", "/var/vmail/%d/%1n/%n",
	// "/home/%{user | username}". Then mailboxes that lie elsewhere are an error. Where it does not tell the domain, domains holds the one there is.
	Path string `lua:"path" default:"/var/vmail"`
	// The same on to; path when it is not given. Where both are patterns the mailboxes go to where this one says:
	// "/var/vmail/%d/%n/Maildir", or "/var/vmail/%Ld/%Ln/Maildir" for small letters. The home of an account ends with the last variable
	// of a pattern; scripts and other files of a home stay files of the home.
	Target string `lua:"target"`
	// Only these domains, by the names of their directories. Empty: all.
	Domains []string `lua:"domains"`
	// Only these users: "john@example.org", or "john" in any domain. Empty: all.
	Users []string `lua:"users"`
	// Folders to leave out on both sides, as shell patterns without the leading dot: "Trash", "Junk*". Folders in them too.
	Exclude []string `lua:"exclude"`
	// User that Dovecot reads the mailboxes as on to, by name, with ":group" if that is not the user's own. When it is not
	// given: the owner of target unless that is root, else vmail.
	Owner string `lua:"owner"`
	// Write the directories of domains and users in small letters on to, where Dovecot since 2.1 looks for them.
	Lowercase bool `lua:"lowercase"`

	source, target maildir.Layout
}

// Validate checks what the types do not.
func (a *maildirScope) Validate() error {
	var err error
	if a.source, a.target, err = maildir.ParseLayouts(a.Path, a.Target, a.Domains); err != nil {
		return err
	}
	return checkDomains(a.Domains)
}

// checkDomains refuses what would lead elsewhere than to a directory of the root.
func checkDomains(domains []string) error {
	for _, d := range domains {
		if d == "" || d == "." || d == ".." || strings.ContainsAny(d, "/\x00") {
			return fmt.Errorf("domains holds %q, which is no domain", d)
		}
	}
	return nil
}

func (a *maildirScope) options() maildir.Options {
	return maildir.Options{
		From: a.From, To: a.To, Path: a.source.Root, Target: a.target.Root, Layout: a.source, TargetLayout: a.target,
		Domains: slices.Clone(a.Domains), Users: slices.Clone(a.Users),
		Exclude: slices.Clone(a.Exclude), Owner: a.Owner, Lowercase: a.Lowercase,
	}
}

// maildirSyncArgs are the arguments of maildir_sync.
//
// A message never changes, and its file name up to ":2," identifies it. So a pass copies what is missing, renames on the new
// host what was renamed on the old one (a change of flags, a move from new/ to cur/ or to another folder), and sends no
// message twice. A message becomes visible whole or not at all; a pass that was broken off is gone on with by the next.
// dovecot-uidlist, dovecot-keywords, subscriptions, sieve scripts and whatever else an account holds follow the messages;
// Dovecot's index caches do not, and those of a mailbox that changes are removed on the new host, where Dovecot must not
// serve these mailboxes before they are declared live.
//
// Run it warm as often as you like while the old server is in use. When it is frozen, one final pass makes the new host
// equal: what the old server does not have any more is put aside, beside the target (/var/vmail.quarantine-DATE), within
// accounts that the old server has and up to max_delete. After [maildir_sync.live] only late passes are possible: they add
// what has reached the old server since the final pass. The old host needs find, xargs and tar of GNU, no older than
// Debian 5's; the new one perl-base, unless runner runs there itself.
//
// # Example
//
//	maildir_sync { from = old, to = new }
//	maildir_sync { from = old, to = new, mode = "final", domains = { "example.org" }, max_delete = "5%" }
//
// # Result
//
//   - messages (integer): messages on from
//   - bytes (integer): their size
//   - mailboxes (integer): mailboxes on from
//   - skipped_mailboxes (integer): those of them that were not listed because their accounts did not change
//   - domains (table): how many messages each domain lacked on to, by name
//   - copied (integer): messages that were sent
//   - copied_bytes (integer): their size
//   - renamed (integer): messages that were renamed on to
//   - linked (integer): messages that got a further name on to
//   - quarantined (integer): messages that were put aside
//   - quarantine (string): the directory where they are now
//   - vanished (integer): messages that had gone when they were to be read; the next pass looks again
//   - target_only (integer): accounts that only to has; they are never touched
//   - absent (list of string): domains asked for of which from has no directory
//   - left (list of string): what stays behind, and why; the first 20
//   - left_count (integer): how much that is in all
//   - seconds (number): how long it took
//   - next_pass_seconds (number): how long the next pass would take, if little happens until then
type maildirSyncArgs struct {
	maildirScope
	maildirWhere
	// What the pass may do. warm: the source is in use; adds and renames, removes nothing. final: the source is quiet; makes
	// the target equal. late: the target is in use; adds what has reached the source since the final pass. reverse: the
	// same, back to where the final pass came from.
	Mode string `lua:"mode" choice:"warm,final,late,reverse" default:"warm"`
	// How many messages a final pass may take away: a number, or a share of those on the target ("5%", the default).
	MaxDelete any `lua:"max_delete" type:"integer or string"`
	// List every mailbox. Otherwise those of accounts are skipped whose directories, on both hosts, did not change since a
	// pass found them equal; runner remembers that in its cache directory (~/.cache/runner).
	Full bool `lua:"full"`
	// How many transfers run at once. 0: one more than the host with the fewest cores has, but 2 to 6. Where the MaxSessions of a
	// server allows fewer, fewer run.
	Streams int `lua:"streams"`
	// The most bytes a second that are read from from, such as "20M". 0: no limit.
	Rate module.Size `lua:"rate"`
	// Whether from compresses what it sends, with gzip. auto: when the way is slow and a transfer shows that it gains.
	Compress string `lua:"compress" choice:"auto,yes,no" default:"auto"`

	limit maildir.Limit
}

// Validate checks what the types do not.
func (a *maildirSyncArgs) Validate() error {
	if err := a.maildirScope.Validate(); err != nil {
		return err
	}
	var err error
	if a.limit, err = maildir.ParseLimit(a.MaxDelete); err != nil {
		return fmt.Errorf("max_delete %w", err)
	}
	return checkStreams(a.Streams)
}

func checkStreams(n int) error {
	if n < 0 || n > 6 {
		return errors.New("streams must be between 1 and 6: an SSH server allows ten sessions on a connection, and some serve other ends")
	}
	return nil
}

// maildirStateDir is where runner remembers passes; without such a directory each pass lists everything.
func maildirStateDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "runner", "maildir")
}

func planMaildirSync(ctx context.Context, a *maildirSyncArgs) (*module.Plan, error) {
	o := a.options()
	o.Mode, o.Limit, o.Streams, o.Rate, o.Full = maildir.Mode(a.Mode), a.limit, a.Streams, int64(a.Rate), a.Full
	o.StateDir, o.Compress = maildirStateDir(), maildir.Compress(a.Compress)
	pass, err := maildir.Look(ctx, o)
	if err != nil {
		return nil, err
	}
	where, err := a.compare(ctx, a.To, pass)
	if err != nil {
		return nil, err
	}
	c := &pass.Counts
	plan := &module.Plan{
		Moving: o.Mode != maildir.Final,
		Output: map[string]any{
			"messages": c.Messages, "bytes": c.Bytes, "mailboxes": c.Mailboxes, "target_only": c.TargetOnly,
			"copied": int64(0), "renamed": int64(0), "linked": int64(0), "quarantined": int64(0), "vanished": int64(0),
			"copied_bytes": int64(0), "left": leftList(pass), "left_count": int64(pass.LeftCount),
			"absent": pass.Absent, "seconds": pass.Listing.Seconds(), "next_pass_seconds": pass.NextPass(), "skipped_mailboxes": c.Skipped,
			"domains": lacking(pass),
		},
		Note: joinNotes(maildirNote(pass), where),
	}
	next := ""
	if o.Mode == maildir.Warm {
		next = "; the next pass would take about " + maildir.Span(time.Duration(pass.NextPass()*float64(time.Second)))
	}
	if pass.Empty() {
		plan.Note += next
		return plan, nil
	}
	plan.Changes = []module.Change{{
		Summary:  pass.Summary() + next,
		Destroys: c.Quarantine > 0 || c.FilesAway > 0,
		Apply:    func(ctx context.Context, do *module.Apply) error { return applyMaildirSync(ctx, do, a, pass) },
	}}
	return plan, nil
}

func applyMaildirSync(ctx context.Context, do *module.Apply, a *maildirSyncArgs, pass *maildir.Pass) error {
	done, err := pass.Apply(ctx, do.Host(a.To), do.Progress)
	if done.Quarantine != "" {
		do.Keep(module.Original{Host: a.To.Name(), Object: "messages and files that " + a.From.Name() + " does not have any more", Backup: done.Quarantine})
		do.Output("quarantine", done.Quarantine)
	}
	c := &pass.Counts
	do.Output("copied", done.Copied)
	do.Output("copied_bytes", done.Bytes)
	do.Output("vanished", done.Vanished+done.Lost)
	if err != nil {
		return err
	}
	do.Output("renamed", c.Rename)
	do.Output("linked", c.Link-done.Lost)
	do.Output("quarantined", c.Quarantine)
	do.Output("seconds", pass.Listing.Seconds()+done.Seconds)
	do.Output("next_pass_seconds", pass.NextPass())
	return nil
}

// maildirNote says what was found, in a few words.
func maildirNote(p *maildir.Pass) string {
	var parts []string
	if p.Empty() {
		parts = append(parts, fmt.Sprintf("%s messages, equal", maildir.Number(p.Counts.Messages)))
	}
	if n := p.Counts.Conflicts; n > 0 {
		parts = append(parts, fmt.Sprintf("%s messages of another size are left to the final pass", maildir.Number(n)))
	}
	if len(p.Absent) > 0 {
		parts = append(parts, "no mailboxes of "+strings.Join(p.Absent, ", "))
	}
	if p.LeftCount > 0 {
		parts = append(parts, fmt.Sprintf("%s stay behind (%s: %s)", maildir.Number(int64(p.LeftCount)), p.Left[0].Path, p.Left[0].Why))
	}
	if p.StateError != nil {
		parts = append(parts, fmt.Sprintf("the next pass will list everything: cannot remember this one: %v", p.StateError))
	}
	return strings.Join(parts, "; ")
}

// lacking is what a recipe gets to know of the domains of a pass.
func lacking(p *maildir.Pass) map[string]any {
	list := map[string]any{}
	for name, n := range p.Domains() {
		list[name] = n
	}
	return list
}

func leftList(p *maildir.Pass) []string {
	list := make([]string, len(p.Left))
	for i, l := range p.Left {
		list[i] = l.Path + ": " + l.Why
	}
	return list
}
