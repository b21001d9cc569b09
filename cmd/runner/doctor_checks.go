package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
	"runner/runtime/run"
	"runner/runtime/transport"
)

// Bounds beyond which the doctor warns.
const (
	clockOff   = 5 * time.Second // log lines and modification times of two hosts are compared
	littleDisk = 512 << 20
	fewInodes  = 10_000
	slowRound  = 300 * time.Millisecond
)

// examination is what the doctor does with one host. It stops where the next questions could not be asked.
type examination struct {
	hosts    *siteHosts
	login    *host.Host
	wantSudo bool
	become   string // what the site says that makes root
	facts    *host.Facts
	root     *host.Host // nil: there is no way to become root
	found    []finding
	broken   error // why nothing could be asked any more
}

func (e *examination) add(state, about, format string, args ...any) {
	e.found = append(e.found, finding{state: state, about: about, what: fmt.Sprintf(format, args...)})
}

func (e *examination) advise(do string) { e.found[len(e.found)-1].do = do }

func (e *examination) run(ctx context.Context) {
	for _, step := range []func(context.Context) error{e.connect, e.system, e.becomeRoot} {
		if e.broken = step(ctx); e.broken != nil {
			return
		}
	}
	for _, look := range []func(context.Context){e.clock, e.files, e.sockets, e.disks, e.tools} {
		look(ctx)
	}
}

func (e *examination) connect(ctx context.Context) error {
	began := time.Now()
	if _, err := e.login.Query(ctx, "true"); err != nil {
		e.found = append(e.found, wrong("ssh", err))
		return err
	}
	first := time.Since(began)
	began = time.Now()
	if _, err := e.login.Query(ctx, "true"); err != nil {
		e.found = append(e.found, wrong("ssh", err))
		return err
	}
	round := time.Since(began)
	peer, known := e.hosts.peer(module.HostName(e.login.Name()))
	switch {
	case e.login.Local():
		e.add("ok", "ssh", "not needed: this machine")
	case known:
		e.add("ok", "ssh", "%s at %s, host key %s; logged in as %s in %s", strings.TrimPrefix(peer.Server, "SSH-2.0-"), peer.Address, peer.Fingerprint, peer.User, run.Seconds(first.Seconds()))
	default:
		e.add("ok", "ssh", "logged in in %s", run.Seconds(first.Seconds()))
	}
	state := "ok"
	if round > slowRound {
		state = "warning"
	}
	e.add(state, "shell", "a command takes %.1f ms", float64(round.Microseconds())/1000)
	if state != "ok" {
		e.advise("the way there is slow, or the host is busy: steps take longer by that each")
	}
	return nil
}

func (e *examination) system(ctx context.Context) (err error) {
	if e.facts, err = e.login.Facts(ctx); err != nil {
		e.found = append(e.found, wrong("system", err))
		return err
	}
	f := e.facts
	e.add("ok", "system", "%s, %s %s, Linux %s on %s", f.Hostname, f.OS, f.Version, f.Kernel, f.Arch)
	if f.OS != "debian" && f.OS != "ubuntu" {
		e.found[len(e.found)-1].state = "warning"
		e.advise("modules are tried on Debian; package needs apt")
	}
	if f.Init == host.OtherInit {
		e.add("warning", "init", "neither systemd nor SysV init is process 1")
		e.advise("the module service works with these two only")
	} else {
		e.add("ok", "init", "%s", f.Init)
	}
	if !strings.Contains(f.Hostname, ".") {
		e.add("warning", "name", "hostname -f has no domain: %s", f.Hostname)
		e.advise("mail servers greet with their whole name: put it into /etc/hosts, or into myhostname of Postfix")
	}
	return nil
}

func (e *examination) becomeRoot(ctx context.Context) error {
	if e.facts.UID == 0 {
		e.root = e.login
		e.add("ok", "root", "logged in as root")
		return nil
	}
	root, err := e.login.Sudo(ctx)
	if err == nil {
		_, err = root.Query(ctx, "true")
	}
	switch {
	case err == nil:
		e.root = root
		e.add("ok", "root", "%s works for %s", cmp.Or(e.become, "sudo"), e.facts.User)
		if !e.wantSudo {
			e.advise("write sudo = true into the site for this host, or into steps that need it")
		}
	case e.wantSudo:
		e.found = append(e.found, wrong("root", err))
	default:
		f := wrong("root", err)
		f.state = "warning"
		e.found = append(e.found, f)
	}
	return nil
}

