package transport_test

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
)

// write makes a file of lines and gives its name.
func write(t *testing.T, name string, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func public(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// tell checks that an error says all of the parts, and what to do.
func tell(t *testing.T, err error, do string, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; wanted %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q is not in the message: %v", p, err)
		}
	}
	if !strings.Contains(hint(err), do) {
		t.Errorf("%q is not in what to do: %q", do, hint(err))
	}
}

func hostCertificate(t *testing.T, host, authority ssh.Signer, change func(*ssh.Certificate)) ssh.Signer {
	t.Helper()
	cert := &ssh.Certificate{
		Key: host.PublicKey(), CertType: ssh.HostCert, KeyId: "test", ValidPrincipals: []string{"127.0.0.1"},
		ValidAfter: 0, ValidBefore: ssh.CertTimeInfinity,
	}
	if change != nil {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, host)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestHostCertificates(t *testing.T) {
	host, authority, other := sshtest.NewSigner(t), sshtest.NewSigner(t), sshtest.NewSigner(t)
	trust := "@cert-authority 127.0.0.1 " + public(authority.PublicKey())
	for name, c := range map[string]struct {
		change  func(*ssh.Certificate)
		signer  ssh.Signer
		known   []string
		problem string // empty: it is good
	}{
		"good":               {known: []string{trust}},
		"by a pattern":       {known: []string{"@cert-authority [127.0.0.*]:* " + public(authority.PublicKey())}},
		"second authority":   {known: []string{"@cert-authority * " + public(other.PublicKey()), trust}},
		"other name":         {change: func(c *ssh.Certificate) { c.ValidPrincipals = []string{"mail"} }, known: []string{trust}, problem: "principal"},
		"expired":            {change: func(c *ssh.Certificate) { c.ValidBefore = uint64(time.Now().Add(-time.Hour).Unix()) }, known: []string{trust}, problem: "expired"},
		"of a user":          {change: func(c *ssh.Certificate) { c.CertType = ssh.UserCert }, known: []string{trust}, problem: "certificate"},
		"other authority":    {signer: other, known: []string{trust}, problem: "signed by ssh-ed25519 " + ssh.FingerprintSHA256(other.PublicKey())},
		"for other hosts":    {known: []string{"@cert-authority *.example.org " + public(authority.PublicKey())}, problem: "is not known"},
		"authority revoked":  {known: []string{trust, "@revoked * " + public(authority.PublicKey())}, problem: "revoked"},
		"key revoked":        {known: []string{trust, "@revoked * " + public(host.PublicKey())}, problem: "revoked"},
		"expired, key known": {change: func(c *ssh.Certificate) { c.ValidBefore = 1 }, known: []string{trust, "127.0.0.1 " + public(host.PublicKey())}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.signer == nil {
				c.signer = authority
			}
			s := sshtest.Start(t, sshtest.Options{HostKeys: []ssh.Signer{host, hostCertificate(t, host, c.signer, c.change)}})
			spec := s.Spec()
			spec.KnownHosts = []string{write(t, "known_hosts", c.known...)}
			conn, err := transport.Dial(t.Context(), spec, transport.Options{})
			if c.problem == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if got := conn.Peer().Fingerprint; got != ssh.FingerprintSHA256(host.PublicKey()) {
					t.Errorf("the fingerprint is %s, not that of the key", got)
				}
				return
			}
			var key *transport.HostKeyError
			if !errors.As(err, &key) {
				t.Fatalf("got %v", err)
			}
			tell(t, err, "", c.problem)
			if hint(err) == "" {
				t.Error("nothing says what to do")
			}
		})
	}
}

func TestKnownHosts(t *testing.T) {
	key, other := sshtest.NewSigner(t), sshtest.NewSigner(t)
	s := sshtest.Start(t, sshtest.Options{HostKeys: []ssh.Signer{key}})
	mine, theirs := public(key.PublicKey()), public(other.PublicKey())
	here := knownhosts.Normalize(s.Addr)
	for name, c := range map[string]struct {
		lines   []string
		alias   string
		problem string
	}{
		"by name and port":      {lines: []string{here + " " + mine}},
		"by the bare name":      {lines: []string{"127.0.0.1 " + mine}},
		"one of two":            {lines: []string{here + " " + theirs, here + " " + mine}},
		"hashed":                {lines: []string{knownhosts.HashHostname(here) + " " + mine}},
		"hashed and changed":    {lines: []string{knownhosts.HashHostname(here) + " " + theirs}, problem: "CHANGED"},
		"other on another port": {lines: []string{"127.0.0.1 " + theirs, here + " " + mine}},
		"bare name, other key":  {lines: []string{"127.0.0.1 " + theirs}, problem: "is not known"},
		"alias":                 {alias: "mail-old", lines: []string{"mail-old " + mine, here + " " + theirs}},
		"alias not known":       {alias: "mail-old", lines: []string{here + " " + mine}, problem: "is not known"},
		"revoked":               {lines: []string{here + " " + mine, "@revoked * " + mine}, problem: "is marked as revoked"},
		"other revoked":         {lines: []string{here + " " + mine, "@revoked * " + theirs}},
		"beside broken lines":   {lines: []string{"127.0.0.1 1024 35 1234", "|1|x|y ssh-rsa AAAA", here + " " + mine, "half"}},
		"commented out":         {lines: []string{"#" + here + " " + mine}, problem: "is not known"},
		"negated":               {lines: []string{"*,!127.0.0.1,!" + here + " " + mine}, problem: "is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := s.Spec()
			spec.Alias = c.alias
			spec.KnownHosts = []string{write(t, "known_hosts", c.lines...)}
			conn, err := transport.Dial(t.Context(), spec, transport.Options{})
			if c.problem == "" {
				if err != nil {
					t.Fatal(err)
				}
				conn.Close()
				return
			}
			tell(t, err, "", c.problem)
		})
	}
}

