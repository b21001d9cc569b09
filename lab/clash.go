package lab

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// neighbour is something that this machine reaches now and would not reach any more if the lab had its addresses.
type neighbour struct {
	to   netip.Prefix
	what string // for an error: "eth0 of this machine"
}

// clash finds what a network would hide.
func clash(network netip.Prefix, list []neighbour) error {
	for _, n := range list {
		if n.to.Bits() == 0 || !n.to.Overlaps(network) {
			continue // the default route leads everywhere
		}
		address := n.to.String()
		if n.to.IsSingleIP() {
			address = n.to.Addr().String()
		}
		return fmt.Errorf("cannot use the network %s for the lab: %s is at %s, and this machine would not reach it any more; choose another network with --network",
			network, n.what, address)
	}
	return nil
}

// checkNetwork refuses a network in which something lies that this machine needs: its own addresses, what it has routes to, its
// name servers, the mirrors of Debian and the proxies before them.
func (o Options) checkNetwork(ctx context.Context, m mirrors) error {
	prefix, err := o.prefix()
	if err != nil {
		return err
	}
	own, err := ownAddresses(o.link())
	if err != nil {
		return err
	}
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return fmt.Errorf("cannot read the routes of this machine: %w", err)
	}
	resolv, _ := os.ReadFile("/etc/resolv.conf")
	for _, list := range [][]neighbour{own, parseRoutes(string(routes), o.link()), nameServers(string(resolv)), servers(ctx, m)} {
		if err := clash(prefix, list); err != nil {
			return err
		}
	}
	return nil
}

// ownAddresses are the IPv4 addresses of this machine, but for those of one interface.
func ownAddresses(except string) ([]neighbour, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("cannot read the interfaces of this machine: %w", err)
	}
	var out []neighbour
	for _, link := range links {
		addresses, _ := link.Addrs() // of an interface that has just gone
		for _, a := range addresses {
			n, ok := a.(*net.IPNet)
			if !ok || link.Name == except {
				continue
			}
			if at, ok := netip.AddrFromSlice(n.IP.To4()); ok {
				out = append(out, neighbour{netip.PrefixFrom(at, 32), "the interface " + link.Name + " of this machine"})
			}
		}
	}
	return out, nil
}

// parseRoutes reads /proc/net/route (proc_net(5)): destination and mask are hexadecimal numbers in the machine's byte order,
// little-endian on every machine that Debian's current mail servers run on. Routes through one interface are left out.
func parseRoutes(text, except string) []neighbour {
	var out []neighbour
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 || fields[0] == except {
			continue
		}
		to, err1 := hex.DecodeString(fields[1])
		mask, err2 := hex.DecodeString(fields[7])
		if err1 != nil || err2 != nil || len(to) != 4 || len(mask) != 4 {
			continue
		}
		bits, size := net.IPv4Mask(mask[3], mask[2], mask[1], mask[0]).Size()
		if size == 0 {
			continue
		}
		network := netip.PrefixFrom(netip.AddrFrom4([4]byte{to[3], to[2], to[1], to[0]}), bits)
		out = append(out, neighbour{network, "the network behind " + fields[0] + " of this machine"})
	}
	return out
}

// nameServers reads resolv.conf(5).
func nameServers(text string) []neighbour {
	var out []neighbour
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if at, err := netip.ParseAddr(fields[1]); err == nil && at.Is4() {
			out = append(out, neighbour{netip.PrefixFrom(at, 32), "the name server of this machine"})
		}
	}
	return out
}

// servers are where packages come from. A name that cannot be looked up is passed over: with a full cache nobody is asked, and with an
// empty one apt says it better.
func servers(ctx context.Context, m mirrors) []neighbour {
	addresses := map[string]string{}
	for _, mirror := range []string{m.Archive, m.Security} {
		addresses[mirror] = "the package mirror"
	}
	for _, name := range []string{"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"} {
		addresses[os.Getenv(name)] = "the proxy"
	}
	for _, setting := range aptProxies(ctx) {
		addresses[setting.value] = "the proxy of apt"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var out []neighbour
	for address, what := range addresses {
		u, err := url.Parse(address)
		if err != nil || u.Hostname() == "" {
			continue
		}
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", u.Hostname())
		if err != nil {
			continue
		}
		for _, at := range found {
			out = append(out, neighbour{netip.PrefixFrom(at.Unmap(), 32), what + " " + u.Hostname()})
		}
	}
	return out
}
