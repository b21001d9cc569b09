package modules

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"runner/modules/internal/probe"
	"runner/runtime/module"
)

// smtpProbeArgs are the arguments of smtp_probe.
//
// It always looks at the greeting, the encryption and the certificate, and asks whether the server would take a mail from outside to outside,
// without sending one: a server that says yes would be used for spam within hours. That question proves nothing from an address which the server
// itself trusts, so it is left out at 127.0.0.1 and after a login; ask from another host (on = old, address = ...).
//
// With to, a mail with a mark is delivered, each time; [imap_probe] finds it again by its mark. It has the null sender unless from
// is given, so that nobody gets a bounce of it. In check mode nothing is sent. The password is sent over an encrypted
// connection only, or within the host itself.
//
// # Example
//
//	local sent = smtp_probe { address = "mail.example.org", to = "john@example.org", names = { "mail.example.org" } }
//	imap_probe { address = "mail.example.org", user = "john@example.org", password = params.password, mark = sent.mark, wait = "1m" }
//	smtp_probe { on = old, address = "192.0.2.1", to = "john@example.org" }
//
// # Result
//
//   - greeting (string): what the server says first
//   - relay (string): "refused", "not asked", or "not proven" when outside seems to be a domain of the server itself
//   - relay_reply (string): the words with which it was refused
//   - encrypted (boolean): whether the connection was encrypted
//   - certificate (table): of the server, as of [tls_check]
//   - mark (string): the mark of the mail that was sent
//   - queue_id (string): what the mail is called in the queue of the server, where that says so
//   - reply (string): what the server said when it took the mail
type smtpProbeArgs struct {
	probeTarget
	// TCP port: 25, 587 or 465.
	Port int `lua:"port" default:"25"`
	probeTLS
	// Whether the certificate must lead to an authority that this machine trusts. Mail servers among themselves do not ask for that.
	Trusted bool `lua:"trusted"`
	// Whom a marked mail is delivered to. Without it none is sent.
	To string `lua:"to"`
	// Sender of the mail on its envelope.
	From string `lua:"from"`
	// The mark; without it one is made up.
	Mark string `lua:"mark"`
	// User to log in as, as at port 587.
	User string `lua:"user"`
	// The password.
	Password module.Secret `lua:"password"`
	// An address elsewhere for which the server must not take mail.
	Outside string `lua:"outside" default:"relay-test@example.edu"`
	// Whether the question for a relay is asked. Without it, it is where the answer proves something.
	Relay *bool `lua:"relay"`
	// Name that this client gives itself. Without it the name of the machine that connects.
	Helo string `lua:"helo"`
}

var (
	markShape = regexp.MustCompile(`^[A-Za-z0-9._-]{8,64}$`)
	heloShape = regexp.MustCompile(`^[A-Za-z0-9._:\[\]-]{1,255}$`)
)

// Validate checks what the types of the arguments cannot.
func (a *smtpProbeArgs) Validate() error {
	if err := errors.Join(a.probeTarget.validate(a.Port), a.probeTLS.validate(), checkMailAddress("outside", a.Outside)); err != nil {
		return err
	}
	for argument, address := range map[string]string{"to": a.To, "from": a.From} {
		if address != "" {
			if err := checkMailAddress(argument, address); err != nil {
				return err
			}
		}
	}
	switch {
	case (a.User != "") != !a.Password.IsZero():
		return errors.New("user and password belong together")
	case strings.ContainsAny(a.User, "\x00\r\n"):
		return errors.New("user must be one line")
	case a.Mark != "" && !markShape.MatchString(a.Mark):
		return errors.New("mark must be 8 to 64 letters, digits, dots, - and _")
	case a.Helo != "" && !heloShape.MatchString(a.Helo):
		return fmt.Errorf("helo must be the name of a host, not %q", a.Helo)
	case a.To == "" && (a.From != "" || a.Mark != ""):
		return errors.New("from and mark need to")
	}
	return nil
}

// asksForRelay says whether the question for a relay is asked.
func (a *smtpProbeArgs) asksForRelay() bool {
	if a.Relay != nil {
		return *a.Relay
	}
	return a.User == "" && !probe.Loopback(a.host())
}

func planSMTPProbe(ctx context.Context, a *smtpProbeArgs) (*module.Plan, error) {
	server := a.server(a.Port)
	server.CA, _ = a.authorities()
	if len(a.Names) > 0 {
		server.Name = a.Names[0]
	}
	doing := "confirm that " + a.at(server) + " takes mail"
	s, err := a.open(ctx, server)
	if err != nil {
		return nil, a.failed(ctx, doing, err)
	}
	defer s.Close()
	now := time.Now()
	out := map[string]any{
		"greeting": s.Greeting, "encrypted": s.Certificate != nil, "certificate": certificateOutput(s.Certificate, now),
		"relay": "not asked", "relay_reply": "",
	}
	note := "not encrypted"
	if s.Certificate != nil {
		note = "TLS " + s.Certificate.Version
	}
	if a.asksForRelay() {
		said, err := a.relay(s)
		if err != nil {
			return nil, a.failed(ctx, doing, err)
		}
		out["relay"], out["relay_reply"] = "refused", said
		if ownRecipient(said) {
			out["relay"] = "not proven"
			note += fmt.Sprintf(", says of %s that there is no such user: whether it relays shows with another address for outside", a.Outside)
		} else {
			note += ", relays for nobody"
		}
	}
	plan := &module.Plan{Output: out, Note: note}
	if a.To != "" {
		plan.Changes = []module.Change{{
			Summary: fmt.Sprintf("deliver a marked mail to %s at %s", a.To, a.at(server)), Action: true,
			Apply: func(ctx context.Context, do *module.Apply) error { return a.deliver(ctx, do, server) },
		}}
	}
	return plan, nil
}

