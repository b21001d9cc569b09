package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// maxKeys is how many keys are offered to a server: sshd counts each one, useless ones too, and hangs up at the sixth
// try (MaxAuthTries), of which one is left for a password.
const maxKeys = 5

// maxPrompts is how often the operator is asked for a password, as NumberOfPasswordPrompts.
const maxPrompts = 3

// errRefused ends a handshake in which there is nothing left to try.
var errRefused = errors.New("there is nothing left to log in with")

// login is one attempt to log in to a server: it decides what is tried next, and keeps what was tried for the error.
type login struct {
	ctx  context.Context
	r    resolved
	ring *keyring
	ask  *asker // nil: nobody is there

	mu       sync.Mutex // questions are given up when the context ends, while whoever was asked goes on
	begun    bool       // the server is known and has been asked for its methods
	asked    bool       // the operator typed something
	accepted []string   // what the server accepts
	keys     []candidate
	gathered bool
	offered  int
	prompts  int
	sent     map[string]bool // ways in which the site's password, or the one from before, was sent
	tried    []string
	notes    []string
	closers  []func()
}

func newLogin(ctx context.Context, r resolved, ring *keyring, ask *asker) *login {
	return &login{ctx: ctx, r: r, ring: ring, ask: ask, sent: map[string]bool{}}
}

// next chooses the next way to log in: a password first where the site has one and names no key, else keys, one by one.
func (l *login) next(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, context.Cause(l.ctx)
	}
	l.begun = true
	l.accepted = c.AllowedMethods
	ways := []func(*ssh.ClientAuthContext) ssh.AuthMethod{l.nextKey, l.nextPassword, l.nextAnswers}
	if l.r.Password != nil && !l.r.siteKeys {
		ways = []func(*ssh.ClientAuthContext) ssh.AuthMethod{l.nextPassword, l.nextAnswers, l.nextKey}
	}
	for _, way := range ways {
		if m := way(c); m != nil {
			return m, nil
		}
	}
	return nil, errRefused
}

func (l *login) nextKey(c *ssh.ClientAuthContext) ssh.AuthMethod {
	if l.r.noPublicKey || !slices.Contains(c.AllowedMethods, "publickey") {
		return nil
	}
	if !l.gathered {
		l.gathered = true
		l.keys = l.usable(l.candidates(l.ctx), string(c.Metadata.ServerVersion()))
	}
	if l.offered == len(l.keys) {
		return nil
	}
	if l.offered == maxKeys {
		l.noteOnce(fmt.Sprintf("%d more keys were not offered, because sshd hangs up after six tries; name the right one in site.lua: key = \"~/.ssh/…\"", len(l.keys)-maxKeys))
		return nil
	}
	key := l.keys[l.offered]
	l.offered++
	l.add(key.String())
	return ssh.PublicKeys(key.Signer)
}

// usable leaves out the keys that the server cannot know: it would count them as failures all the same.
func (l *login) usable(keys []candidate, version string) []candidate {
	major, minor, ok := openSSHVersion(version)
	if !ok {
		return keys
	}
	before := func(a, b int) bool { return major < a || major == a && minor < b }
	return slices.DeleteFunc(keys, func(c candidate) bool {
		kind := c.PublicKey().Type()
		switch {
		case strings.Contains(kind, "ed25519") && before(6, 5):
			l.note(fmt.Sprintf("%s was not offered: OpenSSH %d.%d knows no ed25519 keys, use an RSA key", c.what, major, minor))
		case strings.Contains(kind, "ecdsa") && before(5, 7):
			l.note(fmt.Sprintf("%s was not offered: OpenSSH %d.%d knows no ECDSA keys, use an RSA key", c.what, major, minor))
		default:
			return false
		}
		return true
	})
}

func openSSHVersion(banner string) (major, minor int, ok bool) {
	m := regexp.MustCompile(`OpenSSH_(\d+)\.(\d+)`).FindStringSubmatch(banner)
	if m == nil {
		return 0, 0, false
	}
	major, _ = strconv.Atoi(m[1])
	minor, _ = strconv.Atoi(m[2])
	return major, minor, true
}