// What the operator accepts is written in the way that ssh_config asks for, and known from then on, to ssh too.
func TestAcceptedKeyIsRemembered(t *testing.T) {
	for name, settings := range map[string]string{"plain": "", "hashed": "HashKnownHosts yes\n"} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.Start(t, sshtest.Options{})
			spec := s.Spec()
			spec.KnownHosts = []string{filepath.Join(t.TempDir(), "new", "known_hosts")}
			spec.Config = []string{write(t, "config", settings)}
			yes := &answers{yes: true}
			dial(t, spec, transport.Options{Prompter: yes})
			if len(yes.asked) != 1 || !strings.Contains(yes.asked[0], "ssh-ed25519 SHA256:") || !strings.Contains(yes.asked[0], "MD5:") {
				t.Errorf("asked %q", yes.asked)
			}
			text, err := os.ReadFile(spec.KnownHosts[0])
			if err != nil || strings.HasPrefix(string(text), "|1|") != (settings != "") {
				t.Errorf("remembered %q, %v", text, err)
			}
			dial(t, spec, transport.Options{})
			check, err := knownhosts.New(spec.KnownHosts[0])
			if err != nil {
				t.Fatal(err)
			}
			key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(string(text)[strings.IndexByte(string(text), ' ')+1:]))
			if err != nil {
				t.Fatal(err)
			}
			if err := check(s.Addr, addr(s.Addr), key); err != nil {
				t.Errorf("another program does not know it: %v", err)
			}
		})
	}
}

// Many connections to a host that is not known yet lead to one question.
func TestUnknownKeyIsAskedForOnce(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	spec := s.Spec()
	spec.KnownHosts = []string{filepath.Join(t.TempDir(), "known_hosts")}
	yes := &answers{yes: true}
	d := transport.NewDialer(transport.Options{Prompter: yes})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			c, err := d.Dial(t.Context(), spec)
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		})
	}
	all.Wait()
	text, err := os.ReadFile(spec.KnownHosts[0])
	if err != nil || len(yes.asked) != 1 || strings.Count(string(text), "\n") != 1 {
		t.Errorf("asked %d times, remembered %q, %v", len(yes.asked), text, err)
	}
}

type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }

func TestStrictHostKeyCheckingDoesNotAsk(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{})
	spec := s.Spec()
	spec.KnownHosts = []string{"/nowhere/known_hosts"}
	spec.Config = []string{write(t, "config", "StrictHostKeyChecking yes")}
	yes := &answers{yes: true}
	_, err := transport.Dial(t.Context(), spec, transport.Options{Prompter: yes})
	tell(t, err, "ssh-keyscan -p ", "is not known")
	if len(yes.asked) != 0 {
		t.Errorf("asked %q", yes.asked)
	}
}

func TestPinnedFingerprint(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	second, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	first := sshtest.NewSigner(t)
	s := sshtest.Start(t, sshtest.Options{HostKeys: []ssh.Signer{first, second}})
	wrong := ssh.FingerprintSHA256(sshtest.NewSigner(t).PublicKey())
	try := func(fingerprint string) error {
		spec := s.Spec()
		spec.Fingerprint, spec.KnownHosts = fingerprint, []string{"/nowhere/known_hosts"}
		conn, err := transport.Dial(t.Context(), spec, transport.Options{Prompter: &answers{yes: true}})
		if err == nil {
			conn.Close()
		}
		return err
	}
	for name, fingerprint := range map[string]string{
		"SHA256": ssh.FingerprintSHA256(first.PublicKey()), "padded": ssh.FingerprintSHA256(first.PublicKey()) + "=",
		"MD5": "MD5:" + ssh.FingerprintLegacyMD5(first.PublicKey()), "bare MD5": strings.ToUpper(ssh.FingerprintLegacyMD5(first.PublicKey())),
		"not the key that is shown first": ssh.FingerprintSHA256(second.PublicKey()),
	} {
		if err := try(fingerprint); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	err = try(wrong)
	tell(t, err, "if the machine was really reinstalled, change the fingerprint in site.lua",
		"its host key is not the one of the fingerprint in the site", "wanted is "+wrong,
		ssh.FingerprintSHA256(first.PublicKey()), ssh.FingerprintSHA256(second.PublicKey()))
	var key *transport.HostKeyError
	if !errors.As(err, &key) || !key.Pinned {
		t.Errorf("got %#v", err)
	}
	for _, text := range []string{"SHA256:short", "ssh-ed25519 AAAA", "aa:bb"} {
		tell(t, try(text), "", "is no fingerprint of a host key; one looks like SHA256:")
	}
}
