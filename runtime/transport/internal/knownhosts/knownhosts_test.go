package knownhosts

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func newKey(t testing.TB) ssh.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func write(t testing.TB, lines ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestFind(t *testing.T) {
	key := newKey(t)
	text := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	for _, c := range []struct {
		line  string
		name  string
		found bool
	}{
		{"mail " + text, "mail", true},
		{"Mail.Example.ORG " + text + " comment", Name("mail.example.org", 22), true},
		{"mail,192.0.2.1 " + text, "192.0.2.1", true},
		{"mail " + text, Name("mail", 2222), false},
		{"[mail]:2222 " + text, Name("mail", 2222), true},
		{"*.example.org,!web.example.org " + text, "mail.example.org", true},
		{"*.example.org,!web.example.org " + text, "web.example.org", false},
		{"[*.example.org]:2222 " + text, Name("a.example.org", 2222), true},
		{"2001:db8::1 " + text, Name("2001:db8::1", 22), true},
		{"[2001:db8::1]:2222 " + text, Name("2001:DB8::1", 2222), true},
		{Line("mail", key, true), "mail", true},
		{Line("[mail]:2222", key, true), "[mail]:2222", true},
		{Line("mail", key, true), "liam", false},
		{"|1|broken " + text, "mail", false},
		{"|1|!!|!! " + text, "mail", false},
		{"# mail " + text, "mail", false},
		{"@revoked mail " + text, "mail", false},
		{"mail ssh-ed25519", "mail", false},
		{"mail ssh-ed25519 AAAA", "mail", false},
		{"mail 1024 35 1312345", "mail", false},
		{"mail sk-unheard-of@example.org AAAAHXNrLXVuaGVhcmQtb2ZAZXhhbXBsZS5vcmcAAAAA", "mail", false},
	} {
		// What cannot be read must not hide what can.
		db, err := Read("/does/not/exist", write(t, "other 1024 35 99", c.line, "x "+text))
		if err != nil {
			t.Errorf("%q: %v", c.line, err)
			continue
		}
		got := db.Find(c.name)
		if (len(got) == 1) != c.found {
			t.Errorf("%q: %q is found %d times", c.line, c.name, len(got))
		}
		if len(got) == 1 && (got[0].Line != 2 || string(got[0].Key.Marshal()) != string(key.Marshal())) {
			t.Errorf("%q: %s", c.line, got[0].Place())
		}
		if len(db.Find("x")) == 0 {
			t.Errorf("%q hides the line after it", c.line)
		}
	}
}

func TestMarkers(t *testing.T) {
	key, authority := newKey(t), newKey(t)
	of := func(k ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) }
	db, err := Read(write(t, "@revoked * "+of(key), "@cert-authority *.example.org "+of(authority), "mail.example.org "+of(key)))
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := db.Revoked(key, "mail.example.org"); !ok || e.Line != 1 {
		t.Errorf("revoked: %v %v", e, ok)
	}
	if _, ok := db.Revoked(authority, "mail.example.org"); ok {
		t.Error("the authority is revoked")
	}
	found := db.Find("mail.example.org")
	if len(found) != 2 || !found[0].Authority || found[1].Authority {
		t.Errorf("found %+v", found)
	}
}

func TestAddAfterOpenLine(t *testing.T) {
	a, b := newKey(t), newKey(t)
	file := write(t, Line("a", a, false)) // no newline at the end
	if err := Add(file, Line("b", b, true)); err != nil {
		t.Fatal(err)
	}
	db, err := Read(file)
	if err != nil || len(db.Find("a")) != 1 || len(db.Find("b")) != 1 {
		t.Errorf("%v, %v, %v", err, db.Find("a"), db.Find("b"))
	}
	fresh := filepath.Join(t.TempDir(), "new", "known_hosts")
	if err := Add(fresh, Line("b", b, false)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(fresh); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestAgainstSSHKeygen has ssh-keygen hash a file and find names in it.
func TestAgainstSSHKeygen(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		if strings.Contains(os.Getenv("RUNNER_TEST_REQUIRE"), "openssh") {
			t.Fatal("this test needs ssh-keygen")
		}
		t.Skip("SKIPPED: needs ssh-keygen")
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, Line("mail.example.org", key, false), Line("[mail.example.org]:2222", newKey(t), false), Line("192.0.2.1", key, true), "")
	if out, err := exec.Command("ssh-keygen", "-H", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	db, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mail.example.org", "[mail.example.org]:2222", "192.0.2.1", "web.example.org", "[mail.example.org]:22"} {
		out, _ := exec.Command("ssh-keygen", "-l", "-F", name, "-f", file).Output()
		found := db.Find(name)
		if (len(found) > 0) != (len(out) > 0) {
			t.Errorf("%s: found %d, ssh-keygen says %q", name, len(found), out)
		}
		for _, e := range found {
			if !strings.Contains(string(out), ssh.FingerprintSHA256(e.Key)) {
				t.Errorf("%s: ssh-keygen found another key: %s", name, out)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	key := newKey(f)
	f.Add(Line("mail", key, true), "mail")
	f.Add(Line("[mail]:2222", key, false), "[mail]:2222")
	f.Add("@cert-authority *.example.org ssh-rsa AAAA", "a.example.org")
	f.Add("@revoked", "x")
	f.Add("|1|a|b x y", "x")
	f.Fuzz(func(t *testing.T, text, name string) {
		db := &DB{}
		if err := db.read(strings.NewReader(text), "known_hosts"); err != nil {
			return
		}
		for _, e := range db.Find(name) {
			if e.Key == nil || e.Line == 0 {
				t.Errorf("%q: %+v", text, e)
			}
		}
		db.Revoked(key, name)
	})
}
