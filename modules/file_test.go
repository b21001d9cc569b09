package modules

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/module"
)

// fileCase is one call of the module on a folder that holds before.
type fileCase struct {
	name   string
	before map[string]string // path below the folder: content; a path with a slash at the end is a folder, "-> x" a link
	values map[string]any    // DIR in strings is the folder
	want   []string          // summaries
	after  map[string]string
	wrong  string // in the error of the step
	absent bool   // the error is one of something missing
}

var fileCases = []fileCase{
	{name: "new file", values: map[string]any{"path": "DIR/a", "content": "x\n"},
		want: []string{"create DIR/a (2 bytes, mode 0644)"}, after: map[string]string{"a": "x\n"}},
	{name: "same content", before: map[string]string{"a": "x\n"}, values: map[string]any{"path": "DIR/a", "content": "x\n"}, after: map[string]string{"a": "x\n"}},
	{name: "empty content", before: map[string]string{"a": "x\n"}, values: map[string]any{"path": "DIR/a", "content": ""},
		want: []string{"write DIR/a (0 bytes)"}, after: map[string]string{"a": ""}},
	{name: "empty stays empty", before: map[string]string{"a": ""}, values: map[string]any{"path": "DIR/a", "content": ""}, after: map[string]string{"a": ""}},
	{name: "template", values: map[string]any{"path": "DIR/a", "template": "size={{ .size }} {{ join \", \" .list }} {{ quote .q }}\n",
		"vars": map[string]any{"size": float64(20480000), "list": []any{"a", 1.5}, "q": "it's"}},
		want: []string{"create DIR/a (31 bytes, mode 0644)"}, after: map[string]string{"a": "size=20480000 a, 1.5 'it'\\''s'\n"}},
	{name: "template with a value missing", values: map[string]any{"path": "DIR/a", "template": "{{ .x }}", "vars": map[string]any{}}, wrong: "cannot fill the template"},
	{name: "line added", before: map[string]string{"a": "one\ntwo"}, values: map[string]any{"path": "DIR/a", "line": "three"},
		want: []string{`add line "three" in DIR/a`}, after: map[string]string{"a": "one\ntwo\nthree\n"}},
	{name: "line there", before: map[string]string{"a": "one\r\nthree\r\n"}, values: map[string]any{"path": "DIR/a", "line": "three"}, after: map[string]string{"a": "one\r\nthree\r\n"}},
	{name: "line keeps the line ends of the file", before: map[string]string{"a": "one\r\n"}, values: map[string]any{"path": "DIR/a", "line": "two"},
		want: []string{`add line "two" in DIR/a`}, after: map[string]string{"a": "one\r\ntwo\r\n"}},
	{name: "last match becomes line", before: map[string]string{"a": "#Port 1\nPort 2\nx\n"}, values: map[string]any{"path": "DIR/a", "line": "Port 3", "match": "^#?Port"},
		want: []string{`set line "Port 3" in DIR/a`}, after: map[string]string{"a": "#Port 1\nPort 3\nx\n"}},
	{name: "a pattern that does not match the line", before: map[string]string{"a": "#Port 1\n#Port 2\n"}, values: map[string]any{"path": "DIR/a", "line": "Port 3", "match": "^#Port"},
		want: []string{`set line "Port 3" in DIR/a`}, after: map[string]string{"a": "#Port 1\nPort 3\n"}},
	{name: "no match, below after", before: map[string]string{"a": "[a]\n[b]\n"}, values: map[string]any{"path": "DIR/a", "line": "k=v", "match": "^k=", "after": `^\[a\]`},
		want: []string{`add line "k=v" in DIR/a`}, after: map[string]string{"a": "[a]\nk=v\n[b]\n"}},
	{name: "lines out", before: map[string]string{"a": "a\nb\nab\n"}, values: map[string]any{"path": "DIR/a", "without": "a"},
		want: []string{"take out 2 lines that match a in DIR/a"}, after: map[string]string{"a": "b\n"}},
	{name: "line in no file", values: map[string]any{"path": "DIR/a", "line": "x"}, wrong: "cannot find", absent: true},
	{name: "line makes the file", values: map[string]any{"path": "DIR/a", "line": "x", "create": true},
		want: []string{"create DIR/a (2 bytes, mode 0644)"}, after: map[string]string{"a": "x\n"}},
	{name: "mode of nothing", values: map[string]any{"path": "DIR/a", "mode": "0600"}, wrong: "cannot find", absent: true},
	{name: "mode alone", before: map[string]string{"a": "x"}, values: map[string]any{"path": "DIR/a", "mode": "4711"},
		want: []string{"set mode of DIR/a to 4711"}, after: map[string]string{"a": "x"}},
	{name: "no folder", values: map[string]any{"path": "DIR/d/a", "content": "x"}, wrong: "the folder DIR/d is not there", absent: true},
	{name: "a folder where a file is wanted", before: map[string]string{"a/": ""}, values: map[string]any{"path": "DIR/a", "content": "x"}, wrong: "it is a folder, not a file"},
	{name: "folders", values: map[string]any{"path": "DIR/d/e/f", "state": "directory", "mode": "2750"},
		want: []string{"make folder DIR/d/e/f (mode 2750)"}, after: map[string]string{"d/": "", "d/e/": "", "d/e/f/": ""}},
	{name: "folder there", before: map[string]string{"d/": ""}, values: map[string]any{"path": "DIR/d/", "state": "directory"}, after: map[string]string{"d/": ""}},
	{name: "a file where a folder is wanted", before: map[string]string{"d": "x"}, values: map[string]any{"path": "DIR/d", "state": "directory"}, wrong: "there is a file of that name"},
	{name: "below a file", before: map[string]string{"d": "x"}, values: map[string]any{"path": "DIR/d/e", "state": "directory"}, wrong: "not a directory"},
	{name: "absent", before: map[string]string{"a": "x"}, values: map[string]any{"path": "DIR/a", "state": "absent"}, want: []string{"remove file DIR/a"}, after: map[string]string{}},
	{name: "absent already", values: map[string]any{"path": "DIR/a", "state": "absent"}, after: map[string]string{}},
	{name: "a full folder is refused", before: map[string]string{"d/": "", "d/x": ""}, values: map[string]any{"path": "DIR/d", "state": "absent"}, wrong: "it is not empty (x)", absent: true},
	{name: "an empty folder", before: map[string]string{"d/": ""}, values: map[string]any{"path": "DIR/d", "state": "absent"}, want: []string{"remove folder DIR/d"}, after: map[string]string{}},
	{name: "a full folder", before: map[string]string{"d/": "", "d/x": "1"}, values: map[string]any{"path": "DIR/d", "state": "absent", "recurse": true},
		want: []string{"remove folder DIR/d with all that is in it"}, after: map[string]string{}},
	{name: "a full folder, nothing kept", before: map[string]string{"d/": "", "d/x": "1"},
		values: map[string]any{"path": "DIR/d", "state": "absent", "recurse": true, "backup": false},
		want:   []string{"remove folder DIR/d with all that is in it"}, after: map[string]string{}},
	{name: "through a link", before: map[string]string{"a": "x", "l": "-> a"}, values: map[string]any{"path": "DIR/l", "content": "y"},
		want: []string{"write DIR/a (1 byte)"}, after: map[string]string{"a": "y", "l": "-> a"}},
	{name: "through a link to nothing", before: map[string]string{"l": "-> a"}, values: map[string]any{"path": "DIR/l", "content": "y"},
		want: []string{"create DIR/a (1 byte, mode 0644)"}, after: map[string]string{"a": "y", "l": "-> a"}},
	{name: "a link is removed, not what it leads to", before: map[string]string{"a": "x", "l": "-> a"}, values: map[string]any{"path": "DIR/l", "state": "absent"},
		want: []string{"remove symbolic link DIR/l"}, after: map[string]string{"a": "x"}},
	{name: "link", before: map[string]string{"l": "-> a"}, values: map[string]any{"path": "DIR/l", "state": "link", "target": "b"},
		want: []string{"link DIR/l to b"}, after: map[string]string{"l": "-> b"}},
	{name: "link there", before: map[string]string{"l": "-> b"}, values: map[string]any{"path": "DIR/l", "state": "link", "target": "b"}, after: map[string]string{"l": "-> b"}},
	{name: "a file where a link is wanted", before: map[string]string{"l": "x"}, values: map[string]any{"path": "DIR/l", "state": "link", "target": "b"}, wrong: "there is a file of that name"},
	{name: "unknown user", before: map[string]string{"a": "x"}, values: map[string]any{"path": "DIR/a", "owner": "nobody-of-that-name"}, wrong: "cannot find the user", absent: true},
}

