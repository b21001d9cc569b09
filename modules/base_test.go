package modules

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/host"
	"runner/runtime/module"
)

// thisMachine is a real host: the machine of the test.
func thisMachine(t *testing.T) *host.Host {
	t.Helper()
	h := host.Open("here", host.Options{Local: true})
	t.Cleanup(func() { h.Close() })
	return h
}

func writeTestFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readTestFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// twice runs a step, in check mode first, and demands that it does nothing the second time.
func twice(t *testing.T, h *host.Host, name string, values map[string]any) outcome {
	t.Helper()
	checked := stepIn(t, context.Background(), h, name, values, true)
	o := step(t, h, name, values)
	if diff := cmp.Diff(checked.summaries(), o.summaries()); diff != "" || o.Err != nil || checked.Err != nil {
		t.Errorf("%v, in check mode %v:\n%s", o.Err, checked.Err, diff)
	}
	if o.Status != module.Changed {
		t.Errorf("the first time it is %s: %s", o.Status, o.Note)
	}
	again := step(t, h, name, values)
	if again.Status != module.OK || len(again.Changes) > 0 {
		t.Errorf("the second time it is %s: %v %v", again.Status, again.summaries(), again.Err)
	}
	return o
}

func TestPutAndFetch(t *testing.T) {
	h, dir := thisMachine(t), t.TempDir()
	source, target := filepath.Join(dir, "source"), filepath.Join(dir, "host", "file's \"name\"\\")
	text := strings.Repeat("0123456789abcdef", 200_000)
	writeTestFile(t, source, text)
	if err := os.Mkdir(filepath.Join(dir, "host"), 0o755); err != nil {
		t.Fatal(err)
	}
	put := map[string]any{"on": here, "source": source, "path": target, "mode": "0640", "backup": false}
	o := twice(t, h, "put", put)
	if readTestFile(t, target) != text || o.Output["bytes"] != int64(len(text)) {
		t.Errorf("%v", o.Output)
	}
	writeTestFile(t, target, strings.Repeat("0123456789abcdeX", 200_000)) // as long, and not the same
	if o := twice(t, h, "put", put); !strings.HasPrefix(o.summaries()[0], "put ") || readTestFile(t, target) != text {
		t.Errorf("%v", o.summaries())
	}
	if err := os.Chmod(target, 0o600); err != nil {
		t.Fatal(err)
	}
	if o := twice(t, h, "put", put); !strings.HasPrefix(o.summaries()[0], "set mode of ") {
		t.Errorf("%v", o.summaries())
	}
	fetch := map[string]any{"on": here, "path": target, "target": filepath.Join(dir, "a/b/") + "/"}
	o = twice(t, h, "fetch", fetch)
	if got, _ := o.Output["target"].(string); got != filepath.Join(dir, "a/b", filepath.Base(target)) || readTestFile(t, got) != text {
		t.Errorf("%v", o.Output)
	}
	for _, c := range []struct {
		module string
		values map[string]any
		wrong  string
	}{
		{"put", map[string]any{"source": filepath.Join(dir, "none")}, "cannot read " + filepath.Join(dir, "none") + " on this machine: no such file"},
		{"put", map[string]any{"source": dir}, "it is not a file"},
		{"put", map[string]any{"path": filepath.Join(dir, "none/x")}, "the folder " + filepath.Join(dir, "none") + " is not there"},
		{"put", map[string]any{"path": dir}, "it is a folder, not a file"},
		{"fetch", map[string]any{"path": filepath.Join(dir, "none")}, "cannot find " + filepath.Join(dir, "none") + " on here"},
		{"fetch", map[string]any{"path": dir}, "it is a folder, not a file"},
	} {
		base := put
		if c.module == "fetch" {
			base = fetch
		}
		wants(t, step(t, h, c.module, with(base, c.values)), "", c.wrong)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*", ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}

func TestTemplate(t *testing.T) {
	h, dir := thisMachine(t), t.TempDir()
	source, target := filepath.Join(dir, "x.tmpl"), filepath.Join(dir, "x")
	writeTestFile(t, source, "{{ range .domains }}{{ . }}\n{{ end }}port = {{ .port }}\n")
	vars := map[string]any{"domains": []any{"example.org", "example.com"}, "port": 25.0}
	twice(t, h, "template", map[string]any{"on": here, "source": source, "path": target, "vars": vars})
	if got := readTestFile(t, target); got != "example.org\nexample.com\nport = 25\n" {
		t.Errorf("%q", got)
	}
	plain := map[string]any{"on": here, "syntax": "plain", "path": target, "backup": false, "text": "a ${name} $name $${name} ${port}\n", "vars": map[string]any{"name": "mail", "port": 25.0}}
	twice(t, h, "template", plain)
	if got := readTestFile(t, target); got != "a mail $name ${name} 25\n" {
		t.Errorf("%q", got)
	}
	o := twice(t, h, "template", with(plain, map[string]any{"vars": map[string]any{"name": module.NewSecret("hunter2hunter2"), "port": 1.0}}))
	if shown := o.Changes[0].After + o.Changes[0].Before; strings.Contains(shown, "hunter2") || !strings.Contains(shown, "secret") {
		t.Errorf("shown: %q", shown)
	}
	wants(t, step(t, h, "template", with(plain, map[string]any{"vars": map[string]any{}})), "", "${name} has no value in vars")
	wants(t, step(t, h, "template", with(plain, map[string]any{"text": "${name"})), "", `"${name" has no end`)
	wants(t, step(t, h, "template", map[string]any{"on": here, "source": filepath.Join(dir, "none"), "path": target}), "", "cannot read the template")
	writeTestFile(t, source, "{{ .x")
	wants(t, step(t, h, "template", map[string]any{"on": here, "source": source, "path": target}), "", "cannot use the template "+source)
}

func TestArchive(t *testing.T) {
	h, dir := thisMachine(t), t.TempDir()
	data := filepath.Join(dir, "data")
	files := map[string]string{"a": "one", "b/c d": "two", "b/new\nline": "three", `b/back\slash`: "four", "b/leave/out": "five", "empty": "", "-x": "six", "b/leave[1]": "seven"}
	for name, text := range files {
		writeTestFile(t, filepath.Join(data, name), text)
	}
	for from, to := range map[string]string{"a": "hard", "b/new\nline": "hard2"} {
		if err := os.Link(filepath.Join(data, from), filepath.Join(data, to)); err != nil {
			t.Fatal(err)
		}
		files[to] = files[from]
	}
	if err := os.Symlink("a", filepath.Join(data, "link")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(data, "all.tar.gz") // within what it holds
	values := map[string]any{"from": here, "to": here, "path": path, "paths": []any{data}, "exclude": []any{filepath.Join(data, "b/leave")}}
	o := twice(t, h, "archive", values)
	delete(files, "b/leave/out")
	if o.Output["files"] != int64(len(files)) || fmt.Sprint(o.Output["content_bytes"]) != "23" {
		t.Errorf("%v, want %d files", o.Output, len(files))
	}
	got := unpackAll(t, path)
	for name, text := range files {
		if got["."+filepath.Join(data, name)] != text {
			t.Errorf("%q is %q in the archive, want %q", name, got["."+filepath.Join(data, name)], text)
		}
	}
	if len(got) != len(files) {
		t.Errorf("%d files in the archive, want %d", len(got), len(files))
	}
	check := exec.Command("sha256sum", "-c", "--quiet", o.Output["manifest"].(string))
	check.Dir = "/"
	if said, err := check.CombinedOutput(); err != nil {
		t.Errorf("sha256sum -c: %v %s", err, said)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	left, _ := filepath.Glob(filepath.Join(data, ".all*"))
	if len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	wants(t, step(t, h, "archive", with(values, map[string]any{"paths": []any{filepath.Join(dir, "none")}})), "", "it is not there")
	wants(t, step(t, h, "archive", with(values, map[string]any{"path": filepath.Join(dir, "none/x.tgz")})), "", "the folder "+filepath.Join(dir, "none")+" is not there")
	writeTestFile(t, path, "short")
	wants(t, step(t, h, "archive", values), "", "it was changed since")
	if err := os.Remove(path + ".manifest"); err != nil {
		t.Fatal(err)
	}
	wants(t, step(t, h, "archive", values), "", "without its manifest")
}

func unpackAll(t *testing.T, name string) map[string]string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		switch head.Typeflag {
		case tar.TypeReg:
			text, err := io.ReadAll(archive)
			if err != nil {
				t.Fatal(err)
			}
			found[head.Name] = string(text)
		case tar.TypeLink:
			found[head.Name] = found[head.Linkname]
		}
	}
}

// A file that changes while it is archived is found out, and nothing is left that looks like an archive.
func TestArchiveOfChangingFiles(t *testing.T) {
	h, dir := thisMachine(t), t.TempDir()
	for i := range 300 {
		writeTestFile(t, filepath.Join(dir, "data", fmt.Sprint(i)), strings.Repeat("x", 5000))
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_ = os.WriteFile(filepath.Join(dir, "data", fmt.Sprint(i%300)), []byte(strings.Repeat("y", 5000)+fmt.Sprint(i)), 0o644)
			}
		}
	}()
	o := step(t, h, "archive", map[string]any{"from": here, "path": filepath.Join(dir, "x.tar.gz"), "paths": []any{filepath.Join(dir, "data")}})
	close(stop)
	<-done
	wants(t, o, "", "cannot archive files of here")
	if left, _ := filepath.Glob(filepath.Join(dir, "*x.tar.gz*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestHTTPCheck(t *testing.T) {
	calls := 0
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case r.URL.Path == "/none":
			http.NotFound(w, r)
		case r.URL.Path == "/private" && (user != "john" || password != "hunter2"):
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/later":
			if calls++; calls < 4 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		case r.URL.Path == "/slow":
			<-r.Context().Done()
		default:
			fmt.Fprintf(w, "Welcome to %s, %s", r.Host, r.Header.Get("X-Test"))
		}
	})
	plain, encrypted := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(plain.Close)
	t.Cleanup(encrypted.Close)
	h := thisMachine(t)
	port := func(s *httptest.Server) string { return s.URL[strings.LastIndexByte(s.URL, ':')+1:] }
	for _, c := range []struct {
		name   string
		values map[string]any
		wrong  string
	}{
		{"plain", map[string]any{"url": plain.URL, "contains": "Welcome"}, ""},
		{"through a host", map[string]any{"url": plain.URL, "on": here, "match": "^Welcome to 127"}, ""},
		{"at another address", map[string]any{"url": "http://www.example.org:" + port(plain) + "/", "address": "127.0.0.1", "contains": "Welcome to www.example.org"}, ""},
		{"header fields", map[string]any{"url": plain.URL, "headers": map[string]any{"X-Test": "yes", "Host": "a.b"}, "contains": "Welcome to a.b, yes"}, ""},
		{"redirect", map[string]any{"url": plain.URL + "/moved", "contains": "Welcome"}, ""},
		{"redirect not followed", map[string]any{"url": plain.URL + "/moved", "follow": false}, "the status is 302 Found, to /"},
		{"redirect wanted", map[string]any{"url": plain.URL + "/moved", "follow": false, "status": []any{302.0}}, ""},
		{"status", map[string]any{"url": plain.URL + "/none"}, "the status is 404 Not Found"},
		{"text", map[string]any{"url": plain.URL, "contains": "Goodbye"}, `"Goodbye" is not in the body`},
		{"pattern", map[string]any{"url": plain.URL, "match": "^x"}, "nothing in the body"},
		{"login", map[string]any{"url": plain.URL + "/private", "user": "john", "password": module.NewSecret("hunter2")}, ""},
		{"head", map[string]any{"url": plain.URL, "method": "HEAD"}, ""},
		{"no server", map[string]any{"url": fmt.Sprintf("http://127.0.0.1:%d/", closedPort(t))}, "connection refused"},
		{"slow", map[string]any{"url": plain.URL + "/slow", "limit": "100ms"}, "no answer within 100ms"},
		{"no authority", map[string]any{"url": encrypted.URL}, "leads to no authority"},
		{"not trusted", map[string]any{"url": encrypted.URL, "trusted": false, "contains": "Welcome"}, ""},
		{"trusted", map[string]any{"url": encrypted.URL, "ca": pemOf(encrypted)}, ""},
		{"another name", map[string]any{"url": "https://www.invalid.org:" + port(encrypted), "address": "127.0.0.1", "ca": pemOf(encrypted)}, "its certificate is not for www.invalid.org but for example.com"},
		{"waits", map[string]any{"url": plain.URL + "/later", "wait": "30s", "interval": "10ms"}, ""},
		{"waits in vain", map[string]any{"url": plain.URL + "/none", "wait": "50ms", "interval": "10ms"}, "cannot wait longer than 50ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := step(t, h, "http_check", c.values)
			if c.wrong != "" {
				wants(t, o, "", c.wrong)
			} else if o.Err != nil || o.Status != module.OK || o.Output["status"] == nil {
				t.Errorf("%s %v %v", o.Status, o.Err, o.Output)
			}
			if o.Err != nil && strings.Contains(o.Err.Error(), "hunter2") {
				t.Error(o.Err)
			}
		})
	}
}

