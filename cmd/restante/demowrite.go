package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"mime"
	"mime/quotedprintable"
	"strings"
	"time"
)

// A demoPost is a message that is to be written.
type demoPost struct {
	from       string
	to         []string
	subject    string
	sent       time.Time
	references []string // the conversation so far
	list       bool     // it goes over a mailing list
	text       string
	html       bool // the text is in HTML, too
	attach     []demoFile
}

type demoFile struct {
	name, kind string
	octets     []byte
}

// write writes a message as mail programs do, with every encoding in turn, and
// returns it with its Message-ID.
func (w *demoWriter) write(p demoPost) (octets []byte, id string) {
	w.count++
	from := demoPeople[p.from]
	_, domain, _ := strings.Cut(from.address, "@")
	id = fmt.Sprintf("<%s.%04d@%s>", p.sent.Format("20060102150405"), w.count, domain)
	var b bytes.Buffer
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\r\n", a...) }
	line("Return-Path: <%s>", from.address)
	line("Received: from mail.%s (mail.%s [192.0.2.%d])\r\n\tby mx.kranich.example with ESMTPS id %06X;\r\n\t%s", domain, domain, 1+len(domain), w.dice.roll(1<<24), p.sent.Format(time.RFC1123Z))
	line("From: %s", w.address(from))
	if len(p.to) > 0 {
		var to []string
		for _, name := range p.to {
			to = append(to, w.address(demoPeople[name]))
		}
		line("To: %s", strings.Join(to, ",\r\n "))
	}
	line("Subject: %s", w.word(p.subject))
	line("Date: %s", p.sent.Format(time.RFC1123Z))
	line("Message-ID: %s", id)
	if n := len(p.references); n > 0 {
		line("In-Reply-To: %s", p.references[n-1])
		line("References: %s", strings.Join(p.references, "\r\n "))
	}
	if p.list {
		line("List-Id: <%s>", strings.ReplaceAll(demoPeople["lists"].address, "@", "."))
		line("List-Unsubscribe: <mailto:%s?subject=unsubscribe>", demoPeople["lists"].address)
	}
	line("MIME-Version: 1.0")
	if len(p.attach) == 0 && !p.html {
		w.textPart(&b, "plain", p.text)
		return b.Bytes(), id
	}
	outer, inner := fmt.Sprintf("=_%08x", w.dice.roll(1<<31)), fmt.Sprintf("=_%08x", w.dice.roll(1<<31))
	line("Content-Type: multipart/mixed; boundary=%q\r\n", outer)
	line("This message has several parts.\r\n--%s", outer)
	if p.html {
		line("Content-Type: multipart/alternative; boundary=%q\r\n\r\n--%s", inner, inner)
		w.textPart(&b, "plain", p.text)
		line("--%s", inner)
		w.textPart(&b, "html", inHTML(p.subject, p.text))
		line("--%s--", inner)
	} else {
		w.textPart(&b, "plain", p.text)
	}
	for _, f := range p.attach {
		line("\r\n--%s", outer)
		line("Content-Type: %s", mime.FormatMediaType(f.kind, map[string]string{"name": f.name}))
		line("Content-Disposition: %s", mime.FormatMediaType("attachment", map[string]string{"filename": f.name}))
		line("Content-Transfer-Encoding: base64\r\n")
		for text := base64.StdEncoding.EncodeToString(f.octets); text != ""; {
			n := min(76, len(text))
			line("%s", text[:n])
			text = text[n:]
		}
	}
	line("--%s--", outer)
	return b.Bytes(), id
}

// word encodes what is not ASCII (RFC 2047), one way or the other.
func (w *demoWriter) word(s string) string {
	if w.count%2 == 0 {
		return mime.BEncoding.Encode("utf-8", s)
	}
	return mime.QEncoding.Encode("utf-8", s)
}

func (w *demoWriter) address(p demoPerson) string {
	name := w.word(p.name)
	if name == p.name && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ") != "" {
		name = `"` + name + `"`
	}
	return name + " <" + p.address + ">"
}

// textPart writes the header and body of a text: the plainest encoding for
// ASCII, else one after the other.
func (w *demoWriter) textPart(b *bytes.Buffer, subtype, text string) {
	text = strings.ReplaceAll(text, "\n", "\r\n")
	charset, encoding := "utf-8", []string{"quoted-printable", "8bit", "base64", "8bit"}[w.count%4]
	body := []byte(text)
	if strings.IndexFunc(text, func(r rune) bool { return r > 0x7e }) < 0 {
		charset, encoding = "us-ascii", "7bit"
	} else if w.count%4 == 3 && strings.IndexFunc(text, func(r rune) bool { return r > 0xff }) < 0 {
		charset, body = "iso-8859-1", nil
		for _, r := range text {
			body = append(body, byte(r))
		}
	}
	fmt.Fprintf(b, "Content-Type: text/%s; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n", subtype, charset, encoding)
	switch encoding {
	case "quoted-printable":
		q := quotedprintable.NewWriter(b)
		q.Write(body)
		q.Close()
	case "base64":
		for text := base64.StdEncoding.EncodeToString(body); text != ""; {
			n := min(76, len(text))
			b.WriteString(text[:n] + "\r\n")
			text = text[n:]
		}
	default:
		b.Write(body)
	}
}

