package lab

import (
	"context"
	"errors"
	"fmt"
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
