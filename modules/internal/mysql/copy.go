package mysql

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// Copy is a database that is to be on the target what it is on the source, but for some columns.
type Copy struct {
	From, To           *host.View
	FromLogin, ToLogin Login
	Database           string
	Target             string // name on the target
	Overrides          []Override
	Backup             bool
	InUse              bool // what changes while it is copied is taken as the dump has it
	BackupDir          string
}

// tries is how often a copy of a database that changes while it is copied is begun again.
const tries = 3

// Plan compares both sides. The plan is empty when the target has the source's tables with the same columns, indexes,
// keys, triggers, views and rows.
func (c Copy) Plan(ctx context.Context) (*module.Plan, error) {
	ends, err := c.connect(ctx, true)
	if err != nil {
		return nil, err
	}
	defer ends.close()
	look, err := c.look(ctx, ends)
	if err != nil {
		return nil, err
	}
	plan := &module.Plan{Output: look.output(), Note: look.note()}
	if look.diff.equal() {
		if plan.Note == "" {
			plan.Note = "already equal"
		} else {
			plan.Note = "already equal; " + plan.Note
		}
		return plan, nil
	}
	plan.Changes = []module.Change{{
		Summary:  look.summary(c),
		Before:   look.describe(look.have, look.diff.have, c.Target),
		After:    look.describe(look.want.tables, look.diff.want, c.Target),
		Destroys: look.have != nil && len(look.have.Tables) > 0,
		Apply: func(ctx context.Context, do *module.Apply) error {
			moved, err := c.apply(ctx, do)
			if moved {
				plan.Moving = true // the source is in use: it need not be equal a moment later
			}
			return err
		},
	}}
	return plan, nil
}

// ends are the sessions with both servers.
type ends struct{ source, target *Session }

func (e *ends) close() {
	e.source.Close()
	if e.target != nil {
		e.target.Close()
	}
}

func (c Copy) connect(ctx context.Context, readOnly bool) (*ends, error) {
	source, err := Connect(ctx, c.From, c.FromLogin, Options{ReadOnly: true, Pinned: true})
	if err != nil {
		return nil, err
	}
	target, err := Connect(ctx, c.To, c.ToLogin, Options{ReadOnly: readOnly, Pinned: true, Strict: true})
	if err != nil {
		source.Close()
		return nil, err
	}
	return &ends{source, target}, nil
}

// sight is both sides as they were found.
type sight struct {
	want   *wanted
	have   *Database // nil: there is no target database
	diff   *comparison
	broken []string // views of the source that cannot be read
}

func (c Copy) look(ctx context.Context, e *ends) (*sight, error) {
	if err := e.source.snapshot(ctx); err != nil {
		return nil, fmt.Errorf("cannot read database %s on %s: %w", c.Database, c.From.Name(), plainError(err))
	}
	defer func() { _ = e.source.release(context.WithoutCancel(ctx)) }()
	source, err := e.source.ReadDatabase(ctx, c.Database)
	if err != nil {
		return nil, err
	}
	if len(source.base()) == 0 {
		return nil, fmt.Errorf("cannot copy database %s: it has no tables on %s that %s may see", c.Database, c.From.Name(), e.source.Login())
	}
	l := &sight{}
	if l.broken, err = e.source.brokenViews(ctx, source); err != nil {
		return nil, err
	}
	if l.want, err = want(source, c.Overrides); err != nil {
		return nil, err
	}
	l.have, err = e.target.ReadDatabase(ctx, c.Target)
	var absent *module.AbsentError
	if err != nil && !errors.As(err, &absent) {
		return nil, err
	}
	if l.diff, err = compare(ctx, l.want, e.source, e.target, l.have); err != nil {
		return nil, err
	}
	return l, c.possible(l)
}

