package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Spec is what a site says of how to reach a host. What is empty comes from ssh_config(5), then from OpenSSH's own defaults.
type Spec struct {
	Local       bool // this machine; all else is then without meaning
	Address     string
	Port        int
	User        string
	Keys        []string // private key files; when given, they and the agent's copies of them are all that is offered
	Jump        []string // hosts to go through, each as Parse reads them, in the order of ProxyJump; "none": go straight
	KnownHosts  []string // files; the first one gets what the operator accepts
	Fingerprint string   // "SHA256:…" or "MD5:…": the only host key accepted, whatever known_hosts says
	Alias       string   // HostKeyAlias: the name to look up in known_hosts

	// Password and Passphrase are asked for when they are needed. They never appear in an error.
	Password   func() (string, error)
	Passphrase func(keyFile string) (string, error)

	// Algorithms are allowed for this host besides the usual ones, by the names that ssh gives them. They are for servers
	// that are older or more peculiar than Debian's: "diffie-hellman-group1-sha1", "aes128-cbc", "ssh-dss".
	Algorithms []string

	ConnectTimeout time.Duration // for the connection and the handshake; 0: 30 s, since an old sshd looks up our name first
	Config         []string      // ssh_config files; nil: ~/.ssh/config and /etc/ssh/ssh_config; empty and not nil: none
}

// Prompter asks the operator. A nil Prompter means that nobody is there to answer. One question is asked at a time; a call
// is given up when its context ends, even when it does not look at it.
type Prompter interface {
	// Confirm asks a question that is answered with yes or no.
	Confirm(ctx context.Context, question string) (bool, error)
	// Secret asks for something that is not shown while it is typed.
	Secret(ctx context.Context, prompt string) (string, error)
}

// Parse reads "user@name:port", "name", "user@[2001:db8::1]:22", "2001:db8::1", "ssh://user@name:port" or "local".
func Parse(text string) (Spec, error) {
	if text == "local" {
		return Spec{Local: true}, nil
	}
	s, err := parse(strings.TrimPrefix(text, "ssh://"))
	if err != nil {
		return Spec{}, fmt.Errorf("cannot read the host %q: %w", text, err)
	}
	return s, nil
}

func parse(text string) (Spec, error) {
	var s Spec
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		s.User, text = text[:i], text[i+1:]
		if s.User == "" {
			return s, fmt.Errorf("there is no user before the @")
		}
	}
	var err error
	if s.Address, s.Port, err = splitPort(text); err != nil {
		return s, err
	}
	return s, s.check()
}

// check refuses names that no host and no user has, and that a shell would read as more than a name: they may end up in a
// ProxyCommand.
func (s Spec) check() error {
	const never = " \t\r\n\x00'`\"$\\;&<>|(){}"
	switch {
	case s.Address == "":
		return fmt.Errorf("there is no name")
	case strings.HasPrefix(s.Address, "-") || strings.ContainsAny(s.Address, never+"/[]@") || strings.Contains(s.Address, "%") && !isIPv6(s.Address):
		return fmt.Errorf("no host has such a name")
	case strings.HasPrefix(s.User, "-") || strings.ContainsAny(s.User, strings.Replace(never, "\\", "", 1)) || strings.HasSuffix(s.User, "\\"):
		return fmt.Errorf("no user has such a name")
	case s.Port < 0 || s.Port > 65535:
		return fmt.Errorf("the port must be a number from 1 to 65535, not %d", s.Port)
	}
	return nil
}

func splitPort(text string) (name string, port int, err error) {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		name, after, ok := strings.Cut(inner, "]")
		if !ok {
			return "", 0, fmt.Errorf("the ] after the address is missing")
		}
		if !isIPv6(name) {
			return "", 0, fmt.Errorf("an IPv6 address stands between [ and ]")
		}
		if after == "" {
			return name, 0, nil
		}
		if !strings.HasPrefix(after, ":") {
			return "", 0, fmt.Errorf("after the ] comes :port or nothing")
		}
		port, err := parsePort(after[1:])
		return name, port, err
	}
	if strings.Count(text, ":") > 1 { // a bare IPv6 address
		if !isIPv6(text) {
			return "", 0, fmt.Errorf("an IPv6 address with a port is written [address]:port")
		}
		return text, 0, nil
	}
	name, number, ok := strings.Cut(text, ":")
	if !ok {
		return name, 0, nil
	}
	port, err = parsePort(number)
	return name, port, err
}

// isIPv6 reads an address that may have a zone ("fe80::1%eth0").
func isIPv6(text string) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && a.Is6()
}

func parsePort(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("the port must be a number from 1 to 65535, not %q", text)
	}
	return int(n), nil
}

// String is the host as Parse reads it.
func (s Spec) String() string {
	if s.Local {
		return "local"
	}
	text := s.Address
	if s.Port == 0 && strings.Contains(text, ":") {
		text = "[" + text + "]"
	}
	if s.Port != 0 {
		text = net.JoinHostPort(s.Address, strconv.Itoa(s.Port))
	}
	if s.User != "" {
		text = s.User + "@" + text
	}
	return text
}
