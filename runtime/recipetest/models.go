package recipetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"runner/runtime/host"
	"runner/runtime/host/hosttest"
	"runner/runtime/recipe"
)

// behave gives a fake host what every Debian has and does: its usual folders, and copies of files that are kept before a change. What a
// test declares goes before all this.
func (f *fake) behave() {
	for _, dir := range []string{"/etc", "/home", "/opt", "/root", "/srv", "/tmp", "/usr/local/bin", "/usr/local/sbin", "/var/backups", "/var/lib", "/var/log", "/var/spool", "/var/tmp"} {
		f.Dir(dir, hosttest.Attr{Mode: 0o755})
	}
	f.Default("@keep * *", hosttest.Answer{Do: func(_ *hosttest.Fake, c host.Command, _ string) hosttest.Answer {
		args := scriptArgs(c)
		content, ok := f.Content(args[0])
		if !ok {
			return hosttest.Answer{Status: 1, Stderr: "a fake host keeps copies of files only\n"}
		}
		kept := args[1] + args[0]
		f.File(kept, content, hosttest.Attr{Mode: 0o600})
		return hosttest.Answer{Stdout: kept + "\n"}
	}})
}

// scriptArgs are the arguments of a script.
func scriptArgs(c host.Command) []string { return c.Argv[4:] }

// service is a unit of systemd on a fake host.
type service struct {
	running, enabled bool
}

// service is host:service("postfix", { running = true, enabled = true }): a service that can be started, stopped, enabled and so on.
func (f *fake) service(_ context.Context, c recipe.Called) (any, error) {
	const want = `host:service("postfix", { running = true, enabled = true })`
	if len(c.Args) == 0 || len(c.Args) > 2 {
		return nil, form(want)
	}
	name, ok := c.Args[0].(string)
	if !ok || name == "" {
		return nil, form(want)
	}
	s := &service{running: true, enabled: true}
	if len(c.Args) == 2 {
		values, ok := table(c.Args[1:])
		if !ok {
			return nil, form(want)
		}
		r := reader{table: values}
		r.known("running", "enabled")
		if _, ok := values["running"]; ok {
			s.running = r.flag("running")
		}
		if _, ok := values["enabled"]; ok {
			s.enabled = r.flag("enabled")
		}
		if r.err != nil {
			return nil, fmt.Errorf("cannot make the service %s: %w", name, r.err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.services) == 0 {
		f.Default("@units ...", hosttest.Answer{Do: f.units})
		f.Default("@enabled *", hosttest.Answer{Do: f.isEnabled})
		f.Default("@services", hosttest.Answer{Do: f.unitFiles})
		f.Default("systemctl ...", hosttest.Answer{Do: f.systemctl})
	}
	f.services[unitOf(name)] = s
	return f.object, nil
}

func unitOf(name string) string {
	if strings.Contains(name, ".") {
		return name
	}
	return name + ".service"
}

// units is what `systemctl show` prints (systemctl(1)).
func (f *fake) units(_ *hosttest.Fake, c host.Command, _ string) hosttest.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	var blocks []string
	for _, name := range scriptArgs(c) {
		s := f.services[name]
		if s == nil {
			blocks = append(blocks, "Id="+name+"\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n")
			continue
		}
		state, boot := "ActiveState=inactive\nSubState=dead\nMainPID=0\n", "disabled"
		if s.running {
			state = "ActiveState=active\nSubState=running\nMainPID=812\n"
		}
		if s.enabled {
			boot = "enabled"
		}
		blocks = append(blocks, "Id="+name+"\nLoadState=loaded\n"+state+"Type=simple\nResult=success\nExecMainStatus=0\nUnitFileState="+boot+
			"\nCanReload=yes\nNeedDaemonReload=no\nConditionResult=yes\n")
	}
	return hosttest.Answer{Stdout: strings.Join(blocks, "\n")}
}

func (f *fake) isEnabled(_ *hosttest.Fake, c host.Command, _ string) hosttest.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.services[scriptArgs(c)[0]]; s != nil && s.enabled {
		return hosttest.Answer{Stdout: "enabled\n"}
	}
	return hosttest.Answer{Stdout: "disabled\n"}
}

