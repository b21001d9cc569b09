package modules

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"runner/modules/internal/mysql"
	"runner/runtime/host"
	"runner/runtime/module"
)

// MySQLColumn is what a column of a copy is to be.
type MySQLColumn struct {
	// Definition as in ALTER TABLE: "varchar(150) NOT NULL". What it does not say (character set, NULL, DEFAULT …) stays as on the source.
	Type string `lua:"type"`
	// SQL expression that gives the column's value, computed from the source's row:
	// "CASE WHEN password REGEXP '^[0-9a-f]{32}$' THEN CONCAT('{PLAIN-MD5}', password) ELSE password END".
	Value string `lua:"value"`
}

type mysqlCopyArgs struct {
	// Host to copy from. Nothing is changed there.
	From *host.View `lua:"from,required"`
	// Host to copy to.
	To *host.View `lua:"to,required"`
	// Database to copy: all its tables and views with their rows, indexes, keys and triggers. Stored routines and events are told and not copied.
	Database string `lua:"database,required"`
	// Its name on the target. Default: the same. Tables that only the target has are told and left alone.
	TargetDatabase string `lua:"target_database"`
	// Dump the target database into backup_dir before it is changed.
	Backup bool `lua:"backup" default:"true"`
	// Directory on the target for that dump.
	BackupDir string `lua:"backup_dir" default:"/var/backups/runner"`
	// Whether the source goes on being written to. A table that changed while it was copied is then taken as it was at the moment of the
	// dump, where otherwise the step fails when it cannot keep up. The last copy, for which nothing writes any more, goes without.
	InUse bool `lua:"in_use"`
	// Columns that are to be otherwise than on the source, by "table.column".
	Columns map[string]MySQLColumn `lua:"columns"`
	// Login at the source; see mysql.query.
	FromLogin MySQLLogin `lua:"from_login"`
	// Login at the target; see mysql.query.
	ToLogin MySQLLogin `lua:"to_login"`
}

func (a *mysqlCopyArgs) Validate() error {
	if err := errors.Join(a.FromLogin.check("from_login."), a.ToLogin.check("to_login.")); err != nil {
		return err
	}
	if a.Backup && !strings.HasPrefix(a.BackupDir, "/") {
		return fmt.Errorf("backup_dir must be an absolute path, not %q", a.BackupDir)
	}
	if err := mysqlOwnDatabase(a.target()); err != nil {
		return err
	}
	_, err := a.overrides()
	return err
}

// mysqlOwnDatabase refuses the databases that a server keeps for itself.
func mysqlOwnDatabase(name string) error {
	if slices.Contains([]string{"mysql", "information_schema", "performance_schema", "sys"}, strings.ToLower(name)) {
		return fmt.Errorf("database %s is the server's own; it cannot be carried from one server to another", name)
	}
	return nil
}

func (a *mysqlCopyArgs) target() string {
	if a.TargetDatabase != "" {
		return a.TargetDatabase
	}
	return a.Database
}

func (a *mysqlCopyArgs) overrides() ([]mysql.Override, error) {
	var list []mysql.Override
	for name, c := range a.Columns {
		table, column, ok := strings.Cut(name, ".")
		if !ok || table == "" || column == "" {
			return nil, fmt.Errorf("columns: %q must be \"table.column\"", name)
		}
		if c.Type == "" && c.Value == "" {
			return nil, fmt.Errorf("columns[%q] needs type or value", name)
		}
		o := mysql.Override{Table: table, Column: column, Value: strings.TrimSpace(c.Value)}
		if c.Type != "" {
			spec, err := mysql.ParseSpec(c.Type)
			if err != nil {
				return nil, fmt.Errorf("columns[%q]: %w", name, err)
			}
			o.Spec = &spec
		}
		if o.Value != "" {
			if err := mysql.LooksOnly("SELECT (" + o.Value + ")"); err != nil {
				return nil, fmt.Errorf("columns[%q]: value %w", name, err)
			}
		}
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b mysql.Override) int {
		return strings.Compare(a.Table+"."+a.Column, b.Table+"."+b.Column)
	})
	return list, nil
}

func planMySQLCopy(ctx context.Context, a *mysqlCopyArgs) (*module.Plan, error) {
	overrides, err := a.overrides()
	if err != nil {
		return nil, err
	}
	return mysql.Copy{
		From: a.From, To: a.To, FromLogin: a.FromLogin.login(), ToLogin: a.ToLogin.login(),
		Database: a.Database, Target: a.target(), Overrides: overrides, Backup: a.Backup, BackupDir: a.BackupDir, InUse: a.InUse,
	}.Plan(ctx)
}
