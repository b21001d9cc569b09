package transport

import (
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
	Keys        []string // private key files, offered first and, when given, alone with the agent's copies of them
	Jump        []string // hosts to go through, each as Parse reads them, in the order of ProxyJump
	KnownHosts  []string // files; the first one gets what the operator accepts
	Fingerprint string   // "SHA256:…": the only host key accepted, whatever known_hosts says
	Alias       string   // HostKeyAlias: the name to look up in known_hosts

	// Password and Passphrase are asked for when they are needed. They never appear in an error.
	Password   func() (string, error)
	Passphrase func(keyFile string) (string, error)

	ConnectTimeout time.Duration // for the connection and the handshake; 0: 30 s, since an old sshd looks up our name first
	Config         []string      // ssh_config files; nil: ~/.ssh/config and /etc/ssh/ssh_config; empty and not nil: none
}

// Parse reads "user@name:port", "name", "user@[2001:db8::1]:22", "2001:db8::1" or "local".
func Parse(text string) (Spec, error) {
	if text == "local" {
		return Spec{Local: true}, nil
	}
	var s Spec
	rest := text
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		s.User, rest = rest[:i], rest[i+1:]
		if s.User == "" {
			return Spec{}, fmt.Errorf("cannot read the host %q: there is no user before the @", text)
		}
	}
	name, port, err := splitPort(rest)
	if err != nil {
		return Spec{}, fmt.Errorf("cannot read the host %q: %w", text, err)
	}
	s.Address, s.Port = name, port
	if s.Address == "" {
		return Spec{}, fmt.Errorf("cannot read the host %q: there is no name", text)
	}
	if strings.HasPrefix(s.Address, "-") || strings.ContainsAny(s.User+s.Address, " \t\r\n\x00/[]") ||
		strings.Contains(s.Address, "%") && !isIPv6(s.Address) {
		return Spec{}, fmt.Errorf("cannot read the host %q: no host has such a name", text)
	}
	return s, nil
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

// Prompter asks the operator. A nil Prompter means that nobody is there to answer.
type Prompter interface {
	// Confirm asks a question that is answered with yes or no.
	Confirm(question string) (bool, error)
	// Secret asks for something that is not shown while it is typed.
	Secret(prompt string) (string, error)
}
