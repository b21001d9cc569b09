package mysql_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"runner/runtime/module"
)

// controlDatabase makes a control database of the guide in the given shape of columns.
func controlDatabase(name, charset, rows string) string {
	return fmt.Sprintf(`CREATE DATABASE %[1]s DEFAULT CHARACTER SET %[2]s; USE %[1]s;
CREATE TABLE virtual_domains (id int(11) NOT NULL auto_increment, name varchar(50) NOT NULL, PRIMARY KEY (id)) ENGINE=InnoDB DEFAULT CHARSET=%[2]s;
CREATE TABLE virtual_users (id int(11) NOT NULL auto_increment, domain_id int(11) NOT NULL, password varchar(150) NOT NULL, email varchar(100) NOT NULL,
  PRIMARY KEY (id), UNIQUE KEY email (email), FOREIGN KEY (domain_id) REFERENCES virtual_domains(id) ON DELETE CASCADE) ENGINE=InnoDB DEFAULT CHARSET=%[2]s;
CREATE TABLE virtual_aliases (id int(11) NOT NULL auto_increment, domain_id int(11) NOT NULL, source varchar(100) NOT NULL, destination varchar(100) NOT NULL,
  PRIMARY KEY (id), FOREIGN KEY (domain_id) REFERENCES virtual_domains(id) ON DELETE CASCADE) ENGINE=InnoDB DEFAULT CHARSET=%[2]s;
%[3]s;`, name, charset, rows)
}

// looseDatabase has neither keys nor references, as tables of MyISAM that were changed by hand for years.
func looseDatabase(name, rows string) string {
	return fmt.Sprintf(`CREATE DATABASE %[1]s; USE %[1]s;
CREATE TABLE virtual_domains (id int PRIMARY KEY, name varchar(60)) ENGINE=MyISAM;
CREATE TABLE virtual_users (id int PRIMARY KEY, domain_id int, email varchar(120), password varchar(150), quota int, extra int) ENGINE=MyISAM;
CREATE TABLE virtual_aliases (id int PRIMARY KEY, domain_id int, source varchar(120), destination varchar(200)) ENGINE=MyISAM;
%[2]s;`, name, rows)
}

// served is what the new server has before a merge; its numbers collide with those of every source.
const served = `INSERT INTO virtual_domains VALUES (1,'there.example'),(2,'second.example');
INSERT INTO virtual_users VALUES (1,1,'{PLAIN-MD5}0','ann@there.example'),(2,2,'{PLAIN-MD5}1','ben@second.example');
INSERT INTO virtual_aliases VALUES (1,1,'post@there.example','ann@there.example')`

// comes is what a source has.
const comes = `INSERT INTO virtual_domains VALUES (1,'Example.org'),(2,'example.net');
INSERT INTO virtual_users VALUES (1,1,'{PLAIN-MD5}a','Alice@example.org'),(2,2,'{PLAIN-MD5}b','bob@example.net');
INSERT INTO virtual_aliases VALUES (1,1,'info@example.org','alice@example.org'),(2,1,'info@example.org','bob@example.net'),(3,2,'@example.net','bob@example.net')`

// everything lists the rows of a control database by their names.
const everything = `SELECT GROUP_CONCAT(t ORDER BY t SEPARATOR '\n') FROM (
SELECT CONCAT('domain ',name) AS t FROM %[1]s.virtual_domains
UNION ALL SELECT CONCAT('account ',email,' of ',name,' ',password) FROM %[1]s.virtual_users u JOIN %[1]s.virtual_domains d ON d.id=domain_id
UNION ALL SELECT CONCAT('alias ',source,' -> ',destination,' of ',name) FROM %[1]s.virtual_aliases a JOIN %[1]s.virtual_domains d ON d.id=domain_id) x`

