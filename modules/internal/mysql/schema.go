package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sort"
	"strings"

	"runner/runtime/module"
)

// Database is what a database is made of.
type Database struct {
	Name      string
	Charset   string
	Collation string
	Tables    []*Table // sorted by name, views among them
	Referrers []string // tables of other databases with foreign keys to this one: "other.prefs"
	Others    []string // what is neither table nor view: "procedure cleanup", "event nightly"
}

// Table is a table or a view.
type Table struct {
	Name     string
	View     bool
	Engine   string
	Bytes    int64 // as the server estimates
	Columns  []Column
	Indexes  []Index
	Keys     []ForeignKey
	Triggers []Trigger
	Select   string // a view's query, as the server tells it
	Definer  string // a view's: "root@localhost"
	Security string // a view's: "DEFINER" or "INVOKER"
}

// Index of a table.
type Index struct {
	Name   string
	Unique bool
	Parts  []string // "email", "destination(20)"
}

// ForeignKey of a table.
type ForeignKey struct {
	Name     string
	Columns  []string
	Database string // of the table it refers to
	Table    string
	Refers   []string
}

// Trigger of a table.
type Trigger struct {
	Name, Timing, Event, Statement, Definer, Modes string
}

// Table finds a table or view by its name; nil when there is none.
func (d *Database) Table(name string) *Table {
	if d == nil {
		return nil
	}
	for _, t := range d.Tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// base lists the tables that are no views.
func (d *Database) base() []*Table { return d.filter(false) }

// views lists the views.
func (d *Database) views() []*Table { return d.filter(true) }

func (d *Database) filter(view bool) []*Table {
	var list []*Table
	if d != nil {
		for _, t := range d.Tables {
			if t.View == view {
				list = append(list, t)
			}
		}
	}
	return list
}

// Column finds a column by its name; nil when there is none.
func (t *Table) Column(name string) *Column {
	for i := range t.Columns {
		if strings.EqualFold(t.Columns[i].Name, name) {
			return &t.Columns[i]
		}
	}
	return nil
}

// ReadDatabase reads the structure of a database from information_schema, which servers have since MySQL 5.0. A database
// that is not there gives a [module.AbsentError].
func (s *Session) ReadDatabase(ctx context.Context, name string) (*Database, error) {
	d := &Database{Name: name}
	err := s.row(ctx, `SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?`,
		[]any{name}, &d.Charset, &d.Collation)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, module.Absent(fmt.Errorf("no database %s on %s", name, s.view.Name()))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look at database %s on %s: %w", name, s.view.Name(), err)
	}
	d.Charset, d.Collation = normalCharset(d.Charset), normalCharset(d.Collation)
	for _, part := range []func(context.Context, *Database) error{
		s.readTables, s.readColumns, s.readIndexes, s.readKeys, s.readReferrers, s.readViews, s.readTriggers, s.readOthers,
	} {
		if err := part(ctx, d); err != nil {
			return nil, fmt.Errorf("cannot look at database %s on %s: %w", name, s.view.Name(), err)
		}
	}
	return d, nil
}

func (s *Session) readTables(ctx context.Context, d *Database) error {
	rows, err := s.texts(ctx, `SELECT TABLE_NAME, TABLE_TYPE, ENGINE, DATA_LENGTH FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?`, d.Name)
	for _, r := range rows {
		switch r[1].String {
		case "SEQUENCE":
			d.Others = append(d.Others, "sequence "+r[0].String)
		default:
			t := &Table{Name: r[0].String, View: strings.HasSuffix(r[1].String, "VIEW"), Engine: strings.ToLower(r[2].String)}
			_, _ = fmt.Sscan(r[3].String, &t.Bytes)
			d.Tables = append(d.Tables, t)
		}
	}
	sort.Slice(d.Tables, func(i, j int) bool { return d.Tables[i].Name < d.Tables[j].Name })
	return err
}

func (s *Session) readColumns(ctx context.Context, d *Database) error {
	rows, err := s.texts(ctx, `SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, CHARACTER_SET_NAME, COLLATION_NAME, EXTRA, COLUMN_COMMENT
		FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, ORDINAL_POSITION`, d.Name)
	for _, r := range rows {
		if t := d.Table(r[0].String); t != nil {
			t.Columns = append(t.Columns, s.column(r[1:]))
		}
	}
	return err
}

