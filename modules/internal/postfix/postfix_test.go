package postfix

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// wheezy is the beginning of Debian 7's master.cf with an amavis beside it.
const wheezy = `# Postfix master process configuration file.
smtp      inet  n       -       -       -       -       smtpd
  -o content_filter=smtp-amavis:[127.0.0.1]:10024
# a remark between
	-o receive_override_options=no_address_mappings
#smtps     inet  n       -       -       -       -       smtpd
submission inet n       -       -       -       -       smtpd
pickup    fifo  n       -       -       60      1       pickup
cleanup   unix  n       -       -       -       0       cleanup
smtp      unix  -       -       -       -       -       smtp
127.0.0.1:10025 inet n  -       -       -       -       smtpd
  -o content_filter=
[::1]:10026 inet n  -       -       -       -       smtpd
192.0.2.1:2525 inet n  -       -       -       -       smtpd
dovecot   unix  -       n       n       -       -       pipe
  flags=DRhu user=vmail:vmail argv=/usr/lib/dovecot/deliver -f ${sender} -d ${recipient}`

func TestFreeze(t *testing.T) {
	want := `# Frozen by runner, takes no mail; postfix.thaw brings back the lines marked so. Postfix was running.
# Postfix master process configuration file.
#runner-frozen# smtp      inet  n       -       -       -       -       smtpd
#runner-frozen#   -o content_filter=smtp-amavis:[127.0.0.1]:10024
# a remark between
#runner-frozen# 	-o receive_override_options=no_address_mappings
#smtps     inet  n       -       -       -       -       smtpd
#runner-frozen# submission inet n       -       -       -       -       smtpd
#runner-frozen# pickup    fifo  n       -       -       60      1       pickup
cleanup   unix  n       -       -       -       0       cleanup
smtp      unix  -       -       -       -       -       smtp
127.0.0.1:10025 inet n  -       -       -       -       smtpd
  -o content_filter=
[::1]:10026 inet n  -       -       -       -       smtpd
#runner-frozen# 192.0.2.1:2525 inet n  -       -       -       -       smtpd
dovecot   unix  -       n       n       -       -       pipe
  flags=DRhu user=vmail:vmail argv=/usr/lib/dovecot/deliver -f ${sender} -d ${recipient}`
	if got := strings.Join(Taking(wheezy), " "); got != "smtp/inet submission/inet pickup/fifo 192.0.2.1:2525/inet" {
		t.Errorf("taking: %s", got)
	}
	frozen := Freeze(wheezy, true)
	if d := cmp.Diff(want, frozen); d != "" {
		t.Error(d)
	}
	if is, running := Frozen(frozen); !is || !running {
		t.Errorf("frozen %v, running %v", is, running)
	}
	// A service that was added to a frozen file is frozen too; that Postfix ran at first is kept.
	again := Freeze(frozen+"\nsmtps inet n - - - - smtpd\n", false)
	if is, running := Frozen(again); !is || !running || len(Taking(again)) != 0 || strings.Count(again, frozenHead) != 1 {
		t.Errorf("frozen again:\n%s", again)
	}
	if is, _ := Frozen(wheezy); is {
		t.Error("what was never frozen is")
	}
	if _, running := Frozen(Freeze(wheezy, false)); running {
		t.Error("what was stopped ran")
	}
}

func FuzzFreeze(f *testing.F) {
	f.Add(wheezy)
	f.Add("smtp inet n - - - - smtpd")
	f.Add(" continued\n\n#\nsmtp\tinet\n\t-o x=y\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, frozenMark) || strings.Contains(text, frozenHead) {
			t.Skip()
		}
		frozen := Freeze(text, true)
		if left := Taking(frozen); len(left) != 0 {
			t.Errorf("%q still takes mail by %v", text, left)
		}
		if Freeze(frozen, false) != frozen {
			t.Errorf("%q is frozen twice otherwise than once", text)
		}
		if back := Thaw(frozen); back != text {
			t.Errorf("%q came back as %q", text, back)
		}
	})
}

