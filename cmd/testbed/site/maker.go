package site

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A Letter is a message for an account.
type Letter struct {
	Folder string   // as on the wire
	Octets []byte   // lines end with CRLF
	Flags  []string // system flags and keywords
	Date   time.Time
}

// A Maker makes mail up: the same for the same seed, and no letter twice. It
// is mail by its looks: threads that quote, signatures, HTML, attachments that
// come again. What compression makes of it says little about real mail.
type Maker struct {
	Length int // how long texts are; 0 is 1, usual letters of some KiB

	seed    uint64
	random  *rand.Rand
	count   int
	date    time.Time
	threads []thread
	files   []string // attachments so far, in base64
}

type thread struct {
	subject, last string // last is the text of its last letter
}

// NewMaker returns a Maker for a seed.
func NewMaker(seed uint64) *Maker {
	return &Maker{seed: seed, random: rand.New(rand.NewPCG(seed, 1)), date: time.Date(2024, 1, 1, 8, 0, 0, 0, time.UTC)}
}

// folders are where mail comes; INBOX is several times there because it gets
// most.
var folders = []string{"INBOX", "INBOX", "INBOX", "INBOX", "Sent", "Sent", "Archive/2023", "Archive/2024", "Lists/go", "Lists/imap", "Work", "Work/Invoices"}

// Folders are the folders that letters may be for.
func Folders() []string {
	var list []string
	for i, f := range folders {
		if i == 0 || f != folders[i-1] {
			list = append(list, f)
		}
	}
	return list
}

var people = []string{"Ann Archer <ann@example.org>", "Bob Baker <bob@example.com>", "Çelik Usta <celik@example.net>", "Dora <dora@list.example.org>", "The Printer <printer@example.com>"}

// words are what letters are made of; the first ones are the most common.
var words = strings.Fields(`the to and of a in is it you that we for on be this with have are not as at will can from by or if
 please thanks mail server message folder account backup would know meeting tomorrow today report invoice order number week
 time send sent attached file list question answer problem change version test result release build branch commit patch
 error line disk network address name user password login office project customer price contract payment delivery budget
 plan idea draft review comment agree prefer suggest maybe probably already still before after between because however
 Monday Tuesday Wednesday Thursday Friday morning evening coffee lunch train station ticket hotel weather holiday summer
 Grüße schön café naïve señor über straße`)

func (m *Maker) pick(list []string) string { return list[m.random.IntN(len(list))] }

// text is some paragraphs in lines of about 72 characters.
func (m *Maker) text(paragraphs int) string {
	var b strings.Builder
	for range paragraphs {
		width := 0
		for range 20 + m.random.IntN(60) {
			f := m.random.Float64()
			w := words[int(f*f*float64(len(words)))]
			if m.random.IntN(15) == 0 {
				w = fmt.Sprint(m.random.IntN(1_000_000))
			}
			if width += len(w) + 1; width > 72 {
				b.WriteString("\r\n")
				width = len(w)
			} else if width > len(w)+1 {
				b.WriteByte(' ')
			}
			b.WriteString(w)
		}
		b.WriteString(".\r\n\r\n")
	}
	return b.String()
}

// attachment is a file in base64; one in three was seen before.
func (m *Maker) attachment() string {
	if len(m.files) > 0 && m.random.IntN(3) == 0 {
		return m.pick(m.files)
	}
	file := make([]byte, 2000+m.random.IntN(30_000))
	for i := range file {
		file[i] = byte(m.random.Uint32())
	}
	var b strings.Builder
	for text := base64.StdEncoding.EncodeToString(file); text != ""; {
		n := min(76, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	if len(m.files) < 20 {
		m.files = append(m.files, b.String())
	} else {
		m.files[m.random.IntN(20)] = b.String()
	}
	return b.String()
}

// Next makes a letter.
func (m *Maker) Next() Letter {
	m.count++
	m.date = m.date.Add(time.Duration(1+m.random.IntN(5000)) * time.Second)
	text := m.text(max(1, m.Length) * (1 + m.random.IntN(4)))
	subject := strings.TrimSuffix(m.text(1)[:30], "\r\n")
	if len(m.threads) > 0 && m.random.IntN(2) == 0 {
		t := &m.threads[m.random.IntN(len(m.threads))]
		subject = "Re: " + strings.TrimPrefix(t.subject, "Re: ")
		text += "> " + strings.ReplaceAll(strings.TrimSuffix(t.last, "\r\n"), "\r\n", "\r\n> ") + "\r\n"
		t.last = text[:1+strings.LastIndexByte(text[:min(len(text), 3000)], '\n')] // or threads would grow for ever
	} else if t := (thread{subject, text}); len(m.threads) < 50 {
		m.threads = append(m.threads, t)
	} else {
		m.threads[m.random.IntN(50)] = t
	}
	subject = strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '_'
		}
		return r
	}, subject)
	from := m.pick(people)
	text += "-- \r\n" + from + "\r\n"

	var b strings.Builder
	fmt.Fprintf(&b, "Received: from mx%d.example.org by mail.example.org with ESMTPS id %016x;\r\n\t%s\r\n", m.random.IntN(9), m.random.Uint64(), m.date.Format(time.RFC1123Z))
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%d.%016x@example.org>\r\nMIME-Version: 1.0\r\n",
		ascii(from), ascii(m.pick(people)), subject, m.date.Format(time.RFC1123Z), m.count, m.seed)
	const plain = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	boundary := fmt.Sprintf("=_%d_%x", m.count, m.random.Uint32())
	switch n := m.random.IntN(12); {
	case n == 0:
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"%[1]s\"\r\n\r\n--%[1]s\r\n%[2]s%[3]s\r\n--%[1]s\r\nContent-Type: application/octet-stream; name=file%[4]d.bin\r\n"+
			"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=file%[4]d.bin\r\n\r\n%[5]s\r\n--%[1]s--\r\n", boundary, plain, text, m.count, m.attachment())
	case n <= 3:
		html := "<html><body><p>" + strings.ReplaceAll(text, "\r\n\r\n", "</p>\r\n<p>") + "</p></body></html>\r\n"
		fmt.Fprintf(&b, "Content-Type: multipart/alternative; boundary=\"%[1]s\"\r\n\r\n--%[1]s\r\n%[2]s%[3]s\r\n--%[1]s\r\nContent-Type: text/html; charset=utf-8\r\n\r\n%[4]s\r\n--%[1]s--\r\n",
			boundary, plain, text, html)
	default:
		b.WriteString(plain + text)
	}
	l := Letter{Folder: m.pick(folders), Octets: []byte(b.String()), Date: m.date}
	for _, f := range []struct {
		flag    string
		percent int
	}{{`\Seen`, 80}, {`\Answered`, 20}, {`\Flagged`, 5}} {
		if m.random.IntN(100) < f.percent {
			l.Flags = append(l.Flags, f.flag)
		}
	}
	return l
}

// ascii leaves what is no ASCII out of a header.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r > 0x7e {
			return 'x'
		}
		return r
	}, s)
}
