package lab

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// prefixAll begins every name that the lab gives to anything outside its directories.
const prefixAll = "runnerlab-"

const netnsDir = "/run/netns"

// netns is the name of the network namespace of a host; "net" is that of the bridge.
func (o Options) netns(host string) string { return prefixAll + o.Name + "-" + host }

// link is the interface on this machine that leads into the lab.
func (o Options) link() string { return prefixAll + o.Name }

func (o Options) netnsPath(host string) string { return filepath.Join(netnsDir, o.netns(host)) }

// ip runs ip(8).
func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot run ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// createNetwork makes a namespace with a bridge, one for each host, and the links between them and to this machine. There is
// no default route in any of them, and this machine does not forward for them.
func (l *Lab) createNetwork(ctx context.Context) error {
	o := l.Options
	prefix := netip.MustParsePrefix(l.Network)
	with := func(address string) string { return fmt.Sprintf("%s/%d", address, prefix.Bits()) }
	bridge := o.netns("net")
	steps := [][]string{
		{"netns", "add", bridge},
		{"-n", bridge, "link", "add", "br0", "type", "bridge"},
		{"-n", bridge, "link", "set", "br0", "up"},
		{"link", "add", o.link(), "type", "veth", "peer", "name", "machine", "netns", bridge},
		{"-n", bridge, "link", "set", "machine", "master", "br0", "up"},
	}
	for _, h := range l.Hosts {
		steps = append(steps,
			[]string{"netns", "add", h.NetNS},
			[]string{"-n", bridge, "link", "add", h.Name, "type", "veth", "peer", "name", "eth0", "netns", h.NetNS},
			[]string{"-n", bridge, "link", "set", h.Name, "master", "br0", "up"},
			[]string{"-n", h.NetNS, "addr", "add", with(h.Address), "dev", "eth0"},
		)
		if h.Name == "dns" {
			for _, a := range l.DNS[1:] {
				steps = append(steps, []string{"-n", h.NetNS, "addr", "add", with(a), "dev", "eth0"})
			}
		}
	}
	for _, step := range steps {
		if err := ip(ctx, step...); err != nil {
			return err
		}
	}
	// Nothing of the lab passes through this machine, whatever its own forwarding says.
	for name, value := range map[string]string{"ipv4/conf/%s/forwarding": "0", "ipv6/conf/%s/disable_ipv6": "1"} {
		err := os.WriteFile("/proc/sys/net/"+fmt.Sprintf(name, o.link()), []byte(value), 0o644)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot close the way out of the lab: %w", err)
		}
	}
	if err := ip(ctx, "addr", "add", with(l.Gateway), "dev", o.link()); err != nil {
		return err
	}
	return ip(ctx, "link", "set", o.link(), "up")
}

// linkUp sets the interfaces of a host up. The halt of a SysV host sets them down in the namespace that outlives it.
func (h *Host) linkUp(ctx context.Context) error {
	for _, dev := range []string{"lo", "eth0"} {
		if err := ip(ctx, "-n", h.NetNS, "link", "set", dev, "up"); err != nil {
			return err
		}
	}
	return nil
}

// route is a destination that this machine reaches through an interface.
type route struct {
	to  netip.Prefix
	dev string
}

// parseRoutes reads /proc/net/route (proc_net(5)): destination and mask are hexadecimal numbers in the machine's byte order,
// little-endian on every machine that Debian's current mail servers run on.
func parseRoutes(text string) []route {
	var out []route
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 {
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
		out = append(out, route{netip.PrefixFrom(netip.AddrFrom4([4]byte{to[3], to[2], to[1], to[0]}), bits), fields[0]})
	}
	return out
}

// clash looks for a route of this machine that the lab's network would hide. The default route is none, nor is what leads
// into the lab itself.
func clash(network netip.Prefix, routes []route, own string) error {
	for _, r := range routes {
		if r.to.Bits() > 0 && r.dev != own && r.to.Overlaps(network) {
			return fmt.Errorf("cannot use the network %s for the lab: this machine reaches %s in it through %s; choose another one with --network", network, r.to, r.dev)
		}
	}
	return nil
}

// checkNetwork refuses a network that this machine already uses.
func (o Options) checkNetwork() error {
	prefix, err := o.prefix()
	if err != nil {
		return err
	}
	b, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return fmt.Errorf("cannot read the routes of this machine: %w", err)
	}
	if err := clash(prefix, parseRoutes(string(b)), o.link()); err != nil {
		return err
	}
	links, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("cannot read the interfaces of this machine: %w", err)
	}
	for _, link := range links {
		addresses, _ := link.Addrs()
		for _, a := range addresses {
			n, ok := a.(*net.IPNet)
			if !ok || link.Name == o.link() {
				continue
			}
			if at, ok := netip.AddrFromSlice(n.IP.To4()); ok && prefix.Contains(at) {
				return fmt.Errorf("cannot use the network %s for the lab: %s of this machine has the address %s; choose another one with --network", prefix, link.Name, at)
			}
		}
	}
	return nil
}