func TestParseQueue(t *testing.T) {
	// Postfix 2.9.6 and 3.5.25, the last with enable_long_queue_ids.
	const text = `-Queue ID-  --Size-- ----Arrival Date---- -Sender/Recipient-------
7A3BB1500E2*     270 Mon Nov 23 18:54:31  root@mail-old.example.net
                                         alice@example.com

4D82215000!      310 Mon Nov  3 18:54:31  MAILER-DAEMON
                                         bob@example.com

3vZQxk2Nz9z1wYs     2378 Tue Oct 13 07:00:00  news@example.net
(connect to mx.far.example[192.0.2.1]:25: Connection timed out)
                                         a@far.example
                                         b@far.example
   (host mx.near.example[192.0.2.2] said: 450 4.2.0 <c@near.example>: greylisted (in reply to RCPT TO command))
                                         c@near.example

5F741150005     2116 Mon Nov 23 18:54:31  MAILER-DAEMON
(connect to mx.far.example[192.0.2.1]:25: Connection timed out)
                                         d@far.example

-- 5 Kbytes in 4 Requests.
`
	want := Queue{Messages: 4, Bytes: 5074, Active: 1, Hold: 1, Waiting: 2, Reasons: []Reason{
		{"connect to mx.far.example[192.0.2.1]:25: Connection timed out", 3, "a@far.example"},
		{"host mx.near.example[192.0.2.2] said: 450 4.2.0 <c@near.example>: greylisted (in reply to RCPT TO command)", 1, "c@near.example"},
	}}
	if d := cmp.Diff(want, ParseQueue(text)); d != "" {
		t.Error(d)
	}
	for _, empty := range []string{"Mail queue is empty\n", "", "postqueue: warning: Mail system is down -- accessing queue directly\nMail queue is empty\n"} {
		if d := cmp.Diff(Queue{}, ParseQueue(empty)); d != "" {
			t.Errorf("%q: %s", empty, d)
		}
	}
}

func FuzzParseQueue(f *testing.F) {
	f.Add("7A3BB1500E2*     270 Mon Nov 23 18:54:31  a@b\n(why)\n   c@d\n")
	f.Fuzz(func(t *testing.T, text string) {
		if q := ParseQueue(text); q.Messages != q.Active+q.Hold+q.Waiting {
			t.Errorf("%q: %+v", text, q)
		}
	})
}

func TestTraffic(t *testing.T) {
	const log = `Nov 23 18:54:31 mail-old postfix/pickup[1888]: 4D822150002: uid=0 from=<root>
Nov 23 18:54:31 mail-old postfix/qmgr[1889]: 4D822150002: from=<root@mail-old.example.net>, size=270, nrcpt=1 (queue active)
Nov 23 18:54:31 mail-old postfix/smtp[2197]: 4D822150002: to=<nobody@far.example.test>, relay=none, delay=0.06, delays=0.05/0.02/0/0, dsn=5.4.4, status=bounced (Host or domain name not found)
Nov 23 18:54:32 mail-old postfix/smtpd[854]: connect from localhost[127.0.0.1]
Nov 23 18:54:32 mail-old postfix/submission/smtpd[854]: 566BC150003: client=localhost[127.0.0.1], sasl_method=PLAIN
Nov 23 18:54:32 mail-old postfix/pipe[99]: 566BC150003: to=<alice@example.com>, relay=dovecot, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (delivered via dovecot service)
Nov 23 18:54:33 mail-old postfix-new/smtp[99]: 3vZQxk2Nz9z1wYs: to=<a@b.example>, orig_to=<c@d>, relay=mail-new.example.net[198.18.40.20]:25, delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=sent (250 2.0.0 Ok)
Nov 23 18:54:33 mail-old postfix/lmtp[99]: 3vZQxk2Nz9z1wYs: to=<a@b.example>, relay=mail-old.example.net[private/dovecot-lmtp], delay=0.1, delays=0/0/0/0.1, dsn=2.0.0, status=deferred (no)
2026-11-23T18:54:33.123456+00:00 mail-new postfix/smtpd[7]: NOQUEUE: reject: RCPT from x[192.0.2.1]: 554 5.7.1 <y@z>: Relay access denied
Nov 23 18:54:34 mail-old dovecot: imap-login: status=sent relay=x
`
	var got Traffic
	got.Add(log)
	want := Traffic{Received: 2, Rejected: 1, Status: map[string]int{"sent": 2, "bounced": 1, "deferred": 1}, Relays: map[string]int{"dovecot": 1, "mail-new.example.net": 1},
		Last: strings.Split(log, "\n")[8]}
	if d := cmp.Diff(want, got); d != "" || got.Events() != 7 {
		t.Error(d, got.Events())
	}
	if fmt.Sprint(got.RelayNames()) != "[dovecot mail-new.example.net]" {
		t.Error(got.RelayNames())
	}
}
