package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Lab is a lab as [Up] left it. It is read from lab.json of the state directory.
type Lab struct {
	Options Options  `json:"options"`
	Network string   `json:"network"` // 198.51.100.0/24
	Gateway string   `json:"gateway"` // this machine's own address in the lab
	DNS     []string `json:"dns"`     // addresses of the authoritative server; each answers for every zone
	Zones   []string `json:"zones"`   // that it serves, without the dot at the end; "" is the root
	Hosts   []*Host  `json:"hosts"`
	Domains []Domain `json:"domains"` // mail domains, or that of the web site
	Users   []User   `json:"users"`
	Aliases []Alias  `json:"aliases"`

	Key              string `json:"key"`               // private SSH key that root and the sudo user of every server accept
	KnownHosts       string `json:"known_hosts"`       // with the keys of every server, by address and by name
	SSHConfig        string `json:"ssh_config"`        // for ssh -F: the hosts by their short names
	Site             string `json:"site"`              // site.lua
	SudoUser         string `json:"sudo_user"`         // may do everything with sudo and SudoPassword
	SudoPassword     string `json:"sudo_password"`     // its password, also for SSH
	UpdateKey        string `json:"update_key"`        // name of the TSIG key (hmac-sha256) with which the zones can be changed
	UpdateSecret     string `json:"update_secret"`     // in base64
	Database         string `json:"database"`          // mailserver, or shop
	DatabaseUser     string `json:"database_user"`     // mailuser@127.0.0.1, may read; shop@localhost, may write
	DatabasePassword string `json:"database_password"` // its password
}

// Host is one server of a lab.
type Host struct {
	Name     string   `json:"name"`     // old, old2, new, dns
	Hostname string   `json:"hostname"` // mail-old.example.net
	Address  string   `json:"address"`
	Suite    string   `json:"suite"` // bullseye, bookworm, trixie
	Init     string   `json:"init"`  // sysvinit, systemd; knotd for dns
	Shape    string   `json:"shape"` // of an old server: wheezy, lenny; of all servers: web; else empty
	NetNS    string   `json:"netns"` // name for ip netns exec
	Domains  []string `json:"domains,omitempty"`

	// Of all but dns:
	SSHPort              int    `json:"ssh_port,omitempty"`
	Vmail                string `json:"vmail,omitempty"`                  // of a mail host: root of all mailboxes
	WebRoot              string `json:"web_root,omitempty"`               // of a web host: folder of the site
	DatabaseRootPassword string `json:"database_root_password,omitempty"` // empty: root@localhost by unix_socket

	dir string
}

// Domain is a mail domain and the host that has its mailboxes.
type Domain struct {
	Name string `json:"name"`
	Host string `json:"host"`
}

// User is a mail account.
type User struct {
	Email    string `json:"email"`
	Password string `json:"password"`
	Domain   string `json:"domain"`
	Host     string `json:"host"`
}

// Alias is one row of virtual_aliases. Source "@DOMAIN" is a catch-all.
type Alias struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Domain      string `json:"domain"`
	Host        string `json:"host"`
}

// ErrNotUp says that no lab is up in a directory.
var ErrNotUp = errors.New("no lab is up")

// Load reads what [Up] wrote about the lab with that state directory; empty is [DefaultDir]. Without one it is an error for
// which errors.Is(err, ErrNotUp) holds.
func Load(dir string) (*Lab, error) {
	if dir == "" {
		dir = DefaultDir
	}
	file := filepath.Join(dir, "lab.json")
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot find a lab in %s: %w; start one with: runner lab up", dir, ErrNotUp)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the lab: %w", err)
	}
	var l Lab
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w; runner lab down, then runner lab up make a new one", file, err)
	}
	for _, h := range l.Hosts {
		h.dir = hostDir(dir, h.Name)
	}
	return &l, nil
}

// save writes lab.json so that it is there whole or not at all. It holds passwords: root alone may read it.
func (l *Lab) save() error {
	return writeJSON(filepath.Join(l.Options.Dir, "lab.json"), l)
}

// Host returns the host of that name.
func (l *Lab) Host(name string) (*Host, error) {
	known := ""
	for _, h := range l.Hosts {
		if h.Name == name {
			return h, nil
		}
		known += " " + h.Name
	}
	return nil, fmt.Errorf("cannot find a host %q in the lab: it has%s", name, known)
}

// Servers are the hosts that can be logged in to: all but dns.
func (l *Lab) Servers() []*Host {
	var out []*Host
	for _, h := range l.Hosts {
		if !h.isDNS() {
			out = append(out, h)
		}
	}
	return out
}

// initDNS is the first process of the host that serves the zones.
const initDNS = "knotd"

func (h *Host) isDNS() bool { return h.Init == initDNS }

// MailHosts are the hosts that have mailboxes.
func (l *Lab) MailHosts() []*Host {
	var out []*Host
	for _, h := range l.Hosts {
		if h.Vmail != "" {
			out = append(out, h)
		}
	}
	return out
}

// UsersOf are the accounts of one host.
func (l *Lab) UsersOf(host string) []User {
	var out []User
	for _, u := range l.Users {
		if u.Host == host {
			out = append(out, u)
		}
	}
	return out
}

func hostDir(dir, name string) string { return filepath.Join(dir, "hosts", name) }

// writeJSON replaces a file that only root may read.
func writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(name, append(b, '\n'), 0o600)
}

func readJSON(name string, v any) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// writeFile replaces a file whole, with exactly that mode.
func writeFile(name string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
