package mysql_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"runner/modules"
	"runner/runtime/module"
)

// liveBefore is what stands on the target before a copy that is to fail.
const liveBefore = `CREATE DATABASE mailserver DEFAULT CHARACTER SET utf8; USE mailserver;
CREATE TABLE virtual_domains (id int NOT NULL auto_increment PRIMARY KEY, name varchar(50) NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE virtual_users (id int NOT NULL auto_increment PRIMARY KEY, domain_id int NOT NULL, password varchar(150) NOT NULL, email varchar(100) NOT NULL,
  UNIQUE KEY email (email), FOREIGN KEY (domain_id) REFERENCES virtual_domains(id) ON DELETE CASCADE) ENGINE=InnoDB DEFAULT CHARSET=utf8;
INSERT INTO virtual_domains VALUES (1,'there.example');
INSERT INTO virtual_users VALUES (1,1,'{PLAIN-MD5}x','someone@there.example');
CREATE TRIGGER note BEFORE INSERT ON virtual_users FOR EACH ROW SET NEW.email = LOWER(NEW.email);
CREATE VIEW view_users AS SELECT email FROM virtual_users;`

// state is a fingerprint of everything in the target's databases.
func (b *bench) state() string {
	b.t.Helper()
	out, err := exec.Command("mariadb-dump", "--no-defaults", "--socket="+b.new.socket, "--user=root", "--all-databases", "--routines", "--triggers", "--skip-dump-date",
		"--skip-comments", "--ignore-table=mysql.transaction_registry").CombinedOutput()
	if err != nil {
		b.t.Fatalf("mariadb-dump: %v: %s", err, out)
	}
	return string(out)
}

func (b *bench) unchanged(before string) {
	b.t.Helper()
	if after := b.state(); after != before {
		b.t.Errorf("the target changed:\n%s", firstDifference(before, after))
	}
}

func firstDifference(a, b string) string {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(la), len(lb)) {
		if la[i] != lb[i] {
			return fmt.Sprintf("before: %.300s\nafter:  %.300s", la[i], lb[i])
		}
	}
	return fmt.Sprintf("%d lines before, %d after", len(la), len(lb))
}

// fails runs mysql.copy and expects an error that says the given things, and a target that is as it was.
func (b *bench) fails(more map[string]any, says ...string) {
	b.t.Helper()
	before := b.state()
	r := b.call(context.Background(), "mysql.copy", false, b.copyArgs(more))
	if r.Status != module.Failed {
		b.t.Fatalf("mysql.copy ended %s", r.Status)
	}
	for _, s := range says {
		if !strings.Contains(r.Err.Error(), s) {
			b.t.Errorf("the error does not say %q: %v", s, r.Err)
		}
	}
	b.unchanged(before)
}

func TestHashesAreNeverCut(t *testing.T) {
	b := newBench(t)
	b.old.run(t, wheezy)
	b.new.run(t, liveBefore)
	// The value without the wider column: 43 characters into 32, on a server whose own SQL mode would cut them.
	b.new.run(t, "SET GLOBAL sql_mode = ''")
	defer b.new.run(t, "SET GLOBAL sql_mode = DEFAULT")
	b.fails(map[string]any{"columns": map[string]any{"virtual_users.password": map[string]any{"value": "CONCAT('{PLAIN-MD5}',password)"}}},
		"cannot set the values of table virtual_users", "too long", "is as it was")
	b.fails(map[string]any{"columns": map[string]any{"virtual_users.email": map[string]any{"type": "varchar(10) NOT NULL"}}},
		"cannot change table virtual_users", "too long")
}