// open connects, judges the certificate and logs in.
func (a *smtpProbeArgs) open(ctx context.Context, server probe.Server) (*probe.SMTP, error) {
	helo, err := a.helo(ctx)
	if err != nil {
		return nil, err
	}
	s, err := probe.OpenSMTP(ctx, server, a.mode(a.Port), helo)
	if err != nil {
		return nil, err
	}
	if err := a.prepare(s); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (a *smtpProbeArgs) prepare(s *probe.SMTP) error {
	switch {
	case s.Certificate != nil:
		if wrong := a.judge(s.Certificate, a.Trusted, 0, time.Now()); len(wrong) > 0 && (a.Trusted || len(a.Names) > 0) {
			return joinReasons(wrong)
		}
	case a.Trusted || len(a.Names) > 0:
		return errors.New("it does not offer STARTTLS, so it has no certificate")
	}
	if a.User == "" {
		return nil
	}
	return s.Login(a.User, a.Password.Reveal())
}

// helo is the name of the machine that connects. Servers refuse a name without a dot.
func (a *smtpProbeArgs) helo(ctx context.Context) (string, error) {
	if a.Helo != "" || a.On == nil {
		return a.Helo, nil
	}
	facts, err := a.On.Facts(ctx)
	if err != nil {
		return "", err
	}
	if strings.Contains(facts.Hostname, ".") && heloShape.MatchString(facts.Hostname) {
		return facts.Hostname, nil
	}
	return "", nil
}

// relay asks for mail from outside to outside, and from a local sender to outside: some servers trust whoever writes a local sender.
func (a *smtpProbeArgs) relay(s *probe.SMTP) (said string, err error) {
	senders := []string{"relay-test@example.net"}
	if a.To != "" {
		senders = append(senders, a.To)
	}
	for _, from := range senders {
		r, err := s.Asks(from, a.Outside)
		if err != nil {
			return "", err
		}
		if r.Accepted() {
			return "", module.WithHint(fmt.Errorf("it is an open relay: it would take a mail from %s to %s (%s)", from, a.Outside, r),
				"look at smtpd_relay_restrictions, smtpd_recipient_restrictions and mynetworks; is this machine in mynetworks?")
		}
		if said == "" {
			said = r.String()
		}
	}
	return said, nil
}

// ownRecipient says whether a refusal speaks of a user who is not there (RFC 3463, X.1.1), which only the server of that domain can know.
func ownRecipient(said string) bool {
	text := strings.ToLower(said)
	return strings.Contains(text, " 5.1.1 ") || strings.Contains(text, "user unknown")
}

func (a *smtpProbeArgs) deliver(ctx context.Context, do *module.Apply, server probe.Server) error {
	mark := a.Mark
	if mark == "" {
		var random [12]byte
		if _, err := rand.Read(random[:]); err != nil {
			return err
		}
		mark = "runner-" + hex.EncodeToString(random[:])
	}
	doing := fmt.Sprintf("deliver a mail to %s at %s", a.To, a.at(server))
	s, err := a.open(ctx, server)
	if err != nil {
		return a.failed(ctx, doing, err)
	}
	defer s.Close()
	from, domain := a.From, a.To[strings.LastIndexByte(a.To, '@')+1:]
	if from == "" {
		from = "postmaster@" + domain
	}
	reply, queue, err := s.Deliver(a.From, a.To, probe.Message(mark, from, a.To, domain, time.Now()))
	if err != nil {
		return deliveryHint(a.failed(ctx, doing, err))
	}
	do.Output("mark", mark)
	do.Output("queue_id", queue)
	do.Output("reply", reply.String())
	return nil
}

// deliveryHint says what to do about common refusals.
func deliveryHint(err error) error {
	var refused *probe.ReplyError
	if !errors.As(err, &refused) {
		return err
	}
	text := strings.ToLower(refused.Reply.String())
	switch {
	case strings.Contains(text, "greylist") || strings.Contains(text, "postgrey"):
		return module.WithHint(err, "the server puts off unknown senders (greylisting): retries = 3 and delay = \"6m\" of the step try again")
	case refused.Reply.Code/100 == 4:
		return module.WithHint(err, "the server asks to try again later; its mail.log tells why")
	}
	return err
}
