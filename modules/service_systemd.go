package modules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// unit is a unit of systemd.
type unit struct {
	id    string            // as systemd names it, aliases resolved: "mariadb.service"
	show  map[string]string // its properties; see systemd's org.freedesktop.systemd1(5)
	parts []map[string]string
}

// unitShow prints properties of the units that are its arguments, with an empty line between two units. Properties that an
// old systemd does not know are left out by it.
const unitShow = `SYSTEMD_COLORS=0 LC_ALL=C exec systemctl show --no-pager -p Id -p LoadState -p ActiveState -p SubState -p Type \
  -p Result -p ExecMainStatus -p MainPID -p Job -p UnitFileState -p NeedDaemonReload -p CanReload -p ConditionResult \
  -p ConsistsOf -p Wants -p Requires -p TriggeredBy -p RemainAfterExit -- "$@"`

func showUnit(ctx context.Context, v *host.View, names ...string) ([]map[string]string, error) {
	out, err := v.QueryScript(ctx, unitShow, names...)
	if err != nil {
		return nil, fmt.Errorf("cannot ask systemd of %s about %s: %w", v.Name(), strings.Join(names, ", "), why(err))
	}
	units := parseShow(out.Stdout)
	if len(units) != len(names) {
		return nil, fmt.Errorf("cannot ask systemd of %s about %s: it told of %d units", v.Name(), strings.Join(names, ", "), len(units))
	}
	return units, nil
}

// parseShow reads what `systemctl show` prints for one or more units.
func parseShow(text string) []map[string]string {
	var units []map[string]string
	for block := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n\n") {
		unit := map[string]string{}
		for line := range strings.Lines(block) {
			if name, value, ok := strings.Cut(strings.TrimRight(line, "\n"), "="); ok {
				unit[name] = value
			}
		}
		if len(unit) > 0 {
			units = append(units, unit)
		}
	}
	return units
}

// unitSuffixes are the kinds of units that can be started (systemd(1)).
var unitSuffixes = []string{".service", ".socket", ".target", ".timer", ".mount", ".automount", ".path", ".swap", ".slice"}

func unitName(name string) string {
	for _, s := range unitSuffixes {
		if strings.HasSuffix(name, s) {
			return name
		}
	}
	return name + ".service"
}

func findUnit(ctx context.Context, a *serviceArgs) (serviceManager, error) {
	name := unitName(a.Name)
	units, err := showUnit(ctx, a.On, name)
	if err != nil {
		return nil, err
	}
	switch show := units[0]; show["LoadState"] {
	case "not-found":
		return nil, unknownService(ctx, a)
	case "error", "bad-setting":
		return nil, module.WithHint(fmt.Errorf("cannot use %s on %s: systemd cannot read its unit file", name, a.On.Name()),
			"on "+a.On.Name()+": systemctl status "+name)
	case "masked":
		if a.State != "stopped" && (a.State != "" || *a.Enabled) {
			return nil, module.WithHint(fmt.Errorf("cannot use %s on %s: it is masked, so that nobody starts it", name, a.On.Name()),
				"on "+a.On.Name()+": systemctl unmask "+name)
		}
	}
	u := &unit{id: units[0]["Id"], show: units[0]}
	if u.id == "" {
		u.id = name
	}
	return u, nil
}

// name is the unit without ".service", as people write it.
func (u *unit) name() string { return strings.TrimSuffix(u.id, ".service") }

func (u *unit) hint() string { return "journalctl -u " + u.id + " tells more" }

func (u *unit) look(ctx context.Context, v *host.View) (*serviceState, error) {
	units, err := showUnit(ctx, v, u.id)
	if err != nil {
		return nil, err
	}
	u.show, u.parts = units[0], nil
	s := unitState(u.show)
	if names := partsOf(u.show); len(names) > 0 {
		if u.parts, err = showUnit(ctx, v, names...); err != nil {
			return nil, err
		}
		s = joinParts(s, u.parts)
	}
	if s.also, err = u.sockets(ctx, v); err != nil {
		return nil, err
	}
	return s, u.lookBoot(ctx, v, s)
}

