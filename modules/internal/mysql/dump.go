package mysql

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"runner/runtime/host"
)

// dumpWhat says what of a database a dump is to hold.
type dumpWhat struct {
	database string
	tables   []string // none: all tables and views
	locked   bool     // some table knows no transactions: lock all of them for a consistent dump
	whole    bool     // triggers and routines as well
}

// dumpArgs are the arguments of the dump program. --defaults-file must come first.
func (s *Session) dumpArgs(p program, w dumpWhat) []string {
	args := []string{p.path, loginArg, "--opt", "--complete-insert", "--hex-blob", "--default-character-set=" + s.charset}
	if w.locked {
		args = append(args, "--lock-tables")
	} else {
		args = append(args, "--single-transaction", "--skip-lock-tables")
	}
	args = append(args, p.known("max-allowed-packet=1G", "no-tablespaces", "skip-column-statistics", "set-gtid-purged=OFF")...)
	if w.whole {
		args = append(args, p.known("triggers", "routines")...)
	} else {
		args = append(args, p.known("skip-triggers")...)
	}
	args = append(args, "--", w.database)
	return append(args, w.tables...)
}

// endMarks are what a complete dump ends with: the remark of all programs since 5.1, and the last statement of 5.0's.
var endMarks = []string{"-- Dump completed", "SET SQL_NOTES=@OLD_SQL_NOTES"}

// complete says whether the end of a dump is that of a whole one.
func complete(tail []byte) bool {
	for _, m := range endMarks {
		if bytes.Contains(tail, []byte(m)) {
			return true
		}
	}
	return false
}

// toFile is the script that dumps into a file: written aside with nobody else's eyes on it, checked, then put in place.
const toFile = `out=$1 pack=$2; shift 2
umask 077
case $out in */*) mkdir -p "${out%/*}" || exit 1;; esac
part=$out.part
rm -f "$part" || exit 1
trap 'rm -f "$part"' 0
trap 'exit 143' 1 2 13 15
ended=$( { { "$@" </dev/null; echo "dump $?" >&4; } | { $pack >"$part" || echo "write failed" >&4; }; } 4>&1 )
if [ "$ended" != "dump 0" ]; then
  echo "$ended" | sed -n 's/^dump \([0-9]*\)$/exit status \1/p; s/^write failed$/cannot write the file/p' >&2
  exit 1
fi
case $pack in gzip*) last=$(gzip -dc "$part" | tail -c 1000) || exit 1;; *) last=$(tail -c 1000 "$part");; esac
case $last in
  *"-- Dump completed"*|*"SET SQL_NOTES=@OLD_SQL_NOTES"*) ;;
  *) echo "the dump ends in the middle" >&2; exit 1;;
esac
dd if=/dev/null of="$part" conv=notrunc,fsync 2>/dev/null
mv -f "$part" "$out" || exit 1
trap - 0
stat -c %s "$out"
`

// DumpFile writes a dump of a database, or of some of its tables, into a file of its host with mode 0600, packed when the
// name ends in .gz, and returns its size in bytes. The file appears when it is complete: the dump program ended well,
// complained of nothing, and the last statement is there.
func (s *Session) DumpFile(ctx context.Context, h *host.Host, database string, tables []string, path string) (int64, error) {
	d, err := s.ReadDatabase(ctx, database)
	if err != nil {
		return 0, err
	}
	for _, t := range tables {
		if d.Table(t) == nil {
			return 0, fmt.Errorf("cannot dump table %s: database %s on %s has no such table", t, database, h.Name())
		}
	}
	p, err := findProgram(ctx, h.View, dumpPrograms)
	if err != nil {
		return 0, err
	}
	pack := "cat"
	if strings.HasSuffix(path, ".gz") {
		pack = "gzip -c"
	}
	what := dumpWhat{database: database, tables: tables, locked: d.locked(), whole: true}
	r, err := s.start(ctx, h, toFile, append([]string{path, pack}, s.dumpArgs(p, what)...)...)
	if err != nil {
		return 0, fmt.Errorf("cannot dump database %s on %s: %w", database, h.Name(), err)
	}
	defer r.Close()
	_ = r.Stdin().Close()
	printed, _ := io.ReadAll(io.LimitReader(r.Stdout(), 4096))
	if err := r.end(); err != nil {
		return 0, fmt.Errorf("cannot dump database %s on %s into %s: %w", database, h.Name(), path, err)
	}
	size, err := strconv.ParseInt(strings.TrimSpace(string(printed)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("cannot dump database %s on %s into %s: the file's size is not known", database, h.Name(), path)
	}
	return size, nil
}

// locked: a dump in one transaction is only consistent when every table takes part in transactions.
func (d *Database) locked() bool {
	for _, t := range d.base() {
		if t.Engine != "innodb" {
			return true
		}
	}
	return false
}

// fromFile is the script that loads a dump. A dump program's file must be whole; other files of SQL have no end mark.
const fromFile = `in=$1 packed=$2; shift 2
show() { if [ "$packed" = yes ]; then gzip -dc "$in"; else cat "$in"; fi; }
[ -r "$in" ] || { echo "cannot read $in" >&2; exit 1; }
if [ "$packed" = yes ]; then gzip -t "$in" || exit 1; fi
case $(show | head -n 3) in *"-- MySQL dump"*|*"-- MariaDB dump"*)
  case $(show | tail -c 1000) in
    *"-- Dump completed"*|*"SET SQL_NOTES=@OLD_SQL_NOTES"*) ;;
    *) echo "the dump ends in the middle" >&2; exit 1;;
  esac;;
esac
show | LC_ALL=C sed '1{/999999.*sandbox/d;}' | "$@"
`

// LoadFile runs a file of SQL on its host, packed when the name ends in .gz, inside an existing database.
func (s *Session) LoadFile(ctx context.Context, h *host.Host, database, path string) error {
	p, err := findProgram(ctx, h.View, clientPrograms)
	if err != nil {
		return err
	}
	packed := "no"
	if strings.HasSuffix(path, ".gz") {
		packed = "yes"
	}
	r, err := s.start(ctx, h, fromFile, append([]string{path, packed}, s.clientArgs(p, database)...)...)
	if err != nil {
		return fmt.Errorf("cannot load %s on %s: %w", path, h.Name(), err)
	}
	defer r.Close()
	_ = r.Stdin().Close()
	_, _ = io.Copy(io.Discard, r.Stdout())
	if err := r.end(); err != nil {
		return fmt.Errorf("cannot load %s into database %s on %s: %w", path, database, h.Name(), err)
	}
	return nil
}

// clientArgs are the arguments of the client program that reads a dump. In binary mode it takes no commands of its own
// from the dump (\! runs programs), and bytes as they are.
func (s *Session) clientArgs(p program, database string) []string {
	args := []string{p.path, loginArg, "--batch", "--default-character-set=" + s.charset}
	args = append(args, p.known("binary-mode", "sandbox", "max-allowed-packet=1G")...)
	return append(args, "--database="+database)
}
