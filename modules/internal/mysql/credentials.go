package mysql

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// Login is how to log in to a server; every field may be empty.
type Login struct {
	User     string
	Password module.Secret
	Socket   string // path of the server's socket on its host
	Host     string // name or address as the server's host sees it; empty or "localhost": the socket, then 127.0.0.1
	Port     int
}

// candidate is a login with the place where it was found, to be named in errors.
type candidate struct {
	source string
	login  Login
}

// attempt is a try to log in that failed.
type attempt struct {
	source string // where the login came from
	as     string // "root over /run/mysqld/mysqld.sock"; empty when there was nothing to try
	err    error
}

func (a attempt) String() string {
	if a.as == "" {
		return fmt.Sprintf("%s: %v", a.source, a.err)
	}
	return fmt.Sprintf("%s: %s: %v", a.source, a.as, a.err)
}

// clientGroups are the groups that the mysql program reads, dumpGroups those of mysqldump alone (their manual pages).
var (
	clientGroups = []string{"client", "client-server", "client-mariadb", "mysql", "mariadb-client"}
	dumpGroups   = []string{"mysqldump", "mariadb-dump"}
)

// candidates lists the logins to try, best first: the recipe's, the user's own option file, Debian's maintenance account,
// and the root account that a server lets in by who asks at its socket. Files that hold no login are told as attempts.
func candidates(ctx context.Context, v *host.View, given Login) ([]candidate, []attempt, error) {
	var found []candidate
	var failed []attempt
	if given.User != "" || !given.Password.IsZero() {
		c := candidate{source: "recipe", login: given}
		if c.login.User == "" {
			c.login.User = "root"
		}
		found = append(found, c)
	} else {
		failed = append(failed, attempt{source: "recipe", err: errors.New("gives no user and no password")})
	}
	home, err := homeOf(ctx, v)
	if err != nil {
		return nil, nil, err
	}
	facts, err := v.Facts(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, file := range []string{path.Join(home, ".my.cnf"), "/etc/mysql/debian.cnf"} {
		from, err := candidatesOf(ctx, v, file, facts.User)
		var unreachable *host.UnreachableError
		if errors.As(err, &unreachable) {
			return nil, nil, err
		}
		if err != nil {
			failed = append(failed, attempt{source: file, err: err})
		}
		found = append(found, from...)
	}
	found = append(found, candidate{source: "root without a password", login: Login{User: "root"}})
	for i := range found {
		found[i].login = found[i].login.at(given)
	}
	return distinct(found), failed, nil
}

// at lets the recipe say where the server is while the account comes from elsewhere.
func (l Login) at(given Login) Login {
	switch {
	case given.Socket != "":
		l.Socket, l.Host, l.Port = given.Socket, "", 0
	case given.Host != "" || given.Port != 0:
		l.Socket, l.Host, l.Port = "", given.Host, given.Port
		if l.Host == "" {
			l.Host = "127.0.0.1"
		}
	}
	return l
}

func distinct(list []candidate) []candidate {
	var kept []candidate
	seen := map[Login]bool{}
	for _, c := range list {
		if !seen[c.login] {
			seen[c.login] = true
			kept = append(kept, c)
		}
	}
	return kept
}

func homeOf(ctx context.Context, v *host.View) (string, error) {
	// Not $HOME: under sudo that can still be the other user's.
	out, err := v.QueryScript(ctx, `getent passwd "$(id -u)" | cut -d: -f6`)
	if err != nil {
		return "", fmt.Errorf("cannot find the home directory on %s: %w", v.Name(), err)
	}
	if home := strings.TrimSpace(out.Stdout); home != "" {
		return home, nil
	}
	return "/root", nil
}

// candidatesOf reads the logins of an option file. Without a user in it the account is that of the system user, as for
// the MySQL programs.
func candidatesOf(ctx context.Context, v *host.View, file, systemUser string) ([]candidate, error) {
	data, err := v.ReadFile(ctx, file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("no such file")
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%s may not read it", systemUser)
	}
	if err != nil {
		return nil, err
	}
	options, err := parseOptions(string(data), readerOf(ctx, v))
	if err != nil {
		return nil, fmt.Errorf("cannot read it: %w", err)
	}
	var found []candidate
	for _, groups := range [][]string{clientGroups, dumpGroups} {
		login, ok := loginOf(options, groups)
		if !ok {
			continue
		}
		if login.User == "" {
			login.User = systemUser
		}
		source := file
		if groups[0] == dumpGroups[0] {
			source += " [" + dumpGroups[0] + "]"
		}
		found = append(found, candidate{source: source, login: login})
	}
	if found == nil {
		return nil, errors.New("holds no user and no password for a client")
	}
	return found, nil
}

func readerOf(ctx context.Context, v *host.View) optionReader {
	return optionReader{
		read: func(file string) ([]byte, error) { return v.ReadFile(ctx, file) },
		readDir: func(dir string) ([]string, error) {
			entries, err := v.ReadDir(ctx, dir)
			var names []string
			for _, e := range entries {
				names = append(names, e.Path)
			}
			return names, err
		},
	}
}

// loginOf collects what the groups say; the last line wins. It is no login when it names neither user nor password.
func loginOf(options []option, groups []string) (Login, bool) {
	var l Login
	found := false
	for _, o := range options {
		if !contains(groups, o.group) {
			continue
		}
		switch strings.TrimPrefix(o.name, "loose-") {
		case "user":
			l.User, found = o.value, true
		case "password", "pass":
			l.Password, found = module.NewSecret(o.value), true
		case "socket":
			l.Socket = o.value
		case "host":
			l.Host = o.value
		case "port":
			l.Port, _ = strconv.Atoi(o.value)
		}
	}
	if l.Host == "localhost" {
		l.Host = ""
	}
	return l, found
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}
