package transport

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// hostKeys checks the key of one host: against the site's fingerprint, or against known_hosts.
type hostKeys struct {
	r        resolved
	db       *knownhosts.HostKeyDB
	files    []string
	prompter Prompter
	shown    string // fingerprint of the key that was accepted
}

func newHostKeys(r resolved, p Prompter) (*hostKeys, error) {
	k := &hostKeys{r: r, prompter: p}
	for _, name := range r.KnownHosts {
		if _, err := os.Stat(name); err == nil {
			k.files = append(k.files, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("cannot read the known host keys: %w", err)
		}
	}
	if r.Fingerprint != "" {
		return k, nil
	}
	db, err := knownhosts.NewDB(k.files...)
	if err != nil {
		return nil, fmt.Errorf("cannot read the known host keys: %w", err)
	}
	k.db = db
	return k, nil
}

// lookupName is the host as known_hosts writes it: "name", or "[name]:port" when the port is not 22.
func lookupName(r resolved) string {
	if r.Alias != "" {
		return r.Alias
	}
	return knownhosts.Normalize(net.JoinHostPort(r.Address, strconv.Itoa(r.Port)))
}

func (k *hostKeys) dialName() string {
	if k.r.Alias != "" {
		return net.JoinHostPort(k.r.Alias, "22")
	}
	return net.JoinHostPort(k.r.Address, strconv.Itoa(k.r.Port))
}

// algorithms puts the types of the keys that are known of the host first. A server shows only one of its keys, of the
// type that the client prefers: without this, a host known by its RSA key would show its ECDSA key and seem changed.
func (k *hostKeys) algorithms() []string {
	if k.db == nil {
		return hostKeyAlgorithms
	}
	known := k.db.HostKeyAlgorithms(k.dialName())
	if len(known) == 0 {
		return hostKeyAlgorithms
	}
	return known
}

func (k *hostKeys) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	got := key.Type() + " " + ssh.FingerprintSHA256(key)
	k.shown = ssh.FingerprintSHA256(key)
	if want := k.r.Fingerprint; want != "" {
		if k.shown == want || ssh.FingerprintLegacyMD5(key) == strings.TrimPrefix(want, "MD5:") {
			return nil
		}
		return &HostKeyError{Name: lookupName(k.r), Got: got, Want: []string{want}, File: "fingerprint in site.lua"}
	}
	err := k.db.HostKeyCallback()(k.dialName(), remote, key)
	if err == nil {
		return nil
	}
	e := &HostKeyError{Name: lookupName(k.r), Got: got}
	var revoked *xknownhosts.RevokedError
	var mismatch *xknownhosts.KeyError
	switch {
	case errors.As(err, &revoked):
		e.Revoked, e.File = true, revoked.Revoked.Filename
		return e
	case errors.As(err, &mismatch):
		for _, w := range mismatch.Want {
			e.Want = append(e.Want, w.Key.Type()+" "+ssh.FingerprintSHA256(w.Key))
			e.File = fmt.Sprintf("%s:%d", w.Filename, w.Line)
		}
		if len(e.Want) > 0 {
			e.File = mismatch.Want[0].Filename
			return e
		}
		return k.ask(e, key)
	}
	return err
}

// ask shows an unknown key to the operator and remembers a yes.
func (k *hostKeys) ask(e *HostKeyError, key ssh.PublicKey) error {
	if k.prompter == nil {
		return e
	}
	yes, err := k.prompter.Confirm(fmt.Sprintf("The host key of %s is not known yet: %s.\nIs that its key?", e.Name, e.Got))
	if err != nil || !yes {
		return e
	}
	if len(k.r.KnownHosts) == 0 {
		return nil
	}
	return remember(k.r.KnownHosts[0], lookupName(k.r), key)
}

func remember(file, name string, key ssh.PublicKey) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("cannot remember the host key: %w", err)
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot remember the host key: %w", err)
	}
	_, err = fmt.Fprintln(f, knownhosts.Line([]string{name}, key))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("cannot remember the host key in %s: %w", file, err)
	}
	return nil
}
