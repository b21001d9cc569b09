package modules

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// streaming is a machine that can also run long programs.
type streaming struct {
	*machine
	name string
}

func (s streaming) Name() string { return s.name }

func (s streaming) Sudo(context.Context) (host.Backend, error) { return s, nil }

func (s streaming) Start(_ context.Context, c host.Command) (host.Process, error) {
	p := &program{cmd: exec.Command(c.Argv[0], c.Argv[1:]...)}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if p.out, err = p.cmd.StdoutPipe(); err != nil {
		return nil, err
	}
	p.cmd.Stderr = &p.errs
	return p, p.cmd.Start()
}

type program struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  io.Reader
	errs bytes.Buffer
}

func (p *program) Stdin() io.WriteCloser { return p.in }
func (p *program) Stdout() io.Reader     { return p.out }
func (p *program) Stderr() io.Reader     { return strings.NewReader("") }
func (p *program) Close() error          { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
func (p *program) Wait() error {
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &host.ExitError{Command: p.cmd.Path, Status: exit.ExitCode()}
	}
	return err
}

// mailMove is a stage with two roots on this machine that play old and new.
type mailMove struct {
	t        *testing.T
	old, new string
	hosts    map[module.HostName]*host.Host
	progress []module.Progress
	kept     []module.Original
}

func newMailMove(t *testing.T) *mailMove {
	root := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(root, "cache"))
	m := &mailMove{t: t, old: filepath.Join(root, "old"), new: filepath.Join(root, "new"), hosts: map[module.HostName]*host.Host{}}
	for _, name := range []string{"old", "new"} {
		m.hosts[module.HostName(name)] = host.New(streaming{&machine{}, name})
	}
	for i := range 20 {
		m.message("example.org/john/Maildir", "cur/"+strconv.Itoa(1400000000+i)+".M1P1.old,S=5:2,S", "hello")
	}
	return m
}

// message writes a message of old.
func (m *mailMove) message(box, name, body string) {
	m.t.Helper()
	for _, d := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(m.old, box, d), 0o700); err != nil {
			m.t.Fatal(err)
		}
	}
	path := filepath.Join(m.old, box, name)
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		m.t.Fatal(err)
	}
	when := time.Unix(1_400_000_000, 0)
	if err := os.Chtimes(path, when, when); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mailMove) run(name string, check bool, values map[string]any) module.Result {
	m.t.Helper()
	for _, mod := range maildirModules() {
		if mod.Name != name {
			continue
		}
		call, err := mod.Decode(values)
		if err != nil {
			m.t.Fatal(err)
		}
		if err := call.Bind(m.hosts); err != nil {
			m.t.Fatal(err)
		}
		return call.Run(context.Background(), check, module.Observer{
			Progress: func(p module.Progress) { m.progress = append(m.progress, p) },
			Keep:     func(o module.Original) { m.kept = append(m.kept, o) },
		})
	}
	m.t.Fatalf("no module %s", name)
	return module.Result{}
}

func (m *mailMove) sync(check bool, more map[string]any) module.Result {
	values := map[string]any{
		"from": module.HostName("old"), "to": module.HostName("new"), "path": m.old, "target": m.new,
		"owner": strconv.Itoa(os.Getuid()) + ":" + strconv.Itoa(os.Getgid()),
	}
	for k, v := range more {
		values[k] = v
	}
	return m.run("maildir_sync", check, values)
}

func (m *mailMove) status(r module.Result, want module.Status) module.Result {
	m.t.Helper()
	if r.Status != want {
		m.t.Fatalf("%s, not %s: %v", r.Status, want, r.Err)
	}
	return r
}

