package sshconfig

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

func TestWords(t *testing.T) {
	for _, c := range []struct {
		line, keyword string
		args          []string
	}{
		{"", "", nil},
		{"  # comment", "", nil},
		{"HostName mail.example.org\r\n", "hostname", []string{"mail.example.org"}},
		{"\tPort=22", "port", []string{"22"}},
		{"Port = 22 # why", "port", []string{"22"}},
		{"IdentityFile \"~/my keys/id\"", "identityfile", []string{"~/my keys/id"}},
		{"IdentityFile ~/a\\ b", "identityfile", []string{"~/a b"}},
		{"IdentityFile ~/a#b", "identityfile", []string{"~/a#b"}},
		{"Host a 'b c' \"d\\\"e\"", "host", []string{"a", "b c", `d"e`}},
		{"ProxyCommand  nc -X connect \"%h\" %p # kept", "proxycommand", []string{`nc -X connect "%h" %p # kept`}},
		{"ProxyCommand=nc %h", "proxycommand", []string{"nc %h"}},
		{"Compression", "compression", nil},
	} {
		keyword, args, err := split(c.line)
		if err != nil || keyword != c.keyword || !slices.Equal(args, c.args) {
			t.Errorf("%q: %q %q, %v", c.line, keyword, args, err)
		}
	}
	if _, _, err := split(`Host "a`); err == nil {
		t.Error("an open quote was taken")
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		want          bool
	}{
		{"a", "a", true}, {"a", "?", true}, {"", "?", false}, {"", "*", true}, {"ab", "a", false},
		{"mail.example.org", "*.example.org", true}, {"example.org", "*.example.org", false},
		{"192.168.0.7", "192.168.0.?", true}, {"192.168.0.17", "192.168.0.?", false},
		{"aXbXc", "a*X*c", true}, {"aaaaaaaaaaaaaaaaaaaaaaaaaaab", "*a*a*a*a*a*a*a*c", false}, {"a+b", "a+b", true},
	} {
		if got := Match(c.name, c.pattern); got != c.want {
			t.Errorf("%q against %q: %v", c.name, c.pattern, got)
		}
	}
	if MatchList("web.example.org", []string{"*.example.org", "!web.*"}) || MatchList("x", []string{"!y"}) {
		t.Error("a negated pattern matched")
	}
}

// keywords are compared with what ssh -G prints.
var keywords = []string{
	"hostname", "user", "port", "proxyjump", "proxycommand", "userknownhostsfile", "globalknownhostsfile", "hostkeyalias", "connecttimeout",
	"stricthostkeychecking", "identitiesonly", "addressfamily", "identityfile", "certificatefile", "identityagent", "batchmode",
	"ciphers", "serveraliveinterval", "hashknownhosts", "tag",
}

