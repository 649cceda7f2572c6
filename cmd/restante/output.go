package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// table prints rows in columns.
func (a *app) table(rows func(row func(cells ...any))) error {
	const between = 2
	var all [][]string
	var widths []int
	rows(func(cells ...any) {
		row := make([]string, len(cells))
		for i, c := range cells {
			row[i] = oneLine(fmt.Sprint(c))
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns.StringWidth(row[i]))
		}
		all = append(all, row)
	})
	w := bufio.NewWriter(a.out)
	for _, row := range all {
		line := ""
		for i, cell := range row {
			line += columns.FillRight(cell, widths[i]+between)
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	return w.Flush()
}

// columns tells how many columns of a terminal text takes: Chinese characters
// take two. It is the same whatever the language of the environment is.
var columns = &runewidth.Condition{}

// oneLine keeps what a message or server says from steering the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case steers(r):
			return ' '
		case turns(r):
			return -1
		}
		return r
	}, s)
}

// steers says that a terminal may take a character for something to do.
func steers(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
}

// turns says that a character changes the direction of what is around it.
func turns(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u200e' || r == '\u200f' || r == '\u061c' || r == '\ufeff'
}

func octets(n int64) string { return humanize.IBytes(uint64(max(0, n))) }

func count(n int64) string { return humanize.Comma(n) }

// number is a number of things, in words.
func number(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if strings.HasSuffix(thing, "y") {
		thing = thing[:len(thing)-1] + "ie"
	} else if strings.HasSuffix(thing, "x") {
		thing += "e"
	}
	return count(n) + " " + thing + "s"
}

func messages(n int64) string { return number(n, "message") }

func at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// An output is standard output. It remembers what could not be written, since
// nobody looks at that line by line.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (n int, err error) {
	if o.err == nil {
		n, o.err = o.w.Write(p)
	}
	return n, o.err
}

// file is the file that a stream goes to, if it is one.
func file(stream any) (*os.File, bool) {
	if o, ok := stream.(*output); ok {
		stream = o.w
	}
	f, ok := stream.(*os.File)
	return f, ok
}

// terminal says whether a person looks at a stream.
func terminal(stream any) bool {
	f, ok := file(stream)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width is how many columns a terminal has; 0 for what is no terminal.
func width(stream any) int {
	f, ok := file(stream)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// cut shortens text to n columns.
func cut(s string, n int) string {
	return columns.Truncate(s, n, "…")
}
