// Package knownhosts reads the known_hosts files of ssh, as sshd(8) describes them under "SSH_KNOWN_HOSTS FILE FORMAT", and adds
// to them.
//
// It stands in for golang.org/x/crypto/ssh/knownhosts because that gives up on a whole file for one line that it cannot read
// (protocol 1, a key type that is not known, a half-done edit), which files that are twenty years old have.
package knownhosts

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"runner/runtime/transport/internal/sshconfig"
)

// Entry is a key that a file has for a host.
type Entry struct {
	Key       ssh.PublicKey
	Authority bool // a certificate authority (@cert-authority), not the key of a host
	File      string
	Line      int
}

// Place is where the entry stands, "FILE:LINE".
func (e Entry) Place() string { return e.File + ":" + strconv.Itoa(e.Line) }

// DB is the content of known_hosts files.
type DB struct{ lines []line }

// line is a line taken apart as far as is needed to see whose it is.
type line struct {
	marker string // "", "@cert-authority" or "@revoked"
	hosts  string
	key    string // base64
	file   string
	number int
}

// Read reads files. One that does not exist is passed over.
func Read(files ...string) (*DB, error) {
	db := &DB{}
	for _, name := range files {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the known host keys: %w", err)
		}
		err = db.read(f, name)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("cannot read the known host keys in %s: %w", name, err)
		}
	}
	return db, nil
}

func (db *DB) read(r io.Reader, name string) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for number := 1; s.Scan(); number++ {
		fields := strings.Fields(s.Text())
		l := line{file: name, number: number}
		if len(fields) > 0 && strings.HasPrefix(fields[0], "@") {
			l.marker, fields = fields[0], fields[1:]
		}
		if len(fields) < 3 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		l.hosts, l.key = fields[0], fields[2]
		db.lines = append(db.lines, l)
	}
	return s.Err()
}

// Find returns what the files have for a host by one of its names, as [Name] writes them, in the order of the files.
func (db *DB) Find(names ...string) []Entry {
	var found []Entry
	for _, l := range db.lines {
		if l.marker != "" && l.marker != "@cert-authority" || !l.names(names) {
			continue
		}
		if key, err := l.parse(); err == nil {
			found = append(found, Entry{Key: key, Authority: l.marker != "", File: l.file, Line: l.number})
		}
	}
	return found
}

// Revoked says whether a key must not be trusted whatever else is said of it, for a host by one of its names.
func (db *DB) Revoked(key ssh.PublicKey, names ...string) (Entry, bool) {
	text := base64.StdEncoding.EncodeToString(key.Marshal())
	for _, l := range db.lines {
		if l.marker == "@revoked" && l.key == text && l.names(names) {
			return Entry{Key: key, File: l.file, Line: l.number}, true
		}
	}
	return Entry{}, false
}

func (l line) parse() (ssh.PublicKey, error) {
	blob, err := base64.StdEncoding.DecodeString(l.key)
	if err != nil {
		return nil, err
	}
	return ssh.ParsePublicKey(blob)
}

func (l line) names(names []string) bool {
	for _, name := range names {
		if strings.HasPrefix(l.hosts, "|") {
			if hashed(l.hosts, name) {
				return true
			}
			continue
		}
		if sshconfig.MatchList(strings.ToLower(name), strings.Split(strings.ToLower(l.hosts), ",")) {
			return true
		}
	}
	return false
}

// hashed compares a name with "|1|SALT|HASH": HMAC-SHA1 of the name with the salt as its key.
func hashed(text, name string) bool {
	parts := strings.Split(text, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return false
	}
	salt, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return false
	}
	want, err := base64.StdEncoding.DecodeString(parts[3])
	return err == nil && hmac.Equal(want, digest(salt, strings.ToLower(name)))
}

func digest(salt []byte, name string) []byte {
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return mac.Sum(nil)
}

// Name is a host as known_hosts writes it: in lower case, "name", or "[name]:port" when the port is not 22.
func Name(host string, port int) string {
	host = strings.ToLower(host)
	if port == 22 || port == 0 {
		return host
	}
	return "[" + host + "]:" + strconv.Itoa(port)
}

// Split takes a name that [Name] wrote apart.
func Split(name string) (host string, port int) {
	if host, number, err := net.SplitHostPort(name); err == nil && strings.HasPrefix(name, "[") {
		if port, err := strconv.Atoi(number); err == nil {
			return host, port
		}
	}
	return name, 22
}

// Line is a line for a key of a host. With hash, as HashKnownHosts asks for, the name cannot be read from it.
func Line(name string, key ssh.PublicKey, hash bool) string {
	if hash {
		salt := make([]byte, sha1.Size)
		rand.Read(salt)
		b64 := base64.StdEncoding.EncodeToString
		name = "|1|" + b64(salt) + "|" + b64(digest(salt, strings.ToLower(name)))
	}
	return name + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// Add appends a line to a file, which it makes with its directory when there is none.
func Add(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("cannot remember the host key: %w", err)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot remember the host key: %w", err)
	}
	entry := []byte(text + "\n")
	if !endsInNewline(f) {
		entry = append([]byte("\n"), entry...)
	}
	_, err = f.Write(entry)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("cannot remember the host key in %s: %w", file, err)
	}
	return nil
}

// endsInNewline says whether a line can be appended as it is: an editor may have left the last one open.
func endsInNewline(f *os.File) bool {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return true
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil {
		return true
	}
	return bytes.Equal(last, []byte("\n"))
}
