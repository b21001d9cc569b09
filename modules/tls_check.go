package modules

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"runner/modules/internal/probe"
	"runner/runtime/module"
)

// tlsCheckArgs are the arguments of tls_check.
//
// The certificate must be valid now and for a while, lead to an authority that this machine trusts with what the server itself sends in between,
// and be valid for every name by which clients reach the server. All that is wrong is told at once. Servers that know nothing newer than TLS 1.0
// are looked at too, and then fail by min_version.
//
// # Example
//
//	tls_check { address = "mail.example.org", port = 993 }
//	tls_check { on = new, port = 25, names = { "mail.example.org", "imap.example.org" }, valid_for = "30d" }
//	tls_check { address = "192.0.2.1", port = 443, names = { "www.example.org" } }
//
// # Result
//
//   - subject (string): whom the certificate is for
//   - issuer (string): who signed it
//   - names (list of string): names and addresses that it is valid for
//   - chain (list of string): the subjects of all certificates that the server sends
//   - not_before (string): from when it is valid, in UTC
//   - not_after (string): until when
//   - days_left (integer): whole days until then
//   - trusted (boolean): whether it leads to an authority that is trusted
//   - untrusted (string): why not
//   - tls_version (string): such as "1.3"
//   - cipher (string): what the connection is encrypted with
type tlsCheckArgs struct {
	probeTarget
	// TCP port.
	Port int `lua:"port" default:"443"`
	probeTLS
	// What is spoken before STARTTLS. "auto" is what belongs to the port.
	Protocol string `lua:"protocol" choice:"auto,smtp,imap,pop3,sieve" default:"auto"`
	// How long the certificate must still be valid.
	ValidFor time.Duration `lua:"valid_for" default:"7d"`
	// Whether it must lead to an authority that this machine trusts.
	Trusted bool `lua:"trusted" default:"true"`
	// The oldest version of TLS that will do.
	MinVersion string `lua:"min_version" choice:"1.0,1.1,1.2,1.3" default:"1.2"`
}

// Validate checks what the types of the arguments cannot.
func (a *tlsCheckArgs) Validate() error {
	if err := errors.Join(a.probeTarget.validate(a.Port), a.probeTLS.validate()); err != nil {
		return err
	}
	switch {
	case a.TLS == "none":
		return errors.New(`tls = "none" leaves nothing to check`)
	case a.tlsMode() == probe.StartTLS && a.protocol() == "":
		return fmt.Errorf("nobody knows what is spoken at port %d: name it with protocol", a.Port)
	}
	return nil
}

// protocol is what is spoken at the port; "" when nobody knows.
func (a *tlsCheckArgs) protocol() string {
	if a.Protocol != "auto" {
		return a.Protocol
	}
	return map[int]string{25: "smtp", 587: "smtp", 2525: "smtp", 143: "imap", 110: "pop3", 4190: "sieve"}[a.Port]
}

// tlsMode is STARTTLS where a protocol is known whose port begins without encryption.
func (a *tlsCheckArgs) tlsMode() probe.Mode {
	if mode := a.mode(a.Port); mode != "" {
		return mode
	}
	if a.protocol() != "" {
		return probe.StartTLS
	}
	return probe.Implicit
}

func planTLSCheck(ctx context.Context, a *tlsCheckArgs) (*module.Plan, error) {
	server := a.server(a.Port)
	server.CA, _ = a.authorities()
	if len(a.Names) > 0 {
		server.Name = a.Names[0]
	} else if _, err := netip.ParseAddr(server.Host); err != nil && !probe.Loopback(server.Host) {
		a.Names = []string{server.Host} // what clients connect to is what the certificate must be for
	}
	doing := "confirm the certificate of " + a.at(server)
	c, err := probe.Check(ctx, server, a.tlsMode(), a.protocol())
	if err != nil {
		return nil, a.failed(ctx, doing, err)
	}
	now := time.Now()
	wrong := a.judge(c, a.Trusted, a.ValidFor, now)
	if versions := []string{"1.0", "1.1", "1.2", "1.3"}; slices.Index(versions, c.Version) < slices.Index(versions, a.MinVersion) {
		wrong = append(wrong, fmt.Errorf("it speaks no newer TLS than %s", c.Version))
	}
	if len(wrong) > 0 {
		return nil, a.failed(ctx, doing, joinReasons(wrong))
	}
	return &module.Plan{
		Output: certificateOutput(c, now),
		Note:   fmt.Sprintf("valid for %s, signed by %s, TLS %s", days(c.Left(now)), c.Issuer, c.Version),
	}, nil
}

// joinReasons puts several things that are wrong into one error, in one line when there is one.
func joinReasons(list []error) error {
	if len(list) == 1 {
		return list[0]
	}
	text := ""
	for _, err := range list {
		text += "\n  " + err.Error()
	}
	return fmt.Errorf("%d things are wrong%s", len(list), text)
}
