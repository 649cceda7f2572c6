package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// proseWidth is where sentences go on in the next line.
const proseWidth = 80

// tell prints a paragraph for people.
func (d *demo) tell(format string, args ...any) {
	d.say("%s", strings.Join(fitLine(fmt.Sprintf(format, args...), proseWidth, ""), "\n"))
}

// say prints lines as they are, behind an empty one.
func (d *demo) say(format string, args ...any) {
	if d.a.JSON {
		return
	}
	if _, err := fmt.Fprintf(d.a.out, "\n"+format+"\n", args...); err != nil {
		d.unheard = err
	}
}

// heading begins a chapter.
func (d *demo) heading(text string) { d.say("%s", d.strong(text)) }

// show prints a command line and what it printed.
func (d *demo) show(line, output string) { d.say("  %s\n%s", d.strong("$ "+line), output) }

func (d *demo) strong(text string) string {
	if d.bold {
		return "\x1b[1m" + text + "\x1b[0m"
	}
	return text
}

// excerpt indents output and cuts it to size.
func (d *demo) excerpt(output string, head, tail int) string {
	lines := strings.Split(strings.TrimSuffix(output, "\n"), "\n")
	if left := len(lines) - head - tail; head > 0 && left > 1 {
		lines = append(append(lines[:head:head], fmt.Sprintf("… %d more lines …", left)), lines[len(lines)-tail:]...)
	}
	var shown []string
	for _, l := range lines {
		shown = append(shown, fitLine("  "+l, d.width, "    ")...)
	}
	return strings.Join(shown, "\n")
}

// fitLine makes lines of a line that are no wider than width; those after the first
// are indented by so much more.
func fitLine(line string, width int, more string) (list []string) {
	rest := strings.TrimLeft(line, " ")
	lead := line[:len(line)-len(rest)]
	for {
		end, space, column := fitting(rest, width-len(lead))
		if column > 0 {
			space = column
		}
		if end == len(rest) {
			return append(list, strings.TrimRight(lead+rest, " "))
		}
		if space == 0 {
			_, last := utf8.DecodeLastRuneInString(rest[:end])
			return append(list, lead+rest[:end-last]+"…")
		}
		list = append(list, strings.TrimRight(lead+rest[:space], " "))
		rest = strings.TrimLeft(rest[space:], " ")
		if len(list) == 1 {
			lead += more
		}
	}
}

// fitting says how many octets of text so many columns have room for, and where
// among them the last space is, and the last two spaces.
func fitting(text string, columns int) (end, space, column int) {
	for end < len(text) {
		r, size := utf8.DecodeRuneInString(text[end:])
		if columns--; r >= 0x2e80 && r != utf8.RuneError {
			columns-- // what is written there is as wide as two
		}
		if columns < 0 {
			break
		}
		if r == ' ' {
			if end > 0 && text[end-1] == ' ' {
				column = end
			}
			space = end
		}
		end += size
	}
	return end, space, column
}