func TestBrokenOffCopyLeavesTheTargetAsItWas(t *testing.T) {
	kill := func(name string) func(*bench, context.CancelFunc) {
		return func(b *bench, _ context.CancelFunc) {
			m := b.to
			if name == "mariadb-dump" {
				m = b.from
			}
			m.started = func(c *exec.Cmd) {
				if strings.Contains(strings.Join(c.Args, " "), "exec \"$@\"") {
					time.AfterFunc(30*time.Millisecond, func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
				}
			}
		}
	}
	for name, breakOff := range map[string]func(*bench, context.CancelFunc){
		"the loading client is killed": kill("mariadb"),
		"the dump program is killed":   kill("mariadb-dump"),
		"the run is stopped": func(b *bench, cancel context.CancelFunc) {
			b.from.started = func(*exec.Cmd) { time.AfterFunc(30*time.Millisecond, cancel) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.old.run(t, wheezy)
			b.fill("mailserver.virtual_aliases", 20000)
			b.new.run(t, liveBefore)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			b.from.slow = func(r io.Reader) io.Reader { return &slowReader{r} }
			breakOff(b, cancel)
			before := b.state()
			r := b.call(ctx, "mysql.copy", false, b.copyArgs(prefixed))
			if r.Status != module.Failed {
				t.Fatalf("mysql.copy ended %s", r.Status)
			}
			if name == "the run is stopped" && !errors.Is(r.Err, context.Canceled) {
				t.Errorf("the error is %v", r.Err)
			}
			b.unchanged(before)
			b.from.started, b.to.started, b.from.slow = nil, nil, nil
			b.copies(module.Changed, prefixed)
			b.copies(module.OK, prefixed)
		})
	}
}

// slowReader makes a stream last long enough to be broken off.
type slowReader struct{ r io.Reader }

func (s *slowReader) Read(b []byte) (int, error) {
	time.Sleep(5 * time.Millisecond)
	return s.r.Read(b[:min(len(b), 4096)])
}

// fill adds rows to a table of aliases on the old server.
func (b *bench) fill(table string, rows int) {
	b.t.Helper()
	b.old.run(b.t, fmt.Sprintf("INSERT INTO %s (domain_id, source, destination) SELECT 1, CONCAT('s',seq,'@example.org'), REPEAT('d',60) FROM mysql.help_topic h RIGHT JOIN (SELECT seq FROM seq_1_to_%d) s ON h.help_topic_id = -1", table, rows))
}

func TestLeftoversOfAKilledRunAreNoObstacle(t *testing.T) {
	b := newBench(t)
	b.old.run(t, wheezy)
	b.new.run(t, liveBefore)
	b.new.run(t, `CREATE DATABASE runner_fresh_mailserver; CREATE TABLE runner_fresh_mailserver.virtual_users (half int);
		CREATE DATABASE runner_replaced_mailserver; CREATE TABLE runner_replaced_mailserver.virtual_users (half int)`)
	b.copies(module.Changed, prefixed)
	if got := strings.Join(b.new.databases(t), " "); got != "mailserver" {
		t.Errorf("databases: %s", got)
	}
}

func TestAccountsOfTheTargetStay(t *testing.T) {
	b := newBench(t)
	b.old.run(t, wheezy)
	b.new.run(t, liveBefore)
	b.new.run(t, `CREATE USER mailuser@localhost IDENTIFIED BY 'reader'; GRANT SELECT ON mailserver.* TO mailuser@localhost;
		CREATE USER writer@localhost; GRANT UPDATE (password) ON mailserver.virtual_users TO writer@localhost`)
	t.Cleanup(func() { b.new.run(t, "DROP USER mailuser@localhost, writer@localhost") })
	grants := "SELECT GROUP_CONCAT(GRANTEE, PRIVILEGE_TYPE ORDER BY 1) FROM information_schema.SCHEMA_PRIVILEGES"
	columns := "SELECT GROUP_CONCAT(GRANTEE, TABLE_NAME, COLUMN_NAME, PRIVILEGE_TYPE ORDER BY 1) FROM information_schema.COLUMN_PRIVILEGES"
	before := b.new.value(t, grants) + b.new.value(t, columns)
	b.copies(module.Changed, prefixed)
	if after := b.new.value(t, grants) + b.new.value(t, columns); after != before {
		t.Errorf("grants were %s\nand are %s", before, after)
	}
	r := b.call(context.Background(), "mysql.query", false, b.one(map[string]any{
		"user": "mailuser", "password": module.NewSecret("reader"), "database": "mailserver", "sql": "SELECT COUNT(*) AS n FROM virtual_users",
	}))
	if r.Err != nil || r.Output["first"].(map[string]any)["n"] != int64(4) {
		t.Errorf("the reader sees %v: %v", r.Output, r.Err)
	}
}

func TestForeignKeysAndTriggersComeAlong(t *testing.T) {
	b := newBench(t)
	b.old.run(t, wheezy)
	b.old.run(t, `CREATE TABLE mailserver.log (what varchar(50)); USE mailserver;
		CREATE TRIGGER noted AFTER DELETE ON virtual_users FOR EACH ROW INSERT INTO mailserver.log VALUES (CONCAT('gone; ', OLD.email));
		SET sql_mode = '';
		CREATE TRIGGER loose BEFORE UPDATE ON virtual_users FOR EACH ROW SET NEW.password = NEW.password;
		SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES';
		CREATE TRIGGER quoted BEFORE UPDATE ON virtual_domains FOR EACH ROW SET NEW."name" = LOWER(NEW."name");
		SET sql_mode = DEFAULT`) // the connection goes back to the pool of all tests
	b.new.run(t, liveBefore)
	b.copies(module.Changed, prefixed)
	if _, err := b.new.db.Exec("INSERT INTO mailserver.virtual_users (domain_id,password,email) VALUES (99,'x','y')"); err == nil {
		t.Error("a user of no domain was let in")
	}
	b.new.run(t, "DELETE FROM mailserver.virtual_users WHERE id = 2")
	if got := b.new.value(t, "SELECT GROUP_CONCAT(what) FROM mailserver.log"); got != "gone; bob@example.org" {
		t.Errorf("the trigger wrote %s", got)
	}
	b.new.run(t, "DELETE FROM mailserver.virtual_domains WHERE id = 1")
	if got := b.new.value(t, "SELECT COUNT(*) FROM mailserver.virtual_users"); got != "2" {
		t.Errorf("%s users are left", got)
	}
	if got := b.new.value(t, "SELECT GROUP_CONCAT(TRIGGER_NAME ORDER BY TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='mailserver'"); got != "loose,noted,quoted" {
		t.Errorf("triggers: %s", got)
	}
	if got := b.new.value(t, "SELECT GROUP_CONCAT(SQL_MODE ORDER BY TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE TRIGGER_NAME IN ('loose', 'quoted')"); got != ",ANSI_QUOTES,NO_BACKSLASH_ESCAPES" {
		t.Errorf("the triggers have the SQL modes %q", got)
	}
	// The view that only the target has works on the new tables.
	if got := b.new.value(t, "SELECT COUNT(*) FROM mailserver.view_users"); got != "2" {
		t.Errorf("the target's own view shows %s rows", got)
	}
}

const lenny = `CREATE DATABASE mailserver; USE mailserver;
CREATE TABLE virtual_domains (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) NOT NULL) ENGINE=InnoDB;
CREATE TABLE virtual_users (id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY, domain_id INT(11) NOT NULL, user VARCHAR(40) NOT NULL, password VARCHAR(32) NOT NULL,
  CONSTRAINT UNIQUE_EMAIL UNIQUE (domain_id,user), FOREIGN KEY (domain_id) REFERENCES virtual_domains(id) ON DELETE CASCADE) ENGINE=InnoDB;
CREATE TABLE virtual_aliases (id int(11) NOT NULL AUTO_INCREMENT PRIMARY KEY, domain_id INT(11) NOT NULL, source VARCHAR(40) NOT NULL, destination VARCHAR(80) NOT NULL,
  FOREIGN KEY (domain_id) REFERENCES virtual_domains(id) ON DELETE CASCADE) ENGINE=InnoDB;
CREATE VIEW view_users AS SELECT CONCAT(virtual_users.user,'@',virtual_domains.name) AS email, virtual_users.password
  FROM virtual_users LEFT JOIN virtual_domains ON virtual_users.domain_id=virtual_domains.id;
CREATE VIEW a_view_of_a_view AS SELECT email FROM view_users WHERE email LIKE '%mailserver.%';
INSERT INTO virtual_domains VALUES (1,'example.org');
INSERT INTO virtual_users VALUES (1,1,'jörg',MD5('x')),(2,1,'at.mailserver.',MD5('y'));`

func TestViewsComeAlong(t *testing.T) {
	b := newBench(t)
	b.old.run(t, lenny)
	b.old.run(t, "CREATE VIEW mailserver.broken AS SELECT 1 AS one; CREATE TABLE mailserver.gone (a int); CREATE OR REPLACE VIEW mailserver.broken AS SELECT a FROM mailserver.gone; DROP TABLE mailserver.gone")
	r := b.copies(module.Changed, prefixed)
	if !strings.Contains(r.Note, "view broken") {
		t.Errorf("the note does not speak of the broken view: %q", r.Note)
	}
	if got := b.new.value(t, "SELECT GROUP_CONCAT(CONCAT(email,LEFT(password,11)) ORDER BY email) FROM mailserver.view_users"); got != "at.mailserver.@example.org{PLAIN-MD5},jörg@example.org{PLAIN-MD5}" {
		t.Errorf("view_users shows %s", got)
	}
	if got := b.new.value(t, "SELECT GROUP_CONCAT(email) FROM mailserver.a_view_of_a_view"); got != "at.mailserver.@example.org" {
		t.Errorf("the view of a view shows %s", got)
	}
	b.copies(module.OK, prefixed)
	b.old.run(t, "USE mailserver; CREATE OR REPLACE VIEW view_users AS SELECT CONCAT(virtual_users.user,'@@',virtual_domains.name) AS email, virtual_users.password FROM virtual_users LEFT JOIN virtual_domains ON virtual_users.domain_id=virtual_domains.id")
	if r := b.copies(module.Changed, prefixed); !strings.HasPrefix(r.Changes[0].Summary, "create 1 view of old in mailserver") {
		t.Errorf("summary %q", r.Changes[0].Summary)
	}
	b.copies(module.OK, prefixed)
	// Under another name on the target the views must look at their own tables.
	b.copies(module.Changed, map[string]any{"target_database": "copy of mail"})
	b.new.run(t, "DROP DATABASE mailserver")
	if got := b.new.value(t, "SELECT COUNT(*) FROM `copy of mail`.view_users"); got != "2" {
		t.Errorf("the view shows %s rows", got)
	}
	b.copies(module.OK, map[string]any{"target_database": "copy of mail"})
}

// everyKind is a database of what is easily damaged on the way.
const everyKind = "CREATE DATABASE mailserver DEFAULT CHARACTER SET latin1; USE mailserver;" + `
CREATE TABLE plain (id int unsigned zerofill NOT NULL, n bigint unsigned, d decimal(20,6) DEFAULT '0', f float, g double, day date NOT NULL DEFAULT '0000-00-00', at datetime, stamp timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, y year, t time, flag tinyint(1) DEFAULT NULL, b bit(9), PRIMARY KEY (id)) ENGINE=InnoDB;
INSERT INTO plain VALUES (1,18446744073709551615,-1234.5,1.1,1.1,'0000-00-00','2038-01-01 00:00:00','2013-05-04 03:02:01',1999,'-838:59:59',1,b'101010101'),(2,NULL,NULL,-3.4e38,1e300,'2020-02-29',NULL,'2020-01-01 00:00:00',NULL,NULL,NULL,NULL),(3,0,0,0,-0.1,'0000-00-00','0000-00-00 00:00:00','1999-12-31 23:59:59',2155,'00:00:00',0,b'0');
CREATE TABLE texts (id int NOT NULL AUTO_INCREMENT, latin varchar(60) NOT NULL DEFAULT 'it''s \\ ü', wide varchar(60) CHARACTER SET utf8mb4 DEFAULT NULL, u text CHARACTER SET utf8 COLLATE utf8_bin, e enum('a','b,c','d''e','ü') CHARACTER SET utf8, s set('x','y'), PRIMARY KEY (id), KEY prefix (latin(5))) ENGINE=InnoDB DEFAULT CHARSET=latin1 COMMENT='the table''s; comment';
INSERT INTO texts VALUES (1,'Köln','😀 \\ '' " \0 \n \r \Z','x','d''e','x,y'),(2,'',NULL,NULL,NULL,''),(3,'  spaces  ','` + "`; -- # /* */" + `','ß','ü',NULL),(7,'NULL','NULL','\\N','a','x');
CREATE TABLE bytes (id int PRIMARY KEY, b blob, v varbinary(20), c binary(4)) ENGINE=MyISAM;
INSERT INTO bytes VALUES (1,x'00FF27225C0A0D1A','\0\'',x'00'),(2,'',NULL,'abc'),(3,NULL,'','');
CREATE TABLE nothing (id int);
CREATE TABLE twins (a varchar(10));
INSERT INTO twins VALUES ('x'),('x'),(NULL),(NULL),(''),('y');` +
	"CREATE TABLE `select` (`key` int PRIMARY KEY, `a``b` int, `drop table` varchar(5) DEFAULT 'x'); INSERT INTO `select` VALUES (1,2,'y');" +
	"CREATE TABLE `-- odd.name'\"` (a int); INSERT INTO `-- odd.name'\"` VALUES (5);" +
	"CREATE TABLE `--help` (a int); CREATE TABLE `tîmes 日本` (`größe` int);" +
	"CREATE TABLE part (id int NOT NULL, PRIMARY KEY (id)) ENGINE=InnoDB PARTITION BY HASH (id) PARTITIONS 3; INSERT INTO part VALUES (1),(2),(3);"

func TestEveryKindOfValueArrives(t *testing.T) {
	b := newBench(t)
	b.old.run(t, everyKind)
	b.copies(module.Changed, nil)
	r := b.copies(module.OK, nil)
	t.Log(r.Note)
	dump := func(s *server) string {
		out, err := exec.Command("mariadb-dump", "--no-defaults", "--socket="+s.socket, "--user=root", "--hex-blob", "--skip-dump-date", "--skip-comments", "--order-by-primary",
			"--default-character-set=utf8mb4", "mailserver").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if want, got := dump(b.old), dump(b.new); got != want {
		t.Errorf("the dumps of both sides differ:\n%s", firstDifference(want, got))
	}
	// Each single change is seen, also that of a row whose twin is changed alike.
	for _, change := range []string{
		"UPDATE plain SET b = b'1' WHERE id = 3", "UPDATE plain SET g = -0.2 WHERE id = 3", "UPDATE plain SET n = 0 WHERE id = 2",
		"UPDATE texts SET wide = '😁' WHERE id = 1", "UPDATE texts SET u = '' WHERE id = 2", "UPDATE texts SET latin = 'Koln' WHERE id = 1",
		"UPDATE bytes SET b = x'00FF27225C0A0D1B' WHERE id = 1", "UPDATE bytes SET v = '' WHERE id = 2", "UPDATE twins SET a = 'z' WHERE a = 'x'",
		"UPDATE twins SET a = '' WHERE a IS NULL", "UPDATE texts SET latin='x', wide='yz' WHERE id=7", "UPDATE texts SET latin='xy', wide='z' WHERE id=7",
		"ALTER TABLE nothing ADD KEY (id)", "ALTER TABLE nothing MODIFY id int NOT NULL", "ALTER TABLE twins ENGINE=MyISAM", "ALTER TABLE texts MODIFY latin varchar(60) CHARACTER SET utf8 NOT NULL",
	} {
		b.old.run(t, "USE mailserver; "+change)
		b.copies(module.Changed, map[string]any{"backup": false})
	}
	b.copies(module.OK, nil)
}

func TestLatin1BecomesUTF8(t *testing.T) {
	b := newBench(t)
	b.old.run(t, everyKind)
	args := map[string]any{"columns": map[string]any{
		"texts.latin": map[string]any{"type": "varchar(80) CHARACTER SET utf8mb4 NOT NULL"},
		"texts.wide":  map[string]any{"value": "CONCAT(latin,'→',IFNULL(wide,'∅'))"},
		"texts.u":     map[string]any{"value": "wide", "type": "text CHARACTER SET utf8mb4"},
		"plain.flag":  map[string]any{"value": "IFNULL(flag,0)", "type": "tinyint(1) NOT NULL DEFAULT '0'"},
	}}
	b.copies(module.Changed, args)
	b.copies(module.OK, args)
	if got := b.new.value(t, "SELECT GROUP_CONCAT(latin,HEX(latin)) FROM mailserver.texts WHERE id=1"); got != "Köln4BC3B66C6E" {
		t.Errorf("latin is %s", got)
	}
	if got := b.new.value(t, "SELECT CONCAT(wide,'|',IFNULL(u,'NULL')) FROM mailserver.texts WHERE id=2"); got != "→∅|NULL" {
		t.Errorf("the second value was computed from the first: %s", got)
	}
	if got := b.new.value(t, "SELECT stamp FROM mailserver.plain WHERE id=2"); !strings.HasPrefix(got, "2020-01-01") && !strings.HasPrefix(got, "2019-12-31") {
		t.Errorf("the time of the last change became %s", got)
	}
	if got := b.new.value(t, "SELECT COLLATION_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='mailserver' AND COLUMN_NAME='wide'"); got != "utf8mb4_general_ci" {
		t.Errorf("the collation of an untouched column is %s", got)
	}
}

func TestTablesOfTheTargetAloneStay(t *testing.T) {
	b := newBench(t)
	b.old.run(t, wheezy)
	b.new.run(t, liveBefore)
	b.new.run(t, "CREATE TABLE mailserver.vacation (email varchar(100)); INSERT INTO mailserver.vacation VALUES ('me')")
	r := b.copies(module.Changed, prefixed)
	if got := b.new.value(t, "SELECT email FROM mailserver.vacation"); got != "me" {
		t.Errorf("the target's own table holds %s", got)
	}
	if !strings.Contains(r.Note, "left alone on the target: vacation") {
		t.Errorf("note %q", r.Note)
	}
	// One that refers to a table to be replaced would go on referring to the one thrown away.
	b.old.run(t, "DELETE FROM mailserver.virtual_users WHERE id=9")
	b.new.run(t, "CREATE TABLE mailserver.prefs (uid int, FOREIGN KEY (uid) REFERENCES mailserver.virtual_users (id))")
	b.fails(prefixed, "prefs", "foreign key", "drop that table or that key first")
	b.new.run(t, "DROP TABLE mailserver.prefs; CREATE DATABASE elsewhere; CREATE TABLE elsewhere.prefs (uid int, FOREIGN KEY (uid) REFERENCES mailserver.virtual_users (id))")
	b.fails(prefixed, "elsewhere.prefs", "foreign key")
}

func TestMissingSource(t *testing.T) {
	b := newBench(t)
	r := b.call(context.Background(), "mysql.copy", true, b.copyArgs(nil))
	var absent *module.AbsentError
	if !errors.As(r.Err, &absent) || r.Err.Error() != "no database mailserver on old" {
		t.Errorf("%v", r.Err)
	}
	b.old.run(t, "CREATE DATABASE mailserver")
	b.new.run(t, liveBefore)
	b.fails(nil, "it has no tables on old")
	b.old.run(t, "DROP DATABASE mailserver;"+wheezy)
	b.fails(map[string]any{"columns": map[string]any{"virtual_user.password": map[string]any{"value": "1"}}}, "database mailserver has no table virtual_user")
	b.fails(map[string]any{"columns": map[string]any{"virtual_users.pass": map[string]any{"value": "1"}}}, "table virtual_users has no such column")
	b.fails(map[string]any{"columns": map[string]any{"virtual_users.password": map[string]any{"value": "CONCAT(nothing)"}}}, "nothing", "virtual_users")
}

// TestBackupIsTheTargetBefore restores the dump that a copy made, with mysql.load.
func TestBackupIsTheTargetBefore(t *testing.T) {
	b := newBench(t)
	b.old.run(t, wheezy)
	b.new.run(t, liveBefore)
	before := b.state()
	r := b.copies(module.Changed, prefixed)
	backup := r.Output["backup"].(string)
	info, err := os.Stat(backup)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("backup: %v %v", info, err)
	}
	if len(b.kept) != 1 || b.kept[0] != (module.Original{Host: "new", Object: "database mailserver", Backup: backup}) {
		t.Errorf("kept %+v", b.kept)
	}
	b.new.run(t, "DROP TABLE mailserver.virtual_aliases; UPDATE mailserver.virtual_users SET email='x' WHERE id=1")
	l := b.call(context.Background(), "mysql.load", false, b.one(map[string]any{"database": "mailserver", "path": backup, "backup": false}))
	if l.Err != nil {
		t.Fatal(l.Err)
	}
	b.unchanged(before)
}

func TestNoBackupNoCopy(t *testing.T) {
	b := newBench(t)
	b.old.run(t, wheezy)
	b.new.run(t, liveBefore)
	file := filepath.Join(b.backups, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.fails(map[string]any{"backup_dir": file + "/below"}, "cannot back up database mailserver before changing it")
}

// TestSourceInUse: rows that are written while the copy runs are an error only when the copy cannot keep up.
func TestSourceInUse(t *testing.T) {
	b := newBench(t)
	b.old.run(t, wheezy)
	b.fill("mailserver.virtual_aliases", 2000)
	b.from.slow = func(r io.Reader) io.Reader { return &slowReader{r} }
	var writes atomic.Int64
	writing, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for writing.Err() == nil {
			_, _ = b.old.db.Exec("UPDATE mailserver.virtual_users SET password=MD5(RAND()) WHERE id=1")
			writes.Add(1)
			time.Sleep(time.Millisecond)
		}
	}()
	r := b.call(context.Background(), "mysql.copy", false, b.copyArgs(prefixed))
	if databases := b.new.databases(t); len(databases) != 0 {
		t.Errorf("databases after a copy that failed: %v", databases)
	}
	inUse := b.copyArgs(prefixed)
	inUse["in_use"] = true
	taken := b.call(context.Background(), "mysql.copy", false, inUse)
	stop()
	<-done
	if writes.Load() < 20 {
		t.Fatalf("only %d changes were made", writes.Load())
	}
	if r.Status != module.Failed || !strings.Contains(r.Err.Error(), "it changes too fast") {
		t.Errorf("%s: %v", r.Status, r.Err)
	}
	if taken.Status != module.Changed {
		t.Errorf("a copy of a source in use: %s: %v", taken.Status, taken.Err)
	}
	// One change in the middle: copied, and no complaint that the second look finds a difference.
	once := false
	b.from.slow = nil
	b.from.started = func(c *exec.Cmd) {
		if !once && strings.Contains(strings.Join(c.Args, " "), "mariadb-dump") {
			once = true
			b.old.run(t, "INSERT INTO mailserver.virtual_aliases (domain_id,source,destination) VALUES (1,'late','late')")
		}
	}
	b.copies(module.Changed, prefixed)
	if !once {
		t.Error("nothing was changed in the middle")
	}
	b.from.started = nil
	b.copies(module.OK, prefixed)
}

func TestBigTableNeedsNoMemory(t *testing.T) {
	b := newBench(t)
	b.old.run(t, `CREATE DATABASE mailserver; USE mailserver; CREATE TABLE big (id int PRIMARY KEY, filler varchar(1000), password varchar(32)) DEFAULT CHARSET=utf8;
		INSERT INTO big SELECT seq, REPEAT(MD5(seq),30), MD5(seq) FROM seq_1_to_100000`)
	var peak atomic.Uint64
	runtime.GC()
	var start runtime.MemStats
	runtime.ReadMemStats(&start)
	look := func(module.Progress) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak.Store(max(peak.Load(), m.HeapInuse))
	}
	var carried int64
	args := b.copyArgs(map[string]any{"columns": map[string]any{"big.password": map[string]any{"type": "varchar(150)", "value": "CONCAT('{PLAIN-MD5}',password)"}}})
	for _, m := range modules.All() {
		if m.Name != "mysql.copy" {
			continue
		}
		c, err := m.Decode(args)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Bind(b.hosts); err != nil {
			t.Fatal(err)
		}
		n := 0
		r := c.Run(context.Background(), false, module.Observer{Progress: func(p module.Progress) {
			carried = max(carried, p.Bytes)
			if n++; n%50 == 0 {
				look(p)
			}
		}})
		if r.Status != module.Changed {
			t.Fatalf("%s: %v", r.Status, r.Err)
		}
	}
	if carried < 90<<20 {
		t.Errorf("only %d bytes were carried", carried)
	}
	if grown := int64(peak.Load()) - int64(start.HeapInuse); peak.Load() == 0 || grown > 16<<20 {
		t.Errorf("the heap grew by %d KiB while %d KiB went through", grown>>10, carried>>10)
	} else {
		t.Logf("the heap grew by %d KiB while %d KiB went through", grown>>10, carried>>10)
	}
	if got := b.new.value(t, "SELECT CONCAT(COUNT(*),MIN(password)) FROM mailserver.big"); got != "100000{PLAIN-MD5}0000c2d2c0b7e1d4d8a5d0b2bdf8b8cb" && !strings.HasPrefix(got, "100000{PLAIN-MD5}0") {
		t.Errorf("found %s", got)
	}
}

