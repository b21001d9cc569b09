package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// staging is a database beside the live one that a copy is built in, and a second one that the replaced tables wait in.
// Both are dropped in the end; those of a run that was killed are dropped by the next.
type staging struct {
	session  *Session
	live     string
	fresh    string
	replaced string
	charset  string
	collate  string
}

// Names of the two databases. They carry the live one's name so that two copies do not meet.
const (
	freshPrefix    = "runner_fresh_"
	replacedPrefix = "runner_replaced_"
	maxName        = 64
)

func stageName(prefix, live string) string {
	if len(prefix)+len(live) <= maxName {
		return prefix + live
	}
	hash := sha256.Sum256([]byte(live))
	return prefix + hex.EncodeToString(hash[:16])
}

func newStaging(s *Session, live, charset, collate string) *staging {
	return &staging{
		session: s, live: live, fresh: stageName(freshPrefix, live), replaced: stageName(replacedPrefix, live),
		charset: charset, collate: collate,
	}
}

// create makes both databases, empty.
func (g *staging) create(ctx context.Context) error {
	if err := g.drop(ctx); err != nil {
		return err
	}
	for _, name := range []string{g.fresh, g.replaced} {
		if err := g.session.createDatabase(ctx, name, g.charset, g.collate); err != nil {
			return err
		}
	}
	return nil
}

// drop removes both databases.
func (g *staging) drop(ctx context.Context) error {
	if err := g.session.Exec(ctx, "SET SESSION foreign_key_checks = 0"); err != nil {
		return err
	}
	for _, name := range []string{g.fresh, g.replaced} {
		if err := g.session.Exec(ctx, "DROP DATABASE IF EXISTS "+Name(name)); err != nil {
			return fmt.Errorf("cannot drop the temporary database %s: %w", name, plainError(err))
		}
	}
	return g.session.Exec(ctx, "SET SESSION foreign_key_checks = 1")
}

func (s *Session) createDatabase(ctx context.Context, name, charset, collate string) error {
	q := "CREATE DATABASE " + Name(name)
	if charset != "" {
		q += " DEFAULT CHARACTER SET " + charset
	}
	if collate != "" {
		q += " COLLATE " + collate
	}
	if err := s.Exec(ctx, q); err != nil {
		return fmt.Errorf("cannot create database %s on %s: %w", name, s.view.Name(), plainError(err))
	}
	return nil
}

// transform gives the staged tables the wanted columns and values: first types that hold both the old and the new value, so that
// none is cut, then the values, then the types as wanted.
func (g *staging) transform(ctx context.Context, w *wanted) error {
	for _, t := range w.tables.base() {
		values := w.values[t.Name]
		between := *t
		between.Columns = append([]Column(nil), t.Columns...)
		for i, c := range t.Columns {
			if _, ok := values[c.Name]; ok {
				between.Columns[i] = holdsBoth(w.source.Table(t.Name).Columns[i], c)
			}
		}
		if err := g.alter(ctx, w.source.Table(t.Name), &between); err != nil {
			return err
		}
		if len(values) > 0 {
			if err := g.setValues(ctx, &between, values); err != nil {
				return err
			}
		}
		if err := g.alter(ctx, &between, t); err != nil {
			return err
		}
	}
	return nil
}

// alter changes the columns of a staged table that are not what they are to be.
func (g *staging) alter(ctx context.Context, have, want *Table) error {
	var changes []string
	for i, c := range want.Columns {
		if !have.Columns[i].Same(c) || have.Columns[i].Comment != c.Comment {
			changes = append(changes, "MODIFY "+Name(c.Name)+" "+c.Definition())
		}
	}
	if len(changes) == 0 {
		return nil
	}
	if err := g.session.Exec(ctx, "ALTER TABLE "+Name(g.fresh)+"."+Name(want.Name)+" "+strings.Join(changes, ", ")); err != nil {
		return fmt.Errorf("cannot change table %s: %w", want.Name, plainError(err))
	}
	return nil
}

// holdsBoth is a column that has room for the values of two definitions: the wanted one, unless it is narrower than the
// one before or no text where that was; NULL when either allows it.
func holdsBoth(before, wanted Column) Column {
	c := wanted
	if before.kind() == kindText || before.kind() == kindBytes {
		if wanted.kind() != before.kind() && wanted.kind() != kindText || wanted.room() < before.room() {
			c = before
		}
	}
	c.Nullable = before.Nullable || wanted.Nullable
	return c
}

