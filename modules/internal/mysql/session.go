package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"runner/runtime/host"
	"runner/runtime/module"
)

// Error numbers of the server that are answered here and not only told (MySQL Server Error Message Reference).
const (
	errUnknownDatabase = 1049
	errSyntax          = 1064
	errNoSuchTable     = 1146
	errUnknownVariable = 1193
	errUnknownTable    = 1109
	errViewInvalid     = 1356
)

// Session is one connection to the server of a host. It is for one goroutine at a time. Close it.
type Session struct {
	view   *host.View
	db     *sql.DB
	conn   *sql.Conn
	login  Login
	source string
	way    way

	version Version
	charset string // of the connection: "utf8mb4", or "utf8" on servers before 5.5.3
}

// Version of a server.
type Version struct {
	Text    string // "5.0.51a-24+lenny5", "10.11.6-MariaDB-0+deb12u1"
	MariaDB bool
	Numbers [3]int
}

// AtLeast compares numbers only; MariaDB's and MySQL's are not comparable with each other.
func (v Version) AtLeast(major, minor, patch int) bool {
	for i, n := range [3]int{major, minor, patch} {
		if v.Numbers[i] != n {
			return v.Numbers[i] > n
		}
	}
	return true
}

var versionNumbers = regexp.MustCompile(`(\d+)\.(\d+)\.(\d+)`)

// parseVersion reads what SELECT VERSION() says. MariaDB may put "5.5.5-" before its own number, for old replicas' sake.
func parseVersion(text string) Version {
	v := Version{Text: text, MariaDB: strings.Contains(strings.ToLower(text), "mariadb")}
	if v.MariaDB {
		text = strings.TrimPrefix(text, "5.5.5-")
	}
	if m := versionNumbers.FindStringSubmatch(text); m != nil {
		for i := range v.Numbers {
			v.Numbers[i], _ = strconv.Atoi(m[i+1])
		}
	}
	return v
}

// prepare makes a new connection what was asked for. It closes the session when it cannot.
func (s *Session) prepare(ctx context.Context, o Options) (*Session, error) {
	if err := s.setUp(ctx, o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Session) setUp(ctx context.Context, o Options) error {
	var version, charset string
	if err := s.row(ctx, "SELECT VERSION(), @@character_set_client", nil, &version, &charset); err != nil {
		return fmt.Errorf("cannot ask the MySQL server of %s for its version: %w", s.view.Name(), err)
	}
	s.version = parseVersion(version)
	// A server that does not know the character set asked for goes on in latin1 without a word, and every name and
	// value beyond ASCII would be wrong.
	switch charset {
	case "utf8mb4":
		s.charset = "utf8mb4"
	case "utf8", "utf8mb3":
		s.charset = "utf8"
	default:
		return fmt.Errorf("cannot talk UTF-8 with the MySQL server %s of %s: it insists on %s", version, s.view.Name(), charset)
	}
	if err := s.setModes(ctx, o); err != nil {
		return err
	}
	if o.Database != "" {
		if err := s.Exec(ctx, "USE "+Name(o.Database)); err != nil {
			return s.absent(err, "database "+o.Database)
		}
	}
	return nil
}

func (s *Session) setModes(ctx context.Context, o Options) error {
	var statements []string
	switch {
	case o.Pinned && o.Strict:
		statements = append(statements, "SET SESSION sql_mode = 'STRICT_ALL_TABLES'")
	case o.Pinned:
		statements = append(statements, "SET SESSION sql_mode = ''")
	case o.Strict:
		statements = append(statements, "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')")
	}
	if o.Pinned {
		statements = append(statements, "SET SESSION time_zone = '+00:00'", "SET SESSION sql_quote_show_create = 1")
	}
	for _, q := range statements {
		if err := s.Exec(ctx, q); err != nil {
			return fmt.Errorf("cannot prepare the session with the MySQL server of %s: %w", s.view.Name(), err)
		}
	}
	if !o.ReadOnly {
		return nil
	}
	err := s.Exec(ctx, "SET SESSION TRANSACTION READ ONLY")
	if number(err) == errSyntax || number(err) == errUnknownVariable {
		return nil // before MySQL 5.6.5 and MariaDB 10.0
	}
	return err
}

// Close ends the session.
func (s *Session) Close() {
	s.conn.Close()
	s.db.Close()
}

// Version of the server.
func (s *Session) Version() Version { return s.version }

// Login says who is logged in and how that was found: "root over /run/mysqld/mysqld.sock (root without a password)".
func (s *Session) Login() string {
	return fmt.Sprintf("%s over %s (%s)", s.login.User, s.way, s.source)
}

// Exec runs a statement whose result does not matter.
func (s *Session) Exec(ctx context.Context, query string, args ...any) error {
	_, err := s.conn.ExecContext(ctx, query, args...)
	return err
}

// Affected runs a statement and returns how many rows it changed.
func (s *Session) Affected(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := s.conn.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, s.absent(err, "")
	}
	return result.RowsAffected()
}

// row reads one row of texts and numbers.
func (s *Session) row(ctx context.Context, query string, args []any, into ...any) error {
	return s.conn.QueryRowContext(ctx, query, args...).Scan(into...)
}

// texts reads rows of texts; NULL becomes an invalid NullString.
func (s *Session) texts(ctx context.Context, query string, args ...any) ([][]sql.NullString, error) {
	rows, err := s.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]sql.NullString
	for rows.Next() {
		row := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// absent marks errors about something that is not there. what names it when the server's own words do not.
func (s *Session) absent(err error, what string) error {
	switch number(err) {
	case errUnknownDatabase, errNoSuchTable:
		if what == "" {
			return module.Absent(fmt.Errorf("%w on %s", plainError(err), s.view.Name()))
		}
		return module.Absent(fmt.Errorf("no %s on %s", what, s.view.Name()))
	}
	return err
}

// number is the server's error number; 0 when err is none of the server's.
func number(err error) uint16 {
	var server *driver.MySQLError
	if errors.As(err, &server) {
		return server.Number
	}
	return 0
}

// Name quotes the name of a database, table or column.
func Name(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// names quotes a list of names.
func names(list []string) string {
	quoted := make([]string, len(list))
	for i, n := range list {
		quoted[i] = Name(n)
	}
	return strings.Join(quoted, ", ")
}

// literal quotes a text. The session's modes must not hold NO_BACKSLASH_ESCAPES.
func literal(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\x00", `\0`, "\n", `\n`, "\r", `\r`, "\x1a", `\Z`).Replace(text) + "'"
}