// brokenViews takes the views out of d that cannot be read, because a table or account they need is gone, and names them.
func (s *Session) brokenViews(ctx context.Context, d *Database) ([]string, error) {
	var broken []string
	for _, v := range d.views() {
		_, err := s.texts(ctx, "SELECT 1 FROM "+Name(d.Name)+"."+Name(v.Name)+" LIMIT 0")
		if err != nil && number(err) == 0 {
			return nil, err
		}
		if err != nil || v.Select == "" {
			broken = append(broken, v.Name)
		}
	}
	d.Tables = slices.DeleteFunc(d.Tables, func(t *Table) bool { return t.View && slices.Contains(broken, t.Name) })
	return broken, nil
}

// possible refuses what could not be done without harm.
func (c Copy) possible(l *sight) error {
	if l.have != nil && len(l.diff.tables) > 0 {
		for _, r := range l.have.Referrers {
			if database, _, _ := strings.Cut(r, "."); database != stageName(freshPrefix, c.Target) && database != stageName(replacedPrefix, c.Target) {
				return fmt.Errorf("cannot replace the tables of database %s on %s: table %s refers to one of them by a foreign key; drop that key first", c.Target, c.To.Name(), r)
			}
		}
	}
	for _, t := range l.have.base() {
		if l.want.tables.Table(t.Name) != nil {
			continue
		}
		for _, k := range t.Keys {
			if k.Database == c.Target && l.want.tables.Table(k.Table) != nil && len(l.diff.tables) > 0 {
				return fmt.Errorf("cannot replace table %s of database %s on %s: table %s, which %s does not have, refers to it by foreign key %s; drop that table or that key first",
					k.Table, c.Target, c.To.Name(), t.Name, c.From.Name(), k.Name)
			}
		}
	}
	for _, t := range l.want.tables.Tables {
		if h := l.have.Table(t.Name); h != nil && h.View != t.View {
			kinds := map[bool]string{true: "view", false: "table"}
			return fmt.Errorf("cannot copy %s %s: database %s on %s has a %s of that name; drop it first", kinds[t.View], t.Name, c.Target, c.To.Name(), kinds[h.View])
		}
	}
	return nil
}