func (b *bench) merges(status module.Status, more map[string]any) module.Result {
	b.t.Helper()
	args := b.one(map[string]any{"from_database": "mig_a", "database": "mailserver", "backup_dir": b.backups})
	maps.Copy(args, more)
	r := b.call(context.Background(), "mysql.merge", false, args)
	if r.Status != status {
		b.t.Fatalf("mysql.merge ended %s: %v (%s)\n%s", r.Status, r.Err, r.Note, differences(r))
	}
	return r
}

func (b *bench) holds(want string) {
	b.t.Helper()
	if got := b.new.value(b.t, fmt.Sprintf(everything, "mailserver")); got != strings.TrimSpace(want) {
		b.t.Errorf("mailserver holds\n%s\nnot\n%s", got, strings.TrimSpace(want))
	}
}

const merged = `
account alice@example.org of example.org {PLAIN-MD5}a
account ann@there.example of there.example {PLAIN-MD5}0
account ben@second.example of second.example {PLAIN-MD5}1
account bob@example.net of example.net {PLAIN-MD5}b
alias @example.net -> bob@example.net of example.net
alias info@example.org -> alice@example.org of example.org
alias info@example.org -> bob@example.net of example.org
alias post@there.example -> ann@there.example of there.example
domain example.net
domain example.org
domain second.example
domain there.example`

func TestMergeByNameTwiceChangesNothing(t *testing.T) {
	b := newBench(t)
	b.new.run(t, controlDatabase("mailserver", "utf8", served))
	b.new.run(t, controlDatabase("mig_a", "latin1", comes))
	args := b.one(map[string]any{"from_database": "mig_a", "database": "mailserver", "backup_dir": b.backups})
	before := b.state()
	if r := b.call(context.Background(), "mysql.merge", true, args); r.Status != module.Changed || r.Err != nil {
		t.Fatalf("in check mode: %s: %v", r.Status, r.Err)
	}
	b.unchanged(before)
	if files, _ := os.ReadDir(b.backups); len(files) != 0 {
		t.Errorf("check mode made a backup: %v", files)
	}

	r := b.merges(module.Changed, nil)
	if got, want := r.Changes[0].Summary, "bring 2 domains, 2 accounts, 3 aliases into mailserver"; got != want {
		t.Errorf("summary %q, not %q", got, want)
	}
	if strings.Contains(differences(r), "PLAIN-MD5") {
		t.Errorf("a password is shown:\n%s", differences(r))
	}
	b.holds(merged)
	if file, ok := r.Output["backup"].(string); !ok || len(b.kept) != 1 || b.kept[0].Backup != file {
		t.Errorf("backup %v, kept %v", r.Output["backup"], b.kept)
	}

	b.kept = nil
	again := b.merges(module.OK, nil)
	if again.Note != "2 domains, 2 accounts, equal" || len(b.kept) != 0 {
		t.Errorf("second time: %s, %v", again.Note, b.kept)
	}
	b.holds(merged)

	// What the source has got since comes over; the second source stops at nothing of the first.
	b.new.run(t, "INSERT INTO mig_a.virtual_users (domain_id,password,email) VALUES (1,'{PLAIN-MD5}c','carl@example.org')")
	b.new.run(t, controlDatabase("mig_b", "utf8", "INSERT INTO virtual_domains VALUES (1,'third.example'); INSERT INTO virtual_users VALUES (1,1,'{PLAIN-MD5}d','dora@third.example')"))
	b.merges(module.Changed, nil)
	b.merges(module.Changed, map[string]any{"from_database": "mig_b"})
	b.merges(module.OK, nil)
	b.merges(module.OK, map[string]any{"from_database": "mig_b"})
	if got := strings.Join(b.new.databases(t), " "); got != "mailserver mig_a mig_b" {
		t.Errorf("databases: %s", got)
	}
}

