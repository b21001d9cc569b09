package proof

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// compareAccounts lists what is different between two views of one account, and counts what was compared.
func compareAccounts(user string, old, new *Account, r *Row) (differences []string) {
	say := func(format string, args ...any) {
		differences = append(differences, user+": "+fmt.Sprintf(format, args...))
	}
	for _, name := range union(old.Mailboxes, new.Mailboxes) {
		a, b := old.Mailboxes[name], new.Mailboxes[name]
		switch {
		case b == nil:
			say("folder %q is missing", name)
			continue
		case a == nil:
			say("folder %q is there and was not", name)
			continue
		}
		r.Folders++
		if a.UIDValidity != b.UIDValidity {
			say("folder %q: UIDVALIDITY %d became %d", name, a.UIDValidity, b.UIDValidity)
		}
		if b.UIDNext < a.UIDNext {
			say("folder %q: UIDNEXT %d went back to %d", name, a.UIDNext, b.UIDNext)
		}
		for _, uid := range union(a.Messages, b.Messages) {
			m, there := b.Messages[uid]
			was, before := a.Messages[uid]
			switch {
			case !there:
				say("folder %q: message %d (%d bytes) is missing", name, uid, was.Size)
				continue
			case !before:
				say("folder %q: message %d (%d bytes) is there and was not", name, uid, m.Size)
				continue
			}
			r.Messages++
			r.Bytes += was.Size
			if was.Hash != m.Hash {
				say("folder %q: message %d has other content", name, uid)
			}
			if !slices.Equal(was.Flags, m.Flags) {
				say("folder %q: message %d: flags (%s) became (%s)", name, uid, strings.Join(was.Flags, " "), strings.Join(m.Flags, " "))
			}
			if was.Date != m.Date {
				say("folder %q: message %d: date %s became %s", name, uid, was.Date, m.Date)
			}
		}
	}
	if !slices.Equal(old.Subscriptions, new.Subscriptions) {
		say("subscriptions %q became %q", old.Subscriptions, new.Subscriptions)
	}
	r.Accounts++
	return differences
}

// union is the sorted set of the keys of both.
func union[K int64 | uint32 | string, V any](a, b map[K]V) []K {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}
