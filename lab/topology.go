package lab

import (
	"fmt"
	"net/netip"

	"runner/lab/internal/seed"
)

// Names that are the same in every lab. The provisioned layers contain them, so that labs can share them.
const (
	infraZone        = "example.net" // zone of the servers' own names
	vmailRoot        = "/var/vmail"
	vmailRootLenny   = "/home/vmail"
	sudoUser         = "admin"
	sudoPassword     = "let me do it"
	dbRootPassword   = "wheezy root 4711"
	maintPassword    = "gHk2vQz8WmTxR1aB"
	mailuserPassword = "mailuser2011"

	shapeWeb     = "web" // of both servers: a shop with files and a database
	webDomain    = "shop.example"
	webRoot      = "/var/www/shop.example"
	shopPassword = "Kaffee & Kuchen 5%"
)

// Offsets of the addresses in the lab's network.
const (
	offsetGateway = 1
	offsetDNS     = 2
	offsetDNS2    = 3
	offsetOld     = 10
	offsetOld2    = 11
	offsetNew     = 20
)

// plan makes the lab of the options: hosts, addresses, accounts. Nothing is started by it.
func (o Options) plan() (*Lab, error) {
	prefix, err := o.prefix()
	if err != nil {
		return nil, err
	}
	address := func(offset int) string {
		a := prefix.Addr()
		for range offset {
			a = a.Next()
		}
		return a.String()
	}
	l := &Lab{
		Options: o, Network: prefix.String(), Gateway: address(offsetGateway),
		DNS:      []string{address(offsetDNS), address(offsetDNS2)},
		SudoUser: sudoUser, SudoPassword: sudoPassword,
		Database: "mailserver", DatabaseUser: "mailuser", DatabasePassword: mailuserPassword,
	}
	l.paths()
	dns := &Host{Name: "dns", Hostname: "ns1." + infraZone, Address: l.DNS[0], Suite: o.NewSuite, Init: initDNS}
	l.Hosts = append(l.Hosts, dns)
	kind := "mail"
	add := func(name string, offset int, h Host) {
		h.Name, h.Hostname, h.Address, h.SSHPort = name, kind+"-"+name+"."+infraZone, address(offset), 22
		l.Hosts = append(l.Hosts, &h)
	}
	if o.OldShape == shapeWeb {
		kind, dns.Shape = "web", shapeWeb
		l.Database, l.DatabaseUser, l.DatabasePassword = "shop", "shop", shopPassword
		add("old", offsetOld, Host{Suite: o.OldSuite, Init: "sysvinit", Shape: shapeWeb, WebRoot: webRoot, DatabaseRootPassword: dbRootPassword, Domains: []string{webDomain}})
		add("new", offsetNew, Host{Suite: o.NewSuite, Init: "systemd", Shape: shapeWeb, WebRoot: webRoot})
		l.Domains = append(l.Domains, Domain{Name: webDomain, Host: "old"})
		return l.place(prefix), nil
	}
	old := Host{Suite: o.OldSuite, Init: "sysvinit", Shape: o.OldShape, Vmail: vmailRoot, DatabaseRootPassword: dbRootPassword}
	if o.OldShape == "lenny" {
		old.Vmail = vmailRootLenny
	}
	add("old", offsetOld, old)
	if o.SecondOld {
		add("old2", offsetOld2, old)
	}
	add("new", offsetNew, Host{Suite: o.NewSuite, Init: "systemd", Vmail: vmailRoot})
	for _, h := range l.MailHosts() {
		l.adopt(h, seed.For(h.Name, o.Messages, h.Shape))
	}
	return l.place(prefix), nil
}

// place says where the state of each host lies, and which zones there are.
func (l *Lab) place(prefix netip.Prefix) *Lab {
	for _, h := range l.Hosts {
		h.dir = hostDir(l.Options.Dir, h.Name)
		h.NetNS = l.Options.netns(h.Name)
	}
	l.Zones = l.zones(prefix)
	return l
}

// adopt notes the accounts that a host gets.
func (l *Lab) adopt(h *Host, s *seed.Seed) {
	for _, d := range s.Domains {
		h.Domains = append(h.Domains, d.Name)
		l.Domains = append(l.Domains, Domain{Name: d.Name, Host: h.Name})
		for _, u := range d.Users {
			l.Users = append(l.Users, User{Email: u.Email, Password: u.Password, Domain: d.Name, Host: h.Name})
		}
		for _, a := range d.Aliases {
			l.Aliases = append(l.Aliases, Alias{Source: a.Source, Destination: a.Destination, Domain: d.Name, Host: h.Name})
		}
	}
}

// zones are the zones that the lab's DNS server is authoritative for: everything, since it has the root, too.
func (l *Lab) zones(prefix netip.Prefix) []string {
	b := prefix.Addr().As4()
	out := []string{"", infraZone, fmt.Sprintf("%d.%d.%d.in-addr.arpa", b[2], b[1], b[0])}
	for _, d := range l.Domains {
		out = append(out, d.Name)
	}
	return out
}