func TestMergeStopsAndShowsTheRows(t *testing.T) {
	for name, c := range map[string]struct {
		from, into string // rows beside those of comes and served
		loose      bool   // the source has no keys and nothing but these rows
		more       map[string]any
		says       []string
	}{
		"same address, other password": {
			into: "INSERT INTO virtual_domains VALUES (9,'example.org'); INSERT INTO virtual_users VALUES (9,9,'{PLAIN-MD5}x','alice@example.org')",
			says: []string{"both databases have a domain and differ in it", "account alice@example.org: another password"},
		},
		"same domain": {
			into: "INSERT INTO virtual_domains VALUES (9,'EXAMPLE.org '); INSERT INTO virtual_users VALUES (9,9,'{PLAIN-MD5}x','zoe@example.org'); INSERT INTO virtual_aliases VALUES (9,9,'all@example.org','zoe@example.org')",
			says: []string{"account zoe@example.org: only mailserver has it", "alias all@example.org -> zoe@example.org: only mailserver has it"},
		},
		"address of another domain": {
			into: "INSERT INTO virtual_users VALUES (9,1,'{PLAIN-MD5}x','alice@example.org')",
			says: []string{"an address belongs to others", "alice@example.org: in mig_a of domain example.org, in mailserver of domain there.example"},
		},
		"domain twice": {
			from: "INSERT INTO virtual_domains VALUES (9,'example.ORG')",
			says: []string{"a domain stands there more than once", "mig_a.virtual_domains: example.org (id 1, id 9)"},
		},
		"domain twice in the target": {
			into: "INSERT INTO virtual_domains VALUES (8,'example.org'),(9,'example.org')",
			says: []string{"mailserver.virtual_domains: example.org (id 8, id 9)"},
		},
		"alias for a mailbox": {
			from: "INSERT INTO virtual_aliases VALUES (9,1,'ann@there.example','alice@example.org')",
			says: []string{"an alias would take the mail of a mailbox", "alias ann@there.example -> alice@example.org of mig_a, mailbox ann@there.example of mailserver"},
		},
		"mailbox under an alias": {
			into: "INSERT INTO virtual_aliases VALUES (9,1,'bob@example.net','ann@there.example')",
			says: []string{"alias bob@example.net -> ann@there.example of mailserver, mailbox bob@example.net of mig_a"},
		},
		"catch-all of the target": {
			into: "INSERT INTO virtual_aliases VALUES (9,1,'@example.org','ann@there.example')",
			says: []string{"a catch-all would take mail of the other server", "catch-all @example.org -> ann@there.example of mailserver, mailbox alice@example.org of mig_a"},
		},
		"catch-all of the source": {
			from: "INSERT INTO virtual_aliases VALUES (9,1,'@second.example','alice@example.org')",
			says: []string{"catch-all @second.example -> alice@example.org of mig_a, mailbox ben@second.example of mailserver"},
		},
		"two catch-alls": {
			into: "INSERT INTO virtual_aliases VALUES (9,1,'@example.net','ann@there.example')",
			says: []string{"catch-all @example.net -> bob@example.net of mig_a, catch-all @example.net -> ann@there.example of mailserver"},
		},
		"loop": {
			from: "INSERT INTO virtual_aliases VALUES (9,1,'loop@example.org','x@far.example, Loop@there.example')",
			into: "INSERT INTO virtual_aliases VALUES (9,1,'loop@there.example','middle@there.example'),(10,1,'middle@there.example','loop@example.org')",
			says: []string{"aliases would lead in a circle", "loop@example.org -> x@far.example, Loop@there.example", "loop@there.example -> middle@there.example", "middle@there.example -> loop@example.org"},
		},
		"loop over a catch-all": {
			into: "INSERT INTO virtual_domains VALUES (9,'example.net'); INSERT INTO virtual_aliases VALUES (9,1,'far@there.example','nobody@example.net')",
			from: "UPDATE virtual_aliases SET destination='far@there.example' WHERE id=3",
			says: []string{"@example.net -> far@there.example", "far@there.example -> nobody@example.net"},
		},
		"alias to the old host": {
			from: "INSERT INTO virtual_aliases VALUES (9,1,'root@example.org','root@Mail-Old.example.org')",
			more: map[string]any{"old_hosts": []any{"mail-old.example.org"}},
			says: []string{"aliases lead to the old server by its name", "root@example.org -> root@Mail-Old.example.org"},
		},
		"rows without a domain": {
			loose: true, from: "INSERT INTO virtual_domains VALUES (1,'example.org'); INSERT INTO virtual_users VALUES (1,7,'lost@example.org','x',1,1),(2,NULL,'void@example.org','x',1,1); INSERT INTO virtual_aliases VALUES (3,8,'a@example.org','b@example.org')",
			says: []string{"rows belong to no domain", "mig_a.virtual_users id 1, domain_id 7: lost@example.org", "mig_a.virtual_users id 2, domain_id NULL: void@example.org", "mig_a.virtual_aliases id 3, domain_id 8: a@example.org -> b@example.org"},
		},
		"same address twice, no address, too long": {
			loose: true, from: "INSERT INTO virtual_domains VALUES (1,'example.org'); INSERT INTO virtual_users VALUES (1,1,'Two@example.org','x',1,1),(2,1,'two@example.org','y',1,1),(3,1,NULL,'z',1,1); INSERT INTO virtual_aliases VALUES (4,1,'john','x@example.org'),(5,1,'long@example.org',REPEAT('d',101))",
			says: []string{"an address stands there more than once", "two@example.org (id 1, id 2)", "rows have no whole address", `mig_a.virtual_users id 3: ""`, `mig_a.virtual_aliases id 4: "john" -> "x@example.org"`,
				"values are too long for mailserver", "virtual_aliases.destination takes 100, not 101: long@example.org"},
		},
		"no such domain": {more: map[string]any{"domains": []any{"example.com"}}, says: []string{"there is no domain example.com in mig_a"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.new.run(t, controlDatabase("mailserver", "utf8", served+";"+c.into))
			if c.loose {
				b.new.run(t, looseDatabase("mig_a", c.from))
			} else {
				b.new.run(t, controlDatabase("mig_a", "utf8", comes+";"+c.from))
			}
			before := b.new.value(t, fmt.Sprintf(everything, "mailserver"))
			r := b.merges(module.Failed, c.more)
			for _, s := range c.says {
				if !strings.Contains(r.Err.Error(), s) {
					t.Errorf("the error does not say %q:\n%v", s, r.Err)
				}
			}
			if strings.Contains(r.Err.Error(), "PLAIN-MD5") {
				t.Errorf("a password is shown:\n%v", r.Err)
			}
			b.holds(before)
			if got := strings.Join(b.new.databases(t), " "); got != "mailserver mig_a" {
				t.Errorf("databases: %s", got)
			}
			if files, _ := os.ReadDir(b.backups); len(files) != 0 {
				t.Errorf("a backup was made: %v", files)
			}
		})
	}
}

