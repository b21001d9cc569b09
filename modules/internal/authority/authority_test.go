package authority_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"runner/modules/internal/authority"
	"runner/modules/internal/authority/authoritytest"
)

const (
	ns1, ns2, ns3 = "127.0.0.11", "127.0.0.12", "127.0.0.13"
	above         = "127.0.0.20"
)

// zone is example.org as a server serves it.
func zone(serial int, mx string) string {
	return fmt.Sprintf(`@ IN SOA ns1 hostmaster %d 3600 600 86400 60
@ IN NS ns1
@ IN NS ns2
ns1 IN A 127.0.0.11
ns2 IN A 127.0.0.12
mail IN A 192.0.2.1
mail IN AAAA 2001:db8::1
old IN A 192.0.2.2
alias IN CNAME mail
own IN NS ns1
%s
`, serial, mx)
}

// newWorld serves example.org on two servers, and the zone above it on a third.
func newWorld(t testing.TB, mx string) (*authoritytest.World, *authority.Client) {
	t.Helper()
	w := authoritytest.New(t)
	w.Serve(above, "org.", `@ IN SOA a hostmaster 1 3600 600 86400 60
@ IN NS a
a IN A 127.0.0.20
example IN NS ns1.example
example IN NS ns2.example
ns1.example IN A 127.0.0.11
ns2.example IN A 127.0.0.12
`)
	w.Serve(ns1, "example.org.", zone(7, mx))
	w.Serve(ns2, "example.org.", zone(7, mx))
	return w, &authority.Client{Resolvers: []netip.AddrPort{w.Resolver}, Port: w.Port, Timeout: authoritytest.Timeout}
}

func ask(t *testing.T, c *authority.Client, domain string) []authority.Answer {
	t.Helper()
	z, err := c.FindZone(context.Background(), domain)
	if err != nil {
		t.Fatal(err)
	}
	answers, err := c.AskMX(context.Background(), z, domain)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

func told(answers []authority.Answer) []string {
	var list []string
	for _, a := range answers {
		list = append(list, fmt.Sprintf("%s: %s", a.Addr, a))
	}
	return list
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct{ name, domain, mx, want string }{
		{"one", "example.org", "@ 60 IN MX 10 mail", "10 mail.example.org (TTL 60 s)"},
		{"two, sorted, other case", "EXAMPLE.org.", "@ IN MX 20 OLD\n@ IN MX 10 mail", "10 mail.example.org, 20 old.example.org (TTL 300 s)"},
		{"null", "example.org", "@ IN MX 0 .", "the domain takes no mail (null MX)"},
		{"null is not alone", "example.org", "@ IN MX 0 .\n@ IN MX 10 mail", "0 ., 10 mail.example.org (TTL 300 s)"},
		{"none", "example.org", "", "no MX and no address"},
		{"implied", "example.org", "@ IN A 192.0.2.9", "no MX, so that mail goes to the address of the domain itself: 192.0.2.9"},
		{"alias", "sub.example.org", "sub IN CNAME mail", "the domain is an alias of mail.example.org"},
		{"a domain inside of the zone", "sub.example.org", "sub IN MX 5 mail", "5 mail.example.org (TTL 300 s)"},
		{"not there", "sub.example.org", "", "the domain does not exist"},
		{"a forgotten dot", "example.org", "@ IN MX 10 mail.example.org", "10 mail.example.org.example.org (TTL 300 s)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, client := newWorld(t, c.mx)
			answers := ask(t, client, c.domain)
			if diff := cmp.Diff([]string{ns1 + ": " + c.want, ns2 + ": " + c.want}, told(answers)); diff != "" {
				t.Error(diff)
			}
			if answers[0].Serial != 7 {
				t.Errorf("serial %d, want 7", answers[0].Serial)
			}
		})
	}
}

