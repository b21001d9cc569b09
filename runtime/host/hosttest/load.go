package hosttest

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"runner/runtime/host"
)

// Load makes fakes of the sections of a data file and returns the sections that are none of its own. Each section
// belongs to the first host unless its name begins with that of another and a colon ("new: looks postconf -n").
//
//	facts                   lines "os: debian", "version: 7.11", "init: sysv", "uid: 0", "user: root", "arch: x86_64",
//	                        "hostname: …", "kernel: …", "skew: 2s", "local: yes"; what is missing is a Debian 12's
//	programs                the names of the programs there are; without the section there is every program
//	script NAME             its text gets a name to be declared by: "looks @NAME arguments"
//	looks COMMAND           what the command prints; see Fake.Looks for how it is typed
//	changes COMMAND         the same of one that changes the host
//	stderr, status          of the command before, with the text or number as body
//	after COMMAND           what follows holds once that command has run: answers, and files that it makes
//	initially               what follows holds from the beginning again
//	file PATH MODE UID:GID  a file and its content; mode and owner may be left out (0644 0:0)
//	dir PATH MODE UID:GID   a directory
//	symlink PATH -> TARGET
//	hardlink PATH -> FILE
//	absent PATH             takes it away, after a command
//	fails OP PATH           the body says why: "disk full", "permission denied", "no such file", "exists", "read-only", or any text.
//	                        OP is one of stat readdir read create write mkdir rename remove link change space
//	space BYTES INODES      what is free on the disk
//
// The content of a section ends with a newline, as a txtar archive has it. A file or output without one is written with
// a last line of `\` that stands for "no newline".
func Load(archive *txtar.Archive, names ...string) (fakes map[string]*Fake, rest []txtar.File, err error) {
	if len(names) == 0 {
		return nil, nil, errors.New("hosttest: a data file needs the name of a host at least")
	}
	loaders := map[string]*loader{}
	fakes = map[string]*Fake{}
	for _, name := range names {
		fakes[name] = New(name)
		loaders[name] = &loader{f: fakes[name]}
	}
	for _, file := range archive.Files {
		name, section := names[0], file.Name
		if before, after, ok := strings.Cut(section, ": "); ok && loaders[before] != nil {
			name, section = before, after
		}
		known, err := loaders[name].section(section, string(file.Data))
		if err != nil {
			return nil, nil, fmt.Errorf("hosttest: cannot read the section %q: %w", file.Name, err)
		}
		if !known {
			rest = append(rest, file)
		}
	}
	return fakes, rest, nil
}

// loader reads the sections of one host.
type loader struct {
	f     *Fake
	after string
	last  *answer
}

func (l *loader) section(name, body string) (known bool, err error) {
	kind, argument, _ := strings.Cut(name, " ")
	if text, ok := strings.CutSuffix(body, "\\\n"); ok && (text == "" || strings.HasSuffix(text, "\n")) {
		body = strings.TrimSuffix(text, "\n")
	}
	switch kind {
	case "facts":
		return true, l.facts(body)
	case "programs":
		l.f.SetPrograms(strings.Fields(body)...)
	case "script":
		l.f.Script(argument, body)
		l.f.Script(argument, strings.TrimSuffix(body, "\n"))
	case "looks", "changes":
		return true, l.answer(argument, kind == "changes", body)
	case "stderr", "status":
		return true, l.more(kind, body)
	case "after":
		l.after = canonical(argument)
	case "initially":
		l.after = ""
	case "file", "dir", "symlink", "hardlink", "absent":
		return true, l.node(kind, argument, body)
	case "fails":
		return true, l.fails(argument, strings.TrimSpace(body))
	case "space":
		return true, l.space(argument)
	default:
		return false, nil
	}
	return true, nil
}

func (l *loader) answer(command string, changes bool, body string) error {
	words, err := split(command)
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return errors.New("the command is missing")
	}
	l.last = &answer{words: words, after: l.after, changes: changes, Answer: Answer{Stdout: body}}
	l.f.set(func() { l.f.answers = append(l.f.answers, l.last) })
	return nil
}

func (l *loader) more(kind, body string) (err error) {
	if l.last == nil {
		return errors.New("no command stands before it")
	}
	if kind == "stderr" {
		l.last.Stderr = body
		return nil
	}
	l.last.Status, err = strconv.Atoi(strings.TrimSpace(body))
	return err
}

// SetFactLines says what the host is, in the lines of the section facts of [Load]; what they do not name stays.
func (f *Fake) SetFactLines(lines string) error { return (&loader{f: f}).facts(lines) }

