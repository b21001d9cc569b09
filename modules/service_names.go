package modules

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"runner/runtime/module"
)

// serviceKin are services that do the same under another name, on another release or distribution.
var serviceKin = [][]string{
	{"mysql", "mariadb", "mysqld"},
	{"apache2", "httpd", "apache"},
	{"ssh", "sshd"},
	{"cron", "crond"},
	{"rsyslog", "sysklogd", "syslog"},
	{"bind9", "named"},
	{"spamassassin", "spamd"},
	{"clamav-daemon", "clamd"},
}

// knownServices prints the names of all units and init scripts of a host.
const knownServices = `ls /etc/init.d 2>/dev/null
if [ -d /run/systemd/system ]; then systemctl list-unit-files --no-pager --no-legend 2>/dev/null; fi
:`

// unknownService is the error for a service that the host does not have, with the names it may have meant.
func unknownService(ctx context.Context, a *serviceArgs) error {
	text := fmt.Sprintf("cannot find the service %s on %s", a.Name, a.On.Name())
	out, err := a.On.QueryScript(ctx, knownServices)
	if err != nil {
		return module.Absent(fmt.Errorf("%s", text))
	}
	var known []string
	for _, line := range out.Lines() {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if name := strings.TrimSuffix(fields[0], ".service"); name != "README" && !slices.Contains(known, name) {
			known = append(known, name)
		}
	}
	switch near := nearServices(strings.TrimSuffix(a.Name, ".service"), known); len(near) {
	case 0:
		return module.WithHint(module.Absent(fmt.Errorf("%s", text)), "is its package installed there?")
	default:
		return module.Absent(fmt.Errorf("%s; did you mean %s?", text, strings.Join(near, " or ")))
	}
}

// nearServices are at most three known services that name may have meant.
func nearServices(name string, known []string) []string {
	var near []string
	add := func(s string) {
		if s != "" && s != name && slices.Contains(known, s) && !slices.Contains(near, s) && len(near) < 3 {
			near = append(near, s)
		}
	}
	for _, kin := range serviceKin {
		if slices.Contains(kin, name) {
			for _, k := range kin {
				add(k)
			}
		}
	}
	add(module.Nearest(name, slices.Clone(known)))
	if len(name) >= 3 {
		for _, k := range known {
			// "php-fpm" is "php8.2-fpm" here, "postgresql" is "postgresql@15-main".
			if strings.Contains(k, name) || matchName(name, k) {
				add(k)
			}
		}
	}
	return near
}

func matchName(name, known string) bool {
	head, tail, ok := strings.Cut(name, "-")
	if !ok {
		return false
	}
	matched, _ := path.Match(head+"*-"+tail, known)
	return matched
}
