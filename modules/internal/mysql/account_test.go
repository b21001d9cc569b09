package mysql_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"strings"
	"testing"

	"runner/runtime/module"
)

func (b *bench) does(name string, status module.Status, more map[string]any) module.Result {
	b.t.Helper()
	args := map[string]any{"on": module.HostName("new"), "login": map[string]any{"socket": b.new.socket}}
	if name == "mysql.database" {
		args = b.one(map[string]any{"backup_dir": b.backups})
	}
	maps.Copy(args, more)
	r := b.call(context.Background(), name, false, args)
	if r.Status != status {
		b.t.Fatalf("%s %v ended %s: %v (%s)\n%s", name, more, r.Status, r.Err, r.Note, differences(r))
	}
	if shown := fmt.Sprint(r.Err, r.Output, differences(r), b.kept); strings.Contains(shown, "geheim") || strings.Contains(shown, "*") && strings.Contains(shown, "IDENTIFIED") {
		b.t.Errorf("a password is shown: %s", shown)
	}
	return r
}

func TestUser(t *testing.T) {
	b := newBench(t)
	drop := func() { b.new.run(t, "DROP USER IF EXISTS reader@localhost") }
	drop()
	t.Cleanup(drop)
	b.new.run(t, controlDatabase("mailserver", "utf8", served))
	reader := func(password string, grants ...any) map[string]any {
		m := map[string]any{"name": "reader", "grants": grants}
		if password != "" {
			m["password"] = module.NewSecret(password)
		}
		return m
	}
	if r := b.does("mysql.user", module.Failed, reader("", "SELECT ON mailserver.*")); !strings.Contains(r.Err.Error(), "neither password nor password_hash is given") {
		t.Error(r.Err)
	}
	b.does("mysql.user", module.Changed, reader("geheim'\\1", "SELECT ON mailserver.*"))
	b.does("mysql.user", module.OK, reader("geheim'\\1", "SELECT ON mailserver.*"))
	b.does("mysql.user", module.OK, reader("", "select on `mailserver`.*"))

	db, err := sql.Open("mysql", "reader:geheim'\\1@unix("+b.new.socket+")/mailserver")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow("SELECT COUNT(*) FROM virtual_users").Scan(&n); err != nil || n != 2 {
		t.Errorf("the account reads %d rows: %v", n, err)
	}

	r := b.does("mysql.user", module.Changed, reader("geheim2", "SELECT (email, id), INSERT ON mailserver.virtual_users", "ALL ON other.* WITH GRANT OPTION"))
	if got := fmt.Sprint(r.Output["before"]); got != "[SELECT ON `mailserver`.*]" {
		t.Errorf("before: %s", got)
	}
	b.does("mysql.user", module.OK, reader("geheim2", "SELECT (email, id), INSERT ON mailserver.virtual_users", "ALL ON other.* WITH GRANT OPTION"))
	// Going back takes what came and gives what went.
	b.does("mysql.user", module.Changed, reader("", "SELECT ON `mailserver`.*"))
	if r = b.does("mysql.user", module.OK, reader("geheim2", "SELECT ON `mailserver`.*")); fmt.Sprint(r.Output["grants"]) != "[SELECT ON `mailserver`.*]" {
		t.Errorf("grants: %v", r.Output["grants"])
	}
	b.does("mysql.user", module.Changed, map[string]any{"name": "reader", "state": "absent"})
	b.does("mysql.user", module.OK, map[string]any{"name": "reader", "state": "absent"})
}

func TestDatabase(t *testing.T) {
	b := newBench(t)
	b.does("mysql.database", module.Changed, map[string]any{"name": "a`b", "charset": "latin1"})
	b.does("mysql.database", module.OK, map[string]any{"name": "a`b"})
	b.does("mysql.database", module.Changed, map[string]any{"name": "a`b", "state": "absent"})
	b.new.run(t, controlDatabase("mig_a", "utf8", comes))
	r := b.does("mysql.database", module.Changed, map[string]any{"name": "mig_a", "state": "absent"})
	if file, _ := r.Output["backup"].(string); file == "" || len(b.kept) != 1 || b.kept[0].Backup != file {
		t.Errorf("backup %v, kept %v", r.Output["backup"], b.kept)
	}
	b.does("mysql.database", module.OK, map[string]any{"name": "mig_a", "state": "absent"})
	if got := b.new.databases(t); len(got) != 0 {
		t.Errorf("databases left: %v", got)
	}
}
