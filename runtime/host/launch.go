package host

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"runner/runtime/transport"
)

// boot is what every channel of a host begins with, whatever it is for. It says that it is there on both outputs after
// whatever the login shell's start files have printed, tells its process id and group, its user and whether there is
// a setsid(1), and then runs the one line it is given on its input. So no argument of a command ever stands on a
// command line of the login shell, which need not be a POSIX shell, or in the log of sudo.
//
// It is one line without single quotes, backslashes and exclamation marks: csh and fish read those differently.
//
// In proc_pid_stat(5) the group is the fifth field. The second one, the name, is that of the shell and holds no space.
const boot = `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin LC_ALL=C;export PATH LC_ALL;unset ENV CDPATH BASH_ENV;` +
	`s=;test -r /proc/$$/stat&&read -r s </proc/$$/stat;set -- "$1" $s;` +
	`echo "$1 $$ ${6:-0} $(id -u) $(command -v setsid)";echo "$1" >&2;unset s;set --;IFS= read -r l;eval "unset l;$(printf %b "$l")"`

// launchTimeout is how long a host may take until a command runs: an old one looks up names, PAM waits after a wrong password.
const launchTimeout = time.Minute

// channel is a command that runs on the host at a level of privileges, past its boot.
type channel struct {
	conn   transport.Conn
	proc   transport.Process
	out    io.Reader
	err    io.Reader
	pid    int
	group  int // process group, the leader of a session of its own on a host; 0 when not known
	uid    int
	setsid bool // there is a setsid(1)
	give   func()
}

// close gives up the channel. What runs in it may go on on the host.
func (c *channel) close() {
	c.proc.Close()
	c.give()
}

// launch runs a script, as text for /bin/sh, in a channel of its own.
func (l *level) launch(ctx context.Context, script string, reserve int) (*channel, error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.places.take(ctx, reserve); err != nil {
		return nil, err
	}
	c := &channel{conn: conn, give: sync.OnceFunc(l.places.give)}
	marker := randomWord()
	b := &booting{level: l, channel: c, marker: marker, prompt: "runner-" + randomWord() + ":", script: script}
	// The context ends with the boot: what was started then goes on until it is closed.
	bootCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	c.proc, err = conn.Start(bootCtx, b.line())
	stop()
	if err != nil {
		cancel()
		c.give()
		return nil, l.notLaunched(ctx, conn, err)
	}
	inner := c.give
	c.give = func() { cancel(); inner() }
	booted := make(chan error, 1)
	go func() { booted <- b.run() }()
	select {
	case err := <-booted:
		if err != nil {
			c.close()
			return nil, l.notLaunched(ctx, conn, err)
		}
		return c, nil
	case <-ctx.Done():
		l.giveUp(c, booted)
		return nil, context.Cause(ctx)
	}
}

// giveUp ends a channel on its way, once it has said which processes are to be ended: the script may run already.
func (l *level) giveUp(c *channel, booted <-chan error) {
	done := make(chan struct{})
	go func() {
		if err := <-booted; err == nil {
			l.end(c.conn, c.group)
		}
		c.close()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(endTimeout):
	}
}

// notLaunched finds the reason behind the error that it shows as.
func (l *level) notLaunched(ctx context.Context, conn transport.Conn, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if lostSoon(conn) {
		return l.lostError(conn)
	}
	var told *LoginError
	if errors.As(err, &told) {
		return err
	}
	return fmt.Errorf("cannot start /bin/sh on %s: %w", l.name, err)
}

// lostSoon waits a moment for the connection to say that it is lost: its channels may know it before it does.
func lostSoon(c transport.Conn) bool {
	select {
	case <-c.Done():
		return true
	case <-time.After(100 * time.Millisecond):
		return false
	}
}

// booting is a channel on its way.
type booting struct {
	*level
	channel *channel
	marker  string
	prompt  string
	script  string
	timer   *time.Timer
	late    atomic.Bool
}

func (b *booting) line() string {
	if b.sudo {
		return Quote("exec", b.sh, "-c", asRoot, "sh", boot, b.marker, b.prompt, b.sh, onTerminal, b.options.Become)
	}
	return Quote("exec", b.sh, "-c", boot, "sh", b.marker)
}

