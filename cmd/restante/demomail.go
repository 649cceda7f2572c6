package main

import (
	_ "embed"
	"errors"
	"fmt"
	"path"
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

// A demoTurn is what one person writes in a conversation.
type demoTurn struct{ who, text, file string }

// conversation writes the messages of a conversation, each quoting the one
// before. What Anna writes is in Sent.
func (w *demoWriter) conversation(text string) error {
	head, text, _ := strings.Cut(text, "\n")
	field := strings.Split(head, "|")
	if len(field) != 4 {
		return fmt.Errorf("%q does not say folder, date, flags and subject", head)
	}
	for i := range field {
		field[i] = strings.TrimSpace(field[i])
	}
	at, err := time.ParseInLocation("2006-01-02 15:04", field[1], time.FixedZone("", 3600))
	if err != nil {
		return err
	}
	turns, err := demoTurns(text)
	if err != nil {
		return fmt.Errorf("%q: %w", field[3], err)
	}
	var before time.Time // when the turn before was written
	p := demoPost{subject: field[3], list: strings.HasPrefix(field[0], "Lists/")}
	for i, turn := range turns {
		p.from, p.to, p.sent, p.attach = turn.who, []string{"anna"}, at, nil
		flags, folder := append(strings.Fields(field[2]), `\Seen`), field[0]
		last := i+1 == len(turns)
		switch {
		case p.list:
			p.to = []string{"lists"}
		case turn.who == "anna" && i == 0:
			p.to, flags, folder = []string{turns[1].who}, demoSeen, "Sent"
		case turn.who == "anna":
			p.to, flags, folder = []string{turns[i-1].who}, demoSeen, "Sent"
		case !last:
			flags = append(flags, `\Answered`)
		case folder == "INBOX" && i%2 == 0:
			flags = nil // not read yet
		}
		if i == 0 {
			p.text = turn.text + "\n-- \n" + demoPeople[turn.who].sign + "\n"
		} else {
			p.text = turn.text + "\n" + quoteMail(turns[i-1], before)
		}
		switch path.Ext(turn.file) {
		case ".png":
			p.attach = []demoFile{{turn.file, "image/png", w.picture(320, 220)}}
		case ".csv":
			p.attach = []demoFile{{turn.file, "text/csv", w.table(40)}}
		}
		octets, id := w.write(p)
		w.put(folder, at.Add(time.Duration(1+w.dice.roll(9))*time.Second), octets, flags...)
		if i == 0 {
			p.subject = "Re: " + p.subject
		}
		p.references = append(p.references, id)
		before = at
		at = at.Add(time.Duration(40+w.dice.roll(900))*time.Minute + time.Duration(w.dice.roll(60))*time.Second)
	}
	return nil
}

// demoTurns reads who says what.
func demoTurns(text string) (turns []demoTurn, err error) {
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if name, ok := strings.CutSuffix(line, ":"); ok && demoPeople[name].name != "" {
			turns = append(turns, demoTurn{who: name})
			continue
		}
		if len(turns) == 0 {
			return nil, fmt.Errorf("nobody says %q", line)
		}
		turn := &turns[len(turns)-1]
		if file, ok := strings.CutPrefix(line, "+ "); ok {
			turn.file = file
		} else {
			turn.text += line + "\n"
		}
	}
	if len(turns) < 2 {
		return nil, errors.New("it takes two")
	}
	return turns, nil
}

// quoteMail quotes what is answered to.
func quoteMail(turn demoTurn, at time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "On %s, %s wrote:\n", at.Format("2 January 2006"), demoPeople[turn.who].name)
	for line := range strings.Lines(strings.TrimSpace(turn.text) + "\n") {
		if line == "\n" {
			b.WriteString(">\n")
		} else {
			b.WriteString("> " + line)
		}
	}
	return b.String()
}
