// Package hosttest is a host made of answers: what its commands print, which files it has, what it is. Tests of modules
// run against it, from Go or from data files (see [Load]). It records what it was asked, so that a test can say that
// planning has changed nothing.
package hosttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"sync"
	"time"

	"runner/runtime/host"
)

// Fake is a host made of answers. It starts as a Debian 12 with systemd and root logged in, with an empty file tree of
// / alone, every program in its PATH and plenty of space. It may be used from several goroutines at once.
type Fake struct {
	name string

	mu       sync.Mutex
	facts    host.Facts
	local    bool
	programs []string // nil: every program is there
	scripts  map[string]string
	answers  []*answer
	defaults []*answer       // asked when no other has an answer
	ran      map[string]bool // commands that have run, for answers that hold after them
	later    []later
	fails    []failure
	tree     *tree
	before   *tree // as it was before the first write
	bytes    uint64
	inodes   uint64
	now      time.Time
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	sudo     func(context.Context) (host.Backend, error)
	log      []Entry
	problems []string
	unknown  []string // commands that nobody declared
}

// Entry is one thing that was asked of a Fake.
type Entry struct {
	Text    string // "postconf -n", "rename /etc/.x.runner-* to /etc/x"
	Command bool   // a command, as opposed to an access to a file
	Writes  bool   // it is declared to change the host, or is a write to a file
	Stdin   string // of a command
}

// New makes a host with a name.
func New(name string) *Fake {
	f := &Fake{
		name: name, tree: newTree(), scripts: map[string]string{}, ran: map[string]bool{},
		bytes: 100 << 30, inodes: 10 << 20, now: time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	f.facts = host.Facts{Hostname: name, OS: "debian", Version: "12.5", Major: 12, Kernel: "6.1.0-18-amd64", Arch: "x86_64", Init: host.Systemd, User: "root"}
	return f
}

// Host is the fake as modules get it.
func (f *Fake) Host() *host.Host { return host.New(f) }

// SetFacts says what the host is.
func (f *Fake) SetFacts(facts host.Facts) *Fake { return f.set(func() { f.facts = facts }) }

// SetLocal says whether the host is the machine of the runner.
func (f *Fake) SetLocal(local bool) *Fake { return f.set(func() { f.local = local }) }

// SetPrograms says which programs there are. Without it there is every program.
func (f *Fake) SetPrograms(names ...string) *Fake {
	return f.set(func() { f.programs = append([]string{}, names...) })
}

// SetSpace says what is free on its disk, in bytes and inodes.
func (f *Fake) SetSpace(bytes, inodes uint64) *Fake {
	return f.set(func() { f.bytes, f.inodes = bytes, inodes })
}

// SetNow says what its clock shows, for the times of files that are written.
func (f *Fake) SetNow(now time.Time) *Fake { return f.set(func() { f.now = now }) }

// SetDial says what a connection to an address as the host sees it comes to.
func (f *Fake) SetDial(dial func(ctx context.Context, network, address string) (net.Conn, error)) *Fake {
	return f.set(func() { f.dial = dial })
}

// SetSudo says what becoming root comes to. Without it the Fake itself is root.
func (f *Fake) SetSudo(sudo func(context.Context) (host.Backend, error)) *Fake {
	return f.set(func() { f.sudo = sudo })
}

func (f *Fake) set(change func()) *Fake {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	return f
}

// Log is all that was asked, in its order.
func (f *Fake) Log() []Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// Commands is every command that was run, as typed.
func (f *Fake) Commands() []string {
	return f.texts(func(e Entry) bool { return e.Command })
}

// Writes is what was asked that changes the host: commands declared so and writes to files. After planning it is empty.
func (f *Fake) Writes() []string {
	return f.texts(func(e Entry) bool { return e.Writes })
}

func (f *Fake) texts(which func(Entry) bool) []string {
	var list []string
	for _, e := range f.Log() {
		if which(e) {
			list = append(list, e.Text)
		}
	}
	return list
}

// Problems is what a module did that no real host would show: commands nobody declared, and commands that change the
// host run by a View.
func (f *Fake) Problems() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.problems)
}

// Undeclared is every command that was run and that nobody had declared, as one would type it to declare it, without repeats.
func (f *Fake) Undeclared() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.unknown)
}

// Forget empties the log, as between planning and applying.
func (f *Fake) Forget() {
	f.set(func() { f.log = nil })
}

// asides are the random names that host.WriteFile writes under.
var asides = regexp.MustCompile(`\.runner-[0-9a-f]{12}`)

func (f *Fake) record(e Entry) {
	e.Text = asides.ReplaceAllString(e.Text, ".runner-*")
	f.log = append(f.log, e)
}

// Name implements [host.Backend].
func (f *Fake) Name() string { return f.name }

// Local implements [host.Backend].
func (f *Fake) Local() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.local
}

// Facts implements [host.Backend].
func (f *Fake) Facts(ctx context.Context) (*host.Facts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	facts := f.facts
	return &facts, ctx.Err()
}

// Has says whether a program is there, for [host.View.Has].
func (f *Fake) Has(program string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.programs == nil || slices.Contains(f.programs, program)
}

// Dial implements [host.Backend]. Without [Fake.SetDial] every connection is refused.
func (f *Fake) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	f.mu.Lock()
	dial := f.dial
	f.mu.Unlock()
	if dial == nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", address, errors.New("connection refused"))
	}
	return dial(ctx, network, address)
}

// Sudo implements [host.Backend].
func (f *Fake) Sudo(ctx context.Context) (host.Backend, error) {
	f.mu.Lock()
	sudo := f.sudo
	f.mu.Unlock()
	if sudo == nil {
		return f, nil
	}
	return sudo(ctx)
}

// Files implements [host.Backend].
func (f *Fake) Files() host.Files { return files{f} }
