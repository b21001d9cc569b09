package modules

import (
	"context"
	"fmt"
	"strings"

	"runner/modules/internal/mysql"
	"runner/runtime/host"
	"runner/runtime/module"
)

// mysqlMergeArgs are two control databases of the ISPmail guide.
//
// Domains, accounts and aliases are matched by their names; the numbers that each server gave them are made anew. Everything is
// done in one transaction, or nothing. What would lose mail or lead it to somebody else stops the step, and the rows are shown: a
// domain or an address that stands there twice, rows without a domain or a whole address, values too long for their column, an
// address or a domain that both servers have, an alias of one server for a mailbox of the other, a catch-all that would get the
// other server's mail, aliases that together lead in a circle, aliases to the old server's own name. To bring several servers
// into one, copy each into a database of its own and call this for one after the other.
//
// # Example
//
//	mysql.copy { from = old, to = new, database = "mailserver", target_database = "mailserver_old" }
//	mysql.merge { on = new, from_database = "mailserver_old", database = "mailserver", old_hosts = { "mail-old.example.org" } }
//
// # Result
//
//   - domains (integer): domains that are brought over or are there already
//   - users (integer): their accounts
//   - aliases (integer): their aliases
//   - kept (integer): rows of these domains that stay although from_database does not have them, or has them otherwise
//   - backup (string): path of the dump that was made before
type mysqlMergeArgs struct {
	// Host of the server.
	On *host.View `lua:"on,required"`
	// Control database to take domains, accounts and aliases from: a copy of another server's, made by mysql.copy.
	FromDatabase string `lua:"from_database,required"`
	// Control database to bring them into.
	Database string `lua:"database,required"`
	// Only these domains. Empty: all of from_database. Rows of other domains are never touched.
	Domains []string `lua:"domains"`
	// What becomes of a domain that both databases have and in which they differ: the step fails and shows the rows ("stop"), accounts
	// become what from_database says ("take"), or database's accounts stay and only what is missing is added ("keep"). When it is not
	// given: "take" with prune, else "stop".
	Existing string `lua:"existing" choice:"stop,take,keep"`
	// Also remove accounts and aliases of these domains that from_database does not have. Only with existing = "take".
	Prune bool `lua:"prune"`
	// Names of the server that from_database was copied from. An alias that leads to an address there would end when that server does.
	OldHosts []string `lua:"old_hosts"`
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
	if a.Existing == "" {
		a.Existing = string(mysql.Stop)
		if a.Prune {
			a.Existing = string(mysql.Take)
		}
	}
	if a.Prune && a.Existing != string(mysql.Take) {
		return fmt.Errorf("prune needs existing = \"take\", not %q", a.Existing)
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
		On: a.On, Login: a.login(), From: a.FromDatabase, Into: a.Database, Domains: a.Domains,
		Existing: mysql.Existing(a.Existing), Prune: a.Prune, OldHosts: a.OldHosts, Backup: a.Backup, BackupDir: a.BackupDir,
	}.Plan(ctx)
}