func (e *examination) clock(context.Context) {
	skew := e.facts.Skew
	if skew.Abs() <= clockOff {
		e.add("ok", "clock", "as here")
		return
	}
	word := "ahead of"
	if skew < 0 {
		word = "behind"
	}
	e.add("warning", "clock", "%s %s this machine's", module.FormatDuration(skew.Abs().Round(time.Second)), word)
	e.advise("let both run a time service (systemd-timesyncd, chrony, ntpd): logs and modification times are compared")
}

func (e *examination) files(ctx context.Context) {
	if e.login.Local() {
		return
	}
	if _, err := e.login.Files().Stat(ctx, "/"); err != nil {
		f := wrong("sftp", err)
		if f.do == "" {
			f.do = "files are written through sftp: \"Subsystem sftp internal-sftp\" in its sshd_config"
		}
		e.found = append(e.found, f)
		return
	}
	e.add("ok", "sftp", "files can be read and written")
}

func (e *examination) sockets(ctx context.Context) {
	if e.login.Local() {
		return
	}
	conn, err := e.login.Dial(ctx, "unix", "/run/runner-doctor-is-no-socket")
	if err == nil {
		conn.Close()
	}
	switch {
	case errors.Is(err, transport.ErrNoStreamlocal):
		e.add("warning", "sockets", "its sshd does not connect to Unix sockets (OpenSSH before 6.7, or AllowStreamLocalForwarding no)")
		e.advise("the mysql modules reach the server at 127.0.0.1 instead: it must listen there")
	case errors.Is(err, transport.ErrForbidden):
		e.found = append(e.found, wrong("sockets", err))
	default:
		e.add("ok", "sockets", "its sshd connects to servers there")
	}
}

func (e *examination) disks(ctx context.Context) {
	for _, path := range []string{"/", "/tmp", "/var"} {
		bytes, inodes, err := e.login.FreeSpace(ctx, path)
		switch {
		case err != nil:
			e.found = append(e.found, wrong("disk", err))
		case bytes < littleDisk:
			e.add("warning", "disk", "%s has %d MiB free", path, bytes>>20)
			e.advise("make room: backups are kept in /var/backups, and files are written aside before they take their place")
		case inodes > 0 && inodes < fewInodes:
			e.add("warning", "disk", "%s has room for %d files only (inodes)", path, inodes)
			e.advise("each mail is a file, and so is each backup")
		default:
			e.add("ok", "disk", "%s has %.1f GiB free", path, float64(bytes)/(1<<30))
		}
	}
}

// tools are the programs that modules call; those of the first group are needed by all.
var tools = []struct {
	about    string
	needed   bool
	programs []string
	do       string
}{
	{"tools", true, []string{"find", "tar", "sed", "awk", "df", "stat", "gzip"}, "install the packages that have them: findutils, tar, sed, mawk, coreutils, gzip"},
	{"packages", false, []string{"apt-get", "dpkg"}, ""},
	{"mail", false, []string{"postconf", "postqueue", "doveconf", "doveadm"}, ""},
	{"database", false, []string{"mysql", "mysqldump"}, ""},
}

func (e *examination) tools(ctx context.Context) {
	for _, group := range tools {
		var here, missing []string
		for _, p := range group.programs {
			has, err := e.login.Has(ctx, p)
			switch {
			case err != nil:
				e.found = append(e.found, wrong(group.about, err))
				return
			case has:
				here = append(here, p)
			default:
				missing = append(missing, p)
			}
		}
		switch {
		case len(missing) == 0:
			e.add("ok", group.about, "%s", strings.Join(here, ", "))
		case group.needed:
			e.add("wrong", group.about, "%s missing", strings.Join(missing, ", "))
			e.advise(group.do)
		case len(here) == 0:
			e.add("", group.about, "none of %s", strings.Join(missing, ", "))
		default:
			e.add("", group.about, "%s; not %s", strings.Join(here, ", "), strings.Join(missing, ", "))
		}
	}
}
