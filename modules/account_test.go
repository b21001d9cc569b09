package modules

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"runner/runtime/host"
	"runner/runtime/module"
)

// A real passwd database that is nobody's: the programs run with a copy of /etc in its place.
func TestAccountsForReal(t *testing.T) {
	needRoot(t)
	needProgram(t, "passwd", "useradd")
	needProgram(t, "util-linux", "unshare")
	etc := t.TempDir()
	for _, name := range []string{"passwd", "group", "shadow", "gshadow", "login.defs", "nsswitch.conf", "pam.d", "security", "default", "skel", "ld.so.cache", "subuid", "subgid"} {
		if said, err := exec.Command("sh", "-c", `! [ -e "/etc/$1" ] || cp -a "/etc/$1" "$2/"`, "sh", name, etc).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	h, m := newMachine(t)
	m.fake = func(c host.Command) (host.Output, bool) {
		run := exec.Command("unshare", append([]string{"--mount", "sh", "-c", `mount --bind "$0" /etc && exec "$@"`, etc}, c.Argv...)...)
		var stdout, stderr bytes.Buffer
		run.Stdin, run.Stdout, run.Stderr = c.Stdin, &stdout, &stderr
		if err := run.Run(); run.ProcessState == nil {
			t.Error(err)
			return host.Output{Status: 127}, true
		}
		return host.Output{Stdout: stdout.String(), Stderr: stderr.String(), Status: run.ProcessState.ExitCode()}, true
	}
	twice(t, h, "group", map[string]any{"on": here, "name": "rnr-mail", "gid": 51234.0})
	twice(t, h, "group", map[string]any{"on": here, "name": "rnr-more", "system": true})
	twice(t, h, "group", map[string]any{"on": here, "name": "rnr-mail", "gid": 51235.0})
	home := filepath.Join(t.TempDir(), "home")
	o := twice(t, h, "user", map[string]any{"on": here, "name": "rnr-mail", "uid": 51234.0, "group": "rnr-mail", "home": home, "shell": "/usr/sbin/nologin", "create_home": true})
	if o.Output["gid"] != int64(51235) || o.Output["home"] != home {
		t.Errorf("%v", o.Output)
	}
	if _, err := os.Stat(home); err != nil {
		t.Error(err)
	}
	const hash = "$6$saltsalt$MwPBpVQyoX9DMT30cNqaYjvNc2Aq6bXn3uQw"
	o = twice(t, h, "user", map[string]any{"on": here, "name": "rnr-mail", "groups": []any{"rnr-more"}, "comment": "The mail", "password_hash": module.NewSecret(hash)})
	if got := strings.Join(o.Output["groups"].([]string), " "); got != "rnr-mail rnr-more" {
		t.Errorf("groups %q", got)
	}
	if !strings.Contains(readTestFile(t, filepath.Join(etc, "shadow")), "rnr-mail:"+hash+":") {
		t.Error("the password is not in shadow")
	}
	for _, c := range m.log {
		if strings.Contains(c.String(), hash) {
			t.Errorf("the password stands in a command: %s", c)
		}
	}
	twice(t, h, "user", map[string]any{"on": here, "name": "rnr-mail", "state": "absent", "remove_home": true})
	twice(t, h, "group", map[string]any{"on": here, "name": "rnr-more", "state": "absent"})
	wants(t, step(t, h, "user", map[string]any{"on": here, "name": "rnr-x", "uid": 0.0}), "", "cannot make user rnr-x (uid 0) on here: useradd: UID 0 is not unique")
	if text := readTestFile(t, "/etc/passwd"); strings.Contains(text, "rnr-") {
		t.Error("the test changed this machine")
	}
}

func TestAccountArguments(t *testing.T) {
	for _, c := range []struct {
		module, wrong string
		values        map[string]any
	}{
		{"user", "is no name of a user", map[string]any{"name": "a:b"}},
		{"user", "never the password itself", map[string]any{"password_hash": module.NewSecret("short")}},
		{"user", "home must be a whole path", map[string]any{"home": "x"}},
		{"user", "goes with name and remove_home only", map[string]any{"state": "absent", "uid": 5.0}},
		{"user", "the user root is not removed", map[string]any{"name": "root", "state": "absent"}},
		{"group", "the group root is not removed", map[string]any{"name": "root", "state": "absent"}},
		{"group", "gid must be between", map[string]any{"gid": -1.0}},
		{"cron", "cron passes over other files", map[string]any{"name": "a.b", "job": "x"}},
		{"cron", "nothing that crontab(5) knows", map[string]any{"minute": "1 2", "job": "x"}},
		{"cron", "every minute of the hour", map[string]any{"hour": "3", "job": "x"}},
		{"cron", "job must be one line", map[string]any{"job": "x\ny"}},
		{"cron", "at stands instead", map[string]any{"job": "x", "at": "daily", "minute": "1"}},
		{"package", "is no package", map[string]any{"names": []any{"-o=x"}}},
		{"package", "a version does not go with", map[string]any{"names": []any{"postfix=1"}, "state": "latest"}},
		{"package", "archived and sources cannot go together", map[string]any{"names": []any{"postfix"}, "archived": true, "sources": []any{"deb x"}}},
		{"package", "each must be one line", map[string]any{"names": []any{"postfix"}, "sources": []any{"a\nb"}}},
		{"http_check", "url must be such as", map[string]any{"url": "ftp://x"}},
		{"http_check", "url must hold no password", map[string]any{"url": "http://a:b@x/"}},
		{"archive", "is not a whole path", map[string]any{"paths": []any{"etc"}}},
	} {
		base := map[string]map[string]any{
			"user": {"on": here, "name": "john"}, "group": {"on": here, "name": "john"}, "cron": {"on": here, "name": "john"}, "package": {"on": here},
			"http_check": {}, "archive": {"from": here, "path": "/x.tgz"},
		}[c.module]
		if _, err := decode(c.module, with(base, c.values)); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s %v: %v, want %q", c.module, c.values, err, c.wrong)
		}
	}
}
