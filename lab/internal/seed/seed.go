// Package seed makes up the users and mail of a lab: the same for the same parameters, byte for byte, so that a seeded host can
// be kept and two machines compare. What Dovecot itself must do (UIDs, keywords, copies, expunges) is given as IMAP
// commands for it.
package seed

import (
	"crypto/md5"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"strings"
)

// Seed is everything that a host gets.
type Seed struct {
	Host     string
	Shape    string // "lenny", or empty for all others
	Messages int    // on the whole host
	Domains  []Domain
}

// Domain is a mail domain with its accounts and aliases.
type Domain struct {
	Name    string
	Users   []User
	Aliases []Alias
}

// User is a mail account.
type User struct {
	Email    string
	Password string
	Stored   string // as it stands in virtual_users
}

// Alias is a row of virtual_aliases; source "@DOMAIN" is a catch-all.
type Alias struct{ Source, Destination string }

//go:embed plan.go seed.go text.go write.go
var sources embed.FS

// Sum identifies this version of the generator: a host that another version seeded is not what this one describes.
func Sum() string {
	h := sha256.New()
	names, _ := fs.Glob(sources, "*.go")
	for _, name := range names {
		b, _ := sources.ReadFile(name)
		fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// For describes a host of the lab ("old", "old2" or "new") that has so many messages. The new one has a domain of its own,
// whose size does not depend on the number; the second old one has a fifth of it. In shape "lenny" some accounts are written with
// capitals, in the database and on disk, and folders lie below INBOX.
func For(host string, messages int, shape string) *Seed {
	s := shared(host, max(0, messages))
	if shape == "lenny" {
		s.Shape = shape
		s.capitals()
	}
	return s
}

// capitals writes every fourth account as somebody with an old mail program typed it.
func (s *Seed) capitals() {
	for _, d := range s.Domains {
		for i := 1; i < len(d.Users); i += 4 {
			local, domain := split(d.Users[i].Email)
			local = strings.ToUpper(local[:1]) + local[1:]
			if first, last, ok := strings.Cut(local, "."); ok && last != "" {
				local = first + "." + strings.ToUpper(last[:1]) + last[1:]
			}
			d.Users[i].Email = local + "@" + domain
		}
	}
}

func shared(host string, messages int) *Seed {
	switch host {
	case "old":
		return &Seed{Host: host, Messages: messages, Domains: []Domain{
			domain("example.org", "anna.schmidt", "bernd", "claudia.meier", "dietmar", "eva-maria", "frank.huber", "gisela", "h.krause",
				"info", "ingrid", "jens", "katrin.vogel").aliases(
				"postmaster", "anna.schmidt@example.org",
				"sales", "bernd@example.org", "sales", "claudia.meier@example.org",
				"team", "anna.schmidt@example.org,eva-maria@example.org,max@verein.example"),
			domain("example.com", "alice", "bob", "carol.jones", "dave", "erin", "frank", "grace.hopper", "support").aliases(
				"postmaster", "alice@example.com", "webmaster", "alice@example.com", "staff", "alice@example.com, bob@example.com"),
			domain("kanzlei.example", "buero", "dr.lang", "k.sommer", "mahnung", "notar").aliases(
				"postmaster", "buero@kanzlei.example", "rechnung", "buero@kanzlei.example", "dr.lang.privat", "bob@example.com"),
			domain("verein.example", "vorstand", "kasse", "max", "presse", "jugend").aliases(
				"postmaster", "vorstand@verein.example", "", "vorstand@verein.example"),
		}}
	case "old2":
		return &Seed{Host: host, Messages: messages / 5, Domains: []Domain{
			domain("harbour.example", "captain", "dock.office", "pilot", "info").aliases(
				"postmaster", "captain@harbour.example", "crew", "pilot@harbour.example,captain@harbour.example"),
			domain("orchard.example", "anna", "ben", "shop", "info").aliases(
				"postmaster", "anna@orchard.example", "", "info@orchard.example"),
		}}
	case "new":
		d := Domain{Name: "resident.example", Users: []User{
			// openssl passwd -5
			{"anna@resident.example", "Waldweg 12", "{SHA256-CRYPT}$5$resident1$aPRUfejDGgLzGgz98lglaKcO.XAO.FYiHFl0XUm1UW6"},
			{"ben@resident.example", "ben-2015", "$5$resident2$6XALGpHYvHmSgvoltLxSA6htSJDchn/SPX7jQymR7p1"},
		}}
		return &Seed{Host: host, Messages: 60, Domains: []Domain{d.aliases("postmaster", "anna@resident.example")}}
	}
	return &Seed{Host: host}
}

// domain is a domain of an old server: the password is stored as a bare MD5 sum.
func domain(name string, locals ...string) Domain {
	d := Domain{Name: name}
	for _, local := range locals {
		email := local + "@" + name
		password := password(email)
		sum := md5.Sum([]byte(password))
		d.Users = append(d.Users, User{email, password, hex.EncodeToString(sum[:])})
	}
	return d
}

// aliases adds pairs of local part and destination.
func (d Domain) aliases(pairs ...string) Domain {
	for i := 0; i+1 < len(pairs); i += 2 {
		d.Aliases = append(d.Aliases, Alias{pairs[i] + "@" + d.Name, pairs[i+1]})
	}
	return d
}

// password is that of an account. Two have characters that a careless program trips over.
func password(email string) string {
	switch email {
	case "dietmar@example.org":
		return `it's {me} 100% $HOME`
	case "erin@example.com":
		return `"quoted\" & <spaced>`
	}
	words := []string{"Sommer", "Winter", "Garten", "Kaffee", "Segeln", "Fahrrad", "Lampe", "Wolke"}
	r := random(email)
	return fmt.Sprintf("%s-%04d", words[r.IntN(len(words))], r.IntN(10000))
}

// random is a generator that gives the same numbers for the same words.
func random(words ...any) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintln(h, words...)
	n := h.Sum64()
	return rand.New(rand.NewPCG(n, n^0x9e3779b97f4a7c15))
}

// SQL fills the tables of database mailserver. The ids of the domains leave gaps, as those of a server with a history do.
func (s *Seed) SQL() string {
	var b strings.Builder
	b.WriteString("USE mailserver;\nSET NAMES utf8;\n")
	id := 1
	for i, d := range s.Domains {
		fmt.Fprintf(&b, "INSERT INTO virtual_domains (id, name) VALUES (%d, %s);\n", id, quote(d.Name))
		for _, u := range d.Users {
			column, value := "email", u.Email
			if s.Shape == "lenny" {
				column, value = "user", local(u.Email)
			}
			fmt.Fprintf(&b, "INSERT INTO virtual_users (domain_id, password, %s) VALUES (%d, %s, %s);\n", column, id, quote(u.Stored), quote(value))
		}
		for _, a := range d.Aliases {
			source := a.Source
			if s.Shape == "lenny" {
				source = local(a.Source)
			}
			fmt.Fprintf(&b, "INSERT INTO virtual_aliases (domain_id, source, destination) VALUES (%d, %s, %s);\n", id, quote(source), quote(a.Destination))
		}
		id += 1 + i%3
	}
	return b.String()
}

// quote is a text as MySQL reads it whatever its sql_mode says about backslashes: nothing in it needs one.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// split takes an address apart.
func split(email string) (local, domain string) {
	local, domain, _ = strings.Cut(email, "@")
	return local, domain
}

func local(email string) string {
	local, _ := split(email)
	return local
}
