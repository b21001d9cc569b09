package transport

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"runner/runtime/transport/internal/knownhosts"
)

// hostKeys checks the key of one host: against the site's fingerprint, or against known_hosts.
type hostKeys struct {
	ctx  context.Context
	r    resolved
	ask  *asker
	db   *knownhosts.DB // nil: the site has a fingerprint
	not  []string       // key types that were shown already and are not the one of the fingerprint
	seen ssh.PublicKey  // what the server showed
}

func newHostKeys(ctx context.Context, r resolved, ask *asker, not []string) (*hostKeys, error) {
	k := &hostKeys{ctx: ctx, r: r, ask: ask, not: not}
	if r.Fingerprint != "" {
		return k, checkFingerprint(r.Fingerprint)
	}
	var err error
	k.db, err = knownhosts.Read(r.KnownHosts...)
	return k, err
}

// checkFingerprint says whether a text is a fingerprint at all: of SHA-256 in base64, or of MD5 in hexadecimal digits, which is
// what ssh-keygen prints before OpenSSH 6.8.
func checkFingerprint(text string) error {
	if rest, ok := strings.CutPrefix(text, "SHA256:"); ok && len(strings.TrimRight(rest, "=")) == 43 {
		return nil
	}
	if strings.Count(text, ":") >= 15 && len(strings.TrimPrefix(text, "MD5:")) == 47 {
		return nil
	}
	return fmt.Errorf("%q is no fingerprint of a host key; one looks like SHA256:… (43 characters) or MD5:… (16 pairs of digits)", text)
}

// names are the names of the host in known_hosts. Under the first it is remembered. What is known under the bare name is good
// for any port, as in ssh, while what is not known there says nothing.
func (k *hostKeys) names() (own string, bare []string) {
	if k.r.Alias != "" {
		return strings.ToLower(k.r.Alias), nil
	}
	own = knownhosts.Name(k.r.Address, k.r.Port)
	if k.r.Port != 22 {
		bare = []string{knownhosts.Name(k.r.Address, 22)}
	}
	return own, bare
}

// algorithms puts the types of the keys that are known of the host first. A server shows only one of its keys, of the
// type that the client prefers: without this, a host known by its RSA key would show its ECDSA key and seem changed.
func (k *hostKeys) algorithms() []string {
	list := slices.Clone(k.r.algorithms.hostKeys)
	if k.db == nil {
		return slices.DeleteFunc(list, func(name string) bool { return slices.Contains(k.not, keyType(name)) })
	}
	own, bare := k.names()
	known := k.db.Find(own)
	if len(known) == 0 {
		known = k.db.Find(bare...)
	}
	var types []string
	certificates := false
	for _, e := range known {
		certificates = certificates || e.Authority
		if !e.Authority {
			types = append(types, e.Key.Type())
		}
	}
	if slices.Contains(types, dsa) && !slices.Contains(list, dsa) {
		list = append(list, dsa)
	}
	slices.SortStableFunc(list, func(a, b string) int {
		return strings.Compare(rank(types, a), rank(types, b))
	})
	if certificates {
		list = append([]string{ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
			ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01}, list...)
	}
	return list
}

func rank(types []string, algorithm string) string {
	if slices.Contains(types, keyType(algorithm)) {
		return "known"
	}
	return "unknown"
}

// keyType is the type of key that an algorithm uses: RSA keys serve three (RFC 8332).
func keyType(algorithm string) string {
	if algorithm == ssh.KeyAlgoRSASHA256 || algorithm == ssh.KeyAlgoRSASHA512 {
		return ssh.KeyAlgoRSA
	}
	return algorithm
}

// check is the callback of the handshake.
func (k *hostKeys) check(_ string, _ net.Addr, key ssh.PublicKey) error {
	k.seen = key
	if k.db == nil {
		return k.checkPinned(key)
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		err := k.checkCertificate(cert)
		if err != nil && k.find(cert.Key) == nil { // the key itself may be known all the same
			return nil
		}
		return err
	}
	e := k.find(key)
	if e == nil {
		return nil
	}
	if len(e.Want) > 0 || e.Revoked {
		return e
	}
	return k.confirm(e, key)
}