func (l *sight) summary(c Copy) string {
	s := fmt.Sprintf("load %s, %s from %s into %s", count(len(l.want.tables.base()), "table"), count(int(l.diff.want.rows(l.want.tables.base())), "row"), c.From.Name(), c.Target)
	if len(l.diff.tables) == 0 {
		s = fmt.Sprintf("create %s of %s in %s", count(len(l.diff.views), "view"), c.From.Name(), c.Target)
	}
	if c.Backup && l.have != nil && len(l.have.Tables) > 0 {
		s += " (backup first)"
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// describe lists the tables of one side for --diff, with a note on each that differs.
func (l *sight) describe(d *Database, of sums, target string) string {
	if d == nil {
		return "no database " + target + "\n"
	}
	var b strings.Builder
	for _, t := range d.Tables {
		if l.want.tables.Table(t.Name) == nil {
			continue
		}
		how := l.diff.tables[t.Name] + l.diff.views[t.Name]
		if d == l.want.tables {
			how = ""
		}
		switch {
		case t.View:
			fmt.Fprintf(&b, "view %s", t.Name)
		default:
			fmt.Fprintf(&b, "table %s: %s", t.Name, count(int(of[t.Name].Rows), "row"))
		}
		if how != "" {
			fmt.Fprintf(&b, " (%s)", how)
		}
		b.WriteString("\n")
		for _, column := range sortedKeys(l.want.values[t.Name]) {
			if d == l.want.tables {
				fmt.Fprintf(&b, "  %s = %s\n", column, strings.Join(strings.Fields(l.want.values[t.Name][column]), " "))
			}
		}
	}
	return b.String()
}

// note tells what a copy leaves alone.
func (l *sight) note() string {
	var parts []string
	if len(l.diff.extra) > 0 {
		parts = append(parts, "left alone on the target: "+strings.Join(l.diff.extra, ", "))
	}
	if len(l.broken) > 0 {
		parts = append(parts, "not copied because they cannot be read on the source: view "+strings.Join(l.broken, ", view "))
	}
	if len(l.want.source.Others) > 0 {
		parts = append(parts, "not copied: "+strings.Join(l.want.source.Others, ", "))
	}
	return strings.Join(parts, "; ")
}

func (l *sight) output() map[string]any {
	rows := map[string]any{}
	for _, t := range l.want.tables.base() {
		rows[t.Name] = l.diff.want[t.Name].Rows
	}
	return map[string]any{"tables": int64(len(rows)), "rows": l.diff.want.rows(l.want.tables.base()), "rows_by_table": rows, "extra": append([]string{}, l.diff.extra...)}
}

// apply copies. moved says that the source changed while it was copied.
func (c Copy) apply(ctx context.Context, do *module.Apply) (moved bool, err error) {
	e, err := c.connect(ctx, false)
	if err != nil {
		return false, err
	}
	defer e.close()
	look, err := c.look(ctx, e)
	if err != nil {
		return false, err
	}
	if look.diff.equal() {
		return false, nil
	}
	if err := c.backUp(ctx, do, e.target, look.have); err != nil {
		return false, err
	}
	if look.have == nil {
		do.Keep(module.Original{Host: c.To.Name(), Object: "database " + c.Target, Value: "absent"})
	}
	if len(look.diff.tables) > 0 || look.have == nil {
		if moved, err = c.replace(ctx, do, e, look); err != nil {
			return moved, err
		}
		// The new tables have no views on them yet that differ from the source's.
		if look.have, err = e.target.ReadDatabase(ctx, c.Target); err != nil {
			return moved, err
		}
		if err := look.diff.refreshViews(ctx, look.want, e.target, look.have); err != nil {
			return moved, err
		}
	}
	if len(look.diff.views) > 0 {
		if err := e.target.createViews(ctx, look.want, c.Target, look.diff.views); err != nil {
			return moved, fmt.Errorf("%w in database %s on %s", err, c.Target, c.To.Name())
		}
	}
	return moved, nil
}

func (c *comparison) refreshViews(ctx context.Context, w *wanted, target *Session, have *Database) error {
	clear(c.views)
	return c.compareViews(ctx, w, target, have)
}

func (c Copy) backUp(ctx context.Context, do *module.Apply, target *Session, have *Database) error {
	if !c.Backup || have == nil || len(have.Tables) == 0 {
		return nil
	}
	file, err := BackUp(ctx, do, do.Host(c.To), target, c.Target, c.BackupDir)
	if err == nil {
		do.Output("backup", file)
	}
	return err
}

// BackUp dumps a database into a new file of its host, in dir, and records it.
func BackUp(ctx context.Context, do *module.Apply, h *host.Host, s *Session, database, dir string) (string, error) {
	file := path.Join(dir, fileName(database)+"-"+time.Now().UTC().Format("20060102T150405.000Z")+".sql.gz")
	do.Progress(module.Progress{Label: "backup of " + database})
	if _, err := s.DumpFile(ctx, h, database, nil, file); err != nil {
		return "", fmt.Errorf("cannot back up database %s before changing it: %w", database, err)
	}
	do.Keep(module.Original{Host: h.Name(), Object: "database " + database, Backup: file})
	return file, nil
}

// fileName is a database's name as part of a file's.
func fileName(database string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '_'
		}
		return r
	}, database)
}

// replace builds the copy beside the live database, checks it, and puts it in place.
func (c Copy) replace(ctx context.Context, do *module.Apply, e *ends, look *sight) (moved bool, err error) {
	g := newStaging(e.target, c.Target, look.want.source.Charset, look.want.source.Collation)
	defer func() {
		// Also when the context is what ended it: what is half-built is of no use to anybody.
		if cleanup := g.clean(context.WithoutCancel(ctx), c); cleanup != nil && err == nil {
			err = cleanup
		}
	}()
	for try := 1; ; try++ {
		moved, err = c.build(ctx, do, e, look, g)
		var changed *changedError
		if !errors.As(err, &changed) || try == tries {
			break
		}
		do.Progress(module.Progress{Label: fmt.Sprintf("%s changed while it was copied; again", c.Database)})
		if look, err = c.look(ctx, e); err != nil {
			return moved, err
		}
	}
	if err != nil {
		return moved, fmt.Errorf("%w; database %s on %s is as it was", err, c.Target, c.To.Name())
	}
	if look.have == nil {
		if err := e.target.createDatabase(ctx, c.Target, look.want.source.Charset, look.want.source.Collation); err != nil {
			return moved, err
		}
	}
	return moved, g.swap(ctx, look.want, look.have)
}

