package aptsource

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFind(t *testing.T) {
	list := filepath.Join(t.TempDir(), "mirrors.list")
	if err := os.WriteFile(list, []byte("# nearest first\nhttps://near.example/debian/ priority:1\nhttps://far.example/debian\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what              string
		parse             func(string) []Source
		text              string
		archive, security string
	}{
		{"one line", Lines, "deb http://deb.example/debian bookworm main # mine\n", "http://deb.example/debian", ""},
		{"options", Lines, "deb [ arch=amd64 signed-by=/usr/share/keyrings/d.gpg ] http://deb.example/debian/ trixie main contrib", "http://deb.example/debian", ""},
		{"options without blanks", Lines, "deb [arch=amd64] http://deb.example/debian stable main", "http://deb.example/debian", ""},
		{"sources only", Lines, "deb-src http://deb.example/debian bookworm main", "", ""},
		{"a comment", Lines, "# deb http://deb.example/debian bookworm main", "", ""},
		{"another vendor", Lines, "deb https://vendor.example/apt nodistro main\ndeb https://vendor.example/ubuntu jammy main", "", ""},
		{"no main", Lines, "deb http://deb.example/debian bookworm non-free", "", ""},
		{"security", Lines, "deb http://a.example/debian bookworm main\ndeb http://b.example/debian-security bookworm-security main", "http://a.example/debian", "http://b.example/debian-security"},
		{"security as it was", Lines, "deb http://b.example/debian-security buster/updates main\ndeb http://a.example/debian buster main", "http://a.example/debian", "http://b.example/debian-security"},
		{"updates alone are no archive", Lines, "deb http://a.example/debian bookworm-updates main", "", ""},
		{"a stanza", Stanzas, "Types: deb\n# a comment\nURIs: http://deb.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\nTypes: deb\nURIs: http://sec.example/s\nSuites: bookworm-security\nComponents: main\n", "http://deb.example/debian", "http://sec.example/s"},
		{"a stanza over several lines", Stanzas, "types: deb deb-src\nuris:\n http://deb.example/debian\n http://other.example\nsuites: trixie\ncomponents:\n main\nsigned-by:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n", "http://deb.example/debian", ""},
		{"a stanza that is off", Stanzas, "Enabled: no\nTypes: deb\nURIs: http://deb.example/debian\nSuites: bookworm\nComponents: main\n", "", ""},
		{"a list of mirrors", Lines, "deb mirror+file:" + list + " bookworm main", "https://near.example/debian", ""},
		{"a list that is not there", Lines, "deb mirror+file:/nowhere/list bookworm main", "", ""},
		{"a disc", Lines, "deb cdrom:[Debian]/ bookworm main\ndeb http://deb.example/debian bookworm main", "http://deb.example/debian", ""},
		{"garbage", Stanzas, ":::\n\x00\n continued\nTypes", "", ""},
	} {
		m, ok := Find(c.parse(c.text))
		if m.Archive != c.archive || m.Security != c.security || ok != (c.archive != "") {
			t.Errorf("%s: found %+v, %v", c.what, m, ok)
		}
	}
}

func TestRead(t *testing.T) {
	etc := t.TempDir()
	for name, text := range map[string]string{
		"sources.list":                     "# nothing here\n",
		"sources.list.d/a.list":            "deb http://vendor.example/x nodistro main\n",
		"sources.list.d/debian.sources":    "Types: deb\nURIs: http://deb.example/debian\nSuites: trixie\nComponents: main\n",
		"sources.list.d/debian.list.save":  "deb http://old.example/debian bookworm main\n",
		"sources.list.d/debian.sources.b~": "Types: deb\n",
	} {
		file := filepath.Join(etc, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if m, ok := Find(Read(etc)); !ok || m.Archive != "http://deb.example/debian" {
		t.Errorf("found %+v, %v", m, ok)
	}
	if _, ok := Find(Read(t.TempDir())); ok {
		t.Error("found a mirror where there is none")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("deb [ a=b ] http://deb.example/debian bookworm main\n")
	f.Add("deb [")
	f.Add("Types: deb\nURIs: http://deb.example/debian\nSuites: bookworm\nComponents: main\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range append(Lines(text), Stanzas(text)...) {
			if len(s.URIs) == 0 || len(s.Suites) == 0 {
				t.Errorf("a source without address or suite: %+v", s)
			}
		}
	})
}
