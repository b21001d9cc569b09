package proof_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runner/lab"
	"runner/lab/labtest"
)

// TestMain boots hosts.
func TestMain(m *testing.M) { labtest.Main(m) }

// copyByHand makes the new server what the old one is without any of runner: tar, and INSERT for each row. Nobody uses either
// server meanwhile, which is what makes so simple a move right.
func copyByHand(t *testing.T, l *lab.Lab) {
	t.Helper()
	old, new := labtest.Host(t, l, "old"), labtest.Host(t, l, "new")
	pack, err := old.Command(t.Context(), append([]string{"tar", "-C", old.Vmail, "-cf", "-", "--numeric-owner", "--"}, old.Domains...)...)
	if err != nil {
		t.Fatal(err)
	}
	unpack, err := new.Command(t.Context(), "tar", "-C", new.Vmail, "-xpf", "-", "--numeric-owner")
	if err != nil {
		t.Fatal(err)
	}
	var packing, unpacking bytes.Buffer
	if unpack.Stdin, err = pack.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	pack.Stderr, unpack.Stderr = &packing, &unpacking
	if err := unpack.Start(); err != nil {
		t.Fatal(err)
	}
	if err := pack.Run(); err != nil {
		t.Fatalf("cannot pack: %v\n%s", err, &packing)
	}
	if err := unpack.Wait(); err != nil {
		t.Fatalf("cannot unpack: %v\n%s", err, &unpacking)
	}
	labtest.Exec(t, new, "sh", "-c", `cd "$1" && for old in */*; do low=$(echo "$old" | tr A-Z a-z); [ "$old" = "$low" ] || mv "$old" "$low"; done`, "sh", new.Vmail)
	accounts := "SELECT email, password FROM virtual_users u JOIN virtual_domains d ON d.id = u.domain_id WHERE d.name = '%s'"
	if old.Shape == "lenny" {
		accounts = "SELECT LOWER(email), password FROM view_users WHERE email LIKE '%%@%s'"
	}
	aliases := "SELECT source, destination FROM virtual_aliases a JOIN virtual_domains d ON d.id = a.domain_id WHERE d.name = '%s'"
	if old.Shape == "lenny" {
		aliases = "SELECT email, destination FROM view_aliases WHERE email LIKE '%%@%s'"
	}
	var sql strings.Builder
	for _, d := range old.Domains {
		fmt.Fprintf(&sql, "INSERT INTO virtual_domains (name) VALUES ('%s'); SET @d = LAST_INSERT_ID();\n", d)
		for _, row := range rows(t, old, l, fmt.Sprintf(accounts, d)) {
			fmt.Fprintf(&sql, "INSERT INTO virtual_users (domain_id, email, password) VALUES (@d, '%s', '{PLAIN-MD5}%s');\n", row[0], row[1])
		}
		for _, row := range rows(t, old, l, fmt.Sprintf(aliases, d)) {
			fmt.Fprintf(&sql, "INSERT INTO virtual_aliases (domain_id, source, destination) VALUES (@d, '%s', '%s');\n", row[0], row[1])
		}
	}
	labtest.Exec(t, new, "mysql", l.Database, "-e", sql.String())
}

// rows asks the control database of a host as the user that the mail server asks it as.
func rows(t *testing.T, h *lab.Host, l *lab.Lab, query string) (out [][]string) {
	t.Helper()
	text := labtest.Exec(t, h, "mysql", "-h127.0.0.1", "-u"+l.DatabaseUser, "-p"+l.DatabasePassword, "-N", "-B", l.Database, "-e", query)
	for line := range strings.Lines(text) {
		out = append(out, strings.Split(strings.TrimRight(line, "\n"), "\t"))
	}
	return out
}

// found is the first file below the mailboxes of a host that matches the pattern, as seen from this machine.
func found(t *testing.T, h *lab.Host, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(h.Root(), h.Vmail, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s has no %s (%v)", h.Name, pattern, err)
	}
	return names[0]
}

// replace changes a text in a file, and keeps its times, owner and mode.
func replace(t *testing.T, file string, change func(string) string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(text))
	if changed == string(text) {
		t.Fatalf("nothing was changed in %s:\n%s", file, text)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(changed); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
}

// keep puts away what the new server has now, and returns what puts it back, byte for byte.
func keep(t *testing.T, l *lab.Lab, new *lab.Host) (restore func()) {
	t.Helper()
	const script = `set -eu
dovecot_quiet() { n=0; while pgrep -x imap >/dev/null; do n=$((n + 1)); [ $n -lt 200 ] || exit 9; sleep 0.05; done; }
dovecot_quiet
case $1 in
keep)	rsync -aH "$2/" /root/kept/; mysqldump "$3" >/root/kept.sql ;;
put)	rsync -aH --checksum --delete /root/kept/ "$2/"; mysql "$3" </root/kept.sql ;;
esac`
	labtest.Exec(t, new, "sh", "-c", script, "sh", "keep", new.Vmail, l.Database)
	return func() { labtest.Exec(t, new, "sh", "-c", script, "sh", "put", new.Vmail, l.Database) }
}

// edit changes a file of the configuration of a host until undo.
func edit(t *testing.T, h *lab.Host, name string, change func(string) string) (undo func()) {
	t.Helper()
	file := filepath.Join(h.Root(), name)
	before := string(read(t, file))
	replace(t, file, change)
	return func() { replace(t, file, func(string) string { return before }) }
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	return b
}

// forget removes what Dovecot remembers of a folder beside its control files.
func forget(t *testing.T, folder string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "dovecot.index*"))
	must(t, err)
	for _, name := range names {
		if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
			must(t, err)
		}
	}
}