// run leads the channel past its boot.
func (b *booting) run() error {
	p := b.channel.proc
	b.timer = time.AfterFunc(launchTimeout, func() {
		b.late.Store(true)
		p.Close()
	})
	defer b.timer.Stop()

	sent := make(chan error, 1)
	if !b.sudo { // sudo would take it for the password
		go func() { sent <- b.send() }()
	}
	complaints := make(chan complaint, 1)
	go func() { complaints <- b.readErr() }()
	noise, out, err := readPast(p.Stdout(), b.marker+" ", nil)
	if err == nil {
		out, err = b.channel.introduce(out)
	}
	if err != nil {
		p.Stdin().Close()
		// The error output says why, once the command has ended; one that does not end is ended.
		end := time.AfterFunc(2*time.Second, func() { p.Close() })
		defer end.Stop()
	}
	c := <-complaints
	if err != nil || c.err != nil {
		c.text = string(noise) + c.text
		if c.err == nil || err != nil && (errors.Is(c.err, io.EOF) || errors.Is(c.err, io.ErrClosedPipe)) {
			c.err = err
		}
		return b.explain(c)
	}
	b.channel.out, b.channel.err = out, c.rest
	if b.sudo {
		return b.send()
	}
	return <-sent
}

func (b *booting) send() error {
	_, err := io.WriteString(b.channel.proc.Stdin(), encode(b.script)+"\n")
	return err
}

// complaint is what stood on the error output before the boot was done.
type complaint struct {
	text  string
	rest  io.Reader
	asked int // how often sudo, doas or su asked for a password
	err   error
}

// readErr reads the error output up to the marker, and answers on the way what asks for a password.
func (b *booting) readErr() complaint {
	var c complaint
	in := b.channel.proc.Stdin()
	answer := func(text []byte) error {
		if !b.sudo || b.prompts(text) <= c.asked {
			return nil
		}
		c.asked++
		if c.asked > 1 {
			b.password.refuse()
			return errPasswordRefused
		}
		b.timer.Stop() // whoever is asked now may need a while
		password, err := b.password.get(b.options.SudoPassword)
		if err != nil {
			return err
		}
		b.timer.Reset(launchTimeout)
		_, err = io.WriteString(in, password+"\n")
		return err
	}
	before, rest, err := readPast(b.channel.proc.Stderr(), b.marker+"\n", answer)
	c.text, c.rest, c.err = strings.ReplaceAll(string(before), b.prompt, ""), rest, err
	if err != nil {
		in.Close()
		if errors.Is(err, errPasswordRefused) || errors.Is(err, errNoPassword) || !errors.Is(err, io.EOF) {
			b.channel.proc.Close()
		}
	}
	return c
}

// maxNoise is how much the start files of a login shell may print.
const maxNoise = 1 << 20

// readPast reads up to the end of a word and returns what stood before it, and what follows as a reader. Seen, when not
// nil, is shown all that was read so far.
func readPast(r io.Reader, word string, seen func([]byte) error) (before []byte, rest io.Reader, err error) {
	var buf []byte
	chunk := make([]byte, 4096)
	for {
		n, err := r.Read(chunk)
		buf = append(buf, chunk[:n]...)
		if i := bytes.Index(buf, []byte(word)); i >= 0 {
			after := buf[i+len(word):]
			return buf[:i], io.MultiReader(bytes.NewReader(after), r), nil
		}
		if seen != nil {
			if err := seen(buf); err != nil {
				return buf, nil, err
			}
		}
		if err != nil {
			return buf, nil, err
		}
		if len(buf) > maxNoise {
			return buf, nil, errors.New("it prints and prints and does not start")
		}
	}
}

// introduce takes in what boot says of itself after the marker.
func (c *channel) introduce(r io.Reader) (io.Reader, error) {
	line, rest, err := readPast(r, "\n", nil)
	if err != nil {
		return nil, err
	}
	f := strings.Fields(string(line))
	if len(f) < 3 {
		return nil, fmt.Errorf("it introduced itself with %q", line)
	}
	for i, to := range []*int{&c.pid, &c.group, &c.uid} {
		if *to, err = strconv.Atoi(f[i]); err != nil {
			return nil, fmt.Errorf("it introduced itself with %q", line)
		}
	}
	c.setsid = len(f) > 3
	return rest, nil
}

// encode writes a script as one line for printf %b: nothing in it depends on how a shell reads bytes beyond ASCII.
func encode(script string) string {
	var b strings.Builder
	b.Grow(len(script) + len(script)/8)
	for i := range len(script) {
		if c := script[i]; c < ' ' || c > '~' || c == '\\' {
			fmt.Fprintf(&b, `\0%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func randomWord() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return hex.EncodeToString(b[:])
}
