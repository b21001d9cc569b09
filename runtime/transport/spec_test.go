package transport

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Spec{
		"local":                 {Local: true},
		"mail":                  {Address: "mail"},
		"root@mail.example.org": {User: "root", Address: "mail.example.org"},
		"root@mail:2222":        {User: "root", Address: "mail", Port: 2222},
		"a@b@mail":              {User: "a@b", Address: "mail"},
		"[2001:db8::1]:22":      {Address: "2001:db8::1", Port: 22},
		"root@[2001:db8::1]":    {User: "root", Address: "2001:db8::1"},
		"2001:db8::1":           {Address: "2001:db8::1"},
	} {
		got, err := Parse(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(Spec{}, "Password", "Passphrase")); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
	for text, problem := range map[string]string{
		"":               "there is no name",
		"@mail":          "no user before the @",
		"mail:0":         "the port must be",
		"mail:ssh":       "the port must be",
		"mail:70000":     "the port must be",
		"[::1":           "the ] after the address is missing",
		"[::1]22":        "comes :port or nothing",
		"a:b:c":          "an IPv6 address with a port is written",
		"-oProxy=x":      "no host has such a name",
		"root@a b":       "no host has such a name",
		"root@x\nHost *": "no host has such a name",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%q: %v, want %q", text, err, problem)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"local", "root@mail:22", "[::1]:22", "2001:db8::1%eth0", "a@b@c", ":", "@", "[]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(s.String())
		if err != nil || !cmp.Equal(s, again, cmpopts.IgnoreFields(Spec{}, "Password", "Passphrase")) {
			t.Errorf("%q is read as %+v, written %q, read again %+v, %v", text, s, s.String(), again, err)
		}
	})
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	t.Setenv("HOME", dir)
	included := write("included", "Host old\n  Port 2222\n")
	mine := write("config", "Include "+included+`
Match host old exec "true"
  User nobody
Host old
  HostName mail-old.example.org
  User admin
  IdentityFile ~/.ssh/%h
  HostKeyAlias oldname
  UserKnownHostsFile ~/known
  ConnectTimeout 5
Host *.example.org
  ProxyJump gate.example.org
Host *
  IdentitiesOnly yes
`)
	system := write("system", "Host *\n  User system\n  Port 7\n")
	for name, c := range map[string]struct {
		spec Spec
		want func(r resolved) [2]any
	}{
		"address":        {Spec{Address: "old"}, func(r resolved) [2]any { return [2]any{r.Address, "mail-old.example.org"} }},
		"port":           {Spec{Address: "old"}, func(r resolved) [2]any { return [2]any{r.Port, 2222} }},
		"user":           {Spec{Address: "old"}, func(r resolved) [2]any { return [2]any{r.User, "nobody"} }},
		"user, no Match": {Spec{Address: "mail-old.example.org"}, func(r resolved) [2]any { return [2]any{r.User, "system"} }},
		"site wins":      {Spec{Address: "old", User: "root", Port: 22}, func(r resolved) [2]any { return [2]any{r.User, "root"} }},
		"system last":    {Spec{Address: "other"}, func(r resolved) [2]any { return [2]any{r.User, "system"} }},
		"key":            {Spec{Address: "old"}, func(r resolved) [2]any { return [2]any{r.Keys[0], dir + "/.ssh/mail-old.example.org"} }},
		"jump":           {Spec{Address: "x.example.org"}, func(r resolved) [2]any { return [2]any{r.Jump[0], "gate.example.org"} }},
		"no jump":        {Spec{Address: "old"}, func(r resolved) [2]any { return [2]any{len(r.Jump), 0} }},
		"alias":          {Spec{Address: "old"}, func(r resolved) [2]any { return [2]any{known(r), "oldname"} }},
		"known hosts":    {Spec{Address: "old"}, func(r resolved) [2]any { return [2]any{r.KnownHosts[0], dir + "/known"} }},
		"timeout":        {Spec{Address: "old"}, func(r resolved) [2]any { return [2]any{r.ConnectTimeout, 5 * time.Second} }},
		"only":           {Spec{Address: "old"}, func(r resolved) [2]any { return [2]any{r.identitiesOnly, true} }},
		"port name":      {Spec{Address: "h", Port: 2200}, func(r resolved) [2]any { return [2]any{known(r), "[h]:2200"} }},
	} {
		c.spec.Config = []string{mine, system}
		r, err := resolve(t.Context(), c.spec)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if pair := c.want(r); pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
}

func TestHungUp(t *testing.T) {
	for banner, want := range map[string]struct {
		busy     bool
		text, do string
	}{
		"":                         {true, "the server hung up during the handshake", "MaxStartups"},
		"SSH-2.0-OpenSSH_6.0p1":    {true, "the server hung up during the handshake", "MaxStartups"},
		"Exceeded MaxStartups":     {true, "the server hung up: Exceeded MaxStartups", "raise MaxStartups"},
		"Not allowed at this time": {false, "the server hung up: Not allowed at this time", "PerSourcePenalties"},
		"220 mail ESMTP":           {false, `what listens on port 2222 is no ssh server: it said "220 mail ESMTP"`, "port = "},
	} {
		do, err := hungUp(resolved{Spec: Spec{Port: 2222}}, io.EOF, banner)
		if busy(banner) != want.busy || err.Error() != want.text || !strings.Contains(do, want.do) {
			t.Errorf("%q: %v, %v; %s", banner, busy(banner), err, do)
		}
	}
}

// known is the name under which the host is remembered in known_hosts.
func known(r resolved) string {
	own, _ := (&hostKeys{r: r}).names()
	return own
}