// unitState tells a unit's state in the words of this module.
func unitState(show map[string]string) *serviceState {
	active, sub := show["ActiveState"], show["SubState"]
	s := &serviceState{detail: fmt.Sprintf("%s (%s)", active, sub)}
	job := show["Job"]
	s.busy = job != "" && job != "0"
	switch active {
	case "active":
		s.running = true
	case "reloading", "refreshing":
		s.running, s.busy = true, true
	case "activating":
		// A unit that waits for its next try has failed: whoever waits for it should be told why.
		s.busy = s.busy || sub != "auto-restart"
	case "deactivating":
		s.busy = true
	}
	s.pid, _ = strconv.Atoi(show["MainPID"])
	if !s.running {
		s.problem = unitProblem(show)
	}
	return s
}

// unitProblem says why a unit does not run.
func unitProblem(show map[string]string) string {
	result := show["Result"]
	switch {
	case strings.HasPrefix(result, "start-limit"):
		return "it was started too often in a short time, and systemd waits (start limit hit)"
	case result == "exit-code":
		return "it ended with exit status " + show["ExecMainStatus"]
	case result == "signal" || result == "core-dump":
		return "it was ended by signal " + show["ExecMainStatus"]
	case result == "timeout":
		return "it took too long (the timeout of its unit file)"
	case result != "" && result != "success":
		return "it failed (" + result + ")"
	case show["ConditionResult"] == "no":
		return "a condition of its unit file does not hold, so systemd does not start it"
	}
	return ""
}

// partsOf are the units that do the work of one that only stands for them: Debian's postfix.service of bookworm runs
// /bin/true and stays "active (exited)" whether postfix@-.service lives or not.
func partsOf(show map[string]string) []string {
	if show["SubState"] != "exited" && !(show["Type"] == "oneshot" && show["RemainAfterExit"] == "yes") {
		return nil
	}
	needed := append(strings.Fields(show["Wants"]), strings.Fields(show["Requires"])...)
	var parts []string
	for _, name := range strings.Fields(show["ConsistsOf"]) {
		if strings.HasSuffix(name, ".service") && slices.Contains(needed, name) {
			parts = append(parts, name)
		}
	}
	return parts
}

// joinParts is the state of a unit and its parts: it runs when all do, and is stopped when none does.
func joinParts(whole *serviceState, parts []map[string]string) *serviceState {
	all := *whole
	anyRuns := false
	for _, show := range parts {
		part := unitState(show)
		all.busy = all.busy || part.busy
		anyRuns = anyRuns || part.running
		if all.running && !part.running {
			all.running, all.detail = false, fmt.Sprintf("%s is %s", show["Id"], part.detail)
			all.problem = strings.TrimSuffix(fmt.Sprintf("%s: %s", show["Id"], part.problem), ": ")
		}
		if all.pid == 0 {
			all.pid = part.pid
		}
	}
	if !whole.running && anyRuns {
		all.running = true
	}
	return &all
}

const (
	unitEnabled = `LC_ALL=C systemctl is-enabled -- "$1" 2>/dev/null | tail -n 1`
	unitLog     = `LC_ALL=C journalctl --no-pager -q -n 10 "$@" 2>/dev/null; :`
)

// lookBoot finds out whether the unit is started at boot. `is-enabled` also knows units that stand for an init script.
func (u *unit) lookBoot(ctx context.Context, v *host.View, s *serviceState) error {
	s.bootIs = u.show["UnitFileState"]
	if s.bootIs == "" || s.bootIs == "generated" || s.bootIs == "bad" {
		out, err := v.QueryScript(ctx, unitEnabled, u.id)
		if err != nil {
			return fmt.Errorf("cannot ask systemd of %s whether %s is enabled: %w", v.Name(), u.id, why(err))
		}
		s.bootIs = strings.TrimSpace(out.Stdout)
	}
	yes, no := true, false
	switch s.bootIs {
	case "enabled", "enabled-runtime", "linked", "linked-runtime", "alias":
		s.boot = &yes
	case "disabled":
		s.boot = &no
	case "static":
		s.boot, s.fixed = &no, "it is only started by other units (its unit file has no [Install] section)"
	case "indirect":
		s.boot, s.fixed = &no, "only other units of it can be enabled (its unit file says Also=)"
	case "masked", "masked-runtime":
		s.boot, s.fixed = &no, "it is masked (systemctl unmask "+u.id+")"
	case "transient":
		s.boot, s.fixed = &no, "it was made by a running program and is gone after a boot"
	default:
		s.boot = &no
	}
	return nil
}

