package modules

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"runner/modules/internal/authority"
	"runner/runtime/host"
	"runner/runtime/module"
)

func dnsModules() []module.Module {
	return []module.Module{module.Define("dns_check",
		"Asks all authoritative name servers where domains and names lead, and waits until they agree", planDNSCheck)}
}

// dnsCheckArgs are domains and the MX that they are to have.
//
// A domain is as wanted when every address of every name server, those of the delegation as well as those that the zone names, answers with
// authority and with exactly this MX. A server that does not answer, or not with authority, is unknown, and that is never as wanted; only
// an address to which this machine has no route (IPv6) is left out when the same server answers at another one. An MX that is an alias or has no
// address is never as wanted. The name of an MX is never asked for at a resolver, which would remember that it is not there yet.
//
// There is no propagation in the DNS: once all servers agree, what is left are caches, each for the TTL that it was told. Every look is remembered on this
// machine (~/.cache/runner/dns), so that the time can be told at which the last cache has forgotten the old answer. So lower the TTL
// some days before, and look then.
//
// For what is not mail there are names: each must have addresses, and lead to none but those of addresses, over an alias or not, as every name
// server of its zone says.
//
// Where mx is given it is also noted what else binds a domain to its server: an MTA-STS policy (RFC 8461), which names the MX on a web server, and TLSA
// records (RFC 7672), which pin the certificate of an MX.
//
// # Example
//
//	dns_check { domains = { "example.org" }, mx = "mail.example.org", wait = "2h" }
//	dns_check { domains = params.domains, mx = "mail.example.org", addresses = { "192.0.2.1", "2001:db8::1" }, clients = true,
//	            ptr = "mail.example.org", spf = true, resolvers = true, expired = true, wait = "1d" }
//	dns_check { names = { "example.org", "www.example.org" }, addresses = { "192.0.2.1", "2001:db8::1" }, expired = true, wait = "1d" }
//	for name, d in pairs(dns_check { domains = params.domains }.domains) do say(name .. ": " .. table.concat(d.mx, ", ")) end
//
// # Result
//
//   - agreed (boolean): whether all is as wanted
//   - domains (table): a table for each domain: agreed, exists, zone, mx (names of hosts), ttl (seconds), serial, addresses (of each MX), notes, problems, servers (a list of tables with name, address, known, says, mx, ttl, serial), clients (the addresses of each name), spf (the result for each address), resolvers (what each says), stale_until and stale_seconds (when the last cache has forgotten what was so before; empty and 0: nothing else is known of), change_seconds (how long caches would go on saying what is so now, if it was changed now)
type dnsCheckArgs struct {
	// The domains whose mail is asked for, such as { "example.org" }. Names with other letters than ASCII are given in their xn-- form.
	Domains []string `lua:"domains"`
	// Names of which nothing but the addresses (A and AAAA) is asked for, such as those of a web site.
	Names []string `lua:"names"`
	// The MX that each domain is to have: the name of a host, or a list of names. "10 mail.example.org" demands the preference too, "."
	// is the null MX of a domain that takes no mail. Nothing more and nothing less may be there. Without it the domains are only looked at.
	MX any `lua:"mx" type:"string or list of string"`
	// How long to wait until every name server of every domain says so. Without it a server that does not is an error.
	Wait time.Duration `lua:"wait"`
	// Time between two looks while waiting.
	Interval time.Duration `lua:"interval" default:"10s"`
	// The largest TTL that the MX records, or those of names, may have.
	TTLMax time.Duration `lua:"ttl_max"`
	// Addresses of the new server, IPv4 and IPv6. Every MX, and every name of names and clients, must lead to some of these and to nothing else: an old
	// AAAA beside a new A sends half of the world to the old server.
	Addresses []string `lua:"addresses"`
	// Names by which users reach the server: a list of whole names, which must be there, or true for the usual ones of every domain (imap, pop, pop3, smtp,
	// mail, webmail, autoconfig, autodiscover, and the services _imap, _imaps, _submission and _submissions), where they are there.
	Clients any `lua:"clients" type:"boolean or list of string"`
	// Name to which each of addresses must lead back (PTR), and which must lead to it again: others refuse mail from addresses without.
	PTR string `lua:"ptr"`
	// Whether the SPF policy of every domain must let addresses send, where there is one.
	SPF bool `lua:"spf"`
	// Selectors of DKIM: every domain must have a key at each, SELECTOR._domainkey.DOMAIN (RFC 6376).
	DKIM []string `lua:"dkim"`
	// Resolvers that must say the same, as a sample of the world's caches: a list of addresses, or true for four public ones. They are asked only once
	// all authoritative servers agree, since a resolver remembers what it was asked for too early. One that does not answer is noted.
	Resolvers any `lua:"resolvers" type:"boolean or list of string"`
	// Whether the last cache must have forgotten what was so before, as far as earlier looks of runner on this machine know.
	Expired bool `lua:"expired"`
	// Host through whose connection the servers are asked, over TCP. Without it the runner asks them itself.
	On *host.View `lua:"on"`
	// Address of the resolver that says where the name servers are, "192.0.2.1" or "192.0.2.1:5353". Without it those of /etc/resolv.conf.
	Resolver string `lua:"resolver"`
	// Port of the name servers, for a rehearsal that cannot use the usual one.
	Port int `lua:"port" default:"53"`
}