func (l *loader) facts(body string) error {
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	facts := &l.f.facts
	for line := range strings.Lines(body) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.TrimSpace(value)
		if key == "" {
			continue
		}
		if !ok {
			return fmt.Errorf("%q has no colon", line)
		}
		var err error
		switch key {
		case "hostname":
			facts.Hostname = value
		case "os":
			facts.OS = value
		case "version":
			facts.Version = value
			facts.Major, _ = strconv.Atoi(strings.SplitN(value, ".", 2)[0]) // 0 for a code name, as on a real host
		case "kernel":
			facts.Kernel = value
		case "arch":
			facts.Arch = value
		case "init":
			facts.Init = value
			if value != host.Systemd && value != host.SysV && value != host.OtherInit {
				err = fmt.Errorf("there is no init system %q", value)
			}
		case "uid":
			facts.UID, err = strconv.Atoi(value)
		case "user":
			facts.User = value
		case "skew":
			facts.Skew, err = time.ParseDuration(value)
		case "local":
			l.f.local = value == "yes"
		default:
			err = fmt.Errorf("there is no fact %q", key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// node puts a file, directory or link there, now or when a command has run.
func (l *loader) node(kind, argument, body string) error {
	words, err := split(argument)
	if err != nil {
		return err
	}
	if len(words) == 0 || !strings.HasPrefix(words[0].text, "/") {
		return errors.New("the absolute path is missing")
	}
	p := words[0].text
	var do func(*tree) error
	switch kind {
	case "absent":
		do = func(t *tree) error { return t.remove(p) }
	case "symlink", "hardlink":
		if len(words) != 3 || words[1].text != "->" {
			return errors.New("write PATH -> TARGET")
		}
		target := words[2].text
		do = func(t *tree) error { return l.link(t, kind, p, target) }
	default:
		a, err := attr(kind, words[1:])
		if err != nil {
			return err
		}
		do = func(t *tree) error {
			n := l.f.node(a, 0)
			n.data = []byte(body)
			if kind == "dir" {
				n.mode, n.data, n.entries = n.mode|fs.ModeDir, nil, map[string]*node{}
			}
			return t.put(p, n)
		}
	}
	if l.after == "" {
		return do(l.f.tree)
	}
	l.f.later = append(l.f.later, later{l.after, do})
	return nil
}

func (l *loader) link(t *tree, kind, p, target string) error {
	if kind == "symlink" {
		n := l.f.node(Attr{Mode: 0o777}, fs.ModeSymlink)
		n.target = target
		return t.put(p, n)
	}
	n, err := t.get(target, false)
	if err != nil {
		return err
	}
	return t.put(p, n)
}

// attr reads "0644 0:0".
func attr(kind string, words []word) (Attr, error) {
	a := Attr{Mode: 0o644}
	if kind == "dir" {
		a.Mode = 0o755
	}
	for _, w := range words {
		if uid, gid, ok := strings.Cut(w.text, ":"); ok {
			var err, err2 error
			a.UID, err = strconv.Atoi(uid)
			a.GID, err2 = strconv.Atoi(gid)
			if err := errors.Join(err, err2); err != nil {
				return a, fmt.Errorf("%q is no owner UID:GID", w.text)
			}
			continue
		}
		n, err := strconv.ParseUint(w.text, 8, 12)
		if err != nil {
			return a, fmt.Errorf("%q is no mode such as 0644", w.text)
		}
		a.Mode = uint32(n)
	}
	return a, nil
}

func (l *loader) fails(argument, why string) error {
	op, p, ok := strings.Cut(argument, " ")
	switch Op(op) {
	case OpStat, OpReadDir, OpRead, OpCreate, OpWrite, OpMkdir, OpRename, OpRemove, OpLink, OpChange, OpSpace:
	default:
		return fmt.Errorf("there is no kind of access %q", op)
	}
	if !ok {
		return errors.New("the path is missing")
	}
	known := map[string]error{
		"disk full": syscall.ENOSPC, "permission denied": fs.ErrPermission, "no such file": fs.ErrNotExist,
		"exists": fs.ErrExist, "read-only": syscall.EROFS,
	}
	err := known[why]
	if err == nil {
		if why == "" {
			return errors.New("the body has to say why")
		}
		err = errors.New(why)
	}
	l.f.Fail(Op(op), p, err)
	return nil
}

func (l *loader) space(argument string) error {
	f := strings.Fields(argument)
	if len(f) != 2 {
		return errors.New("write space BYTES INODES")
	}
	bytes, err := strconv.ParseUint(f[0], 10, 64)
	inodes, err2 := strconv.ParseUint(f[1], 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	l.f.SetSpace(bytes, inodes)
	return nil
}
