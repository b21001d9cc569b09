// Package aptsource finds the Debian mirror in the apt configuration of a machine. It reads both formats of
// sources.list(5): one line per source, and deb822 stanzas (*.sources).
package aptsource

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Source is one archive that apt gets binary packages from.
type Source struct {
	URIs       []string
	Suites     []string // "bookworm", "bookworm-security", "stable", "./" ...
	Components []string
	SignedBy   string // keyring file; empty where none is named or the key stands in the source itself
}

// Mirrors are where the packages of a release come from. Security is empty where the machine has none.
type Mirrors struct {
	Archive  string
	Security string
}

// codenames are the releases by which a source is recognised as Debian's own archive, and the names that move
// (https://www.debian.org/releases/). Other distributions have other ones.
var codenames = []string{
	"stretch", "buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid",
	"oldoldstable", "oldstable", "stable", "testing", "unstable",
}

// Read reads the sources of the apt configuration below etc ("/etc/apt"). Files that cannot be read are passed over, as
// apt does with foreign ones.
func Read(etc string) []Source {
	files, _ := filepath.Glob(filepath.Join(etc, "sources.list.d", "*"))
	slices.Sort(files)
	var out []Source
	for _, file := range append([]string{filepath.Join(etc, "sources.list")}, files...) {
		parse := Lines
		switch filepath.Ext(file) {
		case ".list":
		case ".sources":
			parse = Stanzas
		default:
			continue
		}
		if b, err := os.ReadFile(file); err == nil {
			out = append(out, parse(string(b))...)
		}
	}
	return out
}

// Lines parses the one-line format: deb [ option=value ... ] URI SUITE COMPONENT... Sources of source packages are left
// out, and so are lines that are none.
func Lines(text string) []Source {
	var out []Source
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "deb" {
			continue
		}
		var s Source
		fields = fields[1:]
		if strings.HasPrefix(fields[0], "[") {
			end := slices.IndexFunc(fields, func(f string) bool { return strings.HasSuffix(f, "]") })
			if end < 0 {
				continue
			}
			for _, option := range fields[:end+1] {
				if name, value, ok := strings.Cut(strings.Trim(option, "[]"), "="); ok && name == "signed-by" {
					s.SignedBy = keyring(value)
				}
			}
			fields = fields[end+1:]
		}
		if len(fields) < 2 {
			continue
		}
		s.URIs, s.Suites, s.Components = fields[:1], fields[1:2], fields[2:]
		out = append(out, s)
	}
	return out
}

// Stanzas parses the deb822 format: fields of "Name: value", continued by lines that begin with a blank, in paragraphs. A
// stanza with "Enabled: no" is left out.
func Stanzas(text string) []Source {
	var out []Source
	fields := map[string]string{}
	name := ""
	end := func() {
		if s, ok := stanza(fields); ok {
			out = append(out, s)
		}
		fields, name = map[string]string{}, ""
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			end()
		case line[0] == ' ' || line[0] == '\t':
			if name != "" {
				fields[name] += "\n" + strings.TrimSpace(line)
			}
		default:
			key, value, ok := strings.Cut(line, ":")
			if !ok {
				name = ""
				continue
			}
			name = strings.ToLower(strings.TrimSpace(key))
			fields[name] = strings.TrimSpace(value)
		}
	}
	end()
	return out
}

func stanza(fields map[string]string) (Source, bool) {
	if !slices.Contains(strings.Fields(fields["types"]), "deb") {
		return Source{}, false
	}
	switch strings.ToLower(fields["enabled"]) {
	case "no", "false", "0", "off", "without", "disable":
		return Source{}, false
	}
	s := Source{
		URIs:       strings.Fields(fields["uris"]),
		Suites:     strings.Fields(fields["suites"]),
		Components: strings.Fields(fields["components"]),
		SignedBy:   keyring(fields["signed-by"]),
	}
	return s, len(s.URIs) > 0 && len(s.Suites) > 0
}

// keyring is the value of Signed-By where it is a file and not a key or a fingerprint.
func keyring(value string) string {
	if fields := strings.Fields(value); len(fields) > 0 && strings.HasPrefix(fields[0], "/") {
		return fields[0]
	}
	return ""
}

// Find picks the mirrors of Debian's archive among the sources; ok is false where there is none. Every release lies on the
// same mirror, so that which of them the machine itself uses does not matter.
func Find(sources []Source) (m Mirrors, ok bool) {
	for _, s := range sources {
		uri := first(s.URIs)
		if uri == "" || !slices.Contains(s.Components, "main") {
			continue
		}
		for _, suite := range s.Suites {
			release, pocket := split(suite)
			if !slices.Contains(codenames, release) {
				continue
			}
			switch {
			case pocket == "" && m.Archive == "":
				m.Archive = uri
			case pocket == "security" && m.Security == "":
				m.Security = uri
			}
		}
	}
	return m, m.Archive != ""
}

// split takes "bookworm-security" and, as it was until buster, "buster/updates" apart.
func split(suite string) (release, pocket string) {
	suite = strings.TrimSuffix(suite, "/")
	if release, ok := strings.CutSuffix(suite, "/updates"); ok {
		return release, "security"
	}
	release, pocket, _ = strings.Cut(suite, "-")
	return release, pocket
}

// first is the first address that packages can be fetched from without more knowledge. Of a list of mirrors
// (mirror+file:/etc/apt/mirrors/debian.list, apt-transport-mirror(1)) it is the first one in it.
func first(uris []string) string {
	for _, uri := range uris {
		scheme, rest, _ := strings.Cut(uri, ":")
		switch strings.ToLower(scheme) {
		case "http", "https", "ftp", "file", "copy":
			return strings.TrimSuffix(uri, "/")
		case "mirror+file":
			b, err := os.ReadFile("/" + strings.TrimLeft(rest, "/"))
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(b)) {
				line, _, _ = strings.Cut(line, "#")
				if fields := strings.Fields(line); len(fields) > 0 {
					if found := first(fields[:1]); found != "" {
						return found
					}
				}
			}
		}
	}
	return ""
}