// Validate checks what the types of the arguments cannot.
func (a *dnsCheckArgs) Validate() error {
	if len(a.Domains)+len(a.Names) == 0 {
		return errors.New("neither domains nor names are given: nothing would be checked")
	}
	for _, d := range slices.Concat(a.Domains, a.Names) {
		if !hostName.MatchString(d) || len(d) > 254 {
			return fmt.Errorf("%q is no domain (names with other letters than ASCII are given in their xn-- form)", d)
		}
	}
	if len(a.Domains) == 0 && (a.MX != nil || a.SPF || a.PTR != "" || len(a.DKIM) > 0 || a.Clients != nil || a.Resolvers != nil) {
		return errors.New("mx, clients, ptr, spf, dkim and resolvers are for mail: they need domains")
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
	if err := a.validateNames(); err != nil {
		return err
	}
	if a.Wait > 0 && !a.demands() {
		return errors.New("wait needs mx, ttl_max or another demand: there is nothing to wait for")
	}
	return nil
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
	case !a.demands() && !slices.ContainsFunc(wrong, func(s *domainState) bool { return s.unasked() }):
		plan.Note = "not all is well: " + strings.Join(reports(wrong), "; ")
	case a.Wait == 0:
		return nil, c.failure("cannot confirm", wrong)
	default:
		plan.Changes = []module.Change{{
			Summary: fmt.Sprintf("wait until every name server of %s says %s, at most %s", domainsOf(wrong), c.want(), module.FormatDuration(a.Wait)),
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
	args      *dnsCheckArgs
	client    *authority.Client
	mx        []wantedMX
	addresses []netip.Addr
	clients   []string // whole names that must be there
	usual     bool     // the usual names of every domain too, where they are there
	resolvers []netip.AddrPort
	clocks    string // directory of the clocks; empty: nothing is remembered
}

func newDNSCheck(ctx context.Context, a *dnsCheckArgs) (*dnsCheck, error) {
	c := &dnsCheck{args: a, client: &authority.Client{Port: uint16(a.Port)}}
	c.mx, _ = a.wanted() // Validate has tried these
	c.addresses, _ = a.addresses()
	c.clients, c.usual, _ = a.clients()
	c.resolvers, _ = a.resolvers()
	if dir, err := os.UserCacheDir(); err == nil {
		c.clocks = filepath.Join(dir, "runner", "dns")
	}
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
	a := c.args
	if max := a.TTLMax; max > 0 {
		text = fmt.Sprintf("%s with a TTL of at most %d s", text, int(max.Seconds()))
	}
	if len(a.Addresses) > 0 {
		text += " at " + strings.Join(a.Addresses, ", ")
	}
	for _, more := range []struct {
		is   bool
		text string
	}{{a.PTR != "", "named " + a.PTR}, {a.SPF, "let by SPF"}, {len(a.DKIM) > 0, "with keys for DKIM"}, {len(c.resolvers) > 0, "in the caches of resolvers too"}, {a.Expired, "with nothing else in any cache"}} {
		if more.is {
			text += ", " + more.text
		}
	}
	return strings.TrimLeft(text, ", ")
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
		servers += len(s.answers) + len(s.leads)
	}
	text := fmt.Sprintf("every server of %s says so (%d answers)", domainsOf(states), servers)
	if !c.args.demands() {
		text = "looked at " + countOf(len(states), "domain") + " on " + countOf(servers, "server")
	}
	if last := lastStale(states); last != "" {
		text += "; " + last
	}
	return text
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
			return c.failure(fmt.Sprintf("cannot wait longer than %s for", module.FormatDuration(c.args.Wait)), wrong)
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
	what := "the MX"
	if len(c.args.Domains) == 0 {
		what = "the addresses"
	}
	text := fmt.Sprintf("%s %s of %s; wanted: %s\n  %s", verb, what, domainsOf(wrong), c.want(), strings.Join(lines, "\n  "))
	hint := "change the records at whoever runs the zone"
	if c.args.Wait == 0 {
		hint += `; wait = "2h" would wait for it`
	}
	if slices.ContainsFunc(wrong, func(s *domainState) bool { return s.err != nil }) {
		hint = "look at the names and the resolver"
	}
	return module.WithHint(errors.New(text), hint)
}
