package mysql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"runner/runtime/host"
)

// program is a client program of a host with the options that it knows.
type program struct {
	path    string
	options map[string]bool // "binary-mode"
}

// Newer MariaDB packages have only the first name of each.
var (
	dumpPrograms   = []string{"mariadb-dump", "mysqldump"}
	clientPrograms = []string{"mariadb", "mysql"}
)

var optionName = regexp.MustCompile(`--([a-z][a-z0-9-]+)`)

// findProgram looks for a program and asks it for its options: what old ones do not know they refuse.
func findProgram(ctx context.Context, v *host.View, names []string) (program, error) {
	const script = `PATH=$PATH:/usr/local/bin:/usr/local/mysql/bin
for p; do
  c=$(command -v "$p") || continue
  echo "$c"; LC_ALL=C "$c" --no-defaults --help 2>/dev/null; exit 0
done`
	out, err := v.QueryScript(ctx, script, names...)
	if err != nil && out.Stdout == "" {
		return program{}, fmt.Errorf("cannot look for %s on %s: %w", names[len(names)-1], v.Name(), err)
	}
	path, help, _ := strings.Cut(out.Stdout, "\n")
	if path == "" {
		return program{}, fmt.Errorf("cannot find %s on %s: install its database's client programs", strings.Join(names, " or "), v.Name())
	}
	p := program{path: path, options: map[string]bool{}}
	for _, m := range optionName.FindAllStringSubmatch(strings.ReplaceAll(help, "_", "-"), -1) {
		p.options[m[1]] = true
	}
	return p, nil
}

// known keeps the options that the program has. An option is given without dashes and may carry "=value".
func (p program) known(options ...string) []string {
	var list []string
	for _, o := range options {
		name, _, _ := strings.Cut(o, "=")
		if bare, ok := strings.CutPrefix(name, "skip-"); p.options[name] || ok && p.options[bare] {
			list = append(list, "--"+o)
		}
	}
	return list
}

// optionFile is the session's login as an option file for the host's own programs.
func (s *Session) optionFile() string {
	var b strings.Builder
	b.WriteString("[client]\n")
	fmt.Fprintf(&b, "user=%s\n", quoteOption(s.login.User))
	if !s.login.Password.IsZero() {
		fmt.Fprintf(&b, "password=%s\n", quoteOption(s.login.Password.Reveal()))
	}
	if s.way.network == "unix" {
		fmt.Fprintf(&b, "socket=%s\n", quoteOption(s.way.address))
		return b.String()
	}
	address, port, _ := net.SplitHostPort(s.way.address)
	fmt.Fprintf(&b, "host=%s\nport=%s\nprotocol=tcp\n", quoteOption(address), port)
	if ip := net.ParseIP(address); ip != nil && ip.IsLoopback() {
		// Clients since MariaDB 11.4 insist on TLS, which old servers lack and a connection inside one machine does not need.
		b.WriteString("loose-skip-ssl\n")
	}
	return b.String()
}

// withLogin begins a script: it takes the option file from the first $1 bytes of standard input and leaves it at
// descriptor 3, so that no password is in a file, an argument or the environment, and nothing is left to clean up.
const withLogin = `n=$1; shift
login=$(dd bs=1 count="$n" 2>/dev/null) || exit 1
unset MYSQL_PWD MYSQL_HOST MYSQL_TCP_PORT MYSQL_UNIX_PORT
MYSQL_TEST_LOGIN_FILE=/nonexistent; export MYSQL_TEST_LOGIN_FILE
exec 3<<EOF
$login
EOF
unset login
`

// loginArgs are the arguments that make a program read its login, and nothing else, from descriptor 3.
const loginArg = "--defaults-file=/dev/fd/3"

// start runs a script that begins with [withLogin] with the session's login; further input can be written to its Stdin.
func (s *Session) start(ctx context.Context, h *host.Host, script string, args ...string) (*running, error) {
	file := s.optionFile()
	p, err := h.Start(ctx, host.Script(withLogin+script, append([]string{strconv.Itoa(len(file))}, args...)...))
	if err != nil {
		return nil, err
	}
	r := &running{Process: p}
	r.said.Add(1)
	go func() {
		defer r.said.Done()
		text, _ := io.ReadAll(io.LimitReader(p.Stderr(), maxStderr))
		_, _ = io.Copy(io.Discard, p.Stderr())
		r.stderr = string(text)
	}()
	if _, err := io.WriteString(p.Stdin(), file); err != nil {
		p.Close()
		return nil, fmt.Errorf("cannot hand the login over: %w", err)
	}
	return r, nil
}

const maxStderr = 64 << 10

// running is a started program whose standard error is collected.
type running struct {
	host.Process
	said   sync.WaitGroup
	stderr string
}

// end waits for the program and judges it: by its status, and by what it says on standard error other than warnings.
func (r *running) end() error {
	r.said.Wait() // first: a process that was waited for may have closed its streams
	err := r.Wait()
	complaint := complaintIn(r.stderr)
	var exit *host.ExitError
	switch {
	case errors.As(err, &exit) && complaint != "":
		return fmt.Errorf("exit status %d: %s", exit.Status, complaint)
	case errors.As(err, &exit):
		return fmt.Errorf("exit status %d without a word", exit.Status)
	case err != nil:
		return err
	case complaint != "":
		return errors.New(complaint)
	}
	return nil
}

// complaintIn is the first line of standard error that is no mere warning, without the piece of data it quotes.
func complaintIn(stderr string) string {
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		lower := strings.ToLower(line)
		if line == "" || strings.HasPrefix(lower, "-- warning") || strings.Contains(lower, "[warning]") || strings.HasPrefix(lower, "warning:") ||
			strings.Contains(lower, "deprecated program name") {
			continue
		}
		// "near '…" quotes the dump, which holds password hashes.
		line, _, _ = strings.Cut(line, " near '")
		if len(line) > 300 {
			line = line[:300] + "…"
		}
		return line
	}
	return ""
}
