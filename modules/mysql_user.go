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

// mysqlUserArgs is one account of a server.
//
// The password is compared by its hash and reaches the server as its hash, so that it stands in no log. What the account may do is
// told in the words of SHOW GRANTS, and the list is complete: what is not in it is revoked.
//
// # Example
//
//	mysql.user { on = new, name = "mailuser", host = "127.0.0.1", password = secret("mailuser"), grants = { "SELECT ON mailserver.*" } }
//
// # Result
//
//   - exists (boolean): whether the account is there
//   - grants (list of string): what it may do, as SHOW GRANTS tells it between GRANT and TO
//   - before (list of string): the same before the step changed something
//   - server (string): version of the server
type mysqlUserArgs struct {
	// Host of the server.
	On *host.View `lua:"on,required"`
	// Name of the account.
	Name string `lua:"name,required"`
	// Where the account may log in from: a name, an address, or a pattern such as "%". To the server 127.0.0.1 and localhost are two.
	Host string `lua:"host" default:"localhost"`
	// Whether the account is to be there.
	State string `lua:"state" choice:"present,absent" default:"present"`
	// Its password.
	Password module.Secret `lua:"password"`
	// Its password's hash instead, as SHOW GRANTS of another server shows it: * and 40 hexadecimal digits.
	PasswordHash module.Secret `lua:"password_hash"`
	// All that the account may do: "SELECT ON mailserver.*", "ALL PRIVILEGES ON mailserver.* WITH GRANT OPTION". An empty list revokes
	// everything; without the list nothing is granted or revoked.
	Grants []string `lua:"grants"`
	// How to log in to do this; otherwise as in mysql.query.
	Login MySQLLogin `lua:"login"`
}

// Validate checks what the types of the arguments cannot.
func (a *mysqlUserArgs) Validate() error {
	switch {
	case a.Name == "" || strings.ContainsRune(a.Name+a.Host, 0):
		return errors.New("name is empty")
	case !a.Password.IsZero() && !a.PasswordHash.IsZero():
		return errors.New("password and password_hash cannot stand beside each other")
	case a.State == "absent" && (a.Grants != nil || !a.Password.IsZero() || !a.PasswordHash.IsZero()):
		return errors.New(`state = "absent" takes neither password nor grants`)
	}
	if err := a.account().Check(); err != nil {
		return err
	}
	return a.Login.check("login.")
}

func (a *mysqlUserArgs) account() mysql.Account {
	return mysql.Account{
		On: a.On, Login: a.Login.login(), Name: a.Name, Host: a.Host, Absent: a.State == "absent",
		Password: a.Password, Hash: a.PasswordHash, Grants: a.Grants,
	}
}

func planMySQLUser(ctx context.Context, a *mysqlUserArgs) (*module.Plan, error) {
	return a.account().Plan(ctx)
}

// mysqlDatabaseArgs is one database of a server.
//
// # Example
//
//	mysql.database { on = new, name = "mailserver_moving", state = "absent" }
//
// # Result
//
//   - exists (boolean): whether the database is there
//   - tables (integer): how many tables and views it has
//   - backup (string): path of the dump that was made before it was dropped
type mysqlDatabaseArgs struct {
	// Host of the server.
	On *host.View `lua:"on,required"`
	// Name of the database.
	Name string `lua:"name,required"`
	// Whether the database is to be there.
	State string `lua:"state" choice:"present,absent" default:"present"`
	// Character set of a database that is made; the server's own where it is not given.
	Charset string `lua:"charset"`
	// Dump a database that has tables into backup_dir before it is dropped.
	Backup bool `lua:"backup" default:"true"`
	// Directory on the host for that dump.
	BackupDir string `lua:"backup_dir" default:"/var/backups/runner"`
	MySQLLogin
}

// Validate checks what the types of the arguments cannot.
func (a *mysqlDatabaseArgs) Validate() error {
	if a.Name == "" {
		return errors.New("name is empty")
	}
	if strings.Trim(a.Charset, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return fmt.Errorf("charset %q is no name of a character set, such as utf8", a.Charset)
	}
	if a.Backup && !strings.HasPrefix(a.BackupDir, "/") {
		return fmt.Errorf("backup_dir must be an absolute path, not %q", a.BackupDir)
	}
	if err := mysqlOwnDatabase(a.Name); err != nil {
		return err
	}
	return a.check("")
}

func planMySQLDatabase(ctx context.Context, a *mysqlDatabaseArgs) (*module.Plan, error) {
	server := oneServer{a.On, a.MySQLLogin}
	s, err := server.session(ctx, mysql.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	there, err := s.HasDatabase(ctx, a.Name)
	if err != nil {
		return nil, mysqlFailure(err, "SHOW DATABASES", "ask", a.On)
	}
	tables, err := s.Tables(ctx, a.Name)
	if err != nil {
		return nil, mysqlFailure(err, "SHOW TABLES", "ask", a.On)
	}
	plan := &module.Plan{Output: map[string]any{"exists": there, "tables": tables}}
	apply := func(statement string) func(context.Context, *module.Apply) error {
		return func(ctx context.Context, do *module.Apply) error {
			s, err := server.session(ctx, mysql.Options{})
			if err != nil {
				return err
			}
			defer s.Close()
			if a.State == "absent" && a.Backup && tables > 0 {
				file, err := mysql.BackUp(ctx, do, do.Host(a.On), s, a.Name, a.BackupDir)
				if err != nil {
					return err
				}
				do.Output("backup", file)
			}
			if err := s.Exec(ctx, statement); err != nil {
				return mysqlFailure(err, statement, "change", a.On)
			}
			return nil
		}
	}
	switch {
	case a.State == "absent" && there:
		plan.Changes = []module.Change{{
			Summary: fmt.Sprintf("drop database %s (%s)", a.Name, countOf(int(tables), "table")), Destroys: true, Apply: apply("DROP DATABASE " + mysql.Name(a.Name)),
		}}
	case a.State == "present" && !there:
		statement := "CREATE DATABASE " + mysql.Name(a.Name)
		if a.Charset != "" {
			statement += " DEFAULT CHARACTER SET " + a.Charset
		}
		plan.Changes = []module.Change{{Summary: "create database " + a.Name, Apply: apply(statement)}}
	}
	return plan, nil
}