func TestDefects(t *testing.T) {
	const right = "10 mail.example.org (TTL 300 s)"
	for _, c := range []struct {
		name   string
		defect authoritytest.Defect
		want   string
	}{
		{"silent", authoritytest.Silent, "unknown: no answer"},
		{"silent over UDP", authoritytest.SilentUDP, right},
		{"refuses", authoritytest.Refuses, "unknown: it does not serve the zone (REFUSED)"},
		{"fails", authoritytest.ServerFail, "unknown: it does not serve the zone (SERVFAIL)"},
		{"not authoritative", authoritytest.NoAA, "unknown: it does not serve the zone (its answer is not authoritative)"},
		{"truncates", authoritytest.Truncates, right},
		{"old", authoritytest.OldEDNS, right},
		{"another question", authoritytest.OtherName, "unknown: it answers another question than was asked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, client := newWorld(t, "@ IN MX 10 mail")
			w.Break(ns2, c.defect)
			if diff := cmp.Diff([]string{ns1 + ": " + right, ns2 + ": " + c.want}, told(ask(t, client, "example.org"))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryServerIsFound(t *testing.T) {
	w, client := newWorld(t, "@ IN MX 10 mail\n@ IN NS ns3.other.org.\n@ IN NS gone.example.org.")
	w.Serve("127.0.0.14", "other.org.", "@ IN SOA a b 1 1 1 1 1\n@ IN NS ns3\nns3 IN A 127.0.0.13\nns3 IN A 127.0.0.15")
	w.Serve(ns3, "example.org.", zone(6, "@ IN MX 10 old"))
	w.Serve("127.0.0.15", "example.org.", zone(6, "@ IN MX 10 mail"))
	z, err := client.FindZone(context.Background(), "example.org")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, s := range z.Servers {
		found = append(found, s.Name+" "+s.Addr.String())
	}
	want := []string{"ns1.example.org 127.0.0.11", "ns2.example.org 127.0.0.12", "ns3.other.org 127.0.0.13", "ns3.other.org 127.0.0.15"}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
	if _, missing := z.Missing["gone.example.org"]; !missing {
		t.Errorf("a name server without an address is not told: %v", z.Missing)
	}
	answers, err := client.AskMX(context.Background(), z, "example.org")
	if err != nil {
		t.Fatal(err)
	}
	if last := answers[len(answers)-1]; last.Unknown == nil || last.Name != "gone.example.org" {
		t.Errorf("the last answer is %s of %s", last, last.Name)
	}
}

// All servers of a zone are broken, so that the resolver knows nothing: the delegation shows whom to ask all the same.
func TestBrokenZoneIsFound(t *testing.T) {
	w, client := newWorld(t, "@ IN MX 10 mail")
	w.Break(ns1, authoritytest.Refuses)
	w.Break(ns2, authoritytest.ServerFail)
	want := []string{ns1 + ": unknown: it does not serve the zone (REFUSED)", ns2 + ": unknown: it does not serve the zone (SERVFAIL)"}
	if diff := cmp.Diff(want, told(ask(t, client, "example.org"))); diff != "" {
		t.Error(diff)
	}
}

func TestNoSuchDomain(t *testing.T) {
	_, client := newWorld(t, "")
	_, err := client.FindZone(context.Background(), "exampel.org")
	var none *authority.NoDomainError
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "cannot find the domain exampel.org") {
		t.Error(err)
	}
	client.Resolvers = nil
	if _, err := client.FindZone(context.Background(), "example.org"); err == nil || !strings.Contains(err.Error(), "no resolver") {
		t.Error(err)
	}
}

func TestTargets(t *testing.T) {
	w, client := newWorld(t, "")
	w.Serve(ns1, "own.example.org.", "@ IN SOA a b 1 1 1 1 1\n@ IN NS ns1.example.org.\n@ IN A 192.0.2.77")
	for host, want := range map[string]string{
		"mail.example.org": "192.0.2.1 2001:db8::1", "alias.example.org": "alias (CNAME) of mail.example.org", "none.example.org": "no address",
		"mail.exampel.org": "its domain does not exist", "own.example.org": "192.0.2.77",
	} {
		target := client.CheckTarget(context.Background(), host)
		var words []string
		for _, a := range target.Addresses {
			words = append(words, a.String())
		}
		got := strings.Join(words, " ") + target.Problem
		if target.Unknown != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %q %v, want %q", host, got, target.Unknown, want)
		}
	}
}

// The name of a target that is not published yet must never be asked for at a resolver, which would remember that it is not there.
func TestTargetIsNotAskedAtResolver(t *testing.T) {
	w, client := newWorld(t, "")
	var asked names
	client.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if address == w.Resolver.String() {
			return &spy{conn, &asked}, err
		}
		return conn, err
	}
	client.TCP = true
	if target := client.CheckTarget(context.Background(), "new.example.org"); target.Problem != "it has no address" {
		t.Error(target)
	}
	if len(asked.list) == 0 || slices.Contains(asked.list, "new.example.org.") {
		t.Errorf("the resolver was asked for %v", asked.list)
	}
}

// spy notes the names that are asked for.
type spy struct {
	net.Conn
	asked *names
}

type names struct {
	mu   sync.Mutex
	list []string
}

func (s *spy) Write(p []byte) (int, error) {
	m := new(dns.Msg)
	if len(p) > 2 && m.Unpack(p[2:]) == nil && len(m.Question) == 1 {
		s.asked.mu.Lock()
		s.asked.list = append(s.asked.list, m.Question[0].Name)
		s.asked.mu.Unlock()
	}
	return s.Conn.Write(p)
}

func TestCancelIsPrompt(t *testing.T) {
	w, client := newWorld(t, "")
	client.Timeout = time.Hour
	w.Break(ns1, authoritytest.Silent)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := client.FindZone(ctx, "example.org"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestNoRoute(t *testing.T) {
	_, client := newWorld(t, "@ IN MX 10 mail\n@ IN NS six\nsix IN A 127.0.0.11\nsix IN AAAA 2001:db8::53")
	client.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "[2001") {
			return nil, errors.New("dial udp [2001:db8::53]:53: connect: network is unreachable")
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	noRoute := 0
	for _, a := range ask(t, client, "example.org") {
		if a.NoRoute {
			noRoute++
		}
	}
	if noRoute != 1 {
		t.Errorf("%d servers without a route, want 1", noRoute)
	}
}

func TestParseServer(t *testing.T) {
	for text, want := range map[string]string{"192.0.2.1": "192.0.2.1:53", "192.0.2.1:99": "192.0.2.1:99", "2001:db8::1": "[2001:db8::1]:53",
		"[2001:db8::1]:99": "[2001:db8::1]:99", "ns.example.org": "", "": ""} {
		got, err := authority.ParseServer(text)
		if (err != nil) != (want == "") || err == nil && got.String() != want {
			t.Errorf("%q: %v %v, want %q", text, got, err, want)
		}
	}
	conf := "# nameserver 1.1.1.1\nsearch example.org\nnameserver 192.0.2.1\nnameserver\nnameserver fe80::1%eth0\nnameserver junk\n"
	if got := fmt.Sprint(authority.ParseResolvConf(conf)); got != "[192.0.2.1:53 [fe80::1%eth0]:53]" {
		t.Error(got)
	}
}

// FuzzAnswer sends whatever bytes back to a client: it must survive them, and never take them for agreement.
func FuzzAnswer(f *testing.F) {
	seed := func(change func(*dns.Msg)) {
		m := new(dns.Msg).SetQuestion("example.org.", dns.TypeMX)
		m.Response, m.Authoritative = true, true
		m.Answer = []dns.RR{&dns.MX{Hdr: dns.RR_Header{Name: "example.org.", Rrtype: dns.TypeMX, Class: 1, Ttl: 5}, Preference: 1, Mx: "a."}}
		change(m)
		data, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	seed(func(*dns.Msg) {})
	seed(func(m *dns.Msg) { m.Authoritative = false })
	seed(func(m *dns.Msg) { m.Truncated = true })
	seed(func(m *dns.Msg) { m.Rcode, m.Answer = dns.RcodeNameError, nil })
	seed(func(m *dns.Msg) { m.Rcode, m.Question, m.Answer = dns.RcodeFormatError, nil, nil })
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 12 || len(data) > 60000 {
			return
		}
		client := &authority.Client{TCP: true, Timeout: time.Second, Dial: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go reflect(there, data)
			return here, nil
		}}
		z := &authority.Zone{Name: "example.org.", Servers: []authority.Server{{Name: "ns", Addr: netip.MustParseAddr("192.0.2.1")}}}
		answers, err := client.AskMX(context.Background(), z, "example.org")
		if err != nil || len(answers) != 1 {
			t.Fatal(answers, err)
		}
		if a := answers[0]; len(a.MX) > 0 && a.Unknown == nil {
			m := new(dns.Msg)
			if err := m.Unpack(data); err != nil || !m.Authoritative || !m.Response {
				t.Fatalf("taken for an authoritative answer: %v", a)
			}
		}
		_ = answers[0].String()
	})
}

// reflect answers one question with data, under the number of the question.
func reflect(conn net.Conn, data []byte) {
	defer conn.Close()
	head := make([]byte, 4)
	if _, err := conn.Read(head[:2]); err != nil {
		return
	}
	length := int(head[0])<<8 | int(head[1])
	question := make([]byte, length)
	for n := 0; n < length; {
		m, err := conn.Read(question[n:])
		if err != nil {
			return
		}
		n += m
	}
	answer := slices.Concat([]byte{byte(len(data) >> 8), byte(len(data))}, question[:2], data[2:])
	_, _ = conn.Write(answer)
}
