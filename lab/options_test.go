package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	t.Setenv(CacheVariable, "")
	for _, c := range []struct {
		what string
		o    Options
		says string // of the error; empty: taken
	}{
		{"nothing", Options{}, ""},
		{"a name", Options{Name: "ab12x"}, ""},
		{"a name too long for an interface", Options{Name: "abcdef"}, "cannot name a lab"},
		{"a name with a slash", Options{Name: "a/b"}, "cannot name a lab"},
		{"a suite that is too new", Options{OldSuite: "trixie"}, "the lab knows bullseye"},
		{"an unknown suite", Options{NewSuite: "woody"}, "the lab knows bookworm, trixie"},
		{"an unknown shape", Options{OldShape: "potato"}, "the lab knows wheezy, lenny"},
		{"Lenny's shape", Options{OldShape: "lenny"}, ""},
		{"too many messages", Options{Messages: 5_000_001}, "between 1 and 5000000"},
		{"less than none", Options{Messages: -2}, "between 1 and 5000000"},
		{"none", Options{Messages: -1}, ""},
		{"no network", Options{Network: "mine"}, "must be an IPv4 network"},
		{"IPv6", Options{Network: "2001:db8::/64"}, "must be an IPv4 network"},
		{"a network that is too small", Options{Network: "198.18.0.0/28"}, "at least 32 addresses"},
		{"an address in a network", Options{Network: "198.18.3.7/24"}, ""},
		{"a directory that overlayfs cannot name", Options{Dir: "/tmp/a,b"}, "must not hold"},
		{"the root as a directory", Options{Dir: "/"}, "nor be the root"},
		{"one directory for both", Options{Dir: "/tmp/x", Cache: "/tmp/x"}, "one directory"},
	} {
		got, err := c.o.withDefaults()
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", c.what, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: error %v, not %q", c.what, err, c.says)
		case c.says == "" && (got.Dir == "" || got.Cache == "" || got.Network == "" || got.Messages == 0):
			t.Errorf("%s: not everything is filled in: %+v", c.what, got)
		}
	}
	o, _ := Options{Name: "b"}.withDefaults()
	if o.Dir != DefaultDir+"-b" || o.Cache != DefaultCache {
		t.Errorf("a second lab has %s and %s", o.Dir, o.Cache)
	}
	t.Setenv(CacheVariable, "/tmp/other cache")
	if o, _ = (Options{}).withDefaults(); o.Cache != "/tmp/other cache" {
		t.Errorf("%s is not followed: %s", CacheVariable, o.Cache)
	}
}

func TestDifferences(t *testing.T) {
	is, err := Options{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if got := is.differences(Options{}); len(got) > 0 {
		t.Errorf("who asks for nothing is refused for %q", got)
	}
	got := strings.Join(is.differences(Options{Messages: 7, NewSuite: "trixie", SecondOld: true, Network: "198.18.0.0/24", OldSuite: "bullseye", OldShape: "lenny"}), ", ")
	if want := "--new-suite is bookworm, not trixie, --old-shape is wheezy, not lenny, --second-old is false, not true, --messages is 5000, not 7, --network is 198.51.100.0/24, not 198.18.0.0/24"; got != want {
		t.Errorf("says\n%s, not\n%s", got, want)
	}
}

// TestClaim: down removes the directory of the lab's state, so that it must never be somebody else's.
func TestClaim(t *testing.T) {
	dir := t.TempDir()
	if err := (Options{Dir: dir}).claim(); err != nil {
		t.Errorf("an empty directory: %v", err)
	}
	if err := (Options{Dir: dir}).claim(); err != nil {
		t.Errorf("its own directory: %v", err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "diary.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (Options{Dir: other}).claim(); err == nil || !strings.Contains(err.Error(), "it is not empty") {
		t.Errorf("somebody's directory: %v", err)
	}
}

func TestNotUp(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "runner lab up") {
		t.Errorf("no lab: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "lab.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "runner lab down") {
		t.Errorf("a broken record: %v", err)
	}
}

func TestPlan(t *testing.T) {
	o, err := Options{SecondOld: true, Network: "198.18.3.7/24", Messages: 10}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	l, err := o.plan()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{l.Gateway: "gateway"}
	for _, h := range l.Hosts {
		if other := seen[h.Address]; other != "" {
			t.Errorf("%s and %s have one address", h.Name, other)
		}
		seen[h.Address] = h.Name
		if !strings.HasPrefix(h.Address, "198.18.3.") {
			t.Errorf("%s has %s", h.Name, h.Address)
		}
	}
	if len(l.MailHosts()) != 3 {
		t.Errorf("%d mail hosts, not old, old2 and new", len(l.MailHosts()))
	}
	if len(l.UsersOf("old")) != 30 || len(l.UsersOf("old2")) != 8 || len(l.UsersOf("new")) != 2 {
		t.Errorf("%d, %d and %d users", len(l.UsersOf("old")), len(l.UsersOf("old2")), len(l.UsersOf("new")))
	}
	for _, zone := range []string{"", "example.net", "3.18.198.in-addr.arpa", "example.org", "resident.example", "orchard.example"} {
		if text := l.zoneText(zone); !strings.Contains(text, "SOA") {
			t.Errorf("zone %q: %s", zone, text)
		}
	}
	if _, err := l.Host("web"); err == nil || !strings.Contains(err.Error(), "it has dns old old2 new") {
		t.Errorf("a host that is not there: %v", err)
	}
}
