package load

import (
	"strings"
	"testing"

	"runner/lab"
)

// What was confirmed and is not so must be found, whatever it is, and what is right must not.
func TestCompare(t *testing.T) {
	inbox, moved := state{folder: "INBOX"}, state{folder: folders[1]}
	flagged := state{folder: "INBOX", flags: [3]bool{true}}
	for _, c := range []struct {
		name  string
		mail  mail
		own   []state
		seen  map[string][]state
		wrong string
	}{
		{"right", mail{taken: true}, []state{flagged}, map[string][]state{"m": {inbox}, "o": {flagged}}, ""},
		{"lost", mail{taken: true}, nil, nil, "is lost"},
		{"doubled", mail{taken: true}, nil, map[string][]state{"m": {inbox, moved}}, "is there 2 times"},
		{"given twice, confirmed once", mail{taken: true, maybe: 1}, nil, map[string][]state{"m": {inbox, inbox}}, ""},
		{"never taken", mail{}, nil, nil, ""},
		{"a flag is lost", mail{}, []state{flagged}, map[string][]state{"o": {inbox}}, "should be in INBOX \\Flagged and is in INBOX"},
		{"a move is undone", mail{}, []state{moved}, map[string][]state{"o": {inbox}}, "should be in Moved while live and is in INBOX"},
		{"a move doubles", mail{}, []state{moved}, map[string][]state{"o": {inbox, moved}}, "and is in INBOX or in Moved while live"},
		{"a removal is undone", mail{}, []state{{}}, map[string][]state{"o": {inbox}}, "should be gone"},
		{"an own message is lost", mail{}, []state{inbox}, nil, "and is gone"},
		{"not answered, done", mail{}, []state{inbox, moved}, map[string][]state{"o": {moved}}, ""},
		{"not answered, not done", mail{}, []state{inbox, moved}, map[string][]state{"o": {inbox}}, ""},
		{"not answered, something else", mail{}, []state{inbox, moved}, map[string][]state{"o": {flagged}}, "should be in INBOX or"},
	} {
		c.mail.mark, c.mail.to = "m", "a@example.org"
		x := &Load{mails: []*mail{&c.mail}}
		if c.own != nil {
			x.users = []*user{{account: lab.User{Email: "a@example.org"}, messages: []*message{{mark: "o", possible: c.own}}}}
		}
		got := strings.Join(x.compare(map[string]map[string][]state{"a@example.org": c.seen}).Problems, "; ")
		if c.wrong == "" && got != "" || !strings.Contains(got, c.wrong) {
			t.Errorf("%s: %q, want %q", c.name, got, c.wrong)
		}
	}
}