func (k *hostKeys) checkPinned(key ssh.PublicKey) error {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	want := k.r.Fingerprint
	if strings.TrimRight(want, "=") == ssh.FingerprintSHA256(key) || strings.EqualFold(strings.TrimPrefix(want, "MD5:"), ssh.FingerprintLegacyMD5(key)) {
		return nil
	}
	own, _ := k.names()
	return &HostKeyError{Name: own, Got: describe(key), Want: []string{want}, File: "the fingerprint in the site", Pinned: true}
}

// find compares a key with known_hosts. nil: it is known and good.
func (k *hostKeys) find(key ssh.PublicKey) *HostKeyError {
	own, bare := k.names()
	e := &HostKeyError{Name: own, Got: describe(key), md5: ssh.FingerprintLegacyMD5(key)}
	if r, revoked := k.db.Revoked(key, append([]string{own}, bare...)...); revoked {
		e.Revoked, e.File = true, r.Place()
		return e
	}
	same := func(known knownhosts.Entry) bool { return !known.Authority && equal(known.Key, key) }
	mine := k.db.Find(own)
	if slices.ContainsFunc(mine, same) || len(mine) == 0 && slices.ContainsFunc(k.db.Find(bare...), same) {
		return nil
	}
	for _, known := range mine {
		if !known.Authority {
			e.Want = append(e.Want, describe(known.Key))
			if e.File == "" {
				e.File, e.file = known.Place(), known.File
			}
		}
	}
	return e
}

// checkCertificate checks the certificate of a host against the authorities that known_hosts has for it.
func (k *hostKeys) checkCertificate(cert *ssh.Certificate) error {
	own, bare := k.names()
	names := append([]string{own}, bare...)
	host := k.r.Address
	if k.r.Alias != "" {
		host = k.r.Alias
	}
	checker := ssh.CertChecker{
		IsHostAuthority: func(authority ssh.PublicKey, _ string) bool {
			return slices.ContainsFunc(k.db.Find(names...), func(e knownhosts.Entry) bool { return e.Authority && equal(e.Key, authority) })
		},
		IsRevoked: func(c *ssh.Certificate) bool {
			for _, key := range []ssh.PublicKey{c, c.Key, c.SignatureKey} {
				if _, revoked := k.db.Revoked(key, names...); revoked {
					return true
				}
			}
			return false
		},
	}
	err := checker.CheckHostKey(net.JoinHostPort(host, strconv.Itoa(k.r.Port)), nil, cert)
	if err == nil {
		return nil
	}
	return &HostKeyError{Name: own, Got: describe(cert.Key), md5: ssh.FingerprintLegacyMD5(cert.Key),
		Certificate: strings.TrimPrefix(err.Error(), "ssh: ") + ", signed by " + describe(cert.SignatureKey)}
}

func equal(a, b ssh.PublicKey) bool { return string(a.Marshal()) == string(b.Marshal()) }

func describe(key ssh.PublicKey) string { return key.Type() + " " + ssh.FingerprintSHA256(key) }

// confirm shows an unknown key to the operator and remembers a yes.
func (k *hostKeys) confirm(e *HostKeyError, key ssh.PublicKey) error {
	if k.ask == nil || k.r.strict {
		return e
	}
	// Another connection to the host may have asked while this one waited for its turn.
	settled := func() bool {
		now, err := knownhosts.Read(k.r.KnownHosts...)
		return err == nil && (&hostKeys{r: k.r, db: now}).find(key) == nil
	}
	remember := func() error {
		if len(k.r.KnownHosts) == 0 {
			return nil
		}
		return knownhosts.Add(k.r.KnownHosts[0], knownhosts.Line(e.Name, key, k.r.hashNames))
	}
	question := fmt.Sprintf("The host key of %s is not known yet. It shows\n  %s\n  MD5:%s\nIs that its key?", e.Name, e.Got, e.md5)
	yes, err := k.ask.confirm(k.ctx, question, settled, remember)
	if err != nil {
		return err
	}
	if !yes {
		e.Declined = true
		return e
	}
	return nil
}
