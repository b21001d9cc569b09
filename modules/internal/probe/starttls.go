package probe

import (
	"errors"
	"fmt"
	"strings"
)

// errNoTLS is the error of a server that does not offer encryption.
var errNoTLS = errors.New("it does not offer STARTTLS")

// startSMTP asks for TLS (RFC 3207).
func startSMTP(s *session) error {
	m := &SMTP{session: s}
	if err := m.greet("probe.invalid"); err != nil {
		return err
	}
	return m.requestTLS()
}

// startIMAP asks for TLS (RFC 9051, 6.2.1).
func startIMAP(s *session) error {
	greeting, err := s.line()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(greeting, "* OK") {
		return fmt.Errorf("it does not greet as an IMAP server: %q", greeting)
	}
	if err := s.send("a STARTTLS"); err != nil {
		return err
	}
	for {
		line, err := s.line()
		if err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(line, "a OK"):
			return nil
		case strings.HasPrefix(line, "a "):
			return fmt.Errorf("%w: %s", errNoTLS, line[2:])
		}
	}
}

// startPOP3 asks for TLS (RFC 2595, 4).
func startPOP3(s *session) error {
	greeting, err := s.line()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(greeting, "+OK") {
		return fmt.Errorf("it does not greet as a POP3 server: %q", greeting)
	}
	if err := s.send("STLS"); err != nil {
		return err
	}
	line, err := s.line()
	if err == nil && !strings.HasPrefix(line, "+OK") {
		err = fmt.Errorf("%w: %s", errNoTLS, line)
	}
	return err
}

// startSieve asks a ManageSieve server for TLS (RFC 5804, 2.2).
func startSieve(s *session) error {
	offered := false
	for {
		line, err := s.line()
		if err != nil {
			return err
		}
		offered = offered || strings.HasPrefix(line, `"STARTTLS"`)
		if strings.HasPrefix(line, "OK") {
			break
		}
		if !strings.HasPrefix(line, `"`) {
			return fmt.Errorf("it does not greet as a ManageSieve server: %q", line)
		}
	}
	if !offered {
		return errNoTLS
	}
	if err := s.send("STARTTLS"); err != nil {
		return err
	}
	line, err := s.line()
	if err == nil && !strings.HasPrefix(line, "OK") {
		err = fmt.Errorf("%w: %s", errNoTLS, line)
	}
	return err
}
