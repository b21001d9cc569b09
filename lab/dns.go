package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Record is one resource record of a zone.
type Record struct {
	Name string // with the dot at its end
	TTL  uint32 // seconds
	Type string // "MX"
	Data string // "10 mail-old.example.net."
}

// dnsLimit bounds one exchange with the lab's server.
const dnsLimit = 5 * time.Second

// Records reads a whole zone as the server serves it at this moment (AXFR, RFC 5936).
func (l *Lab) Records(ctx context.Context, zone string) ([]Record, error) {
	m := new(dns.Msg)
	m.SetAxfr(fqdn(zone))
	t := &dns.Transfer{DialTimeout: dnsLimit, ReadTimeout: dnsLimit}
	envelopes, err := t.In(m, l.dnsAddress())
	if err != nil {
		return nil, fmt.Errorf("cannot read the zone %s: %w", fqdn(zone), err)
	}
	var out []Record
	for e := range envelopes {
		if e.Error != nil {
			return nil, fmt.Errorf("cannot read the zone %s: %w; the lab serves %s", fqdn(zone), e.Error, strings.Join(l.Zones[1:], ", "))
		}
		for _, rr := range e.RR {
			h := rr.Header()
			out = append(out, Record{
				Name: h.Name, TTL: h.Ttl, Type: dns.TypeToString[h.Rrtype], Data: strings.TrimPrefix(rr.String(), h.String()),
			})
		}
	}
	if n := len(out); n > 1 && out[n-1].Type == "SOA" {
		out = out[:n-1] // a transfer ends with the record that it began with
	}
	return out, ctx.Err()
}

// SetRecords replaces all records of a type at a name ("mx", "example.org") while the server runs, and the serial of the zone
// grows (RFC 2136). Without a value they are removed. A value is written as in a zone file; names need no dot at their end, and an MX no
// preference (10).
func (l *Lab) SetRecords(ctx context.Context, kind, name string, ttl uint32, values ...string) error {
	kind = strings.ToUpper(kind)
	number, ok := dns.StringToType[kind]
	if !ok || kind == "SOA" {
		return fmt.Errorf("cannot set a record of type %q: types are A, AAAA, MX, CNAME, TXT, NS, PTR, SRV and the like", kind)
	}
	var fresh []dns.RR
	for _, value := range records(kind, values) {
		rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", fqdn(name), ttl, kind, value))
		if err != nil || rr == nil {
			return fmt.Errorf("cannot set %s of %s to %q: it is no value of that type", kind, name, value)
		}
		fresh = append(fresh, rr)
	}
	m := new(dns.Msg)
	m.SetUpdate(fqdn(l.zoneOf(name)))
	m.RemoveRRset([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: fqdn(name), Rrtype: number, Class: dns.ClassANY}}})
	m.Insert(fresh)
	return l.update(ctx, m)
}

// records puts values as they come from a command line into the form of a zone file, one string per record.
func records(kind string, values []string) []string {
	switch kind {
	case "MX":
		var out []string
		for i := 0; i < len(values); i++ {
			preference, target, ok := strings.Cut(values[i], " ")
			switch {
			case ok:
			case isNumber(values[i]) && i+1 < len(values): // given as two words
				preference, target = values[i], values[i+1]
				i++
			default:
				preference, target = "10", values[i]
			}
			out = append(out, preference+" "+fqdn(strings.TrimSpace(target)))
		}
		return out
	case "CNAME", "NS", "PTR":
		out := slices.Clone(values)
		for i := range out {
			out[i] = fqdn(out[i])
		}
		return out
	case "TXT":
		out := slices.Clone(values)
		for i := range out {
			if !strings.HasPrefix(out[i], `"`) {
				out[i] = `"` + strings.ReplaceAll(out[i], `"`, `\"`) + `"`
			}
		}
		return out
	case "SRV":
		if len(values) == 4 {
			return []string{strings.Join(values[:3], " ") + " " + fqdn(values[3])}
		}
	}
	return values
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// SetTTL gives every record of the zones the same TTL, except the SOA; without a zone, of every mail domain.
func (l *Lab) SetTTL(ctx context.Context, ttl uint32, zones ...string) error {
	if len(zones) == 0 {
		for _, d := range l.Domains {
			zones = append(zones, d.Name)
		}
	}
	for _, zone := range zones {
		list, err := l.Records(ctx, zone)
		if err != nil {
			return err
		}
		m := new(dns.Msg)
		m.SetUpdate(fqdn(zone))
		var fresh []dns.RR
		for _, r := range list {
			// The records of the apex that hold the zone together cannot be removed by an update (RFC 2136, 3.4.2.4).
			if r.Type == "SOA" || r.Type == "NS" && r.Name == fqdn(zone) {
				continue
			}
			rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", r.Name, ttl, r.Type, r.Data))
			if err != nil {
				return fmt.Errorf("cannot set the TTL of %s %s: %w", r.Name, r.Type, err)
			}
			m.RemoveRRset([]dns.RR{rr})
			fresh = append(fresh, rr)
		}
		m.Insert(fresh)
		if err := l.update(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// update sends a change, signed with the lab's key (RFC 8945).
func (l *Lab) update(ctx context.Context, m *dns.Msg) error {
	key := fqdn(l.UpdateKey)
	m.SetTsig(key, dns.HmacSHA256, 300, time.Now().Unix())
	c := &dns.Client{Net: "tcp", Timeout: dnsLimit, TsigSecret: map[string]string{key: l.UpdateSecret}}
	zone := m.Question[0].Name
	r, _, err := c.ExchangeContext(ctx, m, l.dnsAddress())
	if err != nil {
		return fmt.Errorf("cannot change the zone %s: %w", zone, err)
	}
	if r.Rcode != dns.RcodeSuccess {
		return fmt.Errorf("cannot change the zone %s: the server answers %s", zone, dns.RcodeToString[r.Rcode])
	}
	return nil
}

func (l *Lab) dnsAddress() string {
	if len(l.DNS) == 0 {
		return ""
	}
	return net.JoinHostPort(l.DNS[0], "53")
}

// zoneOf is the lab's zone that a name lies in.
func (l *Lab) zoneOf(name string) string {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	best := ""
	for _, zone := range l.Zones {
		if len(zone) > len(best) && (name == zone || strings.HasSuffix(name, "."+zone)) {
			best = zone
		}
	}
	return best
}

// Open reads the lab of the options; only Name and Dir count.
func Open(o Options) (*Lab, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	l, err := Load(o.Dir)
	if err != nil && !errors.Is(err, ErrNotUp) {
		if root := mustBeRoot("look at the lab"); root != nil {
			return nil, root
		}
	}
	return l, err
}
