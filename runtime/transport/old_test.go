package transport_test

import (
	"crypto/dsa" //lint:ignore SA1019 servers of that age have such keys
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
)

// rsaKey is an RSA host key. Old makes one that signs with SHA-1 only, as servers before OpenSSH 7.2 do.
func rsaKey(t *testing.T, bits int, old bool) ssh.Signer {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if !old {
		return signer
	}
	signer, err = ssh.NewSignerWithAlgorithms(signer.(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func dsaKey(t *testing.T) ssh.Signer {
	t.Helper()
	var key dsa.PrivateKey
	if err := dsa.GenerateParameters(&key.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		t.Fatal(err)
	}
	if err := dsa.GenerateKey(&key, rand.Reader); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(&key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// lists makes a server offer these algorithms and no others.
func lists(version, kex, cipher, mac string) func(*ssh.ServerConfig) {
	return func(c *ssh.ServerConfig) {
		c.ServerVersion = "SSH-2.0-OpenSSH_" + version
		c.KeyExchanges, c.Ciphers, c.MACs = strings.Split(kex, ","), strings.Split(cipher, ","), strings.Split(mac, ",")
		c.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }
	}
}

// What the sshd of Debian 5 to 8 offers, as far as the library can play the server, needs no permission.
func TestOldServers(t *testing.T) {
	withoutOwnKeys(t)
	for name, o := range map[string]sshtest.Options{
		"lenny": {HostKeys: []ssh.Signer{rsaKey(t, 2048, true), dsaKey(t)},
			Config: lists("5.1p1 Debian-5", "diffie-hellman-group14-sha1,diffie-hellman-group1-sha1", "aes128-cbc,3des-cbc,arcfour,aes128-ctr", "hmac-sha1,hmac-sha1-96")},
		"wheezy": {HostKeys: []ssh.Signer{rsaKey(t, 2048, true)},
			Config: lists("6.0p1 Debian-4+deb7u4", "ecdh-sha2-nistp256,diffie-hellman-group14-sha1", "aes128-ctr,aes128-cbc", "hmac-sha1,hmac-sha2-256")},
		"short key": {HostKeys: []ssh.Signer{rsaKey(t, 1024, true)}, Config: lists("5.5p1 Debian-6", "diffie-hellman-group14-sha1", "aes128-ctr", "hmac-sha1")},
	} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.Start(t, o)
			spec := s.Spec()
			spec.Keys = []string{write(t, "id_rsa", rsaPEM(t))}
			c := dial(t, spec, transport.Options{})
			if c.Peer().Server == "" {
				t.Error("the server's version is not known")
			}
		})
	}
}

func rsaPEM(t *testing.T) string {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return pemText(t, private)
}

// What no stock server needs is refused, with the line that allows it; with that line the server is reached.
func TestWeakAlgorithmsOnRequest(t *testing.T) {
	withoutOwnKeys(t)
	for name, c := range map[string]struct {
		o          sshtest.Options
		what, name string
		line       string
	}{
		"key exchange": {sshtest.Options{Config: lists("5.1p1", "diffie-hellman-group1-sha1", "aes128-ctr", "hmac-sha1")},
			"no common algorithm for key exchange: it offers diffie-hellman-group1-sha1", "diffie-hellman-group1-sha1", "KexAlgorithms +diffie-hellman-group1-sha1"},
		"cipher": {sshtest.Options{Config: lists("5.1p1", "diffie-hellman-group14-sha1", "aes128-cbc", "hmac-sha1")},
			"no common algorithm for client to server cipher: it offers aes128-cbc", "aes128-cbc", "Ciphers +aes128-cbc"},
		"MAC": {sshtest.Options{Config: lists("5.1p1", "diffie-hellman-group14-sha1", "aes128-ctr", "hmac-sha1-96")},
			"MAC: it offers hmac-sha1-96", "hmac-sha1-96", "MACs +hmac-sha1-96"},
		"host key": {sshtest.Options{HostKeys: []ssh.Signer{dsaKey(t)}, Config: lists("5.1p1", "diffie-hellman-group14-sha1", "aes128-ctr", "hmac-sha1")},
			"no common algorithm for host key: it offers ssh-dss", "ssh-dss", "HostKeyAlgorithms +ssh-dss"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sshtest.Start(t, c.o)
			spec := s.Spec()
			spec.Keys = []string{write(t, "id_rsa", rsaPEM(t))}
			known := spec.KnownHosts
			spec.KnownHosts = []string{"/nowhere"} // a known DSA key is permission enough
			_, err := transport.Dial(t.Context(), spec, transport.Options{})
			tell(t, err, c.line, c.what)
			if !strings.Contains(hint(err), `algorithms = { "`+c.name+`" }`) {
				t.Errorf("what to do: %s", hint(err))
			}
			var algorithm *transport.AlgorithmError
			if !errors.As(err, &algorithm) || len(algorithm.Theirs) != 1 || len(algorithm.Ours) == 0 {
				t.Errorf("got %#v", algorithm)
			}
			spec.KnownHosts = known
			allowed := spec
			allowed.Algorithms = []string{c.name}
			dial(t, allowed, transport.Options{})
			byConfig := spec
			byConfig.Config = []string{write(t, "config", "Host *", c.line)}
			dial(t, byConfig, transport.Options{})
		})
	}
}

// A host that is known by its DSA key is asked for it without more ado: refusing would make nothing safer.
func TestKnownByItsDSAKey(t *testing.T) {
	s := sshtest.Start(t, sshtest.Options{HostKeys: []ssh.Signer{dsaKey(t)}})
	dial(t, s.Spec(), transport.Options{})
}

func TestAlgorithmsThatDoNotExist(t *testing.T) {
	spec := sshtest.Start(t, sshtest.Options{}).Spec()
	spec.Algorithms = []string{"rot13"}
	_, err := transport.Dial(t.Context(), spec, transport.Options{})
	tell(t, err, "", `cannot use the algorithm "rot13": runner does not know it`)
	spec.Algorithms = nil
	spec.Config = []string{write(t, "config", "Ciphers blowfish-cbc")}
	_, err = transport.Dial(t.Context(), spec, transport.Options{})
	tell(t, err, "", "of Ciphers blowfish-cbc runner knows none; it knows ")
}

// An agent or a token that makes no SHA-1 signatures cannot log in to a server that knows no others: it must say so.
func TestKeyThatMakesNoSHA1Signatures(t *testing.T) {
	withoutOwnKeys(t)
	s := sshtest.Start(t, sshtest.Options{NoKey: true, Config: func(c *ssh.ServerConfig) {
		c.PublicKeyAuthAlgorithms = []string{ssh.KeyAlgoRSA}
		refuseKeys(c)
	}})
	spec := s.Spec()
	_, err := transport.Dial(t.Context(), spec, transport.Options{})
	tell(t, err, "", "it refused the login as test; tried: key "+s.KeyFile)
}
