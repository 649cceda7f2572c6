package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// form fills one of the texts in: a word stands for each name in braces.
func (w *demoWriter) form(name string, words ...string) (subject, text string) {
	pairs := make([]string, len(words))
	for i, word := range words {
		if pairs[i] = word; i%2 == 0 {
			pairs[i] = "{" + word + "}"
		}
	}
	r := strings.NewReplacer(pairs...)
	return r.Replace(w.texts[name][0]), r.Replace(w.texts[name][1])
}

// send writes a message from a form.
func (w *demoWriter) send(folder, from string, at time.Time, flags []string, attach []demoFile, form string, words ...string) {
	p := demoPost{from: from, to: []string{"anna"}, sent: at, attach: attach}
	p.subject, p.text = w.form(form, words...)
	if from == "anna" {
		p.to = nil // a draft
	}
	p.html = form == "newsletter"
	octets, _ := w.write(p)
	w.put(folder, at.Add(time.Duration(1+w.dice.roll(20))*time.Second), octets, flags...)
}

var (
	demoTitles = strings.Split("Flora of the Wakenitz|On ferns|Mosses, first part|Mosses, second part|Grasses of the dunes|Sea kale and its friends|"+
		"Alpine cushions|The lesser orchids|Trees in winter|Lichens on gravestones|Water lilies|Herbs against melancholy", "|")
	demoItems = strings.Split("pamphlet in blue paper|guest book, linen|photo album, 40 leaves|slipcase|box for letters|thesis, black cloth|notebook, dot grid|recipe book", "|")
	demoNames = strings.Split("Élodie Marchand|Günther Rösner|Siân Pugh|Oskar Lindqvist|Małgorzata Król|Ann Whitcombe|Dr. Péter Szabó|Fatma Yıldız|Ben Okafor", "|")
	demoStory = strings.Split("The paste smell is gone by now, and we miss it.|My mother cried, in the good way.|The cat has already slept on it.|Nobody believes that the old one is inside.", "|")
	demoNews  = strings.Split("The river was high enough in February to run the old beater again. It makes a noise like a train that has changed its mind, and a sheet that is a little longer in the fibre than what we sell you in autumn.|"+
		"Somebody asked why laid paper has lines. Because the mould has wires, and because the people who made it could not do without them; later, because everybody was used to it.|"+
		"We have eleven reams of a green that we cannot make again. The dye came in a barrel without a label, and the barrel is empty.|"+
		"Linen thread is dearer this year. We have bought what we could, and sell it at the old price until it is gone, to those who do not ask for more than ten cards.|"+
		"A reader writes that he keeps our letters in a box that he made for them. We are touched and a little alarmed.|"+
		"The open day is in June. There will be soup, and the vat, and as always one child will fall into it.", "|")
)

func demoMoney(d *demoDice) string {
	return fmt.Sprintf("%d,%02d", 12+d.roll(400), 5*d.roll(20))
}

// everyday writes what comes by itself.
func (w *demoWriter) everyday() {
	w.herbarium()
	w.charts()
	w.orders()
	w.parcels()
	w.invoices()
	w.newsletters()
	w.thanks()
	w.junkAndDrafts()
}

var demoSeen = []string{`\Seen`}

func (w *demoWriter) herbarium() {
	rules := demoFile{"Handling rules.pdf", "application/pdf", w.document("Handling rules", 7)}
	for i := range 61 {
		attach := []demoFile{rules} // as always
		number := strconv.Itoa(i + 1)
		switch i % 6 {
		case 0, 3:
			attach = append(attach, demoFile{"volume-" + number + ".png", "image/png", w.picture(150, 110)})
		case 1:
			attach = append(attach, demoFile{"Protokoll Bd. " + number + " (geprüft).pdf", "application/pdf", w.document("Condition report, volume "+number, 1)})
		}
		flags := [][]string{demoSeen, {`\Seen`, "$Label2"}, {`\Seen`, `\Flagged`, "spine-done"}}[w.dice.roll(3)]
		at := demoDay(2026, time.January, 12+i/2, 8+i%9, w.dice.roll(60))
		w.send("Clients/Museum", "yuki", at, flags, attach, "condition",
			"n", number, "title", demoTitles[i%len(demoTitles)], "date", at.AddDate(0, 0, -1).Format("2 January 2006"),
			"format", pickOne(&w.dice, []string{"folio", "quarto", "octavo"}), "leaves", strconv.Itoa(40+w.dice.roll(160)),
			"binding", pickOne(&w.dice, []string{"half calf, marbled paper", "full calf, blind tooled", "quarter goat, cloth", "limp vellum, ties lost"}),
			"spine", pickOne(&w.dice, []string{"red rot, powdering", "split at both joints", "loose, kept by two cords", "gone; label kept in an envelope"}),
			"block", pickOne(&w.dice, []string{"sound", "sound, foxed", "first gathering loose", "tide line to leaf 12"}),
			"handling", pickOne(&w.dice, []string{"gloves", "support below 90°", "no more than two at a time", "as usual"}))
	}
}