// TestHostileSource: a source whose dump program does what no dump program does.
func TestHostileSource(t *testing.T) {
	for name, c := range map[string]struct{ tail, says string }{
		"a command for the client":        {`printf '\\! touch "%s"/owned\n' "$D"; cat`, "backslash outside of quotes"},
		"a client's command by name":      {`printf 'system touch "%s"/owned\n' "$D"; cat`, "no dump of tables does: system touch"},
		"another database":                {`echo 'INSERT INTO ` + "`mysql`.`user`" + ` VALUES (1);'; cat`, "no dump of tables does: INSERT INTO"},
		"an account":                      {`echo 'CREATE USER evil;'; cat`, "CREATE USER evil"},
		"a hidden statement":              {`echo '/*M '"'"' */ DROP DATABASE mysql; -- '"'"; cat`, "DROP DATABASE mysql"},
		"other quotes":                    {`echo "SET sql_mode='NO_BACKSLASH_ESCAPES';"; cat`, "SET sql_mode='NO_BACKSLASH_ESCAPES'"},
		"an end in the middle":            {`head -c 3000; cat >/dev/null`, "the dump ends in the middle"},
		"a complaint":                     {`cat; echo "mysqldump: Couldn't execute 'SHOW FIELDS'" >&2`, "Couldn't execute"},
		"a status":                        {`cat; exit 2`, "exit status 2"},
		"a row less":                      {`sed "/^(2,'example.net'),/d"`, "its rows differ"},
		"no data (the empty dump of old)": {`sed '/^INSERT/,/;$/d'`, "its rows differ"},
		"a table less":                    {`sed 's/virtual_aliases/virtual_alias/g'`, "the dump did not hold it"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.old.run(t, wheezy)
			b.new.run(t, liveBefore)
			dir := t.TempDir()
			real, err := exec.LookPath("mariadb-dump")
			if err != nil {
				t.Fatal(err)
			}
			script := "#!/bin/bash\nset -o pipefail\nD='" + dir + "'\nif [ \"$2\" = --help ]; then exec " + real + " \"$@\"; fi\n" + real + " \"$@\" | { " + c.tail + "\n}\n"
			if err := os.WriteFile(filepath.Join(dir, "mariadb-dump"), []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			b.from.path = dir + ":" + os.Getenv("PATH")
			b.fails(nil, c.says)
			if _, err := os.Stat(filepath.Join(dir, "owned")); err == nil {
				t.Error("the source ran a command on the target")
			}
		})
	}
}

