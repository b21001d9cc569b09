package modules

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"runner/modules/internal/authority"
	"runner/runtime/host"
	"runner/runtime/module"
)

func dnsModules() []module.Module {
	return []module.Module{module.Define("dns_check",
		"Asks all authoritative name servers of domains for their MX, and waits until they agree", planDNSCheck)}
}

// dnsCheckArgs are domains and the MX that they are to have.
//
// A domain is as wanted when every address of every name server, those of the delegation as well as those that the zone names, answers with
// authority and with exactly this MX. A server that does not answer, or not with authority, is unknown, and that is never as wanted; only
// an address to which this machine has no route (IPv6) is left out when the same server answers at another one. An MX that is an alias or has no
// address is never as wanted. The name of an MX is never asked for at a resolver, which would remember that it is not there yet.
//
// # Example
//
//	dns_check { domains = { "example.org" }, mx = "mail.example.org", wait = "2h" }
//	for name, d in pairs(dns_check { domains = params.domains }.domains) do say(name .. ": " .. table.concat(d.mx, ", ")) end
//
// # Result
//
//   - agreed (boolean): whether all is as wanted
//   - domains (table): a table for each domain: agreed, exists, zone, mx (names of hosts), ttl (seconds), serial, addresses (of each MX), notes, problems, and servers, a list of tables with name, address, known, says, mx, ttl, serial
type dnsCheckArgs struct {
	// The domains, such as { "example.org" }. Names with other letters than ASCII are given in their xn-- form.
	Domains []string `lua:"domains,required"`
	// The MX that each domain is to have: the name of a host, or a list of names. "10 mail.example.org" demands the preference too, "."
	// is the null MX of a domain that takes no mail. Nothing more and nothing less may be there. Without it the domains are only looked at.
	MX any `lua:"mx" type:"string or list of string"`
	// How long to wait until every name server of every domain says so. Without it a server that does not is an error.
	Wait time.Duration `lua:"wait"`
	// Time between two looks while waiting.
	Interval time.Duration `lua:"interval" default:"10s"`
	// The largest TTL that the MX records may have.
	TTLMax time.Duration `lua:"ttl_max"`
	// Host through whose connection the servers are asked, over TCP. Without it the runner asks them itself.
	On *host.View `lua:"on"`
	// Address of the resolver that says where the name servers are, "192.0.2.1" or "192.0.2.1:5353". Without it those of /etc/resolv.conf.
	Resolver string `lua:"resolver"`
	// Port of the name servers, for a rehearsal that cannot use the usual one.
	Port int `lua:"port" default:"53"`
}

var (
	hostName     = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)
	mxPreference = regexp.MustCompile(`^\s*(?:(\d{1,5})\s+)?(\S+)\s*$`)
)

// wantedMX is one MX as a recipe asks for it.
type wantedMX struct {
	host       string // as [authority.MX] has it
	preference int    // -1: any
}

func (w wantedMX) String() string {
	name := w.host
	if name == "" {
		name = "."
	}
	if w.preference >= 0 {
		return fmt.Sprintf("%d %s", w.preference, name)
	}
	return name
}

// Validate checks what the types of the arguments cannot.
func (a *dnsCheckArgs) Validate() error {
	if len(a.Domains) == 0 {
		return errors.New("domains is empty: nothing would be checked")
	}
	for _, d := range a.Domains {
		if !hostName.MatchString(d) || len(d) > 254 {
			return fmt.Errorf("domains: %q is no domain (names with other letters than ASCII are given in their xn-- form)", d)
		}
	}
	if _, err := a.wanted(); err != nil {
		return err
	}
	if a.Resolver != "" {
		if _, err := authority.ParseServer(a.Resolver); err != nil {
			return fmt.Errorf("resolver must be an address such as \"192.0.2.1\", not %q", a.Resolver)
		}
	}
	if a.Port < 1 || a.Port > 65535 {
		return fmt.Errorf("port must be between 1 and 65535, not %d", a.Port)
	}
	if a.Wait > 0 && a.MX == nil && a.TTLMax == 0 {
		return errors.New("wait needs mx or ttl_max: there is nothing to wait for")
	}
	return nil
}