func (w *demoWriter) charts() {
	for i := range 14 {
		at := demoDay(2026, time.February, 2+i, 15, 4*i)
		p := demoPost{from: "marit", to: []string{"anna"}, subject: fmt.Sprintf("Chart %d, detail %d", 1+i/4, 1+i%4), sent: at,
			text:   fmt.Sprintf("Detail %d, taken in the morning. The scale is in millimetres.\n\nhilsen\nMarit\n", 1+i%4),
			attach: []demoFile{{fmt.Sprintf("chart%d-%d.png", 1+i/4, 1+i%4), "image/png", w.picture(180, 120)}}}
		octets, _ := w.write(p)
		w.put("Clients/Observatory", at.Add(3*time.Second), octets, `\Seen`)
	}
}

// orders are last year's and this year's.
func (w *demoWriter) orders() {
	for i := range 34 {
		folder, at, flags := "Archive/2025", demoDay(2025, time.Month(1+i/2), 3+i%25, 7+i%12, w.dice.roll(60)), demoSeen
		if i >= 22 {
			folder, at, flags = "INBOX", demoDay(2026, time.March, 1+2*(i-22), 9+i%8, w.dice.roll(60)), [][]string{nil, demoSeen, {`\Seen`, "$Forwarded"}}[i%3]
		}
		w.send(folder, "shop", at, flags, nil, "order", "n", strconv.Itoa(2300+i*3), "count", strconv.Itoa(1+w.dice.roll(6)), "item", pickOne(&w.dice, demoItems),
			"name", pickOne(&w.dice, demoNames), "cover", pickOne(&w.dice, []string{"indigo", "moss", "rust", "natural"}), "price", demoMoney(&w.dice),
			"lettering", pickOne(&w.dice, []string{"none", "gold, initials", "blind, “Küche”", "gold, “1954–2026”"}),
			"delivery", pickOne(&w.dice, []string{"I collect it", "by post", "by bicycle, please"}))
	}
}

func (w *demoWriter) parcels() {
	for i := range 20 {
		folder := []string{"Archive/2025", "INBOX", "Trash"}[i%3]
		at := demoDay([]int{2025, 2026, 2026}[i%3], time.Month(1+i%3), 5+i, 6, w.dice.roll(60))
		w.send(folder, "moewe", at, demoSeen, nil, "courier", "n", fmt.Sprintf("MW%07d", 1000000+w.dice.roll(8999999)), "name", pickOne(&w.dice, demoNames),
			"state", pickOne(&w.dice, []string{"zugestellt", "unterwegs", "Empfänger nicht angetroffen", "im Zustellfahrzeug"}),
			"count", strconv.Itoa(1+w.dice.roll(3)), "kilos", strconv.Itoa(1+w.dice.roll(12)))
	}
}

func (w *demoWriter) invoices() {
	for i := range 12 {
		at := demoDay(2026, time.March, 2+2*i, 10, w.dice.roll(60))
		number := fmt.Sprintf("2026-%04d", 310+7*i)
		attach := []demoFile{{"Rechnung " + number + ".pdf", "application/pdf", w.document("Rechnung "+number, 1)}}
		if i%3 == 0 {
			attach = append(attach, demoFile{"Lieferschein.csv", "text/csv", w.table(12 + i)})
		}
		w.send("Rechnungen/März", pickOne(&w.dice, []string{"tomas", "leo", "moewe"}), at, [][]string{demoSeen, {`\Seen`, `\Flagged`}, nil}[i%3], attach, "invoice",
			"n", number, "date", at.AddDate(0, 0, -6).Format("02.01.2006"), "count", strconv.Itoa(1+w.dice.roll(40)), "price", demoMoney(&w.dice), "name", pickOne(&w.dice, demoNames),
			"item", pickOne(&w.dice, []string{"Kalbleder, pflanzlich gegerbt", "Büttenpapier 90 g", "Graupappe 2 mm", "Heftgaze", "Weizenstärke 5 kg"}))
	}
}

