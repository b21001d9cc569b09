package lab

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"text/template"
)

// image holds what makes a server of a bare Debian system: trees of files (common, then the host's own), and a script that
// runs as PID 1 of a container with them in place.
//
//go:embed image
var image embed.FS

// seedScript fills a provisioned host; see the file.
//
//go:embed image/seed.sh
var seedScript string

// packages of both mail servers, and of both web servers; recommended ones are not installed.
const (
	mailPackages = "openssh-server,sudo,rsync,mariadb-server,postfix,postfix-mysql,dovecot-core,dovecot-imapd,dovecot-lmtpd," +
		"dovecot-managesieved,dovecot-sieve,dovecot-mysql,rsyslog,procps,iproute2,iputils-ping,less,cron,openssl"
	webPackages = "openssh-server,sudo,mariadb-server,apache2,rsyslog,procps,iproute2,less,cron,openssl"
)

// packagesOf is what a host's Debian release is installed with as an old or a new server. The new one's system also carries the DNS
// server, which boots from it.
func packagesOf(h *Host) string {
	packages := mailPackages
	if h.Shape == shapeWeb {
		packages = webPackages
	}
	if slices.Contains(OldSuites, h.Suite) {
		return "sysvinit-core,initscripts,sysv-rc,insserv," + packages
	}
	return "systemd-sysv,knot," + packages
}

// provision is what provisioning a host is made of: files by their path in the host, the script, and its environment.
type provision struct {
	files  map[string][]byte
	script string
	env    []string
}

// provisionOf puts together the image of a host.
func provisionOf(h *Host) (*provision, error) {
	kind := "new"
	if h.Init == "sysvinit" {
		kind = "old"
	}
	p := &provision{files: map[string][]byte{}, script: "/provision/" + kind + ".sh"}
	values := map[string]string{
		"FQDN": h.Hostname, "MailuserPassword": mailuserPassword, "MaintPassword": maintPassword, "ShopPassword": shopPassword,
	}
	for _, tree := range []string{"common", kind, kind + "-" + h.Suite, kind + "-" + h.Shape} {
		if err := p.add(path.Join("image", tree), values); err != nil {
			return nil, err
		}
	}
	if h.Shape == shapeWeb {
		maps.DeleteFunc(p.files, func(name string, _ []byte) bool {
			return strings.HasPrefix(name, "/etc/postfix/") || strings.HasPrefix(name, "/etc/dovecot/") || name == "/etc/mysql/mailserver.sql"
		})
	}
	if h.Suite == "trixie" {
		// Dovecot 2.4 has the queries in dovecot.conf.
		delete(p.files, "/etc/dovecot/dovecot-sql.conf.ext")
	}
	scripts := []string{"common.sh", kind + ".sh"}
	if h.Shape == shapeWeb {
		scripts = []string{"common.sh", "web.sh"}
		p.script = "/provision/web.sh"
	}
	for _, name := range scripts {
		b, err := image.ReadFile("image/" + name)
		if err != nil {
			return nil, err
		}
		p.files["/provision/"+name] = b
	}
	p.env = []string{
		"PATH=" + hostPath, "HOME=/root", "LAB_FQDN=" + h.Hostname, "LAB_SHAPE=" + h.Shape, "LAB_VMAIL=" + h.Vmail, "LAB_ADMIN_PASSWORD=" + sudoPassword,
		"LAB_MAILUSER_PASSWORD=" + mailuserPassword, "LAB_MAINT_PASSWORD=" + maintPassword, "LAB_DB_ROOT_PASSWORD=" + dbRootPassword,
		"LAB_KIND=" + kind,
	}
	return p, nil
}

// add reads a tree of the image; every file is a template. A tree that is not there is empty.
func (p *provision) add(root string, values map[string]string) error {
	if _, err := fs.Stat(image, root); err != nil {
		return nil
	}
	return fs.WalkDir(image, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := image.ReadFile(name)
		if err != nil {
			return err
		}
		t, err := template.New(name).Option("missingkey=error").Parse(string(b))
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := t.Execute(&out, values); err != nil {
			return err
		}
		p.files[strings.TrimPrefix(name, root)] = out.Bytes()
		return nil
	})
}

// sum identifies the provisioning: whatever changes in it changes the sum.
func (p *provision) sum() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		parts = append(parts, name, string(p.files[name]))
	}
	return sum(append(append(parts, p.script), p.env...)...)
}

// sum is a short hash of texts, in which it matters where one ends and the next begins.
func sum(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}
