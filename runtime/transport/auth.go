package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// maxKeys is how many keys are offered to a server: sshd counts each one, useless ones too, and hangs up after six tries.
const maxKeys = 5

// attempts collects what was tried to log in, for the error when nothing worked.
type attempts struct {
	mu    sync.Mutex
	tried []string
	notes []string
	types map[string]bool
}

func (a *attempts) add(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tried = append(a.tried, what)
}

func (a *attempts) note(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.notes = append(a.notes, text)
}

var openSSHVersion = regexp.MustCompile(`OpenSSH_(\d+)\.(\d+)`)

func (a *attempts) failure(r resolved, cause error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := &AuthError{User: r.User, Tried: a.tried}
	notes := a.notes
	if strings.Contains(cause.Error(), "Too many authentication failures") {
		notes = append(notes, "the server hung up after too many keys; name the right one: key = \"…\"")
	}
	if strings.Contains(cause.Error(), "no common public key signature algorithm") {
		notes = append(notes, "the server knows only ssh-rsa signatures, which this key or agent refuses to make")
	}
	e.Note = strings.Join(notes, "; ")
	return e
}

// noteServer adds what the server's version says about keys that it cannot know.
func (a *attempts) noteServer(version string) {
	m := openSSHVersion.FindStringSubmatch(version)
	if m == nil {
		return
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	if (major < 6 || major == 6 && minor < 5) && a.types[ssh.KeyAlgoED25519] {
		a.note(m[0] + " knows no ed25519 keys: use an RSA key")
	}
	if (major < 5 || major == 5 && minor < 7) && a.types[ssh.KeyAlgoECDSA256] {
		a.note(m[0] + " knows no ECDSA keys: use an RSA key")
	}
}

// methods are the ways to log in, in the order in which they are tried: the keys that were named, the agent's, the usual
// key files, then a password.
func (a *attempts) methods(r resolved, p Prompter) (methods []ssh.AuthMethod, done func()) {
	signers, done := a.signers(r, p)
	if len(signers) > maxKeys {
		a.note(fmt.Sprintf("%d more keys were not offered", len(signers)-maxKeys))
		signers = signers[:maxKeys]
	}
	if len(signers) > 0 {
		methods = append(methods, ssh.PublicKeys(signers...))
	}
	if password := a.password(r, p); password != nil {
		methods = append(methods, ssh.PasswordCallback(password), ssh.KeyboardInteractive(
			func(_, _ string, questions []string, echos []bool) ([]string, error) {
				answers := make([]string, len(questions))
				for i := range questions {
					if echos[i] {
						return nil, fmt.Errorf("the server asks %q, which runner cannot answer", questions[i])
					}
					answer, err := password()
					if err != nil {
						return nil, err
					}
					answers[i] = answer
				}
				return answers, nil
			}))
	}
	return methods, done
}

func (a *attempts) password(r resolved, p Prompter) func() (string, error) {
	if r.Password == nil && p == nil {
		return nil
	}
	var once sync.Once
	var value string
	var err error
	return func() (string, error) {
		once.Do(func() {
			a.add("password")
			if r.Password != nil {
				value, err = r.Password()
				return
			}
			value, err = p.Secret(fmt.Sprintf("Password of %s@%s: ", r.User, r.name))
		})
		return value, err
	}
}

func (a *attempts) signers(r resolved, p Prompter) ([]ssh.Signer, func()) {
	a.types = map[string]bool{}
	held, done := agentSigners()
	var signers []ssh.Signer
	seen := map[string]bool{}
	add := func(s ssh.Signer, what string) {
		id := string(s.PublicKey().Marshal())
		if seen[id] {
			return
		}
		seen[id] = true
		if len(signers) < maxKeys {
			a.types[s.PublicKey().Type()] = true
			a.add(fmt.Sprintf("%s (%s %s)", what, s.PublicKey().Type(), ssh.FingerprintSHA256(s.PublicKey())))
		}
		signers = append(signers, s)
	}
	files := r.Keys
	if len(files) == 0 {
		files = usualKeys()
	}
	for _, file := range files {
		if s := a.load(file, r, p, held); s != nil {
			add(s, "key "+file)
		}
	}
	if !r.identitiesOnly && len(r.Spec.Keys) == 0 {
		for _, s := range held {
			add(s, "a key of the agent")
		}
	}
	return signers, done
}

func usualKeys() []string {
	var files []string
	for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa", "id_dsa"} {
		file := expandHome("~/.ssh/" + name)
		if _, err := os.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	return files
}

// load reads a private key file. When its passphrase is not at hand but the agent holds the key, the agent's is used.
func (a *attempts) load(file string, r resolved, p Prompter, held []ssh.Signer) ssh.Signer {
	text, err := os.ReadFile(file)
	if err != nil {
		if r.explicitKeys || !errors.Is(err, fs.ErrNotExist) {
			a.note("cannot read the key: " + err.Error())
		}
		return nil
	}
	signer, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		if s := inAgent(held, locked.PublicKey, file); s != nil {
			return s
		}
		signer, err = a.unlock(file, text, r, p)
	}
	if err != nil {
		a.note(fmt.Sprintf("cannot use the key %s: %v", file, err))
		return nil
	}
	return withCertificate(signer, file)
}

func inAgent(held []ssh.Signer, key ssh.PublicKey, file string) ssh.Signer {
	if key == nil { // the old PEM format does not tell; the .pub file beside it does
		text, err := os.ReadFile(file + ".pub")
		if err != nil {
			return nil
		}
		if key, _, _, _, err = ssh.ParseAuthorizedKey(text); err != nil {
			return nil
		}
	}
	for _, s := range held {
		if bytes.Equal(s.PublicKey().Marshal(), key.Marshal()) {
			return s
		}
	}
	return nil
}

func (a *attempts) unlock(file string, text []byte, r resolved, p Prompter) (ssh.Signer, error) {
	var phrase string
	var err error
	switch {
	case r.Passphrase != nil:
		phrase, err = r.Passphrase(file)
	case p != nil:
		phrase, err = p.Secret(fmt.Sprintf("Passphrase of %s: ", file))
	default:
		return nil, errors.New("it has a passphrase, and there is no terminal to ask for it: load it with ssh-add")
	}
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKeyWithPassphrase(text, []byte(phrase))
	if err != nil {
		return nil, errors.New("the passphrase is wrong")
	}
	return signer, nil
}

// withCertificate uses the OpenSSH certificate that lies beside a key, as ssh does.
func withCertificate(s ssh.Signer, file string) ssh.Signer {
	text, err := os.ReadFile(file + "-cert.pub")
	if err != nil {
		return s
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return s
	}
	if cert, ok := key.(*ssh.Certificate); ok {
		if c, err := ssh.NewCertSigner(cert, s); err == nil {
			return c
		}
	}
	return s
}

func agentSigners() ([]ssh.Signer, func()) {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, func() {}
	}
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "unix", socket)
	if err != nil {
		return nil, func() {}
	}
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		conn.Close()
		return nil, func() {}
	}
	return signers, func() { conn.Close() }
}
