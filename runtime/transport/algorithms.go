package transport

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"runner/runtime/transport/internal/sshconfig"
)

// dsa is offered to a host only where somebody has said so: by its line in known_hosts, in ssh_config or in the site.
//
//lint:ignore SA1019 a server of that age may have no other key, and is to be moved from just the same
const dsa = ssh.InsecureKeyAlgoDSA

// algorithms are the lists that are offered to a server, each in the order of preference.
type algorithms struct{ keyExchanges, hostKeys, ciphers, macs []string }

// usualAlgorithms is written out, and not left to the library's defaults, so that an update of the library cannot lock out
// an old server: besides today's algorithms it holds what the sshd of Debian 5 to 8 needs (diffie-hellman-group14-sha1,
// ssh-rsa, hmac-sha1). What those servers never need stays out: CBC ciphers, arcfour, group1, DSA.
func usualAlgorithms() algorithms {
	return algorithms{
		keyExchanges: []string{
			ssh.KeyExchangeMLKEM768X25519, ssh.KeyExchangeCurve25519, "curve25519-sha256@libssh.org",
			ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521,
			ssh.KeyExchangeDH16SHA512, ssh.KeyExchangeDH14SHA256, ssh.KeyExchangeDHGEXSHA256, ssh.InsecureKeyExchangeDH14SHA1,
		},
		hostKeys: []string{
			ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
			ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA,
		},
		ciphers: []string{
			ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR, ssh.CipherAES192CTR, ssh.CipherAES256CTR,
		},
		macs: []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM, ssh.HMACSHA256, ssh.HMACSHA512, ssh.HMACSHA1},
	}
}

// possible are all algorithms that can be offered at all.
func possible() algorithms {
	s, i := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	a := algorithms{
		keyExchanges: append(append(s.KeyExchanges, i.KeyExchanges...), "curve25519-sha256@libssh.org"),
		ciphers:      append(s.Ciphers, i.Ciphers...),
		macs:         append(s.MACs, i.MACs...),
	}
	for _, name := range append(s.HostKeys, i.HostKeys...) {
		if !strings.Contains(name, "-cert-v01@") { // offered when an authority is known, and only then
			a.hostKeys = append(a.hostKeys, name)
		}
	}
	return a
}

// lists are the four lists with the keyword of ssh_config(5) for each.
func (a *algorithms) lists() map[string]*[]string {
	return map[string]*[]string{"KexAlgorithms": &a.keyExchanges, "HostKeyAlgorithms": &a.hostKeys, "Ciphers": &a.ciphers, "MACs": &a.macs}
}

// chooseAlgorithms applies what ssh_config says to the usual lists, then adds what the site allows.
func chooseAlgorithms(set *sshconfig.Settings, more []string) (algorithms, error) {
	a, all := usualAlgorithms(), possible()
	allLists := all.lists()
	for keyword, list := range a.lists() {
		if value := set.Get(keyword); value != "" {
			*list = amend(*list, value, *allLists[keyword])
			if len(*list) == 0 {
				return a, fmt.Errorf("cannot use what ssh_config says: of %s %s runner knows none; it knows %s", keyword, value, strings.Join(*allLists[keyword], ","))
			}
		}
	}
	for _, name := range more {
		found := false
		for keyword, list := range a.lists() {
			if slices.Contains(*allLists[keyword], name) {
				found = true
				*list = amend(*list, "+"+name, *allLists[keyword])
			}
		}
		if !found {
			return a, fmt.Errorf("cannot use the algorithm %q: runner does not know it", name)
		}
	}
	return a, nil
}

// amend applies a value as ssh_config(5) describes it under Ciphers: a list that replaces the usual one, or one that is
// added (+), taken away (-) or put in front (^), with patterns. What is not among the known is passed over.
func amend(usual []string, value string, known []string) []string {
	sign := value[0]
	if strings.IndexByte("+-^", sign) >= 0 {
		value = value[1:]
	} else {
		sign = 0
	}
	var named []string
	for pattern := range strings.SplitSeq(value, ",") {
		for _, name := range known {
			if sshconfig.Match(name, pattern) && !slices.Contains(named, name) {
				named = append(named, name)
			}
		}
	}
	without := func(list, drop []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(name string) bool { return slices.Contains(drop, name) })
	}
	switch sign {
	case '+':
		return append(slices.Clone(usual), without(named, usual)...)
	case '-':
		return without(usual, named)
	case '^':
		return append(named, without(usual, named)...)
	}
	return named
}

// missing says what has to be allowed so that a negotiation comes to an agreement: the line for ssh_config(5), or nothing
// when there is no algorithm that both sides could know.
func missing(e *ssh.AlgorithmNegotiationError) (line string) {
	all := possible()
	keyword := keywordOf(e.What)
	list := all.lists()[keyword]
	if list == nil {
		return ""
	}
	for _, name := range *list {
		if slices.Contains(e.RequestedAlgorithms, name) {
			return keyword + " +" + name
		}
	}
	return ""
}

func keywordOf(what string) string {
	switch {
	case strings.Contains(what, "key exchange"):
		return "KexAlgorithms"
	case strings.Contains(what, "host key"):
		return "HostKeyAlgorithms"
	case strings.Contains(what, "cipher"):
		return "Ciphers"
	case strings.Contains(what, "MAC"):
		return "MACs"
	}
	return ""
}
