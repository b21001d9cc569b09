// Package sshconfig reads ssh_config(5) for one host as ssh itself does: the first value found for a keyword counts, Host
// and Match blocks are looked at in the order in which they stand, and Include works inside them.
//
// It stands in for github.com/kevinburke/ssh_config because that knows no Match, which ssh_config files of today are full of.
//
// It does not judge values and it passes over keywords that it has no use for, as an older ssh would have to with IgnoreUnknown.
// Names are not canonicalized (CanonicalizeHostname), so "Match canonical" never holds.
package sshconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// File is a configuration file to read. One that does not exist is passed over.
type File struct {
	Path   string
	System bool // relative names after Include belong to /etc/ssh, not to ~/.ssh
}

// Target is the host that the settings are for.
type Target struct {
	Host      string // as the operator wrote it
	User      string // that was asked for; empty: what the configuration says, else LocalUser
	Port      int    // that was asked for; 0: what the configuration says
	LocalUser string // who runs this program
	Home      string // home directory of that user

	// Run runs the command of a "Match exec" and says whether it ended with status 0. nil: no such block matches.
	Run func(ctx context.Context, line string) bool
}

// Settings are the values that hold for a target.
type Settings struct {
	first map[string][]string // arguments of the first line of a keyword
	all   map[string][]string // of keywords that add up
}

// Get is the value of a keyword, with its arguments joined by spaces; empty when nothing sets it.
func (s *Settings) Get(keyword string) string {
	return strings.Join(s.first[strings.ToLower(keyword)], " ")
}

// Fields are the arguments of a keyword; nil when nothing sets it.
func (s *Settings) Fields(keyword string) []string { return s.first[strings.ToLower(keyword)] }

// All are the values of a keyword that adds up, IdentityFile or CertificateFile, in the order in which they were found.
func (s *Settings) All(keyword string) []string { return s.all[strings.ToLower(keyword)] }

// additive are the keywords whose lines add up instead of the first one winning.
func additive(keyword string) bool { return keyword == "identityfile" || keyword == "certificatefile" }

// raw are the keywords whose value is the rest of the line as it stands, for a shell to read.
func raw(keyword string) bool {
	return keyword == "proxycommand" || keyword == "localcommand" || keyword == "remotecommand" || keyword == "knownhostscommand"
}

// Load reads the files in their order. An error names file and line.
func Load(ctx context.Context, files []File, t Target) (*Settings, error) {
	r := &reader{ctx: ctx, target: t, host: t.Host, Settings: &Settings{first: map[string][]string{}, all: map[string][]string{}}}
	for _, f := range files {
		if err := r.read(f, true, 0); err != nil {
			return nil, err
		}
	}
	if !r.wantFinal {
		return r.Settings, nil
	}
	// "Match final" asks for the files to be read once more, with the host name that was found, which is settled by that.
	r.final, r.host = true, r.resolvedHost()
	r.first["hostname"] = []string{r.host}
	for _, f := range files {
		if err := r.read(f, true, 0); err != nil {
			return nil, err
		}
	}
	return r.Settings, nil
}

// maxDepth is how deep files may include each other, as in ssh.
const maxDepth = 16

type reader struct {
	*Settings
	ctx       context.Context
	target    Target
	host      string // what Host patterns are compared with
	final     bool
	wantFinal bool
}

// read reads a file. Nothing in one that is included by lines that do not hold can hold; it is read all the same, because
// even there a "Match final" asks for the second reading.
func (r *reader) read(f File, holds bool, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("cannot read %s: files include each other more than %d deep", f.Path, maxDepth)
	}
	text, err := os.ReadFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) || depth > 0 && errors.Is(err, syscall.EISDIR) { // a pattern may match folders
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the ssh configuration: %w", err)
	}
	return r.lines(f, string(text), holds, depth)
}

func (r *reader) lines(f File, text string, holds bool, depth int) error {
	active := holds // until the first Host or Match
	number := 0
	for line := range strings.Lines(text) {
		number++
		keyword, args, err := split(line)
		if err == nil && keyword != "" {
			active, err = r.apply(f, keyword, args, holds, active, depth)
		}
		var included *includedError
		if errors.As(err, &included) {
			return err
		}
		if err != nil {
			return fmt.Errorf("cannot read %s line %d: %w", f.Path, number, err)
		}
	}
	return nil
}

// apply takes one line in and says whether the lines after it hold.
func (r *reader) apply(f File, keyword string, args []string, holds, active bool, depth int) (bool, error) {
	switch {
	case keyword == "host":
		return holds && MatchList(r.host, args), nil
	case keyword == "match":
		return r.match(args, holds)
	case keyword == "include":
		for _, pattern := range args {
			if err := r.include(f, pattern, active, depth); err != nil {
				return active, &includedError{err}
			}
		}
	case !active || len(args) == 0:
	case keyword == "proxycommand" && r.first["proxyjump"] != nil, keyword == "proxyjump" && r.first["proxycommand"] != nil:
		// Whichever way to the host comes first shuts out the other.
	case additive(keyword):
		if !contains(r.all[keyword], args[0]) {
			r.all[keyword] = append(r.all[keyword], args[0])
		}
	case r.first[keyword] == nil:
		r.first[keyword] = args
	}
	return active, nil
}

// includedError is an error that names the included file already.
type includedError struct{ error }

func (e *includedError) Unwrap() error { return e.error }

func (r *reader) include(f File, pattern string, holds bool, depth int) error {
	switch rest, home := strings.CutPrefix(pattern, "~/"); {
	case home:
		pattern = filepath.Join(r.target.Home, rest)
	case filepath.IsAbs(pattern):
	case f.System:
		pattern = filepath.Join("/etc/ssh", pattern)
	default:
		pattern = filepath.Join(r.target.Home, ".ssh", pattern)
	}
	names, err := filepath.Glob(pattern)
	if err != nil {
		return fmt.Errorf("cannot include %q: %w", pattern, err)
	}
	for _, name := range names {
		if err := r.read(File{Path: name, System: f.System}, holds, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func contains(list []string, value string) bool {
	for _, v := range list {
		if v == value {
			return true
		}
	}
	return false
}