// column words a row of information_schema.COLUMNS alike for all servers.
func (s *Session) column(r []sql.NullString) Column {
	c := Column{
		Name: r[0].String, Type: normalType(r[1].String), Nullable: r[2].String == "YES",
		Charset: normalCharset(r[4].String), Collation: normalCharset(r[5].String), Comment: r[7].String,
	}
	if r[3].Valid {
		c.Default, c.Computed = s.defaultOf(r[3].String, c)
	}
	extra := strings.ToLower(r[6].String)
	c.AutoID = strings.Contains(extra, "auto_increment")
	c.Generated = strings.Contains(extra, "generated") && !strings.Contains(extra, "default_generated") ||
		strings.Contains(extra, "virtual") || strings.Contains(extra, "persistent")
	if _, update, ok := strings.Cut(extra, "on update "); ok {
		c.OnUpdate = normalExpression(update)
	}
	return c
}

// defaultOf reads COLUMN_DEFAULT. MariaDB since 10.2.7 shows an expression, with texts in quotes and NULL as a word; all
// others show the bare value.
func (s *Session) defaultOf(shown string, c Column) (value *string, computed bool) {
	if s.version.MariaDB && s.version.AtLeast(10, 2, 7) {
		switch {
		case strings.EqualFold(shown, "NULL"):
			return nil, false
		case strings.HasPrefix(shown, "'"):
			if inner, err := unquote(shown); err == nil {
				return &inner, false
			}
		case shown != "" && strings.ContainsRune("0123456789.-+", rune(shown[0])) || strings.HasPrefix(shown, "b'"):
			return &shown, false
		}
		shown = normalExpression(shown)
		return &shown, true
	}
	if c.base() == "timestamp" || c.base() == "datetime" {
		if e := normalExpression(shown); strings.HasPrefix(e, "current_timestamp") {
			return &e, true
		}
	}
	// MySQL 5.0 shows '' where a column that is NOT NULL has no default.
	if shown == "" && !c.Nullable && !s.version.MariaDB && !s.version.AtLeast(5, 1, 0) {
		return nil, false
	}
	return &shown, false
}

func (s *Session) readIndexes(ctx context.Context, d *Database) error {
	rows, err := s.texts(ctx, `SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART
		FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX`, d.Name)
	for _, r := range rows {
		t := d.Table(r[0].String)
		if t == nil {
			continue
		}
		part := r[3].String
		if r[4].Valid {
			part += "(" + r[4].String + ")"
		}
		if n := len(t.Indexes); n > 0 && t.Indexes[n-1].Name == r[1].String {
			t.Indexes[n-1].Parts = append(t.Indexes[n-1].Parts, part)
			continue
		}
		t.Indexes = append(t.Indexes, Index{Name: r[1].String, Unique: r[2].String == "0", Parts: []string{part}})
	}
	return err
}

func (s *Session) readKeys(ctx context.Context, d *Database) error {
	rows, err := s.texts(ctx, `SELECT TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME
		FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = ? AND REFERENCED_TABLE_NAME IS NOT NULL
		ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION`, d.Name)
	for _, r := range rows {
		t := d.Table(r[0].String)
		if t == nil {
			continue
		}
		if n := len(t.Keys); n > 0 && t.Keys[n-1].Name == r[1].String {
			t.Keys[n-1].Columns = append(t.Keys[n-1].Columns, r[2].String)
			t.Keys[n-1].Refers = append(t.Keys[n-1].Refers, r[5].String)
			continue
		}
		t.Keys = append(t.Keys, ForeignKey{Name: r[1].String, Columns: []string{r[2].String}, Database: r[3].String, Table: r[4].String, Refers: []string{r[5].String}})
	}
	return err
}

func (s *Session) readReferrers(ctx context.Context, d *Database) error {
	rows, err := s.texts(ctx, `SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME FROM information_schema.KEY_COLUMN_USAGE
		WHERE REFERENCED_TABLE_SCHEMA = ? AND TABLE_SCHEMA <> ?`, d.Name, d.Name)
	for _, r := range rows {
		d.Referrers = append(d.Referrers, r[0].String+"."+r[1].String)
	}
	return err
}

