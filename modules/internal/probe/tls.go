package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Certificate is what a server shows for itself.
type Certificate struct {
	Subject   string
	Issuer    string
	Names     []string // DNS names and addresses that it is valid for
	NotBefore time.Time
	NotAfter  time.Time
	Chain     []string // subjects of all certificates that the server sends, its own first
	Untrusted error    // why no chain leads to an authority that is trusted; nil: one does
	Version   string   // of TLS: "1.3"
	Cipher    string

	leaf *x509.Certificate
}

// Covers says why the certificate is not valid for a name or address; nil: it is (RFC 9525).
func (c *Certificate) Covers(name string) error {
	if c.leaf.VerifyHostname(name) == nil {
		return nil
	}
	held := "no names at all"
	if len(c.Names) > 0 {
		held = strings.Join(c.Names, ", ")
	}
	if len(c.Names) == 0 && strings.EqualFold(c.leaf.Subject.CommonName, name) {
		return fmt.Errorf("its certificate names %s only in the subject, which clients do not read any more (RFC 9525, 2)", name)
	}
	return fmt.Errorf("its certificate is not for %s but for %s", name, held)
}

// Left is how long the certificate is still valid; negative once it is not.
func (c *Certificate) Left(now time.Time) time.Duration { return c.NotAfter.Sub(now) }

// Valid says why the certificate cannot be used at a time; nil: it can.
func (c *Certificate) Valid(now time.Time) error {
	const day = "2 January 2006 15:04 MST"
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("its certificate expired on %s", c.NotAfter.UTC().Format(day))
	case now.Before(c.NotBefore):
		return fmt.Errorf("its certificate is not valid before %s", c.NotBefore.UTC().Format(day))
	}
	return nil
}

// suites are all that Go can, also what it does not offer by itself: to see a certificate is the aim, and servers of the age of
// Debian 5 know nothing newer.
func suites() []uint16 {
	var ids []uint16
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		ids = append(ids, s.ID)
	}
	return ids
}

// startTLS negotiates TLS on the session and tells of the certificate, whatever it is.
func (s *session) startTLS(server Server) (*Certificate, error) {
	if n := s.in.Buffered(); n > 0 {
		// Commands put in before the encryption would be taken for encrypted ones (CVE-2011-0411).
		return nil, fmt.Errorf("it sent %d bytes before the TLS handshake", n)
	}
	name := server.Name
	if name == "" {
		name = server.Host
	}
	config := &tls.Config{
		ServerName: name, MinVersion: tls.VersionTLS10, CipherSuites: suites(),
		InsecureSkipVerify: true, // judged below, so that all that is wrong can be told
	}
	conn := tls.Client(s.conn, config)
	if err := conn.HandshakeContext(s.ctx); err != nil {
		var record tls.RecordHeaderError
		if errors.As(err, &record) {
			err = errors.New("it does not speak TLS on this port")
		}
		return nil, fmt.Errorf("the TLS handshake failed: %w", s.why(err))
	}
	s.conn, s.in = conn, bufio.NewReader(conn)
	return describe(conn.ConnectionState(), server.CA)
}

func describe(state tls.ConnectionState, roots *x509.CertPool) (*Certificate, error) {
	if len(state.PeerCertificates) == 0 {
		return nil, errors.New("it shows no certificate")
	}
	leaf := state.PeerCertificates[0]
	c := &Certificate{
		leaf: leaf, Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), Names: slices.Clone(leaf.DNSNames),
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Version: strings.TrimPrefix(tls.VersionName(state.Version), "TLS "), Cipher: tls.CipherSuiteName(state.CipherSuite),
	}
	for _, ip := range leaf.IPAddresses {
		c.Names = append(c.Names, ip.String())
	}
	between := x509.NewCertPool()
	for i, cert := range state.PeerCertificates {
		c.Chain = append(c.Chain, cert.Subject.String())
		if i > 0 {
			between.AddCert(cert)
		}
	}
	// Expiry is a matter of its own: an expired certificate of a good authority should not read like one of a bad authority.
	at := time.Now()
	if at.After(leaf.NotAfter) {
		at = leaf.NotAfter
	} else if at.Before(leaf.NotBefore) {
		at = leaf.NotBefore
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at})
	c.Untrusted = distrust(err, state.PeerCertificates)
	return c, nil
}

// distrust says why a chain is not trusted, in words that tell what to do.
func distrust(err error, sent []*x509.Certificate) error {
	last := sent[len(sent)-1]
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown) && len(sent) == 1 && last.CheckSignature(last.SignatureAlgorithm, last.RawTBSCertificate, last.Signature) == nil:
		return errors.New("its certificate is signed by itself")
	case errors.As(err, &unknown) && last.Subject.String() != last.Issuer.String():
		return fmt.Errorf("its certificate leads to no trusted authority: the last one that it sends is signed by %q, which is neither sent nor trusted", last.Issuer)
	case errors.As(err, &unknown):
		return fmt.Errorf("its certificate leads to %q, which is not trusted", last.Subject)
	}
	return fmt.Errorf("its certificate is not trusted: %w", err)
}

// Mode is how a server is asked to encrypt.
type Mode string

// Modes.
const (
	Plain    Mode = "none"
	StartTLS Mode = "starttls" // on a connection that begins without encryption
	Implicit Mode = "implicit" // from the first byte
)

// protocols are those that can begin encryption on an open connection.
var protocols = map[string]func(*session) error{
	"smtp": startSMTP, "imap": startIMAP, "pop3": startPOP3, "sieve": startSieve,
}

// Check looks at the certificate of a server. protocol is one of smtp, imap, pop3 and sieve; it matters with StartTLS only.
func Check(ctx context.Context, server Server, mode Mode, protocol string) (*Certificate, error) {
	s, err := server.open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	if mode == StartTLS {
		begin, ok := protocols[protocol]
		if !ok {
			return nil, fmt.Errorf("nothing is known of STARTTLS in %s", protocol)
		}
		if err := begin(s); err != nil {
			return nil, err
		}
	}
	return s.startTLS(server)
}

// Loopback says whether an address never leaves the machine that connects to it.
func Loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