// TestAgainstSSH compares with the settings that ssh itself makes of configurations: some written by hand, many thrown
// together by chance.
func TestAgainstSSH(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		if strings.Contains(os.Getenv("RUNNER_TEST_REQUIRE"), "openssh") {
			t.Fatal("this test needs ssh")
		}
		t.Skip("SKIPPED: needs ssh")
	}
	dir := t.TempDir()
	baseline := sshSays(t, "/dev/null", "nothing")
	for name, text := range handWritten(t, dir) {
		for _, host := range []string{"old", "mail.example.org", "Web.Example.org", "192.168.0.7", "other"} {
			compare(t, baseline, name, text, dir, host)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 250 {
		compare(t, baseline, fmt.Sprintf("random %d", i), generate(random, dir, 0), dir, []string{"old", "mail.example.org", "web"}[i%3])
		if t.Failed() {
			return
		}
	}
}

func handWritten(t *testing.T, dir string) map[string]string {
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("conf.d-a", "Host old\n  Port 2222\n  IdentityFile ~/.ssh/a\n")
	write("conf.d-b", "Port 2223\nMatch host *.example.org\n  User b\n")
	if err := os.Mkdir(filepath.Join(dir, "conf.d-folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"include":     "Include " + dir + "/conf.d-*\nHost old\n  User admin\nHost *\n  Port 7\n",
		"conditional": "Host old\n  Include " + dir + "/conf.d-b\n  HostName mail.example.org\nUser x\n",
		"negation":    "Host *.example.org !web.*\n  User a\nHost *\n  User b\n",
		"match": "Host old\n HostName db.internal\nMatch host *.internal user root\n  Port 9\nMatch originalhost old\n  IdentityFile x\n" +
			"Match !originalhost old\n  IdentityFile y\nMatch all\n  ConnectTimeout 3\n",
		"exec":  "Match exec \"test %h = old\"\n  User yes\nMatch !exec false\n  Port 5\nMatch exec false\n Port 6\n",
		"final": "Host old\n  HostName mail.example.org\nMatch final host mail.example.org\n  User late\nHost mail.example.org\n  Port 10\nMatch final all\n  ConnectTimeout 9\n",
		"tokens": "Host *\n  HostName %h.lan\n  IdentityFile ~/.ssh/%r@%h\n  IdentityFile \"~/my keys/b\"\n  ProxyCommand nc -x 'a b' %h %p\n" +
			"  UserKnownHostsFile ~/a \"~/b c\"\n",
		"equals":    "Host=old\nUser=a\nPort = 44\n",
		"none":      "ProxyJump none\nIdentityFile none\n",
		"jump wins": "ProxyJump a,b@c:22\nProxyCommand nc %h %p\n",
		"tagged":    "Match originalhost old\n  IdentityAgent none\nMatch localuser " + localUser(t) + "\n  IdentitiesOnly yes\n",
	}
}

func localUser(t *testing.T) string {
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// generate writes a configuration by chance.
func generate(r *rand.Rand, dir string, depth int) string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	var b strings.Builder
	for range 2 + r.IntN(12) {
		switch r.IntN(10) {
		case 0, 1:
			b.WriteString("Host " + pick("old", "*", "*.example.org", "mail* !mail.example.org", "we?", "!old *", "o?d web") + "\n")
		case 2:
			b.WriteString("Match " + pick("all", "host old", "host *.example.org,old", "!host old", "user root", "user admin,x", "originalhost web", "final all",
				"final host mail.*", "host m* exec true", "!exec true", "localuser nobody", "final !user admin") + "\n")
		case 3:
			if depth < 2 {
				name := filepath.Join(dir, fmt.Sprintf("inc-%d-%d", depth, r.Int()))
				_ = os.WriteFile(name, []byte(generate(r, dir, depth+1)), 0o600)
				b.WriteString("  Include " + name + "\n")
			}
		case 4:
			b.WriteString(pick("  HostName mail.example.org", "HostName=%h.example.org", "\tHostName old") + "\n")
		default:
			b.WriteString("  " + pick("User admin", "User root", "Port 22", "Port 2222", "IdentityFile ~/.ssh/a", "IdentityFile ~/.ssh/b", "ProxyJump gate", "ProxyCommand nc %h %p", "ProxyCommand none",
				"ConnectTimeout 4", "HostKeyAlias x", "IdentitiesOnly yes", "UserKnownHostsFile ~/a ~/b", "StrictHostKeyChecking yes", "Ciphers aes128-ctr", "HashKnownHosts yes",
				"AddressFamily inet", "ServerAliveInterval 5", "CertificateFile ~/c", "IdentityAgent /run/agent") + pick("", "  ", " # note") + "\n")
		}
	}
	// ssh would take the note to belong to the command.
	return strings.NewReplacer("nc %h %p # note", "nc %h %p", "ProxyCommand none # note", "ProxyCommand none").Replace(b.String())
}

func compare(t *testing.T, baseline map[string][]string, name, text, dir, host string) {
	t.Helper()
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := sshSays(t, file, host)
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	s, err := Load(t.Context(), []File{{Path: file}}, Target{Host: host, LocalUser: localUser(t), Home: home, Run: func(ctx context.Context, line string) bool {
		return exec.CommandContext(ctx, "/bin/sh", "-c", line).Run() == nil
	}})
	if err != nil {
		t.Fatalf("%s, %s: %v\n%s", name, host, err, text)
	}
	for _, k := range keywords {
		got := s.All(k)
		if !additive(k) {
			got = nil
			if v := s.Get(k); v != "" {
				got = []string{v}
			}
		}
		expected := want[k]
		switch {
		case k == "hostname":
			got = []string{strings.ToLower(strings.ReplaceAll(cmp.Or(s.Get(k), host), "%h", host))}
		case k == "userknownhostsfile":
			if got == nil {
				got = baseline[k]
			}
			got[0] = strings.ReplaceAll(got[0], "~/", home+"/")
		case got == nil:
			got = baseline[k]
		case len(got) == 1 && got[0] == "none":
			got = nil
			if k == "identityfile" || k == "identityagent" {
				got = []string{"none"}
			}
		}
		if strings.HasPrefix(k, "proxy") && len(expected) == 1 && expected[0] == "none" { // printed or not, as it comes
			expected = nil
		}
		if v := map[string]string{"yes": "true", "true": "yes"}; len(got) == 1 && len(expected) == 1 && v[got[0]] == expected[0] {
			continue
		}
		if d := gocmp.Diff(expected, got); d != "" {
			t.Errorf("%s, host %s, %s (-ssh +ours): %s\n%s", name, host, k, d, withIncluded(text))
		}
	}
}

// withIncluded shows a configuration with the files that it includes.
func withIncluded(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(line)
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Include "); ok {
			files, _ := filepath.Glob(name)
			for _, f := range files {
				inner, _ := os.ReadFile(f)
				b.WriteString("> " + strings.ReplaceAll(withIncluded(string(inner)), "\n", "\n> ") + "\n")
			}
		}
	}
	return b.String()
}

// sshSays reads what ssh -G prints.
func sshSays(t *testing.T, file, host string) map[string][]string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ssh", "-G", "-F", file, host).CombinedOutput()
	if err != nil {
		text, _ := os.ReadFile(file)
		t.Fatalf("ssh -G: %v\n%s\n%s", err, out, text)
	}
	values := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		values[k] = append(values[k], v)
	}
	return values
}

func FuzzLoad(f *testing.F) {
	for _, s := range []string{"Host *\n User a\n", "Match host a exec \"b\"\n", "Host \"a b\" !c\nPort=22 # x\n", "Include x\n", "Match final all\nHostName %h.x\n"} {
		f.Add(s, "host")
	}
	f.Fuzz(func(t *testing.T, text, host string) {
		if strings.Contains(strings.ToLower(text), "include") {
			t.Skip("what it names may be endless, such as /dev/zero")
		}
		r := &reader{ctx: t.Context(), target: Target{Host: host, Home: "/nowhere"}, host: host, Settings: &Settings{first: map[string][]string{}, all: map[string][]string{}}}
		err := r.lines(File{Path: "config"}, text, true, 0)
		if err != nil && !strings.HasPrefix(err.Error(), "cannot read config line ") {
			t.Errorf("the message: %v", err)
		}
		for keyword, values := range r.first {
			if keyword != strings.ToLower(keyword) || len(values) == 0 {
				t.Errorf("%q is set to %q", keyword, values)
			}
		}
	})
}
