package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Defaults of [Options].
const (
	DefaultName     = "lab"
	DefaultDir      = "/var/lib/runner-lab"
	DefaultCache    = "/var/cache/runner-lab"
	DefaultNetwork  = "198.51.100.0/24" // TEST-NET-2 (RFC 5737): no mail server of the world can have such an address
	DefaultMessages = 5000
	DefaultOld      = "bullseye"
	DefaultNew      = "bookworm"
	DefaultShape    = "wheezy"
)

// CacheVariable is an environment variable that names another cache than DefaultCache.
const CacheVariable = "RUNNER_LAB_CACHE"

const maxMessages = 5_000_000

// Suites that the lab knows how to set up.
var (
	OldSuites = []string{"bullseye"}
	NewSuites = []string{"bookworm", "trixie"}
	// Shapes are what the tutorial of which release the old servers were set up by: the tables, the paths, the names.
	// A lab of shape "web" has web servers instead of mail servers, the new one too.
	Shapes = []string{"wheezy", "lenny", shapeWeb}
)

// Options say what lab to set up. The zero value is the default lab.
type Options struct {
	Name      string `json:"name"`       // distinguishes several labs on one machine: 1 to 5 of a-z and 0-9; default "lab"
	Dir       string `json:"dir"`        // state; default DefaultDir, with "-NAME" for another name
	Cache     string `json:"cache"`      // root file systems, shared by all labs; default that of CacheVariable, or DefaultCache
	Network   string `json:"network"`    // IPv4 network, at least a /27
	OldSuite  string `json:"old_suite"`  // Debian release of the old servers
	NewSuite  string `json:"new_suite"`  // Debian release of the new server
	OldShape  string `json:"old_shape"`  // tutorial that the old servers were set up by, or "web"
	SecondOld bool   `json:"second_old"` // with a second old server, "old2", for merges
	Messages  int    `json:"messages"`   // messages on the old server; 0 is DefaultMessages, -1 none
	Mirror    string `json:"mirror"`     // Debian mirror; default: that of the machine's apt configuration
	Install   bool   `json:"-"`          // install missing packages of the machine instead of naming them
}

var nameShape = regexp.MustCompile(`^[a-z][a-z0-9]{0,4}$`)

// withDefaults fills in what is not set and checks the rest.
func (o Options) withDefaults() (Options, error) {
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&o.Name, DefaultName)
	if !nameShape.MatchString(o.Name) {
		// The longest name made of it is an interface, which has at most 15 bytes (IFNAMSIZ).
		return o, fmt.Errorf("cannot name a lab %q: a name is a letter and at most four more letters or digits, in lower case", o.Name)
	}
	dir := DefaultDir
	if o.Name != DefaultName {
		dir += "-" + o.Name
	}
	set(&o.Dir, dir)
	set(&o.Cache, os.Getenv(CacheVariable))
	set(&o.Cache, DefaultCache)
	set(&o.Network, DefaultNetwork)
	set(&o.OldSuite, DefaultOld)
	set(&o.NewSuite, DefaultNew)
	set(&o.OldShape, DefaultShape)
	switch {
	case o.Messages == 0:
		o.Messages = DefaultMessages
	case o.Messages == -1:
		// kept: 0 means the default
	case o.Messages < 0 || o.Messages > maxMessages:
		return o, fmt.Errorf("cannot seed %d messages: the number must lie between 1 and %d", o.Messages, maxMessages)
	}
	if !slices.Contains(OldSuites, o.OldSuite) {
		return o, fmt.Errorf("cannot set up %q as the old server: the lab knows %s", o.OldSuite, strings.Join(OldSuites, ", "))
	}
	if !slices.Contains(NewSuites, o.NewSuite) {
		return o, fmt.Errorf("cannot set up %q as the new server: the lab knows %s", o.NewSuite, strings.Join(NewSuites, ", "))
	}
	if !slices.Contains(Shapes, o.OldShape) {
		return o, fmt.Errorf("cannot give the old server the shape %q: the lab knows %s", o.OldShape, strings.Join(Shapes, ", "))
	}
	if o.SecondOld && o.OldShape == shapeWeb {
		return o, errors.New("cannot set up a second old server beside web servers: it is for merges of mail servers")
	}
	if _, err := o.prefix(); err != nil {
		return o, err
	}
	for _, path := range []*string{&o.Dir, &o.Cache} {
		abs, err := filepath.Abs(*path)
		if err != nil {
			return o, err
		}
		if strings.ContainsAny(abs, `,:\"`) || abs == "/" {
			return o, fmt.Errorf(`cannot use the directory %q: the lab's path must not hold any of , : \ or a quote, nor be the root`, abs)
		}
		*path = abs
	}
	if o.Dir == o.Cache {
		return o, errors.New("cannot use one directory for the state and the cache of the lab: down removes the state")
	}
	return o, nil
}

func (o Options) prefix() (netip.Prefix, error) {
	p, err := netip.ParsePrefix(o.Network)
	if err != nil || !p.Addr().Is4() || p.Bits() > 27 || p.Bits() < 8 {
		return p, fmt.Errorf("cannot use the network %q: it must be an IPv4 network of at least 32 addresses, such as %s", o.Network, DefaultNetwork)
	}
	return p.Masked(), nil
}

// differences names the settings in which a lab that is up is not what is asked for; what was not asked for may be anything.
func (o Options) differences(asked Options) []string {
	var out []string
	differ := func(flag string, is, want any, asked bool) {
		if asked && is != want {
			out = append(out, fmt.Sprintf("--%s is %v, not %v", flag, is, want))
		}
	}
	differ("old-suite", o.OldSuite, asked.OldSuite, asked.OldSuite != "")
	differ("new-suite", o.NewSuite, asked.NewSuite, asked.NewSuite != "")
	differ("old-shape", o.OldShape, asked.OldShape, asked.OldShape != "")
	differ("second-old", o.SecondOld, asked.SecondOld, asked.SecondOld)
	differ("messages", o.Messages, asked.Messages, asked.Messages != 0)
	differ("network", o.Network, asked.Network, asked.Network != "")
	return out
}
