package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// DefaultTTL is that of every record at the beginning: short enough to see a change, long enough to be a TTL.
const DefaultTTL = 300

// fqdn is a name with the dot at its end; the root is "." alone.
func fqdn(name string) string { return strings.TrimSuffix(name, ".") + "." }

// zoneText is the zone file of a zone of the lab.
func (l *Lab) zoneText(zone string) string {
	var b strings.Builder
	rr := func(name, kind, data string) {
		fmt.Fprintf(&b, "%s %d IN %s %s\n", fqdn(name), DefaultTTL, kind, data)
	}
	ns := []string{"ns1." + infraZone + ".", "ns2." + infraZone + "."}
	rr(zone, "SOA", ns[0]+" hostmaster."+infraZone+". 2015010101 7200 900 1209600 60")
	for _, n := range ns {
		rr(zone, "NS", n)
	}
	switch {
	case zone == "":
		for _, z := range l.Zones[1:] {
			for _, n := range ns {
				rr(z, "NS", n)
			}
		}
		l.hostRecords(rr)
	case zone == infraZone:
		l.hostRecords(rr)
	case strings.HasSuffix(zone, ".in-addr.arpa"):
		rr(reverse(l.Gateway), "PTR", "operator."+infraZone+".")
		for i, a := range l.DNS {
			rr(reverse(a), "PTR", ns[i])
		}
		for _, h := range l.Servers() {
			rr(reverse(h.Address), "PTR", fqdn(h.Hostname))
		}
	case zone == webDomain:
		l.webRecords(zone, rr)
	default:
		l.mailRecords(zone, rr)
	}
	return b.String()
}

func (l *Lab) hostRecords(rr func(name, kind, data string)) {
	for i, a := range l.DNS {
		rr(fmt.Sprintf("ns%d.%s", i+1, infraZone), "A", a)
	}
	rr("operator."+infraZone, "A", l.Gateway)
	for _, h := range l.Servers() {
		rr(h.Hostname, "A", h.Address)
	}
}

func (l *Lab) mailRecords(domain string, rr func(name, kind, data string)) {
	for _, d := range l.Domains {
		if d.Name != domain {
			continue
		}
		h, err := l.Host(d.Host)
		if err != nil {
			continue
		}
		rr(domain, "MX", "10 "+fqdn(h.Hostname))
		rr(domain, "TXT", `"v=spf1 mx -all"`)
		for _, client := range []string{"imap", "smtp", "mail"} {
			rr(client+"."+domain, "CNAME", fqdn(h.Hostname))
		}
	}
}

// webRecords lead the names of a site to the host that has it.
func (l *Lab) webRecords(domain string, rr func(name, kind, data string)) {
	for _, d := range l.Domains {
		if h, err := l.Host(d.Host); err == nil && d.Name == domain {
			rr(domain, "A", h.Address)
			rr("www."+domain, "CNAME", fqdn(domain))
		}
	}
}

// reverse is the name of an IPv4 address in in-addr.arpa (RFC 1035, 3.5).
func reverse(address string) string {
	b := netip.MustParseAddr(address).As4()
	return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", b[3], b[2], b[1], b[0])
}

// zoneFile is where the DNS host has the zone.
func zoneFile(zone string) string {
	if zone == "" {
		zone = "root"
	}
	return "/var/lib/knot/zones/" + zone + ".zone"
}

// knotConfig is knot.conf(5). Whoever has the update key may change any zone; everybody may look at it whole.
func (l *Lab) knotConfig() string {
	var b strings.Builder
	// The PID file must not outlive the boot: knotd is always process 1, and would take the one before it for itself.
	b.WriteString("server:\n  rundir: /dev/shm\n  user: knot:knot\n  udp-workers: 1\n  tcp-workers: 2\n  background-workers: 1\n")
	for _, a := range slices.Concat(l.DNS, []string{"127.0.0.1"}) {
		fmt.Fprintf(&b, "  listen: %s@53\n", a)
	}
	// The zones belong to root; the journals of their changes lie beside them, where the server may write.
	b.WriteString("database:\n  storage: /var/lib/knot\n")
	fmt.Fprintf(&b, "log:\n  - target: stderr\n    any: info\n")
	fmt.Fprintf(&b, "key:\n  - id: %s\n    algorithm: hmac-sha256\n    secret: %s\n", l.UpdateKey, l.UpdateSecret)
	fmt.Fprintf(&b, "acl:\n  - id: change\n    key: %s\n    action: update\n  - id: look\n    address: %s\n    action: transfer\n", l.UpdateKey, l.Network)
	b.WriteString("template:\n  - id: default\n    storage: /var/lib/knot/zones\n    zonefile-sync: -1\n    journal-content: changes\n    acl: [ change, look ]\n")
	b.WriteString("zone:\n")
	for _, zone := range l.Zones {
		fmt.Fprintf(&b, "  - domain: %s\n    file: %s\n", fqdn(zone), zoneFile(zone))
	}
	return b.String()
}
