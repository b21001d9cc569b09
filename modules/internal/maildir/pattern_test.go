package maildir

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"runner/modules/internal/dovecot"
)

func TestParseLayout(t *testing.T) {
	for text, want := range map[string][3]string{
		"/var/vmail":                               {"/var/vmail", "", ""},
		"/srv/100%%/vmail":                         {"/srv/100%/vmail", "", ""},
		"/var/vmail/%d/%n":                         {"/var/vmail", "%d/%n", ""},
		"/var/vmail/%d/%n/":                        {"/var/vmail", "%d/%n", ""},
		"/home/vmail/%d/%n/Maildir":                {"/home/vmail", "%d/%n/Maildir", "Maildir"},
		"/var/vmail/%Ld/%Ln/mail/inbox":            {"/var/vmail", "%Ld/%Ln/mail/inbox", "mail/inbox"},
		"/home/%u":                                 {"/home", "%u", ""},
		"/home/%n@%d/Maildir":                      {"/home", "%n@%d/Maildir", "Maildir"},
		"/srv/mail-%d/users/%n/Maildir":            {"/srv", "mail-%d/users/%n/Maildir", "Maildir"},
		"/v/%d/%1n/%2.1n/%n":                       {"/v", "%d/%1n/%2.1n/%n", ""},
		"/home/%{user | username | lower}/Maildir": {"/home", "%Ln/Maildir", "Maildir"},
		"/v/%{user|domain}/%{user|username|substr(0, 1)}/%u/": {"/v", "%d/%1n/%u", ""},
	} {
		l, err := ParseLayout("path", text)
		if got := [3]string{l.Root, l.String(), l.Mail}; err != nil || got != want || l.Pattern() != (want[1] != "") {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for text, part := range map[string]string{
		"vmail":                        "absolute",
		"~/Maildir":                    "absolute",
		"%d/%n":                        "absolute",
		"/%d/%n":                       "path must not be the root directory",
		"/var/vmail/%d":                "must tell the user",
		"/var/vmail/%1n":               "must tell the user",
		"/var/vmail/%d/%n%u":           "cannot be told apart",
		"/var/vmail/%1n%n":             "cannot be told apart",
		"/var/vmail/%1d/%n":            "must tell the whole domain",
		"/var/vmail/%d/%n/../x":        `must not hold ".."`,
		"/var/vmail/%h/Maildir":        "the home cannot stand in it",
		"/var/vmail/%d/%n/Maildir/new": "cur, new and tmp",
		"/var/vmail/%Md/%n":            "%Md is a variable that is not known here",
		"/var/vmail/%{user|md5}":       `the filter "md5" of %{user|md5} is not known here`,
		"/var/vmail/100%":              "is no variable",
	} {
		if _, err := ParseLayout("path", text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestParseLayouts(t *testing.T) {
	one := []string{"example.org"}
	for _, c := range []struct {
		from, to string
		domains  []string
		wrong    string
		domain   [2]string
	}{
		{"/var/vmail", "/var/vmail/%d/%n", nil, "path must be one too", [2]string{}},
		{"/home/%n", "/var/vmail/%d/%n", nil, "say with domains which one it is", [2]string{}},
		{"/home/%n", "/var/vmail/%d/%n", one, "", [2]string{"example.org", ""}},
		{"/var/vmail/%u", "/home/%n", nil, "say with domains which one to take", [2]string{}},
		{"/var/vmail/%u", "/home/%n", one, "", [2]string{"", "example.org"}},
		{"/var/vmail/%n", "/home/%n", nil, "", [2]string{}},
		{"/var/vmail/%n", "", one, "", [2]string{"example.org", "example.org"}},
		{"/var/vmail/%n", "", []string{"a", "b"}, "must be one domain only", [2]string{}},
	} {
		from, to, err := ParseLayouts(c.from, c.to, c.domains)
		switch {
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		case c.wrong == "" && (err != nil || from.Domain != c.domain[0] || to.Domain != c.domain[1]):
			t.Errorf("%s to %s: domains %q and %q, %v", c.from, c.to, from.Domain, to.Domain, err)
		}
	}
	if _, to, err := ParseLayouts("/home/vmail/%d/%n/Maildir", "/var/vmail", nil); err != nil || to.Mail != "Maildir" || to.Root != "/var/vmail" {
		t.Errorf("a pattern of the source alone: %+v, %v", to, err)
	}
}

// TestPlaces: where paths of a source come to lie; "" is nowhere.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		from, to string
		domains  []string
		paths    map[string]string
	}{
		{"/m/%d/%n", "/m/%d/%n/Maildir", nil, map[string]string{
			"example.org": "example.org", "example.org/john": "example.org/john", "example.org/john/cur": "example.org/john/Maildir/cur",
			"example.org/john/sieve/x": "example.org/john/sieve/x", "example.org/john/.Sent/cur": "example.org/john/Maildir/.Sent/cur",
			"example.org/john/.dovecot.sieve": "example.org/john/.dovecot.sieve", "example.org/john@example.org": "",
		}},
		{"/m/%d/%n/Maildir", "/m/%u/mail", nil, map[string]string{
			"example.org": "", "example.org/john": "john@example.org", "example.org/john/Maildir/new": "john@example.org/mail/new", "example.org/john/x": "john@example.org/x",
		}},
		{"/m/%u", "/m/%Ld/%1Ln/%Ln/Maildir", nil, map[string]string{
			"John@Example.org/new": "example.org/j/john/Maildir/new", "John@Example.org": "example.org/j/john", "John/new": "", "@example.org": "", "john@": "",
		}},
		{"/m/%d/%1n/%n", "/m/%d/%n", nil, map[string]string{
			"example.org": "example.org", "example.org/j": "", "example.org/j/john": "example.org/john", "example.org/m/john": "", "example.org/j/j/cur": "example.org/j/cur",
		}},
		{"/m/%d/%1.1n/%n", "/m/%d/%-1.1n/%n", nil, map[string]string{"example.org/o/john/x": "example.org/n/john/x", "example.org/j/john/x": ""}},
		{"/m/%n", "/m/%d/%n", []string{"example.org"}, map[string]string{"john": "example.org/john", "john/cur": "example.org/john/cur", "j@x/cur": ""}},
		{"/m/%d/%n", "/m/%n", []string{"example.org"}, map[string]string{"example.org/john/cur": "john/cur", "example.org": ""}},
		{"/m/%d/%u", "/m/%d/%n", nil, map[string]string{"example.org/john@example.org/x": "example.org/john/x", "example.org/john@example.com/x": "", "example.org/john/x": ""}},
		{"/m/x-%d/users/%n", "/m/%{user}", nil, map[string]string{"x-example.org/users/a/cur": "a@example.org/cur", "x-example.org/more/a/cur": "", "example.org/users/a/cur": ""}},
		{"/m/%n@%d", "/m/%d/%n", nil, map[string]string{"john@example.org/cur": "example.org/john/cur"}},
		{"/m/%d/%n", "", nil, map[string]string{"example.org/a": "example.org/a", "README": "README", "example.org/j/README": "example.org/j/README"}},
		{"/m/%d/%1n/%n", "", nil, map[string]string{"example.org/j/john": "example.org/j/john", "example.org/j": "example.org/j", "example.org/x/john": ""}},
	} {
		from, to, err := ParseLayouts(c.from, c.to, c.domains)
		must(t, err)
		m := mapping{from: from, to: to}
		for at, want := range c.paths {
			if got, ok := m.place(at, true); ok != (want != "") || ok && got != want {
				t.Errorf("%s from %s to %s: %q, %v, not %q", at, c.from, c.to, got, ok, want)
			}
		}
	}
}

// FuzzLayout: whatever a pattern reads as an account's directory it also writes for that account.
func FuzzLayout(f *testing.F) {
	for _, s := range []string{"/m/%d/%n/Maildir", "/m/%u", "/m/%{user|domain}/%1.2Ln/%Lu", "/m/%%/%{", "/m/a%nb/%-2.1d/x-%d"} {
		f.Add(s, "example.org/john/Maildir/cur")
	}
	f.Fuzz(func(t *testing.T, text, p string) {
		l, err := ParseLayout("path", text)
		if err != nil || !l.Pattern() || checkPath(p) != nil {
			return
		}
		own, _, whole := l.split(p)
		a, ok := l.read(p)
		if !ok || !whole {
			return
		}
		if got, ok := l.write(a); !ok || !strings.EqualFold(got, own) {
			t.Errorf("%q in %q is of %q: %q", own, text, a, got)
		}
	})
}

// fillLayout makes the mailboxes of some accounts, and what lies beside them in their homes.
func (w *world) fillLayout(l Layout) (accounts []dovecot.Account) {
	t := w.t
	accounts = []dovecot.Account{{User: "john", Domain: "example.org"}, {User: "Mary", Domain: "example.org"}, {User: "new", Domain: "example.net"}}
	if l.Domain != "" {
		accounts[2].Domain = l.Domain
	}
	for i, a := range accounts {
		home := w.homeIn(w.src, l, a)
		for _, folder := range []string{"", ".Sent", ".Work.2012"} {
			box := makeBox(t, filepath.Join(home, l.Mail), folder)
			for j := range 20 {
				write(t, filepath.Join(box, "cur", fmt.Sprintf("1.M%d%d.x:2,S", i, j)), "body", epoch)
			}
			write(t, filepath.Join(box, "dovecot-uidlist"), "3 V1 N6\n", epoch)
			write(t, filepath.Join(box, "dovecot.index"), "not copied", epoch)
		}
		write(t, filepath.Join(home, l.Mail, "subscriptions"), "Sent\n", epoch)
		must(t, os.MkdirAll(filepath.Join(home, "sieve"), 0o700))
		write(t, filepath.Join(home, "sieve/x.sieve"), "keep;\n", epoch)
		must(t, os.Symlink("sieve/x.sieve", filepath.Join(home, ".dovecot.sieve")))
		must(t, os.Symlink(filepath.Join(home, "sieve/x.sieve"), filepath.Join(home, "active")))
	}
	return accounts
}

func (w *world) homeIn(root string, l Layout, a dovecot.Account) string {
	own, ok := l.write(a)
	if !ok {
		w.t.Fatalf("%s has no place in %s", a, l.String())
	}
	return filepath.Join(root, own)
}

// TestPatterns moves mailboxes from one layout into another, then changes them, and brings late mail, there and back.
func TestPatterns(t *testing.T) {
	for name, way := range map[string][3]string{
		"into a directory":      {"%d/%n", "%d/%n/Maildir"},
		"into two directories":  {"%d/%n", "%d/%n/mail/inbox"},
		"out of a directory":    {"%d/%n/Maildir", "%d/%n"},
		"into another one":      {"%d/%n/Maildir", "%d/%n/mail/inbox"},
		"where they are":        {"%d/%n/Maildir", "%d/%n/Maildir"},
		"where they are, homes": {"%d/%n", "%d/%n"},
		"addresses":             {"%d/%n", "%u/Maildir"},
		"addresses, away":       {"%u/Maildir", "%d/%n"},
		"hashes":                {"%{user}", "%{user | domain}/%1n/%{user | username}/Maildir"},
		"hashes, away":          {"%1n/%u", "%u"},
		"one domain":            {"%n/mail", "%d/%n", "example.org"},
		"one domain, away":      {"%d/%n", "x-%n/Maildir", "example.org"},
		"no domain":             {"%n", "users/%n/mail"},
	} {
		t.Run(name, func(t *testing.T) {
			eachWriter(t, func(t *testing.T, w *world) { movePattern(t, w, way[0], way[1], way[2]) })
		})
	}
}

func movePattern(t *testing.T, w *world, from, to, domain string) {
	if domain != "" {
		w.o.Domains = []string{domain}
	}
	var err error
	w.o.Layout, w.o.TargetLayout, err = ParseLayouts(w.src+"/"+from, w.dst+"/"+to, w.o.Domains)
	must(t, err)
	w.dst, w.src = w.o.TargetLayout.Root, w.o.Layout.Root
	w.o.Path, w.o.Target = w.src, w.dst
	w.o.recent = settledAtOnce
	l, target := w.o.Layout, w.o.TargetLayout
	if l.Domain == "" && target.Domain != "" {
		l.Domain = target.Domain
	}
	accounts := w.fillLayout(l)
	w.pass(Warm)
	for _, a := range accounts {
		home := w.homeIn(w.dst, target, a)
		for _, path := range []string{"cur/1.M", ".Work.2012/cur/1.M", "dovecot-uidlist", "subscriptions"} {
			if found, _ := filepath.Glob(filepath.Join(home, target.Mail, path) + "*"); len(found) == 0 {
				t.Errorf("there is no %s of %s", path, a)
			}
		}
		for _, path := range []string{".dovecot.sieve", "sieve/x.sieve", "active"} {
			if _, err := os.Stat(filepath.Join(home, path)); err != nil {
				t.Error(err)
			}
		}
	}
	if p := w.look(w.with(Final)); !p.Empty() && p.record == nil {
		t.Errorf("the second pass has work: %+v", p.Counts)
	}
	p := w.look(w.with(Final))
	if p.Counts.Skipped != p.Counts.Mailboxes || p.Counts.Mailboxes != 9 || p.LeftCount != 0 {
		t.Errorf("nothing changed and mailboxes were listed: %+v, %v", p.Counts, p.Left)
	}
	home := w.homeIn(w.src, l, accounts[0])
	john, there := filepath.Join(home, l.Mail), filepath.Join(w.homeIn(w.dst, target, accounts[0]), target.Mail)
	must(t, os.Remove(filepath.Join(john, "cur/1.M00.x:2,S")))
	must(t, os.Rename(filepath.Join(john, "cur/1.M01.x:2,S"), filepath.Join(john, ".Sent/cur/1.M01.x:2,ST")))
	must(t, os.Rename(filepath.Join(john, "cur/1.M02.x:2,S"), filepath.Join(john, "cur/1.M02.x:2,RS")))
	w.o.Limit = Limit{Percent: 50, Share: true}
	p, done := w.pass(Final)
	if p.Counts.Quarantine != 1 || done.Copied != 0 || p.Counts.Rename != 2 {
		t.Errorf("%+v, %+v", p.Counts, done)
	}
	report, err := Verify(t.Context(), w.with(Final), true)
	must(t, err)
	must(t, report.Err())
	if report.Mailboxes != 9 || report.Messages != 179 || len(report.Domains) < 1 {
		t.Errorf("%d mailboxes, %d messages were compared, of %v", report.Mailboxes, report.Messages, report.Domains)
	}
	w.lateAndBack(john, there)
}

// lateAndBack brings a late message, and one that came to the new side goes back: nothing that the final pass had comes again.
func (w *world) lateAndBack(old, new string) {
	t := w.t
	must(t, os.Remove(filepath.Join(new, "cur/1.M03.x:2,S"))) // by its user
	write(t, filepath.Join(old, "new/2.late"), "late", epoch)
	if _, done := w.pass(Late); done.Copied != 1 {
		t.Errorf("a late pass brought %d messages", done.Copied)
	}
	if _, err := os.Stat(filepath.Join(new, "new/2.late")); err != nil {
		t.Error(err)
	}
	must(t, os.Remove(filepath.Join(old, "cur/1.M04.x:2,S")))
	write(t, filepath.Join(new, "new/3.back"), "back", epoch)
	o := w.with(Reverse)
	o.From, o.To, o.Path, o.Target, o.Layout, o.TargetLayout = w.o.To, w.o.From, w.dst, w.src, w.o.TargetLayout, w.o.Layout
	p, err := Look(t.Context(), o)
	must(t, err)
	var names []string
	must(t, p.copies.each(func(job work) error { names = append(names, nameOf(job.to)); return nil }))
	if len(names) != 1 || names[0] != "3.back" {
		t.Errorf("a reverse pass brings %q", names)
	}
	o = w.with(Late)
	o.Layout, o.TargetLayout = Layout{}, Layout{}
	o.Domains = nil
	w.refused(o, "path and target were others then")
}

// TestPatternsRefuse what they have no place for.
func TestPatternsRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		from, to, part string
		boxes          []string
	}{
		"mailbox elsewhere":     {"%d/%n/Maildir", "%d/%n/Maildir", `cannot find the mailbox of example.org/john`, []string{"example.org/john"}},
		"home, not Maildir":     {"%d/%n", "%d/%n", `path looks for it in "example.org/john", and it is "example.org/john/Maildir"`, []string{"example.org/john/Maildir"}},
		"folders as trees":      {"%d/%n", "%d/%n/Maildir", "LAYOUT=fs", []string{"example.org/john", "example.org/john/Work"}},
		"no domains":            {"%d/%n/Maildir", "%d/%n/Maildir", "is a mailbox itself", []string{"john"}},
		"no domains, elsewhere": {"%d/%n/Maildir", "%u/Maildir", "is a mailbox itself", []string{"john"}},
		"the root":              {"%n", "%n", "is a mailbox itself", []string{"."}},
		"two become one":        {"%d/%n/Maildir", "%d/%n", "would be one on the target", []string{"example.org/john/Maildir", "example.org/john/.Sent", "example.org/john/Maildir/.Sent"}},
		"small letters":         {"%d/%n", "%Ld/%Ln", "would be one on the target", []string{"example.org/john", "example.org/John"}},
		"small addresses":       {"%d/%n", "%Lu", "would be one on the target", []string{"example.org/john", "Example.org/john"}},
		"wrong hash":            {"%d/%1n/%n", "%d/%1n/%n", "by path, %d/%1n/%n, no account is there", []string{"example.org/j/john", "example.org/k/john"}},
		"no domain in it":       {"%u", "%d/%n", "by path, %u, no account is there", []string{"john@example.org", "mary"}},
		"two addresses":         {"%n", "%n", "by path, %n, no account is there", []string{"john", "mary@example.org"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, true)
			var err error
			w.o.Layout, w.o.TargetLayout, err = ParseLayouts(w.src+"/"+c.from, w.dst+"/"+c.to, nil)
			must(t, err)
			for _, b := range c.boxes {
				makeBox(t, w.src, b)
			}
			w.refused(w.with(Warm), c.part)
		})
	}
}

