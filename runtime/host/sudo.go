package host

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// LoginError says that a host was reached and lets us in, but does not let us run commands: its shell is none, or sudo, doas or su refuses.
type LoginError struct {
	Host string
	Why  string
	Do   string // what to do next
}

func (e *LoginError) Error() string {
	return fmt.Sprintf("cannot run commands on %s: %s", e.Host, e.Why)
}

// Hint says what to do next.
func (e *LoginError) Hint() string { return e.Do }

var (
	errPasswordRefused = errors.New("the password was refused")
	errNoPassword      = errors.New("a password is asked for and none is given")
)

// secret is the password for sudo, doas or su: asked for once, kept until it proves wrong.
type secret struct {
	mu      sync.Mutex
	value   string
	known   bool
	refused map[string]bool
}

// get returns the password. Concurrent callers ask for it once.
func (s *secret) get(ask func() (string, error)) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known {
		return s.value, nil
	}
	if ask == nil {
		return "", errNoPassword
	}
	value, err := ask()
	if err != nil {
		return "", err
	}
	if strings.ContainsAny(value, "\n\x00") {
		return "", errors.New("the password holds a line end or a NUL byte, which nobody can type")
	}
	// The same wrong password again and again locks accounts (pam_faillock).
	if s.refused[value] {
		return "", errPasswordRefused
	}
	s.value, s.known = value, true
	return value, nil
}

func (s *secret) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known {
		return
	}
	if s.refused == nil {
		s.refused = map[string]bool{}
	}
	s.refused[s.value] = true
	s.value, s.known = "", false
}

func (s *secret) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value, s.known = "", false
}

// refusals are what sudo and login shells say, in the C locale, with what it means and what to do. Sources: sudo 1.6 to
// 1.9 (logging.c, sudo.c, parse.c), OpenDoas, su of shadow and of util-linux, shadow's nologin, the shells' "not found".
var refusals = []struct{ says, means, do string }{
	{"is not in the sudoers file", "sudo does not know the user", "give the user the right on the host (visudo), or log in as root"},
	{"is not allowed to execute", "sudo lets the user run some commands and not /bin/sh", "allow the user (ALL) in sudoers, or log in as root"},
	{"is not allowed to run sudo", "sudo does not let the user run anything", "give the user the right on the host (visudo), or log in as root"},
	{"may not run sudo on", "sudo does not let the user run anything", "give the user the right on the host (visudo), or log in as root"},
	{"must have a tty to run sudo", "sudo wants a terminal (requiretty)", "put \"Defaults:USER !requiretty\" into sudoers with visudo, or log in as root"},
	{"must be setuid root", "sudo is not installed as it should be: it is not setuid root", "repair it on the host, or log in as root"},
	{"no new privileges", "the login may not gain privileges (no new privileges)", "log in as root"},
	{"account validation failure", "sudo says that the account is locked or has expired", "unlock it on the host, or log in as root"},
	{"account or password is expired", "sudo says that the account or its password has expired", "renew it on the host, or log in as root"},
	{"sudo: not found", "sudo is not installed", "install sudo on the host, write become = \"su\" into the site and give root's password, or log in as root"},
	{"sudo: command not found", "sudo is not installed", "install sudo on the host, write become = \"su\" into the site and give root's password, or log in as root"},
	{"doas: Authentication required", "doas asks for a password, which it reads from a terminal, and without perl the host cannot have one", "permit the user without one on the host (permit nopass USER in doas.conf), install perl or sudo, or log in as root"},
	{"doas: not found", "doas is not installed", "install doas on the host, leave out become = \"doas\", or log in as root"},
	{"no terminal at -e", "there is no terminal to be had (/dev/ptmx, /dev/pts) to give the password on", "mount devpts on the host, use sudo, or log in as root"},
	{"su: must be run from a terminal", "su wants a terminal, and without perl the host cannot have one", "install perl or sudo on the host, or log in as root"},
	{"su: Permission denied", "su does not let the user become root, whatever the password: PAM wants a group (pam_wheel), or the account is locked", "look at /etc/pam.d/su on the host, use sudo, or log in as root"},
	{"doas: Operation not permitted", "doas does not let the user run /bin/sh", "permit it on the host (permit nopass USER in doas.conf), or log in as root"},
	{"doas: doas is not enabled", "doas has no doas.conf on the host", "permit the user there (permit nopass USER in doas.conf), or log in as root"},
	{"account is currently not available", "the user has no login shell (nologin)", "log in as a user with a shell"},
}

// explain says why there is no shell.
func (b *booting) explain(c complaint) error {
	said := lastLine(c.text)
	switch {
	case b.sudo && c.asked > 0 && saysWrong(c.text):
		b.password.refuse()
		return b.noPassword(c, "%s refused the password", "give the right password of %s")
	case errors.Is(c.err, errPasswordRefused):
		return b.noPassword(c, "%s refused the password", "give the right password of %s")
	case errors.Is(c.err, errNoPassword):
		return b.noPassword(c, "%s asks for a password and none is given", "give the password of %s")
	case b.late.Load() && b.sudo:
		return b.refusal(fmt.Sprintf("%s did not start %s within %s%s", b.via(c.text), b.sh, launchTimeout, ifSaid(said)), "try it by hand on the host; it may ask for something else than a password")
	case b.late.Load():
		return b.refusal(fmt.Sprintf("the login shell did not start %s within %s%s", b.sh, launchTimeout, ifSaid(said)), "look at the start files of the user's shell on the host")
	case !errors.Is(c.err, io.EOF):
		return c.err
	}
	for _, r := range refusals {
		if strings.Contains(c.text, r.says) {
			return b.refusal(r.means, r.do)
		}
	}
	if b.sudo {
		return b.refusal(b.via(c.text)+" ended before it ran anything"+ifSaid(said), "try it by hand on the host, or log in as root")
	}
	return b.refusal("the login shell ended before it ran anything"+ifSaid(said), "log in by hand and see; the user needs a shell, and its start files must not end it")
}

// saysWrong says that doas or su took the password for a wrong one; sudo would ask again.
func saysWrong(text string) bool {
	return strings.Contains(text, "doas: Authentication failed") || strings.Contains(text, "su: Authentication failure") || strings.Contains(text, "su: incorrect password")
}

// noPassword is a refusal because of the password: whose it is, where it is given, and how to do without.
func (b *booting) noPassword(c complaint, why, do string) *LoginError {
	via := b.via(c.text)
	whose, field, without := "the user who logs in", "sudo_password", "allow NOPASSWD in sudoers"
	switch via {
	case viaSu:
		whose, field, without = "root", "su_password", "use sudo or doas"
	case viaDoas:
		without = "permit nopass in doas.conf"
	}
	return b.refusal(fmt.Sprintf(why, via), fmt.Sprintf(do, whose)+fmt.Sprintf(" (%s in the site), %s, or log in as root", field, without))
}

func (b *booting) refusal(why, do string) *LoginError { return &LoginError{b.name, why, do} }

func ifSaid(text string) string {
	if text == "" {
		return ""
	}
	return "; it said: " + text
}
