// Package load uses the mail servers of a lab while they are moved: it delivers mail by SMTP, and lets users read, flag, move and
// delete by IMAP, and change their passwords. It writes down what each server has confirmed, and says afterwards what of that is not so on the new server.
//
// Senders behave as RFC 5321 (4.5.4) has it: what is not taken is tried again, and what was given and not confirmed too, so
// that such a mail may be there twice. Users behave as mail programs do: they connect again, and a command that was not
// answered may have been done or not.
package load

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"runner/lab"
)

// Options say how much is done.
type Options struct {
	Senders int           // connections that deliver mail; 2 by default
	Users   int           // users at their mail programs; 6 by default
	Pause   time.Duration // between two things that one of them does; 50 ms by default
}

// Load is what goes on.
type Load struct {
	lab      *lab.Lab
	old      map[string]string // addresses of the old servers by their names
	new      string
	accounts []lab.User // of all old servers
	pause    time.Duration

	cancel   func()
	all      sync.WaitGroup
	mailTo   atomic.Bool // the MX records lead to the new server
	clientTo atomic.Bool // the names of clients lead to the new server
	changed  atomic.Int32

	mu    sync.Mutex
	mails []*mail
	users []*user
	smtp  gap
	imap  gap
}

// Start begins. Users and senders know the old servers only, until they are told.
func Start(ctx context.Context, l *lab.Lab, o Options) (*Load, error) {
	new, err := l.Host("new")
	if err != nil {
		return nil, err
	}
	if o.Senders == 0 {
		o.Senders = 2
	}
	if o.Users == 0 {
		o.Users = 6
	}
	if o.Pause == 0 {
		o.Pause = 50 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(ctx)
	x := &Load{lab: l, old: map[string]string{}, new: new.Address, pause: o.Pause, cancel: cancel}
	for _, h := range l.MailHosts() {
		if h != new {
			x.old[h.Name] = h.Address
			x.accounts = append(x.accounts, l.UsersOf(h.Name)...)
		}
	}
	for i := range min(o.Users, len(x.accounts)) {
		// Every third account or so, so that all domains are among them.
		account := x.accounts[i*len(x.accounts)/o.Users]
		u := &user{load: x, account: account, password: account.Password, random: rand.New(rand.NewPCG(1, uint64(i)))}
		if err := u.begin(ctx); err != nil {
			cancel()
			return nil, err
		}
		x.users = append(x.users, u)
	}
	for _, u := range x.users {
		x.all.Go(func() { u.work(ctx) })
	}
	for i := range o.Senders {
		s := &sender{load: x, number: i, random: rand.New(rand.NewPCG(2, uint64(i)))}
		x.all.Go(func() { s.work(ctx) })
	}
	return x, nil
}

// SwitchClients lets the names that mail programs know lead to the new server.
func (x *Load) SwitchClients() { x.clientTo.Store(true) }

// SwitchMX lets the MX records lead to the new server. One sender in two has them in its cache and goes on at the old one.
func (x *Load) SwitchMX() { x.mailTo.Store(true) }

// Stop ends all. What is under way is finished.
func (x *Load) Stop() {
	x.cancel()
	x.all.Wait()
}

// rest waits between two things.
func (x *Load) rest(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(x.pause):
	}
}

// gap is the longest time in which nothing was confirmed to anybody.
type gap struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration
}

func (g *gap) confirmed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if !g.last.IsZero() {
		g.longest = max(g.longest, now.Sub(g.last))
	}
	g.last = now
}
