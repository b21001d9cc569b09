package modules

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"runner/modules/internal/dovecot"
	"runner/modules/internal/maildir"
	"runner/runtime/host"
	"runner/runtime/module"
)

// dovecotCompareArgs are the folders of accounts as two servers serve them.
//
// For each account and folder the number of messages, UIDVALIDITY and UIDNEXT are compared: when they are the same, no mail program
// downloads anything again. Dovecot is asked (doveadm mailbox status); where it cannot be, since it is frozen, or older than 2.0,
// the files tell. A difference fails the step, and the first twenty are named. Dovecot gives UIDs to new messages when it is asked, so compare
// after the last pass; otherwise nothing is changed. maildir_sync.verify compares the files themselves.
//
// # Example
//
//	dovecot.compare { from = old, to = new, database = "mailserver" }
//	dovecot.compare { from = old, to = new, users = { "john@example.org" }, path = "/home/vmail/%d/%n", more = true }
//
// # Result
//
//   - accounts (integer): accounts compared
//   - folders (integer): their folders
//   - messages (integer): messages in these on from
//   - files (list of string): the hosts whose files were looked at, since their Dovecot could not be asked
type dovecotCompareArgs struct {
	// Host that the mailboxes came from.
	From *host.View `lua:"from,required"`
	// Host that they went to.
	To *host.View `lua:"to,required"`
	// Where the mailbox of an account lies on from, for when its files are looked at; "/var/vmail/%Ld/%Ln/Maildir" for small letters.
	Path string `lua:"path" default:"/var/vmail/%d/%n/Maildir"`
	// The same on to; path when it is not given.
	Target string `lua:"target"`
	// Folders and messages that only to has are no differences: it is in use.
	More bool `lua:"more"`
	dovecotUsers
}

// Validate checks what the types of the arguments cannot.
func (a *dovecotCompareArgs) Validate() error {
	if !a.given() {
		return errors.New("say which accounts: users, or database")
	}
	if a.Target == "" {
		a.Target = a.Path
	}
	for name, path := range map[string]string{"path": a.Path, "target": a.Target} {
		if l, err := maildir.ParseLayout(name, path); err != nil {
			return err
		} else if !l.Pattern() {
			return fmt.Errorf("%s must say where the mailbox of an account lies, as /var/vmail/%%d/%%n/Maildir, not %q", name, path)
		}
	}
	return a.dovecotUsers.check()
}

// lookFolders asks Dovecot for the folders of users. One that does not run would let each of them wait for its socket.
const lookFolders = sbinPath + `
` + dovecotRuns + ` || { echo absent; exit 0; }
for user; do
  echo "` + dovecot.UserMark + `$user"
  doveadm -f tab mailbox status -u "$user" "messages uidvalidity uidnext" '*' 2>&1
done
:`

// lookFolderFiles counts messages and those without a UID in the mailboxes of users: pairs of an address and a directory.
const lookFolderFiles = `LC_ALL=C; export LC_ALL
while [ $# -gt 1 ]; do
  echo "` + dovecot.UserMark + `$1"
  if [ -d "$2/cur" ]; then
    for dir in "$2" "$2"/.*; do
      [ -d "$dir/cur" ] && [ "$dir" != "$2/." ] && [ "$dir" != "$2/.." ] || continue
      name=.; [ "$dir" = "$2" ] || name=${dir##*/}
      echo "` + dovecot.FolderMark + `$name"
      find "$dir/cur" "$dir/new" -type f ! -name '.*' -printf '%f\n' | LIST=$dir/dovecot-uidlist awk '
        BEGIN { list = ENVIRON["LIST"]; getline head < list
          while ((getline line < list) > 0) { i = index(line, " :"); if (i) f = substr(line, i + 2); else { f = line; sub(/^[0-9]+ +/, "", f) }
            sub(/:2,.*/, "", f); known[f] = 1 } }
        { n++; f = $0; sub(/:2,.*/, "", f); if (!(f in known)) u++ }
        END { print n + 0, u + 0, head }'
    done
  else
    echo "no mailbox in $2"
  fi
  shift 2
done`

func planDovecotCompare(ctx context.Context, a *dovecotCompareArgs) (*module.Plan, error) {
	users, err := a.addresses(ctx, a.To)
	if err != nil {
		return nil, err
	}
	plan := &module.Plan{Output: map[string]any{}}
	files := []string{}
	var folders, messages int64
	var differences []string
	tables := map[string]*dovecotCompared{}
	var byFiles [2]bool
	for chunk := range slices.Chunk(users, usersAtOnce) {
		var sides [2][]dovecot.Folders
		for i, v := range []*host.View{a.From, a.To} {
			var err error
			if sides[i], err = a.folders(ctx, v, []string{a.Path, a.Target}[i], chunk, &byFiles[i]); err != nil {
				return nil, err
			}
		}
		if !byFiles[0] {
			if err := a.unanswered(sides[0]); err != nil {
				return nil, err
			}
		}
		for i, user := range chunk {
			_, domain, _ := strings.Cut(user, "@")
			if tables[domain] == nil {
				tables[domain] = &dovecotCompared{}
			}
			differences = append(differences, a.differences(&sides[0][i], &sides[1][i])...)
			tables[domain].add(&sides[0][i])
			folders += int64(len(sides[0][i].Folders))
			for _, f := range sides[0][i].Folders {
				messages += f.Messages
			}
		}
	}
	if n := len(differences); n > 0 {
		return nil, module.Absent(fmt.Errorf("%s does not serve what %s did: %s\n  %s", a.To.Name(), a.From.Name(), countOf(n, "difference"), firstOf(differences, 20, "\n  ")))
	}
	if folders == 0 { // an earlier step may make the accounts
		return nil, module.Absent(fmt.Errorf("cannot compare %s, because none has a mailbox on %s: nothing would be compared; look at path, users and domains",
			countOf(len(users), "account"), a.From.Name()))
	}
	for i, v := range []*host.View{a.From, a.To} {
		if byFiles[i] {
			files = append(files, v.Name())
		}
	}
	plan.Note = fmt.Sprintf("%s, %s and %s are the same", countOf(len(users), "account"), countOf(int(folders), "folder"), countOf(int(messages), "message"))
	plan.Table = comparedTable(tables)
	plan.Output = map[string]any{"accounts": len(users), "folders": folders, "messages": messages, "files": files}
	return plan, nil
}

