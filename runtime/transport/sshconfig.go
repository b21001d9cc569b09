package transport

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kevinburke/ssh_config"
)

// resolved is a Spec with everything that ssh_config(5) adds.
type resolved struct {
	Spec
	name           string // as the operator wrote it, before HostName
	identitiesOnly bool
	explicitKeys   bool // keys were named, by the site or by IdentityFile
	proxyCommand   string
}

// resolve fills what the Spec leaves open from ssh_config files, then from OpenSSH's defaults. As in ssh, the first value
// found wins and the operator's own file comes before the system's.
func resolve(s Spec) (resolved, error) {
	r := resolved{Spec: s, name: s.Address, explicitKeys: len(s.Keys) > 0}
	configs, err := readConfigs(s.Config)
	if err != nil {
		return r, err
	}
	get := func(keyword string) string {
		for _, c := range configs {
			if v, err := c.Get(s.Address, keyword); err == nil && v != "" {
				return v
			}
		}
		return ""
	}
	all := func(keyword string) (values []string) {
		for _, c := range configs {
			if v, err := c.GetAll(s.Address, keyword); err == nil {
				values = append(values, v...)
			}
		}
		return values
	}
	if v := get("HostName"); v != "" {
		r.Address = strings.ReplaceAll(v, "%h", s.Address)
	}
	if r.Port == 0 {
		r.Port = 22
		if v := get("Port"); v != "" {
			if r.Port, err = parsePort(v); err != nil {
				return r, fmt.Errorf("cannot use ssh_config for %s: Port: %w", s.Address, err)
			}
		}
	}
	if r.User == "" {
		r.User = cmp.Or(get("User"), currentUser())
	}
	r.identitiesOnly = strings.EqualFold(get("IdentitiesOnly"), "yes")
	if len(r.Keys) == 0 {
		for _, k := range all("IdentityFile") {
			if k != "none" {
				r.Keys, r.explicitKeys = append(r.Keys, k), true
			}
		}
	}
	if r.Alias == "" {
		r.Alias = get("HostKeyAlias")
	}
	if len(r.Jump) == 0 {
		if v := get("ProxyJump"); v != "" && v != "none" {
			r.Jump = strings.Split(v, ",")
		}
	}
	if len(r.Jump) == 0 {
		if v := get("ProxyCommand"); v != "none" {
			r.proxyCommand = v
		}
	}
	if len(r.KnownHosts) == 0 {
		r.KnownHosts = append(fieldsOr(get("UserKnownHostsFile"), "~/.ssh/known_hosts", "~/.ssh/known_hosts2"),
			fieldsOr(get("GlobalKnownHostsFile"), "/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")...)
	}
	if r.ConnectTimeout == 0 {
		r.ConnectTimeout = 30 * time.Second
		if n, err := strconv.Atoi(get("ConnectTimeout")); err == nil && n > 0 {
			r.ConnectTimeout = time.Duration(n) * time.Second
		}
	}
	r.expand()
	return r, nil
}

// expand resolves ~ and the tokens of ssh_config(5) that make sense before a connection.
func (r *resolved) expand() {
	tokens := strings.NewReplacer("%%", "%", "%h", r.Address, "%p", strconv.Itoa(r.Port), "%r", r.User, "%n", r.name, "%d", home(), "%u", currentUser())
	r.Keys, r.KnownHosts = slices.Clone(r.Keys), slices.Clone(r.KnownHosts)
	for i, k := range r.Keys {
		r.Keys[i] = expandHome(tokens.Replace(k))
	}
	for i, k := range r.KnownHosts {
		r.KnownHosts[i] = expandHome(tokens.Replace(k))
	}
	r.proxyCommand = tokens.Replace(r.proxyCommand)
}

func fieldsOr(value string, fallback ...string) []string {
	if value == "" {
		return fallback
	}
	return strings.Fields(value)
}

func readConfigs(files []string) ([]*ssh_config.Config, error) {
	if files == nil {
		files = []string{"~/.ssh/config", "/etc/ssh/ssh_config"}
	}
	var configs []*ssh_config.Config
	for _, name := range files {
		name = expandHome(name)
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the ssh configuration: %w", err)
		}
		c, err := ssh_config.DecodeBytes(withoutMatch(text))
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", name, err)
		}
		configs = append(configs, c)
	}
	return configs, nil
}

// withoutMatch takes out the Match blocks, which the parser refuses as a whole. "Match all" counts for every host and stays.
func withoutMatch(text []byte) []byte {
	var out bytes.Buffer
	inside := false
	for line := range bytes.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(strings.Replace(string(line), "=", " ", 1)), " ")
		switch strings.ToLower(word) {
		case "match":
			inside = !strings.EqualFold(strings.TrimSpace(rest), "all")
			if !inside {
				out.WriteString("Host *\n")
			}
			continue
		case "host":
			inside = false
		}
		if !inside {
			out.Write(line)
		}
	}
	return out.Bytes()
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

func expandHome(path string) string {
	if path == "~" {
		return home()
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(home(), rest)
	}
	return path
}
