package transport

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"runner/runtime/transport/internal/sshconfig"
)

// resolved is a Spec with everything that ssh_config(5) adds.
type resolved struct {
	Spec
	name           string // as the operator wrote it, before HostName
	network        string // "tcp", "tcp4" or "tcp6"
	siteKeys       bool   // keys were named by the site
	explicitKeys   bool   // keys were named, by the site or by IdentityFile
	identitiesOnly bool
	certificates   []string
	agent          string // socket; empty: none
	proxyCommand   string
	strict         bool // StrictHostKeyChecking yes: an unknown key is refused without asking
	hashNames      bool // HashKnownHosts
	batch          bool // BatchMode: nobody is asked
	noPublicKey    bool
	noPassword     bool
	noInteractive  bool
	keepAlive      time.Duration // ServerAliveInterval; 0: not set
	algorithms     algorithms
}

// resolve fills what the Spec leaves open from ssh_config files, then from OpenSSH's defaults.
func resolve(ctx context.Context, s Spec) (resolved, error) {
	r := resolved{Spec: s, name: s.Address, network: "tcp", siteKeys: len(s.Keys) > 0, explicitKeys: len(s.Keys) > 0}
	if err := s.check(); err != nil {
		return r, err
	}
	set, err := sshconfig.Load(ctx, configFiles(s.Config), sshconfig.Target{
		Host: s.Address, User: s.User, Port: s.Port, LocalUser: currentUser(), Home: home(), Run: matchExec,
	})
	if err != nil {
		return r, err
	}
	if v := set.Get("HostName"); v != "" {
		r.Address = strings.NewReplacer("%%", "%", "%h", s.Address).Replace(v)
	}
	if v := set.Get("Port"); r.Port == 0 && v != "" {
		if r.Port, err = parsePort(v); err != nil {
			return r, fmt.Errorf("cannot use what ssh_config says of %s: %w", s.Address, err)
		}
	}
	r.Port = cmp.Or(r.Port, 22)
	r.User = cmp.Or(r.User, set.Get("User"), currentUser())
	r.network = map[string]string{"inet": "tcp4", "inet6": "tcp6"}[strings.ToLower(set.Get("AddressFamily"))]
	r.network = cmp.Or(r.network, "tcp")
	r.Alias = cmp.Or(r.Alias, set.Get("HostKeyAlias"))
	r.route(set)
	r.identities(set)
	r.checks(set)
	if err := r.check(); err != nil {
		return r, fmt.Errorf("cannot use what ssh_config says of %s: %w", s.Address, err)
	}
	r.algorithms, err = chooseAlgorithms(set, s.Algorithms)
	return r, err
}

// route is how the host is reached: as the site says, else by whichever of ProxyJump and ProxyCommand is set first.
func (r *resolved) route(set *sshconfig.Settings) {
	if len(r.Jump) == 1 && strings.EqualFold(r.Jump[0], "none") {
		r.Jump = nil
		return
	}
	if len(r.Jump) > 0 {
		return
	}
	if v := set.Get("ProxyJump"); v != "" && !strings.EqualFold(v, "none") {
		r.Jump = strings.Split(r.tokens(v), ",")
		return
	}
	if v := set.Get("ProxyCommand"); v != "" && !strings.EqualFold(v, "none") {
		r.proxyCommand = r.tokens(v)
	}
}

// identities are the means to log in.
func (r *resolved) identities(set *sshconfig.Settings) {
	r.identitiesOnly = yes(set.Get("IdentitiesOnly"))
	if len(r.Keys) == 0 {
		for _, k := range set.All("IdentityFile") {
			r.explicitKeys = true
			if !strings.EqualFold(k, "none") {
				r.Keys = append(r.Keys, k)
			}
		}
	}
	r.Keys = r.paths(r.Keys)
	for _, c := range set.All("CertificateFile") {
		r.certificates = append(r.certificates, r.paths([]string{c})...)
	}
	switch v := set.Get("IdentityAgent"); {
	case strings.EqualFold(v, "none"):
	case v == "" || v == "SSH_AUTH_SOCK":
		r.agent = os.Getenv("SSH_AUTH_SOCK")
	case strings.HasPrefix(v, "$"):
		r.agent = os.Getenv(strings.Trim(v, "${}"))
	default:
		r.agent = r.paths([]string{v})[0]
	}
	r.batch = yes(set.Get("BatchMode"))
	r.noPublicKey = no(set.Get("PubkeyAuthentication"))
	r.noPassword = no(set.Get("PasswordAuthentication"))
	r.noInteractive = no(cmp.Or(set.Get("KbdInteractiveAuthentication"), set.Get("ChallengeResponseAuthentication")))
}