// TestNoPasswordIsSeen looks for the passwords in everything that was run and said.
func TestNoPasswordIsSeen(t *testing.T) {
	b := newBench(t)
	b.old.run(t, wheezy)
	b.new.run(t, liveBefore)
	const password = `s3cr#t "q' \n`
	for _, s := range []*server{b.old, b.new} {
		s.run(t, "CREATE USER boss@localhost IDENTIFIED BY 's3cr#t \"q\\' \\\\n'; GRANT ALL ON *.* TO boss@localhost")
		t.Cleanup(func() { s.run(t, "DROP USER boss@localhost") })
	}
	login := func(s *server) map[string]any {
		return map[string]any{"socket": s.socket, "user": "boss", "password": module.NewSecret(password)}
	}
	r := b.copies(module.Changed, map[string]any{"from_login": login(b.old), "to_login": login(b.new)})
	for _, m := range []*machine{b.from, b.to} {
		if all := strings.Join(m.argv, "\x00"); strings.Contains(all, "s3cr#t") {
			t.Errorf("%s saw the password in an argument", m.name)
		}
	}
	if got := b.new.value(t, "SELECT COUNT(*) FROM mailserver.virtual_users"); got != "4" {
		t.Errorf("%s users", got)
	}
	if r.Output["backup"] == nil {
		t.Error("no backup")
	}
	left, _ := filepath.Glob(os.TempDir() + "/*.cnf")
	if len(left) > 0 {
		t.Errorf("files left: %v", left)
	}
	var buffer bytes.Buffer
	fmt.Fprintf(&buffer, "%+v", r)
	if strings.Contains(buffer.String(), "s3cr#t") {
		t.Error("the result holds the password")
	}
}
