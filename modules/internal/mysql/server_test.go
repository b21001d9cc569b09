package mysql_test

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"runner/modules"
	"runner/runtime/host"
	"runner/runtime/module"
)

// server is a throw-away MariaDB server on a socket of its own.
type server struct {
	dir, socket string
	cmd         *exec.Cmd
	db          *sql.DB
}

// servers are started once for all tests: an old and a new one.
var servers struct {
	old, new *server
	why      error
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "mysql")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = os.Chmod(dir, 0o755)
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run())
	}
	if servers.old, servers.why = startServer(filepath.Join(dir, "old"), "--sql-mode=", "--character-set-server=latin1"); servers.why == nil {
		servers.new, servers.why = startServer(filepath.Join(dir, "new"))
	}
	status := m.Run()
	for _, s := range []*server{servers.old, servers.new} {
		if s != nil {
			s.stop()
		}
	}
	os.RemoveAll(dir)
	os.Exit(status)
}

// startServer makes a data directory and starts a server in it, as the user nobody when the test runs as root. The root
// account has no password.
func startServer(dir string, args ...string) (*server, error) {
	for _, p := range []string{"mariadbd", "mariadb-install-db", "mariadb-dump", "mariadb"} {
		if _, err := exec.LookPath(p); err != nil {
			return nil, fmt.Errorf("%s is not installed (apt-get install mariadb-server)", p)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		u, err := user.Lookup("nobody")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
		args = append(args, "--user=nobody")
	}
	data := filepath.Join(dir, "data")
	install := exec.Command("mariadb-install-db", "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")
	if os.Getuid() == 0 {
		install.Args = append(install.Args, "--user=nobody")
	}
	if out, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	s := &server{dir: dir, socket: filepath.Join(dir, "s")}
	s.cmd = exec.Command("mariadbd", append([]string{"--no-defaults", "--datadir=" + data, "--socket=" + s.socket, "--pid-file=" + filepath.Join(dir, "pid"),
		"--skip-networking", "--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0", "--log-error=" + filepath.Join(dir, "log")}, args...)...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	db, err := sql.Open("mysql", "root@unix("+s.socket+")/?multiStatements=true&charset=utf8mb4")
	if err != nil {
		return nil, err
	}
	s.db = db
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err = db.Ping(); err == nil {
			return s, nil
		}
		if time.Now().After(deadline) {
			s.stop()
			return nil, fmt.Errorf("mariadbd does not answer: %w", err)
		}
	}
}

func (s *server) stop() {
	s.db.Close()
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// run runs statements and fails the test when one does.
func (s *server) run(t *testing.T, statements string, args ...any) {
	t.Helper()
	if _, err := s.db.Exec(statements, args...); err != nil {
		t.Fatalf("%s\n%v", statements, err)
	}
}

// value reads one value as text.
func (s *server) value(t *testing.T, query string) string {
	t.Helper()
	var v sql.NullString
	if err := s.db.QueryRow(query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if !v.Valid {
		return "NULL"
	}
	return v.String
}

// bench is two hosts with a server each and no database of a test's.
type bench struct {
	t        *testing.T
	old, new *server
	from, to *machine
	hosts    map[module.HostName]*host.Host
	backups  string
	kept     []module.Original
}

func newBench(t *testing.T) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED in a short run: it needs two servers")
	}
	if servers.why != nil {
		if slices.Contains(strings.FieldsFunc(os.Getenv("RUNNER_TEST_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' }), "mariadb") {
			t.Fatalf("needs MariaDB: %v", servers.why)
		}
		t.Skipf("needs MariaDB: %v", servers.why)
	}
	b := &bench{t: t, old: servers.old, new: servers.new, from: &machine{name: "old"}, to: &machine{name: "new"}, backups: t.TempDir()}
	b.hosts = map[module.HostName]*host.Host{"old": b.from.host(), "new": b.to.host()}
	clear := func() {
		for _, s := range []*server{b.old, b.new} {
			for _, d := range s.databases(t) {
				s.run(t, "SET foreign_key_checks=0; DROP DATABASE `"+d+"`; SET foreign_key_checks=1")
			}
		}
	}
	clear()
	t.Cleanup(clear)
	return b
}

// databases are those that the server did not come with.
func (s *server) databases(t *testing.T) []string {
	t.Helper()
	rows, err := s.db.Query("SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ('mysql','information_schema','performance_schema','sys') ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var d string
		if err := rows.Scan(&d); err != nil {
			t.Fatal(err)
		}
		list = append(list, d)
	}
	return list
}

// call decodes a step and runs it.
func (b *bench) call(ctx context.Context, name string, check bool, args map[string]any) module.Result {
	b.t.Helper()
	for _, m := range modules.All() {
		if m.Name != name {
			continue
		}
		c, err := m.Decode(args)
		if err != nil {
			b.t.Fatal(err)
		}
		if err := c.Bind(b.hosts); err != nil {
			b.t.Fatal(err)
		}
		return c.Run(ctx, check, module.Observer{Keep: func(o module.Original) { b.kept = append(b.kept, o) }})
	}
	b.t.Fatalf("no module %s", name)
	return module.Result{}
}

// copyArgs are those of mysql.copy between the two servers.
func (b *bench) copyArgs(more map[string]any) map[string]any {
	args := map[string]any{
		"from": module.HostName("old"), "to": module.HostName("new"), "database": "mailserver", "backup_dir": b.backups,
		"from_login": map[string]any{"socket": b.old.socket}, "to_login": map[string]any{"socket": b.new.socket},
	}
	maps.Copy(args, more)
	return args
}

// copies runs mysql.copy and expects a status.
func (b *bench) copies(status module.Status, more map[string]any) module.Result {
	b.t.Helper()
	r := b.call(context.Background(), "mysql.copy", false, b.copyArgs(more))
	if r.Status != status {
		b.t.Fatalf("mysql.copy ended %s: %v (%s)\n%s", r.Status, r.Err, r.Note, differences(r))
	}
	return r
}

func differences(r module.Result) string {
	var b strings.Builder
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "%s\n--- before\n%s+++ after\n%s", c.Summary, c.Before, c.After)
	}
	return b.String()
}

// one is the arguments of a module that works on the new server.
func (b *bench) one(more map[string]any) map[string]any {
	args := map[string]any{"on": module.HostName("new"), "socket": b.new.socket}
	maps.Copy(args, more)
	return args
}
