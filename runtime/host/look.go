package host

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// factsScript looks at a host in one round trip. What it prints is read by parseFacts: a line "name=value" each.
// os-release is prefixed with a space, so that nothing in it can be taken for one of ours.
const factsScript = `printf 'hostname=%s\n' "$(hostname -f 2>/dev/null || hostname 2>/dev/null || uname -n)"
printf 'kernel=%s\nmachine=%s\nuid=%s\nuser=%s\n' "$(uname -r)" "$(uname -m)" "$(id -u)" "$(id -un 2>/dev/null)"
printf 'time=%s\n' "$(date +%s)"
test -r /etc/debian_version && printf 'debian=%s\n' "$(cat /etc/debian_version)"
if test -r /etc/os-release;then sed 's/^/ /' /etc/os-release;echo;elif test -r /usr/lib/os-release;then sed 's/^/ /' /usr/lib/os-release;echo;fi
test -d /run/systemd/system && echo init.systemd=yes
{ test -p /run/initctl || test -p /dev/initctl; } && echo init.fifo=yes
if test -r /proc/1/comm;then printf 'init.name=%s\n' "$(cat /proc/1/comm)";elif test -r /proc/1/stat;then IFS= read -r s </proc/1/stat;s=${s#*"("};printf 'init.name=%s\n' "${s%%")"*}";fi
test -x /sbin/initctl && /sbin/initctl version 2>/dev/null | grep upstart >/dev/null && echo init.upstart=yes
:`

// Facts looks at the host once and remembers.
func (l *level) Facts(ctx context.Context) (*Facts, error) {
	l.mu.Lock()
	known := l.facts
	l.mu.Unlock()
	if known != nil {
		return known, nil
	}
	c := Script(factsScript)
	c.Looking = true
	if _, err := l.uid(ctx); err != nil { // so that connecting is not counted as the clock's difference
		return nil, err
	}
	before := time.Now()
	out, err := l.Exec(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("cannot look at %s: %w", l.name, err)
	}
	facts, clock, err := parseFacts(out.Stdout)
	if err != nil {
		return nil, fmt.Errorf("cannot look at %s: %w", l.name, err)
	}
	facts.Skew = skew(clock, before, time.Now())
	l.mu.Lock()
	l.facts = facts
	l.mu.Unlock()
	return facts, nil
}

// skew is how far the clock of a host is ahead of ours. The host looked at its clock at some time between before and
// after and told the second it was in, so within that nothing is known.
func skew(clock int64, before, after time.Time) time.Duration {
	switch {
	case clock == 0:
		return 0
	case clock > after.Unix():
		return time.Duration(clock-after.Unix()) * time.Second
	case clock < before.Unix():
		return time.Duration(clock-before.Unix()) * time.Second
	}
	return 0
}

// parseFacts reads what factsScript printed; clock is the host's time in seconds since 1970.
func parseFacts(text string) (f *Facts, clock int64, err error) {
	told, release := map[string]string{}, map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if !ok {
			continue
		}
		if inner, ok := strings.CutPrefix(name, " "); ok {
			release[inner] = unquote(value)
		} else if _, twice := told[name]; !twice {
			told[name] = value
		}
	}
	f = &Facts{Hostname: told["hostname"], Kernel: told["kernel"], Arch: told["machine"], User: told["user"], Init: initOf(told)}
	if f.UID, err = strconv.Atoi(told["uid"]); err != nil {
		return nil, 0, errors.New("it does not tell its user; is there no id(1)?")
	}
	clock, _ = strconv.ParseInt(told["time"], 10, 64)
	f.OS, f.Version, f.Major = systemOf(told["debian"], release)
	return f, clock, nil
}

func initOf(told map[string]string) string {
	switch {
	case told["init.systemd"] != "":
		return Systemd
	case told["init.upstart"] != "":
		return OtherInit
	case told["init.name"] == "init", told["init.name"] == "" && told["init.fifo"] != "":
		return SysV
	}
	return OtherInit
}

// systemOf tells the distribution: by os-release(5), which Debian has since 7, and by debian_version, which alone knows
// the minor version.
func systemOf(debian string, release map[string]string) (id, version string, major int) {
	id, version = strings.ToLower(release["ID"]), release["VERSION_ID"]
	if id == "" && debian != "" {
		id = "debian"
	}
	if id == "debian" && debian != "" {
		version = debian
		if name, _, ok := strings.Cut(debian, "/"); ok { // "trixie/sid": not released
			version = name
		}
		if code := release["VERSION_CODENAME"]; code != "" && strings.Contains(debian, "/") && release["VERSION_ID"] == "" {
			version = code
		}
	}
	major = leadingNumber(version)
	if major == 0 {
		major = leadingNumber(release["VERSION_ID"])
	}
	return id, version, major
}

func leadingNumber(s string) int {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(s[:end])
	if err != nil {
		return 0
	}
	return n
}

// unquote undoes the shell quoting of a value in os-release(5).
func unquote(v string) string {
	if len(v) < 2 || v[0] != v[len(v)-1] || v[0] != '"' && v[0] != '\'' {
		return v
	}
	inner := v[1 : len(v)-1]
	if v[0] == '\'' {
		return inner
	}
	return strings.NewReplacer(`\"`, `"`, `\$`, `$`, "\\`", "`", `\\`, `\`).Replace(inner)
}