func (a *dnsCheckArgs) wanted() ([]wantedMX, error) {
	var texts []string
	switch v := a.MX.(type) {
	case nil:
		return nil, nil
	case string:
		texts = []string{v}
	case []any:
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil, errors.New("mx must be a string or a list of strings")
			}
			texts = append(texts, s)
		}
	default:
		return nil, errors.New("mx must be a string or a list of strings")
	}
	if len(texts) == 0 {
		return nil, errors.New(`mx is empty; a domain that takes no mail has the null MX: mx = "."`)
	}
	var list []wantedMX
	for _, text := range texts {
		w, err := parseMX(text)
		if err != nil {
			return nil, err
		}
		if w.host == "" && len(texts) > 1 {
			return nil, errors.New(`mx: the null MX "." must stand alone (RFC 7505, 3)`)
		}
		list = append(list, w)
	}
	return list, nil
}

// parseMX reads "mail.example.org" or "10 mail.example.org".
func parseMX(text string) (wantedMX, error) {
	m := mxPreference.FindStringSubmatch(text)
	if m == nil {
		return wantedMX{}, fmt.Errorf("mx: %q is neither a host nor a preference and a host", text)
	}
	w := wantedMX{preference: -1}
	if m[1] != "" {
		n, _ := strconv.Atoi(m[1])
		if n > 65535 {
			return w, fmt.Errorf("mx: a preference is at most 65535, not %d", n)
		}
		w.preference = n
	}
	if m[2] == "." {
		return w, nil
	}
	w.host = strings.ToLower(strings.TrimSuffix(m[2], "."))
	if _, err := netip.ParseAddr(w.host); err == nil {
		return w, fmt.Errorf("mx: an MX names a host, never an address (RFC 5321, 5.1): %q", text)
	}
	if !hostName.MatchString(w.host) || !strings.Contains(w.host, ".") {
		return w, fmt.Errorf("mx: %q is not the whole name of a host, such as \"mail.example.org\"", text)
	}
	return w, nil
}

func planDNSCheck(ctx context.Context, a *dnsCheckArgs) (*module.Plan, error) {
	c, err := newDNSCheck(ctx, a)
	if err != nil {
		return nil, err
	}
	states, err := c.look(ctx, nil)
	if err != nil {
		return nil, err
	}
	plan := &module.Plan{Output: c.output(states)}
	wrong := notAsWanted(states)
	switch {
	case len(wrong) == 0:
		plan.Note = c.agreement(states)
	case a.MX == nil && a.TTLMax == 0 && !slices.ContainsFunc(wrong, func(s *domainState) bool { return s.unasked() }):
		plan.Note = "not all is well: " + strings.Join(reports(wrong), "; ")
	case a.Wait == 0:
		return nil, c.failure("cannot confirm", wrong)
	default:
		plan.Changes = []module.Change{{
			Summary: fmt.Sprintf("wait until every name server of %s says %s, at most %s", domainsOf(wrong), c.want(), a.Wait),
			Before:  strings.Join(reports(wrong), "\n"), After: c.want(),
			Wait: true,
			Apply: func(ctx context.Context, do *module.Apply) error {
				return c.wait(ctx, do, states)
			},
		}}
	}
	return plan, nil
}

// dnsCheck is one call of the module.
type dnsCheck struct {
	args   *dnsCheckArgs
	client *authority.Client
	mx     []wantedMX
}