func (f *fake) unitFiles(*hosttest.Fake, host.Command, string) hosttest.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return hosttest.Answer{Stdout: strings.Join(slices.Sorted(maps.Keys(f.services)), "\n") + "\n"}
}

// systemctl does what `systemctl VERB UNIT…` does to the services.
func (f *fake) systemctl(_ *hosttest.Fake, c host.Command, _ string) hosttest.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	var words []string
	for _, w := range c.Argv[1:] {
		if !strings.HasPrefix(w, "-") {
			words = append(words, w)
		}
	}
	if len(words) == 0 {
		return hosttest.Answer{Status: 1, Stderr: "a fake host does not know this command\n"}
	}
	for _, name := range words[1:] {
		s := f.services[unitOf(name)]
		if s == nil {
			return hosttest.Answer{Status: 5, Stderr: "Unit " + unitOf(name) + " not found.\n"}
		}
		switch words[0] {
		case "start", "restart", "reload-or-restart":
			s.running = true
		case "stop":
			s.running = false
		case "enable":
			s.enabled = true
		case "disable":
			s.enabled = false
		case "reload", "reset-failed", "try-restart", "daemon-reload":
		default:
			return hosttest.Answer{Status: 1, Stderr: "a fake host does not know systemctl " + words[0] + "\n"}
		}
	}
	return hosttest.Answer{}
}

// postfix is host:postfix { soft_bounce = "no" }: Postfix is installed and runs, with these lines in main.cf. Each is a parameter that it knows; there
// are no others but a few.
func (f *fake) postfix(_ context.Context, c recipe.Called) (any, error) {
	values, ok := table(c.Args)
	if !ok {
		return nil, form(`host:postfix { soft_bounce = "no" }`)
	}
	known := map[string]string{
		"inet_interfaces": "all", "message_size_limit": "10240000", "mydestination": "$myhostname, localhost.$mydomain, localhost",
		"myhostname": f.name, "mynetworks": "127.0.0.0/8", "relayhost": "", "soft_bounce": "no", "virtual_transport": "virtual",
	}
	var main strings.Builder
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value, ok := values[name].(string)
		if !ok {
			return nil, fmt.Errorf("cannot use %s as the value of %s in main.cf: it must be a text", text(values[name]), name)
		}
		fmt.Fprintf(&main, "%s = %s\n", name, value)
		if _, preset := known[name]; !preset {
			known[name] = ""
		}
	}
	f.File("/etc/postfix/main.cf", main.String(), hosttest.Attr{Mode: 0o644})
	f.File("/etc/postfix/master.cf", "smtp inet n - y - - smtpd\n", hosttest.Attr{Mode: 0o644})
	shown := "/etc/postfix\nrunning\n"
	for _, name := range slices.Sorted(maps.Keys(known)) {
		shown += name + " = " + known[name] + "\n"
	}
	f.Default("@postfix * *", hosttest.Answer{Stdout: shown})
	f.Default("readlink -f -- *", hosttest.Answer{Do: func(_ *hosttest.Fake, c host.Command, _ string) hosttest.Answer {
		return hosttest.Answer{Stdout: c.Argv[len(c.Argv)-1] + "\n"}
	}})
	f.Default("@sbin touch ...", hosttest.Answer{})
	f.Default("@sbin postfix ...", hosttest.Answer{})
	f.Default("@sbin postconf -c /etc/postfix -e *", hosttest.Answer{Do: f.setPostfix})
	return f.object, nil
}

// setPostfix is `postconf -e "name = value"` (postconf(1)): the line in main.cf is replaced, or added at the end.
func (f *fake) setPostfix(_ *hosttest.Fake, c host.Command, _ string) hosttest.Answer {
	args := scriptArgs(c)
	line := args[len(args)-1]
	name, _, _ := strings.Cut(line, " =")
	content, _ := f.Content("/etc/postfix/main.cf")
	lines := strings.SplitAfter(content, "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+" =") })
	if i < 0 {
		lines = append(lines, line+"\n")
	} else {
		lines[i] = line + "\n"
	}
	f.File("/etc/postfix/main.cf", strings.Join(lines, ""), hosttest.Attr{Mode: 0o644})
	return hosttest.Answer{}
}
