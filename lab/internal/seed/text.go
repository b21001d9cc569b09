package seed

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"time"
)

var words = []string{
	"Angebot", "Termin", "Rechnung", "bitte", "morgen", "Vertrag", "Unterlagen", "danke", "Besprechung", "Projekt",
	"Grüße", "für", "über", "nächste", "Woche", "the", "meeting", "please", "attached", "invoice", "server", "tomorrow",
	"regards", "project", "draft", "review", "budget", "holiday", "update", "lunch", "und", "nicht", "noch", "wir", "Sie", "with",
	"from", "next", "week", "Straße", "Öffnungszeiten", "call", "list", "number", "Änderung", "schicken", "kommen", "about",
}

// writer makes messages. It keeps its buffers, so that each goroutine needs its own.
type writer struct {
	blob []byte // lines of base64, of which attachments are pieces
	buf  bytes.Buffer
}

// newWriter prepares a stock of attachment data, the same in every writer.
func newWriter() *writer {
	r := random("attachments")
	raw := make([]byte, 57*32768) // 57 bytes are a line of 76 characters (RFC 2045, 6.8)
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	var b bytes.Buffer
	for i := 0; i < len(raw); i += 57 {
		b.WriteString(base64.StdEncoding.EncodeToString(raw[i : i+57]))
		b.WriteByte('\n')
	}
	return &writer{blob: b.Bytes()}
}

// text writes the message with LF line ends, as a delivery agent stores it. The result is valid until the next call.
func (w *writer) text(host string, to User, box string, m Message) []byte {
	r := random(host, m.Number)
	w.buf.Reset()
	w.head(r, host, to, box, m)
	switch {
	case m.Number%211 == 7: // an empty body
		w.line("")
	case m.Size > 15_000:
		w.attachment(r, m)
	case m.Number%5 == 1:
		w.alternative(r, m)
	default:
		w.line("MIME-Version: 1.0")
		w.line("Content-Type: text/plain; charset=UTF-8")
		w.line("Content-Transfer-Encoding: 8bit")
		w.line("")
		w.prose(r, m.Size-w.buf.Len())
	}
	return w.buf.Bytes()
}

func (w *writer) line(format string, args ...any) {
	fmt.Fprintf(&w.buf, format, args...)
	w.buf.WriteByte('\n')
}

func (w *writer) head(r *rand.Rand, host string, to User, box string, m Message) {
	_, domain := split(to.Email)
	from := fmt.Sprintf("%s@sender%d.example", []string{"mueller", "j.doe", "office", "newsletter", "no-reply"}[r.IntN(5)], r.IntN(40))
	if box == "Sent" || box == "Drafts" {
		from = to.Email
	} else {
		w.line("Return-Path: <%s>", from)
		w.line("Delivered-To: %s", to.Email)
		w.line("Received: from mx%d.example (mx%d.example [203.0.113.%d])", r.IntN(9), r.IntN(9), 1+r.IntN(250))
		w.line("\tby mail.%s (Postfix) with ESMTP id %010X", domain, r.Uint64()>>24)
		w.line("\tfor <%s>; %s", to.Email, m.Date.Format(time.RFC1123Z))
	}
	w.line("Date: %s", m.Date.Add(-time.Duration(r.IntN(90))*time.Second).Format(time.RFC1123Z))
	w.line("From: %s", from)
	w.line("To: %s", to.Email)
	switch m.Number % 4 {
	case 0:
		w.line("Subject: =?UTF-8?B?%s?=", base64.StdEncoding.EncodeToString([]byte("Grüße und Termine "+words[r.IntN(len(words))])))
	default:
		w.line("Subject: %s %s %d", words[15+r.IntN(8)], words[r.IntN(10)], m.Number)
	}
	switch {
	case m.Number%53 == 3: // old programs sent none
	case m.Number%97 == 5: // a program that sends the same one for ever
		w.line("Message-ID: <1@localhost>")
	default:
		w.line("Message-ID: <%d.%x@%s>", m.Number, r.Uint32(), host)
	}
	if m.Number%41 == 9 { // longer than the 998 bytes of RFC 5322, and with raw 8-bit characters, as in real mailboxes
		w.buf.WriteString("X-Report: ")
		for range 150 {
			w.buf.WriteString(words[r.IntN(len(words))])
			w.buf.WriteByte(' ')
		}
		w.line("")
	}
}

// prose writes about n bytes of text in lines and paragraphs.
func (w *writer) prose(r *rand.Rand, n int) {
	end := w.buf.Len() + n
	for column := 0; w.buf.Len() < end; {
		word := words[r.IntN(len(words))]
		w.buf.WriteString(word)
		column += len(word) + 1
		switch {
		case column > 68 && r.IntN(12) == 0:
			w.buf.WriteString("\n\nFrom ") // what mbox would have to escape, Maildir must not
			column = 5
		case column > 68:
			w.buf.WriteByte('\n')
			column = 0
		default:
			w.buf.WriteByte(' ')
		}
	}
	w.buf.WriteByte('\n')
}

func (w *writer) alternative(r *rand.Rand, m Message) {
	boundary := fmt.Sprintf("=_alt_%d", m.Number)
	w.line("MIME-Version: 1.0")
	w.line("Content-Type: multipart/alternative; boundary=%q", boundary)
	w.line("")
	half := max(100, (m.Size-w.buf.Len())/2)
	w.line("--%s\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n", boundary)
	w.prose(r, half)
	w.line("--%s\nContent-Type: text/html; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n<html><body><p>", boundary)
	w.prose(r, half)
	w.line("</p></body></html>\n--%s--", boundary)
}

func (w *writer) attachment(r *rand.Rand, m Message) {
	boundary := fmt.Sprintf("=_mix_%d", m.Number)
	w.line("MIME-Version: 1.0")
	w.line("Content-Type: multipart/mixed; boundary=%q", boundary)
	w.line("")
	w.line("--%s\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n", boundary)
	w.prose(r, 300+r.IntN(900))
	name := []string{"Rechnung.pdf", "photo.jpg", "Vertrag.doc", "backup.zip"}[r.IntN(4)]
	w.line("--%s\nContent-Type: application/octet-stream; name=%q", boundary, name)
	w.line("Content-Disposition: attachment; filename=%q\nContent-Transfer-Encoding: base64\n", name)
	const width = 77
	for left := (m.Size - w.buf.Len()) / width; left > 0; {
		at := r.IntN(len(w.blob)/width - 1)
		n := min(left, len(w.blob)/width-at)
		w.buf.Write(w.blob[at*width : (at+n)*width])
		left -= n
	}
	w.line("\n--%s--", boundary)
}
