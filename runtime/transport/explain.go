package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"runner/runtime/transport/internal/knownhosts"
)

// timeoutError is the reason of a connection attempt that took too long.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string   { return "no answer within " + inSeconds(e.after) }
func (e *timeoutError) Timeout() bool   { return true }
func (e *timeoutError) Temporary() bool { return true }

// inSeconds writes a time as people do: "45 s".
func inSeconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
}

// explain turns what a failed dial or handshake said into what it means and what to do.
func explain(r resolved, err error, l *login, banner, proxySaid string) error {
	d := &DialError{To: target(r), Err: err}
	var key *HostKeyError
	var algorithms *ssh.AlgorithmNegotiationError
	switch {
	case errors.As(err, &key):
		d.Err = key
		d.Do = keyAdvice(r, key, banner)
	case errors.As(err, &algorithms):
		d.Err = &AlgorithmError{What: algorithms.What, Theirs: withoutMarkers(algorithms.RequestedAlgorithms), Ours: withoutMarkers(algorithms.SupportedAlgorithms)}
		d.Do = algorithmAdvice(r, algorithms)
	case refused(err, l):
		d.Err = l.failure(err)
		d.Do = fmt.Sprintf("see that this works: %s; name the key in site.lua: key = \"~/.ssh/…\"", sshCommand(r))
	case proxySaid != "":
		d.Err = fmt.Errorf("its ProxyCommand (%s) said: %s", r.proxyCommand, printable(proxySaid))
	case r.proxyCommand != "" && banner == "" && cutOff(err):
		d.Err = plain(fmt.Sprintf("its ProxyCommand (%s) ended and said nothing", r.proxyCommand), err)
		d.Do = "see what it does by hand; ssh puts exec before it, so a command of several parts needs sh -c '…'"
	default:
		explainNetwork(r, err, banner, d)
	}
	return d
}

// withoutMarkers leaves out what stands among the key exchanges and is none: extensions that each side announces there.
func withoutMarkers(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(name string) bool {
		return strings.HasPrefix(name, "ext-info-") || strings.HasPrefix(name, "kex-strict-")
	})
}

// refused says whether the server was reached and knew itself, and would not have us.
func refused(err error, l *login) bool {
	return errors.Is(err, errRefused) || l.begun && !cutOff(err) && !isTimeout(err)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func explainNetwork(r resolved, err error, banner string, d *DialError) {
	var name *net.DNSError
	var timeout *timeoutError
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		d.Err = fmt.Errorf("the name %s is not known", name.Name)
		d.Do = "is it spelled right? Else write the address in site.lua, or a HostName in ~/.ssh/config"
	case errors.As(err, &name):
		d.Err = fmt.Errorf("cannot look up the name %s: %s", name.Name, name.Err)
		d.Do = "does this machine reach its name server (/etc/resolv.conf)?"
	case errors.Is(err, syscall.ECONNREFUSED):
		d.Err = plain("connection refused", syscall.ECONNREFUSED)
		d.Do = fmt.Sprintf("is sshd running there, and on port %d?", r.Port)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		d.Do = "is the host up, and is there a route to it?"
	case errors.As(err, &timeout):
		d.Err = timeout
		d.Do = fmt.Sprintf("is the host up, and does a firewall let port %d through?", r.Port)
		if isSSH(banner) {
			d.Do = "the host answers, but slowly: is it busy, or does its sshd look up names (UseDNS)? timeout = \"2m\" in site.lua gives it more time"
		}
	case isTimeout(err):
		d.Err = errors.New("no answer")
		d.Do = fmt.Sprintf("is the host up, and does a firewall let port %d through?", r.Port)
	case cutOff(err) || banner != "" && !isSSH(banner):
		d.Do, d.Err = hungUp(r, err, banner)
	case strings.Contains(err.Error(), "crypto/rsa"):
		d.Do = "its RSA host key is too short to be trusted; make a new one there with ssh-keygen -t rsa -b 3072"
	}
}

// What sshd says in clear text before it hangs up without a handshake.
const (
	tooMany = "Exceeded MaxStartups"     // since OpenSSH 7.6; those before hang up in silence
	banned  = "Not allowed at this time" // PerSourcePenalties, since OpenSSH 9.8
)

func isSSH(banner string) bool { return strings.HasPrefix(banner, "SSH-") }

