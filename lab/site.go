package lab

import (
	"fmt"
	"strings"
)

// siteText is a site.lua with which a recipe reaches the lab's hosts.
func (l *Lab) siteText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "-- The hosts of the rehearsal lab. Written by runner lab up.\nreturn {\n  hosts = {\n")
	for _, h := range l.MailHosts() {
		fmt.Fprintf(&b, "    %s = {\n      address = %s,\n      user = \"root\",\n      key = %s,\n      known_hosts = %s,\n    },\n",
			h.Name, luaString(h.Address), luaString(l.Key), luaString(l.KnownHosts))
	}
	mx := ""
	if h, err := l.Host("new"); err == nil {
		mx = h.Hostname
	}
	fmt.Fprintf(&b, "  },\n  params = {\n    mx = %s,\n    resolver = %s,\n  },\n}\n", luaString(mx), luaString(l.DNS[0]))
	return b.String()
}

// luaString quotes a text for Lua.
func luaString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// sshConfigText makes "ssh -F FILE old" work.
func (l *Lab) sshConfigText() string {
	var b strings.Builder
	b.WriteString("# The hosts of the rehearsal lab. Written by runner lab up.\n")
	for _, h := range l.MailHosts() {
		fmt.Fprintf(&b, "Host %s %s\n  HostName %s\n", h.Name, h.Hostname, h.Address)
	}
	fmt.Fprintf(&b, "Host *\n  User root\n  IdentityFile \"%s\"\n  IdentitiesOnly yes\n  UserKnownHostsFile \"%s\"\n  StrictHostKeyChecking yes\n", l.Key, l.KnownHosts)
	return b.String()
}