func (s *Session) readViews(ctx context.Context, d *Database) error {
	if len(d.views()) == 0 {
		return nil
	}
	rows, err := s.texts(ctx, `SELECT TABLE_NAME, VIEW_DEFINITION, DEFINER, SECURITY_TYPE FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ?`, d.Name)
	for _, r := range rows {
		if t := d.Table(r[0].String); t != nil {
			t.Select, t.Definer, t.Security = r[1].String, r[2].String, r[3].String
		}
	}
	return err
}

func (s *Session) readTriggers(ctx context.Context, d *Database) error {
	rows, err := s.texts(ctx, `SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION, ACTION_STATEMENT, DEFINER, SQL_MODE
		FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ? ORDER BY EVENT_OBJECT_TABLE, TRIGGER_NAME`, d.Name)
	for _, r := range rows {
		if t := d.Table(r[0].String); t != nil {
			t.Triggers = append(t.Triggers, Trigger{
				Name: r[1].String, Timing: r[2].String, Event: r[3].String, Statement: r[4].String, Definer: r[5].String, Modes: r[6].String,
			})
		}
	}
	return err
}

func (s *Session) readOthers(ctx context.Context, d *Database) error {
	rows, err := s.texts(ctx, `SELECT LOWER(ROUTINE_TYPE), ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ? ORDER BY ROUTINE_NAME`, d.Name)
	for _, r := range rows {
		d.Others = append(d.Others, r[0].String+" "+r[1].String)
	}
	if err != nil {
		return err
	}
	rows, err = s.texts(ctx, `SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ? ORDER BY EVENT_NAME`, d.Name)
	if number(err) == errUnknownTable {
		return nil // before MySQL 5.1 there are no events
	}
	for _, r := range rows {
		d.Others = append(d.Others, "event "+r[0].String)
	}
	return err
}

// difference names the first thing in which t is not what want says; empty when they are alike. Databases of foreign
// keys are compared by whether they are the table's own.
func (t *Table) difference(want *Table, own, wantOwn string) string {
	if t.View != want.View {
		return "is a view on one side only"
	}
	if len(t.Columns) != len(want.Columns) {
		return fmt.Sprintf("has %d columns, not %d", len(t.Columns), len(want.Columns))
	}
	for i, c := range t.Columns {
		w := want.Columns[i]
		if !strings.EqualFold(c.Name, w.Name) {
			return fmt.Sprintf("has column %s where %s is wanted", c.Name, w.Name)
		}
		if t.View {
			continue // what a view shows has the types of its tables
		}
		if how := c.difference(w); how != "" {
			return fmt.Sprintf("column %s %s", c.Name, how)
		}
	}
	if t.View {
		return ""
	}
	if t.Engine != want.Engine {
		return fmt.Sprintf("is kept by %s, not %s", t.Engine, want.Engine)
	}
	if a, b := indexText(t.Indexes), indexText(want.Indexes); a != b {
		return "has other indexes"
	}
	if a, b := keyText(t.Keys, own), keyText(want.Keys, wantOwn); a != b {
		return "has other foreign keys"
	}
	return triggerDifference(t.Triggers, want.Triggers)
}

func indexText(list []Index) string {
	var lines []string
	for _, i := range list {
		lines = append(lines, strings.ToLower(fmt.Sprint(i.Name, i.Unique, i.Parts)))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func keyText(list []ForeignKey, own string) string {
	var lines []string
	for _, k := range list {
		database := k.Database
		if database == own {
			database = ""
		}
		lines = append(lines, strings.ToLower(fmt.Sprint(k.Columns, database, k.Table, k.Refers)))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

func triggerDifference(have, want []Trigger) string {
	if len(have) != len(want) {
		return fmt.Sprintf("has %d triggers, not %d", len(have), len(want))
	}
	for i, t := range have {
		w := want[i]
		if t.Name != w.Name || t.Timing != w.Timing || t.Event != w.Event || strings.TrimSpace(t.Statement) != strings.TrimSpace(w.Statement) {
			return "trigger " + w.Name + " differs"
		}
	}
	return ""
}
