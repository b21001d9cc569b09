package modules

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"runner/modules/internal/dovecot"
	"runner/modules/internal/mysql"
	"runner/runtime/host"
	"runner/runtime/module"
)

// dovecotPasswordsArgs are the stored passwords of a control database.
//
// Each gets the scheme that it is in written before it ("{PLAIN-MD5}"), unless it has one: a Dovecot whose default scheme is another would
// refuse it. A password that has its scheme is never changed, so the step can be repeated. A row of which nobody can say what it is
// stops it, and so does a column that has no room for the scheme; nothing is changed then. No password is shown. Dovecot 2.4 refuses
// weak schemes (MD5, DES) altogether, unless auth_allow_weak_schemes = yes; whose passwords these are is told.
//
// # Example
//
//	local p = dovecot.passwords { on = new, database = "mailserver", default_scheme = "PLAIN-MD5", version = "2.4" }
//	if #p.refused > 0 then say("These must set a new password: " .. table.concat(p.refused, ", ")) end
//
// # Result
//
//   - schemes (table of integer): how many passwords are in each scheme
//   - accounts (integer): how many accounts there are
//   - marked (integer): how many passwords lack their scheme
//   - weak (integer): how many are in a weak scheme
//   - refused (list of string): addresses whose passwords the Dovecot of version refuses
//   - backup (string): path of the dump that was made before
type dovecotPasswordsArgs struct {
	// Host of the database.
	On *host.View `lua:"on,required"`
	// Control database.
	Database string `lua:"database,required"`
	// Table of the accounts.
	Table string `lua:"table" default:"virtual_users"`
	// Its column with the addresses.
	Address string `lua:"address" default:"email"`
	// Its column with the passwords.
	Column string `lua:"column" default:"password"`
	// What passwords without a scheme are in: default_pass_scheme of the Dovecot that they come from. 32 hexadecimal digits are taken for
	// PLAIN-MD5 only if this says so.
	DefaultScheme string `lua:"default_scheme"`
	// Version of the Dovecot that will read them, such as "2.4".
	Version string `lua:"version"`
	// That Dovecot has auth_allow_weak_schemes = yes.
	AllowWeak bool `lua:"allow_weak"`
	// Dump the database into backup_dir before it is changed.
	Backup bool `lua:"backup" default:"true"`
	// Directory on the host for that dump.
	BackupDir string `lua:"backup_dir" default:"/var/backups/runner"`
	MySQLLogin
}

// Validate checks what the types of the arguments cannot.
func (a *dovecotPasswordsArgs) Validate() error {
	if a.Version != "" {
		if _, err := a.strict(); err != nil {
			return err
		}
	}
	if a.Backup && !strings.HasPrefix(a.BackupDir, "/") {
		return fmt.Errorf("backup_dir must be an absolute path, not %q", a.BackupDir)
	}
	return a.check("")
}

