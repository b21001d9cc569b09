// Package docs_test runs what the documents print: recipes, files and commands, and compares what the commands show.
//
// A comment above a fenced block says what is to be done with it beside that:
//
//	<!-- test: save=NAME -->    it is the file NAME of the reader's folder
//	<!-- test: run -->          a recipe: it is run twice, and has nothing to do the second time; run=each: it always has
//	<!-- test: fragment -->     a part of a recipe
//	<!-- test: site -->         a site file
//	<!-- test: lab -->          this needs the servers of the lab
//	<!-- test: status=N -->     exit status of the last command
//	<!-- test: answer=yes -->   what is typed when the commands ask
//	<!-- test: unordered -->    several hosts are at work at the same time, and lines come in any order
//	<!-- test: skip -->         it is shown only
package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runner/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// The hosts and groups that recipes of the documents name.
var (
	single = []string{"web", "old", "new", "server"}
	groups = map[string][]string{"servers": {"old", "new"}}
)

func siteText(entry func(host string) string) string {
	var b strings.Builder
	b.WriteString("return {\n  hosts = {\n")
	for _, name := range single {
		fmt.Fprintf(&b, "    %s = %s,\n", name, entry(name))
	}
	b.WriteString("  },\n  groups = {\n")
	for name, members := range groups {
		fmt.Fprintf(&b, "    %s = { \"%s\" },\n", name, strings.Join(members, `", "`))
	}
	b.WriteString("  },\n}\n")
	return b.String()
}

func play(t *testing.T, s *session, d *document, inLab bool) {
	t.Helper()
	for _, b := range d.blocks {
		if b.has("lab") == inLab && !b.has("skip") {
			s.play(b)
		}
	}
	s.write(d)
}

// TestDocuments does what the documents say on this machine alone. Paths of recipes are paths below a temporary folder.
func TestDocuments(t *testing.T) {
	wrapper := "#!/bin/sh\nexec " + program(t) + " \"$@\"\n"
	site := siteText(func(string) string { return `{ address = "local" }` })
	for _, d := range documents(t) {
		t.Run(filepath.Base(d.file), func(t *testing.T) {
			play(t, newSession(t, wrapper, site, true, ""), d, false)
		})
	}
}

const (
	labName    = "docs"
	labNetwork = "198.18.16.0/24"
)

// TestLabDocuments does what the documents say on real servers: those of a lab that has another name and network than the
// documents', and is the same otherwise.
func TestLabDocuments(t *testing.T) {
	labtest.Ready(t)
	l := labtest.Open(t, labtest.Options{Name: labName, Network: labNetwork})
	wrapper := fmt.Sprintf(`#!/bin/sh
if [ "$1" != lab ]; then exec %[1]s "$@"; fi
shift
if [ "$1" = up ]; then set -- "$@" --network %[2]s; fi
exec %[1]s lab --name %[3]s "$@"
`, program(t), labNetwork, labName)
	pairs := []string{"/var/lib/runner-lab/", "/var/lib/runner-lab-" + labName + "/", "198.51.100.", "198.18.16."}
	keys := filepath.Join("/var/lib", "runner-lab-"+labName)
	site := siteText(func(host string) string {
		address := "198.18.16.20"
		if host == "old" {
			address = "198.18.16.10"
		}
		return fmt.Sprintf(`{ address = %q, user = "root", key = %q, known_hosts = %q }`, address, keys+"/keys/id_ed25519", keys+"/known_hosts")
	})
	for _, d := range documents(t) {
		if !needsLab(d) {
			continue
		}
		t.Run(filepath.Base(d.file), func(t *testing.T) {
			labtest.Reset(t, l)
			s := newSession(t, wrapper, site, false, " --name "+labName, pairs...)
			s.sshConfig(keys)
			play(t, s, d, true)
		})
	}
}

// sshConfig is what a reader has in ~/.ssh/config: how to reach the two mail servers by their names.
func (s *session) sshConfig(lab string) {
	s.t.Helper()
	var b strings.Builder
	for name, address := range map[string]string{"old": "198.18.16.10", "new": "198.18.16.20"} {
		fmt.Fprintf(&b, "Host mail-%s.example.net\n  HostName %s\n  HostKeyAlias mail-%[1]s.example.net\n  IdentityFile %[3]s/keys/id_ed25519\n  UserKnownHostsFile %[3]s/known_hosts\n",
			name, address, lab)
	}
	dir := filepath.Join(os.Getenv("HOME"), ".ssh")
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config"), []byte(b.String()), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func needsLab(d *document) bool {
	for _, b := range d.blocks {
		if b.has("lab") {
			return true
		}
	}
	return false
}

// TestLinks sees to it that what a document points to is there.
func TestLinks(t *testing.T) {
	for _, d := range documents(t) {
		text, err := os.ReadFile(d.path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := d.path
			if target != "" {
				path = filepath.Join(filepath.Dir(d.path), target)
			}
			page, err := os.ReadFile(path)
			if info, e := os.Stat(path); err != nil && (e != nil || !info.IsDir()) {
				t.Errorf("%s: there is no %s", d.file, m[1])
				continue
			}
			if anchor != "" && !anchors(string(page))[anchor] {
				t.Errorf("%s: %s has no heading for #%s", d.file, path, anchor)
			}
		}
	}
}
