package lab

import (
	"fmt"
	"strings"
)

// siteText is a site.lua with which a recipe reaches the lab's hosts.
func (l *Lab) siteText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "-- The hosts of the rehearsal lab. Written by runner lab up.\nreturn {\n  hosts = {\n")
	for _, h := range l.Servers() {
		fmt.Fprintf(&b, "    %s = {\n      address = %s,\n      user = \"root\",\n      key = %s,\n      known_hosts = %s,\n    },\n",
			h.Name, luaString(h.Address), luaString(l.Key), luaString(l.KnownHosts))
	}
	b.WriteString("  },\n  params = {\n")
	for _, p := range l.siteParams() {
		fmt.Fprintf(&b, "    %s = %s,\n", p[0], p[1])
	}
	fmt.Fprintf(&b, "    resolver = %s,\n  },\n}\n", luaString(l.DNS[0]))
	return b.String()
}

// siteParams are names and values, in Lua, of what a recipe must know of the new server.
func (l *Lab) siteParams() [][2]string {
	h, err := l.Host("new")
	if err != nil {
		return nil
	}
	if h.WebRoot == "" {
		return [][2]string{{"mx", luaString(h.Hostname)}}
	}
	return [][2]string{
		{"names", fmt.Sprintf("{ %s, %s }", luaString("www."+webDomain), luaString(webDomain))},
		{"addresses", fmt.Sprintf("{ %s }", luaString(h.Address))},
		{"root", luaString(h.WebRoot)},
		{"database", luaString(l.Database)}, {"account", luaString(l.DatabaseUser)}, {"password", luaString(l.DatabasePassword)},
		{"page", luaString("/shop.cgi")}, {"shows", luaString("Crème brûlée")}, {"modules", `{ "cgid" }`},
	}
}

// luaString quotes a text for Lua.
func luaString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// sshConfigText makes "ssh -F FILE old" work.
func (l *Lab) sshConfigText() string {
	var b strings.Builder
	b.WriteString("# The hosts of the rehearsal lab. Written by runner lab up.\n")
	for _, h := range l.Servers() {
		fmt.Fprintf(&b, "Host %s %s\n  HostName %s\n", h.Name, h.Hostname, h.Address)
	}
	fmt.Fprintf(&b, "Host *\n  User root\n  IdentityFile \"%s\"\n  IdentitiesOnly yes\n  UserKnownHostsFile \"%s\"\n  StrictHostKeyChecking yes\n", l.Key, l.KnownHosts)
	return b.String()
}
