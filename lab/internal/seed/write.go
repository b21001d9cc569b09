package seed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Write lays the mailboxes down as Maildir++ below root ("…/var/vmail"), as DOMAIN/LOCAL/Maildir, owned by uid and gid, with the
// times of delivery. There are no control files: Dovecot makes them when it carries out [Seed.Sessions].
func (s *Seed) Write(ctx context.Context, root string, uid, gid int) error {
	group, ctx := errgroup.WithContext(ctx)
	type job struct {
		user User
		box  *Mailbox
	}
	jobs := make(chan job)
	boxes := s.Mailboxes()
	group.Go(func() error {
		defer close(jobs)
		for _, d := range s.Domains {
			for i, u := range d.Users {
				if err := s.home(root, u, i, uid, gid); err != nil {
					return err
				}
				for _, box := range boxes[u.Email] {
					select {
					case jobs <- job{u, box}:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
			}
		}
		return nil
	})
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			w := newWriter()
			for j := range jobs {
				if err := s.writeBox(ctx, w, maildir(root, j.user), j.user, j.box, uid, gid); err != nil {
					return fmt.Errorf("cannot write the mailbox %s of %s: %w", j.box.Name, j.user.Email, err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func home(root string, u User) string {
	local, domain := split(u.Email)
	return filepath.Join(root, domain, local)
}

func maildir(root string, u User) string { return filepath.Join(home(root, u), "Maildir") }

// home makes the home directory of an account; every third one sorts its mail with a sieve script.
func (s *Seed) home(root string, u User, index, uid, gid int) error {
	dir := home(root, u)
	if err := directory(uid, gid, filepath.Dir(dir), dir, filepath.Join(dir, "Maildir")); err != nil {
		return err
	}
	if index%3 != 0 {
		return nil
	}
	scripts := filepath.Join(dir, "sieve")
	if err := directory(uid, gid, scripts); err != nil {
		return err
	}
	script := "require [\"fileinto\", \"imap4flags\"];\n\n" +
		"if header :contains \"X-Spam-Flag\" \"YES\" {\n  fileinto \"Trash\";\n  stop;\n}\n" +
		"if header :contains \"Subject\" \"[sieve-" + s.Host + "]\" {\n  addflag \"\\\\Flagged\";\n  fileinto \"Sent\";\n}\n"
	name := filepath.Join(scripts, "filter.sieve")
	link := filepath.Join(dir, ".dovecot.sieve")
	return errors.Join(
		os.WriteFile(name, []byte(script), 0o600), os.Chown(name, uid, gid), os.Chtimes(name, first, first),
		os.Symlink("sieve/filter.sieve", link), os.Lchown(link, uid, gid),
	)
}

// directory makes directories that are not there yet. The delivery agent makes them 0700.
func directory(uid, gid int, names ...string) error {
	for _, name := range names {
		if err := os.Mkdir(name, 0o700); errors.Is(err, os.ErrExist) {
			continue
		} else if err != nil {
			return err
		}
		if err := os.Chown(name, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

func (s *Seed) writeBox(ctx context.Context, w *writer, root string, u User, box *Mailbox, uid, gid int) error {
	dir := root
	if box.Name != "INBOX" {
		dir = filepath.Join(root, "."+mUTF7(box.Name))
	}
	if err := directory(uid, gid, dir, filepath.Join(dir, "cur"), filepath.Join(dir, "new"), filepath.Join(dir, "tmp")); err != nil {
		return err
	}
	if box.Name != "INBOX" {
		if err := s.file(filepath.Join(dir, "maildirfolder"), nil, uid, gid); err != nil {
			return err
		}
	}
	for _, m := range box.Messages {
		if err := ctx.Err(); err != nil {
			return err
		}
		text := w.text(s.Host, u, box.Name, m)
		name := filepath.Join(dir, s.fileName(m, text))
		if err := s.file(name, text, uid, gid); err != nil {
			return err
		}
		if err := os.Chtimes(name, m.Date, m.Date); err != nil {
			return err
		}
	}
	return nil
}

func (s *Seed) file(name string, data []byte, uid, gid int) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Chown(uid, gid), f.Close())
}

// fileName is the name below the folder that Dovecot would have given: S is the size of the file, W the size with CRLF. The
// number of the message is in microseconds and process id, which makes the name unique.
func (s *Seed) fileName(m Message, text []byte) string {
	base := fmt.Sprintf("%d.M%dP%d.mail-%s", m.Date.Unix(), m.Number%1_000_000, 1000+m.Number%97*10+m.Number/1_000_000, s.Host)
	if !m.Unsized {
		base += fmt.Sprintf(",S=%d,W=%d", len(text), len(text)+bytes.Count(text, []byte("\n")))
	}
	if m.New {
		return filepath.Join("new", base)
	}
	return filepath.Join("cur", base+":2,"+m.Flags)
}

// Session is what one user does in an IMAP client, as commands for a connection that is already logged in.
type Session struct {
	Email    string
	Commands string
}

// Sessions let Dovecot give every message its UID, and leave behind what mailboxes in use have: keywords, copies, gaps in
// the UIDs, flags changed since, subscriptions.
func (s *Seed) Sessions() []Session {
	boxes := s.Mailboxes()
	var out []Session
	for _, d := range s.Domains {
		for _, u := range d.Users {
			out = append(out, Session{u.Email, s.commands(u, boxes[u.Email])})
		}
	}
	return out
}

func (s *Seed) commands(u User, boxes []*Mailbox) string {
	r := random(u.Email, "session")
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, "a "+format+"\r\n", args...) }
	for _, box := range boxes {
		name := `"` + s.folder(box.Name) + `"`
		if r.IntN(8) > 0 {
			say("SUBSCRIBE %s", name)
		}
		if box.Unopened {
			say("EXAMINE %s", name)
			continue
		}
		say("SELECT %s", name)
		n := len(box.Messages)
		if n < 4 {
			// Small mailboxes have keywords and gaps, too, so that a lab with little mail shows all that a large one does.
			if n > 0 && r.IntN(3) == 0 {
				say("STORE 1 +FLAGS.SILENT ($Label1 NonJunk Wichtig)")
			}
			if n > 1 && r.IntN(3) == 0 {
				say("UID STORE 1 +FLAGS.SILENT (\\Deleted)")
				say("UID EXPUNGE 1")
			}
			continue
		}
		some := func(count int) string {
			var list []int
			for range min(count, n/3) {
				list = append(list, 1+r.IntN(n))
			}
			slices.Sort(list)
			return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(slices.Compact(list))), ","), "[]")
		}
		say("STORE %s +FLAGS.SILENT ($Label1 NonJunk)", some(6))
		say("STORE %s +FLAGS.SILENT ($Forwarded)", some(4))
		say("STORE %s +FLAGS.SILENT (Wichtig)", some(2))
		say("STORE %s +FLAGS.SILENT (\\Flagged)", some(2))
		say("STORE %s -FLAGS.SILENT (\\Seen)", some(2))
		if box.Name == "INBOX" || box.Name == "Sent" {
			say("COPY %s %q", some(3), s.folder("Trash"))
		}
		if expunged := some(2 + n/25); expunged != "" {
			say("UID STORE %s +FLAGS.SILENT (\\Deleted)", expunged)
			say("UID EXPUNGE %s", expunged)
		}
	}
	say("LOGOUT")
	return b.String()
}

// folder is the name of a mailbox for IMAP.
func (s *Seed) folder(name string) string {
	if s.Shape == "lenny" && name != "INBOX" {
		name = "INBOX." + name
	}
	return mUTF7(name)
}