func (w *demoWriter) newsletters() {
	logo := []demoFile{{"mill.png", "image/png", w.picture(120, 80)}} // the same in every letter
	for i := range 17 {
		folder := "Lists/Paper & Thread"
		if i >= 14 {
			folder = "Trash"
		}
		at := demoDay(2025, time.Month(i-1), 1, 7, 0)
		w.send(folder, "mill", at, demoSeen, logo, "newsletter", "n", strconv.Itoa(71+i), "title", pickOne(&w.dice, []string{"The green", "Soup", "High water", "What the wires are for", "Eleven reams"}),
			"first", demoNews[i%len(demoNews)], "second", demoNews[(i+2)%len(demoNews)], "third", demoNews[(i+3)%len(demoNews)])
	}
}

func (w *demoWriter) thanks() {
	for i := range 16 {
		folder, at := "Archive/2025", demoDay(2025, time.Month(2+i%10), 2+i, 19, w.dice.roll(60))
		if i >= 11 {
			folder, at = "INBOX", demoDay(2026, time.March, 3*(i-9), 20, w.dice.roll(60))
		}
		who := pickOne(&w.dice, []string{"ines", "bram", "priya"})
		w.send(folder, who, at, demoSeen, nil, "thanks", "item", "the "+pickOne(&w.dice, demoItems),
			"praise", pickOne(&w.dice, []string{"exactly right", "too beautiful to use", "a little smaller than I thought, and perfect"}), "story", pickOne(&w.dice, demoStory), "name", demoPeople[who].name)
	}
}

func (w *demoWriter) junkAndDrafts() {
	for i := range 6 {
		at := demoDay(2026, time.March, 3+4*i, 3, 33+i)
		w.send("Junk", "prize", at, []string{"$Junk"}, nil, "junk", "title", pickOne(&w.dice, []string{"YOU HAVE WON", "Re: your parcel (!)", "last   chance"}), "item", pickOne(&w.dice, []string{"a yacht, small", "all the gold", "one (1) inheritance"}))
	}
	for i, title := range []string{"Course in autumn: what to bring", "Letter to the landlord", "Prices, new"} {
		at := demoDay(2026, time.March, 10+5*i, 22, 10*i)
		w.send("Drafts", "anna", at, []string{`\Draft`, `\Seen`}, nil, "draft", "title", title, "first", []string{"An apron. A book that may come apart. Patience for two.", "Sehr geehrter Herr Börnsen, das Dach über der Presse ist", "Cloth +4 %, leather +9 %, gold: ask"}[i])
	}
}

// arrivals is the mail of the next day.
func (w *demoWriter) arrivals() []demoMail {
	before := w.mail
	w.mail = nil
	defer func() { w.mail = before }()
	for i := range 9 {
		w.send("INBOX", "shop", demoDay(2026, time.March, 30, 7+i, 5*i), nil, nil, "order", "n", strconv.Itoa(2500+i*3), "count", strconv.Itoa(1+i%3), "item", demoItems[i%len(demoItems)],
			"name", demoNames[i], "cover", "indigo", "price", demoMoney(&w.dice), "lettering", "none", "delivery", "by post")
	}
	for i := range 3 {
		w.send("Rechnungen/März", "leo", demoDay(2026, time.March, 30, 11, 10*i), nil, []demoFile{{"Rechnung.pdf", "application/pdf", w.document(fmt.Sprint("Rechnung ", 400+i), 1)}}, "invoice",
			"n", fmt.Sprintf("2026-%04d", 400+i), "date", "27.03.2026", "count", "11", "item", "Kalbleder, pflanzlich gegerbt", "price", demoMoney(&w.dice), "name", "Leo Abt")
	}
	w.send("Lists/bookbinders", "bram", demoDay(2026, time.March, 30, 21, 2), nil, nil, "thanks", "item", "the sewing frame", "praise", "five sticks and two screws", "story", demoStory[2], "name", "Bram")
	return w.mail
}
