package bench

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// none stands where there is nothing to say.
const none = "–"

// A table has a head and rows; the first columns are text, the others numbers.
type table struct {
	head  []string
	rows  [][]string
	texts int // how many columns are text
}

// Text is the report for people.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintln(&b, r.about())
	for _, c := range r.Corpora {
		fmt.Fprintf(&b, "\n%s\n\n%s\n%s\n", c.about(), c.runs().text(), c.ratios())
	}
	fmt.Fprintf(&b, "\n%s\n%s\n", r.summary().text(), r.notes())
	return b.String()
}

// Markdown is the report for a README.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n", r.about(), r.summary().markdown())
	for _, c := range r.Corpora {
		fmt.Fprintf(&b, "**%s**: %s\n\n%s\n%s\n\n", c.Name, strings.TrimPrefix(c.about(), c.Name+": "), c.runs().markdown(), c.ratios())
	}
	b.WriteString(r.notes() + "\n")
	return b.String()
}

// about says what the figures were measured on.
func (r *Report) about() string {
	s := fmt.Sprintf("Measured on %s: %s, %d cores", r.Date.Format("2006-01-02 15:04 UTC"), r.CPU, r.Cores)
	if r.Memory > 0 {
		s += ", " + size(r.Memory) + " of memory"
	}
	s += ", " + r.System
	if r.LoadBefore != "" {
		s += fmt.Sprintf("; load average %s before", r.LoadBefore)
		if r.LoadAfter != "" {
			s += ", " + r.LoadAfter + " after"
		}
	}
	return fmt.Sprintf("%s. %s. Median of %d rounds.", s, strings.Join(r.Versions, ", "), r.Rounds)
}

// notes say how to read the tables.
func (r *Report) notes() string {
	indexes := "had its indexes ready"
	if r.Cold {
		indexes = "had to make its indexes in every first run"
	}
	notes := []string{
		"CPU is user and system time of the program; server CPU that of the mail server meanwhile.",
		"Peak is the memory that was resident at most; below 10 MiB it is that of the program that measures.",
		"Stored is every octet in the repository or Maildir, raw what the mail server gives.",
		fmt.Sprintf("Restante reads with %d connections, mbsync with one and FSync no.", r.Connections),
		"restic and borg store the mail server's own files, and open their repository with a password, which costs restic most of a second; Restante has an age identity.",
		"The mail server " + indexes + ".",
	}
	for _, remark := range r.Remarks {
		notes = append(notes, "Note: "+remark+".")
	}
	return strings.Join(notes, " ")
}

func (c *CorpusReport) about() string {
	s := fmt.Sprintf("%s: %s messages in %s folders, %s raw, %s as files", c.Name, count(c.Messages), count(c.Folders), size(c.Raw), size(c.Files))
	if c.LeftOut > 0 {
		s += fmt.Sprintf("; %d more were refused by the mail server", c.LeftOut)
	}
	if c.Note != "" {
		s += "; " + c.Note
	}
	return s
}

// runs is the table of all runs.
func (c *CorpusReport) runs() table {
	t := table{head: []string{"program", "run", "wall s", "CPU s", "server CPU s", "peak", "stored", "of raw", "requests", "sent", "fetched"}, texts: 2}
	for _, row := range c.Rows {
		m := row.Median
		cells := []string{row.Who, row.Run, seconds(m.Wall), seconds(m.CPU), seconds(m.Server), size(m.Peak), none, none, none, none, none}
		if m.Stored > 0 {
			cells[6], cells[7] = size(m.Stored), percent(float64(m.Stored)/float64(c.Raw))
		}
		if row.Who == inDirectory || row.Who == inBucket {
			cells[8], cells[9], cells[10] = count(m.Requests), size(m.Sent), size(m.Fetched)
		}
		t.rows = append(t.rows, cells)
	}
	return t
}

// ratios says in a sentence how Restante compares.
func (c *CorpusReport) ratios() string {
	x := c.Ratios
	var parts []string
	add := func(ratio float64, what string) {
		if ratio > 0 {
			parts = append(parts, fmt.Sprintf(what, ratio))
		}
	}
	add(x.Mbsync, "%.2f × mbsync's time into a directory")
	add(x.MbsyncS3, "%.2f × mbsync's into S3")
	add(x.Bare, "%.2f × the bare fetch's on as many connections")
	add(x.BareAlone, "%.2f × the bare fetch's on one")
	s := "Restante's first backup takes " + strings.Join(parts, ", ")
	if x.Best > 0 {
		s += fmt.Sprintf("; it stores %.2f × what %s stores, the best of the others", x.Best, x.BestOther)
	}
	return s + "."
}

// summary has a row for each corpus.
func (r *Report) summary() table {
	t := table{head: []string{"corpus", "messages", "raw", "Restante stores", "best other", "ratio", "first backup s", "mbsync s", "ratio", "bare fetch s", "ratio", "nothing changed s", "requests", "peak"}, texts: 1}
	for _, c := range r.Corpora {
		cells := []string{c.Name, count(c.Messages), size(c.Raw)}
		for range t.head[3:] {
			cells = append(cells, none)
		}
		if row := c.row(inDirectory, firstRun); row != nil {
			cells[3], cells[6], cells[13] = size(row.Median.Stored), seconds(row.Median.Wall), size(row.Median.Peak)
		}
		if row := c.row(c.Ratios.BestOther, firstRun); row != nil {
			cells[4], cells[5] = size(row.Median.Stored), times(c.Ratios.Best)
		}
		if row := c.row(mbsyncName, firstRun); row != nil {
			cells[7], cells[8] = seconds(row.Median.Wall), times(c.Ratios.Mbsync)
		}
		if row := c.row(bareName(r.Connections), firstRun); row != nil {
			cells[9], cells[10] = seconds(row.Median.Wall), times(c.Ratios.Bare)
		}
		if row := c.row(inDirectory, nothing); row != nil {
			cells[11], cells[12] = seconds(row.Median.Wall), count(row.Median.Requests)
		}
		t.rows = append(t.rows, cells)
	}
	return t
}

// text aligns the columns: text to the left, numbers to the right.
func (t table) text() string {
	width := make([]int, len(t.head))
	for _, cells := range append([][]string{t.head}, t.rows...) {
		for i, cell := range cells {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, cells := range append([][]string{t.head}, t.rows...) {
		var line strings.Builder
		for i, cell := range cells {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i < t.texts {
				line.WriteString(cell + pad + "  ")
			} else {
				line.WriteString(pad + cell + "  ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

func (t table) markdown() string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(t.head)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "---:"
		if i < t.texts {
			rule[i] = "---"
		}
	}
	line(rule)
	for _, cells := range t.rows {
		line(cells)
	}
	return b.String()
}

func seconds(s float64) string {
	if s < 0 {
		return none
	}
	return strconv.FormatFloat(s, 'f', 2, 64)
}

func percent(f float64) string { return strconv.FormatFloat(100*f, 'f', 1, 64) + " %" }

func times(f float64) string {
	if f == 0 {
		return none
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

// count writes a number with commas.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// size writes a number of octets.
func size(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%.0f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