// busy says that a server that hung up may have room for us a little later.
func busy(banner string) bool { return banner == "" || banner == tooMany || isSSH(banner) }

// hungUp is what to do about a server that ended the connection before or during the handshake, and the error.
func hungUp(r resolved, err error, banner string) (do string, _ error) {
	switch {
	case banner == tooMany:
		return "too many are logging in there at the same time: wait, or raise MaxStartups in its sshd_config", plain("the server hung up: "+banner, err)
	case banner == banned:
		return "its sshd bans this address for logins that failed before (PerSourcePenalties): wait some minutes, or exempt the address there", plain("the server hung up: "+banner, err)
	case banner != "" && !isSSH(banner):
		return "on which port does its sshd listen? Write that into site.lua: port = …", fmt.Errorf("what listens on port %d is no ssh server: it said %q", r.Port, banner)
	}
	return "its log says why (journalctl -u ssh, or /var/log/auth.log): too many connections at a time (MaxStartups), or an address that it bans",
		plain("the server hung up during the handshake", err)
}

// plain is an error with a text of its own, that is still the one below for errors.Is.
func plain(text string, err error) error { return &plainError{text, err} }

type plainError struct {
	text string
	err  error
}

func (e *plainError) Error() string { return e.text }
func (e *plainError) Unwrap() error { return e.err }

// cutOff says that the server ended the connection without a word, as a busy sshd does with those beyond its MaxStartups.
func cutOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func keyAdvice(r resolved, e *HostKeyError, banner string) string {
	switch {
	case e.Certificate != "":
		return "is it a new certificate that known_hosts has no @cert-authority line for, or one that has expired?"
	case e.Pinned:
		return "compare both with what `ssh-keygen -lf /etc/ssh/ssh_host_…_key.pub` says on the host; if the machine was really reinstalled, change the fingerprint in site.lua"
	case e.Revoked:
		return "the key was given away: the host needs new ones (ssh-keygen -A after removing /etc/ssh/ssh_host_*)"
	case len(e.Want) > 0:
		return fmt.Sprintf("if the machine was really reinstalled: ssh-keygen -R '%s' -f %s; otherwise somebody may stand between you and it", e.Name, e.file)
	}
	kind, fingerprint, _ := strings.Cut(e.Got, " ")
	kind = strings.TrimPrefix(kind, "ssh-")
	if strings.HasPrefix(kind, "ecdsa") {
		kind = "ecdsa"
	}
	shown := ""
	if major, minor, ok := openSSHVersion(banner); ok && (major < 6 || major == 6 && minor < 8) && e.md5 != "" {
		shown = " (which is " + e.md5 + " there)"
	}
	host, port := knownhosts.Split(e.Name)
	if r.Alias != "" {
		host, port = r.Address, r.Port
	}
	return fmt.Sprintf("compare it with what this says on the host%s: ssh-keygen -lf /etc/ssh/ssh_host_%s_key.pub; then write into site.lua: fingerprint = %q, or run: ssh-keyscan -p %d -t %s %s >> %s",
		shown, kind, fingerprint, port, kind, host, firstOr(r.KnownHosts, "~/.ssh/known_hosts"))
}

func firstOr(list []string, fallback string) string {
	if len(list) > 0 {
		return list[0]
	}
	return fallback
}

func algorithmAdvice(r resolved, e *ssh.AlgorithmNegotiationError) string {
	if line := missing(e); line != "" {
		_, name, _ := strings.Cut(line, "+")
		return fmt.Sprintf("to allow a weak algorithm for this host alone, write into its table in site.lua: algorithms = { %q }, or into ~/.ssh/config under Host %s: %s", name, r.name, line)
	}
	return fmt.Sprintf("runner knows none of those; allow one of its own in the sshd_config of the host (%s)", keywordOf(e.What))
}

// sshCommand is how ssh would be called to get to the same place.
func sshCommand(r resolved) string {
	port := ""
	if r.Port != 22 {
		port = fmt.Sprintf(" -p %d", r.Port)
	}
	return fmt.Sprintf("ssh%s %s@%s true", port, r.User, r.name)
}

func target(r resolved) string {
	return fmt.Sprintf("%s@%s", r.User, net.JoinHostPort(r.Address, fmt.Sprint(r.Port)))
}
