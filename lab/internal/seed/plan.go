package seed

import (
	"cmp"
	"encoding/base64"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// Mailbox is one folder of a user with its messages in the order of their delivery.
type Mailbox struct {
	Name     string // as the user sees it, with "." between the levels; "INBOX"
	Messages []Message
	Unopened bool // no client has opened it: what is unread lies in new/
}

// Message is a message still to be written.
type Message struct {
	Number  int // on the host, from 0
	Date    time.Time
	Size    int    // roughly, in bytes
	Flags   string // letters of maildir(5), sorted
	New     bool   // in new/ instead of cur/
	Unsized bool   // no ",S=" in its name
}

// folders are what users have, with the share of the mail each gets. The first four everybody has.
var folders = []struct {
	name  string
	share float64
}{
	{"INBOX", 45}, {"Sent", 18}, {"Drafts", 1}, {"Trash", 4},
	{"Junk", 4}, {"Archive", 6}, {"Archive.2012", 4}, {"Archive.2013", 4}, {"Archive.2013.Q4", 2},
	{"Projekte", 2}, {"Projekte.Überfällig & Co", 2}, {"Kunden und Partner", 3}, {"Kunden und Partner.Müller GmbH", 2},
	{"Newsletter", 5}, {"日本語", 1}, {"Bob's things", 1}, {"Leer", 0},
}

// first and last delivery on an old server
var (
	first = time.Date(2009, 2, 1, 6, 30, 0, 0, time.UTC)
	last  = time.Date(2015, 6, 14, 22, 0, 0, 0, time.UTC)
)

// Mailboxes plans every mailbox of every user, by address.
func (s *Seed) Mailboxes() map[string][]*Mailbox {
	var users []User
	for _, d := range s.Domains {
		users = append(users, d.Users...)
	}
	out := make(map[string][]*Mailbox, len(users))
	if len(users) == 0 {
		return out
	}
	boxes := make([][]*Mailbox, len(users))
	for i, u := range users {
		boxes[i] = mailboxesOf(u)
		out[u.Email] = boxes[i]
	}
	owner := shares(len(users), func(i int) float64 { return 1 / math.Pow(float64(rank(users[i]))+1, 0.8) })
	r := random(s.Host, "messages")
	span := last.Sub(first)
	for n := range s.Messages {
		of := boxes[owner(r)]
		box := of[pickBox(r, of)]
		at := first.Add(time.Duration(float64(span) * float64(n) / float64(s.Messages))).Add(time.Duration(r.IntN(600)) * time.Second)
		box.Messages = append(box.Messages, message(r, n, s.Messages, at.Truncate(time.Second), box))
	}
	for _, list := range boxes {
		for _, box := range list {
			slices.SortStableFunc(box.Messages, func(a, b Message) int { return cmp.Compare(a.Date.Unix(), b.Date.Unix()) })
		}
	}
	return out
}

func mailboxesOf(u User) []*Mailbox {
	r := random(u.Email, "folders")
	var out []*Mailbox
	for i, f := range folders {
		if i < 4 || r.IntN(100) < 45 {
			out = append(out, &Mailbox{Name: f.name})
		}
	}
	out[0].Unopened = r.IntN(2) == 0
	return out
}

// rank spreads the users from the busiest to the quietest, whatever the order in which they stand.
func rank(u User) int { return random(u.Email, "rank").IntN(24) }

// shares makes a picker of indices below n, each by its weight.
func shares(n int, weight func(int) float64) func(*rand.Rand) int {
	sums := make([]float64, n)
	total := 0.0
	for i := range n {
		total += weight(i)
		sums[i] = total
	}
	return func(r *rand.Rand) int {
		i, _ := slices.BinarySearch(sums, r.Float64()*total)
		return min(i, n-1)
	}
}

func pickBox(r *rand.Rand, boxes []*Mailbox) int {
	return shares(len(boxes), func(i int) float64 { return share(boxes[i].Name) })(r)
}

func share(name string) float64 {
	for _, f := range folders {
		if f.name == name {
			return f.share
		}
	}
	return 0
}

// message decides on size and flags. The last twentieth of an inbox is unread.
func message(r *rand.Rand, n, of int, at time.Time, box *Mailbox) Message {
	m := Message{Number: n, Date: at, Size: size(r), Unsized: r.IntN(10) == 0}
	if box.Name == "INBOX" && n > of*19/20 {
		m.New = box.Unopened
		return m
	}
	flags := ""
	add := func(flag string, percent int) {
		if r.IntN(100) < percent {
			flags += flag
		}
	}
	add("D", map[bool]int{true: 90, false: 1}[box.Name == "Drafts"])
	add("F", 6)
	add("P", 3)
	add("R", 20)
	add("S", 85)
	add("T", 2)
	m.Flags = flags
	return m
}

// size follows what mailboxes of offices look like: mostly short texts, and most of the bytes in a few attachments. The mean is
// about 45 kB.
func size(r *rand.Rand) int {
	between := func(low, high int) int { return low + r.IntN(high-low) }
	switch p := r.IntN(1000); {
	case p < 550:
		return between(500, 4_000)
	case p < 800:
		return between(4_000, 20_000)
	case p < 935:
		return between(20_000, 100_000)
	case p < 990:
		return between(100_000, 500_000)
	default:
		return between(500_000, 2_000_000)
	}
}

// mUTF7 writes a mailbox name as IMAP and Maildir do (RFC 3501, 5.1.3).
func mUTF7(name string) string {
	encoding := base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)
	var b strings.Builder
	var pending []byte
	flush := func() {
		if len(pending) > 0 {
			b.WriteString("&" + encoding.EncodeToString(pending) + "-")
			pending = pending[:0]
		}
	}
	for _, r := range name {
		if r >= ' ' && r <= '~' {
			flush()
			b.WriteRune(r)
			if r == '&' {
				b.WriteByte('-')
			}
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			pending = append(pending, byte(unit>>8), byte(unit))
		}
	}
	flush()
	return b.String()
}