func inHTML(title, text string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html><head><title>%s</title>\n<style>body { font: 16px/1.5 serif; max-width: 36em; margin: 2em auto }</style></head>\n<body>\n", html.EscapeString(title))
	for p := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		fmt.Fprintf(&b, "<p>%s</p>\n", strings.ReplaceAll(html.EscapeString(p), "\n", "<br>\n"))
	}
	b.WriteString("</body></html>\n")
	return b.String()
}

// picture draws a book cover in the light of some lamp.
func (w *demoWriter) picture(width, height int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	red, green, blue := 60+w.dice.roll(120), 40+w.dice.roll(120), 30+w.dice.roll(120)
	lampX, lampY := w.dice.roll(width), w.dice.roll(height)
	for y := range height {
		for x := range width {
			light := 90 - ((x-lampX)*(x-lampX)+(y-lampY)*(y-lampY))*90/(width*width) + w.dice.roll(3)
			if x < width/8 || x > width-4 || y < 4 || y > height-4 {
				light -= 40 // the spine and the edges
			}
			shade := func(c int) uint8 { return uint8(min(max(c+light, 0), 255)) }
			img.SetRGBA(x, y, color.RGBA{shade(red), shade(green), shade(blue), 255})
		}
	}
	var b bytes.Buffer
	png.Encode(&b, img) // a Buffer takes everything
	return b.Bytes()
}

// document is a PDF: a title and figures.
func (w *demoWriter) document(title string, pages int) []byte {
	var kids []string
	objects := []string{"<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"}
	for n := range pages {
		var page bytes.Buffer
		fmt.Fprintf(&page, "BT /F1 18 Tf 72 770 Td (%s, page %d) Tj ET\n", title, n+1)
		for y := 730; y > 80; y -= 14 {
			fmt.Fprintf(&page, "BT /F1 10 Tf 72 %d Td (%04d   %04d   %04d   %s) Tj ET\n", y, w.dice.roll(10000), w.dice.roll(10000), w.dice.roll(10000), strings.Repeat(".", w.dice.roll(50)))
		}
		kids = append(kids, fmt.Sprintf("%d 0 R", len(objects)+1))
		objects = append(objects,
			fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font << /F1 3 0 R >> >> >>", len(objects)+2),
			fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", page.Len(), page.String()))
	}
	objects[1] = fmt.Sprintf("<< /Type /Pages /Kids [%s] /Count %d >>", strings.Join(kids, " "), pages)
	var b bytes.Buffer
	b.WriteString("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
	var offsets []int
	for i, object := range objects {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, object)
	}
	start := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, start)
	return b.Bytes()
}

// table is a CSV file, with semicolons, as people in Lübeck have it.
func (w *demoWriter) table(rows int) []byte {
	var b bytes.Buffer
	b.WriteString("Datum;Posten;Menge;Betrag\r\n")
	for i := range rows {
		fmt.Fprintf(&b, "%02d.03.2026;\"%s\";%d;%s\r\n", 1+i%28, pickOne(&w.dice, demoItems), 1+w.dice.roll(40), demoMoney(&w.dice))
	}
	return b.Bytes()
}

// odd writes messages that have broken programs, and one that was forwarded
// whole.
func (w *demoWriter) odd() {
	text := func(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }
	at := demoDay(2026, time.March, 24, 4, 44)
	w.put("INBOX", at, []byte("this line is no header field\r\nFrom fax@office.example\nSubject\r\n: no name\r\nTo: anna@kranich.example\r\n"+
		"Content-Type: multipart/mixed; boundary=\r\n\r\nFAX 1 of 3\nbare line feeds\nand \xe4\xf6\xfc in no charset at all\n"), `\Flagged`)
	w.put("INBOX", at.Add(2*time.Hour), text("From: Jonas Holt <jonas@kranich.example>\nTo: Anna Kranich <anna@kranich.example>\nSubject: buy milk\nDate: Tue, 24 Mar 2026 06:44:00 +0100\nMessage-ID: <milk@kranich.example>\n\n"), `\Seen`)
	w.put("Trash", at.Add(3*time.Hour), text("From: nobody\nSubject: a header and nothing behind it\n"), `\Seen`)
	w.put("Junk", at.Add(4*time.Hour), text("From: prize@prizes.example\nSubject: =?utf-8?q?broken_word\nDate: yesterday\n\nFrom here on dots:\n.\n..\n"+strings.Repeat("long ", 800)+"\n"), "$Junk")
	i := len(w.mail) - 20 // some message from before
	outer := fmt.Sprintf("=_%08x", w.dice.roll(1<<31))
	w.put("Sent", at.Add(5*time.Hour), append(append(text("From: Anna Kranich <anna@kranich.example>\nTo: Priya Raman <priya@raman-books.example>\nSubject: Fwd: one for your folder\n"+
		"Date: Tue, 24 Mar 2026 09:44:00 +0100\nMessage-ID: <fwd-1@kranich.example>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\""+outer+"\"\n\n"+
		"--"+outer+"\nContent-Type: text/plain\n\nAs it came.\n\n--"+outer+"\nContent-Type: message/rfc822\n\n"), w.mail[i].octets...), text("\n--"+outer+"--\n")...), `\Seen`, "$Forwarded")
	// The same message in two folders, as filters and absent minds leave it.
	w.put("Archive/2025", w.mail[i].date, w.mail[i].octets, w.mail[i].flags...)
}
