package sshconfig

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// match judges the criteria of a Match line. All must hold; "!" before one turns it round.
func (r *reader) match(args []string, holds bool) (bool, error) {
	if len(args) == 0 {
		return false, errors.New("there is nothing after Match")
	}
	for i := 0; i < len(args); i++ {
		name, value, hasValue := strings.Cut(args[i], "=")
		name, negated := strings.CutPrefix(strings.ToLower(name), "!")
		var is bool
		switch name {
		case "all":
			is = true
		case "final":
			r.wantFinal = true
			is = r.final
		case "canonical":
		default:
			if !hasValue {
				if i++; i == len(args) {
					return false, fmt.Errorf("there is nothing after Match %s", name)
				}
				value = args[i]
			}
			var err error
			if is, err = r.criterion(name, value, holds); err != nil {
				return false, err
			}
		}
		holds = holds && is != negated
	}
	return holds, nil
}

func (r *reader) criterion(name, value string, soFar bool) (bool, error) {
	list := strings.Split(value, ",")
	switch name {
	case "host":
		return MatchList(strings.ToLower(r.resolvedHost()), list), nil
	case "originalhost":
		return MatchList(strings.ToLower(r.target.Host), list), nil
	case "user":
		return MatchList(r.user(), list), nil
	case "localuser":
		return MatchList(r.target.LocalUser, list), nil
	case "tagged":
		return MatchList(r.Get("Tag"), list), nil
	case "localnetwork":
		return onNetwork(list)
	case "sessiontype":
		return MatchList("exec", list), nil
	case "exec":
		// As in ssh, the command is not run when the line cannot hold any more.
		return soFar && r.target.Run != nil && r.target.Run(r.ctx, r.expand(value)), nil
	case "command", "version", "rdomain":
		return false, nil
	}
	return false, fmt.Errorf("what %q asks for is not known", "Match "+name)
}

// resolvedHost is the host name as far as it is known by now.
func (r *reader) resolvedHost() string {
	if name := r.Get("HostName"); name != "" {
		return strings.NewReplacer("%%", "%", "%h", r.host).Replace(name)
	}
	return r.host
}

func (r *reader) user() string { return cmp.Or(r.target.User, r.Get("User"), r.target.LocalUser) }

func (r *reader) expand(text string) string {
	port := cmp.Or(r.Get("Port"), "22")
	if r.target.Port != 0 {
		port = fmt.Sprint(r.target.Port)
	}
	return strings.NewReplacer("%%", "%", "%h", r.resolvedHost(), "%n", r.target.Host, "%p", port, "%r", r.user(),
		"%u", r.target.LocalUser, "%d", r.target.Home, "%k", cmp.Or(r.Get("HostKeyAlias"), r.target.Host)).Replace(text)
}

// onNetwork says whether this machine has an address in one of the networks, written as 192.0.2.0/24.
func onNetwork(networks []string) (bool, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false, fmt.Errorf("cannot list the addresses of this machine: %w", err)
	}
	for _, text := range networks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return false, fmt.Errorf("%q is no network", text)
		}
		for _, a := range addresses {
			if own, err := netip.ParsePrefix(a.String()); err == nil && network.Contains(own.Addr().Unmap()) {
				return true, nil
			}
		}
	}
	return false, nil
}

// MatchList compares a name with patterns as ssh_config(5) describes them: * is any text, ? any one character, and a
// pattern after ! that matches makes the whole list not match.
func MatchList(name string, patterns []string) bool {
	found := false
	for _, p := range patterns {
		p, negated := strings.CutPrefix(p, "!")
		if !Match(name, p) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}

// Match compares a name with one pattern of * and ?.
func Match(name, pattern string) bool {
	// Where the last * stood and what it has swallowed so far: on a mismatch it swallows one more. No recursion, so that no
	// pattern takes more than the product of the two lengths.
	n, p, star, swallowed := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, swallowed = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			swallowed++
			p, n = star+1, swallowed
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