// checks are how the host is recognized, and how long it may be silent.
func (r *resolved) checks(set *sshconfig.Settings) {
	if len(r.KnownHosts) == 0 {
		r.KnownHosts = append(fieldsOr(set.Fields("UserKnownHostsFile"), "~/.ssh/known_hosts", "~/.ssh/known_hosts2"),
			fieldsOr(set.Fields("GlobalKnownHostsFile"), "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")...)
	}
	r.KnownHosts = r.paths(r.KnownHosts)
	r.strict = yes(set.Get("StrictHostKeyChecking"))
	r.hashNames = yes(set.Get("HashKnownHosts"))
	if r.ConnectTimeout == 0 {
		r.ConnectTimeout = cmp.Or(timeSpan(set.Get("ConnectTimeout")), 30*time.Second)
	}
	r.keepAlive = timeSpan(set.Get("ServerAliveInterval"))
}

// tokens resolves the tokens of ssh_config(5) that make sense before a connection.
func (r *resolved) tokens(text string) string {
	return strings.NewReplacer("%%", "%", "%h", r.Address, "%p", strconv.Itoa(r.Port), "%r", r.User, "%n", r.name,
		"%d", home(), "%u", currentUser(), "%k", cmp.Or(r.Alias, r.name), "%j", "").Replace(text)
}

// paths resolves tokens, ${VARIABLE} and ~ in file names, and leaves out "none".
func (r *resolved) paths(names []string) []string {
	var out []string
	for _, name := range names {
		if strings.EqualFold(name, "none") {
			continue
		}
		name = r.tokens(name)
		for {
			before, rest, ok := strings.Cut(name, "${")
			variable, after, closed := strings.Cut(rest, "}")
			if !ok || !closed {
				break
			}
			name = before + os.Getenv(variable) + after
		}
		out = append(out, expandHome(name))
	}
	return out
}

func yes(value string) bool {
	return slices.Contains([]string{"yes", "true"}, strings.ToLower(value))
}

func no(value string) bool { return slices.Contains([]string{"no", "false"}, strings.ToLower(value)) }

func fieldsOr(values []string, fallback ...string) []string {
	if len(values) == 0 {
		return fallback
	}
	return slices.Clone(values)
}

// timeSpan reads a time as sshd_config(5) describes them under "TIME FORMATS": "30", "1m30s", "2h". 0: none, or not readable.
func timeSpan(text string) time.Duration {
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if d, err := time.ParseDuration(strings.ToLower(text)); err == nil && d > 0 {
		return d
	}
	return 0
}

func configFiles(names []string) []sshconfig.File {
	if names == nil {
		return []sshconfig.File{{Path: expandHome("~/.ssh/config")}, {Path: "/etc/ssh/ssh_config", System: true}}
	}
	var files []sshconfig.File
	for _, name := range names {
		name = expandHome(name)
		files = append(files, sshconfig.File{Path: name, System: strings.HasPrefix(name, "/etc/ssh/")})
	}
	return files
}

// matchExec runs the command of a "Match exec", as ssh does, with nothing to read and nowhere to write.
func matchExec(ctx context.Context, line string) bool {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd.Run() == nil
}

func currentUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}

func home() string {
	h, err := os.UserHomeDir()
	if err != nil {
		return "/"
	}
	return h
}

// expandHome resolves "~" and "~user" at the beginning of a path.
func expandHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok {
		return path
	}
	name, rest, _ := strings.Cut(rest, "/")
	if name == "" {
		return filepath.Join(home(), rest)
	}
	u, err := user.Lookup(name)
	if err != nil {
		return path
	}
	return filepath.Join(u.HomeDir, rest)
}
