package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"runner/runtime/host"
	"runner/runtime/module"
)

// connectTime is how long one try to log in may take: servers that look up the client's name in a dead DNS need their time.
const connectTime = 30 * time.Second

// sockets are where Debian's packages and the upstream ones put the server's socket.
var sockets = []string{"/run/mysqld/mysqld.sock", "/var/run/mysqld/mysqld.sock", "/tmp/mysql.sock", "/var/lib/mysql/mysql.sock"}

// Options of a session.
type Options struct {
	// Database to be in; empty: none. When it does not exist the error is a [module.AbsentError].
	Database string
	// ReadOnly asks the server to refuse changes of tables in this session, where it can (MySQL 5.6, MariaDB 10.0).
	ReadOnly bool
	// Strict makes the server refuse data that does not fit instead of cutting it.
	Strict bool
	// Pinned gives both ends of a copy the same surroundings: no SQL modes of the server's own (but Strict), UTC.
	Pinned bool
}

// Connect logs in to the server of a host with the first login that works: the given one, ~/.my.cnf, /etc/mysql/debian.cnf,
// root at the socket without a password. When none works the error names every try with its reason and no password; it
// is a [module.AbsentError] when no server runs at all.
func Connect(ctx context.Context, v *host.View, given Login, o Options) (*Session, error) {
	list, failed, err := candidates(ctx, v, given)
	if err != nil {
		return nil, err
	}
	d := dialer{view: v, dead: map[string]error{}}
	for _, c := range list {
		ways, err := d.ways(ctx, c.login)
		if err != nil {
			return nil, err
		}
		for _, w := range ways {
			s, err := d.login(ctx, c, w)
			if err == nil {
				return s.prepare(ctx, o)
			}
			var unreachable *host.UnreachableError
			if errors.As(err, &unreachable) || ctx.Err() != nil {
				return nil, fmt.Errorf("cannot log in to the MySQL server of %s: %w", v.Name(), err)
			}
			failed = append(failed, attempt{source: c.source, as: c.login.User + " over " + w.String(), err: err})
		}
	}
	return nil, d.refusal(failed)
}

// way is one way to a server.
type way struct {
	network string // "unix" or "tcp"
	address string
	relay   bool // through a process on the host instead of a forwarded connection
}

func (w way) String() string {
	if w.relay {
		return w.address + " (asked from the host itself)"
	}
	return w.address
}

// dialer remembers which addresses nobody answers at, so that each is told once and not tried with every login.
type dialer struct {
	view     *host.View
	dead     map[string]error
	answered bool
	found    []string // sockets that are there
	looked   bool
}

// ways lists how a login can reach its server: the socket first, because that is where a server lets root in.
func (d *dialer) ways(ctx context.Context, l Login) ([]way, error) {
	port := l.Port
	if port == 0 {
		port = 3306
	}
	if l.Host != "" && l.Host != "localhost" {
		return []way{{network: "tcp", address: net.JoinHostPort(l.Host, strconv.Itoa(port))}}, nil
	}
	if l.Socket != "" {
		return []way{{network: "unix", address: l.Socket}, {network: "unix", address: l.Socket, relay: true}}, nil
	}
	if err := d.findSockets(ctx); err != nil {
		return nil, err
	}
	var list []way
	for _, s := range d.found {
		list = append(list, way{network: "unix", address: s}, way{network: "unix", address: s, relay: true})
	}
	return append(list, way{network: "tcp", address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}), nil
}

func (d *dialer) findSockets(ctx context.Context) error {
	if d.looked {
		return nil
	}
	// /var/run is a link to /run on all but the oldest: the same socket is not to be tried twice.
	const script = `PATH=$PATH:/usr/sbin:/sbin
for s; do
  [ -S "$s" ] || continue
  real=$(readlink -f "$s")
  case " $seen " in *" $real "*) ;; *) seen="$seen $real"; echo "$s";; esac
done`
	candidates := append(d.configuredSockets(ctx), sockets...)
	out, err := d.view.QueryScript(ctx, script, candidates...)
	if err != nil {
		return fmt.Errorf("cannot look for the server's socket on %s: %w", d.view.Name(), err)
	}
	d.found, d.looked = out.Lines(), true
	return nil
}

// configuredSockets reads the machine's own configuration: a server that was moved says there where its socket is.
func (d *dialer) configuredSockets(ctx context.Context) []string {
	var found []string
	for _, file := range []string{"/etc/mysql/my.cnf", "/etc/my.cnf"} {
		data, err := d.view.ReadFile(ctx, file)
		if err != nil {
			continue
		}
		options, err := parseOptions(string(data), readerOf(ctx, d.view))
		if err != nil {
			continue
		}
		for _, o := range options {
			if o.name == "socket" && o.value != "" && (contains(clientGroups, o.group) || o.group == "mysqld" || o.group == "mariadbd") {
				found = append(found, o.value)
			}
		}
	}
	return found
}

