package authority

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// SPF says whether the policy of a domain lets an address send its mail (RFC 7208): "pass", "fail", "softfail", "neutral", "none" (there is no
// policy), "permerror" (it cannot be understood) or "temperror", with a few words why. Policies with macros, which depend on the
// single mail, are told as "permerror"; what is asked for is asked at the authoritative servers.
func (c *Client) SPF(ctx context.Context, domain string, sender netip.Addr) (result, why string) {
	e := &spf{client: c, ctx: ctx, sender: sender.Unmap()}
	result, why, err := e.check(strings.TrimSuffix(domain, "."))
	var wrong *spfError
	switch {
	case errors.As(err, &wrong):
		return "permerror", wrong.why
	case err != nil:
		return "temperror", err.Error()
	}
	return result, why
}

// mostSPFLookups is the number of terms that ask the DNS (RFC 7208, 4.6.4).
const mostSPFLookups = 10

type spf struct {
	client  *Client
	ctx     context.Context
	sender  netip.Addr
	lookups int
}

// spfError is a policy that cannot be understood.
type spfError struct{ why string }

func (e *spfError) Error() string { return e.why }

func (e *spf) check(domain string) (result, why string, err error) {
	policy, err := e.policy(domain)
	if err != nil || policy == "" {
		return "none", domain + " has no SPF policy", err
	}
	redirect := ""
	for _, term := range strings.Fields(policy)[1:] {
		if strings.Contains(term, "%") {
			return "", "", &spfError{fmt.Sprintf("%s of %s depends on the single mail", term, domain)}
		}
		if to, ok := strings.CutPrefix(strings.ToLower(term), "redirect="); ok {
			redirect = to
			continue
		}
		if name, _, ok := strings.Cut(term, "="); ok && !strings.ContainsAny(name, ":/") {
			continue // "exp=" and modifiers that nobody knows (RFC 7208, 6)
		}
		qualifier, mechanism := byte('+'), term
		if strings.IndexByte("+-~?", term[0]) >= 0 {
			qualifier, mechanism = term[0], term[1:]
		}
		match, err := e.matches(strings.ToLower(mechanism), domain)
		if err != nil {
			return "", "", err
		}
		if match {
			words := map[byte]string{'+': "pass", '-': "fail", '~': "softfail", '?': "neutral"}
			return words[qualifier], fmt.Sprintf("%s of %s", term, domain), nil
		}
	}
	if redirect == "" {
		return "neutral", "nothing in the policy of " + domain + " matches", nil
	}
	if err := e.count(); err != nil {
		return "", "", err
	}
	if result, why, err = e.check(redirect); result == "none" && err == nil {
		err = &spfError{redirect + ", to which " + domain + " redirects, has no policy"}
	}
	return result, why, err
}

// policy is the SPF record of a domain; "" when it has none.
func (e *spf) policy(domain string) (string, error) {
	h, err := e.held(domain, TXT)
	if err != nil {
		return "", err
	}
	found := ""
	for _, text := range h.Texts {
		if first, _, _ := strings.Cut(text, " "); !strings.EqualFold(first, "v=spf1") {
			continue
		}
		if found != "" {
			return "", &spfError{domain + " has more than one SPF policy"}
		}
		found = text
	}
	return found, nil
}

func (e *spf) held(name string, qtypes ...uint16) (Held, error) {
	for range 8 { // aliases
		list, err := e.client.Held(e.ctx, name, qtypes...)
		var none *NoDomainError
		if errors.As(err, &none) {
			return Held{Absent: true}, nil
		}
		if err != nil {
			return Held{}, err
		}
		h, err := anyHeld(list)
		if err != nil || h.Alias == "" {
			return h, err
		}
		name = h.Alias
	}
	return Held{}, &spfError{name + " is an alias without end"}
}

func (e *spf) count() error {
	if e.lookups++; e.lookups > mostSPFLookups {
		return &spfError{fmt.Sprintf("the policy asks the DNS more than %d times", mostSPFLookups)}
	}
	return nil
}

// matches says whether a mechanism, without its qualifier, matches the sender (RFC 7208, 5).
func (e *spf) matches(mechanism, domain string) (bool, error) {
	name, value, given := strings.Cut(mechanism, ":")
	bits4, bits6 := 32, 128
	if name != "ip4" && name != "ip6" {
		var err error
		if name, value, bits4, bits6, err = spfMasks(name, value, given); err != nil {
			return false, err
		}
	}
	if value == "" {
		value = domain
	}
	switch name {
	case "all":
		return true, nil
	case "ip4", "ip6":
		return spfNetwork(value, e.sender)
	case "ptr", "exists":
		return false, &spfError{name + " of " + domain + " depends on the single mail"}
	case "include", "a", "mx":
		if err := e.count(); err != nil {
			return false, err
		}
	default:
		return false, &spfError{fmt.Sprintf("nobody knows %q in the policy of %s", mechanism, domain)}
	}
	if name == "include" {
		result, why, err := e.check(value)
		if err == nil && result == "none" {
			err = &spfError{why + ", and " + domain + " includes it"}
		}
		return result == "pass", err
	}
	hosts := []string{value}
	if name == "mx" {
		h, err := e.held(value, 15)
		if err != nil {
			return false, err
		}
		hosts = nil
		for _, mx := range h.Exchanges {
			if mx.Host != "" && len(hosts) < mostSPFLookups {
				hosts = append(hosts, mx.Host)
			}
		}
	}
	for _, host := range hosts {
		h, err := e.held(host, A, AAAA)
		if err != nil {
			return false, err
		}
		for _, a := range h.Addresses {
			bits := bits4
			if a.Is6() {
				bits = bits6
			}
			if p, err := a.Prefix(bits); err == nil && p.Contains(e.sender) {
				return true, nil
			}
		}
	}
	return false, nil
}

// spfMasks takes "/24//64" off a mechanism (RFC 7208, 5.6).
func spfMasks(name, value string, given bool) (n, v string, bits4, bits6 int, err error) {
	n, v, bits4, bits6 = name, value, 32, 128
	rest := &n
	if given {
		rest = &v
	}
	text := *rest
	if before, six, ok := strings.Cut(text, "//"); ok {
		if bits6, err = strconv.Atoi(six); err != nil || bits6 < 0 || bits6 > 128 {
			return n, v, 0, 0, &spfError{fmt.Sprintf("%q is no length of a network", six)}
		}
		text = before
	}
	if before, four, ok := strings.Cut(text, "/"); ok {
		if bits4, err = strconv.Atoi(four); err != nil || bits4 < 0 || bits4 > 32 {
			return n, v, 0, 0, &spfError{fmt.Sprintf("%q is no length of a network", four)}
		}
		text = before
	}
	*rest = text
	return n, v, bits4, bits6, nil
}

func spfNetwork(text string, sender netip.Addr) (bool, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return false, &spfError{fmt.Sprintf("%q is no network", text)}
		}
		return a == sender, nil
	}
	return p.Masked().Contains(sender), nil
}
