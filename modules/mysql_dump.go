package modules

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"runner/modules/internal/mysql"
	"runner/runtime/host"
	"runner/runtime/module"
)

type mysqlDumpArgs struct {
	// Host of the server, and of the file.
	On *host.View `lua:"on,required"`
	// Database to dump, with its triggers and routines.
	Database string `lua:"database,required"`
	// File to write, with mode 0600; packed when it ends in .gz. A file of that name is replaced once the new one is complete.
	Path string `lua:"path,required"`
	// Only these tables.
	Tables []string `lua:"tables"`
	MySQLLogin
}

func (a *mysqlDumpArgs) Validate() error {
	return errors.Join(absolute("path", a.Path), a.check(""))
}

func absolute(argument, file string) error {
	if !strings.HasPrefix(file, "/") || path.Clean(file) != file {
		return fmt.Errorf("%s must be the absolute path of a file, not %q", argument, file)
	}
	return nil
}

func planMySQLDump(ctx context.Context, a *mysqlDumpArgs) (*module.Plan, error) {
	server := oneServer{a.On, a.MySQLLogin}
	s, err := server.session(ctx, mysql.Options{Database: a.Database, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	_, err = a.On.Lstat(ctx, a.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot look at %s on %s: %w", a.Path, a.On.Name(), err)
	}
	what := "database " + a.Database
	if len(a.Tables) > 0 {
		what = fmt.Sprintf("%s of database %s", countOf(len(a.Tables), "table"), a.Database)
	}
	return &module.Plan{
		Output: map[string]any{"path": a.Path},
		Changes: []module.Change{{
			Summary: fmt.Sprintf("dump %s into %s", what, a.Path), Action: true, Destroys: err == nil,
			Apply: func(ctx context.Context, do *module.Apply) error {
				s, err := server.session(ctx, mysql.Options{ReadOnly: true})
				if err != nil {
					return err
				}
				defer s.Close()
				size, err := s.DumpFile(ctx, do.Host(a.On), a.Database, a.Tables, a.Path)
				if err == nil {
					do.Output("bytes", size)
				}
				return err
			},
		}},
	}, nil
}

type mysqlLoadArgs struct {
	// Host of the server, and of the file.
	On *host.View `lua:"on,required"`
	// Database to load into; it is created when it is not there.
	Database string `lua:"database,required"`
	// File of SQL; unpacked when it ends in .gz. A dump that ends in the middle is refused.
	Path string `lua:"path,required"`
	// Dump the database into backup_dir before it is changed.
	Backup bool `lua:"backup" default:"true"`
	// Directory for that dump.
	BackupDir string `lua:"backup_dir" default:"/var/backups/runner"`
	MySQLLogin
}

func (a *mysqlLoadArgs) Validate() error {
	return errors.Join(absolute("path", a.Path), mysqlOwnDatabase(a.Database), a.check(""))
}

func planMySQLLoad(ctx context.Context, a *mysqlLoadArgs) (*module.Plan, error) {
	s, err := oneServer{a.On, a.MySQLLogin}.session(ctx, mysql.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if _, err := a.On.Stat(ctx, a.Path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, module.Absent(fmt.Errorf("cannot load %s on %s: no such file", a.Path, a.On.Name()))
		}
		return nil, fmt.Errorf("cannot load %s on %s: %w", a.Path, a.On.Name(), err)
	}
	tables, err := s.Tables(ctx, a.Database)
	if err != nil {
		return nil, err
	}
	summary := fmt.Sprintf("load %s into database %s", a.Path, a.Database)
	if a.Backup && tables > 0 {
		summary += " (backup first)"
	}
	return &module.Plan{Changes: []module.Change{{
		Summary: summary, Action: true, Destroys: tables > 0,
		Apply: func(ctx context.Context, do *module.Apply) error { return a.load(ctx, do) },
	}}}, nil
}

func (a *mysqlLoadArgs) load(ctx context.Context, do *module.Apply) error {
	s, err := oneServer{a.On, a.MySQLLogin}.session(ctx, mysql.Options{Strict: true})
	if err != nil {
		return err
	}
	defer s.Close()
	tables, err := s.Tables(ctx, a.Database)
	if err != nil {
		return err
	}
	if a.Backup && tables > 0 {
		file, err := mysql.BackUp(ctx, do, do.Host(a.On), s, a.Database, a.BackupDir)
		if err != nil {
			return err
		}
		do.Output("backup", file)
	}
	if err := s.CreateMissing(ctx, a.Database); err != nil {
		return err
	}
	return s.LoadFile(ctx, do.Host(a.On), a.Database, a.Path)
}