// login tries one way with one login. Relays are only tried where they can make a difference.
func (d *dialer) login(ctx context.Context, c candidate, w way) (*Session, error) {
	key := fmt.Sprint(w.network, w.address, w.relay)
	if err := d.dead[key]; err != nil {
		return nil, err
	}
	if w.relay && !d.relayHelps(c.login, w) {
		return nil, errSkipped
	}
	s, dialed, err := open(ctx, d.view, c, w)
	if err == nil {
		return s, nil
	}
	if dialed {
		d.answered = true
	} else {
		d.dead[key] = err
	}
	return nil, err
}

// errSkipped marks a way that was not tried because it could not have helped.
var errSkipped = errors.New("not tried")

// relayHelps: a relay is for a socket that could not be dialled, or for an account without a password, which the server
// judges by who is at its socket.
func (d *dialer) relayHelps(l Login, w way) bool {
	w.relay = false
	return d.dead[fmt.Sprint(w.network, w.address, false)] != nil || l.Password.Reveal() == ""
}

// refusal makes one error of all tries.
func (d *dialer) refusal(failed []attempt) error {
	var b strings.Builder
	fmt.Fprintf(&b, "cannot log in to the MySQL server of %s; tried", d.view.Name())
	seen := map[string]bool{}
	for _, a := range failed {
		if line := a.String(); !errors.Is(a.err, errSkipped) && !seen[line] {
			seen[line] = true
			b.WriteString("\n  " + line)
		}
	}
	if d.answered {
		b.WriteString("\ngive user and password in the recipe, or put them into ~/.my.cnf of the user on that host")
		return errors.New(b.String())
	}
	b.WriteString("\nno server answers there: start it, or say with socket, host or port where it is")
	return module.Absent(errors.New(b.String()))
}

// open makes a connection and logs in. dialed says whether somebody answered.
func open(ctx context.Context, v *host.View, c candidate, w way) (s *Session, dialed bool, err error) {
	// The parameters that have no exported field, as a DSN. Two character sets: servers before 5.5.3 do not know the first one.
	cfg, err := driver.ParseDSN("/?charset=utf8mb4,utf8&allowOldPasswords=true&interpolateParams=true&maxAllowedPacket=0&checkConnLiveness=false")
	if err != nil {
		return nil, false, err
	}
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr = c.login.User, c.login.Password.Reveal(), w.network, w.address
	cfg.Logger = log.New(io.Discard, "", 0)
	// No time limits of the driver's: a connection through SSH has no deadlines, and a copy may take hours. The context
	// of the session stands in for that of the single statement, which ends long before the connection.
	cfg.DialFunc = func(_ context.Context, network, address string) (net.Conn, error) {
		var conn net.Conn
		var err error
		if w.relay {
			conn, err = dialRelay(ctx, v, address)
		} else {
			conn, err = v.Dial(ctx, network, address)
		}
		if err != nil {
			return nil, err
		}
		return &answering{Conn: conn, heard: &dialed}, nil
	}
	connector, err := driver.NewConnector(cfg)
	if err != nil {
		return nil, false, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	limited, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := db.Conn(limited)
	if err != nil {
		db.Close()
		return nil, dialed, plainError(err)
	}
	return &Session{view: v, db: db, conn: conn, login: c.login, source: c.source, way: w}, true, nil
}

// answering notes that the other end sent something: a relay can start well and then find nobody at the socket.
type answering struct {
	net.Conn
	heard *bool
}

func (a *answering) Read(b []byte) (int, error) {
	n, err := a.Conn.Read(b)
	if n > 0 {
		*a.heard = true
	}
	return n, err
}

// reworded is an error in words for a reader who does not know the driver.
type reworded struct {
	text string
	err  error
}

func (r *reworded) Error() string { return r.text }
func (r *reworded) Unwrap() error { return r.err }

// plainError words what the driver says.
func plainError(err error) error {
	var server *driver.MySQLError
	var absent *module.AbsentError
	switch {
	case err == nil || errors.As(err, &absent):
		return err
	case errors.As(err, &server):
		return &reworded{fmt.Sprintf("%s (error %d)", strings.TrimSuffix(server.Message, "."), server.Number), err}
	case errors.Is(err, fs.ErrNotExist):
		return &reworded{"no such socket", err}
	case errors.Is(err, driver.ErrInvalidConn) || errors.Is(err, io.EOF):
		return &reworded{"the server closed the connection", err}
	}
	return err
}
