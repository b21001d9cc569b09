package proof_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"runner/lab"
	"runner/lab/labtest"
)

// sabotage is one defect of the new server after a perfect move. Mailboxes and control database are put back afterwards; undo, which
// may be nil, puts back the rest.
type sabotage struct {
	name string
	do   func(t *testing.T, l *lab.Lab, new *lab.Host) (undo func())
	says string // regular expression for what the proof says about it
	most int    // differences that the one defect may make
}

var sabotages = []sabotage{
	{"one mail removed", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		must(t, os.Remove(found(t, new, "example.org/*/Maildir/.Sent/cur/*")))
		return nil
	}, `@example.org: folder "Sent": message \d+ \(\d+ bytes\) is missing`, 2},
	{"one mail twice", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		mail := found(t, new, "example.com/*/Maildir/.Sent/cur/*")
		second := filepath.Join(filepath.Dir(mail), "1000000000.M1P1.sabotage:2,S")
		must(t, os.WriteFile(second, read(t, mail), 0o600))
		must(t, os.Chown(second, 5000, 5000))
		return nil
	}, `@example.com: folder "Sent": message \d+ \(\d+ bytes\) is there and was not`, 2},
	{"one byte changed", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		replace(t, found(t, new, "kanzlei.example/*/Maildir/.Sent/cur/*"), func(text string) string {
			return strings.Replace(text, "To: ", "TO: ", 1)
		})
		return nil
	}, `@kanzlei.example: folder "Sent": message \d+ has other content`, 1},
	{"one flag changed", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		mail := found(t, new, "*.*/*/Maildir/.Sent/cur/*:2,*S")
		must(t, os.Rename(mail, strings.TrimSuffix(mail, "S")))
		return nil
	}, `folder "Sent": message \d+: flags \(.*\\Seen\) became \(`, 1},
	{"one date changed", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		mail := found(t, new, "example.org/*/Maildir/.Sent/cur/*")
		info, err := os.Stat(mail)
		must(t, err)
		other := info.ModTime().AddDate(0, 0, 1)
		must(t, os.Chtimes(mail, other, other))
		return nil
	}, `bytes of time \d+ became \d+ bytes of time \d+`, 2},
	{"one owner changed", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		must(t, os.Chown(found(t, new, "example.org/*/Maildir/.Sent/cur/*"), 1234, 5000))
		return nil
	}, `example.org/.*/Maildir/.Sent/.*: belongs to 1234:5000, not to 5000:5000`, 3},
	{"one mode changed", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		must(t, os.Chmod(found(t, new, "example.org/*/Maildir/.Sent/cur/*"), 0o644))
		return nil
	}, `mode -rw------- became -rw-r--r--`, 1},
	{"the group of a control file changed", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		must(t, os.Chown(found(t, new, "example.com/*/Maildir/.Sent/dovecot-uidlist"), 5000, 8))
		return nil
	}, `Maildir/.Sent/dovecot-uidlist: belongs to 5000:8, not to 5000:5000`, 1},
	{"one UIDVALIDITY changed", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		list := found(t, new, "example.com/*/Maildir/.Sent/dovecot-uidlist")
		replace(t, list, func(text string) string {
			return regexp.MustCompile(`^(3 V)\d+`).ReplaceAllString(text, "${1}1234567890")
		})
		forget(t, filepath.Dir(list))
		return nil
	}, `@example.com: folder "Sent": UIDVALIDITY \d+ became 1234567890`, 1},
	{"the UIDs of a folder lost", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		list := found(t, new, "example.org/*/Maildir/.Sent/dovecot-uidlist")
		must(t, os.Remove(list))
		forget(t, filepath.Dir(list))
		return nil
	}, `@example.org: folder "Sent": UIDVALIDITY \d+ became \d+`, 200},
	{"one keyword changed", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		mail := found(t, new, "*.*/*/Maildir/cur/*:2,*[a-z]") // a letter stands for a keyword of dovecot-keywords
		must(t, os.Rename(mail, mail[:len(mail)-1]))
		return nil
	}, `folder "INBOX": message \d+: flags \(\S* ?.*\) became \(`, 1},
	{"one subscription removed", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		replace(t, found(t, new, "example.org/*/Maildir/subscriptions"), func(text string) string {
			lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
			return strings.Join(lines[:len(lines)-1], "")
		})
		return nil
	}, `@example.org: subscriptions .* became`, 1},
	{"one folder more", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		user := filepath.Base(filepath.Dir(filepath.Dir(found(t, new, "verein.example/*/Maildir/subscriptions"))))
		labtest.Exec(t, new, "doveadm", "mailbox", "create", "-u", user+"@verein.example", "Sabotage")
		return nil
	}, `@verein.example: folder "Sabotage" is there and was not`, 1},
	{"one password changed", func(t *testing.T, l *lab.Lab, new *lab.Host) func() {
		labtest.Exec(t, new, "mysql", l.Database, "-e",
			"UPDATE virtual_users SET password = CONCAT('{PLAIN-MD5}', MD5('another')) WHERE email = 'bob@example.com'")
		return nil
	}, `cannot log in as bob@example.com with the password of the old server`, 1},
	{"every password is taken", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		undo := edit(t, new, "etc/dovecot/dovecot.conf", func(text string) string {
			return "passdb {\n  driver = static\n  args = nopassword=y\n}\n" + text
		})
		labtest.Exec(t, new, "doveadm", "reload")
		return func() { undo(); labtest.Exec(t, new, "doveadm", "reload") }
	}, `a wrong password logs in on the new server`, 1},
	{"one alias changed", func(t *testing.T, l *lab.Lab, new *lab.Host) func() {
		labtest.Exec(t, new, "mysql", l.Database, "-e", "UPDATE virtual_aliases SET destination = 'max@verein.example' WHERE source = '@verein.example'")
		return nil
	}, `row "alias @verein.example vorstand@verein.example" is gone`, 2},
	{"one sieve script removed", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		must(t, os.Remove(found(t, new, "example.org/*/sieve/filter.sieve")))
		return nil
	}, `sieve/filter.sieve: the file is missing`, 1},
	{"delivery is off", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		labtest.Exec(t, new, "sh", "-c", "postconf -e virtual_mailbox_domains=resident.example && systemctl restart postfix")
		return func() {
			labtest.Exec(t, new, "sh", "-c",
				"postconf -e virtual_mailbox_domains=mysql:/etc/postfix/mysql-virtual-mailbox-domains.cf && systemctl restart postfix")
		}
	}, `new takes no mail for anna.schmidt@example.org`, 4},
	{"the resident domain's mail touched", func(t *testing.T, _ *lab.Lab, new *lab.Host) func() {
		must(t, os.Remove(found(t, new, "resident.example/anna/Maildir/cur/*")))
		return nil
	}, `anna@resident.example: folder "INBOX": message \d+ \(\d+ bytes\) is missing`, 1},
	{"the resident domain's password prefixed again", func(t *testing.T, l *lab.Lab, new *lab.Host) func() {
		labtest.Exec(t, new, "mysql", l.Database, "-e",
			"UPDATE virtual_users SET password = CONCAT('{PLAIN-MD5}', password) WHERE email = 'ben@resident.example'")
		return nil
	}, `ben@resident.example: the account of the new server itself does not take its password any more`, 3},
}
