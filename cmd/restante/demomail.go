package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"
)

//go:embed demomail.txt
var demoTexts string

// A demoMail is a message and where it is.
type demoMail struct {
	folder string
	date   time.Time // internal
	flags  []string
	octets []byte
}

// demoFolders are the folders of the demo's mailbox: special use, and whether
// they are subscribed to.
var demoFolders = []struct {
	name, use  string
	subscribed bool
}{
	{"INBOX", "", true}, {"Sent", `\Sent`, true}, {"Drafts", `\Drafts`, true}, {"Junk", `\Junk`, false}, {"Trash", `\Trash`, true},
	{"Archive", `\Archive`, false}, {"Archive/2025", "", true}, {"Clients", "", false}, {"Clients/Museum", "", true}, {"Clients/Observatory", "", true},
	{"Ideas & plans", "", true}, {"Lists", "", false}, {"Lists/bookbinders", "", true}, {"Lists/Paper & Thread", "", false},
	{"Rechnungen", "", false}, {"Rechnungen/März", "", true},
}

// A demoPerson writes or gets mail.
type demoPerson struct{ name, address, sign string }

var demoPeople = map[string]demoPerson{
	"anna":  {"Anna Kranich", "anna@kranich.example", "Anna Kranich\nBuchbinderei Kranich, Lübeck"},
	"jonas": {"Jonas Holt", "jonas@kranich.example", "Jonas"},
	"priya": {"Priya Raman", "priya@raman-books.example", "Priya Raman, bookkeeping (the other kind)"},
	"yuki":  {"Yuki Tanaka", "y.tanaka@museum.example", "Yuki Tanaka 田中 由紀"},
	"marit": {"Marit Øvrebø", "marit@observatoriet.example", "Marit Øvrebø\nObservatoriet"},
	"tomas": {"Tomás Rey", "tomas@papelera-rey.example", "Tomás"},
	"ines":  {"Inês Duarte", "ines@duarte.example", "Inês"},
	"leo":   {"Leo Abt", "leo@abt-leather.example", "Leo Abt, tanner"},
	"bram":  {"Bram de Wit", "bram@dewit.example", "Bram"},
	"shop":  {"Kranich shop", "orders@kranich.example", ""},
	"moewe": {"Kurierdienst Möwe", "info@moewe.example", ""},
	"mill":  {"Paper & Thread", "letters@papermill.example", ""},
	"lists": {"bookbinders", "bookbinders@lists.example", ""},
	"prize": {"WINNER DEPARTMENT", "noreply@prizes.example", ""},
}

// A demoWriter writes the demo's mail: the same every time.
type demoWriter struct {
	dice  demoDice
	texts map[string][2]string // subject and text, to be filled in, by name
	mail  []demoMail           // by date
	count int                  // of messages written, for their names
}

// demoDice give numbers that look like chance and are always the same (splitmix64).
type demoDice uint64

func (d *demoDice) roll(n int) int {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(n))
}

func pickOne[T any](d *demoDice, list []T) T { return list[d.roll(len(list))] }

// demoDay is a time in Lübeck, where the mail server is.
func demoDay(year int, month time.Month, day, hour, minute int) time.Time {
	hours := 1
	if m := time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Month(); m >= time.April && m <= time.October {
		hours = 2
	}
	return time.Date(year, month, day, hour, minute, (day*7+minute)%60, 0, time.FixedZone("", hours*3600))
}

