package bench

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// None stands where there is nothing to say.
const None = "–"

// A Table has a head and rows; the first columns are text, the others numbers.
type Table struct {
	Head  []string
	Rows  [][]string
	Texts int // how many columns are text
}

// Text is the report for people.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintln(&b, r.about())
	for _, c := range r.Corpora {
		fmt.Fprintf(&b, "\n%s\n\n%s\n%s\n", c.about(), c.runs().Text(), c.ratios())
	}
	fmt.Fprintf(&b, "\n%s\n%s\n", r.summary().Text(), r.notes())
	return b.String()
}

// Markdown is the report for a README.
func (r *Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n", r.about(), r.summary().Markdown())
	for _, c := range r.Corpora {
		fmt.Fprintf(&b, "**%s**: %s\n\n%s\n%s\n\n", c.Name, strings.TrimPrefix(c.about(), c.Name+": "), c.runs().Markdown(), c.ratios())
	}
	b.WriteString(r.notes() + "\n")
	return b.String()
}

// about says what the figures were measured on.
func (r *Report) about() string {
	s := fmt.Sprintf("Measured on %s: %s, %d cores", r.Date.Format("2006-01-02 15:04 UTC"), r.CPU, r.Cores)
	if r.Memory > 0 {
		s += ", " + Size(r.Memory) + " of memory"
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
	s := fmt.Sprintf("%s: %s messages in %s folders, %s raw, %s as files", c.Name, Count(c.Messages), Count(c.Folders), Size(c.Raw), Size(c.Files))
	if c.LeftOut > 0 {
		s += fmt.Sprintf("; %d more were refused by the mail server", c.LeftOut)
	}
	if c.Note != "" {
		s += "; " + c.Note
	}
	return s
}

// runs is the table of all runs.
func (c *CorpusReport) runs() Table {
	t := Table{Head: []string{"program", "run", "wall s", "CPU s", "server CPU s", "peak", "stored", "of raw", "requests", "sent", "fetched"}, Texts: 2}
	for _, row := range c.Rows {
		m := row.Median
		cells := []string{row.Who, row.Run, seconds(m.Wall), seconds(m.CPU), seconds(m.Server), Size(m.Peak), None, None, None, None, None}
		if m.Stored > 0 {
			cells[6], cells[7] = Size(m.Stored), percent(float64(m.Stored)/float64(c.Raw))
		}
		if row.Who == inDirectory || row.Who == inBucket {
			cells[8], cells[9], cells[10] = Count(m.Requests), Size(m.Sent), Size(m.Fetched)
		}
		t.Rows = append(t.Rows, cells)
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
func (r *Report) summary() Table {
	t := Table{Head: []string{"corpus", "messages", "raw", "Restante stores", "best other", "ratio", "first backup s", "mbsync s", "ratio", "bare fetch s", "ratio", "nothing changed s", "requests", "peak"}, Texts: 1}
	for _, c := range r.Corpora {
		cells := []string{c.Name, Count(c.Messages), Size(c.Raw)}
		for range t.Head[3:] {
			cells = append(cells, None)
		}
		if row := c.row(inDirectory, firstRun); row != nil {
			cells[3], cells[6], cells[13] = Size(row.Median.Stored), seconds(row.Median.Wall), Size(row.Median.Peak)
		}
		if row := c.row(c.Ratios.BestOther, firstRun); row != nil {
			cells[4], cells[5] = Size(row.Median.Stored), times(c.Ratios.Best)
		}
		if row := c.row(mbsyncName, firstRun); row != nil {
			cells[7], cells[8] = seconds(row.Median.Wall), times(c.Ratios.Mbsync)
		}
		if row := c.row(bareName(r.Connections), firstRun); row != nil {
			cells[9], cells[10] = seconds(row.Median.Wall), times(c.Ratios.Bare)
		}
		if row := c.row(inDirectory, nothing); row != nil {
			cells[11], cells[12] = seconds(row.Median.Wall), Count(row.Median.Requests)
		}
		t.Rows = append(t.Rows, cells)
	}
	return t
}

// Text aligns the columns: text to the left, numbers to the right.
func (t Table) Text() string {
	width := make([]int, len(t.Head))
	for _, cells := range append([][]string{t.Head}, t.Rows...) {
		for i, cell := range cells {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, cells := range append([][]string{t.Head}, t.Rows...) {
		var line strings.Builder
		for i, cell := range cells {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i < t.Texts {
				line.WriteString(cell + pad + "  ")
			} else {
				line.WriteString(pad + cell + "  ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

func (t Table) Markdown() string {
	var b strings.Builder
	line := func(cells []string) { b.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	line(t.Head)
	rule := make([]string, len(t.Head))
	for i := range rule {
		rule[i] = "---:"
		if i < t.Texts {
			rule[i] = "---"
		}
	}
	line(rule)
	for _, cells := range t.Rows {
		line(cells)
	}
	return b.String()
}

func seconds(s float64) string {
	if s < 0 {
		return None
	}
	return strconv.FormatFloat(s, 'f', 2, 64)
}

func percent(f float64) string { return strconv.FormatFloat(100*f, 'f', 1, 64) + " %" }

func times(f float64) string {
	if f == 0 {
		return None
	}
	return strconv.FormatFloat(f, 'f', 2, 64)
}

// Count writes a number with commas.
func Count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// Size writes a number of octets.
func Size(n int64) string {
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
