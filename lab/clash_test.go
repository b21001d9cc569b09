package lab

import (
	"net/netip"
	"strings"
	"testing"
)

const routeTable = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
tun0	0000100A	00000000	0001	0	0	0	0000FFFF	0	0	0
runnerlab-lab	006433C6	00000000	0001	0	0	0	00FFFFFF	0	0	0
broken	zz
`

func TestParseRoutes(t *testing.T) {
	var got []string
	for _, n := range parseRoutes(routeTable, "runnerlab-lab") {
		got = append(got, n.to.String())
	}
	if want := "0.0.0.0/0 192.0.2.0/24 10.16.0.0/16"; strings.Join(got, " ") != want {
		t.Errorf("read %q, not %q", got, want)
	}
}

func TestClash(t *testing.T) {
	single := func(address, what string) neighbour { return neighbour{netip.MustParsePrefix(address + "/32"), what} }
	list := append(parseRoutes(routeTable, ""), nameServers("# mine\nnameserver 198.18.7.1\nnameserver fe80::1%eth0\nsearch x\n")...)
	list = append(list, single("203.0.113.80", "the package mirror deb.example"), single("198.18.9.2", "the interface eth1 of this machine"))
	for _, c := range []struct{ network, says string }{
		{"198.18.20.0/24", ""},
		{"192.0.2.128/25", "the network behind eth0 of this machine is at 192.0.2.0/24"},
		{"192.0.0.0/8", "the network behind eth0 of this machine is at 192.0.2.0/24"},
		{"10.16.200.0/24", "the network behind tun0 of this machine is at 10.16.0.0/16"},
		{"10.17.0.0/24", ""},
		{"203.0.113.0/24", "the package mirror deb.example is at 203.0.113.80"},
		{"198.18.7.0/24", "the name server of this machine is at 198.18.7.1"},
		{"198.18.9.0/27", "the interface eth1 of this machine is at 198.18.9.2"},
	} {
		err := clash(netip.MustParsePrefix(c.network), list)
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: refused: %v", c.network, err)
		case c.says != "" && err == nil:
			t.Errorf("%s: taken, though %s", c.network, c.says)
		case c.says != "" && (!strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "--network")):
			t.Errorf("%s: says %q, not %q and how to go on", c.network, err, c.says)
		}
	}
}

// TestOwnNetwork asks this very machine.
func TestOwnNetwork(t *testing.T) {
	own, err := ownAddresses("")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, n := range own {
		if n.to.Addr().IsLoopback() {
			continue
		}
		tried++
		o := Options{Network: netip.PrefixFrom(n.to.Addr(), 24).Masked().String()}
		if err := o.checkNetwork(t.Context(), mirrors{}); err == nil {
			t.Errorf("a lab may have %s, though %s has %s", o.Network, n.what, n.to.Addr())
		}
	}
	if tried == 0 {
		t.Skip("SKIPPED, nothing was tested: this machine has no address but its loopback ones")
	}
	// The mirror is an address here, so that no look-up takes part.
	o := Options{Network: "198.18.21.0/24"}
	err = o.checkNetwork(t.Context(), mirrors{Archive: "http://198.18.21.9:3142/debian"})
	if err == nil || !strings.Contains(err.Error(), "package mirror 198.18.21.9") {
		t.Errorf("a network that holds the mirror: %v", err)
	}
}
