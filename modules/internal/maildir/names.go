package maildir

import (
	"bytes"
	"fmt"
	"strings"
)

// base is the part of a message's file name that identifies it in its mailbox: what stands before ":2," and the flags
// (https://cr.yp.to/proto/maildir.html). A name with an unknown info part is cut at its first colon as well, as Dovecot does.
func base(name []byte) []byte {
	if i := bytes.IndexByte(name, ':'); i >= 0 {
		return name[:i]
	}
	return name
}

// flagsOf are the flags of a file name, "" when it has none.
func flagsOf(name string) string {
	if _, flags, ok := strings.Cut(name, ":2,"); ok {
		return flags
	}
	return ""
}

// lateName is the name under which a message is added to the new/ of a mailbox that is in use: its system flags stay, its
// keywords (small letters, an index into the dovecot-keywords of the mailbox it comes from) do not, since they mean
// something else in the mailbox it comes to.
func lateName(name string) string {
	stem := string(base([]byte(name)))
	kept := strings.Map(func(r rune) rune {
		if strings.ContainsRune("DFPRST", r) {
			return r
		}
		return -1
	}, flagsOf(name))
	if kept == "" {
		return stem
	}
	return stem + ":2," + kept
}

// stagingPrefix and quarantinePrefix begin the names of the directories that a pass makes inside a root. They are never
// listed, so never copied.
const (
	ownPrefix        = ".runner-"
	stagingPrefix    = ownPrefix + "staging-"
	quarantinePrefix = ownPrefix + "quarantine-"
)

// cachePatterns are the files that are never copied: Dovecot rebuilds them, and a copy that does not fit the messages
// beside it does harm (https://doc.dovecot.org, "Maildir": index files can be deleted without side effects). In the
// patterns of find(1), of which only * is used.
var cachePatterns = []string{
	"dovecot.index*", "dovecot.list.index*", "dovecot.mailbox.log*", "dovecot-acl-list", "maildirsize",
	"courierimap*", "*.svbin", "*.lock", "*.tmp", ".temp.*", "dovecot-uidlist.tmp*", ownPrefix + "*",
}

// staleCaches are the files of the target that describe a mailbox as it was before it was changed from outside; Dovecot
// must not find them afterwards, or it gives messages new UIDs.
var staleCaches = []string{"dovecot.index*", "dovecot.list.index*", "dovecot.mailbox.log*", "dovecot-acl-list", "maildirsize"}

// staleBinaries are compiled sieve scripts. Dovecot compiles again only when the script is newer, and a copied script
// keeps its old time.
var staleBinaries = []string{"*.svbin"}

// stale says which files of a directory a piece of work removes.
func stale(kind byte) []string {
	if kind == dropBinary {
		return staleBinaries
	}
	return staleCaches
}

// isCache says whether a file of that name is left behind; see [cachePatterns].
func isCache(name string) bool {
	for _, p := range cachePatterns {
		if matchStar(p, name) {
			return true
		}
	}
	return false
}

// matchStar matches a pattern with at most one * at its start or end.
func matchStar(pattern, name string) bool {
	if head, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, head)
	}
	if tail, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(name, tail)
	}
	return pattern == name
}

// checkPath refuses a relative path that a listing must not hold: one that leads out of the root or that no file system has.
func checkPath(path string) error {
	if path == "" || len(path) > 4095 {
		return fmt.Errorf("a path of %d bytes", len(path))
	}
	for rest := path; ; {
		part, more, found := strings.Cut(rest, "/")
		if err := checkName(part); err != nil {
			return fmt.Errorf("the path %q: %w", clip(path), err)
		}
		if !found {
			return nil
		}
		rest = more
	}
}

// checkName refuses what cannot be the name of a file in a directory.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("%q is no name of a file", name)
	case len(name) > 255:
		return fmt.Errorf("a name of %d bytes", len(name))
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("%q is no name of a file", clip(name))
	}
	return nil
}

// clip keeps what a stranger sent short enough for a message.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// dirOf and nameOf split a relative path at its last slash. The directory of a path without one is "", the root.
func dirOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}

func nameOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// join puts a name under a directory; "" is the root.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// below says whether path is dir or lies in it. Everything lies in "".
func below(path, dir string) bool {
	return dir == "" || path == dir || (len(path) > len(dir) && path[len(dir)] == '/' && path[:len(dir)] == dir)
}