// TestPatternsSelect takes domains and users, into small letters, and tells what stays behind.
func TestPatternsSelect(t *testing.T) {
	for _, from := range []string{"%d/%n", "%u/Maildir", "%1n/%u"} {
		t.Run(strings.ReplaceAll(from, "/", " in "), func(t *testing.T) {
			eachWriter(t, func(t *testing.T, w *world) {
				var err error
				w.o.Layout, w.o.TargetLayout, err = ParseLayouts(w.src+"/"+from, w.dst+"/%Ld/%Ln/Maildir", nil)
				must(t, err)
				w.fillLayout(w.o.Layout)
				w.o.Domains, w.o.Users, w.o.Exclude = []string{"example.org", "gone.example"}, []string{"mary@example.org"}, []string{"Sent"}
				p, d := w.pass(Warm)
				if d.Copied != 40 || len(p.Absent) != 1 || p.Absent[0] != "gone.example" {
					t.Errorf("copied %d, without %q", d.Copied, p.Absent)
				}
				if domains := p.Domains(); len(domains) != 1 || domains["example.org"] != 40 {
					t.Errorf("domains %v", domains)
				}
				list, _ := filepath.Glob(filepath.Join(w.dst, "*", "*", "Maildir", ".*"))
				if len(list) != 1 || !strings.HasSuffix(list[0], "example.org/mary/Maildir/.Work.2012") {
					t.Errorf("%v", list)
				}
				w.pass(Final)
				report, err := Verify(t.Context(), w.o, true)
				must(t, err)
				must(t, report.Err())
				if report.Domains["example.org"] == nil || report.Messages != 40 {
					t.Errorf("%+v", report)
				}
				live := &Live{Version: recordVersion}
				live.Declare([]string{"example.org"}, epoch)
				must(t, WriteLive(t.Context(), w.host(), w.dst, live))
				w.refused(w.with(Final), "example.org has been live since", "late")
				w.o.Domains = []string{"gone.example"}
				w.refused(w.with(Warm), "cannot find the domain gone.example")
			})
		})
	}
}
