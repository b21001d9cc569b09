package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"runner/lab"
	"runner/lab/proof"
)

// Folders between which users move messages.
var folders = []string{"INBOX", "Moved while live"}

// flags that users set and take away.
var flags = []imap.Flag{imap.FlagFlagged, imap.FlagAnswered, "$Important"}

// state is where a message is and which of flags it has. A folder of "" means that it is gone.
type state struct {
	folder string
	flags  [3]bool
}

// message is one that the user works on.
type message struct {
	mark     string
	possible []state // one, or two after a command that was not answered
}

// user is somebody at a mail program.
type user struct {
	load     *Load
	account  lab.User
	random   *rand.Rand
	messages []*message
	serial   int

	mu       sync.Mutex
	password string

	c      *imapclient.Client
	prefix string
}

// name is what a folder is called in the session: INBOX has no prefix.
func (u *user) name(folder string) string {
	if folder == "INBOX" {
		return folder
	}
	return u.prefix + folder
}

// begin makes the folder and a dozen messages to work on.
func (u *user) begin(ctx context.Context) error {
	if err := u.connect(ctx); err != nil {
		return err
	}
	for _, folder := range folders[1:] {
		if err := u.c.Create(u.name(folder), nil).Wait(); err != nil {
			return fmt.Errorf("cannot make a folder of %s: %w", u.account.Email, err)
		}
	}
	for range 12 {
		if err := u.write(); err != nil {
			return fmt.Errorf("cannot put a message into a mailbox of %s: %w", u.account.Email, err)
		}
	}
	return nil
}

func (u *user) connect(ctx context.Context) (err error) {
	server := u.load.old[u.account.Host]
	if u.load.clientTo.Load() {
		server = u.load.new
	}
	if u.c, err = proof.TryLogin(ctx, server, u.account.Email, u.knows()); err != nil {
		return err
	}
	u.prefix, err = proof.PersonalPrefix(u.c)
	return err
}

// knows is the password that the user has now.
func (u *user) knows() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.password
}

func (u *user) disconnect() {
	if u.c != nil {
		u.c.Close()
	}
	u.c = nil
}

// work does one thing after the other, and connects again when that fails.
func (u *user) work(ctx context.Context) {
	defer u.disconnect()
	for ; ctx.Err() == nil; u.load.rest(ctx) {
		if u.c == nil {
			// Login itself must not be what a cancelled context breaks off in the middle.
			if err := u.connect(context.WithoutCancel(ctx)); err != nil {
				u.disconnect()
				continue
			}
		}
		if err := u.act(); err != nil {
			u.disconnect()
			continue
		}
		u.load.imap.confirmed()
	}
}

// act does one thing: new text, another flag, another folder, or removal.
func (u *user) act() error {
	var alive []*message
	for _, m := range u.messages {
		if len(m.possible) == 1 && m.possible[0].folder != "" {
			alive = append(alive, m)
		}
	}
	if len(alive) < 8 {
		return u.write()
	}
	m := alive[u.random.IntN(len(alive))]
	switch u.random.IntN(10) {
	case 0:
		return u.change(m, func(s state) state { s.folder = ""; return s }, u.remove)
	case 1, 2, 3:
		to := folders[(slices.Index(folders, m.possible[0].folder)+1)%len(folders)]
		return u.change(m, func(s state) state { s.folder = to; return s }, func(uids imap.UIDSet) error {
			_, err := u.c.Move(uids, u.name(to)).Wait()
			return err
		})
	default:
		i := u.random.IntN(len(flags))
		op := imap.StoreFlagsAdd
		if m.possible[0].flags[i] {
			op = imap.StoreFlagsDel
		}
		return u.change(m, func(s state) state { s.flags[i] = !s.flags[i]; return s }, func(uids imap.UIDSet) error {
			return u.c.Store(uids, &imap.StoreFlags{Op: op, Silent: true, Flags: []imap.Flag{flags[i]}}, nil).Close()
		})
	}
}

// change finds a message and changes it. Before the answer comes, both states are possible.
func (u *user) change(m *message, become func(state) state, do func(imap.UIDSet) error) error {
	if _, err := u.c.Select(u.name(m.possible[0].folder), nil).Wait(); err != nil {
		return err
	}
	found, err := u.c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: m.mark}}}, nil).Wait()
	if err != nil {
		return err
	}
	uids := found.AllUIDs()
	if len(uids) != 1 {
		return fmt.Errorf("%d messages where one was", len(uids)) // told by Check
	}
	before := m.possible[0]
	m.possible = []state{before, become(before)}
	if err := do(imap.UIDSetNum(uids...)); err != nil {
		var refused *imap.Error
		if errors.As(err, &refused) && refused.Type == imap.StatusResponseTypeNo {
			m.possible = []state{before}
		}
		return err
	}
	m.possible = m.possible[1:]
	return nil
}

func (u *user) remove(uids imap.UIDSet) error {
	store := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := u.c.Store(uids, store, nil).Close(); err != nil {
		return err
	}
	return u.c.UIDExpunge(uids).Close()
}

// write puts a new message into INBOX.
func (u *user) write() error {
	u.serial++
	m := &message{mark: fmt.Sprintf("own-%s-%d.", u.account.Email, u.serial), possible: []state{{folder: ""}, {folder: "INBOX"}}}
	text := fmt.Sprintf("From: %s\r\nSubject: %s\r\nMessage-ID: <%s@sender.example.net>\r\n\r\nWritten while the server moves.\r\n", u.account.Email, m.mark, m.mark)
	u.messages = append(u.messages, m)
	a := u.c.Append("INBOX", int64(len(text)), &imap.AppendOptions{Time: time.Now()})
	if _, err := a.Write([]byte(text)); err != nil {
		return err
	}
	if err := a.Close(); err != nil {
		return err
	}
	if _, err := a.Wait(); err != nil {
		return err
	}
	m.possible = m.possible[1:]
	return nil
}
