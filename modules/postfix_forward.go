package modules

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// postfixForwardArgs is an old server that passes on the mail that still reaches it.
//
// One setting does it: virtual_transport leads to the new server. The old one still knows which addresses there are, refuses others,
// and follows its aliases, so it never becomes an open relay or a source of bounces. Since Dovecot does not run there any more, which
// Postfix would ask for passwords, logging in for sending is switched off for as long: without that no mail would be taken on port 25
// at all ("no SASL authentication mechanisms"). A frozen Postfix stays frozen; thaw it after this. To go back:
// postconf { on = old, set = r.before, unset = r.absent, reload = true }.
//
// # Example
//
//	local r = postfix.forward { on = old, to = "mail-new.example.org" }
//	postfix.thaw { on = old }
//
// # Result
//
//   - before (table of string): the settings that stood in main.cf, as they were
//   - absent (list of string): those that did not stand in main.cf
//   - transport (string): where the mail goes
type postfixForwardArgs struct {
	// Old server.
	On *host.View `lua:"on,required"`
	// New server as the old one finds it: a name, or an address. Its MX records are not asked.
	To string `lua:"to,required"`
	// Port of the new server.
	Port int `lua:"port" default:"25"`
	// Leave logging in for sending as it is, because the old server's Dovecot goes on.
	KeepLogin bool `lua:"keep_login"`
}

var mailHost = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$`)

// Validate checks what the types of the arguments cannot.
func (a *postfixForwardArgs) Validate() error {
	if !mailHost.MatchString(a.To) {
		return fmt.Errorf("to %q is no name or address of a host", a.To)
	}
	if a.Port < 1 || a.Port > 65535 {
		return fmt.Errorf("port must be between 1 and 65535, not %d", a.Port)
	}
	return nil
}

// transport is the new server in the words of transport(5): in brackets, so that no MX record leads elsewhere.
func (a *postfixForwardArgs) transport() string {
	to := a.To
	if strings.Contains(to, ":") {
		to = "ipv6:" + to
	}
	return fmt.Sprintf("smtp:[%s]:%d", to, a.Port)
}

func planPostfixForward(ctx context.Context, a *postfixForwardArgs) (*module.Plan, error) {
	set := map[string]any{"virtual_transport": a.transport()}
	if !a.KeepLogin {
		set["smtpd_sasl_auth_enable"] = "no"
	}
	plan, err := planPostconf(ctx, &postconfArgs{On: a.On, Set: set, Reload: true})
	if err != nil {
		return nil, err
	}
	plan.Output = map[string]any{"before": plan.Output["before"], "absent": plan.Output["absent"], "transport": a.transport()}
	if len(plan.Changes) == 0 {
		plan.Note = "already forwards to " + a.To
	}
	return plan, nil
}
