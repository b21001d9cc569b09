package modules

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	"runner/modules/internal/probe"
	"runner/runtime/host"
	"runner/runtime/module"
)

// probeModules are the modules that try servers as their clients do.
func probeModules() []module.Module {
	return []module.Module{
		module.Define("imap_probe", "Logs in to an IMAP server and finds a marked mail", planIMAPProbe),
		module.Define("port_check", "Says which TCP ports of an address are open, closed or filtered", planPortCheck),
		module.Define("smtp_probe", "Delivers a marked mail and sees that an SMTP server relays for nobody", planSMTPProbe),
		module.Define("tls_check", "Checks the certificate of a server: authority, names, expiry", planTLSCheck),
	}
}

// probeTarget is the server that is tried.
type probeTarget struct {
	// Host from which the server is tried, through its connection. Without it the runner connects itself.
	On *host.View `lua:"on"`
	// Name or address of the server. With on, that host itself (127.0.0.1) unless another one is named.
	Address string `lua:"address"`
}

func (a *probeTarget) validate(port int) error {
	switch {
	case a.On == nil && a.Address == "":
		return errors.New("needs on or address")
	case strings.ContainsAny(a.Address, " \t\r\n/\x00"):
		return fmt.Errorf("address must be a name or an address, not %q", a.Address)
	case port < 1 || port > 65535:
		return fmt.Errorf("port must be between 1 and 65535, not %d", port)
	}
	return nil
}

func (a *probeTarget) host() string {
	if a.Address == "" {
		return "127.0.0.1"
	}
	return strings.Trim(a.Address, "[]")
}

func (a *probeTarget) server(port int) probe.Server {
	s := probe.Server{Host: a.host(), Port: port}
	if a.On != nil {
		s.Dial = a.On.Dial
	}
	return s
}

// at names the server for a message.
func (a *probeTarget) at(s probe.Server) string {
	if a.On != nil {
		return fmt.Sprintf("%s (from %s)", s.Address(), a.On.Name())
	}
	return s.Address()
}

// failed is the error of a server that did not do what was hoped for. An earlier step may start it or mend it, so check mode
// does not count it as a failure while one has changes pending. That the host itself is lost says nothing of the server.
func (a *probeTarget) failed(ctx context.Context, doing string, err error) error {
	var lost *host.UnreachableError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &lost):
		return err
	case a.On != nil && strings.Contains(err.Error(), "administratively prohibited"):
		return module.WithHint(fmt.Errorf("cannot %s: the SSH server of %s forwards no connections: %w", doing, a.On.Name(), err),
			"AllowTcpForwarding yes in its sshd_config lets it")
	}
	return module.Absent(fmt.Errorf("cannot %s: %w", doing, err))
}

// probeTLS is what is demanded of the encryption.
type probeTLS struct {
	// How the connection is encrypted: "starttls" on a connection that begins without, "implicit" from the first byte. "auto" is what
	// belongs to the port.
	TLS string `lua:"tls" choice:"auto,starttls,implicit,none" default:"auto"`
	// Names that the certificate must be valid for.
	Names []string `lua:"names"`
	// Certificates in PEM of authorities that are trusted beside those of this machine.
	CA string `lua:"ca"`
}

func (a *probeTLS) validate() error {
	if _, err := a.authorities(); err != nil {
		return err
	}
	if slices.Contains(a.Names, "") {
		return errors.New("names holds an empty name")
	}
	if a.TLS == "none" && len(a.Names) > 0 {
		return errors.New(`names does not go with tls = "none"`)
	}
	return nil
}

// authorities are those that are trusted; nil: those of this machine.
func (a *probeTLS) authorities() (*x509.CertPool, error) {
	if a.CA == "" {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM([]byte(a.CA)) {
		return nil, errors.New("ca holds no certificate in PEM")
	}
	return pool, nil
}

// mode is how a connection to a port is encrypted. "" is: where the server offers to.
func (a *probeTLS) mode(port int) probe.Mode {
	switch {
	case a.TLS != "auto":
		return probe.Mode(a.TLS)
	case slices.Contains([]int{465, 636, 853, 990, 993, 995, 443, 8443}, port):
		return probe.Implicit
	case slices.Contains([]int{110, 143, 587, 4190}, port):
		return probe.StartTLS
	}
	return ""
}

// judge says what is wrong with a certificate; nothing: it is as demanded.
func (a *probeTLS) judge(c *probe.Certificate, trusted bool, validFor time.Duration, now time.Time) []error {
	var wrong []error
	if err := c.Valid(now); err != nil {
		wrong = append(wrong, err)
	} else if left := c.Left(now); left < validFor {
		wrong = append(wrong, fmt.Errorf("its certificate expires on %s, in %s", c.NotAfter.UTC().Format("2 January 2006"), days(left)))
	}
	if trusted && c.Untrusted != nil {
		wrong = append(wrong, c.Untrusted)
	}
	for _, name := range a.Names {
		if err := c.Covers(name); err != nil {
			wrong = append(wrong, err)
		}
	}
	return wrong
}

// days writes a span as people count it.
func days(d time.Duration) string {
	if d >= 48*time.Hour {
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	}
	return module.FormatDuration(d.Round(time.Minute))
}

// certificateOutput is what a recipe gets of a certificate.
func certificateOutput(c *probe.Certificate, now time.Time) map[string]any {
	if c == nil {
		return map[string]any{}
	}
	out := map[string]any{
		"subject": c.Subject, "issuer": c.Issuer, "names": nonNil(c.Names), "chain": nonNil(c.Chain),
		"not_before": c.NotBefore.UTC().Format(time.RFC3339), "not_after": c.NotAfter.UTC().Format(time.RFC3339),
		"days_left": int64(c.Left(now).Hours() / 24), "trusted": c.Untrusted == nil, "untrusted": "",
		"tls_version": c.Version, "cipher": c.Cipher,
	}
	if c.Untrusted != nil {
		out["untrusted"] = c.Untrusted.Error()
	}
	return out
}

// checkMailAddress refuses what would not be one address in an SMTP command.
func checkMailAddress(argument, text string) error {
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Address != text || strings.ContainsAny(text, "<>\r\n\x00 ") {
		return fmt.Errorf("%s must be a mail address such as \"postmaster@example.org\", not %q", argument, text)
	}
	return nil
}
