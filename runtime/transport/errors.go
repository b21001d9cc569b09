package transport

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoStreamlocal says that the server does not connect to Unix sockets: OpenSSH before 6.7, or AllowStreamLocalForwarding no.
var ErrNoStreamlocal = errors.New("the ssh server does not forward to Unix sockets")

// ErrLost is the reason of a connection that answers no longer.
var ErrLost = errors.New("connection lost")

// ErrForbidden says that the server allows no connections through it: AllowTcpForwarding no, or PermitOpen.
var ErrForbidden = errors.New("the ssh server forbids it (AllowTcpForwarding or PermitOpen in its sshd_config)")

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
	Name        string   // as in known_hosts
	Got         string   // what was shown: key type and fingerprint, "ssh-ed25519 SHA256:…"
	Want        []string // what is known, likewise; empty when nothing is
	File        string   // where the known key stands, "FILE:LINE"
	Pinned      bool     // the site names a fingerprint
	Revoked     bool     // the key stands in known_hosts as @revoked
	Declined    bool     // the operator said that it is not the host's key
	Certificate string   // what is wrong with the certificate that the host showed; empty: it showed none

	file string // that holds the known key
	md5  string // fingerprint of Got, as ssh-keygen printed them before OpenSSH 6.8
}

func (e *HostKeyError) Error() string {
	switch {
	case e.Revoked:
		return fmt.Sprintf("its host key %s is marked as revoked in %s", e.Got, e.File)
	case e.Certificate != "":
		return fmt.Sprintf("the certificate of its host key %s is not good: %s", e.Got, e.Certificate)
	case e.Pinned:
		return fmt.Sprintf("its host key is not the one of %s: it shows %s, wanted is %s", e.File, e.Got, strings.Join(e.Want, " or "))
	case len(e.Want) > 0:
		return fmt.Sprintf("its host key has CHANGED: it shows %s, known is %s (%s)", e.Got, strings.Join(e.Want, " or "), e.File)
	case e.Declined:
		return fmt.Sprintf("its host key %s was not accepted", e.Got)
	}
	return fmt.Sprintf("its host key is not known: it shows %s", e.Got)
}

// AuthError says that the host refused every way to log in.
type AuthError struct {
	User    string
	Accepts []string // what the server accepts: "publickey", "password" …
	Tried   []string // "key ~/.ssh/id_rsa (ssh-rsa SHA256:…)", "password", in this order
	Notes   []string // what went wrong besides: keys that could not be read or were not offered
}

func (e *AuthError) Error() string {
	tried := "nothing, since there is no key and no password to try"
	if len(e.Tried) > 0 {
		tried = strings.Join(e.Tried, ", ")
	}
	text := fmt.Sprintf("it refused the login as %s; tried: %s", e.User, tried)
	if len(e.Accepts) > 0 {
		text += "; it accepts: " + strings.Join(e.Accepts, ", ")
	}
	if len(e.Notes) > 0 {
		text += " (" + strings.Join(e.Notes, "; ") + ")"
	}
	return text
}

// AlgorithmError says that the host and the runner have no algorithm in common for one of the things that need one.
type AlgorithmError struct {
	What   string   // "key exchange", "host key", "client to server cipher" …
	Theirs []string // what the host offers
	Ours   []string // what the runner offers
}

func (e *AlgorithmError) Error() string {
	return fmt.Sprintf("no common algorithm for %s: it offers %s; runner offers %s", e.What, strings.Join(e.Theirs, " "), strings.Join(e.Ours, " "))
}