// folders are those of some users, in their order. The first of a host tells whether its Dovecot can be asked.
func (a *dovecotCompareArgs) folders(ctx context.Context, v *host.View, pattern string, users []string, byFiles *bool) ([]dovecot.Folders, error) {
	var list []dovecot.Folders
	if !*byFiles {
		out, err := v.QueryScript(ctx, lookFolders, users...)
		if err != nil {
			return nil, fmt.Errorf("cannot ask Dovecot for folders on %s: %w", v.Name(), why(err))
		}
		list = dovecot.ParseStatus(out.Stdout)
		// Of a source the files are the truth, whatever its Dovecot says; a target that knows nobody would serve nobody.
		*byFiles = len(list) == 0 || v == a.From && !slices.ContainsFunc(list, func(f dovecot.Folders) bool { return len(f.Folders) > 0 })
	}
	if *byFiles {
		var pairs []string
		for _, u := range users {
			pairs = append(pairs, u, dovecot.Places{Path: pattern}.Inbox(u))
		}
		out, err := v.QueryScript(ctx, lookFolderFiles, pairs...)
		if err != nil {
			return nil, fmt.Errorf("cannot look at the mailboxes on %s: %w", v.Name(), why(err))
		}
		list = dovecot.ParseFolderFiles(out.Stdout)
	}
	if len(list) != len(users) {
		return nil, fmt.Errorf("cannot compare the mailboxes of %s: %d users were asked for, %d answered", v.Name(), len(users), len(list))
	}
	return list, nil
}

// unanswered fails on accounts that the Dovecot of from said nothing of: each has an INBOX at least, so its lookup failed.
func (a *dovecotCompareArgs) unanswered(was []dovecot.Folders) error {
	var said []string
	for _, f := range was {
		if len(f.Folders) == 0 {
			said = append(said, strings.TrimSuffix(f.User+": "+f.Said, ": "))
		}
	}
	if len(said) == 0 {
		return nil
	}
	return fmt.Errorf("cannot compare %s, because Dovecot on %s does not tell their folders:\n  %s",
		countOf(len(said), "account"), a.From.Name(), firstOf(said, 20, "\n  "))
}

// differences are those of one user, in words.
func (a *dovecotCompareArgs) differences(was, is *dovecot.Folders) (list []string) {
	say := func(format string, values ...any) {
		list = append(list, was.User+": "+fmt.Sprintf(format, values...))
	}
	if len(is.Folders) == 0 { // even of an account that never had mail there is an INBOX
		say("no folders on %s (%s)", a.To.Name(), is.Said)
		return list
	}
	for _, name := range slices.Sorted(maps.Keys(was.Folders)) {
		old := was.Folders[name]
		now, there := is.Folders[name]
		switch {
		case !there:
			say("%s is missing on %s", name, a.To.Name())
			continue
		case old.Validity != 0 && now.Validity != old.Validity:
			say("%s has UIDVALIDITY %d, not %d", name, now.Validity, old.Validity)
		case now.Next < old.Next || now.Next > old.Next && old.Next > 0 && !a.More:
			say("%s has UIDNEXT %d, not %d", name, now.Next, old.Next)
		}
		if now.Messages < old.Messages || now.Messages > old.Messages && !a.More {
			say("%s has %s, not %s", name, countOf(int(now.Messages), "message"), strconv.FormatInt(old.Messages, 10))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(is.Folders)) {
		// Dovecot shows folders that it would make by itself, empty.
		if _, there := was.Folders[name]; !there && !a.More && is.Folders[name].Messages > 0 {
			say("%s is on %s only", name, a.To.Name())
		}
	}
	return list
}

// dovecotCompared are the numbers of a domain.
type dovecotCompared struct{ accounts, folders, messages int64 }

func (c *dovecotCompared) add(f *dovecot.Folders) {
	c.accounts++
	c.folders += int64(len(f.Folders))
	for _, x := range f.Folders {
		c.messages += x.Messages
	}
}

func comparedTable(domains map[string]*dovecotCompared) *module.Table {
	t := &module.Table{Columns: []string{"domain", "accounts", "folders", "messages"}}
	for _, name := range slices.Sorted(maps.Keys(domains)) {
		d := domains[name]
		t.Rows = append(t.Rows, []string{name, maildir.Number(d.accounts), maildir.Number(d.folders), maildir.Number(d.messages)})
	}
	return t
}
