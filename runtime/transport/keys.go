package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/crypto/ssh"
)

// candidate is a key that can be offered to a server.
type candidate struct {
	ssh.Signer
	what string // where it comes from: "key ~/.ssh/id_rsa", "a key of the agent"
}

func (c candidate) String() string {
	return fmt.Sprintf("%s (%s %s)", c.what, c.PublicKey().Type(), ssh.FingerprintSHA256(c.PublicKey()))
}

// candidates are the keys to offer, in the order in which ssh does it: those that were named; else what the agent holds,
// then the usual files. A named key that the agent holds is the agent's to use.
func (l *login) candidates(ctx context.Context) []candidate {
	held := l.agentKeys(ctx)
	var list []candidate
	seen := map[string]bool{}
	add := func(all ...candidate) {
		for _, c := range all {
			if id := string(c.PublicKey().Marshal()); !seen[id] {
				seen[id] = true
				list = append(list, c)
			}
		}
	}
	for _, file := range l.r.Keys {
		add(l.fromFile(ctx, file, held)...)
	}
	// As ssh does: IdentitiesOnly keeps what the agent holds besides back, and so does a key that the site names.
	if !l.r.identitiesOnly && !l.r.siteKeys {
		for _, s := range held {
			add(candidate{s, "a key of the agent"})
		}
	}
	if !l.r.explicitKeys {
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa", "id_dsa"} {
			if file := expandHome("~/.ssh/" + name); exists(file) {
				add(l.fromFile(ctx, file, held)...)
			}
		}
	}
	return list
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// fromFile reads a private key file, or the public one of a key that the agent holds. An OpenSSH certificate that lies
// beside it is offered first, as ssh does.
func (l *login) fromFile(ctx context.Context, file string, held []ssh.Signer) []candidate {
	signer := l.load(ctx, file, held)
	if signer == nil {
		return nil
	}
	plain := candidate{signer, "key " + file}
	var found []candidate
	for _, name := range append([]string{file + "-cert.pub"}, l.r.certificates...) {
		if c := withCertificate(signer, name); c != nil {
			found = append(found, candidate{c, "key " + file + " with its certificate"})
		}
	}
	return append(found, plain)
}

func (l *login) load(ctx context.Context, file string, held []ssh.Signer) ssh.Signer {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && exists(file+".pub") {
		text, err = os.ReadFile(file + ".pub")
	}
	if err != nil {
		l.note("cannot read the key: " + err.Error())
		return nil
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(text); err == nil { // the private part is elsewhere
		if s := among(held, public); s != nil {
			return s
		}
		l.note(file + " is a public key, and the agent does not hold its private part")
		return nil
	}
	signer, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		signer, err = l.locked(ctx, file, text, locked.PublicKey, held)
	}
	if err != nil {
		l.note(fmt.Sprintf("cannot use the key %s: %v", file, err))
		return nil
	}
	return signer
}

// locked is a key with a passphrase. It is asked for only when the server takes the key, as ssh does it, so that nobody types
// a passphrase for nothing; that needs the public part, which old files do not have in clear text.
func (l *login) locked(ctx context.Context, file string, text []byte, public ssh.PublicKey, held []ssh.Signer) (ssh.Signer, error) {
	if public == nil {
		if beside, err := os.ReadFile(file + ".pub"); err == nil {
			public, _, _, _, _ = ssh.ParseAuthorizedKey(beside)
		}
	}
	unlock := func() (ssh.Signer, error) {
		return l.ring.unlock(ctx, file, text, func(again bool) (string, error) { return l.passphrase(ctx, file, again) })
	}
	if public == nil {
		return unlock()
	}
	if s := among(held, public); s != nil {
		return s, nil
	}
	return &lockedKey{public: public, file: file, unlock: unlock, note: l.note}, nil
}

// passphrase gives the passphrase of a key: the site's, which is worth one try, or what the operator types.
func (l *login) passphrase(ctx context.Context, file string, again bool) (string, error) {
	switch {
	case l.r.Passphrase != nil && again:
		return "", errors.New("the passphrase that the site has for it is wrong")
	case l.r.Passphrase != nil:
		return l.r.Passphrase(file)
	case l.ask == nil:
		return "", errors.New("it has a passphrase, and there is nobody to ask for it: load it with ssh-add, or give passphrase = secret \"…\" in site.lua")
	}
	prompt := fmt.Sprintf("Passphrase of %s: ", file)
	if again {
		prompt = "That is not it. " + prompt
	}
	return l.ask.secret(ctx, prompt)
}

// among finds the agent's copy of a key.
func among(held []ssh.Signer, key ssh.PublicKey) ssh.Signer {
	for _, s := range held {
		if bytes.Equal(s.PublicKey().Marshal(), key.Marshal()) {
			return s
		}
	}
	return nil
}

// withCertificate is the key with the OpenSSH certificate from a file; nil when that is none, or another key's.
func withCertificate(s ssh.Signer, file string) ssh.Signer {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return nil
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil
	}
	c, err := ssh.NewCertSigner(cert, s)
	if err != nil {
		return nil
	}
	return c
}

// lockedKey is a key whose passphrase is not known until it has to sign.
type lockedKey struct {
	public ssh.PublicKey
	file   string
	unlock func() (ssh.Signer, error)
	note   func(string)
}

func (k *lockedKey) PublicKey() ssh.PublicKey { return k.public }

func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, "")
}

func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s, err := k.unlock()
	if err != nil {
		k.note(fmt.Sprintf("cannot use the key %s: %v", k.file, err))
		return nil, err
	}
	if a, ok := s.(ssh.AlgorithmSigner); ok {
		return a.SignWithAlgorithm(rand, data, algorithm)
	}
	return s.Sign(rand, data)
}

// keyring remembers what was asked for, so that it is asked for once: keys by their file, passwords by "user@host:port".
type keyring struct {
	mu        sync.Mutex
	keys      map[string]*ringKey
	passwords map[string]string
}

type ringKey struct {
	turn   chan struct{} // one asks, the others wait for what it gets
	signer ssh.Signer
}

func newKeyring() *keyring {
	return &keyring{keys: map[string]*ringKey{}, passwords: map[string]string{}}
}

// unlock opens a key file with what passphrase gives; three tries.
func (k *keyring) unlock(ctx context.Context, file string, text []byte, passphrase func(again bool) (string, error)) (ssh.Signer, error) {
	k.mu.Lock()
	key := k.keys[file]
	if key == nil {
		key = &ringKey{turn: make(chan struct{}, 1)}
		k.keys[file] = key
	}
	k.mu.Unlock()
	select {
	case key.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-key.turn }()
	if key.signer != nil {
		return key.signer, nil
	}
	for try := range 3 {
		phrase, err := passphrase(try > 0)
		if err != nil {
			return nil, err
		}
		if s, err := ssh.ParsePrivateKeyWithPassphrase(text, []byte(phrase)); err == nil {
			key.signer = s
			return s, nil
		}
	}
	return nil, errors.New("the passphrase is wrong")
}

func (k *keyring) password(target string) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p, ok := k.passwords[target]
	return p, ok
}

func (k *keyring) keepPassword(target, password string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.passwords[target] = password
}

func (k *keyring) forgetPassword(target string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.passwords, target)
}
