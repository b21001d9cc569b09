package mysql

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// Override is what a column of the copy is to be, other than on the source.
type Override struct {
	Table, Column string
	Spec          *Spec  // nil: the source's type
	Value         string // SQL expression over the source's row; empty: the source's value
}

// wanted is the state that a copy is to bring about.
type wanted struct {
	source *Database                    // as it is there
	tables *Database                    // with the overrides
	values map[string]map[string]string // table -> column -> expression
}

// want lays the overrides over a source.
func want(source *Database, overrides []Override) (*wanted, error) {
	w := &wanted{source: source, values: map[string]map[string]string{}}
	copied := *source
	copied.Tables = nil
	for _, t := range source.Tables {
		c := *t
		c.Columns = append([]Column(nil), t.Columns...)
		copied.Tables = append(copied.Tables, &c)
	}
	w.tables = &copied
	for _, o := range overrides {
		t := copied.Table(o.Table)
		if t == nil || t.View {
			return nil, fmt.Errorf("cannot change column %s.%s: database %s has no table %s", o.Table, o.Column, source.Name, o.Table)
		}
		c := t.Column(o.Column)
		if c == nil {
			return nil, fmt.Errorf("cannot change column %s.%s: table %s has no such column", o.Table, o.Column, o.Table)
		}
		if c.Generated && o.Value != "" {
			return nil, fmt.Errorf("cannot set column %s.%s: it is computed from others", o.Table, o.Column)
		}
		if o.Spec != nil {
			*c = o.Spec.Over(*c)
		}
		if o.Value != "" {
			if w.values[o.Table] == nil {
				w.values[o.Table] = map[string]string{}
			}
			w.values[o.Table][c.Name] = o.Value
		}
	}
	return w, nil
}

// sums are the fingerprints of tables by their names; views have none.
type sums map[string]Sum

// expected computes what the fingerprints of the copy must be, on the source.
func (w *wanted) expected(ctx context.Context, s *Session) (sums, error) {
	return sumsOf(ctx, s, w.source.Name, w.tables.base(), w.values)
}

// sumsOf computes the fingerprints of tables.
func sumsOf(ctx context.Context, s *Session, database string, tables []*Table, values map[string]map[string]string) (sums, error) {
	found := sums{}
	for _, t := range tables {
		sum, err := s.Sum(ctx, Name(database)+"."+Name(t.Name), sumColumns(t, values[t.Name]))
		if err != nil {
			return nil, fmt.Errorf("cannot read table %s.%s on %s: %w", database, t.Name, s.view.Name(), err)
		}
		found[t.Name] = sum
	}
	return found, nil
}

// rows counts the rows of tables.
func (f sums) rows(tables []*Table) int64 {
	var n int64
	for _, t := range tables {
		n += f[t.Name].Rows
	}
	return n
}

// snapshot makes everything that a session reads from now on one moment's state, where the storage engine can. It reads
// without locking anybody out.
func (s *Session) snapshot(ctx context.Context) error {
	if err := s.Exec(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
		return err
	}
	return s.Exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
}

// release ends what snapshot began.
func (s *Session) release(ctx context.Context) error { return s.Exec(ctx, "COMMIT") }

// comparison is what separates a target from what is wanted, table by table.
type comparison struct {
	tables map[string]string // table -> how it differs
	views  map[string]string // view -> how it differs
	extra  []string          // tables and views of the target that the source does not have
	want   sums
	have   sums
}

func (c *comparison) equal() bool { return len(c.tables) == 0 && len(c.views) == 0 }

// compare looks at both sides at the same time. have is nil when there is no target database.
func compare(ctx context.Context, w *wanted, source, target *Session, have *Database) (*comparison, error) {
	c := &comparison{tables: map[string]string{}, views: map[string]string{}}
	var both sync.WaitGroup
	var wantErr, haveErr error
	both.Add(1)
	go func() {
		defer both.Done()
		c.want, wantErr = w.expected(ctx, source)
	}()
	if have != nil {
		c.have, haveErr = sumsOf(ctx, target, have.Name, have.base(), nil)
	}
	both.Wait()
	if err := errors.Join(wantErr, haveErr); err != nil {
		return nil, err
	}
	for _, t := range w.tables.base() {
		if how := c.table(w, t, have); how != "" {
			c.tables[t.Name] = how
		}
	}
	if err := c.compareViews(ctx, w, target, have); err != nil {
		return nil, err
	}
	if have != nil {
		for _, t := range have.Tables {
			if w.tables.Table(t.Name) == nil {
				c.extra = append(c.extra, t.Name)
			}
		}
	}
	return c, nil
}

func (c *comparison) table(w *wanted, t *Table, have *Database) string {
	h := have.Table(t.Name)
	if h == nil {
		return "is missing"
	}
	if how := h.difference(t, have.Name, w.source.Name); how != "" {
		return how
	}
	wantSum, haveSum := c.want[t.Name], c.have[t.Name]
	switch {
	case haveSum.Rows != wantSum.Rows:
		return fmt.Sprintf("has %d rows, not %d", haveSum.Rows, wantSum.Rows)
	case haveSum != wantSum:
		return "has other values"
	}
	return ""
}

func (c *comparison) compareViews(ctx context.Context, w *wanted, target *Session, have *Database) error {
	for _, v := range w.tables.views() {
		h := have.Table(v.Name)
		if h == nil {
			c.views[v.Name] = "is missing"
			continue
		}
		how := h.difference(v, have.Name, w.source.Name)
		if how == "" && viewText(h.Select, have.Name) != viewText(v.Select, w.source.Name) {
			var err error
			if how, err = sameRows(ctx, target, h, have.Name, ownNames(v.Select, w.source.Name)); err != nil {
				return err
			}
		}
		if how != "" {
			c.views[v.Name] = how
		}
	}
	return nil
}

// sameRows compares a view with a query by what both show: servers word the same query in many ways.
func sameRows(ctx context.Context, target *Session, v *Table, database, query string) (how string, err error) {
	if err := target.Exec(ctx, "USE "+Name(database)); err != nil {
		return "", err
	}
	columns := sumColumns(v, nil)
	shown, err := target.Sum(ctx, Name(v.Name), columns)
	if err != nil {
		return "cannot be read", ctx.Err()
	}
	asked, err := target.Sum(ctx, "("+query+") AS asked", columns)
	if err != nil || asked != shown {
		return "is another query", ctx.Err()
	}
	return "", nil
}

// ownNames takes the name of its own database out of a query, so that it speaks of the database it is run in.
func ownNames(query, database string) string {
	var b strings.Builder
	own := Name(database)
	for query != "" {
		next := strings.IndexAny(query, "'\"`")
		if next < 0 {
			break
		}
		b.WriteString(query[:next])
		query = query[next:]
		n, err := quotedLength(query)
		if err != nil {
			break
		}
		if query[:n] == own && strings.HasPrefix(query[n:], ".") {
			n++
		} else {
			b.WriteString(query[:n])
		}
		query = query[n:]
	}
	return b.String() + query
}

var introducers = regexp.MustCompile(`\b_(utf8mb4|utf8mb3|utf8|latin1|binary|ascii)\s*(['x])`)

// viewText strips the query of a view of what differs between servers without meaning: quotes of names, the name of
// its own database, marks of character sets, brackets and blanks.
func viewText(query, database string) string {
	query = introducers.ReplaceAllString(ownNames(query, database), "$2")
	return strings.NewReplacer("`", "", "(", "", ")", "", " ", "", "\n", "", "\t", "").Replace(query)
}
