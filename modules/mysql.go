package modules

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"runner/modules/internal/mysql"
	"runner/runtime/host"
	"runner/runtime/module"
)

func mysqlModules() []module.Module {
	return []module.Module{
		module.Define("mysql.query", "asks a MySQL or MariaDB server and returns the rows", planMySQLQuery),
		module.Define("mysql.exec", "runs a statement on a MySQL or MariaDB server", planMySQLExec),
		module.Define("mysql.column", "sees to it that a column has a type", planMySQLColumn),
		module.Define("mysql.dump", "dumps a database into a file on its host", planMySQLDump),
		module.Define("mysql.load", "loads a file of SQL on the host into a database", planMySQLLoad),
		module.Define("mysql.copy", "makes a database on one server what it is on another", planMySQLCopy),
		module.Define("mysql.merge", "brings domains, accounts and aliases of one control database into another", planMySQLMerge),
		module.Define("mysql.user", "creates, grants and drops accounts of a MySQL or MariaDB server", planMySQLUser),
		module.Define("mysql.database", "creates or drops a database", planMySQLDatabase),
	}
}

// MySQLLogin is how to log in to a server. Without user and password the runner tries, in this order, the option file
// ~/.my.cnf of the user that commands run as, the maintenance account of /etc/mysql/debian.cnf, and root at the socket
// without a password. A given login that is refused is followed by these as well.
type MySQLLogin struct {
	// Account of the server.
	User string `lua:"user"`
	// Its password.
	Password module.Secret `lua:"password"`
	// Path of the server's socket on its host, when it is not where Debian has it.
	Socket string `lua:"socket"`
	// Address of the server as seen from its host; a server on the host itself is reached at its socket, then at 127.0.0.1.
	Host string `lua:"host"`
	// TCP port of the server. Default 3306.
	Port int `lua:"port"`
}

func (l MySQLLogin) login() mysql.Login {
	return mysql.Login{User: l.User, Password: l.Password, Socket: l.Socket, Host: l.Host, Port: l.Port}
}

func (l MySQLLogin) check(prefix string) error {
	switch {
	case l.Socket != "" && (l.Host != "" || l.Port != 0):
		return fmt.Errorf("%ssocket cannot stand beside %shost or %sport", prefix, prefix, prefix)
	case l.Socket != "" && l.Socket[0] != '/':
		return fmt.Errorf("%ssocket must be an absolute path, not %q", prefix, l.Socket)
	case l.Port < 0 || l.Port > 65535:
		return fmt.Errorf("%sport must be between 1 and 65535, not %d", prefix, l.Port)
	}
	return nil
}

// oneServer is what the modules that work on one server have in common.
type oneServer struct {
	on    *host.View
	login MySQLLogin
}

// session logs in.
func (o oneServer) session(ctx context.Context, options mysql.Options) (*mysql.Session, error) {
	return mysql.Connect(ctx, o.on, o.login.login(), options)
}

type mysqlQueryArgs struct {
	// Host of the server.
	On *host.View `lua:"on,required"`
	// Database to be in.
	Database string `lua:"database"`
	// Statement that changes nothing: SELECT, SHOW, DESCRIBE or EXPLAIN. A ? stands for an argument.
	SQL string `lua:"sql,required"`
	// Values for the question marks, in their order.
	Args []any `lua:"args"`
	MySQLLogin
}

func (a *mysqlQueryArgs) Validate() error {
	if err := mysql.LooksOnly(a.SQL); err != nil {
		return fmt.Errorf("sql %w", err)
	}
	return a.check("")
}

func planMySQLQuery(ctx context.Context, a *mysqlQueryArgs) (*module.Plan, error) {
	s, err := oneServer{a.On, a.MySQLLogin}.session(ctx, mysql.Options{Database: a.Database, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	rows, err := s.Query(ctx, a.SQL, mysqlArguments(a.Args)...)
	if err != nil {
		return nil, mysqlFailure(err, a.SQL, "ask", a.On)
	}
	list := make([]any, len(rows))
	for i, r := range rows {
		list[i] = r
	}
	output := map[string]any{"rows": list, "count": int64(len(list)), "login": s.Login()}
	if len(rows) > 0 {
		output["first"] = rows[0]
	}
	return &module.Plan{Output: output, Note: countOf(len(rows), "row")}, nil
}

// mysqlArguments reveals secrets on their way to the server and makes whole numbers integers.
func mysqlArguments(values []any) []any {
	out := mysql.Arguments(values)
	for i, v := range out {
		if s, ok := v.(module.Secret); ok {
			out[i] = s.Reveal()
		}
	}
	return out
}

// mysqlFailure words an error of a statement. The server quotes the statement, so its passwords are masked.
func mysqlFailure(err error, statement, verb string, v *host.View) error {
	var absent *module.AbsentError
	if errors.As(err, &absent) {
		return fmt.Errorf("cannot %s %s: %w", verb, mysql.Brief(statement), err)
	}
	err = mysql.Plain(err)
	text := mysql.Masked(err.Error(), statement)
	return mysql.Reword(fmt.Sprintf("cannot %s the MySQL server of %s: %s: %s", verb, v.Name(), mysql.Brief(statement), text), err)
}

func countOf[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

type mysqlExecArgs struct {
	// Host of the server.
	On *host.View `lua:"on,required"`
	// Database to be in.
	Database string `lua:"database"`
	// One statement. A ? stands for an argument. Data that does not fit its column is an error, never cut.
	SQL string `lua:"sql,required"`
	// Values for the question marks, in their order.
	Args []any `lua:"args"`
	// Query that tells whether there is anything to do: when it returns a row, there is not. Without it the statement runs each time.
	Unless string `lua:"unless"`
	MySQLLogin
}

func (a *mysqlExecArgs) Validate() error {
	if strings.TrimSpace(a.SQL) == "" {
		return errors.New("sql is empty")
	}
	if a.Unless != "" {
		if err := mysql.LooksOnly(a.Unless); err != nil {
			return fmt.Errorf("unless %w", err)
		}
	}
	return a.check("")
}

func planMySQLExec(ctx context.Context, a *mysqlExecArgs) (*module.Plan, error) {
	server := oneServer{a.On, a.MySQLLogin}
	// Also without a question to ask: a server that lets nobody in is to be told in check mode.
	s, err := server.session(ctx, mysql.Options{Database: a.Database, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if a.Unless != "" {
		rows, err := s.Query(ctx, a.Unless)
		if err != nil {
			return nil, mysqlFailure(err, a.Unless, "ask", a.On)
		}
		if len(rows) > 0 {
			return &module.Plan{Note: "already so", Output: map[string]any{"affected": int64(0)}}, nil
		}
	}
	return &module.Plan{Changes: []module.Change{{
		Summary: "run " + mysql.Brief(a.SQL),
		After:   mysql.Masked(strings.TrimSpace(a.SQL), a.SQL) + "\n",
		Action:  a.Unless == "",
		Apply: func(ctx context.Context, do *module.Apply) error {
			s, err := server.session(ctx, mysql.Options{Database: a.Database, Strict: true})
			if err != nil {
				return err
			}
			defer s.Close()
			n, err := s.Affected(ctx, a.SQL, mysqlArguments(a.Args)...)
			if err != nil {
				return mysqlFailure(err, a.SQL, "change", a.On)
			}
			do.Output("affected", n)
			return nil
		},
	}}}, nil
}