// TestMaildirSyncModule goes the way of a recipe: check, warm, final, verify, live, late.
func TestMaildirSyncModule(t *testing.T) {
	m := newMailMove(t)
	r := m.status(m.sync(true, nil), module.Changed)
	if len(r.Changes) != 1 || !strings.HasPrefix(r.Changes[0].Summary, "copy 20 messages, 100 B;") {
		t.Errorf("check: %+v", r.Changes)
	}
	if _, err := os.Stat(m.new); err == nil {
		t.Fatal("check mode wrote")
	}
	r = m.status(m.sync(false, nil), module.Changed)
	if r.Output["copied"] != int64(20) || r.Output["messages"] != int64(20) || len(m.progress) == 0 {
		t.Errorf("warm: %v, progress %v", r.Output, m.progress)
	}
	if r.Output["domains"].(map[string]any)["example.org"] != int64(20) || !strings.Contains(r.Changes[0].Summary, "; the next pass would take about ") {
		t.Errorf("warm: %v, %s", r.Output, r.Changes[0].Summary)
	}
	if last := m.progress[len(m.progress)-1]; last.Done != 20 || last.Total != 20 || last.Bytes != 100 {
		t.Errorf("progress ends with %+v", last)
	}
	if r = m.status(m.sync(false, nil), module.OK); !strings.HasPrefix(r.Note, "20 messages, equal; the next pass would take about ") {
		t.Errorf("a second pass says %q", r.Note)
	}
	if err := os.Remove(filepath.Join(m.old, "example.org/john/Maildir/cur/1400000003.M1P1.old,S=5:2,S")); err != nil {
		t.Fatal(err)
	}
	r = m.status(m.sync(false, map[string]any{"mode": "final"}), module.Changed)
	if r.Output["quarantined"] != int64(1) || !r.Changes[0].Destroys || len(m.kept) != 1 {
		t.Errorf("final: %v, kept %v", r.Output, m.kept)
	}
	if _, err := os.Stat(filepath.Join(m.kept[0].Backup, "example.org/john/Maildir/cur/1400000003.M1P1.old,S=5:2,S")); err != nil {
		t.Error(err)
	}
	m.status(m.sync(false, map[string]any{"mode": "final"}), module.OK)
	m.verify("")
	on := map[string]any{"on": module.HostName("new"), "target": m.new}
	if r = m.status(m.run("maildir_sync.status", false, on), module.OK); r.Output["live"] != false || r.Output["last_final"] == nil {
		t.Errorf("status: %v", r.Output)
	}
	m.status(m.run("maildir_sync.live", false, on), module.Changed)
	m.status(m.run("maildir_sync.live", false, on), module.OK)
	if r = m.status(m.run("maildir_sync.status", false, on), module.OK); r.Output["live"] != true || r.Output["since"] == nil {
		t.Errorf("status: %v", r.Output)
	}
	r = m.status(m.sync(false, map[string]any{"mode": "final"}), module.Failed)
	if !strings.Contains(r.Err.Error(), `mode = "late"`) {
		t.Errorf("final into a live target: %v", r.Err)
	}
	m.message("example.org/john/Maildir", "new/1500000000.M1P1.old", "late")
	r = m.status(m.sync(false, map[string]any{"mode": "late"}), module.Changed)
	if r.Output["copied"] != int64(1) {
		t.Errorf("late: %v", r.Output)
	}
	m.status(m.sync(false, map[string]any{"mode": "late"}), module.OK)

	// Back again: the mark goes, and the mailboxes can be moved to once more.
	one := map[string]any{"on": module.HostName("new"), "target": m.new, "domains": []any{"example.org"}, "state": "absent"}
	if r = m.status(m.run("maildir_sync.live", false, one), module.Failed); !strings.Contains(r.Err.Error(), "leave domains away") {
		t.Errorf("one domain of all: %v", r.Err)
	}
	on["state"] = "absent"
	m.status(m.run("maildir_sync.live", false, on), module.Changed)
	m.status(m.run("maildir_sync.live", false, on), module.OK)
	one["state"] = "present"
	m.status(m.run("maildir_sync.live", false, one), module.Changed)
	one["state"] = "absent"
	m.status(m.run("maildir_sync.live", false, one), module.Changed)
	m.status(m.run("maildir_sync.live", false, one), module.OK)
	m.status(m.sync(false, map[string]any{"mode": "final", "max_delete": "100%"}), module.Changed)
}