// clean drops the temporary databases, with a new session where the old one broke with the context.
func (g *staging) clean(ctx context.Context, c Copy) error {
	if g.drop(ctx) == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	s, err := Connect(ctx, c.To, c.ToLogin, Options{Pinned: true})
	if err != nil {
		return err
	}
	defer s.Close()
	other := *g
	other.session = s
	return other.drop(ctx)
}

// changedError says that the source changed while it was copied.
type changedError struct{ table, host string }

func (e *changedError) Error() string {
	return fmt.Sprintf("cannot copy table %s: it is not what it was on %s before nor after the copy; it changes too fast, stop what writes to it", e.table, e.host)
}

// build loads the source's tables into the fresh database, changes what is to be changed, and compares with the source.
func (c Copy) build(ctx context.Context, do *module.Apply, e *ends, look *sight, g *staging) (moved bool, err error) {
	if err := g.create(ctx); err != nil {
		return false, err
	}
	what := dumpWhat{database: c.Database, locked: look.want.source.locked()}
	var size int64
	for _, t := range look.want.tables.base() {
		what.tables = append(what.tables, t.Name)
		size += t.Bytes
	}
	told := func(n int64) {
		do.Progress(module.Progress{Label: "copying " + c.Database, Bytes: n, TotalBytes: max(size, n)})
	}
	if err := pipeDump(ctx, e.source, do.Host(c.From), what, e.target, do.Host(c.To), g.fresh, told); err != nil {
		return false, err
	}
	do.Progress(module.Progress{Label: "checking " + c.Database})
	if err := g.transform(ctx, look.want); err != nil {
		return false, err
	}
	return c.verify(ctx, e, look, g)
}

// verify compares the fresh database with what the source was when the copy began, or else with what it is now.
func (c Copy) verify(ctx context.Context, e *ends, look *sight, g *staging) (moved bool, err error) {
	fresh, err := e.target.ReadDatabase(ctx, g.fresh)
	if err != nil {
		return false, err
	}
	got, err := sumsOf(ctx, e.target, g.fresh, fresh.base(), nil)
	if err != nil {
		return false, err
	}
	now, err := look.want.expected(ctx, e.source)
	if err != nil {
		return false, err
	}
	moved = !maps.Equal(now, look.diff.want)
	for _, t := range look.want.tables.base() {
		f := fresh.Table(t.Name)
		if f == nil {
			return moved, fmt.Errorf("cannot copy table %s: the dump did not hold it", t.Name)
		}
		bare := *t
		bare.Triggers = nil // they come with the swap
		if how := f.difference(&bare, g.fresh, look.want.source.Name); how != "" {
			return moved, fmt.Errorf("cannot copy table %s: loaded on %s it %s", t.Name, c.To.Name(), how)
		}
		if got[t.Name] == look.diff.want[t.Name] || got[t.Name] == now[t.Name] {
			continue
		}
		if c.InUse && now[t.Name] != look.diff.want[t.Name] {
			continue // as it was at some moment in between, which the dump's snapshot is
		}
		if moved {
			return moved, &changedError{table: t.Name, host: c.From.Name()}
		}
		return moved, fmt.Errorf("cannot copy table %s: loaded on %s its rows differ from those on %s (%s there, %s here)",
			t.Name, c.To.Name(), c.From.Name(), count(int(now[t.Name].Rows), "row"), count(int(got[t.Name].Rows), "row"))
	}
	look.diff.want = now
	return moved, e.target.createViews(ctx, look.want, g.fresh, nil)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
