package proof_test

import (
	"regexp"
	"strings"
	"testing"

	"runner/lab"
	"runner/lab/labtest"
	"runner/lab/proof"
)

// TestProof: a server that was copied byte for byte passes, and every single defect is found and named.
func TestProof(t *testing.T) {
	l := labtest.Open(t, labtest.Options{Name: "lprov", Network: "198.18.20.32/27"})
	new := labtest.Host(t, l, "new")
	// Dovecot answers a wrong password after two seconds, of which each proof needs one.
	edit(t, new, "etc/dovecot/dovecot.conf", func(text string) string { return text + "\nauth_failure_delay = 0\n" })
	labtest.Exec(t, new, "doveadm", "reload")

	if _, err := proof.Run(t.Context(), l, proof.Options{}); err == nil || !strings.Contains(err.Error(), "--remember") {
		t.Errorf("without a memory of the new server: %v", err)
	}
	if err := proof.Remember(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if r := run(t, l); len(r.Differences()) == 0 {
		t.Fatal("a server to which nothing was moved passes")
	} else if text := strings.Join(r.Differences(), "\n"); !strings.Contains(text, "cannot log in as ") || !strings.Contains(text, "accounts were not tried") {
		t.Errorf("nothing is said about logins that fail and accounts that were left out:\n%s", text)
	}

	copyByHand(t, l)
	r := run(t, l)
	if text := strings.Join(r.Differences(), "\n"); text != "" {
		t.Fatalf("a byte for byte copy has differences:\n%s", text)
	}
	var sum proof.Row
	for _, row := range r.Rows {
		sum.Accounts += row.Accounts
		sum.Messages += row.Messages
		sum.Files += row.Files
	}
	if sum.Accounts != 32 || sum.Messages < 100 || sum.Files < 100 {
		t.Errorf("compared only %d accounts, %d messages, %d files", sum.Accounts, sum.Messages, sum.Files)
	}
	if r := run(t, l); len(r.Differences()) > 0 {
		t.Errorf("a second proof finds what the first one left:\n%s", strings.Join(r.Differences(), "\n"))
	}

	restore := keep(t, l, new)
	for _, s := range sabotages {
		t.Run(s.name, func(t *testing.T) {
			undo := s.do(t, l, new)
			r := run(t, l)
			text := strings.Join(r.Differences(), "\n")
			if !regexp.MustCompile(s.says).MatchString(text) {
				t.Errorf("does not say %q but\n%s", s.says, text)
			}
			if n := len(r.Differences()); n > s.most {
				t.Errorf("%d differences are listed for one defect:\n%s", n, text)
			}
			if undo != nil {
				undo()
			}
			restore()
		})
	}
	if text := strings.Join(run(t, l).Differences(), "\n"); text != "" {
		t.Errorf("when every sabotage is undone:\n%s", text)
	}
}

func run(t *testing.T, l *lab.Lab) *proof.Report {
	t.Helper()
	r, err := proof.Run(t.Context(), l, proof.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestProofLenny: the shape of the old server makes no difference to what users see.
func TestProofLenny(t *testing.T) {
	l := labtest.Open(t, labtest.Options{Name: "lprov", Network: "198.18.20.32/27", OldShape: "lenny"})
	if err := proof.Remember(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	copyByHand(t, l)
	if text := strings.Join(run(t, l).Differences(), "\n"); text != "" {
		t.Errorf("a copy by hand has differences:\n%s", text)
	}
	new := labtest.Host(t, l, "new")
	labtest.Exec(t, new, "sh", "-c", "mv /var/vmail/example.org/bernd /var/vmail/example.org/Bernd") // where nobody looks for it
	if text := strings.Join(run(t, l).Differences(), "\n"); !strings.Contains(text, "Bernd@example.org: folder \"Sent\" is missing") {
		t.Errorf("an account whose directory has kept its capitals passes:\n%s", text)
	}
}
