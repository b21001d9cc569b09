package mysql_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runner/runtime/module"
)

func (b *bench) passwords(status module.Status, more map[string]any) module.Result {
	b.t.Helper()
	args := b.one(map[string]any{"database": "mailserver", "backup_dir": b.backups})
	for k, v := range more {
		args[k] = v
	}
	r := b.call(context.Background(), "dovecot.passwords", false, args)
	if r.Status != status {
		b.t.Fatalf("dovecot.passwords ended %s: %v (%s)", r.Status, r.Err, r.Note)
	}
	return r
}

func TestPasswordsGetTheirSchemeOnce(t *testing.T) {
	b := newBench(t)
	b.new.run(t, controlDatabase("mailserver", "utf8", `INSERT INTO virtual_domains VALUES (1,'example.org');
INSERT INTO virtual_users VALUES (1,1,MD5('a'),'a@example.org'),(2,1,UPPER(MD5('b')),'b@example.org'),(3,1,CONCAT('{PLAIN-MD5}',MD5('c')),'c@example.org'),
(4,1,'$6$salt$hash','d@example.org'),(5,1,'{SHA256-CRYPT}$5$salt$hash','e@example.org')`))
	const all = "SELECT GROUP_CONCAT(password ORDER BY id SEPARATOR '\n') FROM mailserver.virtual_users"
	before := b.new.value(t, all)
	if r := b.passwords(module.Failed, nil); !strings.Contains(r.Err.Error(), "cannot tell the scheme of 2 passwords in mailserver.virtual_users:\n  a@example.org: 32 hexadecimal digits without a scheme") {
		t.Error(r.Err)
	}
	guide := map[string]any{"default_scheme": "PLAIN-MD5", "version": "2.4.1"}
	check := b.one(map[string]any{"database": "mailserver", "backup_dir": b.backups, "default_scheme": "PLAIN-MD5"})
	if r := b.call(context.Background(), "dovecot.passwords", true, check); r.Status != module.Changed || b.new.value(t, all) != before {
		t.Errorf("check mode: %s, %v", r.Status, r.Err)
	}
	r := b.passwords(module.Changed, guide)
	want := strings.Split(before, "\n")
	want[0], want[1], want[3] = "{PLAIN-MD5}"+want[0], "{PLAIN-MD5}"+want[1], "{SHA512-CRYPT}"+want[3]
	if got := b.new.value(t, all); got != strings.Join(want, "\n") {
		t.Errorf("passwords are\n%s", got)
	}
	if got := fmt.Sprint(r.Output["schemes"], r.Output["refused"], r.Output["marked"]); got != "map[PLAIN-MD5:3 SHA256-CRYPT:1 SHA512-CRYPT:1] [a@example.org b@example.org c@example.org] 0" {
		t.Errorf("output: %s", got)
	}
	if shown := fmt.Sprint(r.Output, differences(r), b.kept); strings.Contains(shown, "0cc175b9") || strings.Contains(shown, "$6$") {
		t.Errorf("a password is shown: %s", shown)
	}
	if file, ok := r.Output["backup"].(string); !ok || len(b.kept) != 1 || b.kept[0].Backup != file {
		t.Errorf("backup %v, kept %v", r.Output["backup"], b.kept)
	}
	if r = b.passwords(module.OK, guide); r.Note != "Dovecot 2.4.1 refuses the passwords of a@example.org, b@example.org, c@example.org" {
		t.Errorf("second time: %s", r.Note)
	}
	b.passwords(module.OK, nil)
}

func TestPasswordsThatCannotBeMarked(t *testing.T) {
	b := newBench(t)
	b.new.run(t, controlDatabase("mailserver", "utf8", "INSERT INTO virtual_domains VALUES (1,'example.org'); INSERT INTO virtual_users VALUES (1,1,MD5('a'),'a@example.org'),(2,1,'geheim','b@example.org')"))
	before := b.state()
	r := b.passwords(module.Failed, map[string]any{"default_scheme": "PLAIN-MD5"})
	if !strings.Contains(r.Err.Error(), "b@example.org: no scheme, and nothing that shows one") || strings.Contains(r.Err.Error(), "geheim") {
		t.Error(r.Err)
	}
	b.unchanged(before)
	b.new.run(t, "USE mailserver; DELETE FROM virtual_users WHERE id=2; ALTER TABLE virtual_users MODIFY password varchar(32) NOT NULL")
	r = b.passwords(module.Failed, map[string]any{"default_scheme": "PLAIN-MD5"})
	if !strings.Contains(r.Err.Error(), "the column password of mailserver.virtual_users holds 32 characters:\n  a@example.org: 43 characters") {
		t.Error(r.Err)
	}
}

// answering is a doveadm that knows one account and prints what Dovecot 2.3 does.
const answering = `#!/bin/sh
case "$1 $2" in
"user ann@there.example") printf 'field\tvalue\nuid\t5000\ngid\t5000\nhome\t%s\nmail\tmaildir:~/Maildir\n' "$HOMES/ann" ;;
"user "*) printf 'field\tvalue\n\nuserdb lookup: user %s doesn'"'"'t exist\n' "$2"; exit 67 ;;
"mailbox path") [ "$4" = ann@there.example ] && echo "$HOMES/ann/Maildir" ;;
esac`

func TestAccounts(t *testing.T) {
	b := newBench(t)
	b.new.run(t, controlDatabase("mailserver", "utf8", served))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "doveadm"), []byte(strings.ReplaceAll(answering, "$HOMES", dir)), 0o755); err != nil {
		t.Fatal(err)
	}
	b.to.path = dir + ":/usr/bin:/bin"
	accounts := func(status module.Status, more map[string]any) module.Result {
		t.Helper()
		args := b.one(map[string]any{"database": "mailserver"})
		for k, v := range more {
			args[k] = v
		}
		r := b.call(context.Background(), "dovecot.accounts", false, args)
		if r.Status != status {
			t.Fatalf("dovecot.accounts ended %s: %v (%s)", r.Status, r.Err, r.Note)
		}
		return r
	}
	if r := accounts(module.Failed, nil); !strings.Contains(r.Err.Error(), "cannot serve 1 account on new, because Dovecot does not know them:\n  ben@second.example: userdb lookup: user ben@second.example doesn't exist") {
		t.Error(r.Err)
	}
	there := map[string]any{"domains": []any{"There.example"}, "path": dir}
	r := accounts(module.OK, there)
	if got, want := fmt.Sprint(r.Output["accounts"], r.Output["missing"]), fmt.Sprintf("[map[address:ann@there.example gid:5000 home:%[1]s/ann mailbox:%[1]s/ann/Maildir uid:5000]] [ann@there.example]", dir); got != want {
		t.Errorf("found %s, not %s", got, want)
	}
	if err := os.Mkdir(filepath.Join(dir, "ann"), 0o755); err != nil {
		t.Fatal(err)
	}
	if r = accounts(module.OK, there); fmt.Sprint(r.Output["missing"]) != "[]" {
		t.Errorf("missing %v", r.Output["missing"])
	}
	there["path"] = "/var/vmail"
	if r = accounts(module.Failed, there); !strings.Contains(r.Err.Error(), "cannot serve 1 account on new from /var/vmail, because Dovecot looks for them elsewhere:\n  ann@there.example: "+dir+"/ann/Maildir") {
		t.Error(r.Err)
	}
}
