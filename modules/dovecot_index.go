package modules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"runner/modules/internal/dovecot"
	"runner/runtime/host"
	"runner/runtime/module"
)

// dovecotIndexArgs are mailboxes whose indexes Dovecot is to make now.
//
// After a copy there are none, and the first login of each user has to wait until Dovecot has read the folder. This lets it do that before
// (doveadm index), for each account with a folder whose index does not know as many messages as there are. What must be read besides, such as
// for a full text search, is up to Dovecot's settings. Folders are looked at in their files, and nothing is changed by that. Needs a Dovecot of
// 2.1 or later that runs, and mailboxes in the Maildir format.
//
// # Example
//
//	dovecot.index { on = new, database = "mailserver" }
//	dovecot.index { on = new, users = { "john@example.org" } }
//
// # Result
//
//   - accounts (integer): accounts looked at
//   - indexed (integer): how many of them have a folder with an index that is missing or behind
//   - folders (integer): how many such folders there are
//   - messages (integer): how many messages these hold
type dovecotIndexArgs struct {
	// Host of Dovecot, and of the database.
	On *host.View `lua:"on,required"`
	dovecotUsers
}

// Validate checks what the types of the arguments cannot.
func (a *dovecotIndexArgs) Validate() error {
	if !a.given() {
		return errors.New("say which accounts: users, or database")
	}
	return a.check()
}

// lookIndexes prints the folders of users whose index does not know all of their messages: how many there are, how many of them are known, the
// directory. The arguments are pairs of an address and the directory of the INBOX. A folder that nobody has looked at has no index at
// all; otherwise doveadm dump tells what stands in it, without a lookup and without touching it.
const lookIndexes = sbinPath + `
LC_ALL=C; export LC_ALL
tab=$(printf '\t')
while [ $# -gt 1 ]; do
  printf '%s\n' "` + dovecot.UserMark + `$1"
  if [ -d "$2" ] && [ ! -d "$2/cur" ]; then
    echo "no Maildir"
  elif [ -d "$2" ]; then
    index=$(doveadm mailbox path -u "$1" -t index INBOX 2>/dev/null)
    case $index in /*) ;; *) index=$2;; esac
    find "$2" -type f ! -name '.*' \( -path '*/cur/*' -o -path '*/new/*' \) -printf '%h\n' 2>/dev/null |
    awk '{ sub("/(cur|new)$", ""); n[$0]++ } END { for (d in n) print n[d] "\t" d }' | sort -t "$tab" -k 2 |
    while IFS=$tab read -r messages folder; do
      at=$folder
      if [ "$index" != "$2" ]; then
        if [ "$folder" = "$2" ]; then at=$index; else at=${index%/*}/${folder##*/}; fi
      fi
      known=0
      if [ -e "$at/dovecot.index" ] || [ -e "$at/dovecot.index.log" ]; then
        known=$(doveadm dump -t index "$at" 2>/dev/null | sed -n '/^messages count/{s/.*= *//p;q;}')
      fi
      [ "$known" = "$messages" ] || printf '%s\t%s\t%s\n' "$messages" "${known:-0}" "$folder"
    done
  fi
  shift 2
done
:`

// makeIndexes lets Dovecot make the indexes of users.
const makeIndexes = sbinPath + `
for user; do
  printf '%s\n' "` + dovecot.UserMark + `$user"
  doveadm index -u "$user" '*' 2>&1
  echo "` + statusMark + `$?"
done`

// unindexed is an account with folders that lack in an index.
type unindexed struct {
	user              string
	folders, messages int
	lines             []string
}

func planDovecotIndex(ctx context.Context, a *dovecotIndexArgs) (*module.Plan, error) {
	const needs = "make indexes"
	tools, err := findDovecotTools(ctx, a.On, "doveadm", needs, true)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(tools.version, "2.0") {
		return nil, fmt.Errorf("cannot make indexes on %s: Dovecot is %s there, and 2.1 was the first that can be told to", a.On.Name(), tools.version)
	}
	users, err := a.known(ctx, a.On, needs)
	if err != nil {
		return nil, err
	}
	behind, err := a.look(ctx, users)
	if err != nil {
		return nil, err
	}
	plan := &module.Plan{Moving: true} // a mail may come between two looks
	var names, lines []string
	folders, messages := 0, 0
	for _, u := range behind {
		names, lines = append(names, u.user), append(lines, u.lines...)
		folders, messages = folders+u.folders, messages+u.messages
	}
	plan.Output = map[string]any{"accounts": len(users), "indexed": len(behind), "folders": folders, "messages": messages}
	if len(behind) == 0 {
		plan.Note = "the indexes of " + countOf(len(users), "account") + " are there"
		return plan, nil
	}
	plan.Changes = []module.Change{{
		Summary: fmt.Sprintf("make the indexes of %s of %s, %s", countOf(folders, "folder"), countOf(len(behind), "account"), countOf(messages, "message")),
		After:   joined(lines),
		Apply: func(ctx context.Context, do *module.Apply) error {
			return forEachUser(ctx, do, a.On, makeIndexes, needs, names)
		},
	}}
	return plan, nil
}

// look finds the accounts with folders that lack in an index.
func (a *dovecotIndexArgs) look(ctx context.Context, users []dovecot.User) ([]unindexed, error) {
	var list []unindexed
	for chunk := range slices.Chunk(users, usersAtOnce) {
		pairs, err := inboxPairs(a.On, chunk)
		if err != nil {
			return nil, err
		}
		out, err := a.On.QueryScript(ctx, lookIndexes, pairs...)
		if err != nil {
			return nil, fmt.Errorf("cannot look at the indexes on %s: %w", a.On.Name(), why(err))
		}
		answers := parseEachUser(out.Stdout)
		if len(answers) != len(chunk) {
			return nil, fmt.Errorf("cannot look at the indexes on %s: %d accounts were asked for, %d answered", a.On.Name(), len(chunk), len(answers))
		}
		for i, answer := range answers {
			u := unindexed{user: answer.name}
			for line := range strings.Lines(answer.said) {
				cells := strings.SplitN(strings.TrimRight(line, "\n"), "\t", 3)
				if len(cells) != 3 {
					return nil, notMaildir(a.On, chunk[i])
				}
				n, _ := strconv.Atoi(cells[0])
				u.folders, u.messages = u.folders+1, u.messages+n
				u.lines = append(u.lines, fmt.Sprintf("%s: %s, %s known", cells[2], countOf(n, "message"), cells[1]))
			}
			if u.folders > 0 {
				list = append(list, u)
			}
		}
	}
	return list, nil
}

// inboxPairs are the addresses of users, each with the directory of the INBOX.
func inboxPairs(on *host.View, users []dovecot.User) ([]string, error) {
	var pairs []string
	for _, u := range users {
		inbox := u.Inbox()
		if inbox == "" {
			return nil, fmt.Errorf("cannot tell where the mailbox of %s lies on %s: Dovecot does not say it", u.Name, on.Name())
		}
		pairs = append(pairs, u.Name, inbox)
	}
	return pairs, nil
}

func notMaildir(on *host.View, u dovecot.User) error {
	return fmt.Errorf("cannot look at the mailbox of %s on %s: %s is no Maildir", u.Name, on.Name(), u.Inbox())
}