func TestFacts(t *testing.T) {
	o := step(t, thisMachine(t), "facts", map[string]any{"on": here, "programs": []any{"sh", "no-such-program"}})
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	if diff := cmp.Diff(map[string]any{"sh": true, "no-such-program": false}, o.Output["programs"]); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"cpus", "memory", "memory_free", "uptime_seconds"} {
		if n, _ := o.Output[name].(int64); n <= 0 {
			t.Errorf("%s is %v", name, o.Output[name])
		}
	}
	if o.Output["os"] == "" || o.Output["uid"] != int64(os.Getuid()) {
		t.Errorf("%v", o.Output)
	}
}

// What old hosts print: df of coreutils 6.10, ifconfig of net-tools, a kernel without MemAvailable.
func TestFactsOfOldHosts(t *testing.T) {
	got := parseFactsLook("cpus 1\nuptime 12345\nMemTotal 512000\nMemFree 1000\nBuffers 2000\nCached 3000\nSwapTotal 0\naddress 192.0.2.5\naddress 192.0.2.5/24\naddress 2001:db8::5/64\n" +
		"disk /dev/hda1 9612100 5000000 4123824 55% /\ndisk /dev/hdb1 100 10 90 10% /srv/my mail\ndisk tmpfs 128000 0 128000 0% /lib/init/rw\n" +
		"inodes /dev/hda1 610800 50000 560800 9% /\nyes tar\nno doveadm\n")
	want := map[string]any{
		"cpus": int64(1), "uptime_seconds": int64(12345), "memory": int64(524288000), "memory_free": int64(6144000), "swap": int64(0),
		"addresses": []string{"192.0.2.5", "2001:db8::5"}, "programs": map[string]any{"tar": true, "doveadm": false},
		"disks": map[string]any{
			"/":            map[string]any{"device": "/dev/hda1", "size": int64(9842790400), "free": int64(4222795776), "inodes_free": int64(560800)},
			"/srv/my mail": map[string]any{"device": "/dev/hdb1", "size": int64(102400), "free": int64(92160), "inodes_free": int64(0)},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func pemOf(s *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// A transfer that is stopped in its middle leaves nothing behind, and what was there stays.
func TestTransfersStop(t *testing.T) {
	h, dir := thisMachine(t), t.TempDir()
	big := filepath.Join(dir, "data/big")
	if err := os.Mkdir(filepath.Dir(big), 0o755); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 16<<20)
	for i := range data {
		data[i] = byte(i * i >> 7)
	}
	if err := os.WriteFile(big, data, 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		writeTestFile(t, filepath.Join(dir, "data", fmt.Sprint(i)), "x")
	}
	out := filepath.Join(dir, "out")
	writeTestFile(t, filepath.Join(out, "big"), "old")
	for name, values := range map[string]map[string]any{
		"put":     {"on": here, "source": big, "path": filepath.Join(out, "big"), "backup": false},
		"fetch":   {"on": here, "path": big, "target": filepath.Join(out, "big")},
		"archive": {"from": here, "path": filepath.Join(out, "x.tgz"), "paths": []any{filepath.Join(dir, "data")}},
	} {
		call, err := decode(name, values)
		if err != nil {
			t.Fatal(err)
		}
		if err := call.Bind(map[module.HostName]*host.Host{"here": h}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		told := 0
		r := call.Run(ctx, false, module.Observer{Progress: func(module.Progress) {
			if told++; told == 3 {
				cancel()
			}
		}})
		cancel()
		if told < 3 || !errors.Is(r.Err, context.Canceled) {
			t.Errorf("%s: told %d times, %s %v", name, told, r.Status, r.Err)
		}
		entries, err := os.ReadDir(out)
		if err != nil || len(entries) != 1 || readTestFile(t, filepath.Join(out, "big")) != "old" {
			t.Errorf("%s: left over: %v %v", name, entries, err)
		}
	}
}