func TestMergeOfDecidedDomains(t *testing.T) {
	b := newBench(t)
	shared := `;INSERT INTO virtual_domains VALUES (9,'example.org'); INSERT INTO virtual_users VALUES (9,9,'{PLAIN-MD5}x','alice@example.org'),(10,9,'{PLAIN-MD5}z','zoe@example.org');
INSERT INTO virtual_aliases VALUES (9,9,'info@example.org','zoe@example.org')`
	b.new.run(t, controlDatabase("mailserver", "utf8", served+shared))
	b.new.run(t, controlDatabase("mig_a", "utf8", comes))
	r := b.merges(module.Changed, map[string]any{"existing": "keep", "domains": []any{"Example.org"}})
	if r.Output["kept"] != int64(3) {
		t.Errorf("kept %v", r.Output["kept"])
	}
	b.merges(module.OK, map[string]any{"existing": "keep", "domains": []any{"example.org"}})
	if got := b.new.value(t, "SELECT password FROM mailserver.virtual_users WHERE email='alice@example.org'"); got != "{PLAIN-MD5}x" {
		t.Errorf("keep changed the password to %s", got)
	}
	r = b.merges(module.Changed, map[string]any{"prune": true})
	if got, want := r.Changes[0].Summary, "bring 1 domain, 1 account, 1 alias into mailserver; change 1 account; remove 1 account, 1 alias"; got != want || !r.Changes[0].Destroys {
		t.Errorf("summary %q (destroys %v)", got, r.Changes[0].Destroys)
	}
	b.holds(merged)
	b.merges(module.OK, map[string]any{"prune": true})
	b.merges(module.OK, nil)
}