// TestMaildirConverge repeats warm passes until one would be short, and gives up on what cannot be reached.
func TestMaildirConverge(t *testing.T) {
	m := newMailMove(t)
	values := func(more map[string]any) map[string]any {
		v := map[string]any{
			"from": module.HostName("old"), "to": module.HostName("new"), "path": m.old, "target": m.new,
			"owner": strconv.Itoa(os.Getuid()) + ":" + strconv.Itoa(os.Getgid()),
		}
		for k, x := range more {
			v[k] = x
		}
		return v
	}
	r := m.status(m.run("maildir_sync.converge", true, values(nil)), module.Changed)
	if len(r.Changes) != 1 || !strings.HasPrefix(r.Changes[0].Summary, "repeat warm passes until one takes about 20 s; first copy 20 messages") {
		t.Errorf("check: %+v", r.Changes)
	}
	if _, err := os.Stat(m.new); err == nil {
		t.Fatal("check mode wrote")
	}
	r = m.status(m.run("maildir_sync.converge", false, values(nil)), module.Changed)
	if r.Output["reached"] != true || r.Output["passes"] != int64(1) || r.Output["copied"] != int64(20) {
		t.Errorf("converge: %v", r.Output)
	}
	r = m.status(m.run("maildir_sync.converge", false, values(nil)), module.OK)
	if r.Output["reached"] != true || r.Output["passes"] != int64(0) {
		t.Errorf("converged: %v", r.Output)
	}
	r = m.status(m.run("maildir_sync.converge", false, values(map[string]any{"until": 1e-6, "passes": 1.0})), module.Changed)
	if r.Output["reached"] != false || !strings.Contains(r.Output["why"].(string), "1 pass") {
		t.Errorf("too short: %v", r.Output)
	}
	r = m.status(m.run("maildir_sync.converge", false, values(map[string]any{"until": 1e-6, "passes": 1.0, "strict": true})), module.Failed)
	if !strings.Contains(r.Err.Error(), "cannot bring the next pass down to") {
		t.Error(r.Err)
	}
}

// verify demands equality, or that the differences say something.
func (m *mailMove) verify(says string) {
	m.t.Helper()
	r := m.run("maildir_sync.verify", false, map[string]any{
		"from": module.HostName("old"), "to": module.HostName("new"), "path": m.old, "target": m.new, "content": true,
		"owner": strconv.Itoa(os.Getuid()) + ":" + strconv.Itoa(os.Getgid()),
	})
	if says == "" {
		m.status(r, module.OK)
		if r.Output["messages"].(int64) == 0 {
			m.t.Error("nothing was compared")
		}
		return
	}
	m.status(r, module.Failed)
	if !strings.Contains(r.Err.Error(), says) {
		m.t.Errorf("the error does not say %q: %v", says, r.Err)
	}
}