func newDNSCheck(ctx context.Context, a *dnsCheckArgs) (*dnsCheck, error) {
	c := &dnsCheck{args: a, client: &authority.Client{Port: uint16(a.Port)}}
	c.mx, _ = a.wanted() // Validate has tried it
	if a.On != nil {
		c.client.TCP, c.client.Dial = true, a.On.Dial
	}
	if a.Resolver != "" {
		r, err := authority.ParseServer(a.Resolver)
		c.client.Resolvers = []netip.AddrPort{r}
		return c, err
	}
	conf, where, err := resolvConf(ctx, a.On)
	if err != nil {
		return nil, fmt.Errorf("cannot read the resolvers of %s: %w", where, err)
	}
	if c.client.Resolvers = authority.ParseResolvConf(conf); len(c.client.Resolvers) == 0 {
		return nil, module.WithHint(fmt.Errorf("cannot ask the DNS: /etc/resolv.conf of %s names no resolver", where), `name one with resolver = "192.0.2.1"`)
	}
	return c, nil
}

func resolvConf(ctx context.Context, on *host.View) (text, where string, err error) {
	const file = "/etc/resolv.conf"
	var data []byte
	if on == nil {
		data, err = os.ReadFile(file)
		return string(data), "this machine", err
	}
	data, err = on.ReadFile(ctx, file)
	return string(data), on.Name(), err
}

func (c *dnsCheck) want() string {
	var words []string
	for _, w := range c.mx {
		words = append(words, w.String())
	}
	text := strings.Join(words, ", ")
	if max := c.args.TTLMax; max > 0 {
		text = strings.TrimPrefix(fmt.Sprintf("%s with a TTL of at most %d s", text, int(max.Seconds())), " ")
	}
	return text
}

func domainsOf(states []*domainState) string {
	var names []string
	for i, s := range states {
		if i == 3 && len(states) > 4 {
			return fmt.Sprintf("%s and %d more domains", strings.Join(names, ", "), len(states)-3)
		}
		names = append(names, s.domain)
	}
	return strings.Join(names, ", ")
}

func (c *dnsCheck) agreement(states []*domainState) string {
	servers := 0
	for _, s := range states {
		servers += len(s.answers)
	}
	if c.args.MX == nil && c.args.TTLMax == 0 {
		return fmt.Sprintf("looked at %d domains on %d servers", len(states), servers)
	}
	return fmt.Sprintf("every server of %s says so (%d answers)", domainsOf(states), servers)
}

// wait looks again and again at the domains that are not as wanted.
func (c *dnsCheck) wait(ctx context.Context, do *module.Apply, states []*domainState) error {
	deadline := time.Now().Add(c.args.Wait)
	for {
		wrong := notAsWanted(states)
		if len(wrong) == 0 {
			return nil
		}
		if !time.Now().Before(deadline) {
			return c.failure(fmt.Sprintf("cannot wait longer than %s for", c.args.Wait), wrong)
		}
		do.Progress(module.Progress{
			Label: fmt.Sprintf("%s: %s", wrong[0].domain, wrong[0].wrong[0]),
			Done:  int64(len(states) - len(wrong)), Total: int64(len(states)), Unit: "domains",
		})
		if err := sleep(ctx, min(c.args.Interval, max(time.Until(deadline), 0))); err != nil {
			return err
		}
		var err error
		if states, err = c.look(ctx, states); err != nil {
			return err
		}
	}
}

// failure tells of every domain that is not as wanted what is there, server by server.
func (c *dnsCheck) failure(verb string, wrong []*domainState) error {
	lines := reports(wrong)
	const most = 30
	if len(lines) > most {
		lines = append(lines[:most], fmt.Sprintf("… and %d lines more", len(lines)-most))
	}
	text := fmt.Sprintf("%s the MX of %s; wanted: %s\n  %s", verb, domainsOf(wrong), c.want(), strings.Join(lines, "\n  "))
	hint := "change the records at whoever runs the zone"
	if c.args.Wait == 0 {
		hint += `; wait = "2h" would wait for it`
	}
	if slices.ContainsFunc(wrong, func(s *domainState) bool { return s.err != nil }) {
		hint = "look at the names and the resolver"
	}
	return module.WithHint(errors.New(text), hint)
}
