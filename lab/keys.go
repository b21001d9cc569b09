package lab

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// paths sets where the lab's files are.
func (l *Lab) paths() {
	dir := l.Options.Dir
	l.Key = filepath.Join(dir, "keys", "id_ed25519")
	l.KnownHosts = filepath.Join(dir, "known_hosts")
	l.SSHConfig = filepath.Join(dir, "ssh_config")
	l.Site = filepath.Join(dir, "site.lua")
}

// hostKeyTypes are the host keys of a server. Wheezy's OpenSSH 6.0 knew no Ed25519.
func hostKeyTypes(h *Host) []string {
	if h.Init == "sysvinit" {
		return []string{"rsa", "ecdsa"}
	}
	return []string{"rsa", "ecdsa", "ed25519"}
}

// hostKey is the file of a host's key in the state directory. They stay when the lab goes down, so that a server that comes
// again is known.
func (l *Lab) hostKey(h *Host, kind string) string {
	return filepath.Join(l.Options.Dir, "keys", "host_"+h.Name+"_"+kind)
}

// makeKeys makes what is missing: the operator's key, the hosts' keys, the key for changes of the zones.
func (l *Lab) makeKeys() error {
	if err := os.MkdirAll(filepath.Join(l.Options.Dir, "keys"), 0o700); err != nil {
		return err
	}
	if err := keyPair(l.Key, "ed25519", "runner lab"); err != nil {
		return err
	}
	for _, h := range l.Servers() {
		for _, kind := range hostKeyTypes(h) {
			if err := keyPair(l.hostKey(h, kind), kind, "root@"+h.Hostname); err != nil {
				return err
			}
		}
	}
	l.UpdateKey = "runner-lab"
	file := filepath.Join(l.Options.Dir, "keys", "update")
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		secret := make([]byte, 32)
		if _, err := rand.Read(secret); err != nil {
			return err
		}
		b = []byte(base64.StdEncoding.EncodeToString(secret) + "\n")
		err = writeFile(file, b, 0o600)
	}
	l.UpdateSecret = strings.TrimSpace(string(b))
	return err
}

// keyPair makes a private key in OpenSSH's format and the public one beside it, unless they are there.
func keyPair(file, kind, comment string) error {
	if exists(file) && exists(file+".pub") {
		return nil
	}
	var key any
	var err error
	switch kind {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ecdsa":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return err
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return err
	}
	public := append(bytes.TrimSpace(ssh.MarshalAuthorizedKey(signer.PublicKey())), " "+comment+"\n"...)
	// The public one last: both are there when it is.
	return errors.Join(writeFile(file, pem.EncodeToMemory(block), 0o600), writeFile(file+".pub", public, 0o644))
}

// knownHosts is the known_hosts file (sshd(8)) of the lab: every key under address and names.
func (l *Lab) knownHosts() ([]byte, error) {
	var b bytes.Buffer
	for _, h := range l.Servers() {
		for _, kind := range hostKeyTypes(h) {
			public, err := os.ReadFile(l.hostKey(h, kind) + ".pub")
			if err != nil {
				return nil, err
			}
			fields := strings.Fields(string(public))
			if len(fields) < 2 {
				return nil, fmt.Errorf("cannot read the host key %s.pub", l.hostKey(h, kind))
			}
			fmt.Fprintf(&b, "%s,%s %s %s\n", h.Address, h.Hostname, fields[0], fields[1])
		}
	}
	return b.Bytes(), nil
}
