package mysql_test

import (
	"context"
	"strings"
	"testing"

	"runner/runtime/module"
)

const wheezy = `
CREATE DATABASE mailserver DEFAULT CHARACTER SET utf8;
USE mailserver;
CREATE TABLE virtual_domains (id int(11) NOT NULL auto_increment, name varchar(50) NOT NULL, PRIMARY KEY (id)) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE virtual_users (id int(11) NOT NULL auto_increment, domain_id int(11) NOT NULL, password varchar(32) NOT NULL, email varchar(100) NOT NULL,
  PRIMARY KEY (id), UNIQUE KEY email (email), FOREIGN KEY (domain_id) REFERENCES virtual_domains(id) ON DELETE CASCADE) ENGINE=InnoDB DEFAULT CHARSET=utf8;
CREATE TABLE virtual_aliases (id int(11) NOT NULL auto_increment, domain_id int(11) NOT NULL, source varchar(100) NOT NULL, destination varchar(100) NOT NULL,
  PRIMARY KEY (id), FOREIGN KEY (domain_id) REFERENCES virtual_domains(id) ON DELETE CASCADE) ENGINE=InnoDB DEFAULT CHARSET=utf8;
INSERT INTO virtual_domains VALUES (1,'example.org'),(2,'example.net'),(7,'bücher.example');
INSERT INTO virtual_users VALUES (1,1,MD5('alice'),'alice@example.org'),(2,1,MD5('bob'),'bob@example.org'),(3,2,UPPER(MD5('carol')),'carol@example.net'),
  (9,7,'$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/','jörg@bücher.example');
INSERT INTO virtual_aliases VALUES (1,1,'@example.org','alice@example.org'),(2,1,'info@example.org','alice@example.org'),(3,1,'info@example.org','bob@example.org');
`

// prefixed is how the guide's two statements look as a wanted state.
var prefixed = map[string]any{"columns": map[string]any{"virtual_users.password": map[string]any{
	"type":  "varchar(150) NOT NULL",
	"value": "CASE WHEN password REGEXP '^[0-9a-f]{32}$' THEN CONCAT('{PLAIN-MD5}',password) ELSE password END",
}}}

func TestCopyTwiceChangesNothing(t *testing.T) {
	b := newBench(t)
	b.old.run(t, wheezy)
	r := b.copies(module.Changed, prefixed)
	if got, want := r.Changes[0].Summary, "load 3 tables, 10 rows from old into mailserver"; got != want {
		t.Errorf("summary is %q, not %q", got, want)
	}
	if got := b.new.value(t, "SELECT GROUP_CONCAT(LEFT(password,13) ORDER BY id) FROM mailserver.virtual_users"); !strings.HasPrefix(got, "{PLAIN-MD5}63,{PLAIN-MD5}9f,{PLAIN-MD5}A9,$1$saltsalt$q") {
		t.Errorf("passwords begin with %s", got)
	}
	if got := b.new.value(t, "SELECT COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='mailserver' AND COLUMN_NAME='password'"); got != "varchar(150)" {
		t.Errorf("the column is %s", got)
	}
	if got := b.new.value(t, "SELECT email FROM mailserver.virtual_users WHERE id=9"); got != "jörg@bücher.example" {
		t.Errorf("the address is %s", got)
	}
	again := b.copies(module.OK, prefixed)
	if len(again.Changes) != 0 || again.Note != "already equal" {
		t.Errorf("second copy: %v (%s)", again.Changes, again.Note)
	}
	if got := b.new.databases(t); len(got) != 1 {
		t.Errorf("databases left: %v", got)
	}
	// A password that changes in the meantime comes over, and is prefixed once as well; the prefixed ones stay.
	b.old.run(t, "UPDATE mailserver.virtual_users SET password=MD5('new') WHERE id=1")
	r = b.copies(module.Changed, prefixed)
	if got := b.new.value(t, "SELECT COUNT(*) FROM mailserver.virtual_users WHERE password LIKE '%{PLAIN-MD5}%{PLAIN-MD5}%'"); got != "0" {
		t.Errorf("%s passwords are prefixed twice", got)
	}
	if got, want := b.new.value(t, "SELECT password FROM mailserver.virtual_users WHERE id=1"), "{PLAIN-MD5}22af645d1859cb5ca6da0c484f1f37ea"; got != want {
		t.Errorf("password is %s", got)
	}
	if len(b.kept) == 0 || b.kept[len(b.kept)-1].Backup == "" || r.Output["backup"] != b.kept[len(b.kept)-1].Backup {
		t.Errorf("no backup was recorded: %v, output %v", b.kept, r.Output)
	}
	if !strings.HasSuffix(r.Changes[0].Summary, "(backup first)") {
		t.Errorf("summary %q", r.Changes[0].Summary)
	}
	b.copies(module.OK, prefixed)
}

func TestCopyInCheckModeWritesNothing(t *testing.T) {
	b := newBench(t)
	b.old.run(t, wheezy)
	r := b.call(context.Background(), "mysql.copy", true, b.copyArgs(prefixed))
	if r.Status != module.Changed || r.Err != nil {
		t.Fatalf("%s: %v", r.Status, r.Err)
	}
	if got := b.new.databases(t); len(got) != 0 {
		t.Errorf("databases made: %v", got)
	}
	if want := "table virtual_users: 4 rows\n  password = CASE"; !strings.Contains(r.Changes[0].After, want) {
		t.Errorf("after is\n%s", r.Changes[0].After)
	}
}
