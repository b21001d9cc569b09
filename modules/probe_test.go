package modules

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"runner/modules/internal/probe"
	"runner/modules/internal/probe/probetest"
	"runner/runtime/module"
)

// wants is what a test wants of a step: parts of its error, or none and parts of its note.
func wants(t *testing.T, o outcome, note string, wrong ...string) {
	t.Helper()
	if len(wrong) == 0 {
		if o.Err != nil || !strings.Contains(o.Note, note) {
			t.Errorf("%s %v, note %q, want %q in it", o.Status, o.Err, o.Note, note)
		}
		return
	}
	for _, w := range wrong {
		if o.Err == nil || !strings.Contains(o.Err.Error(), w) {
			t.Errorf("the error is %v, want %q in it", o.Err, w)
		}
	}
}

func with(values map[string]any, more map[string]any) map[string]any {
	out := map[string]any{}
	for _, m := range []map[string]any{values, more} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func TestTLSCheck(t *testing.T) {
	const day = 24 * time.Hour
	authority := probetest.NewAuthority(t)
	for _, c := range []struct {
		name   string
		server probetest.SMTP
		values map[string]any
		wrong  []string
	}{
		{name: "all is well"},
		{name: "implicit", server: probetest.SMTP{Implicit: true}, values: map[string]any{"tls": "implicit"}},
		{name: "another name", values: map[string]any{"names": []any{"imap.example.org"}}, wrong: []string{"is not for imap.example.org but for mail.example.org, 127.0.0.1"}},
		{name: "unknown authority", values: map[string]any{"ca": ""}, wrong: []string{`signed by "CN=Test Authority", which is neither sent nor trusted`}},
		{name: "unknown authority will do", values: map[string]any{"ca": "", "trusted": false}},
		{name: "expires soon", values: map[string]any{"valid_for": "60d"}, wrong: []string{"its certificate expires on"}},
		{name: "version", values: map[string]any{"min_version": "1.3"}},
		{name: "no TLS", server: probetest.SMTP{Domain: "no-tls"}, wrong: []string{"it does not offer STARTTLS"}},
		{name: "injection", server: probetest.SMTP{Early: true}, wrong: []string{"bytes before the TLS handshake"}},
		{name: "no SMTP", server: probetest.SMTP{Greets: "* OK Dovecot ready."}, wrong: []string{`it does not speak SMTP: "* OK Dovecot ready."`}},
		{name: "refuses at once", server: probetest.SMTP{Greets: "554 no service"}, wrong: []string{"it answers the connection with 554 no service"}},
		{name: "no TLS on the port", values: map[string]any{"tls": "implicit"}, wrong: []string{"it does not speak TLS on this port"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.server.Domain == "" {
				cert := authority.Certificate(30*day, "mail.example.org", "127.0.0.1")
				c.server.Certificate = &cert
			}
			values := map[string]any{"address": "127.0.0.1", "port": float64(c.server.Start(t)), "protocol": "smtp", "names": []any{"mail.example.org"}, "ca": authority.PEM}
			o := step(t, nil, "tls_check", with(values, c.values))
			wants(t, o, "valid for 29 days, signed by CN=Test Authority, TLS 1.3", c.wrong...)
		})
	}
	for name, c := range map[string]struct {
		server probetest.SMTP
		wrong  string
	}{"self-signed": {wrong: "is signed by itself"}, "expired": {wrong: "its certificate expired on"}, "no intermediate": {wrong: `signed by "CN=Test Intermediate", which is neither sent nor trusted`}} {
		cert := probetest.SelfSigned(t, "mail.example.org")
		switch name {
		case "expired":
			cert = authority.Certificate(-time.Hour, "mail.example.org")
		case "no intermediate":
			cert = authority.Below().Certificate(30*day, "mail.example.org")
		}
		c.server.Certificate, c.server.Implicit = &cert, true
		o := step(t, nil, "tls_check", map[string]any{"address": "127.0.0.1", "port": float64(c.server.Start(t)), "tls": "implicit", "names": []any{"mail.example.org"}, "ca": authority.PEM, "valid_for": 0.0})
		wants(t, o, "", c.wrong)
		if name == "expired" && strings.Contains(o.Err.Error(), "trusted") {
			t.Errorf("an expired certificate reads like one of a bad authority: %v", o.Err)
		}
	}
}

func TestTLSCheckProtocols(t *testing.T) {
	authority := probetest.NewAuthority(t)
	cert := authority.Certificate(30*24*time.Hour, "mail.example.org")
	for _, protocol := range []string{"imap", "pop3", "sieve"} {
		values := map[string]any{"address": "127.0.0.1", "protocol": protocol, "names": []any{"mail.example.org"}, "ca": authority.PEM}
		wants(t, step(t, nil, "tls_check", with(values, map[string]any{"port": float64(probetest.Greeter(t, protocol, cert, true))})), "valid for 29 days")
		o := step(t, nil, "tls_check", with(values, map[string]any{"port": float64(probetest.Greeter(t, protocol, cert, false))}))
		wants(t, o, "", "it does not offer STARTTLS")
		o = step(t, nil, "tls_check", with(values, map[string]any{"port": float64(probetest.Port(t, "220 no\r\n"))}))
		wants(t, o, "", "it does not greet as a")
	}
}

func TestPortCheck(t *testing.T) {
	open, silent, closed := probetest.Port(t, "220 mail.example.org ESMTP\r\n"), probetest.Port(t, ""), closedPort(t)
	values := map[string]any{"address": "127.0.0.1", "banner": true, "open": []any{float64(open), float64(silent)}, "closed": []any{float64(closed)}}
	h, _ := newMachine(t)
	for _, more := range []map[string]any{nil, {"on": here, "banner": false}, {"address": "localhost", "banner": false}} {
		if more["address"] != nil && !onlyIPv4(t) {
			continue // the servers of this test listen at 127.0.0.1 alone
		}
		o := step(t, h, "port_check", with(values, more))
		wants(t, o, "3 of 3 as wanted")
		at := fmt.Sprintf("127.0.0.1:%d", open)
		if o.Output["ports"].(map[string]any)[at] != "open" || more == nil && o.Output["banners"].(map[string]any)[at] != "220 mail.example.org ESMTP" {
			t.Errorf("%v", o.Output)
		}
	}
	o := step(t, nil, "port_check", map[string]any{"address": "127.0.0.1", "open": []any{float64(closed)}, "closed": []any{float64(open)}})
	wants(t, o, "", fmt.Sprintf("port %d of 127.0.0.1 is closed: the connection was refused", closed), fmt.Sprintf("port %d of 127.0.0.1 is open and should not be", open))
	var absent *module.AbsentError
	if !errors.As(o.Err, &absent) {
		t.Error("an earlier step could open the port, and the error does not say so")
	}
}

func onlyIPv4(t *testing.T) bool {
	t.Helper()
	list, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", "localhost")
	return err == nil && !slices.ContainsFunc(list, func(a netip.Addr) bool { return a.Unmap().Is6() })
}

func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestSMTPProbe(t *testing.T) {
	authority := probetest.NewAuthority(t)
	cert := authority.Certificate(30*24*time.Hour, "mail.example.org")
	for _, c := range []struct {
		name   string
		server probetest.SMTP
		values map[string]any
		note   string
		wrong  []string
	}{
		{name: "delivers", note: "TLS 1.3"},
		{name: "asks for a relay", values: map[string]any{"relay": true}, note: "TLS 1.3, relays for nobody"},
		{name: "asks for its own domain", server: probetest.SMTP{Refuses: "550 5.1.1 User unknown"}, values: map[string]any{"relay": true, "outside": "x@example.org", "to": ""}, note: "there is no such user"},
		{name: "open relay", server: probetest.SMTP{OpenRelay: true}, values: map[string]any{"relay": true}, wrong: []string{"it is an open relay: it would take a mail from relay-test@example.net"}},
		{name: "trusts a local sender", server: probetest.SMTP{Trusts: "john@example.org"}, values: map[string]any{"relay": true}, wrong: []string{"it is an open relay: it would take a mail from john@example.org"}},
		{name: "names", values: map[string]any{"names": []any{"mail.example.org"}, "trusted": true}, note: "TLS 1.3"},
		{name: "another name", values: map[string]any{"names": []any{"mx.example.org"}}, wrong: []string{"its certificate is not for mx.example.org"}},
		{name: "not trusted", values: map[string]any{"ca": "", "trusted": true}, wrong: []string{"which is neither sent nor trusted"}},
		{name: "refused", server: probetest.SMTP{Refuses: "550 5.1.1 User unknown"}, wrong: []string{"it answers RCPT TO:<john@example.org> with 550 5.1.1 User unknown"}},
		{name: "forbids", server: probetest.SMTP{Refuses: "550 5.7.1 administratively prohibited"}, wrong: []string{"550 5.7.1 administratively prohibited"}},
		{name: "plain", values: map[string]any{"tls": "none"}, note: "not encrypted"},
		{name: "login", server: probetest.SMTP{User: "john", Password: "hunter2"}, values: map[string]any{"user": "john", "password": module.NewSecret("hunter2")}, note: "TLS 1.3"},
		{name: "wrong password", server: probetest.SMTP{User: "john", Password: "x"}, values: map[string]any{"user": "john", "password": module.NewSecret("hunter2")}, wrong: []string{"it answers the login of john with 535"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.server.Certificate, c.server.Domain = &cert, "example.org"
			values := with(map[string]any{"address": "127.0.0.1", "port": float64(c.server.Start(t)), "to": "john@example.org", "ca": authority.PEM}, c.values)
			checked := stepIn(t, context.Background(), nil, "smtp_probe", values, true)
			if n := len(c.server.Mails()); n > 0 {
				t.Errorf("check mode sent %d mails", n)
			}
			o := step(t, nil, "smtp_probe", values)
			wants(t, o, c.note, c.wrong...)
			if o.Err != nil {
				if strings.Contains(o.Err.Error(), "hunter2") {
					t.Errorf("the error shows the password: %v", o.Err)
				}
				return
			}
			if checked.Err != nil || !slices.Equal(checked.summaries(), o.summaries()) {
				t.Errorf("check mode says %v %v, then %v", checked.summaries(), checked.Err, o.summaries())
			}
			if values["to"] == "" {
				return
			}
			mark, _ := o.Output["mark"].(string)
			mails := c.server.Mails()
			if len(mails) != 1 || !strings.HasPrefix(mails[0], "FROM:<>\n") || !strings.Contains(mails[0], "\n"+probe.MarkHeader+": "+mark+"\n") || mark == "" {
				t.Errorf("mark %q, mails %q", mark, mails)
			}
			if o.Output["queue_id"] != "4F1C3A0042" {
				t.Errorf("%v", o.Output)
			}
		})
	}
}

// A password must not go over a connection that leaves the machine without encryption.
func TestPasswordIsKeptBack(t *testing.T) {
	server := probetest.SMTP{}
	s := probe.Server{Host: "mail.invalid", Port: server.Start(t), Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(address)
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
	}}
	m, err := probe.OpenSMTP(context.Background(), s, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Login("john", "hunter2"); err == nil || !strings.Contains(err.Error(), "the password is not sent") {
		t.Error(err)
	}
	if _, err := probe.OpenIMAP(context.Background(), s, probe.Plain, "john", "hunter2", nil); err == nil || !strings.Contains(err.Error(), "the password is not sent") {
		t.Error(err)
	}
}

func TestIMAPProbe(t *testing.T) {
	authority := probetest.NewAuthority(t)
	cert := authority.Certificate(30*24*time.Hour, "imap.example.org")
	user := imapmemserver.NewUser("john@example.org", "hunter2")
	for _, name := range []string{"INBOX", "Sent"} {
		if err := user.Create(name, nil); err != nil {
			t.Fatal(err)
		}
	}
	probetest.Append(t, user, "INBOX", probe.Message("runner-0001", "a@example.org", "john@example.org", "example.org", time.Now()))
	probetest.Append(t, user, "Sent", probe.Message("runner-0001", "a@example.org", "john@example.org", "example.org", time.Now()))
	values := map[string]any{"address": "127.0.0.1", "port": float64(probetest.IMAP(t, &cert, user)), "tls": "starttls", "user": "john@example.org",
		"password": module.NewSecret("hunter2"), "ca": authority.PEM, "names": []any{"imap.example.org"}, "trusted": true}
	o := step(t, nil, "imap_probe", with(values, map[string]any{"mark": "runner-0001"}))
	wants(t, o, "the marked mail is in INBOX of john@example.org, UID 1")
	if o.Output["messages"] != int64(1) || o.Output["uidvalidity"] == int64(0) || o.Output["found"] != int64(1) ||
		fmt.Sprint(o.Output["uids"], o.Output["mailboxes"]) != "[1] [INBOX Sent]" || !strings.Contains(o.Output["header"].(string), "Subject: Test of mail delivery") {
		t.Errorf("%v", o.Output)
	}
	wants(t, step(t, nil, "imap_probe", values), "1 messages in INBOX of john@example.org")
	wants(t, step(t, nil, "imap_probe", with(values, map[string]any{"mailbox": "None"})), "", "the mailbox None cannot be opened: it answers NO")
	wants(t, step(t, nil, "imap_probe", with(values, map[string]any{"mark": "runner-0002"})), "", "the marked mail is not in INBOX")
	wants(t, step(t, nil, "imap_probe", with(values, map[string]any{"mark": "runner-0002", "wait": "50ms"})), "", "did not arrive in INBOX within 50ms")
	wants(t, step(t, nil, "imap_probe", with(values, map[string]any{"names": []any{"mail.example.org"}})), "", "its certificate is not for mail.example.org")
	wants(t, step(t, nil, "imap_probe", with(values, map[string]any{"ca": "", "names": []any{}})), "", "neither sent nor trusted")
	bad := step(t, nil, "imap_probe", with(values, map[string]any{"password": module.NewSecret("Secret-12")}))
	wants(t, bad, "", "the login of john@example.org failed: it answers NO")
	if strings.Contains(bad.Err.Error(), "Secret-12") {
		t.Error(bad.Err)
	}
	time.AfterFunc(100*time.Millisecond, func() {
		probetest.Append(t, user, "INBOX", probe.Message("runner-0003", "a@example.org", "john@example.org", "example.org", time.Now()))
	})
	o = step(t, nil, "imap_probe", with(values, map[string]any{"mark": "runner-0003", "wait": "30s"}))
	if o.Status != module.OK || o.Output["found"] != int64(1) {
		t.Errorf("%s %v %v", o.Status, o.Err, o.Output)
	}
	o = step(t, nil, "imap_probe", with(values, map[string]any{"mark": "runner-0003", "remove": true}))
	if o.Status != module.Changed {
		t.Errorf("%s %v", o.Status, o.Err)
	}
	o = step(t, nil, "imap_probe", values)
	if o.Output["messages"] != int64(1) {
		t.Errorf("the mail was not removed: %v %v", o.Err, o.Output)
	}
	probetest.Append(t, user, "INBOX", probe.Message("runner-0001", "a@example.org", "john@example.org", "example.org", time.Now()))
	wants(t, step(t, nil, "imap_probe", with(values, map[string]any{"mark": "runner-0001"})), "", "the marked mail is there 2 times")
}

func TestProbesThroughHost(t *testing.T) {
	user := imapmemserver.NewUser("john", "hunter2")
	if err := user.Create("INBOX", nil); err != nil {
		t.Fatal(err)
	}
	h, _ := newMachine(t)
	values := map[string]any{"on": here, "port": float64(probetest.IMAP(t, nil, user)), "tls": "none", "user": "john", "password": module.NewSecret("hunter2")}
	wants(t, step(t, h, "imap_probe", values), "0 messages in INBOX of john")
	server := probetest.SMTP{Domain: "example.org"}
	o := step(t, h, "smtp_probe", map[string]any{"on": here, "port": float64(server.Start(t)), "to": "john@example.org"})
	if o.Err != nil || o.Output["relay"] != "not asked" || len(server.Mails()) != 1 {
		t.Errorf("%v %v", o.Err, o.Output)
	}
}

func TestProbesStop(t *testing.T) {
	port := float64(probetest.Port(t, ""))
	h, _ := newMachine(t)
	for name, values := range map[string]map[string]any{
		"smtp_probe": {"on": here, "port": port},
		"imap_probe": {"on": here, "port": port, "user": "john", "password": module.NewSecret("x"), "tls": "none"},
		"tls_check":  {"on": here, "port": port},
	} {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(50*time.Millisecond, cancel)
		done := make(chan outcome, 1)
		go func() { done <- stepIn(t, ctx, h, name, values, false) }()
		select {
		case o := <-done:
			if o.Err == nil {
				t.Errorf("%s: no error", name)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s goes on", name)
		}
	}
}

func TestProbeArguments(t *testing.T) {
	for _, c := range []struct {
		module, wrong string
		values        map[string]any
	}{
		{"smtp_probe", "needs on or address", map[string]any{}},
		{"smtp_probe", "port must be between", map[string]any{"address": "x", "port": 70000.0}},
		{"smtp_probe", "to must be a mail address", map[string]any{"address": "x", "to": "a@b>\r\nRSET"}},
		{"smtp_probe", "user and password belong together", map[string]any{"address": "x", "user": "john"}},
		{"smtp_probe", "from and mark need to", map[string]any{"address": "x", "mark": "12345678"}},
		{"smtp_probe", "ca holds no certificate", map[string]any{"address": "x", "ca": "y"}},
		{"imap_probe", "wait and remove need mark", map[string]any{"address": "x", "user": "a", "password": module.NewSecret("b"), "wait": "1s"}},
		{"tls_check", "nobody knows what is spoken", map[string]any{"address": "x", "port": 26.0, "tls": "starttls"}},
		{"tls_check", "leaves nothing to check", map[string]any{"address": "x", "tls": "none"}},
		{"port_check", "needs open or closed", map[string]any{"address": "x"}},
		{"port_check", "cannot be open and closed", map[string]any{"address": "x", "open": []any{1.0}, "closed": []any{1.0}}},
	} {
		if _, err := decode(c.module, c.values); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s %v: %v, want %q", c.module, c.values, err, c.wrong)
		}
	}
}