func (u *unit) do(ctx context.Context, h *host.Host, verb string) error {
	if verb != "stop" && u.show["NeedDaemonReload"] == "yes" {
		if err := u.tell(ctx, h, "daemon-reload"); err != nil {
			return err
		}
	}
	switch verb {
	case "reload":
		if u.show["CanReload"] == "no" {
			return errors.New(`it knows no reload (use state = "restarted")`)
		}
		return u.tell(ctx, h, "reload", "--", u.id)
	case "stop":
		sockets, err := u.sockets(ctx, h.View)
		if err != nil {
			return err
		}
		// A socket that goes on listening would start the service again at the next connection.
		return u.tell(ctx, h, append([]string{"--no-block", "stop", "--", u.id}, sockets...)...)
	}
	if limited(u.show) || slices.ContainsFunc(u.parts, limited) {
		if err := u.clear(ctx, h); err != nil {
			return err
		}
	}
	if err := u.tell(ctx, h, "--no-block", verb, "--", u.id); err != nil {
		return err
	}
	return u.unlimit(ctx, h)
}

func limited(show map[string]string) bool { return strings.HasPrefix(show["Result"], "start-limit") }

// clear forgets failures, so that a start that somebody asked for is not refused because of earlier ones.
func (u *unit) clear(ctx context.Context, h *host.Host) error {
	names := []string{u.id}
	for _, p := range u.parts {
		names = append(names, p["Id"])
	}
	return u.tell(ctx, h, append([]string{"reset-failed", "--"}, names...)...)
}

// unlimit starts once more when systemd refused the start only because there were too many in a short time: the limit is
// against services that crash again and again, not against an operator who restarts.
func (u *unit) unlimit(ctx context.Context, h *host.Host) error {
	now, err := u.look(ctx, h.View)
	if err != nil {
		return err
	}
	if now.busy || !limited(u.show) && !slices.ContainsFunc(u.parts, limited) {
		return nil
	}
	if err := u.clear(ctx, h); err != nil {
		return err
	}
	return u.tell(ctx, h, "--no-block", "start", "--", u.id)
}

func (u *unit) tell(ctx context.Context, h *host.Host, words ...string) error {
	_, err := h.Run(ctx, append([]string{"systemctl", "--no-ask-password"}, words...)...)
	var exit *host.ExitError
	if errors.As(err, &exit) && strings.TrimSpace(exit.Stderr) != "" {
		return errors.New(strings.TrimSpace(exit.Stderr))
	}
	return err
}

// sockets are the sockets that listen for the service now.
func (u *unit) sockets(ctx context.Context, v *host.View) ([]string, error) {
	var names []string
	for _, name := range strings.Fields(u.show["TriggeredBy"]) {
		if strings.HasSuffix(name, ".socket") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	units, err := showUnit(ctx, v, names...)
	if err != nil {
		return nil, err
	}
	var active []string
	for _, show := range units {
		if show["ActiveState"] == "active" {
			active = append(active, show["Id"])
		}
	}
	return active, nil
}

func (u *unit) enable(ctx context.Context, h *host.Host, on bool) error {
	verb := "disable"
	if on {
		verb = "enable"
	}
	if err := u.tell(ctx, h, verb, "--", u.id); err != nil {
		return fmt.Errorf("cannot %s %s on %s: %w", verb, u.name(), h.Name(), why(err))
	}
	return nil
}

// settle is longer for services of which systemd knows no moment at which they are ready.
func (u *unit) settle() time.Duration {
	switch u.show["Type"] {
	case "simple", "exec", "idle":
		return time.Second
	}
	return 200 * time.Millisecond
}

func (u *unit) recent(ctx context.Context, v *host.View) []string {
	names := []string{"-u", u.id}
	for _, p := range u.parts {
		names = append(names, "-u", p["Id"])
	}
	out, err := v.QueryScript(ctx, unitLog, names...)
	if err != nil {
		return nil
	}
	return out.Lines()
}
