package transport

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// ErrNoStreamlocal says that the server does not connect to Unix sockets: OpenSSH before 6.7, or AllowStreamLocalForwarding no.
var ErrNoStreamlocal = errors.New("the ssh server does not forward to Unix sockets")

// ErrLost is the reason of a connection that answers no longer.
var ErrLost = errors.New("connection lost")

// DialError says that a host could not be connected to, and what to do.
type DialError struct {
	To  string // "root@mail.example.org:22"
	Err error
	Do  string // what to do next; may be empty
}

func (e *DialError) Error() string { return fmt.Sprintf("cannot connect to %s: %v", e.To, e.Err) }
func (e *DialError) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *DialError) Hint() string { return e.Do }

// HostKeyError says that a host showed a key that is not the one that is known of it, or that none is known.
type HostKeyError struct {
	Name    string // as in known_hosts
	Got     string // fingerprint with key type
	Want    []string
	Revoked bool
	File    string // where the known key stands
}

func (e *HostKeyError) Error() string {
	switch {
	case e.Revoked:
		return fmt.Sprintf("its host key %s is marked as revoked in %s", e.Got, e.File)
	case len(e.Want) > 0:
		return fmt.Sprintf("its host key has CHANGED: it shows %s, known is %s (%s)", e.Got, strings.Join(e.Want, " or "), e.File)
	}
	return fmt.Sprintf("its host key is not known: it shows %s", e.Got)
}

// AuthError says that the host refused every way to log in.
type AuthError struct {
	User  string
	Tried []string // "key ~/.ssh/id_rsa (SHA256:…)", "password"
	Note  string
}

func (e *AuthError) Error() string {
	tried := "nothing: there is no key and no password to try"
	if len(e.Tried) > 0 {
		tried = strings.Join(e.Tried, ", ")
	}
	text := fmt.Sprintf("it refused the login as %s; tried: %s", e.User, tried)
	if e.Note != "" {
		text += " (" + e.Note + ")"
	}
	return text
}

// explain turns what a failed dial or handshake said into what it means and what to do.
func explain(r resolved, err error, tried *attempts) *DialError {
	d := &DialError{To: target(r), Err: err}
	var key *HostKeyError
	var algorithms *ssh.AlgorithmNegotiationError
	var name *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &key):
		d.Err = key
		d.Do = keyAdvice(r, key)
	case errors.As(err, &algorithms):
		d.Err = fmt.Errorf("no common algorithm for %s: it offers %s, runner offers %s", algorithms.What,
			strings.Join(algorithms.RequestedAlgorithms, " "), strings.Join(algorithms.SupportedAlgorithms, " "))
		d.Do = "the ssh server allows only algorithms that no modern client has; allow one of runner's in its sshd_config"
	case strings.Contains(err.Error(), "unable to authenticate"), strings.Contains(err.Error(), "Too many authentication failures"),
		strings.Contains(err.Error(), "no common public key signature algorithm"):
		d.Err = tried.failure(r, err)
		d.Do = fmt.Sprintf("see that this works: ssh -p %d %s@%s true; name the key in site.lua: key = \"~/.ssh/…\"", r.Port, r.User, r.Address)
	case errors.As(err, &name):
		d.Err = fmt.Errorf("the name %s is not known", name.Name)
		d.Do = "write the address in site.lua, or a HostName in ~/.ssh/config"
	case errors.Is(err, syscall.ECONNREFUSED):
		d.Err = fmt.Errorf("connection refused")
		d.Do = fmt.Sprintf("is sshd running there, and on port %d?", r.Port)
	case errors.As(err, &timeout) && timeout.Timeout():
		d.Err = fmt.Errorf("no answer within %s", r.ConnectTimeout)
		d.Do = "is the host up, and does a firewall let port " + fmt.Sprint(r.Port) + " through?"
	}
	return d
}

func keyAdvice(r resolved, e *HostKeyError) string {
	host := lookupName(r)
	if len(e.Want) > 0 || e.Revoked {
		return fmt.Sprintf("if the machine was really reinstalled: ssh-keygen -R '%s' -f %s; otherwise somebody may be between you and it", host, e.File)
	}
	fingerprint := e.Got[strings.LastIndexByte(e.Got, ' ')+1:]
	return fmt.Sprintf("compare it with what `ssh-keygen -lf /etc/ssh/ssh_host_…_key.pub` says on the host, then put fingerprint = %q into site.lua, or connect once with ssh", fingerprint)
}

func target(r resolved) string {
	return fmt.Sprintf("%s@%s", r.User, net.JoinHostPort(r.Address, fmt.Sprint(r.Port)))
}