// setValues computes the new values of columns, all from the row as it came.
func (g *staging) setValues(ctx context.Context, t *Table, values map[string]string) error {
	table := Name(g.fresh) + "." + Name(t.Name)
	var sets []string
	for _, c := range t.Columns {
		if _, ok := values[c.Name]; !ok && c.OnUpdate != "" {
			// A column that notes the time of the last change must not note this one.
			sets = append(sets, "t."+Name(c.Name)+" = t."+Name(c.Name))
		}
	}
	q := "UPDATE " + table + " AS t SET "
	if len(values) == 1 {
		for column, value := range values {
			sets = append(sets, "t."+Name(column)+" = ("+value+")")
		}
	} else {
		// One UPDATE would compute the second value from the first one's result (MySQL manual, "UPDATE Statement").
		key := t.primary()
		if key == nil {
			return fmt.Errorf("cannot set more than one column of table %s: it has no primary key", t.Name)
		}
		selected := []string{names(key)}
		for i, column := range sortedKeys(values) {
			selected = append(selected, fmt.Sprintf("(%s) AS runner_value_%d", values[column], i))
			sets = append(sets, fmt.Sprintf("t.%s = v.runner_value_%d", Name(column), i))
		}
		q = "UPDATE " + table + " AS t JOIN (SELECT " + strings.Join(selected, ", ") + " FROM " + table + ") AS v USING (" + names(key) + ") SET "
	}
	if err := g.session.Exec(ctx, "USE "+Name(g.fresh)); err != nil {
		return err
	}
	if err := g.session.Exec(ctx, q+strings.Join(sets, ", ")); err != nil {
		return fmt.Errorf("cannot set the values of table %s: %w", t.Name, plainError(err))
	}
	return nil
}

// primary is the columns of the primary key; nil when there is none.
func (t *Table) primary() []string {
	for _, i := range t.Indexes {
		if i.Name == "PRIMARY" {
			return i.Parts
		}
	}
	return nil
}

// createViews makes the views of a source in a database, each after those it looks at.
func (s *Session) createViews(ctx context.Context, w *wanted, database string, only map[string]string) error {
	if err := s.Exec(ctx, "USE "+Name(database)); err != nil {
		return err
	}
	var waiting []*Table
	for _, v := range w.tables.views() {
		if _, ok := only[v.Name]; ok || only == nil {
			waiting = append(waiting, v)
		}
	}
	for len(waiting) > 0 {
		var left []*Table
		var last error
		for _, v := range waiting {
			if err := s.createView(ctx, v, w.source.Name); err != nil {
				left, last = append(left, v), fmt.Errorf("cannot create view %s: %w", v.Name, plainError(err))
			}
		}
		if len(left) == len(waiting) {
			return last
		}
		waiting = left
	}
	return nil
}

func (s *Session) createView(ctx context.Context, v *Table, source string) error {
	columns := make([]string, len(v.Columns))
	for i, c := range v.Columns {
		columns[i] = c.Name
	}
	security := v.Security
	if security != "INVOKER" {
		security = "DEFINER"
	}
	definer, err := s.definer(ctx, v.Definer)
	if err != nil {
		return err
	}
	return s.Exec(ctx, fmt.Sprintf("CREATE OR REPLACE DEFINER = %s SQL SECURITY %s VIEW %s (%s) AS %s",
		definer, security, Name(v.Name), names(columns), ownNames(v.Select, source)))
}

// definer is the account that a view or trigger acts for: the source's where the target has it, else the one logged in,
// because a definer that does not exist makes every use an error.
func (s *Session) definer(ctx context.Context, account string) (string, error) {
	at := strings.LastIndex(account, "@")
	if at < 0 {
		return "CURRENT_USER", nil
	}
	user, from := account[:at], account[at+1:]
	var n int
	if err := s.row(ctx, "SELECT COUNT(*) FROM mysql.user WHERE User = ? AND Host = ?", []any{user, from}, &n); err != nil || n == 0 {
		return "CURRENT_USER", nil
	}
	return literal(user) + "@" + literal(from), nil
}

