package modules

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"runner/modules/internal/probe"
	"runner/runtime/host"
	"runner/runtime/module"
)

// portCheckArgs are the arguments of port_check.
//
// A port is open when it takes a connection, closed when the server refuses one, and filtered when nothing comes back. A name is tried at
// each of its addresses, IPv4 and IPv6, when the runner connects itself: one old address is enough to lose clients. An address to which this
// machine has no route is left out when there is another. To wait until a port is open there is [wait_for].
//
// # Example
//
//	port_check { address = "mail.example.org", open = { 25, 587, 993 }, closed = { 3306, 143 } }
//	port_check { on = new, address = "192.0.2.7", open = { 3306 } }
//
// # Result
//
//   - ports (table): for each address and port, such as "192.0.2.1:25": "open", "closed" or "filtered"
//   - banners (table): what the server says first at an open port
type portCheckArgs struct {
	probeTarget
	// Ports that must be open.
	Open []int `lua:"open"`
	// Ports that must not be: they may be closed or filtered.
	Closed []int `lua:"closed"`
	// Whether the first line that a server says is read too. Not all say one.
	Banner bool `lua:"banner"`
}

// Validate checks what the types of the arguments cannot.
func (a *portCheckArgs) Validate() error {
	if len(a.Open)+len(a.Closed) == 0 {
		return errors.New("needs open or closed")
	}
	for _, p := range slices.Concat(a.Open, a.Closed) {
		if err := a.probeTarget.validate(p); err != nil {
			return err
		}
	}
	for _, p := range a.Open {
		if slices.Contains(a.Closed, p) {
			return fmt.Errorf("port %d cannot be open and closed", p)
		}
	}
	return nil
}

// portState is what was found at one port.
type portState struct {
	server  probe.Server
	wanted  string // "open" or "closed"
	state   string // "open", "closed", "filtered"
	banner  string
	noRoute bool
	err     error // nothing is known
}

const (
	portsAtOnce = 6 // an SSH connection has room for about ten channels
	bannerTime  = 2 * time.Second
)

func planPortCheck(ctx context.Context, a *portCheckArgs) (*module.Plan, error) {
	doing := "confirm the ports of " + a.host()
	addresses, err := a.addresses(ctx)
	if err != nil {
		return nil, a.failed(ctx, doing, err)
	}
	var states []*portState
	for _, address := range addresses {
		for _, p := range slices.Concat(a.Open, a.Closed) {
			s := &portState{server: a.server(p), wanted: "open"}
			s.server.Host = address
			if slices.Contains(a.Closed, p) {
				s.wanted = "closed"
			}
			states = append(states, s)
		}
	}
	a.tryAll(ctx, states)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	ports, banners, wrong := map[string]any{}, map[string]any{}, []error(nil)
	for _, s := range states {
		var lost *host.UnreachableError
		if errors.As(s.err, &lost) {
			return nil, s.err
		}
		if s.noRoute && otherFamilyTried(states, s) {
			continue
		}
		ports[s.server.Address()] = s.state
		if s.banner != "" {
			banners[s.server.Address()] = s.banner
		}
		if problem := s.problem(); problem != nil {
			wrong = append(wrong, problem)
		}
	}
	if len(wrong) > 0 {
		return nil, a.failed(ctx, doing, joinReasons(wrong))
	}
	return &module.Plan{
		Output: map[string]any{"ports": ports, "banners": banners},
		Note:   fmt.Sprintf("%d of %d as wanted at %s", len(ports), len(ports), strings.Join(addresses, ", ")),
	}, nil
}

// addresses are those that a name has. Through a host, the host finds them out itself.
func (a *portCheckArgs) addresses(ctx context.Context) ([]string, error) {
	name := a.host()
	if _, err := netip.ParseAddr(name); err == nil || a.On != nil {
		return []string{name}, nil
	}
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil, fmt.Errorf("the name %s has no address: %w", name, err)
	}
	var words []string
	for _, ip := range list {
		if text := ip.Unmap().String(); !slices.Contains(words, text) {
			words = append(words, text)
		}
	}
	return words, nil
}

func (a *portCheckArgs) tryAll(ctx context.Context, states []*portState) {
	limit := make(chan struct{}, portsAtOnce)
	var group sync.WaitGroup
	for _, s := range states {
		limit <- struct{}{}
		group.Go(func() {
			defer func() { <-limit }()
			s.try(ctx, a.Banner)
		})
	}
	group.Wait()
}

func (s *portState) try(ctx context.Context, banner bool) {
	conn, err := s.server.Connect(ctx)
	var refused *probe.Refused
	switch {
	case errors.As(err, &refused) && refused.Filtered:
		s.state, s.noRoute = "filtered", refused.Why == "network is unreachable"
	case errors.As(err, &refused):
		s.state = "closed"
	case err != nil:
		s.state, s.err = "unknown", err
	default:
		s.state = "open"
		if banner {
			s.banner = probe.Banner(ctx, conn, bannerTime)
		}
		conn.Close()
	}
}

// problem says why the port is not as wanted; nil: it is.
func (s *portState) problem() error {
	name := "port " + strconv.Itoa(s.server.Port) + " of " + s.server.Host
	switch {
	case s.err != nil:
		return fmt.Errorf("%s: %w", name, s.err)
	case s.wanted == "open" && s.state == "closed":
		return fmt.Errorf("%s is closed: the connection was refused", name)
	case s.wanted == "open" && s.state == "filtered":
		return fmt.Errorf("%s is filtered: nothing came back", name)
	case s.wanted == "closed" && s.state == "open":
		return fmt.Errorf("%s is open and should not be", name)
	}
	return nil
}

// otherFamilyTried says whether the same port was tried at an address to which there is a route.
func otherFamilyTried(states []*portState, s *portState) bool {
	return slices.ContainsFunc(states, func(o *portState) bool { return o.server.Port == s.server.Port && !o.noRoute })
}