// newDemoWriter writes the mailbox as it is in the beginning.
func newDemoWriter() (*demoWriter, error) {
	w := &demoWriter{dice: 1783, texts: map[string][2]string{}}
	before, conversations, ok := strings.Cut(demoTexts, "\n=== ")
	conversations, forms, ok2 := strings.Cut(conversations, "\n--- ")
	if !ok || !ok2 || before == "" {
		return nil, fmt.Errorf("demomail.txt: it should have conversations and texts")
	}
	for form := range strings.SplitSeq(forms, "\n--- ") {
		head, text, _ := strings.Cut(form, "\n")
		name, subject, _ := strings.Cut(head, " | ")
		w.texts[name] = [2]string{subject, strings.TrimSpace(text) + "\n"}
	}
	w.everyday()
	for c := range strings.SplitSeq(conversations, "\n=== ") {
		if err := w.conversation(c); err != nil {
			return nil, fmt.Errorf("demomail.txt: %w", err)
		}
	}
	w.odd()
	slices.SortStableFunc(w.mail, func(a, b demoMail) int { return a.date.Compare(b.date) })
	return w, nil
}

// put adds a message.
func (w *demoWriter) put(folder string, received time.Time, octets []byte, flags ...string) {
	w.mail = append(w.mail, demoMail{folder, received, flags, octets})
}

// conversation writes the messages of a conversation, each quoting the one
// before. What Anna writes is in Sent.
func (w *demoWriter) conversation(text string) error {
	head, text, _ := strings.Cut(text, "\n")
	field := strings.Split(head, "|")
	for i := range field {
		field[i] = strings.TrimSpace(field[i])
	}
	if len(field) != 4 {
		return fmt.Errorf("%q does not say folder, date, flags and subject", head)
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", field[1], time.FixedZone("", 3600))
	if err != nil {
		return err
	}
	var who, said []string
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if name, ok := strings.CutSuffix(line, ":"); ok && demoPeople[name].name != "" {
			who, said = append(who, name), append(said, "")
		} else if len(said) == 0 {
			return fmt.Errorf("%q: nobody says %q", field[3], line)
		} else {
			said[len(said)-1] += line + "\n"
		}
	}
	subject := field[3]
	var ids []string
	for i := range who {
		p := demoPost{from: who[i], to: []string{"anna"}, subject: subject, sent: at, text: said[i], references: slices.Clone(ids)}
		flags, folder := append(strings.Fields(field[2]), `\Seen`), field[0]
		switch {
		case strings.HasPrefix(folder, "Lists/"):
			p.to, p.list = []string{"lists"}, true
		case who[i] == "anna":
			p.to = []string{who[max(0, i-1)]}
			if i == 0 {
				p.to = []string{who[1]}
			}
			flags, folder = []string{`\Seen`}, "Sent"
		case i+1 < len(who) && who[i+1] == "anna":
			flags = append(flags, `\Answered`)
		case i+1 == len(who) && folder == "INBOX" && i%2 == 0:
			flags = nil // not read yet
		}
		if sign := demoPeople[who[i]].sign; i == 0 || len(said[i]) > 200 {
			p.text += "\n-- \n" + sign + "\n"
		}
		if i > 0 {
			p.text = said[i] + "\n" + quoteMail(demoPeople[who[i-1]].name, at, said[i-1])
			if i == 1 {
				subject = "Re: " + subject
				p.subject = subject
			}
		}
		switch {
		case strings.Contains(said[i], "Picture attached"):
			p.attach = []demoFile{{"winter-sky.png", "image/png", w.picture(320, 220)}}
		case strings.Contains(said[i], "The table\nis attached"):
			p.attach = []demoFile{{"q1-2026.csv", "text/csv", w.table(40)}}
		}
		octets, id := w.write(p)
		ids = append(ids, id)
		w.put(folder, at.Add(time.Duration(1+w.dice.roll(9))*time.Second), octets, flags...)
		at = at.Add(time.Duration(40+w.dice.roll(900))*time.Minute + time.Duration(w.dice.roll(60))*time.Second)
	}
	return nil
}

// quoteMail is what one answers to.
func quoteMail(name string, at time.Time, text string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s wrote on %s:\n", name, at.Format("2 January 2006"))
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		if line == "\n" {
			b.WriteString(">\n")
		} else {
			b.WriteString("> " + line)
		}
	}
	return b.String()
}
