package proof

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"runner/lab"
)

// file is what is compared of a file of a mailbox: nothing that Dovecot may rightly change by itself.
type file struct {
	mode     fs.FileMode
	uid, gid uint32
	size     int64
	mtime    int64
	link     string
	plain    bool // only the owner counts: Dovecot's own files, and directories, which have a mode, too
}

// message says that a path is that of a message, and gives its name without the flags: maildir(5), "unique part".
func messageName(p string) (name string, ok bool) {
	dir := path.Base(path.Dir(p))
	if dir != "cur" && dir != "new" {
		return "", false
	}
	base, _, _ := strings.Cut(path.Base(p), ":2,")
	return path.Dir(path.Dir(p)) + "/" + base, true
}

// ours says that a file belongs to the user and must have come along as it was: messages, scripts. Dovecot's own files
// are compared through IMAP, where their meaning is.
func ours(p string) (key string, ok bool) {
	if name, ok := messageName(p); ok {
		return name, true
	}
	base := path.Base(p)
	if strings.Contains(p, "/Maildir/") || strings.HasPrefix(base, "dovecot") || strings.HasSuffix(base, ".svbin") {
		return "", false
	}
	return p, true
}

// placeOf is the path of a file below the directory of a domain, with the directory of the account in lower case: that is how a Dovecot
// since 2.1 looks for it, however an older server wrote it.
func placeOf(p string) string {
	account, rest, _ := strings.Cut(p, "/")
	return path.Join(strings.ToLower(account), rest)
}

// readFiles walks a domain's directory below the root of all mailboxes of a host, from outside of the host.
func readFiles(h *lab.Host, domain string) (map[string]file, error) {
	root, err := os.OpenRoot(h.Root())
	if err != nil {
		return nil, fmt.Errorf("cannot look at the files of %s: %w", h.Name, err)
	}
	defer root.Close()
	found := map[string]file{}
	top := strings.TrimPrefix(path.Join(h.Vmail, domain), "/")
	err = fs.WalkDir(root.FS(), top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // Dovecot has just moved or removed it
			}
			return err
		}
		short := placeOf(strings.TrimPrefix(strings.TrimPrefix(p, top), "/"))
		key, ok := ours(short)
		info, err := d.Info()
		if err != nil {
			return nil //nolint:nilerr // gone since
		}
		st := info.Sys().(*syscall.Stat_t)
		f := file{mode: info.Mode(), uid: st.Uid, gid: st.Gid, size: info.Size(), mtime: info.ModTime().Unix()}
		if d.IsDir() || !ok {
			found[short] = file{mode: info.Mode(), uid: st.Uid, gid: st.Gid, plain: true}
			return nil
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			f.link, _ = root.Readlink(p)
			f.mtime, f.size = 0, 0
		}
		found[key] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot look at the files of %s on %s: %w", domain, h.Name, err)
	}
	return found, nil
}

// compareFiles holds owner, mode, size and time of every message and script against the old server's.
func compareFiles(domain string, old, new map[string]file, uid, gid uint32, r *Row) (differences []string) {
	say := func(p, format string, args ...any) {
		differences = append(differences, domain+"/"+p+": "+fmt.Sprintf(format, args...))
	}
	for _, p := range union(old, new) {
		a, before := old[p]
		b, there := new[p]
		if there && (b.uid != uid || b.gid != gid) {
			say(p, "belongs to %d:%d, not to %d:%d", b.uid, b.gid, uid, gid)
		}
		if a.plain || b.plain {
			if before && there && a.mode != b.mode && a.mode.IsDir() {
				say(p, "mode %v became %v", a.mode, b.mode)
			}
			continue // what they mean is compared over IMAP
		}
		switch {
		case !there:
			say(p, "the file is missing")
			continue
		case !before:
			say(p, "the file is there and was not")
			continue
		}
		r.Files++
		if a.mode != b.mode {
			say(p, "mode %v became %v", a.mode, b.mode)
		}
		if a.size != b.size || a.mtime != b.mtime {
			say(p, "%d bytes of time %d became %d bytes of time %d", a.size, a.mtime, b.size, b.mtime)
		}
		if a.link != b.link {
			say(p, "leads to %q, not to %q", b.link, a.link)
		}
	}
	return differences
}