func TestMergeKeepsNullsAndCharacters(t *testing.T) {
	b := newBench(t)
	b.new.run(t, looseDatabase("mailserver", "INSERT INTO virtual_domains VALUES (1,'bucher.example'); INSERT INTO virtual_users VALUES (1,1,'jorg@bucher.example','x',7,NULL)"))
	b.new.run(t, "USE mailserver; ALTER TABLE virtual_domains MODIFY id int auto_increment; ALTER TABLE virtual_users MODIFY id int auto_increment; ALTER TABLE virtual_aliases MODIFY id int auto_increment")
	b.new.run(t, controlDatabase("mig_a", "latin1", "INSERT INTO virtual_domains VALUES (1,'bücher.example'); INSERT INTO virtual_users VALUES (1,1,'{PLAIN-MD5}ü','Jörg@bücher.example')"))
	b.new.run(t, "USE mig_a; ALTER TABLE virtual_users ADD quota int NULL, ADD homeDir varchar(20) NULL")
	b.merges(module.Changed, nil)
	for query, want := range map[string]string{
		"SELECT CONCAT_WS('|', email, password, name, IFNULL(quota,'NULL'), IFNULL(extra,'NULL')) FROM mailserver.virtual_users u JOIN mailserver.virtual_domains d ON d.id=domain_id WHERE u.id=2": "jörg@bücher.example|{PLAIN-MD5}ü|bücher.example|NULL|NULL",
		"SELECT CONCAT_WS('|', email, quota) FROM mailserver.virtual_users WHERE id=1":                                                                                                              "jorg@bucher.example|7",
	} {
		if got := b.new.value(t, query); got != want {
			t.Errorf("%s: %s", query, got)
		}
	}
	b.merges(module.OK, nil)
}

func TestMergeThatFailsHalfWayChangesNothing(t *testing.T) {
	b := newBench(t)
	b.new.run(t, controlDatabase("mailserver", "utf8", served))
	b.new.run(t, controlDatabase("mig_a", "utf8", comes))
	b.new.run(t, "CREATE TRIGGER mailserver.refuse BEFORE INSERT ON mailserver.virtual_aliases FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not today'")
	before := b.new.value(t, fmt.Sprintf(everything, "mailserver"))
	r := b.merges(module.Failed, nil)
	if want := "cannot bring mig_a into mailserver on new: alias @example.net -> bob@example.net: not today"; !strings.Contains(r.Err.Error(), want) {
		t.Errorf("the error is %v", r.Err)
	}
	b.holds(before)
	b.new.run(t, "DROP TRIGGER mailserver.refuse")
	b.merges(module.Changed, nil)
	b.holds(merged)
}

func TestMergeOfAnotherShapeIsRefused(t *testing.T) {
	b := newBench(t)
	b.new.run(t, controlDatabase("mailserver", "utf8", served))
	b.new.run(t, controlDatabase("mig_a", "utf8", comes))
	b.new.run(t, "ALTER TABLE mig_a.virtual_users CHANGE email user varchar(40) NOT NULL")
	if r := b.merges(module.Failed, nil); !strings.Contains(r.Err.Error(), "table mig_a.virtual_users has no column email: it is not of the shape with whole addresses") {
		t.Errorf("the error is %v", r.Err)
	}
	b.new.run(t, "DROP TABLE mig_a.virtual_users")
	if r := b.merges(module.Failed, nil); !strings.Contains(r.Err.Error(), "database mig_a has no table virtual_users") {
		t.Errorf("the error is %v", r.Err)
	}
}