// TestMaildirVerifyFinds makes one defect at a time; each must be found and named.
func TestMaildirVerifyFinds(t *testing.T) {
	m := newMailMove(t)
	box := filepath.Join(m.old, "example.org/john/Maildir")
	for name, text := range map[string]string{"dovecot-uidlist": "3 V1367629321 N21 Gabc\n", "dovecot-keywords": "0 $Label1\n", "subscriptions": "Sent\n"} {
		if err := os.WriteFile(filepath.Join(box, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	new := filepath.Join(m.new, "example.org/john/Maildir")
	const first = "cur/1400000000.M1P1.old,S=5:2,S"
	keep := func(name, text string) func() error { // same size and time, another content
		return func() error {
			info, err := os.Stat(filepath.Join(new, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(new, name), []byte(text), 0o600); err != nil {
				return err
			}
			return os.Chtimes(filepath.Join(new, name), info.ModTime(), info.ModTime())
		}
	}
	defects := map[string]struct {
		make func() error
		says string
	}{
		"removed": {func() error { return os.Remove(filepath.Join(new, first)) }, "1 missing"},
		"flag":    {func() error { return os.Rename(filepath.Join(new, first), filepath.Join(new, first+"T")) }, "1 flags"},
		"to new": {func() error {
			return os.Rename(filepath.Join(new, first), filepath.Join(new, "new/1400000000.M1P1.old,S=5:2,S"))
		}, "1 new or cur"},
		"too many":    {func() error { return os.WriteFile(filepath.Join(new, "cur/x:2,"), nil, 0o600) }, "1 too many"},
		"time":        {func() error { return os.Chtimes(filepath.Join(new, first), time.Now(), time.Now()) }, "INTERNALDATE"},
		"size":        {func() error { return os.Truncate(filepath.Join(new, first), 4) }, "has 4 bytes, not 5"},
		"content":     {keep(first, "HELLO"), "1 content"},
		"mode":        {func() error { return os.Chmod(filepath.Join(new, first), 0o644) }, "has mode 0644, not 0600"},
		"uidvalidity": {keep("dovecot-uidlist", "3 V1367629322 N21 Gabc\n"), "V1367629322"},
		"keywords":    {keep("dovecot-keywords", "0 $Label2\n"), "1 keywords"},
		"subscribed":  {keep("subscriptions", "Junk\n"), "1 subscriptions"},
		"no uidlist":  {func() error { return os.Remove(filepath.Join(new, "dovecot-uidlist")) }, "1 missing"},
		"folder":      {func() error { return os.MkdirAll(filepath.Join(new, ".X/cur"), 0o700) }, "too many"},
	}
	if os.Getuid() == 0 {
		defects["owner"] = struct {
			make func() error
			says string
		}{func() error { return os.Lchown(filepath.Join(new, first), 12345, os.Getgid()) }, "belongs to 12345:"}
	}
	for name, d := range defects {
		t.Run(name, func(t *testing.T) {
			m.t = t
			if err := os.RemoveAll(m.new); err != nil {
				t.Fatal(err)
			}
			m.status(m.sync(false, map[string]any{"mode": "final", "max_delete": "100%"}), module.Changed)
			m.verify("")
			if err := d.make(); err != nil {
				t.Fatal(err)
			}
			m.verify(d.says)
		})
	}
}

func TestMaildirArguments(t *testing.T) {
	hosts := map[string]any{"from": module.HostName("old"), "to": module.HostName("new")}
	cases := map[string]struct {
		values map[string]any
		says   string
	}{
		"relative path":  {map[string]any{"path": "var/vmail"}, "path must be an absolute path"},
		"root directory": {map[string]any{"path": "/"}, "path must not be the root directory"},
		"target":         {map[string]any{"target": "//"}, "target must not be the root directory"},
		"domain":         {map[string]any{"domains": []any{"../etc"}}, "is no domain"},
		"one pattern":    {map[string]any{"target": "/var/vmail/%d/%n"}, "path must be one too"},
		"no user":        {map[string]any{"path": "/var/vmail/%d/Maildir"}, "must tell the user"},
		"no domain":      {map[string]any{"path": "/home/%n", "target": "/var/vmail/%d/%n"}, "say with domains which one it is"},
		"two domains":    {map[string]any{"path": "/home/%n", "domains": []any{"a.example", "b.example"}}, "one domain only"},
		"variable":       {map[string]any{"path": "/var/vmail/%d/%q"}, "%q is a variable that is not known here"},
		"limit":          {map[string]any{"max_delete": "lots"}, "max_delete must be a number of messages or a share"},
		"mode":           {map[string]any{"mode": "cold"}, "must be one of"},
		"streams":        {map[string]any{"streams": 20.0}, "streams must be between"},
		"unknown":        {map[string]any{"domain": []any{"x"}}, `did you mean "domains"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			values := map[string]any{}
			for _, part := range []map[string]any{hosts, c.values} {
				for k, v := range part {
					values[k] = v
				}
			}
			_, err := maildirModules()[0].Decode(values)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}
