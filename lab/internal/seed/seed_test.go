package seed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// written lays the mail of a host down and sums up all of it: names, modes, times, contents.
func written(t *testing.T, host string, messages int) (sum string, texts int) {
	t.Helper()
	root := t.TempDir()
	s := For(host, messages, "")
	if err := s.Write(context.Background(), root, os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || d.IsDir() {
			return err
		}
		short := strings.TrimPrefix(name, root)
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if dir := filepath.Base(filepath.Dir(name)); dir == "cur" || dir == "new" {
			texts++
			fmt.Fprintf(h, "%d ", info.ModTime().Unix())
		}
		fmt.Fprintf(h, "%s %v %d\n%s", short, info.Mode(), len(text), text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, session := range s.Sessions() {
		fmt.Fprintln(h, session.Email, session.Commands)
	}
	fmt.Fprintln(h, s.SQL())
	return hex.EncodeToString(h.Sum(nil)), texts
}

// TestDeterministic: two seedings on any machine give the same mail. The sum also pins it to what it was when it was written
// down, so that a change of Go's generators would be seen; who changes the seed writes the new sum down.
func TestDeterministic(t *testing.T) {
	const want = "95d6e9e6efecdfca1d00cf01832e3ccae814c471e87d20bfa8aaaf52fe5cb1cd"
	first, texts := written(t, "old", 200)
	second, _ := written(t, "old", 200)
	if texts != 200 {
		t.Errorf("%d messages, not 200", texts)
	}
	if first != second {
		t.Errorf("two seedings differ: %s and %s", first, second)
	}
	if first != want {
		t.Errorf("the seed is %s, not %s", first, want)
	}
	if other, _ := written(t, "old", 201); other == first {
		t.Error("another number of messages gives the same seed")
	}
}

// TestShape: what a move can stumble over is there.
func TestShape(t *testing.T) {
	s := For("old", 5000, "")
	bare := regexp.MustCompile(`^[0-9a-f]{32}$`)
	users, catchAll, scripts := 0, 0, 0
	for _, d := range s.Domains {
		for i, u := range d.Users {
			users++
			if !bare.MatchString(u.Stored) {
				t.Errorf("%s has %q, no bare MD5", u.Email, u.Stored)
			}
			if i%3 == 0 {
				scripts++
			}
		}
		for _, a := range d.Aliases {
			if strings.HasPrefix(a.Source, "@") {
				catchAll++
			}
		}
	}
	if len(s.Domains) < 3 || users < 24 || catchAll == 0 || scripts == 0 {
		t.Errorf("%d domains, %d users, %d catch-alls, %d scripts", len(s.Domains), users, catchAll, scripts)
	}
	names, total, unread := map[string]int{}, 0, 0
	for _, boxes := range s.Mailboxes() {
		for _, box := range boxes {
			names[box.Name]++
			total += len(box.Messages)
			for _, m := range box.Messages {
				if m.New {
					unread++
				}
			}
		}
	}
	if total != 5000 || unread == 0 {
		t.Errorf("%d messages, %d of them in new/", total, unread)
	}
	for _, name := range []string{"INBOX", "Archive.2013.Q4", "Kunden und Partner.Müller GmbH", "日本語", "Projekte.Überfällig & Co", "Leer"} {
		if names[name] == 0 {
			t.Errorf("nobody has the folder %q", name)
		}
	}
}

func TestMUTF7(t *testing.T) {
	// The examples of RFC 3501, 5.1.3, and what it says about "&".
	for name, want := range map[string]string{
		"~peter.mail.台北.日本語": "~peter.mail.&U,BTFw-.&ZeVnLIqe-",
		"☺!":                 "&Jjo-!",
		"A & B":              "A &- B",
		"Entwürfe":           "Entw&APw-rfe",
		"😀":                  "&2D3eAA-",
	} {
		if got := mUTF7(name); got != want {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	sql := For("old", 0, "").SQL()
	if strings.Contains(sql, `\`) {
		t.Error("the SQL holds a backslash, which means something else in every sql_mode")
	}
	if got := quote("it's"); got != "'it''s'" {
		t.Errorf("quoted as %s", got)
	}
}
