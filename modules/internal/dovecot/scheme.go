// Package dovecot knows how Dovecot reads stored passwords and what doveadm prints. It asks no host.
package dovecot

import (
	"regexp"
	"strings"
)

// Password is what Dovecot makes of a stored password.
type Password struct {
	Scheme  string // "PLAIN-MD5", "SHA512-CRYPT"; empty when Problem says why not
	Prefix  string // to be put before the value so that every Dovecot reads it so: "{PLAIN-MD5}"; empty: it is there
	Problem string
}

var (
	schemePrefix = regexp.MustCompile(`^\{([A-Za-z0-9._-]+)\}`)
	hexDigits    = regexp.MustCompile(`^[0-9A-Fa-f]{32}$`)
	base64MD5    = regexp.MustCompile(`^[A-Za-z0-9+/]{22}==$`)
)

// cryptSchemes are the beginnings of crypt(3)'s hashes that name their own kind (crypt(5)).
var cryptSchemes = []struct{ begin, scheme string }{
	{"$1$", "MD5-CRYPT"}, {"$5$", "SHA256-CRYPT"}, {"$6$", "SHA512-CRYPT"},
	{"$2a$", "BLF-CRYPT"}, {"$2b$", "BLF-CRYPT"}, {"$2x$", "BLF-CRYPT"}, {"$2y$", "BLF-CRYPT"},
	{"$argon2i$", "ARGON2I"}, {"$argon2id$", "ARGON2ID"},
}

// Classify finds the scheme of a stored password. preset is what the Dovecot that used it takes a value without a scheme for
// (default_pass_scheme); only with PLAIN-MD5 are 32 hexadecimal digits known to be that.
func Classify(value, preset string) Password {
	if m := schemePrefix.FindStringSubmatch(value); m != nil {
		scheme, rest := strings.ToUpper(m[1]), value[len(m[0]):]
		switch base, _, _ := strings.Cut(scheme, "."); {
		case schemePrefix.MatchString(rest):
			return Password{Problem: "two schemes, one after the other"}
		case rest == "":
			return Password{Problem: "a scheme and no value"}
		case base == "PLAIN-MD5" && !hexDigits.MatchString(rest) && !base64MD5.MatchString(rest):
			return Password{Problem: "no value of PLAIN-MD5: it was cut, or is another hash with a wrong scheme"}
		case base == "CRYPT":
			if inner := cryptScheme(rest); inner != "" {
				scheme = inner
			} else {
				scheme = "DES-CRYPT"
			}
		}
		return Password{Scheme: scheme}
	}
	if scheme := cryptScheme(value); scheme != "" {
		return Password{Scheme: scheme, Prefix: "{" + scheme + "}"}
	}
	switch {
	case value == "":
		return Password{Problem: "no password"}
	case hexDigits.MatchString(value) && strings.EqualFold(preset, "PLAIN-MD5"):
		return Password{Scheme: "PLAIN-MD5", Prefix: "{PLAIN-MD5}"}
	case hexDigits.MatchString(value):
		return Password{Problem: "32 hexadecimal digits without a scheme"}
	}
	return Password{Problem: "no scheme, and nothing that shows one"}
}

func cryptScheme(value string) string {
	for _, s := range cryptSchemes {
		if strings.HasPrefix(value, s.begin) {
			return s.scheme
		}
	}
	return ""
}

// Weak says whether Dovecot 2.4 refuses a scheme unless auth_allow_weak_schemes is set (Dovecot manual, "Password Schemes").
func Weak(scheme string) bool {
	switch base, _, _ := strings.Cut(scheme, "."); base {
	case "PLAIN-MD5", "LDAP-MD5", "MD5", "MD5-CRYPT", "DES-CRYPT", "CRYPT", "SMD5":
		return true
	}
	return false
}