// strict says whether the Dovecot of version refuses weak schemes.
func (a *dovecotPasswordsArgs) strict() (bool, error) {
	if a.Version == "" {
		return false, nil
	}
	first, rest, _ := strings.Cut(a.Version, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err1 := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(second)
	if err1 != nil || err2 != nil {
		return false, fmt.Errorf("version %q is no version of Dovecot, such as 2.4", a.Version)
	}
	return (major > 2 || major == 2 && minor >= 4) && !a.AllowWeak, nil
}

// storedPassword is one row.
type storedPassword struct {
	address, value string
	is             dovecot.Password
}

// read classifies all rows.
func (a *dovecotPasswordsArgs) read(ctx context.Context, s *mysql.Session) ([]storedPassword, error) {
	query := fmt.Sprintf("SELECT %s AS a, %s AS p FROM %s.%s ORDER BY 1", mysql.Name(a.Address), mysql.Name(a.Column), mysql.Name(a.Database), mysql.Name(a.Table))
	found, err := s.Query(ctx, query)
	if err != nil {
		return nil, mysqlFailure(err, query, "ask", a.On)
	}
	rows := make([]storedPassword, len(found))
	for i, r := range found {
		address, _ := r["a"].(string)
		value, _ := r["p"].(string)
		rows[i] = storedPassword{address, value, dovecot.Classify(value, a.DefaultScheme)}
	}
	return rows, nil
}

// room is how many characters the column holds; 0: no limit is known.
func (a *dovecotPasswordsArgs) room(ctx context.Context, s *mysql.Session) (int64, error) {
	const query = "SELECT CHARACTER_MAXIMUM_LENGTH AS n FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND COLUMN_NAME = ?"
	found, err := s.Query(ctx, query, a.Database, a.Table, a.Column)
	if err != nil || len(found) == 0 {
		return 0, err
	}
	n, _ := strconv.ParseInt(fmt.Sprint(found[0]["n"]), 10, 64)
	return n, nil
}

func planDovecotPasswords(ctx context.Context, a *dovecotPasswordsArgs) (*module.Plan, error) {
	s, err := oneServer{a.On, a.MySQLLogin}.session(ctx, mysql.Options{Database: a.Database, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	rows, err := a.read(ctx, s)
	if err != nil {
		return nil, err
	}
	room, err := a.room(ctx, s)
	if err != nil {
		return nil, mysqlFailure(err, "SELECT", "ask", a.On)
	}
	if err := a.refuse(rows, room); err != nil {
		return nil, err
	}
	plan, unmarked := a.report(rows)
	if len(unmarked) > 0 {
		var lines []string
		for _, r := range unmarked {
			lines = append(lines, r.address+" "+r.is.Prefix)
		}
		plan.Changes = []module.Change{{
			Summary: "write its scheme before " + countOf(len(unmarked), "password") + " of " + a.Database, After: joined(lines),
			Apply: func(ctx context.Context, do *module.Apply) error { return a.mark(ctx, do, room) },
		}}
	}
	return plan, nil
}

// refuse stops at rows that nobody can read, and at a column that is too narrow.
func (a *dovecotPasswordsArgs) refuse(rows []storedPassword, room int64) error {
	var unknown, long []string
	for _, r := range rows {
		switch n := int64(len(r.is.Prefix) + len(r.value)); {
		case r.is.Problem != "":
			unknown = append(unknown, r.address+": "+r.is.Problem)
		case r.is.Prefix != "" && room > 0 && n > room:
			long = append(long, fmt.Sprintf("%s: %d characters", r.address, n))
		}
	}
	if len(unknown) > 0 {
		err := fmt.Errorf("cannot tell the scheme of %s in %s.%s:\n  %s", countOf(len(unknown), "password"), a.Database, a.Table, firstOf(unknown, 20, "\n  "))
		return module.WithHint(err, "give these accounts new passwords, or say what values without a scheme are in with default_scheme")
	}
	if len(long) > 0 {
		err := fmt.Errorf("cannot write the scheme before %s: the column %s of %s.%s holds %d characters:\n  %s",
			countOf(len(long), "password"), a.Column, a.Database, a.Table, room, firstOf(long, 20, "\n  "))
		return module.Absent(module.WithHint(err, "widen it before with mysql.column, such as to varchar(150)"))
	}
	return nil
}

// firstOf joins the first entries of a list and says how many there are more.
func firstOf(list []string, n int, between string) string {
	if len(list) <= n {
		return strings.Join(list, between)
	}
	return strings.Join(list[:n], between) + between + fmt.Sprintf("… and %d more", len(list)-n)
}

// report counts, and picks the rows that lack their scheme.
func (a *dovecotPasswordsArgs) report(rows []storedPassword) (*module.Plan, []storedPassword) {
	schemes, refused, weak := map[string]any{}, []string{}, 0
	strict, _ := a.strict() // Validate has tried it
	var unmarked []storedPassword
	for _, r := range rows {
		n, _ := schemes[r.is.Scheme].(int)
		schemes[r.is.Scheme] = n + 1
		if r.is.Prefix != "" {
			unmarked = append(unmarked, r)
		}
		if dovecot.Weak(r.is.Scheme) {
			weak++
			if strict {
				refused = append(refused, r.address)
			}
		}
	}
	plan := &module.Plan{Output: map[string]any{"schemes": schemes, "accounts": len(rows), "marked": len(unmarked), "weak": weak, "refused": refused}}
	plan.Note = countOf(len(rows), "password") + ", all with their scheme"
	if len(unmarked) > 0 {
		plan.Note = ""
	}
	if len(refused) > 0 {
		plan.Note = fmt.Sprintf("Dovecot %s refuses the passwords of %s", a.Version, firstOf(refused, 5, ", "))
	}
	return plan, unmarked
}

// mark writes the schemes, in one transaction, before values that are still what was read.
func (a *dovecotPasswordsArgs) mark(ctx context.Context, do *module.Apply, room int64) error {
	s, err := oneServer{a.On, a.MySQLLogin}.session(ctx, mysql.Options{Database: a.Database, Strict: true})
	if err != nil {
		return err
	}
	defer s.Close()
	if a.Backup {
		file, err := mysql.BackUp(ctx, do, do.Host(a.On), s, a.Database, a.BackupDir)
		if err != nil {
			return err
		}
		do.Output("backup", file)
	}
	if err := s.Exec(ctx, "START TRANSACTION"); err != nil {
		return mysqlFailure(err, "START TRANSACTION", "change", a.On)
	}
	err = a.markRows(ctx, s, room)
	if err != nil {
		_ = s.Exec(context.WithoutCancel(ctx), "ROLLBACK") // ending the session does it as well
		return err
	}
	return s.Exec(ctx, "COMMIT")
}

func (a *dovecotPasswordsArgs) markRows(ctx context.Context, s *mysql.Session, room int64) error {
	rows, err := a.read(ctx, s)
	if err != nil {
		return err
	}
	if err := a.refuse(rows, room); err != nil {
		return err
	}
	column := mysql.Name(a.Column)
	query := fmt.Sprintf("UPDATE %s.%s SET %s = ? WHERE %s = ? AND BINARY %s = ?", mysql.Name(a.Database), mysql.Name(a.Table), column, mysql.Name(a.Address), column)
	for _, r := range rows {
		if r.is.Prefix == "" {
			continue
		}
		if err := s.Exec(ctx, query, r.is.Prefix+r.value, r.address, r.value); err != nil {
			return fmt.Errorf("cannot write the scheme before the password of %s on %s: %s", r.address, a.On.Name(),
				strings.ReplaceAll(mysql.Plain(err).Error(), r.value, module.Mask))
		}
	}
	return nil
}
