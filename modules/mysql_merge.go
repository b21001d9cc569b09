package modules

import (
	"context"
	"fmt"
	"strings"

	"runner/modules/internal/mysql"
	"runner/runtime/host"
	"runner/runtime/module"
)

type mysqlMergeArgs struct {
	// Host of the server.
	On *host.View `lua:"on,required"`
	// Control database to take domains, accounts and aliases from: a copy of another server's, made by mysql.copy.
	FromDatabase string `lua:"from_database,required"`
	// Control database to bring them into.
	Database string `lua:"database,required"`
	// Only these domains. Empty: all of from_database. Rows of other domains are never touched.
	Domains []string `lua:"domains"`
	// Also remove accounts and aliases of these domains that from_database does not have.
	Prune bool `lua:"prune"`
	// Dump the database into backup_dir before it is changed.
	Backup bool `lua:"backup" default:"true"`
	// Directory on the host for that dump.
	BackupDir string `lua:"backup_dir" default:"/var/backups/runner"`
	MySQLLogin
}

func (a *mysqlMergeArgs) Validate() error {
	if strings.EqualFold(a.FromDatabase, a.Database) {
		return fmt.Errorf("from_database and database are the same: %s", a.Database)
	}
	if a.Backup && !strings.HasPrefix(a.BackupDir, "/") {
		return fmt.Errorf("backup_dir must be an absolute path, not %q", a.BackupDir)
	}
	if err := mysqlOwnDatabase(a.Database); err != nil {
		return err
	}
	return a.check("")
}

func planMySQLMerge(ctx context.Context, a *mysqlMergeArgs) (*module.Plan, error) {
	return mysql.Merge{
		On: a.On, Login: a.login(), From: a.FromDatabase, Into: a.Database, Domains: a.Domains, Prune: a.Prune, Backup: a.Backup, BackupDir: a.BackupDir,
	}.Plan(ctx)
}