func (l *login) nextPassword(c *ssh.ClientAuthContext) ssh.AuthMethod {
	if l.r.noPassword || !slices.Contains(c.AllowedMethods, "password") {
		return nil
	}
	secret := l.nextSecret("password")
	if secret == nil {
		return nil
	}
	l.add("password")
	return ssh.PasswordCallback(secret)
}

// nextAnswers is keyboard-interactive: the password to the first question that hides its answer, the operator for the rest.
func (l *login) nextAnswers(c *ssh.ClientAuthContext) ssh.AuthMethod {
	if l.r.noInteractive || !slices.Contains(c.AllowedMethods, "keyboard-interactive") {
		return nil
	}
	if l.sent["password"] && l.ask == nil { // refused a moment ago, and the same again would be counted against us
		return nil
	}
	secret := l.nextSecret("keyboard-interactive")
	if secret == nil {
		return nil
	}
	l.add("keyboard-interactive")
	return ssh.KeyboardInteractive(func(_, instruction string, questions []string, echos []bool) ([]string, error) {
		answers := make([]string, len(questions))
		for i, q := range questions {
			var err error
			switch {
			case !echos[i] && secret != nil:
				answers[i], err = secret()
				secret = nil
			case l.ask != nil:
				answers[i], err = l.typed(strings.TrimLeft(printable(strings.TrimSpace(instruction)+"\n"+q), "\n"))
			default:
				err = fmt.Errorf("it asks %q, which nobody is there to answer", printable(q))
				l.noteOnce(err.Error())
			}
			if err != nil {
				return nil, err
			}
		}
		return answers, nil
	})
}

// nextSecret is where the next password comes from: the site, an earlier question of this run, or the operator. nil: there is none.
func (l *login) nextSecret(way string) func() (string, error) {
	if !l.sent[way] {
		if l.r.Password != nil {
			l.sent[way] = true
			return l.r.Password
		}
		if p, ok := l.ring.password(target(l.r)); ok {
			l.sent[way] = true
			return func() (string, error) { return p, nil }
		}
	}
	if l.ask == nil || l.prompts == maxPrompts {
		return nil
	}
	l.prompts++
	prompt := fmt.Sprintf("Password of %s: ", target(l.r))
	if l.prompts > 1 || l.sent[way] {
		prompt = "It was refused. " + prompt
	}
	l.sent[way] = true
	return func() (string, error) {
		p, err := l.typed(prompt)
		if err == nil {
			l.ring.keepPassword(target(l.r), p) // until the server has refused it
		}
		return p, err
	}
}

func (l *login) typed(prompt string) (string, error) {
	answer, err := l.ask.secret(l.ctx, prompt)
	l.asked = l.asked || err == nil
	return answer, err
}

// printable keeps what a server sends from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}

func (l *login) agentKeys(ctx context.Context) []ssh.Signer {
	if l.r.agent == "" {
		return nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", l.r.agent)
	if err != nil {
		l.note("cannot ask the ssh agent: " + err.Error())
		return nil
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // an agent may take its time over every question
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		l.note("cannot ask the ssh agent for its keys: " + err.Error())
	}
	l.closers = append(l.closers, func() { stop(); conn.Close() })
	return signers
}

// done ends what the login needed. What it learned stays.
func (l *login) done() {
	for _, c := range l.closers {
		c()
	}
	l.closers = nil
}

func (l *login) add(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tried = append(l.tried, what)
}

func (l *login) note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, text)
}

func (l *login) noteOnce(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.notes, text) {
		l.notes = append(l.notes, text)
	}
}

// failure is the error of a login that the server refused.
func (l *login) failure(cause error) *AuthError {
	l.ring.forgetPassword(target(l.r))
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &AuthError{User: l.r.User, Accepts: slices.Clone(l.accepted), Tried: slices.Clone(l.tried), Notes: slices.Clone(l.notes)}
	if l.r.siteKeys && !l.gathered {
		e.Notes = append(e.Notes, "the key that the site names was not offered, since the server takes none")
	}
	if strings.Contains(cause.Error(), "Too many authentication failures") {
		e.Notes = append(e.Notes, "the server hung up after too many tries; name the right key in site.lua: key = \"~/.ssh/…\"")
	}
	if strings.Contains(cause.Error(), "no common public key signature algorithm") {
		e.Notes = append(e.Notes, "the server knows no signatures of RSA keys but ssh-rsa (SHA-1), which this key or agent refuses to make")
	}
	return e
}