// createTrigger makes a trigger in the database at hand, under the SQL modes it was made under as far as the server has them.
func (s *Session) createTrigger(ctx context.Context, t Trigger, table, source string) error {
	defer func() { _ = s.Exec(context.WithoutCancel(ctx), "SET SESSION sql_mode = 'STRICT_ALL_TABLES'") }()
	// None is one too: the trigger of a server that cuts off what does not fit must not come to refuse it.
	if err := s.Exec(ctx, "SET SESSION sql_mode = ''"); err != nil {
		return err
	}
	for mode := range strings.SplitSeq(t.Modes, ",") {
		_ = s.Exec(ctx, "SET SESSION sql_mode = CONCAT(@@sql_mode, ',', ?)", mode) // some went with later versions
	}
	definer, err := s.definer(ctx, t.Definer)
	if err != nil {
		return err
	}
	return s.Exec(ctx, fmt.Sprintf("CREATE DEFINER = %s TRIGGER %s %s %s ON %s FOR EACH ROW %s",
		definer, Name(t.Name), t.Timing, t.Event, Name(table), ownNames(t.Statement, source)))
}

// swap puts the staged tables in the place of the live ones, in one statement: whoever looks sees all old or all new ones.
// Triggers cannot move between databases, so those of the live tables are dropped before and the source's made after.
// When something fails the live database is as it was.
func (g *staging) swap(ctx context.Context, w *wanted, have *Database) error {
	s := g.session
	if err := s.Exec(ctx, "USE "+Name(g.live)); err != nil {
		return err
	}
	// Without this a forgotten transaction of somebody else's would let us wait a year. Before 5.5 there is no such setting.
	_ = s.Exec(ctx, "SET SESSION lock_wait_timeout = 60")
	var there, back []string
	var dropped []*Table
	for _, t := range w.tables.base() {
		live, fresh, replaced := Name(g.live)+"."+Name(t.Name), Name(g.fresh)+"."+Name(t.Name), Name(g.replaced)+"."+Name(t.Name)
		if h := have.Table(t.Name); h != nil {
			there = append(there, live+" TO "+replaced)
			dropped = append(dropped, h)
		}
		there = append(there, fresh+" TO "+live)
	}
	for _, t := range w.tables.base() {
		back = append(back, Name(g.live)+"."+Name(t.Name)+" TO "+Name(g.fresh)+"."+Name(t.Name))
		if have.Table(t.Name) != nil {
			back = append(back, Name(g.replaced)+"."+Name(t.Name)+" TO "+Name(g.live)+"."+Name(t.Name))
		}
	}
	// From here on half-way is worse than late: an interruption waits until the tables stand.
	ctx = context.WithoutCancel(ctx)
	if err := s.dropTriggers(ctx, dropped); err != nil {
		return s.restore(ctx, err, dropped, g.live)
	}
	if err := s.Exec(ctx, "RENAME TABLE "+strings.Join(there, ", ")); err != nil {
		return s.restore(ctx, fmt.Errorf("cannot put the new tables of database %s in place: %w", g.live, plainError(err)), dropped, g.live)
	}
	if err := g.finish(ctx, w); err != nil {
		_ = s.dropTriggers(ctx, w.tables.base())
		if undo := s.Exec(ctx, "RENAME TABLE "+strings.Join(back, ", ")); undo != nil {
			return fmt.Errorf("%w; the tables that were replaced could not be put back and wait in database %s: %w", err, g.replaced, plainError(undo))
		}
		return s.restore(ctx, err, dropped, g.live)
	}
	return nil
}

// finish makes what cannot be renamed.
func (g *staging) finish(ctx context.Context, w *wanted) error {
	for _, t := range w.tables.base() {
		for _, trigger := range t.Triggers {
			if err := g.session.createTrigger(ctx, trigger, t.Name, w.source.Name); err != nil {
				return fmt.Errorf("cannot create trigger %s: %w", trigger.Name, plainError(err))
			}
		}
	}
	return nil
}

func (s *Session) dropTriggers(ctx context.Context, tables []*Table) error {
	for _, t := range tables {
		for _, trigger := range t.Triggers {
			if err := s.Exec(ctx, "DROP TRIGGER IF EXISTS "+Name(trigger.Name)); err != nil {
				return fmt.Errorf("cannot drop trigger %s: %w", trigger.Name, plainError(err))
			}
		}
	}
	return nil
}

// restore makes the dropped triggers of the live tables again and returns the error that made it necessary.
func (s *Session) restore(ctx context.Context, cause error, tables []*Table, database string) error {
	if err := s.dropTriggers(ctx, tables); err != nil {
		return fmt.Errorf("%w; and %w", cause, err)
	}
	for _, t := range tables {
		for _, trigger := range t.Triggers {
			if err := s.createTrigger(ctx, trigger, t.Name, database); err != nil {
				return fmt.Errorf("%w; and trigger %s could not be made again: %w", cause, trigger.Name, plainError(err))
			}
		}
	}
	return cause
}