func TestFile(t *testing.T) {
	for _, c := range fileCases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for p, content := range c.before {
				makePath(t, filepath.Join(dir, p), strings.HasSuffix(p, "/"), content)
			}
			h, _ := newMachine(t)
			values := map[string]any{"on": here}
			for k, v := range c.values {
				if s, ok := v.(string); ok {
					v = strings.ReplaceAll(s, "DIR", dir)
				}
				values[k] = v
			}
			planned := stepIn(t, context.Background(), h, "file", values, true)
			if diff := cmp.Diff(c.before, readTree(t, dir), ignoreEmpty); diff != "" {
				t.Errorf("check mode changed something: %s", diff)
			}
			r := step(t, h, "file", values)
			if c.wrong != "" {
				wrong := strings.ReplaceAll(c.wrong, "DIR", dir)
				if r.Err == nil || !strings.Contains(r.Err.Error(), wrong) {
					t.Fatalf("the error is %v, want %q in it", r.Err, wrong)
				}
				var absent *module.AbsentError
				if errors.As(r.Err, &absent) != c.absent {
					t.Errorf("an error of something missing: %v, want %v: %v", !c.absent, c.absent, r.Err)
				}
				return
			}
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			got := r.summaries()
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], dir, "DIR")
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(r.summaries(), planned.summaries()); diff != "" {
				t.Errorf("check mode told something else: %s", diff)
			}
			if diff := cmp.Diff(c.after, readTree(t, dir), ignoreEmpty); diff != "" {
				t.Error(diff)
			}
			if again := step(t, h, "file", values); again.Err != nil || again.Status != module.OK {
				t.Errorf("done twice: %s %v %v", again.Status, again.summaries(), again.Err)
			}
			checkBackups(t, c, dir, r)
		})
	}
}

