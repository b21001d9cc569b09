package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"runner/runtime/host"
	"runner/runtime/module"
)

// ColumnChange is a column that is to have a definition.
type ColumnChange struct {
	On                      *host.View
	Login                   Login
	Database, Table, Column string
	Spec                    Spec
	Create                  bool // add the column when it is missing
}

// Plan compares the column with what is wanted.
func (c ColumnChange) Plan(ctx context.Context) (*module.Plan, error) {
	s, err := Connect(ctx, c.On, c.Login, Options{Database: c.Database, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	d, err := s.ReadDatabase(ctx, c.Database)
	if err != nil {
		return nil, err
	}
	t := d.Table(c.Table)
	if t == nil || t.View {
		return nil, module.Absent(fmt.Errorf("cannot change column %s: no table %s in database %s on %s", c.Column, c.Table, c.Database, c.On.Name()))
	}
	have := t.Column(c.Column)
	if have == nil {
		return c.planMissing(t)
	}
	want := c.Spec.Over(*have)
	plan := &module.Plan{Output: map[string]any{"type": have.Type, "definition": have.Definition()}}
	how := have.difference(want)
	if how == "" && have.Comment == want.Comment {
		plan.Note = "already " + have.Definition()
		return plan, nil
	}
	if have.Generated {
		return nil, fmt.Errorf("cannot change column %s.%s: it is computed from others", c.Table, c.Column)
	}
	if err := s.fits(ctx, c, *have, want); err != nil {
		return nil, err
	}
	plan.Changes = []module.Change{{
		Summary: fmt.Sprintf("change column %s.%s.%s to %s", c.Database, c.Table, c.Column, c.Spec.Text),
		Before:  have.Definition() + "\n", After: want.Definition() + "\n",
		Apply: func(ctx context.Context, do *module.Apply) error {
			do.Keep(module.Original{Host: c.On.Name(), Object: c.object(), Value: have.Definition()})
			return c.alter(ctx, do, "MODIFY "+Name(have.Name)+" "+want.Definition())
		},
	}}
	return plan, nil
}

func (c ColumnChange) object() string {
	return fmt.Sprintf("column %s.%s.%s", c.Database, c.Table, c.Column)
}

func (c ColumnChange) planMissing(t *Table) (*module.Plan, error) {
	if !c.Create {
		known := make([]string, len(t.Columns))
		for i, column := range t.Columns {
			known[i] = column.Name
		}
		hint := "give create = true to add it"
		if near := module.Nearest(c.Column, known); near != "" {
			hint = fmt.Sprintf("did you mean %q? (create = true adds it)", near)
		}
		return nil, module.Absent(fmt.Errorf("cannot change column %s: table %s of database %s on %s has no such column; %s", c.Column, c.Table, c.Database, c.On.Name(), hint))
	}
	want := c.Spec.Over(Column{Name: c.Column, Nullable: true})
	return &module.Plan{Changes: []module.Change{{
		Summary: fmt.Sprintf("add column %s.%s.%s %s", c.Database, c.Table, c.Column, c.Spec.Text),
		After:   want.Definition() + "\n",
		Apply: func(ctx context.Context, do *module.Apply) error {
			do.Keep(module.Original{Host: c.On.Name(), Object: c.object(), Value: "absent"})
			return c.alter(ctx, do, "ADD COLUMN "+Name(c.Column)+" "+want.Definition())
		},
	}}}, nil
}

func (c ColumnChange) alter(ctx context.Context, do *module.Apply, how string) error {
	s, err := Connect(ctx, do.Host(c.On).View, c.Login, Options{Database: c.Database, Strict: true})
	if err != nil {
		return err
	}
	defer s.Close()
	// A MODIFY names the character set that the column keeps; one that the server calls otherwise is still its own.
	if err := s.Exec(ctx, "ALTER TABLE "+Name(c.Table)+" "+how); err != nil {
		return fmt.Errorf("cannot change %s on %s: %w", c.object(), c.On.Name(), plainError(err))
	}
	return nil
}

// fits refuses a definition that a value in the column does not fit. The server would refuse too in strict mode, but not
// say which value, and only after the backup.
func (s *Session) fits(ctx context.Context, c ColumnChange, have, want Column) error {
	table, column := Name(c.Table), Name(have.Name)
	if have.Nullable && !want.Nullable {
		var n int64
		if err := s.row(ctx, "SELECT COUNT(*) FROM "+table+" WHERE "+column+" IS NULL", nil, &n); err != nil {
			return fmt.Errorf("cannot read %s on %s: %w", c.object(), c.On.Name(), plainError(err))
		}
		if n > 0 {
			return fmt.Errorf("cannot make %s NOT NULL on %s: %s without a value", c.object(), c.On.Name(), holds(n))
		}
	}
	limit, unit := want.capacity()
	if limit == 0 {
		return nil
	}
	var longest sql.NullInt64
	if err := s.row(ctx, "SELECT MAX("+unit+"("+column+")) FROM "+table, nil, &longest); err != nil {
		return fmt.Errorf("cannot read %s on %s: %w", c.object(), c.On.Name(), plainError(err))
	}
	if longest.Int64 <= limit {
		return nil
	}
	var n int64
	if err := s.row(ctx, "SELECT COUNT(*) FROM "+table+" WHERE "+unit+"("+column+") > ?", []any{limit}, &n); err != nil {
		return fmt.Errorf("cannot read %s on %s: %w", c.object(), c.On.Name(), plainError(err))
	}
	return fmt.Errorf("cannot change %s on %s to %s: %s longer than that, the longest %d", c.object(), c.On.Name(), want.Type, holds(n), longest.Int64)
}

func holds(rows int64) string {
	if rows == 1 {
		return "1 row holds a value"
	}
	return fmt.Sprintf("%d rows hold a value", rows)
}

// capacity is how long a value of the column may be, and the function that measures it; 0: it has no such limit.
func (c Column) capacity() (limit int64, unit string) {
	switch c.base() {
	case "char", "varchar":
		_, _ = fmt.Sscanf(c.Type[len(c.base()):], "(%d)", &limit)
		return limit, "CHAR_LENGTH"
	case "binary", "varbinary":
		_, _ = fmt.Sscanf(c.Type[len(c.base()):], "(%d)", &limit)
		return limit, "LENGTH"
	case "tinytext", "tinyblob":
		return 255, "LENGTH"
	case "text", "blob":
		return 65535, "LENGTH"
	}
	return 0, ""
}

// room is how much a column of text or bytes holds, for comparing two of them. Lists of values hold nothing else.
func (c Column) room() int64 {
	switch c.base() {
	case "enum", "set":
		return 0
	case "mediumtext", "mediumblob":
		return 1 << 24
	case "longtext", "longblob", "json":
		return 1 << 32
	}
	limit, _ := c.capacity()
	return limit
}

// HasDatabase says whether there is a database of that name.
func (s *Session) HasDatabase(ctx context.Context, database string) (bool, error) {
	var n int64
	err := s.row(ctx, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", []any{database}, &n)
	return n > 0, err
}

// Tables counts the tables and views of a database; 0 when there is no such database.
func (s *Session) Tables(ctx context.Context, database string) (int64, error) {
	var n int64
	err := s.row(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?", []any{database}, &n)
	if err != nil {
		return 0, fmt.Errorf("cannot look at database %s on %s: %w", database, s.view.Name(), plainError(err))
	}
	return n, nil
}

// CreateMissing creates a database if it is not there.
func (s *Session) CreateMissing(ctx context.Context, database string) error {
	_, err := s.ReadDatabase(ctx, database)
	var absent *module.AbsentError
	if errors.As(err, &absent) {
		return s.createDatabase(ctx, database, "", "")
	}
	return err
}

// Plain words an error of the server for a reader who does not know the driver.
func Plain(err error) error { return plainError(err) }

// Reword gives an error another text; errors.Is and As still see the old one.
func Reword(text string, err error) error { return &reworded{text, err} }