// checkBackups looks for what was overwritten or removed in its copy.
func checkBackups(t *testing.T, c fileCase, dir string, r outcome) {
	t.Helper()
	for _, k := range r.kept {
		if k.Backup == "" {
			continue
		}
		t.Cleanup(func() { os.RemoveAll(k.Backup) })
		name, err := filepath.Rel(dir, k.Object)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(k.Backup); err != nil || !info.Mode().IsRegular() {
			continue
		}
		data, err := os.ReadFile(k.Backup)
		if err != nil || string(data) != c.before[name] {
			t.Errorf("the copy of %s holds %q (%v), want %q", name, data, err, c.before[name])
		}
	}
	_, replaced := c.before["a"]
	if replaced && c.after["a"] != c.before["a"] && len(r.kept) == 0 {
		t.Error("something was overwritten and nothing was kept")
	}
}

var ignoreEmpty = cmp.FilterValues(func(a, b map[string]string) bool { return len(a)+len(b) == 0 }, cmp.Ignore())

func makePath(t *testing.T, p string, folder bool, content string) {
	t.Helper()
	var err error
	target, link := strings.CutPrefix(content, "-> ")
	switch {
	case folder:
		err = os.MkdirAll(p, 0o755)
	case link:
		err = os.Symlink(target, p)
	default:
		if err = os.MkdirAll(filepath.Dir(p), 0o755); err == nil {
			err = os.WriteFile(p, []byte(content), 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func readTree(t *testing.T, dir string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		switch {
		case d.IsDir():
			tree[name+"/"] = ""
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			tree[name] = "-> " + target
			return err
		default:
			data, err := os.ReadFile(p)
			tree[name] = string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestFileKeepsModeAndOwner(t *testing.T) {
	p := filepath.Join(t.TempDir(), "a")
	makePath(t, p, false, "x")
	if err := os.Chmod(p, 0o751); err != nil {
		t.Fatal(err)
	}
	owner := os.Getuid()
	if owner == 0 {
		owner = 4711
		if err := os.Chown(p, owner, 4712); err != nil {
			t.Fatal(err)
		}
	}
	h, _ := newMachine(t)
	if r := step(t, h, "file", map[string]any{"on": here, "path": p, "content": "y", "backup": false}); r.Err != nil {
		t.Fatal(r.Err)
	}
	info, err := osFiles{}.Lstat(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode.Perm() != 0o751 || info.UID != owner {
		t.Errorf("mode %v and owner %d, want 0751 and %d", info.Mode, info.UID, owner)
	}
}

func TestFileOwner(t *testing.T) {
	needRoot(t)
	p := filepath.Join(t.TempDir(), "a")
	h, _ := newMachine(t)
	values := map[string]any{"on": here, "path": p, "content": "x", "owner": "daemon", "group": "mail", "mode": "4750"}
	if r := step(t, h, "file", values); r.Err != nil {
		t.Fatal(r.Err)
	}
	if err := os.Chown(p, 0, 0); err != nil {
		t.Fatal(err)
	}
	r := step(t, h, "file", values)
	want := []string{"set owner of " + p + " to daemon:mail", "set mode of " + p + " to 4750"}
	if diff := cmp.Diff(want, r.summaries()); diff != "" || r.Err != nil {
		t.Error(r.Err, diff)
	}
	info, err := osFiles{}.Lstat(context.Background(), p)
	if err != nil || octal(info.Mode) != "4750" || info.UID != 1 || info.GID != 8 {
		t.Errorf("%+v %v", info, err)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if strings.Contains(os.Getenv("RUNNER_TEST_REQUIRE"), "root") {
		t.Fatal("this test needs root, and RUNNER_TEST_REQUIRE asks for it")
	}
	t.Skip("SKIPPED: this test needs root")
}

// A link of somebody else in a folder in which everybody may write must not make root write elsewhere.
func TestFileRefusesForeignLink(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	makePath(t, filepath.Join(dir, "victim"), false, "x")
	shared := filepath.Join(dir, "shared")
	if err := os.Mkdir(shared, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(shared, "l")
	if err := errors.Join(os.Symlink("../victim", link), os.Lchown(link, 4711, 4711)); err != nil {
		t.Fatal(err)
	}
	h, _ := newMachine(t)
	r := step(t, h, "file", map[string]any{"on": here, "path": link, "content": "y"})
	if r.Err == nil || !strings.Contains(r.Err.Error(), "belongs to another user") {
		t.Errorf("the error is %v", r.Err)
	}
}

func TestFileShowsNoSecret(t *testing.T) {
	const secret = "correct horse battery"
	h, _ := newMachine(t)
	for name, values := range map[string]map[string]any{
		"content":         {"content": module.NewSecret(secret)},
		"template":        {"template": "password={{ .p }}", "vars": map[string]any{"p": module.NewSecret(secret)}},
		"broken template": {"template": "{{ index .p 99 }}", "vars": map[string]any{"p": module.NewSecret(secret)}},
		"private file":    {"line": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			p := filepath.Join(t.TempDir(), "a")
			if name == "private file" {
				makePath(t, p, false, secret)
				if err := os.Chmod(p, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			values["on"], values["path"], values["backup"] = here, p, false
			r := step(t, h, "file", values)
			var told strings.Builder
			for _, c := range r.Changes {
				told.WriteString(c.Summary + c.Before + c.After)
			}
			if r.Err != nil {
				told.WriteString(r.Err.Error())
			} else if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v (%v), want 0600", info.Mode(), err)
			}
			if strings.Contains(told.String(), secret) {
				t.Errorf("the secret is shown: %s", told.String())
			}
		})
	}
}

func TestFileLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	h, _ := newMachine(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := stepIn(t, ctx, h, "file", map[string]any{"on": here, "path": filepath.Join(dir, "a"), "content": "x"}, false)
	if r.Err == nil {
		t.Error("a cancelled step did not fail")
	}
	if tree := readTree(t, dir); len(tree) != 0 {
		t.Errorf("left behind: %v", tree)
	}
}

func TestShowContent(t *testing.T) {
	if s := showContent([]byte("a\x00b")); !strings.Contains(s, "3 bytes, sha256 ") {
		t.Errorf("binary content is shown as %q", s)
	}
	if s := showContent(make([]byte, largestShown+1)); !strings.HasPrefix(s, "65537 bytes") {
		t.Errorf("long content is shown as %q", s)
	}
}

func TestFileArguments(t *testing.T) {
	for _, c := range []struct {
		values map[string]any
		wrong  string
	}{
		{map[string]any{"path": "a"}, "whole path"},
		{map[string]any{"path": "/"}, "must not be /"},
		{map[string]any{"path": "/a\nb"}, "whole path"},
		{map[string]any{"path": "/a", "content": "x", "line": "y"}, "only one of content and line"},
		{map[string]any{"path": "/a", "content": 5.0}, "string or a secret"},
		{map[string]any{"path": "/a", "content": "x", "state": "absent"}, "content does not go with"},
		{map[string]any{"path": "/a", "template": "{{ .a"}, "template cannot be read"},
		{map[string]any{"path": "/a", "line": "a\nb"}, "one line"},
		{map[string]any{"path": "/a", "line": "a", "match": "("}, "match is no regular expression"},
		{map[string]any{"path": "/a", "mode": "rw"}, "octal"},
		{map[string]any{"path": "/a", "mode": 644.0}, "mode must be a string"},
		{map[string]any{"path": "/a", "mode": "99"}, "octal"},
		{map[string]any{"path": "/a", "target": "b"}, "target belongs to"},
		{map[string]any{"path": "/a", "state": "link"}, "target belongs to"},
		{map[string]any{"path": "/a", "recurse": true}, "recurse belongs to"},
		{map[string]any{"path": "/a", "match": "b"}, "need line"},
		{map[string]any{"path": "/a", "vars": map[string]any{}}, "vars needs template"},
	} {
		c.values["on"] = here
		if _, err := decode("file", c.values); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%v: the error is %v, want %q in it", c.values, err, c.wrong)
		}
	}
}

func TestRemovable(t *testing.T) {
	for p, want := range map[string]bool{"/etc": false, "/var/lib": false, "/var/vmail": true, "/srv/a": true} {
		if got := removable(p) == nil; got != want {
			t.Errorf("%s: %v, want %v", p, got, want)
		}
	}
}

func FuzzEditLines(f *testing.F) {
	f.Add("a\nb\n", "c", "^b")
	f.Add("a\r\n\r\n", "a", "")
	f.Add("#x=1\nx=2", "x=3", "^#?x=")
	f.Fuzz(func(t *testing.T, text, line, match string) {
		a := &fileArgs{Line: &line, Match: match, Path: "/x", State: "file"}
		if a.Validate() != nil {
			return
		}
		once, _ := editLines([]byte(text), a)
		if !strings.Contains("\n"+string(once), "\n"+line) {
			t.Fatalf("the line is not there: %q", once)
		}
		if again, what := editLines(once, a); what != "" || string(again) != string(once) {
			t.Fatalf("a second time: %q, %s", again, what)
		}
	})
}
